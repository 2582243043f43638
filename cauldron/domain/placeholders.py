"""``[[Category]]`` and ``{{number}}`` inside text: finding, checking and filling them, in one pass.

What a placeholder brings in is never read again. ``\\[[`` and ``\\{{`` are the literal brackets.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

from cauldron.domain.errors import Problem
from cauldron.domain.trait_reading import suggestion

TRAIT = re.compile(r"(?P<escaped>\\\[\[)|\[\[(?P<name>[^\[\]]{1,200})\]\]|(?P<open>\[\[)")
TOKEN = re.compile(
    r"(?P<escaped>\\\[\[|\\\{\{)|\[\[(?P<name>[^\[\]]{1,200})\]\]|\{\{(?P<field>[^{}]{1,80})\}\}"
    r"|(?P<open>\[\[|\{\{)"
)
NAME_SUFFIX = ":name"
ROW_NAMES = ("$seed", "$slot")


@dataclass(frozen=True, slots=True)
class Trait:
    """``[[name]]``: a category, a category's option name, or something of the row itself."""

    name: str


@dataclass(frozen=True, slots=True)
class Field:
    """``{{name}}``: the token's number or the collection's name; only in metadata."""

    name: str


Piece: TypeAlias = str | Trait | Field


@lru_cache(maxsize=4096)
def pieces_of(text: str, *, with_fields: bool = False) -> tuple[Piece, ...]:
    """``text`` cut into literal text and placeholders, in order; an unclosed bracket stays text."""
    pieces: list[Piece] = []
    end = 0
    for match in (TOKEN if with_fields else TRAIT).finditer(text):
        pieces.append(text[end : match.start()])
        pieces.append(_piece(match, with_fields=with_fields))
        end = match.end()
    pieces.append(text[end:])
    return tuple(piece for piece in pieces if piece != "")


def _piece(match: re.Match[str], *, with_fields: bool) -> Piece:
    if match["name"]:
        return Trait(match["name"].strip())
    if with_fields and match["field"]:
        return Field(match["field"].strip())
    return (match["escaped"] or match["open"]).removeprefix("\\")


def whole(text: str) -> Trait | None:
    """The placeholder that is all of ``text``, or None."""
    pieces = pieces_of(text)
    return pieces[0] if len(pieces) == 1 and isinstance(pieces[0], Trait) else None


def render(text: str, *, trait: Callable[[str], str], fields: Mapping[str, str] | None = None) -> str:
    """``text`` with every placeholder replaced by its text; ``{{…}}`` only when ``fields`` are given."""
    filled = []
    for piece in pieces_of(text, with_fields=fields is not None):
        if isinstance(piece, Trait):
            filled.append(trait(piece.name))
        elif isinstance(piece, Field):
            filled.append((fields or {}).get(piece.name, ""))
        else:
            filled.append(piece)
    return "".join(filled)


def category_of(name: str, categories: Sequence[str] | Mapping[str, Any]) -> tuple[str, bool]:
    """The category a placeholder names and whether it wants the option's name (``[[Hat:name]]``)."""
    if name not in categories and name.endswith(NAME_SUFFIX):
        return name.removesuffix(NAME_SUFFIX), True
    return name, False


def check_text(
    text: str, *, path: str, categories: Sequence[str], fields: Sequence[str] | None = None
) -> list[Problem]:
    """Unclosed brackets and placeholders that name nothing."""
    problems = []
    for match in (TRAIT if fields is None else TOKEN).finditer(text):
        if match["open"]:
            message = (
                f"has {match['open']} without its end; write \\{match['open']} for the brackets themselves"
            )
            problems.append(Problem(path=path, code="unclosed_placeholder", message=message))
    for piece in pieces_of(text, with_fields=fields is not None):
        if isinstance(piece, Trait) and piece.name not in ROW_NAMES:
            name, _ = category_of(piece.name, categories)
            if name not in categories:
                hint = suggestion(name, [*categories, *ROW_NAMES])
                message = f"[[{piece.name}]] names no category{hint}"
                problems.append(Problem(path=path, code="unknown_placeholder", message=message))
        elif isinstance(piece, Field) and piece.name not in (fields or ()):
            message = f"{{{{{piece.name}}}}} is not one of {', '.join(fields or ())}"
            problems.append(Problem(path=path, code="unknown_placeholder", message=message))
    return problems


def texts_in(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """``(path, text)`` of every text inside a JSON value; keys are not templates."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from texts_in(item, f"{path}.{key}")
    elif isinstance(value, Sequence):
        for index, item in enumerate(value):
            yield from texts_in(item, f"{path}[{index}]")
