"""Messages about the ends of runs: their form, their signature, and when they are tried again.

The form and the signature follow Standard Webhooks 1.0.0.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

BLOCK_BYTES = 64
MARK = "whsec_"
SECRET_BYTES = 32
RETRY_AFTER_S = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
MOST_OUTPUT_BYTES = 64 * 1024
GONE = 410
CASTS: Mapping[str, str] = {
    "CastCompleted": "cast.completed",
    "CastFailed": "cast.failed",
    "CastCancelled": "cast.cancelled",
}
COOKS: Mapping[str, str] = {
    "CookPaused": "cook.paused",
    "CookCompleted": "cook.completed",
    "CookStopped": "cook.stopped",
    "CookFailed": "cook.failed",
}


def secret_text(random_bytes: bytes) -> str:
    """A signing secret as people keep it."""
    return MARK + base64.b64encode(random_bytes).decode()


def signature(secrets: Sequence[str], *, message_id: str, at_s: int, body: bytes) -> str:
    """The ``webhook-signature`` header: one ``v1,…`` per secret, so that secrets can be changed.

    Args:
        secrets: as :func:`secret_text` writes them.
        at_s: seconds since 1970 UTC, as ``webhook-timestamp`` says.
    """
    signed = f"{message_id}.{at_s}.".encode() + body
    made = (_hmac_sha256(base64.b64decode(s.removeprefix(MARK)), signed) for s in secrets)
    return " ".join(f"v1,{base64.b64encode(each).decode()}" for each in made)


def _hmac_sha256(key: bytes, data: bytes) -> bytes:
    """RFC 2104, from the hash alone."""
    if len(key) > BLOCK_BYTES:
        key = hashlib.sha256(key).digest()
    key = key.ljust(BLOCK_BYTES, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in key) + data).digest()
    return hashlib.sha256(bytes(byte ^ 0x5C for byte in key) + inner).digest()


def retry_after_ms(attempts: int, uniform: float) -> int | None:
    """How long to wait after so many tries, give or take a fifth; None: it is given up."""
    if attempts > len(RETRY_AFTER_S):
        return None
    return int(RETRY_AFTER_S[attempts - 1] * 1000 * (0.8 + 0.4 * uniform))


def cast_message(kind: str, started: Mapping[str, Any], data: Mapping[str, Any], *, at: str) -> bytes:
    """The body of a message about a cast that has ended."""
    outputs = data.get("outputs") or {}
    small = len(orjson.dumps(outputs)) <= MOST_OUTPUT_BYTES
    told = {
        "castId": started["castId"],
        "runId": started["castId"],
        "spellId": started["spellId"],
        "version": started["spellVersion"],
        "status": kind.partition(".")[2],
        "outputs": outputs if small else None,
        "outputsOmitted": not small,
        "error": data.get("error"),
        "costUsd": sum(step["costMicroUsd"] for step in data.get("steps", ())) / 1_000_000,
    }
    return orjson.dumps({"type": kind, "timestamp": at, "data": told})


def cook_message(kind: str, started: Mapping[str, Any], data: Mapping[str, Any], *, at: str) -> bytes:
    """The body of a message about a cook that rests."""
    told = {
        "cookId": started["cookId"],
        "collectionId": started["collectionId"],
        "status": kind.partition(".")[2],
        "amount": started["amount"],
        "reason": data.get("reason"),
        "generated": data.get("generated"),
        "failed": data.get("failed"),
    }
    return orjson.dumps({"type": kind, "timestamp": at, "data": told})
