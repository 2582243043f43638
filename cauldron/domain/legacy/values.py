"""Single values of the earlier system: ids, instants, whole numbers, texts.

Every document arrives as plain JSON, whatever it was read from: object ids as 24
hex digits, dates as :func:`cauldron.domain.times.iso` text, exact decimals as
``{"$numberDecimal": text}``. A field that is null is a field that is absent.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from cauldron.domain.times import iso

OBJECT_ID = re.compile(r"[0-9a-f]{24}")
ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
EPOCH_2000_MS = 946_684_800_000  # smaller numbers are seconds
LAST_MS = 253_402_300_799_999  # the end of the year 9999
MOST_DIGITS = 40
MAX_ID = 200  # characters
NO_OWNER = "unowned"
Doc = dict[str, Any]


def id_text(value: Any) -> str | None:
    """An id as text: object ids and uuids in lower case, numbers in decimal; None for what is no id."""
    if value is None:
        return None
    if isinstance(value, str):
        if len(value) == 24 and value.isalnum() and value.islower():
            return value
        text = value.strip()
        if not text or len(text) > MAX_ID or not text.isprintable():
            return None
        lower = text.lower()
        return lower if OBJECT_ID.fullmatch(lower) or len(lower) == 36 else text
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    whole = whole_of(value)
    return None if whole is None else str(whole)


def id_of(doc: Mapping[str, Any], *names: str) -> str | None:
    """The first of these fields that holds an id."""
    for name in names:
        value = doc.get(name)
        if value is not None and (found := id_text(value)) is not None:
            return found
    return None


def ms_of(value: Any) -> int | None:
    """An instant in milliseconds: from ISO text, epoch milliseconds or seconds; None for anything else."""
    if isinstance(value, str):
        return _ms_of_text(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    whole = whole_of(value)
    if whole is None:
        return None
    ms = whole if whole >= EPOCH_2000_MS else whole * 1000
    return ms if 0 < ms <= LAST_MS else None


def _ms_of_text(text: str) -> int | None:
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return ms_of(int(text)) if text.isascii() and text.isdigit() and len(text) < 20 else None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    try:
        ms = round(when.timestamp() * 1000)
    except (OverflowError, ValueError):
        return None
    return ms if 0 < ms <= LAST_MS else None


def stamp_of(value: Any, ms: int) -> str:
    """The text of an instant read by :func:`ms_of`: as it stands when it is written our way."""
    if (
        isinstance(value, str)
        and len(value) == 24
        and value[23] == "Z"
        and value[10] == "T"
        and value[19] == "."
    ):
        return value
    return iso(ms)


def iso_of(value: Any) -> str | None:
    """An instant as our ISO text, or None."""
    if value is None:
        return None
    ms = ms_of(value)
    return None if ms is None else iso(ms)


def born_ms(object_id: str) -> int | None:
    """The instant inside an object id (to the second), or None."""
    if not OBJECT_ID.fullmatch(object_id):
        return None
    ms = int(object_id[:8], 16) * 1000
    return ms if ms > EPOCH_2000_MS else None


def whole_of(value: Any) -> int | None:
    """A whole number, also from a float or digits in text; None when it is none of these."""
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else None
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < 2**63 else None
    if isinstance(value, str):
        text = value.strip()
        plain = text.isascii() and text.lstrip("-").isdigit() and len(text) < MOST_DIGITS
        return whole_of(int(text)) if plain and text.count("-") <= 1 else None
    return None


def count_of(value: Any, *, default: int = 0) -> int:
    """A whole number that is not negative, else ``default``."""
    if value is None:
        return default
    whole = whole_of(value)
    return whole if whole is not None and whole >= 0 else default


def text_of(value: Any, *, longest: int = 2000) -> str:
    """A text for a reason or name: text as it is, an error object's message, else nothing."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value[:longest]
    if isinstance(value, dict):
        for key in ("message", "errorMessage", "error", "detail", "reason", "code"):
            inner = value.get(key)
            if inner is not None and (found := text_of(inner, longest=longest)):
                return found
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)[:longest]
    return ""


def first(doc: Mapping[str, Any], *names: str) -> Any:
    """The first of these fields that is not null."""
    for name in names:
        value = doc.get(name)
        if value is not None:
            return value
    return None


def part(doc: Mapping[str, Any], name: str) -> Doc:
    """A nested object; empty when it is absent or something else."""
    value = doc.get(name)
    return value if isinstance(value, dict) else {}


def items(doc: Mapping[str, Any], name: str) -> list[Any]:
    """A nested list; empty when it is absent or something else."""
    value = doc.get(name)
    return value if isinstance(value, list) else []


def rest_of(doc: Mapping[str, Any], known: Iterable[str]) -> Doc:
    """What is not null and nobody asked for."""
    return {key: value for key, value in doc.items() if key not in known and value is not None}


def owner_of(value: Any) -> str:
    """The account behind an owner's id.

    Object ids and names stay, wallet addresses become lower case, numeric chat ids
    become ``telegram:<id>``; ``unowned`` when there is none.
    """
    if isinstance(value, str):
        found = id_text(value)
        if found is None:
            return NO_OWNER
        if len(found) == 24 and not found.isdigit():
            return found
        if ADDRESS.fullmatch(found):
            return found.lower()
        return f"telegram:{found}" if found.isdigit() and len(found) < 20 else found
    whole = whole_of(value)
    return NO_OWNER if whole is None else f"telegram:{whole}"
