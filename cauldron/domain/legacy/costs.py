"""Money of the earlier system in whole micro-USD, out of five encodings.

A number, text, an exact decimal, ``{"$number…": text}`` of an export, or nothing:
what cannot be read is unknown, never zero.
"""

from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, NamedTuple

MICRO = 1_000_000
MOST_USD = 1_000_000  # one execution; more is a mistake
EXPORTED = ("$numberDecimal", "$numberDouble", "$numberInt", "$numberLong")
ENCODINGS = ("absent", "number", "decimal", "text", "unreadable", "negative", "excessive")
LONGEST = 64  # characters of a number
_EXACT = Context(prec=60)


class Cost(NamedTuple):
    """``micro_usd`` None: not known. ``encoding`` names how it was written."""

    micro_usd: int | None
    encoding: str  # one of ENCODINGS


ABSENT = Cost(None, "absent")
UNREADABLE = Cost(None, "unreadable")


def parse_cost(value: Any) -> Cost:
    """The cost that ``value`` spells, rounded half-even to the micro-dollar. Never raises."""
    if value is None:
        return ABSENT
    if isinstance(value, dict):
        key = next(iter(value), None)
        text = value.get(key) if key in EXPORTED and len(value) == 1 else None
        return _parsed(text, "decimal") if isinstance(text, str) else UNREADABLE
    if isinstance(value, str):
        return _parsed(value.strip().removeprefix("$"), "text")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return UNREADABLE
    if isinstance(value, int) and abs(value) > MOST_USD:
        return Cost(None, "excessive" if value > 0 else "negative")
    return _parsed(repr(value), "number")


@lru_cache(maxsize=4096)
def _parsed(text: str, encoding: str) -> Cost:
    if len(text) > LONGEST:
        return UNREADABLE
    try:
        amount = Decimal(text)
    except InvalidOperation:
        return UNREADABLE
    if not amount.is_finite():
        return UNREADABLE
    if amount < 0:
        return Cost(None, "negative")
    if amount > MOST_USD:
        return Cost(None, "excessive")
    micro = _EXACT.multiply(amount, Decimal(MICRO)).to_integral_value(ROUND_HALF_EVEN)
    return Cost(int(micro), encoding)
