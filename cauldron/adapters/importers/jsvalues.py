"""JavaScript values as Python holds them, and the operators on those that are known."""

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

MAX_STRING_CHARS = 100_000
EXACT_INTEGER = 2**53  # beyond it a JavaScript number is not exact
RANKS = {"??": 1, "||": 1, "&&": 2, "===": 3, "!==": 3, "==": 3, "!=": 3, "<": 4, "<=": 4, ">": 4, ">=": 4}
RANKS |= {"+": 5, "-": 5, "*": 6, "/": 6, "%": 6, "**": 7}
_INHERITED = frozenset({"constructor", "toString", "toLocaleString", "valueOf", "hasOwnProperty"})
_INHERITED |= {"isPrototypeOf", "propertyIsEnumerable", "__proto__"}


class Unread(Exception):
    """A value cannot be known without running the program; the reader makes it Opaque."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opaque:
    """A value that is not known without running code.

    ``line`` is 1-based; ``text`` its first characters; ``result`` what a
    function without parameters returns, where that is known.
    """

    reason: str
    line: int
    text: str
    result: Any = None


JsValue: TypeAlias = bool | int | float | str | list["JsValue"] | dict[str, "JsValue"] | Opaque | None


def plain_number(value: float) -> int | float | None:
    """A JavaScript number as int where it is whole and exact; None when not finite."""
    if not math.isfinite(value):
        return None
    return int(value) if value.is_integer() and abs(value) <= EXACT_INTEGER else value


def finite(value: float | None) -> JsValue:
    """``value`` as a number. Raises Unread when it is not finite."""
    number = None if value is None else plain_number(float(value))
    if number is None:
        raise Unread("is no finite number")
    return number


def truthy(value: JsValue) -> bool:
    """Whether JavaScript takes ``value`` for true; every list and object is."""
    if isinstance(value, Opaque):
        raise Unread(value.reason)
    return isinstance(value, list | dict) or bool(value)


def text_of(value: JsValue) -> str:
    """``value`` as JavaScript writes it into a string."""
    if isinstance(value, Opaque):
        raise Unread(value.reason)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float) and 1e-4 <= abs(value) < 1e16:
        return repr(value)
    raise Unread("puts something that is no plain text into text")


def joined(left: JsValue, right: JsValue) -> str:
    """Two values written one after the other, at most 100,000 characters."""
    text = text_of(left) + text_of(right)
    if len(text) > MAX_STRING_CHARS:
        raise Unread(f"is text of more than {MAX_STRING_CHARS} characters")
    return text


def unary(sign: str, value: JsValue) -> JsValue:
    """``-``, ``+``, ``!`` or ``void`` on a known value."""
    if sign == "void":
        return None
    if sign == "!":
        return not truthy(value)
    number = _number(value)
    return finite(-number if sign == "-" else number)


def binary(operator: str, left: JsValue, right: JsValue) -> JsValue:
    """``left operator right`` for known values. Raises Unread for any others."""
    for side in (left, right):
        if isinstance(side, Opaque):
            raise Unread(side.reason)
    if operator == "??":
        return right if left is None else left
    if operator in ("||", "&&"):
        return right if truthy(left) == (operator == "&&") else left
    if operator in ("===", "!==", "==", "!="):
        return _equal(left, right, strict=len(operator) == 3) == (operator[0] == "=")
    if operator == "+" and (isinstance(left, str) or isinstance(right, str)):
        return joined(left, right)
    a, b = _number(left), _number(right)
    if operator in ("<", "<=", ">", ">="):
        return {"<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}[operator]
    return finite(_arithmetic(operator, a, b))


def _arithmetic(operator: str, a: float, b: float) -> float:
    try:
        match operator:
            case "+":
                return a + b
            case "-":
                return a - b
            case "*":
                return a * b
            case "/":
                return a / b
            case "%":
                return math.fmod(a, b)
        return math.pow(a, b)
    except (ArithmeticError, ValueError):
        return math.nan


def _number(value: JsValue) -> float:
    if isinstance(value, Opaque):
        raise Unread(value.reason)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unread("calculates with something that is no number")
    return float(value)


def _equal(left: JsValue, right: JsValue, *, strict: bool) -> bool:
    plain = (str, bool, int, float)
    if left is None or right is None:
        return left is right
    if not isinstance(left, plain) or not isinstance(right, plain):
        raise Unread("compares lists or objects")
    kinds = [isinstance(side, str) * 2 + isinstance(side, bool) for side in (left, right)]
    if kinds[0] != kinds[1] and not strict:
        raise Unread("compares values of different types")
    return kinds[0] == kinds[1] and left == right


def member(value: JsValue, key: JsValue) -> JsValue:
    """``value[key]`` for a known list, object or string; what is absent is None."""
    if isinstance(value, Opaque):
        raise Unread(value.reason)
    if isinstance(value, str | list) and key == "length":
        return len(value)
    if isinstance(value, str | list) and isinstance(key, int) and not isinstance(key, bool):
        return value[key] if 0 <= key < len(value) else None
    if isinstance(value, dict) and isinstance(key, str | int) and not isinstance(key, bool):
        if str(key) in value:
            return value[str(key)]
        if str(key) not in _INHERITED:
            return None
    raise Unread(f"uses .{key}" if isinstance(key, str) and len(key) < 40 else "uses an unknown member")
