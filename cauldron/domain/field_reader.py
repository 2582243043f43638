"""Taking an object of a document apart, strictly: every field is asked for once, what is
left over is an unknown key, and all problems are collected with their paths."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cauldron.domain.errors import Problem
from cauldron.domain.json_values import is_unicode, shown

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
MISSING: Any = object()


class FieldReader:
    """Reads one mapping at ``path``; problems are appended to the shared list ``problems``."""

    def __init__(self, raw: Any, path: str, problems: list[Problem]) -> None:
        self.path = path
        self.problems = problems
        self._left: dict[str, Any] = {}
        self._readable = isinstance(raw, Mapping)
        if isinstance(raw, Mapping):
            self._left = {str(key): value for key, value in raw.items()}
        else:
            self.problem("", "wrong_type", f"must be an object, not {shown(raw)}")

    def at(self, name: str) -> str:
        """The path of the field ``name``."""
        return f"{self.path}.{name}" if self.path and name else self.path or name

    def problem(self, name: str, code: str, message: str) -> None:
        """Record what is wrong with the field ``name`` ("" is the object itself)."""
        if code == "missing" and not self._readable:
            return
        self.problems.append(Problem(path=self.at(name) or "document", code=code, message=message))

    def take(self, name: str) -> Any:
        """The raw value of a field, or MISSING."""
        return self._left.pop(name, MISSING)

    def finish(self) -> None:
        """Report every field nobody asked for."""
        for name in self._left:
            self.problem(name, "unknown_key", "no such key")
        self._left = {}

    def text(
        self,
        name: str,
        *,
        default: str | None = "",
        pattern: re.Pattern[str] | None = None,
        longest: int = 200,
        wanted: str = "text",
    ) -> str:
        """A text field; with ``default=None`` it is required and not empty."""
        value = self.take(name)
        if value is MISSING:
            if default is None:
                self.problem(name, "missing", "is required")
            return default or ""
        problem = _text_problem(value, pattern, longest=longest, wanted=wanted)
        if problem is None and default is None and not value.strip():
            problem = ("missing", "must not be empty")
        if problem is not None:
            self.problem(name, *problem)
            return default or ""
        return str(value)

    def flag(self, name: str, *, default: bool) -> bool:
        """A field that is true or false."""
        value = self.take(name)
        if value is MISSING:
            return default
        if not isinstance(value, bool):
            self.problem(name, "wrong_type", f"must be true or false, not {shown(value)}")
            return default
        return value

    def number(self, name: str, *, low: float | None = None, high: float | None = None) -> float | None:
        """A number field within inclusive bounds; None when absent or wrong."""
        value = self.take(name)
        if value is MISSING or value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.problem(name, "wrong_type", f"must be a number, not {shown(value)}")
            return None
        if not (low is None or value >= low) or not (high is None or value <= high):
            bounds = f"from {low} to {high}" if high is not None else f"at least {low}"
            self.problem(name, "out_of_range", f"must be {bounds}, not {shown(value)}")
            return None
        return value

    def whole(
        self, name: str, *, low: int | None = None, high: int | None = None, default: int | None = None
    ) -> int | None:
        """A whole-number field within inclusive bounds; ``default`` when absent or wrong."""
        value = self.number(name, low=low, high=high)
        if isinstance(value, float):
            self.problem(name, "wrong_type", f"must be a whole number, not {value}")
            return default
        return default if value is None else value

    def choice(self, name: str, choices: Sequence[str], *, default: str | None) -> str:
        """A field that is one of ``choices``; with ``default=None`` it is required."""
        value = self.take(name)
        if value is MISSING and default is not None:
            return default
        if value is MISSING:
            self.problem(name, "missing", f"is required: one of {', '.join(choices)}")
        elif not isinstance(value, str) or value not in choices:
            message = f"must be one of {', '.join(choices)}, not {shown(value)}"
            self.problem(name, "not_a_choice", message)
        else:
            return value
        return default or choices[0]

    def items(self, name: str, *, most: int) -> Iterator[tuple[str, Any]]:
        """``(path, item)`` of a list field; nothing when it is absent or wrong."""
        value = self.take(name)
        if value is MISSING:
            return
        if not isinstance(value, list | tuple):
            self.problem(name, "wrong_type", f"must be a list, not {shown(value)}")
        elif len(value) > most:
            self.problem(name, "too_many", f"has {len(value)} entries, {most} allowed")
        else:
            for index, item in enumerate(value):
                yield f"{self.at(name)}[{index}]", item


def _text_problem(
    value: Any, pattern: re.Pattern[str] | None, *, longest: int, wanted: str
) -> tuple[str, str] | None:
    if not isinstance(value, str):
        return "wrong_type", f"must be {wanted}, not {shown(value)}"
    if len(value) > longest:
        return "too_long", f"has {len(value)} characters, {longest} allowed"
    if CONTROL.search(value) or not is_unicode(value):
        return "control_character", f"has a control character or unpaired surrogate: {shown(value)}"
    if pattern is not None and pattern.fullmatch(value) is None:
        return "malformed", f"must be {wanted}, not {shown(value)}"
    return None
