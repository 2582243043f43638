"""Canonical JSON and content hashes: the same value always gives the same hash."""

import hashlib
import json
from typing import Any


def canonical_json(value: Any) -> bytes:
    """``value`` as UTF-8 JSON with sorted keys and no white space.

    Raises:
        ValueError: the value holds NaN or an infinity, which JSON cannot name.
    """
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def content_hash(value: Any) -> str:
    """SHA-256 of :func:`canonical_json` of ``value``, 64 lower-case hex digits."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def seed_from(*parts: str | int) -> int:
    """A 64-bit seed derived from ``parts``; equal parts give equal seeds."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
