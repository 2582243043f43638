"""The rules of the house about code, as functions from a package folder to sentences.

A rule reads source only (``ast``), so it sees imports that are not executed too.
``tests/test_architecture.py`` runs every rule on the package and on planted faults.
"""

import ast
import functools
import graphlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

PACKAGE = "cauldron"

# Higher numbers may import lower ones. Equal numbers may import each other, without
# cycles, unless both stand in STRANGERS. `config` and `log` stand beside `bootstrap`:
# what lies below gets plain values handed in and never reads a setting itself.
LAYERS = {
    "client": -1,  # runs elsewhere: it imports nothing of ours
    "domain": 0,
    "ports": 1,
    "typefaces": 2,  # the fonts that the package brings, for every adapter that draws
    "persistence": 2,
    "services": 3,
    "adapters": 3,
    "platforms": 3,
    "config": 4,
    "log": 4,
    "engine": 4,
    "places": 4,
    "workshop": 4,
    "bootstrap": 4,
    "member": 4,  # one process of the tool pool: a small composition root of its own
    "api": 5,
    "web": 5,
    "worker": 5,
    "cli": 6,  # `cauldron serve` and `cauldron worker` start the others
    "__main__": 7,
}
STRANGERS = {"services", "adapters", "platforms", "client"}
ENGINE_FAMILIES = ("sqlite", "mongo")  # adapters/sqlite*.py are one adapter

# (importing module, imported module): why. Every entry is a debt; an unused one fails.
EXCEPTIONS: dict[tuple[str, str], str] = {}

PURE = """
    __future__ abc array ast base64 binascii bisect calendar collections colorsys contextlib copy
    dataclasses datetime decimal difflib enum fractions functools graphlib hashlib heapq html itertools
    json keyword math numbers operator random re statistics string struct textwrap types typing
    unicodedata urllib.parse
"""
PURE_MODULES = frozenset(PURE.split())
PURE_PACKAGES = {"numpy", "orjson", "yaml"}  # functions of their arguments, as the domain uses them
CLOCKS = {"now", "utcnow", "today"}
IMPURE_BUILTINS = {"open", "input", "print", "exec", "eval", "__import__"}
NUMPY_FILES = {"load", "save", "savez", "loadtxt", "savetxt", "genfromtxt", "fromfile", "tofile", "memmap"}
NUMPY_CHANCE = re.compile(r"(np|numpy)\.random\.\w+")
GLOBAL_CHANCE = re.compile(r"((np|numpy)\.)?random\.\w+")  # where ``random`` is the module, not a generator
SEEDED = {"Random", "default_rng", "SeedSequence", "PCG64", "PCG64DXSM", "Philox", "SFC64", "MT19937"}
BANNED_WORDS = {
    "util", "utils", "helper", "helpers", "common", "manager", "managers", "base", "misc",
}  # fmt: skip

MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 50  # without the docstring
MAX_PORT_METHODS = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """One source file of the package."""

    name: str  # "cauldron.domain.cook"
    is_package: bool
    source: str
    tree: ast.Module

    @property
    def part(self) -> str:
        """The layer's key: the first name below the package, ``""`` for the package itself."""
        return [*self.name.split("."), ""][1]


Modules = Mapping[str, Module]


def read_package(folder: Path) -> dict[str, Module]:
    """Every module under ``folder`` (the package's own folder), by dotted name."""
    modules = {}
    for path in sorted(folder.rglob("*.py")):
        parts = [PACKAGE, *path.relative_to(folder).with_suffix("").parts]
        is_package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_package else parts)
        source = path.read_text(encoding="utf-8")
        modules[name] = Module(name=name, is_package=is_package, source=source, tree=_parsed(source))
    return modules


@functools.cache  # the planted copies differ in one file only
def _parsed(source: str) -> ast.Module:
    return ast.parse(source)


@functools.cache
def imported(module: Module) -> list[str]:
    """Dotted names ``module`` imports anywhere in its text, absolute, `from a import b` as ``a.b``."""
    return list(_imports(module))


def _imports(module: Module) -> Iterator[str]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = _origin(module, node)
            yield from (f"{start}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and _called(node) in {"import_module", "__import__"}:
            yield from (
                a.value for a in node.args[:1] if isinstance(a, ast.Constant) and isinstance(a.value, str)
            )


def _origin(module: Module, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    parts = module.name.split(".")
    kept = parts[: len(parts) - node.level + module.is_package]
    return ".".join([*kept, node.module] if node.module else kept)


def _called(node: ast.Call) -> str:
    match node.func:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
    return ""


def edges(modules: Modules) -> dict[str, set[str]]:
    """Module → modules of this package that it imports (a name inside one counts as the module)."""
    graph: dict[str, set[str]] = {}
    for module in modules.values():
        found = {_nearest(target, modules) for target in imported(module) if _ours(target)}
        graph[module.name] = {t for t in found if (module.name, t) not in EXCEPTIONS} - {module.name}
    return graph


def _ours(target: str) -> bool:
    return target == PACKAGE or target.startswith(f"{PACKAGE}.")


def _nearest(target: str, modules: Modules) -> str:
    while target not in modules and "." in target:
        target = target.rpartition(".")[0]
    return target


def imports_point_down(modules: Modules) -> Iterator[str]:
    """A layer imports itself and lower ones; every top-level part has a layer."""
    graph = edges(modules)
    for module in modules.values():
        if module.part and module.part not in LAYERS:
            yield f"{module.name}: {module.part!r} is no layer; see LAYERS in tests/architecture.py"
            continue
        for target in graph[module.name]:
            other = modules[target].part
            if not module.part and other:
                yield f"{module.name} imports {target}: the package itself imports nothing of its own"
            elif other in LAYERS and LAYERS[other] > LAYERS[module.part]:
                yield f"{module.name} imports {target}: imports point down"


def rows_are_strangers(modules: Modules) -> Iterator[str]:
    """Services, adapters and platforms never import one another."""
    for name, targets in edges(modules).items():
        part = modules[name].part
        for target in targets:
            if {part, modules[target].part} <= STRANGERS and modules[target].part != part:
                yield f"{name} imports {target}: {part} and {modules[target].part} are strangers"


def adapters_are_strangers(modules: Modules) -> Iterator[str]:
    """One adapter never imports another; a folder is one adapter, so is an engine's family of files."""
    for name, targets in edges(modules).items():
        for target in targets:
            mine, other = _adapter(name), _adapter(target)
            if mine and other and mine != other:
                yield f"{name} imports {target}: adapters never import one another"


def _adapter(name: str) -> str:
    parts = name.split(".")
    if parts[1:2] != ["adapters"] or len(parts) < 3:
        return ""
    families = (family for family in ENGINE_FAMILIES if re.match(rf"{family}(_|$)", parts[2]))
    return next(families, parts[2])


def no_cycles(modules: Modules) -> Iterator[str]:
    """Neither modules nor top-level parts import each other in a circle."""
    by_module = edges(modules)
    by_part: dict[str, set[str]] = {}
    for name, targets in by_module.items():
        part = modules[name].part
        by_part.setdefault(part, set()).update({modules[t].part for t in targets} - {part, ""})
    for graph in (_without_containers(by_module), by_part):
        try:
            graphlib.TopologicalSorter(graph).prepare()
        except graphlib.CycleError as error:
            yield "import cycle: " + " → ".join(f"{name or PACKAGE}" for name in error.args[1])


def _without_containers(graph: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """``from cauldron.domain import cook`` is an edge to ``cook`` alone: drop those to a parent."""
    return {name: {t for t in targets if not name.startswith(f"{t}.")} for name, targets in graph.items()}


def domain_is_pure(modules: Modules) -> Iterator[str]:
    """The domain imports only pure modules and never asks for the time, chance, an id or a file."""
    for module in modules.values():
        if module.part != "domain":
            continue
        for target in imported(module):
            if not _ours(target) and not _pure(target):
                yield f"{module.name} imports {target}: not in the list of pure modules"
            elif re.match(r"(numpy\.)?random\.[a-z]", target) and target.split(".")[-1] not in SEEDED:
                yield f"{module.name} imports {target}: an unseeded global generator"
        chance = GLOBAL_CHANCE if "random" in imported(module) else NUMPY_CHANCE
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call) and (fault := _impurity(node, chance)):
                yield f"{module.name}:{node.lineno} {fault}"


def _pure(target: str) -> bool:
    parts = target.split(".")
    prefixes = {".".join(parts[: n + 1]) for n in range(len(parts))}
    return bool(prefixes & (PURE_MODULES | PURE_PACKAGES))


def _impurity(node: ast.Call, chance: re.Pattern[str]) -> str:
    name, text = _called(node), ast.unparse(node.func)
    if name in CLOCKS or text in IMPURE_BUILTINS:
        return f"calls {text}: the domain gets such things as arguments"
    if name == "tofile" or (name in NUMPY_FILES and re.match(r"(np|numpy)\.", text)):
        return f"calls {text}: the domain touches no files"
    if name in SEEDED and not node.args and not node.keywords:
        return f"calls {text} without a seed"
    if chance.fullmatch(text) and name not in SEEDED | {"Generator"}:
        return f"calls {text}: an unseeded global generator"
    return ""


def modules_are_short(modules: Modules) -> Iterator[str]:
    """A module has at most 400 lines."""
    for module in modules.values():
        lines = len(module.source.splitlines())
        if lines > MAX_MODULE_LINES:
            yield f"{module.name} has {lines} lines, more than {MAX_MODULE_LINES}"


def functions_are_short(modules: Modules) -> Iterator[str]:
    """A function has at most 50 lines besides its docstring, decorators included."""
    for module in modules.values():
        for node in ast.walk(module.tree):
            if (
                isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
                and _length(node) > MAX_FUNCTION_LINES
            ):
                yield f"{module.name}:{node.lineno} {node.name} has {_length(node)} lines"


def _length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
    total = (node.end_lineno or first) - first + 1
    if ast.get_docstring(node, clean=False) is None:
        return total
    docstring = node.body[0]
    return total - ((docstring.end_lineno or 0) - docstring.lineno + 1)


def modules_say_what_they_are(modules: Modules) -> Iterator[str]:
    """Every module opens with a sentence."""
    for module in modules.values():
        if not (ast.get_docstring(module.tree) or "").strip():
            yield f"{module.name} has no docstring"


def names_mean_something(modules: Modules) -> Iterator[str]:
    """No module or class is called utils, helpers, common, manager or base."""
    for module in modules.values():
        if set(module.name.split(".")[-1].split("_")) & BANNED_WORDS:
            yield f"{module.name}: the name says nothing"
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ClassDef) and _words(node.name) & BANNED_WORDS:
                yield f"{module.name}:{node.lineno} class {node.name}: the name says nothing"


def _words(camel: str) -> set[str]:
    starts = [m.start() for m in re.finditer(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", camel)]
    return {camel[a:b].strip("_").lower() for a, b in pairwise([*starts, len(camel)])}


def ports_are_narrow(modules: Modules) -> Iterator[str]:
    """A Protocol of the ports has at most seven methods."""
    for module in modules.values():
        if module.part != "ports":
            continue
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ClassDef) and any("Protocol" in ast.unparse(b) for b in node.bases):
                methods = [n for n in node.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
                if len(methods) > MAX_PORT_METHODS:
                    yield f"{module.name}.{node.name} has {len(methods)} methods, not {MAX_PORT_METHODS}"


RULES: tuple[Callable[[Modules], Iterator[str]], ...] = (
    imports_point_down,
    rows_are_strangers,
    adapters_are_strangers,
    no_cycles,
    domain_is_pure,
    modules_are_short,
    functions_are_short,
    modules_say_what_they_are,
    names_mean_something,
    ports_are_narrow,
)
