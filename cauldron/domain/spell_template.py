"""Text with placeholders: ``{{input.name}}`` and ``{{step.id.output}}``.

One pass from left to right: what a placeholder brings in is never read again.
``\\{{`` is a literal ``{{``.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from cauldron.domain.errors import Invalid

TOKEN = re.compile(r"(?P<escaped>\\\{\{)|\{\{(?P<name>[^{}]{0,200})\}\}|(?P<open>\{\{)")
INPUT_NAME = re.compile(r"input\.([A-Za-z][A-Za-z0-9_-]*)")
STEP_NAME = re.compile(r"step\.([a-z][a-z0-9_-]*)(?:\.([A-Za-z][A-Za-z0-9_-]*))?")


@dataclass(frozen=True, slots=True)
class InputName:
    """``{{input.<input>}}``"""

    input: str


@dataclass(frozen=True, slots=True)
class StepName:
    """``{{step.<step>.<output>}}``; the output may be left out where there is only one."""

    step: str
    output: str | None


Name = InputName | StepName


@lru_cache(maxsize=1024)
def pieces_of(text: str) -> tuple[str | Name, ...]:
    """``text`` cut into literal text and placeholders, in order.

    Raises:
        Invalid: a ``{{`` that opens no well-formed placeholder.
    """
    pieces: list[str | Name] = []
    end = 0
    for match in TOKEN.finditer(text):
        pieces.append(text[end : match.start()])
        pieces.append("{{" if match["escaped"] else _name(match))
        end = match.end()
    pieces.append(text[end:])
    return tuple(piece for piece in pieces if piece != "")


def _name(match: re.Match[str]) -> Name:
    inside = (match["name"] or "").strip()
    if found := INPUT_NAME.fullmatch(inside):
        return InputName(found[1])
    if found := STEP_NAME.fullmatch(inside):
        return StepName(found[1], found[2])
    place = f"at character {match.start() + 1}"
    if match["open"]:
        raise Invalid(rf"has a {{{{ without its }}}} {place}; write \{{{{ for the characters themselves")
    raise Invalid(
        f"has {{{{{inside}}}}} {place}; a placeholder is {{{{input.name}}}} or {{{{step.id.output}}}}"
    )


def names_in(text: str) -> tuple[Name, ...]:
    """The placeholders of ``text``, in order. Raises Invalid as :func:`pieces_of` does."""
    return tuple(piece for piece in pieces_of(text) if not isinstance(piece, str))


def render(text: str, value_of: Callable[[Name], Any]) -> str:
    """``text`` with every placeholder replaced by ``value_of`` it, as text.

    Nothing (None) becomes empty text, true and false are written so, whole
    numbers in decimal, other numbers in their shortest exact form.

    Raises:
        Invalid: a value that has no text form (a list, an object, a medium).
    """
    return "".join(
        piece if isinstance(piece, str) else as_text(value_of(piece), name=piece) for piece in pieces_of(text)
    )


def as_text(value: Any, *, name: Name) -> str:
    """``value`` as a template writes it; ``name`` is for the message only."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, int | float):
        return str(value)
    raise Invalid(f"{spelled(name)} is {type(value).__name__}, which has no text form")


def spelled(name: Name) -> str:
    """The placeholder as it is written, without braces: ``step.sky.text``."""
    if isinstance(name, InputName):
        return f"input.{name.input}"
    return f"step.{name.step}" + (f".{name.output}" if name.output else "")
