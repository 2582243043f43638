"""Reads the constants and exports of a JavaScript configuration; nothing is executed.

Declarations, assignments and exports are followed; any other statement is
passed over and listed, so that a caller can say what had no effect.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cauldron.adapters.importers.jsexpressions import Values
from cauldron.adapters.importers.jstokens import Source, Token, tokenize
from cauldron.adapters.importers.jsvalues import JsValue, Opaque

_DECLARING = frozenset({"const", "let", "var"})
_CONTROL = frozenset({"if", "for", "while", "do", "switch", "try", "with", "else", "catch", "finally"})
_FURTHER = frozenset({"else", "catch", "finally"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A statement that was passed over: its 1-based line and first characters."""

    line: int
    text: str


@dataclass(slots=True, kw_only=True)
class Configuration:
    """What a file says: its constants, its exports, and what was passed over."""

    constants: dict[str, JsValue] = field(default_factory=dict)
    exports: dict[str, JsValue] = field(default_factory=dict)
    passed_over: list[Statement] = field(default_factory=list)

    @property
    def values(self) -> dict[str, JsValue]:
        """The exports, or every constant of a file that exports nothing."""
        return self.exports or self.constants


def read_configuration(text: str, *, name: str, known: Mapping[str, JsValue] | None = None) -> Configuration:
    """The constants and exports of a JavaScript configuration file.

    Args:
        text: the source, at most 1,000,000 characters.
        name: the file's name, for messages.
        known: values of names that the file takes from other files.

    Raises:
        Invalid: the text is not JavaScript; the message begins ``name:line:``.

    Cost: linear in the text; values made are bounded by 4,000,000.
    """
    source = Source(text, name=name)
    return _Statements(source, tokenize(source), known=known or {}).run()


class _Statements(Values):
    def __init__(self, source: Source, tokens: list[Token], *, known: Mapping[str, JsValue]) -> None:
        self.found = Configuration()
        super().__init__(source, tokens, scope=self.found.constants)
        self.known = known

    def run(self) -> Configuration:
        """Read every statement."""
        while self.peek().kind != "end":
            if not self.accept(";"):
                self._statement()
        return self.found

    def _statement(self) -> None:
        token = self.peek()
        word = token.text if token.kind == "name" else ""
        if word in _DECLARING:
            self._declaration()
        elif word in ("function", "class") or (word == "async" and self.peek(1).text == "function"):
            self._function()
        elif word == "import" and not self.is_operator("(", ".", ahead=1):
            self._import()
        elif word == "export":
            self._export()
        elif token.kind == "string" and (self.peek(1).after_newline or self.is_operator(";", ahead=1)):
            self.at += 1
        elif (target := self._target()) is not None:
            self._assign(target)
        else:
            self._pass_over()

    # --- declarations

    def _declaration(self) -> list[str]:
        """``const a = 1, {b} = c``; the names declared."""
        self.at += 1
        names = self._declarator()
        while self.accept(","):
            names += self._declarator()
        self._end_of_statement()
        return names

    def _declarator(self) -> list[str]:
        start = self.at
        if self.is_operator("{", "["):
            return self._pattern()
        name = self._declared_name()
        self._bind(name, self.value() if self.accept("=") else None, start=start)
        return [name]

    def _declared_name(self) -> str:
        token = self.peek()
        if token.kind != "name":
            raise self.source.error(token.start, f"a name expected, not {token.text[:40]!r}")
        self.at += 1
        return token.text

    def _pattern(self) -> list[str]:
        """``{a, b: c} = value``; deeper patterns give names whose values are not known."""
        start, end = self.at, self.pairs[self.at]
        pairs = self._flat_pattern(end) if self.is_operator("{") else None
        names = pairs or [("", t.text) for t in self.tokens[start:end] if t.kind == "name"]
        self.at = end + 1
        value = self.value() if self.accept("=") else None
        for key, name in names:
            known = isinstance(value, dict) and key in value
            unknown = self.opaque(start, "comes from another file or a pattern")
            self._bind(name, value[key] if known and isinstance(value, dict) else unknown, start=start)
        return [name for _, name in names]

    def _flat_pattern(self, end: int) -> list[tuple[str, str]] | None:
        """``[(key, name)]`` of a pattern of plain names; None for any other."""
        pairs: list[tuple[str, str]] = []
        words: list[str] = []
        for token in self.tokens[self.at + 1 : end + 1]:
            if token.kind == "name":
                words.append(token.text)
            elif token.text in (",", "}"):
                if len(words) > 2:
                    return None
                pairs += [(words[0], words[-1])] if words else []
                words = []
            elif token.text != ":":
                return None
        return pairs

    def _bind(self, name: str, value: JsValue, *, start: int) -> None:
        """Give a name its value; names known from elsewhere stand in for what is not read."""
        if isinstance(value, Opaque) and name in self.known:
            value = self.known[name]
        self.scope[name] = value

    def _function(self) -> None:
        start = self.at
        while not self.is_operator("{") and self.peek().kind != "end":
            self.step_over()
        self.step_over()
        names = [t.text for t in self.tokens[start : self.at] if t.kind == "name"]
        name = next((n for n in names if n not in ("async", "function", "class")), "")
        self._bind(name, self.opaque(start, "is a function"), start=start)

    def _import(self) -> None:
        start = self.at
        while self.peek().kind not in ("string", "end"):
            self.step_over()
        self.at += self.peek().kind == "string"
        for token in self.tokens[start + 1 : self.at]:
            if token.kind == "name" and token.text not in ("from", "as"):
                self._bind(token.text, self.opaque(start, "comes from another file"), start=start)

    # --- assignments and exports

    def _target(self) -> list[str] | None:
        """``a.b.c`` when the statement assigns to it; steps past the ``=``."""
        names = [self.peek().text] if self.peek().kind == "name" else []
        ahead = 1
        while names and self.is_operator(".", ahead=ahead):
            names.append(self.peek(ahead + 1).text)
            ahead += 2
        ours = names[:1] == ["exports"] or names[:2] == ["module", "exports"] or len(names) == 1
        if not ours or not self.is_operator("=", ahead=ahead):
            return None
        self.at += ahead + 1
        return names

    def _assign(self, target: list[str]) -> None:
        while (further := self._target()) is not None:
            target = further  # exports = module.exports = …
        start = self.at
        value = self.value()
        self._end_of_statement()
        keys = target[2:] if target[0] == "module" else target[1:]
        if target[0] not in ("module", "exports"):
            self._bind(target[0], value, start=start)
        elif len(keys) == 1:
            self.found.exports[keys[0]] = value
        elif not keys and isinstance(value, dict):
            self.found.exports = dict(value)
        else:
            self._note(start)

    def _export(self) -> None:
        start = self.at
        self.at += 1
        if self.peek().text in _DECLARING:
            for name in self._declaration():
                self.found.exports[name] = self.scope[name]
        elif self.peek().text == "default":
            self.at += 1
            value = self.value()
            self._end_of_statement()
            self.found.exports.update(value if isinstance(value, dict) else {"default": value})
        elif self.is_operator("{"):
            self._export_list()
        elif self.peek().text in ("function", "async", "class"):
            self._function()
        else:
            self.at = start
            self._pass_over()

    def _export_list(self) -> None:
        """``export {a, b as c}``."""
        end = self.pairs[self.at]
        words: list[str] = []
        while self.at < end:
            self.at += 1
            if self.peek().kind == "name":
                words.append(self.peek().text)
            elif words:
                unknown = self.opaque(self.at - 1, f"refers to {words[0]}, which is not known here")
                self.found.exports[words[-1]] = self.scope.get(words[0], unknown)
                words = []
        self.at = end + 1

    # --- what is passed over

    def _pass_over(self) -> None:
        """Step over one statement and list it; values set inside it are not followed."""
        start = self.at
        while self.peek().text in _CONTROL and self.peek().kind == "name":
            self.at += 1
            if self.is_operator("("):
                self.step_over()
            if self.peek().kind == "name" and self.peek().text in _CONTROL:
                continue
            if self.is_operator("{"):
                self.step_over()
            else:
                self._simple_statement()
            if self.peek().text not in _FURTHER:
                break
        else:
            self._simple_statement()
        self._note(start)

    def _simple_statement(self) -> None:
        before = self.at
        if self.is_operator("{"):
            self.step_over()
        else:
            self.skip_expression()
            while self.accept(","):
                self.skip_expression()
            self.accept(";")
        if self.at == before and self.peek().kind != "end":
            self.at += 1

    def _note(self, start: int) -> None:
        line = self.source.line(self.tokens[start].start)
        self.found.passed_over.append(Statement(line=line, text=self.shown(start)))

    def _end_of_statement(self) -> None:
        token = self.peek()
        if not self.accept(";") and token.kind != "end" and not token.after_newline:
            raise self.source.error(token.start, f"';' expected, not {token.text[:40]!r}")
