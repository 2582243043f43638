"""Every code of a failure that the program can give, as its source says, for docs/reference/errors.md."""

import ast
import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

import cauldron
from cauldron.api.problems import ANSWERS
from cauldron.domain.errors import CauldronError, Invalid
from cauldron.domain.generation import FAILURES
from scripts.state_tables import table

PACKAGE = Path(cauldron.__file__).parent
CODE = re.compile(r"[a-z][a-z0-9_]*")  # whatever else is handed on under that name is a sentence
TAKES = ("message", "detail")  # what a function takes beside a code
Takers = Mapping[str, int]  # functions that are handed a code -> where it stands


@cache
def classes() -> Sequence[type[CauldronError]]:
    """Every failure that has a class: those of the core first, each before those that refine it."""
    for module in pkgutil.walk_packages([str(PACKAGE)], "cauldron."):
        try:
            importlib.import_module(module.name)
        except ImportError:  # it needs an extra
            continue
    found: dict[type[CauldronError], None] = dict.fromkeys([CauldronError, *_below(CauldronError)])
    own = [kind for kind in found if kind.__module__.startswith("cauldron.")]
    return sorted(own, key=lambda c: (c.__module__ != "cauldron.domain.errors", _place(c)))


def _below(kind: type[CauldronError]) -> Iterator[type[CauldronError]]:
    for each in kind.__subclasses__():
        yield each
        yield from _below(each)


def _place(kind: type) -> tuple[str, int]:
    return kind.__module__, inspect.getsourcelines(kind)[1]


@cache
def named() -> Mapping[str, str]:
    """Every code that stands in the source, with a sentence that goes with it, empty where there is none."""
    sources = {path: path.read_text(encoding="utf-8") for path in sorted(PACKAGE.rglob("*.py"))}
    declaring = [ast.parse(text) for text in sources.values() if "code: str" in text]
    takers = dict(place for tree in declaring for place in takers_of(tree))
    calls = re.compile(rf"code|\b({'|'.join(takers)})\(")
    found: dict[str, str] = {}
    for text in sources.values():
        if calls.search(text):
            for code, sentence in codes_of(ast.parse(text), takers):
                found[code] = found.get(code) or sentence
    return dict(sorted(found.items()))


def takers_of(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Functions of a module that are handed a code beside a sentence, and classes that are made with both."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef) and inner.name == "__init__" and _takes(inner):
                    yield node.name, _takes(inner).index("code")
        elif isinstance(node, ast.FunctionDef) and node.name != "__init__" and _takes(node):
            yield node.name, _takes(node).index("code")


def _takes(function: ast.FunctionDef) -> list[str]:
    """The arguments of a function that is handed a code beside a sentence, else none."""
    names = [each.arg for each in function.args.args if each.arg != "self"]
    return names if "code" in names and any(said in names for said in TAKES) else []


def codes_of(tree: ast.AST, takers: Takers) -> Iterator[tuple[str, str]]:
    """The codes that a module names, each with its sentence: in calls, documents and variables."""
    nodes = list(ast.walk(tree))
    variables = [n for n in nodes if isinstance(n, ast.Assign) and isinstance(n.targets[0], ast.Name)]
    for node in nodes:
        code, sentence = _pair(node, takers)
        said = _said(sentence, variables)
        for text in _texts(code) if code is not None else ():
            yield text, said


def _pair(node: ast.AST, takers: Takers) -> tuple[ast.expr | None, ast.expr | None]:
    """Where a node has a code, and the sentence beside it."""
    parts: dict[str, ast.expr] = {}
    if isinstance(node, ast.Call):
        parts = {given.arg: given.value for given in node.keywords if given.arg}
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        at = takers.get(name)
        if at is not None and at < len(node.args) - 1:
            parts |= {"code": node.args[at], "message": node.args[at + 1]}
    elif isinstance(node, ast.Dict):
        keys = [key.value if isinstance(key, ast.Constant) else "" for key in node.keys]
        parts = {str(key): value for key, value in zip(keys, node.values, strict=True)}
        if not any(said in parts for said in TAKES):
            return None, None
    elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        parts = {node.targets[0].id: node.value}
    code = parts.get("code", parts.get("error_code"))
    return code, next((parts[said] for said in TAKES if said in parts), None)


def _said(sentence: ast.expr | None, variables: Sequence[ast.Assign]) -> str:
    """A sentence as it is written, with … for what is put in."""
    if isinstance(sentence, ast.Name):
        before = [each for each in variables if _is(each, sentence.id) and each.lineno < sentence.lineno]
        return _said(max(before, key=lambda each: each.lineno).value, ()) if before else ""
    if isinstance(sentence, ast.JoinedStr):
        return "".join(_said(part, ()) or "…" for part in sentence.values)
    if isinstance(sentence, ast.Constant) and isinstance(sentence.value, str):
        return sentence.value
    return ""


def _is(variable: ast.Assign, name: str) -> bool:
    target = variable.targets[0]
    return isinstance(target, ast.Name) and target.id == name


def _texts(value: ast.expr) -> Iterator[str]:
    """What an expression may be, where that is written down."""
    if isinstance(value, ast.Constant) and isinstance(value.value, str) and CODE.fullmatch(value.value):
        yield value.value
    elif isinstance(value, ast.IfExp):
        yield from _texts(value.body)
        yield from _texts(value.orelse)


def problems() -> Mapping[str, str]:
    """Codes of single things that are wrong with a document: what neither a class nor a table explains."""
    known = {kind.code for kind in classes()} | set(ANSWERS) | set(FAILURES)
    return {code: said for code, said in named().items() if code not in known}


def _class_rows() -> str:
    rows = [(f"`{c.code}`", c.__name__, _exit_of(c), first_of(c)) for c in classes()]
    return table(("code", "class", "exit", "meaning"), rows)


def _exit_of(failure: type[CauldronError]) -> int:
    return 2 if issubclass(failure, Invalid) else 1


def first_of(thing: type) -> str:
    """The first sentence that a class says of itself."""
    return (inspect.getdoc(thing) or "").split("\n\n")[0].replace("\n", " ").replace("``", "`")


def _answer_rows() -> str:
    rows = [(status, f"`{code}`", said) for code, (status, said) in ANSWERS.items()]
    return table(("status", "code", "meaning"), sorted(rows))


def _failure_rows() -> str:
    return table(("code", "meaning"), [(f"`{code}`", said) for code, said in FAILURES.items()])


def _problem_rows() -> str:
    rows = [(f"`{code}`", _plain(said)) for code, said in problems().items()]
    return table(("code", "for example"), rows)


def _plain(sentence: str) -> str:
    """Nothing of a sentence means something to the page."""
    return re.sub(r"([|<>\[\]*_`])", r"\\\1", sentence)


TABLES: Mapping[str, Callable[[], str]] = {
    "errors": _class_rows,
    "error-answers": _answer_rows,
    "error-runs": _failure_rows,
    "error-problems": _problem_rows,
}
