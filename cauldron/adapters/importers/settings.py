"""Typed reading of a foreign configuration object that notices every key nobody asked for."""

import math
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from cauldron.adapters.importers.findings import Notes
from cauldron.adapters.importers.jsvalues import Opaque

_KINDS = {
    "text": "text",
    "number": "a number",
    "flag": "true or false",
    "object": "an object",
    "list": "a list",
}


class Settings:
    """An object of settings at ``place``; what cannot be read becomes a note and the default."""

    def __init__(self, values: Mapping[str, Any], *, place: str, notes: Notes) -> None:
        self._values = values
        self._asked: set[str] = set()
        self.place = place
        self.notes = notes

    def where(self, key: str) -> str:
        """The place of ``key``, for messages."""
        joint = "" if not self.place or self.place.endswith(": ") else "."
        return f"{self.place}{joint}{key}"

    def has(self, key: str) -> bool:
        """Whether ``key`` is set to something."""
        return self._values.get(key) is not None

    def raw(self, key: str) -> Any:
        """The value as it was read, functions and unknown ones included."""
        self._asked.add(key)
        return self._values.get(key)

    def text(self, key: str, default: str = "") -> str:
        """A text, or the default."""
        value = self._typed(key, "text", str)
        return default if value is None else str(value)

    def number(self, key: str, default: float | None = None) -> float | None:
        """A finite number, or the default."""
        value = self._typed(key, "number", int | float)
        return default if value is None else value

    def whole(self, key: str, *, low: int, high: int) -> int | None:
        """A whole number within bounds, or None."""
        value = self.number(key)
        if value is None or (value == int(value) and low <= value <= high):
            return None if value is None else int(value)
        self.note(key, f"must be a whole number from {low} to {high}, not {value}")
        return None

    def flag(self, key: str) -> bool:
        """A truth value; absent is False."""
        return bool(self._typed(key, "flag", bool))

    def object(self, key: str) -> "Settings":
        """A nested object; empty when it is absent."""
        value = self._typed(key, "object", dict)
        return Settings(value or {}, place=self.where(key), notes=self.notes)

    def objects(self, key: str) -> Iterator["Settings"]:
        """The objects of a list; items that are none become notes."""
        for index, item in enumerate(self._typed(key, "list", list) or ()):
            place = f"{self.where(key)}[{index}]"
            if isinstance(item, dict):
                yield Settings(item, place=place, notes=self.notes)
            else:
                self.notes.add(place, _reason(item, "object"))

    def named_lists(self, key: str) -> Iterator[tuple[str, list[str]]]:
        """The entries of an object whose values are lists of texts."""
        inside = self.object(key)
        for name in inside.keys:
            items = inside._typed(name, "list", list) or []
            for index, item in enumerate(items):
                if not isinstance(item, str):
                    self.notes.add(f"{inside.where(name)}[{index}]", _reason(item, "text"))
            yield name, [item for item in items if isinstance(item, str)]

    @property
    def keys(self) -> list[str]:
        """Every key, in the order written."""
        return list(self._values)

    def note(self, key: str, reason: str) -> None:
        """Note that ``key`` was left out or changed."""
        self.notes.add(self.where(key), reason)

    def finish(self, without_effect: Collection[str] = ()) -> None:
        """Note every key that was never asked for and is not known to be without effect."""
        for key, value in self._values.items():
            if key not in self._asked and key not in without_effect:
                known = value.reason if isinstance(value, Opaque) else "is not a setting known here"
                self.note(key, known + _line(value))

    def _typed(self, key: str, kind: str, wanted: Any) -> Any:
        value = self.raw(key)
        if value is None:
            if key in self._values:
                self.note(key, "is null or undefined, so it has no effect")
            return None
        ok = isinstance(value, wanted) and (kind == "flag" or not isinstance(value, bool))
        if ok and not (isinstance(value, float) and not math.isfinite(value)):
            return value
        self.note(key, _reason(value, kind))
        return None


def _reason(value: Any, kind: str) -> str:
    if isinstance(value, Opaque):
        return value.reason + _line(value)
    return f"must be {_KINDS[kind]}, not {str(value)[:40]!r}"


def _line(value: Any) -> str:
    return f" (line {value.line}: {value.text})" if isinstance(value, Opaque) else ""
