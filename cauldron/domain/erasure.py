"""What is left of records and events once personal data are erased: the books, and ids.

Names, prompts, inputs, outputs, media, reasons and addresses go. Costs, points,
counts, durations, instants, states, tools, hashes of nothing personal, and ids stay.
Erasing twice gives the same as erasing once.
"""

from collections.abc import Callable, Mapping
from typing import Any

from cauldron.domain import codec

Doc = dict[str, Any]
ERASED = "erased"
STEP_KEPT = frozenset({
    "step", "toolId", "toolVersion", "toolDisplayName", "status", "startMs", "endMs", "costMicroUsd",
    "costSource", "cached", "attempt",
})  # fmt: skip


def redacted_commit(commit: Mapping[str, Any], *, at: int) -> Doc:
    """A stored commit without personal data, in its stored form; ``at`` (ms) is noted once.

    Its id, stream, number, command keys, instant, types of events and everything that
    counters are folded from are kept. Folding it gives the same state, plan blobs aside.
    """
    whole = codec.unpack({key: value for key, value in commit.items() if key != "_v"})
    events = [event | {"data": _event_data(event["type"], event["data"])} for event in whole["events"]]
    return codec.pack({**whole, "events": events, "erasedAt": commit.get("erasedAt", at)})


def _event_data(kind: str, data: Mapping[str, Any]) -> Doc:
    kept = {key: value for key, value in data.items() if key not in _DROPPED.get(kind, ())}
    for key, replaced in _REPLACED.get(kind, {}).items():
        if key in kept:
            kept[key] = replaced(kept[key])
    return kept


def _error(error: Any) -> Any:
    """Its code stays, its message may quote what was asked for."""
    return {"code": str(error.get("code", "error")), "message": ERASED} if isinstance(error, dict) else None


def _steps(steps: Any) -> list[Doc]:
    return [
        {key: value for key, value in step.items() if key in STEP_KEPT}
        | {"inputs": {}, "outputs": {}}
        | ({"error": _error(step["error"])} if step.get("error") else {})
        for step in steps
    ]


def _nothing(_: Any) -> None:
    return None


def _blank(_: Any) -> str:
    return ""


def _empty(_: Any) -> Doc:
    return {}


_PIECE: Mapping[str, Callable[[Any], Any]] = {"steps": _steps, "output": _nothing, "error": _error}
_CAST_END: Mapping[str, Callable[[Any], Any]] = {"steps": _steps, "outputs": _empty, "error": _error}
_REPLACED: Mapping[str, Mapping[str, Callable[[Any], Any]]] = {
    "CookStarted": {"plan": _blank, "configHash": _blank, "seed": _blank},
    "PiecesQueued": {"plan": _blank},
    "PieceGenerated": _PIECE,
    "GenerationFailed": _PIECE,
    "CookExported": {"baseUri": _blank},
    "CastStarted": {"spellName": _blank, "configHash": _blank, "inputs": _empty},
    "CastStepSubmitted": {"runId": _blank},
    "CastStepEnded": {"steps": _steps},
    "CastCompleted": _CAST_END,
    "CastFailed": _CAST_END,
    "CastCancelled": _CAST_END,
}
_DROPPED: Mapping[str, frozenset[str]] = {
    "CookStarted": frozenset({"callbackUrl"}),
    "CastStarted": frozenset({"callbackUrl"}),
    "PiecesReviewed": frozenset({"reason"}),
    "CookPaused": frozenset({"detail"}),
    "CookResumed": frozenset({"reason"}),
    "CookStopped": frozenset({"reason"}),
    "CookFailed": frozenset({"detail"}),
}

_RECORD: Mapping[str, Mapping[str, Callable[[Any], Any]]] = {
    "generationOutputs": {
        "inputs": _empty,
        "outputs": _empty,
        "error": _error,
        "externalRunId": _nothing,
        "deliveryError": _nothing,
        "cacheKey": _nothing,
    },
    "pieces": {"traits": _empty, "output": _nothing, "error": _error, "reviewReason": _nothing},
    "cooks": {"configHash": _blank, "seed": _blank},
    "cook_status": {"pauseDetail": _nothing},
    "casts": {"spellName": _blank, "configHash": _blank, "outputs": _empty, "error": _error},
    "exports": {"to": _blank, "baseUri": _blank, "skipped": lambda _: []},
}


def redacted_record(table: str, doc: Mapping[str, Any]) -> Doc:
    """A record that no stream stands behind, without personal data."""
    rules = _RECORD[table]
    kept = {key: rules[key](value) if key in rules else value for key, value in doc.items()}
    if table == "generationOutputs" and kept.get("statusReason") and kept["status"] != "success":
        kept["statusReason"] = (kept.get("error") or {}).get("code")
    kept = {key: value for key, value in kept.items() if key not in ("_v", "legacy")}
    return kept | {"legacy": {}} if "legacy" in doc else kept


def collection_tombstone(doc: Mapping[str, Any], *, at: str) -> Doc:
    """What is left of a collection: that it was there, whose it was, and how large."""
    kept = ("_id", "schemaVersion", "owner", "visibility", "environment", "supply", "createdAt")
    return {key: doc[key] for key in kept} | {
        "slug": f"{ERASED}-{doc['_id']}",
        "name": "",
        "version": "",
        "contentHash": "",
        "definition": {},
        "updatedAt": at,
        "erasedAt": doc.get("erasedAt", at),
        **{key: doc[key] for key in ("imported", "legacyId", "seq") if key in doc},
    }
