"""Which Python values are plain JSON that every store, hash and wire can hold."""

import math
from collections.abc import Iterable
from typing import Any

MAX_DEPTH = 40
CONTAINERS = (dict, list, tuple)
LEAST_INTEGER, GREATEST_INTEGER = -(2**63), 2**64 - 1  # what JSON writers on the hot path can hold


def json_problem(value: Any) -> str | None:
    """Why ``value`` is not plain JSON of bounded depth, or None when it is.

    Refused are NaN and infinities, integers outside 64 bits, unpaired surrogates,
    keys that are not text, other types, and nesting deeper than ``MAX_DEPTH``.
    """
    if not isinstance(value, CONTAINERS):
        return _scalar_problem(value)
    pending = [(value, 1)]
    while pending:
        item, depth = pending.pop()
        if depth > MAX_DEPTH:
            return f"is nested deeper than {MAX_DEPTH}"
        children: Iterable[Any] = item
        scalars: list[Any] = []
        if isinstance(item, dict):
            if not all(isinstance(key, str) for key in item):
                return "has a key that is not text"
            scalars = [key for key in item if not key.isascii()]
            children = item.values()
        for child in children:
            if isinstance(child, CONTAINERS):
                pending.append((child, depth + 1))
            elif not (isinstance(child, str) and child.isascii()):
                scalars.append(child)
        problem = next(filter(None, map(_scalar_problem, scalars)), None)
        if problem is not None:
            return problem
    return None


def _scalar_problem(value: Any) -> str | None:
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, str):
        return None if is_unicode(value) else "has an unpaired surrogate, which is no character"
    if isinstance(value, int):
        inside = LEAST_INTEGER <= value <= GREATEST_INTEGER
        return None if inside else "has a whole number outside 64 bits"
    if isinstance(value, float):
        return None if math.isfinite(value) else f"has {value}, which is no JSON number"
    return f"has a {type(value).__name__}, which is no JSON value"


def is_unicode(text: str) -> bool:
    """Whether ``text`` can be written as UTF-8 (it holds no unpaired surrogates)."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def shown(value: Any, *, limit: int = 60) -> str:
    """``value`` for a message: its ``repr``, cut to ``limit`` characters; never raises."""
    try:
        return f"{value!r:.{limit}}"
    except (ValueError, RecursionError):
        return f"a {type(value).__name__} too large to show"
