"""Before 2025: ``studio`` pieces, ``gallery`` collections, and ``global_status`` with what was cooking."""

from typing import Any

from cauldron.domain.legacy import statuses
from cauldron.domain.legacy.mapping import (
    OUTPUTS,
    PLAIN,
    Facts,
    Mapped,
    SetAside,
    Setting,
    cleaned,
    note_owner,
    record_of,
)
from cauldron.domain.legacy.payloads import outputs_of, read_payload
from cauldron.domain.legacy.pieces import listed_traits, piece_of
from cauldron.domain.legacy.values import (
    Doc,
    born_ms,
    count_of,
    first,
    id_of,
    items,
    ms_of,
    part,
    rest_of,
    text_of,
    whole_of,
)
from cauldron.domain.times import iso

STUDIO_CARRIED = frozenset({
    "_id", "collectionId", "userId", "status", "files", "prompt", "traits", "workflow", "generation",
    "createdAt", "statusUpdatedAt",
})  # fmt: skip

TOLD: Doc = {  # they were shown in the chat as they came
    "notificationPlatform": "telegram",
    "deliveryStatus": "skipped",
    "deliveryTimestamp": None,
    "deliveryAttempts": 0,
    "deliveryError": None,
}


def studio_cook(collection_id: str) -> str:
    """The id of the cook that the studio's pieces of a collection belong to: there were no others."""
    return f"studio-{collection_id}"


def map_studio(doc: Doc, setting: Setting) -> Mapped:
    """A studio piece: an execution and the piece it made.

    Raises:
        SetAside: no usable id or collection, or an unknown status.
    """
    piece_id, collection = id_of(doc, "_id"), id_of(doc, "collectionId")
    if piece_id is None or collection is None:
        raise SetAside("no_id", "the piece has no id, or no collection")
    state = statuses.OUTCOME.get(statuses.word(doc.get("status")))
    if state is None:
        raise SetAside("unknown_status", "the status is none that is known")
    notes = ["cost.absent"]
    owner = setting.owner(doc.get("userId"))
    note_owner(owner, notes)
    made = part(doc, "generation")
    start = ms_of(first(made, "timestamp")) or ms_of(doc.get("createdAt")) or born_ms(piece_id) or 0
    duration = whole_of(made.get("duration"))
    record = _execution(doc, piece_id, setting, owner=owner, start=start, duration=duration, notes=notes)
    records = [(OUTPUTS, record), piece_of(record, {}, state=state, index=None)]
    records[1][1].update(_decided(doc), traits=studio_traits(doc.get("traits")))
    facts = Facts(
        PLAIN, None, studio_cook(collection), None, None, state, "success", None, start,
        record["durationMs"] or 0, 0, owner, None, collection,
    )  # fmt: skip
    return Mapped(records, notes, facts)


def _execution(
    doc: Doc,
    piece_id: str,
    setting: Setting,
    *,
    owner: str,
    start: int,
    duration: int | None,
    notes: list[str],
) -> Doc:
    artifacts = read_payload(doc.get("files")).artifacts
    if not artifacts:
        notes.append("asset_missing")
    lasted = duration if duration is not None and duration >= 0 else None
    workflow = text_of(doc.get("workflow"), longest=120) or "workflow"
    inputs = {"prompt": doc.get("prompt"), **rest_of(part(doc, "generation"), ("timestamp", "duration"))}
    return record_of(
        piece_id,
        setting,
        owner=owner,
        toolId=setting.tool_ids.get(workflow, workflow),
        toolVersion="",
        toolDisplayName=setting.tool_names.get(workflow, workflow),
        status="success",
        statusReason=None,
        error=None,
        requestTimestamp=iso(start),
        responseTimestamp=None if lasted is None else iso(start + lasted),
        durationMs=lasted,
        webhookReceivedAt=None,
        externalRunId=None,
        costUsd=0.0,
        costSource="unknown",
        pointsSpent=0,
        protocolNetPoints=0,
        **TOLD,
        castId=None,
        cookId=studio_cook(id_of(doc, "collectionId") or ""),
        spellId=None,
        collectionId=id_of(doc, "collectionId"),
        pieceId=None,
        step="tool",
        attempt=1,
        inputs=cleaned({k: v for k, v in inputs.items() if v is not None}, notes),
        outputs=cleaned(outputs_of(artifacts), notes),
        cached=False,
        legacy=dict(cleaned(_rest(doc), notes)),
    )


def _rest(doc: Doc) -> Doc:
    """The status stays beside ours: five words became four."""
    return {**rest_of(doc, STUDIO_CARRIED), "status": doc.get("status")}


def _decided(doc: Doc) -> Doc:
    """When it was decided on, and the token number an export gave it: numbers are kept."""
    found: Doc = {}
    updated = ms_of(doc.get("statusUpdatedAt"))
    if updated is not None:
        found["updatedAt"] = iso(updated)
    token = whole_of(first(part(doc, "export"), "number"))
    token = whole_of(doc.get("assignedNumber")) if token is None else token
    if token is not None:
        found["token"] = token
    return found


def studio_traits(raw: Any) -> dict[str, Any]:
    """Category → trait of a piece: a list of ``{type, value: {name}}``, or a mapping."""
    if isinstance(raw, list):
        return listed_traits(raw)
    if not isinstance(raw, dict):
        return {}
    return listed_traits([{"type": name, "value": value} for name, value in raw.items()])


def gallery_collection(doc: Doc) -> Doc:
    """A ``gallery`` document in the shape of a later collection: one mapper reads both."""
    if id_of(doc, "collectionId") is None:
        raise SetAside("no_id", "the gallery document has no collection id")
    return {**doc, "createdAt": first(doc, "createdAt", "initiated")}


def cooking_entries(doc: Doc) -> list[Doc]:
    """What was cooking: the entries of a ``global_status`` document."""
    return [entry for entry in items(doc, "cooking") if isinstance(entry, dict)]


def paused_cook(entry: Doc, setting: Setting) -> Doc:
    """What is known of a cook that was cooking or paused: ``{id, collection, owner, target, at, end, made}``.

    Raises:
        SetAside: it names no collection.
    """
    collection = id_of(entry, "collectionId")
    if collection is None:
        raise SetAside("no_id", "the entry names no collection")
    resume = part(entry, "resumeData")
    return {
        "id": studio_cook(collection),
        "collection": collection,
        "owner": setting.owner(entry.get("userId")),
        "target": count_of(first(entry, "targetSupply") or resume.get("targetSupply"), default=5),
        "made": count_of(first(entry, "generationCount") or resume.get("generationCount")),
        "at": ms_of(entry.get("startedAt")) or 0,
        "end": ms_of(first(entry, "pausedAt", "lastGenerated", "startedAt")) or 0,
    }
