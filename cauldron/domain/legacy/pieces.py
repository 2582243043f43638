"""Pieces of the earlier system: executions inside a cook, with what was decided about them."""

from typing import Any

from cauldron.domain.legacy import statuses
from cauldron.domain.legacy.mapping import PIECES
from cauldron.domain.legacy.secrets import clean_text
from cauldron.domain.legacy.values import Doc, first, items, part, text_of

MAX_TRAITS = 500


def state_of(doc: Doc, meta: Doc, status: str, notes: list[str]) -> str:
    """The state of a piece: the outcome stood at the top, in the metadata, or both."""
    if status != "success":
        return "failed"
    outcome = first(doc, "reviewOutcome")
    if outcome is None and (outcome := meta.get("reviewOutcome")) is not None:
        notes.append("review.from_metadata")
    cull = first(doc, "cullStatus") or meta.get("cullStatus")
    excluded = doc.get("exportExcluded") is True or meta.get("exportExcluded") is True
    if outcome is not None and statuses.word(outcome) not in statuses.OUTCOME:
        notes.append("review.unknown")
    return statuses.review_state(outcome, cull, excluded=excluded)


def piece_of(output: Doc, meta: Doc, *, state: str, index: int | None) -> tuple[str, Doc]:
    """The piece that an execution made; number and cook are settled with the whole."""
    made = output["outputs"]
    return PIECES, {
        "_id": f"piece-{output['_id']}",
        "schemaVersion": output["schemaVersion"],
        "imported": True,
        "legacyId": output["_id"],
        "cookId": output["cookId"],
        "collectionId": output["collectionId"],
        "owner": output["owner"],
        "visibility": output["visibility"],
        "environment": output["environment"],
        "number": 0,
        "slot": index,
        "state": state,
        "traits": traits_of(meta),
        "attempts": 1,
        "output": next(iter(made.values()), None),
        "outputId": output["_id"],
        "error": output["error"],
        "durationMs": output["durationMs"],
        "costUsd": output["costUsd"],
        "reviewReason": None,
        "reviewedBy": None,
        "createdAt": output["requestTimestamp"],
        "updatedAt": output["responseTimestamp"] or output["requestTimestamp"],
        "seq": 0,
    }


def traits_of(meta: Doc) -> dict[str, Any]:
    """Category → trait, from any of the three places that held them."""
    source = part(meta, "selectedTraits") or part(meta, "traitSel") or part(part(meta, "traits"), "selected")
    if source:
        return _plain(source)
    for listed in (
        items(meta, "appliedTraits"),
        items(meta, "traitDetails"),
        items(part(meta, "traits"), "details"),
    ):
        found = listed_traits(listed)
        if found:
            return found
    return {}


def listed_traits(listed: list[Any]) -> dict[str, Any]:
    """Category → trait of a list of objects."""
    found: dict[str, Any] = {}
    for item in listed[:MAX_TRAITS]:
        if isinstance(item, dict):
            name = text_of(first(item, "category", "type", "trait_type", "name"), longest=200)
            value = first(item, "value", "trait", "name")
            inner = first(value, "name", "value") if isinstance(value, dict) else value
            if name and isinstance(inner, str | int | float):
                found[name] = inner
    return _plain(found)


def _plain(traits: Doc) -> dict[str, Any]:
    """Texts and numbers only: a category called "Secret" is no secret, a key in its value is."""
    return {
        name: clean_text(value) if isinstance(value, str) else value
        for name, value in list(traits.items())[:MAX_TRAITS]
        if isinstance(value, str | int | float)
    }
