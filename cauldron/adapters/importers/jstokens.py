"""Splits JavaScript source into tokens and pairs its brackets; nothing is ever executed.

Covers what configuration files are written with: comments, strings with every
escape, template literals, numbers in all bases, names, operators and regular
expressions. What is no JavaScript at all is one :class:`Invalid` with file and line.
"""

import bisect
import re
from dataclasses import dataclass
from typing import Any

from cauldron.adapters.importers.jsvalues import plain_number
from cauldron.domain.errors import Invalid

MAX_SOURCE_CHARS = 1_000_000
MAX_TOKENS = 200_000
MAX_TEMPLATE_DEPTH = 8
OPEN, CLOSE = "([{", ")]}"

_BLANK = re.compile(r"(?:[ \t\v\f\r\n\u00a0\u2028\u2029\ufeff]+|//[^\r\n\u2028\u2029]*|/\*(?s:.*?)\*/)+")
_NAME = re.compile(r"(?:[^\W\d]|\$)[\w$]*")
_NUMBER = re.compile(
    r"0[xX][0-9a-fA-F_]+n?|0[bB][01_]+n?|0[oO][0-7_]+n?|(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][+-]?\d+)?n?"
)
_OPERATOR = re.compile(
    r">>>=|\.\.\.|===|!==|\*\*=|<<=|>>=|>>>|&&=|\|\|=|\?\?=|=>|==|!=|<=|>=|&&|\|\||\?\?|\?\.(?!\d)|\+\+|--|"
    r"\+=|-=|\*=|/=|%=|&=|\|=|\^=|<<|>>|\*\*|[{}()\[\];,<>+\-*/%&|^!~?:=.]"
)
_REGEX = re.compile(r"/(?:[^/\\\[\r\n]|\\[^\r\n]|\[(?:[^\]\\\r\n]|\\[^\r\n])*\])+/\w*")
_PLAIN = {"'": re.compile(r"[^'\\\r\n]+"), '"': re.compile(r'[^"\\\r\n]+'), "`": re.compile(r"[^`\\$]+")}
_ESCAPE = re.compile(r"\\(?:u\{([0-9a-fA-F]{1,6})\}|u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(\r\n|(?s:.)))")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "0": "\0"}
_LINE_ENDS = ("\n", "\r", "\u2028", "\u2029")
_BEFORE_REGEX = frozenset({"return", "typeof", "case", "in", "of", "void", "delete", "throw", "new"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One token.

    ``kind`` is ``name``, ``number``, ``string``, ``template``, ``regex``,
    ``operator`` or ``end``. ``value`` is the number, the string, or the parts of
    a template: strings and token lists in turn. ``start`` and ``stop`` are
    0-based offsets into the source; ``after_newline`` tells whether a line ended
    between this token and the one before.
    """

    kind: str
    text: str
    start: int
    stop: int
    after_newline: bool = False
    value: Any = None


class Source:
    """A JavaScript text with its name, able to say where an offset lies."""

    def __init__(self, text: str, *, name: str) -> None:
        if len(text) > MAX_SOURCE_CHARS:
            raise Invalid(f"{name}: has {len(text)} characters; {MAX_SOURCE_CHARS} are allowed", source=name)
        self.text = text
        self.name = name
        self._line_ends = [found.start() for found in re.finditer("\n", text)]

    def line(self, offset: int) -> int:
        """The 1-based line of a 0-based offset."""
        return bisect.bisect_left(self._line_ends, offset) + 1

    def error(self, offset: int, reason: str) -> Invalid:
        """The refusal of the text at ``offset``, with file, line and reason."""
        line = self.line(offset)
        return Invalid(f"{self.name}:{line}: {reason}", source=self.name, line=line)


def tokenize(source: Source) -> list[Token]:
    """Every token of ``source``, closed by one of kind ``end``.

    Raises:
        Invalid: an unterminated string, comment or template, a character that
            no JavaScript has, or more than 200,000 tokens.
    """
    start = re.match(r"\ufeff?(?:#![^\n]*)?", source.text)
    return _Scanner(source, offset=start.end() if start else 0).run()


def pair_brackets(source: Source, tokens: list[Token]) -> dict[int, int]:
    """``{index of an opening bracket: index of its closing one}``.

    Raises:
        Invalid: brackets do not match or are never closed.
    """
    pairs: dict[int, int] = {}
    stack: list[int] = []
    for index, token in enumerate(tokens):
        if token.kind != "operator":
            continue
        if token.text in OPEN:
            stack.append(index)
        elif token.text in CLOSE:
            if not stack:
                raise source.error(token.start, f"{token.text!r} closes nothing")
            opened = stack.pop()
            if OPEN.index(tokens[opened].text) != CLOSE.index(token.text):
                raise source.error(token.start, f"{token.text!r} does not close {tokens[opened].text!r}")
            pairs[opened] = index
    if stack:
        raise source.error(tokens[stack[-1]].start, f"{tokens[stack[-1]].text!r} is never closed")
    return pairs


class _Scanner:
    def __init__(self, source: Source, *, offset: int, depth: int = 0) -> None:
        self.source, self.text, self.at, self.depth = source, source.text, offset, depth
        self.tokens: list[Token] = []

    def run(self, *, until_brace: bool = False) -> list[Token]:
        """Tokens up to the end, or up to the ``}`` that ends an interpolation."""
        open_braces = 0
        while True:
            newline = self._skip_blank()
            if self.at >= len(self.text):
                if until_brace:
                    raise self.source.error(len(self.text), "a template's ${ is never closed")
                break
            if len(self.tokens) >= MAX_TOKENS:
                raise self.source.error(self.at, f"more than {MAX_TOKENS} tokens")
            character = self.text[self.at]
            if until_brace and character == "}" and not open_braces:
                break
            open_braces += (character == "{") - (character == "}")
            self._token(character, after_newline=newline)
        self.tokens.append(Token(kind="end", text="", start=self.at, stop=self.at, after_newline=True))
        return self.tokens

    def _skip_blank(self) -> bool:
        """Skip white space and comments; tell whether a line ended in them."""
        blank = _BLANK.match(self.text, self.at)
        if blank is None:
            if self.text.startswith("/*", self.at):
                raise self.source.error(self.at, "a comment is never closed")
            return self.at == 0
        self.at = blank.end()
        if self.text.startswith("/*", self.at):
            raise self.source.error(self.at, "a comment is never closed")
        return any(end in blank[0] for end in _LINE_ENDS)

    def _token(self, character: str, *, after_newline: bool) -> None:
        start = self.at
        kind, value = self._scan(character)
        text = self.text[start : self.at]
        self.tokens.append(
            Token(kind=kind, text=text, start=start, stop=self.at, after_newline=after_newline, value=value)
        )

    def _scan(self, character: str) -> tuple[str, Any]:
        if character in "'\"":
            return "string", self._string(character)
        if character == "`":
            return "template", self._template()
        if (number := _NUMBER.match(self.text, self.at)) is not None:
            self.at = number.end()
            return "number", _number(number[0])
        if (name := _NAME.match(self.text, self.at)) is not None:
            self.at = name.end()
            return "name", None
        if character == "/" and self._regex_allowed():
            return self._take(_REGEX, "regex")
        return self._take(_OPERATOR, "operator")

    def _take(self, pattern: re.Pattern[str], kind: str) -> tuple[str, None]:
        found = pattern.match(self.text, self.at)
        if found is None:
            raise self.source.error(self.at, f"unexpected {self.text[self.at]!r}")
        self.at = found.end()
        return kind, None

    def _regex_allowed(self) -> bool:
        """Whether a ``/`` here begins a regular expression rather than divides."""
        if not self.tokens:
            return True
        last = self.tokens[-1]
        if last.kind == "operator":
            return last.text not in CLOSE
        return last.kind == "name" and last.text in _BEFORE_REGEX

    def _string(self, quote: str) -> str:
        begin = self.at
        self.at += 1
        parts: list[str] = []
        while self.at < len(self.text) and self.text[self.at] not in "\r\n":
            character = self.text[self.at]
            if character == quote:
                self.at += 1
                return _whole_characters("".join(parts))
            parts.append(self._escape() if character == "\\" else self._plain(quote))
        raise self.source.error(begin, "a string is never closed")

    def _plain(self, quote: str) -> str:
        found = _PLAIN[quote].match(self.text, self.at)
        text = found[0] if found else self.text[self.at]
        self.at += len(text)
        return text

    def _escape(self) -> str:
        found = _ESCAPE.match(self.text, self.at)
        if found is None:
            raise self.source.error(self.at, "an escape is cut short")
        digits = found[1] or found[2] or found[3]
        if digits is None and found[4] in ("u", "x"):
            raise self.source.error(self.at, "an escape is malformed")
        if digits is not None and int(digits, 16) > 0x10FFFF:
            raise self.source.error(self.at, "an escape names no character")
        self.at = found.end()
        if digits is not None:
            return chr(int(digits, 16))
        if found[4] == "\r\n" or found[4] in _LINE_ENDS:
            return ""
        return _ESCAPES.get(found[4], found[4])

    def _template(self) -> list[Any]:
        """Strings and token lists in turn, beginning and ending with a string."""
        begin = self.at
        if self.depth >= MAX_TEMPLATE_DEPTH:
            raise self.source.error(begin, f"templates nested deeper than {MAX_TEMPLATE_DEPTH}")
        self.at += 1
        parts: list[Any] = []
        text: list[str] = []
        while self.at < len(self.text):
            character = self.text[self.at]
            if character == "`":
                self.at += 1
                return [*parts, _whole_characters("".join(text))]
            if self.text.startswith("${", self.at):
                parts += [_whole_characters("".join(text)), self._interpolation()]
                text = []
                continue
            text.append(self._escape() if character == "\\" else self._plain("`"))
        raise self.source.error(begin, "a template is never closed")

    def _interpolation(self) -> list[Token]:
        inner = _Scanner(self.source, offset=self.at + 2, depth=self.depth + 1)
        tokens = inner.run(until_brace=True)
        self.at = inner.at + 1
        return tokens


def _whole_characters(text: str) -> str:
    """``text`` with surrogate pairs joined and lone halves replaced by U+FFFD."""
    if not any("\ud800" <= character <= "\udfff" for character in text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _number(text: str) -> int | float | None:
    """The value of a numeric literal; None when it is not a finite number."""
    digits = text.replace("_", "").removesuffix("n")
    bases = {"0x": 16, "0b": 2, "0o": 8}
    base = bases.get(digits[:2].lower())
    try:
        value = float(int(digits[2:], base) if base else digits)
    except (ValueError, OverflowError):
        return None
    return plain_number(value)
