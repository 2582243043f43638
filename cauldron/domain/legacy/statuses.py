"""The words of the earlier system for statuses, outcomes, platforms and visibility, in ours."""

from collections.abc import Mapping
from typing import Any

OUTPUT: Mapping[str, str] = {
    "success": "success",
    "succeeded": "success",
    "completed": "success",
    "complete": "success",
    "done": "success",
    "failed": "failed",
    "failure": "failed",
    "error": "failed",
    "payment_failed": "failed",
    "cancelled": "cancelled",
    "canceled": "cancelled",
    "cancelled_by_user": "cancelled",
    "timeout": "timeout",
    "timed_out": "timeout",
    "pending": "pending",
    "queued": "pending",
    "processing": "processing",
    "running": "processing",
    "in_progress": "processing",
}
UNFINISHED = frozenset({"pending", "processing"})

CAST: Mapping[str, str] = {
    "running": "running",
    "pending": "running",
    "completed": "completed",
    "success": "completed",
    "failed": "failed",
    "error": "failed",
    "cancelled": "cancelled",
    "cancelled_by_user": "cancelled",
}
COOK: Mapping[str, str] = {
    "running": "running",
    "cooking": "running",
    "active": "running",
    "paused": "paused",
    "stopped": "Stopped",
    "cancelled": "Stopped",
    "completed": "Completed",
    "success": "Completed",
    "failed": "Failed",
}
DELIVERY: Mapping[str, str] = {
    "sent": "sent",
    "delivered": "sent",
    "dropped": "dropped",
    "failed": "dropped",
    "skipped": "skipped",
    "none": "skipped",
    "migrated": "skipped",
    "processing": "pending",
    "pending": "pending",
}
COOK_PLATFORMS = frozenset({"cook", "cook-orchestrator", "cook-embedded", "cook-worker"})
OUTCOME: Mapping[str, str] = {
    "accepted": "approved",
    "approved": "approved",
    "rejected": "rejected",
    "culled": "culled",
    "keep": "kept",
    "kept": "kept",
    "exclude": "culled",
    "excluded": "culled",
    "pending_review": "generated",
    "pending": "generated",
    "pending_regeneration": "rejected",
}
VISIBILITY: Mapping[str, str] = {
    "private": "private",
    "unlisted": "unlisted",
    "listed": "public",
    "public": "public",
}
EXPORT: Mapping[str, str] = {
    "completed": "done",
    "completed_with_skips": "done",
    "failed": "failed",
    "cancelled": "cancelled",
    "pending": "failed",
    "running": "failed",
}


def word(value: Any) -> str:
    """A status as one lower-case word; empty for what is no text."""
    return value.strip().lower() if isinstance(value, str) else ""


def platform_of(value: Any) -> str:
    """Where results went: all kinds of cook workers are ``cook``, nothing is ``none``."""
    if value is None:
        return "none"
    name = word(value)
    return "cook" if name in COOK_PLATFORMS else name[:40] or "none"


def visibility_of(doc: Mapping[str, Any]) -> str:
    """Who may see it. What says nothing is private, although the earlier system showed it to all."""
    named = VISIBILITY.get(word(doc.get("visibility")))
    if named is not None:
        return named
    return "public" if doc.get("isPublic") is True else "private"


def review_state(outcome: Any, cull: Any, *, excluded: bool) -> str:
    """The state of a made piece: its review, then the second round among the approved."""
    state = OUTCOME.get(word(outcome), "generated")
    second = OUTCOME.get(word(cull), "")
    if state == "approved" and (excluded or second == "culled"):
        return "culled"
    return "kept" if state == "approved" and second == "kept" else state
