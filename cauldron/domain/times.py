"""Instants as integer milliseconds since 1970 UTC, and as ISO 8601 text in records."""

from datetime import UTC, datetime
from functools import lru_cache


@lru_cache(maxsize=256)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def iso(ms: int) -> str:
    """``1767225600123`` as ``2026-01-01T00:00:00.123Z``: fixed width, so it sorts as text."""
    return f"{_second(ms // 1000)}.{ms % 1000:03d}Z"


def from_iso(text: str) -> int:
    """Milliseconds of :func:`iso` text. Raises ValueError when it is not ISO 8601."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)
