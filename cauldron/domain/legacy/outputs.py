"""One execution of the earlier system as a generation output and, in a cook, as a piece."""

from typing import Any

from cauldron.domain.legacy import statuses
from cauldron.domain.legacy.costs import ENCODINGS, parse_cost
from cauldron.domain.legacy.mapping import (
    DAY_MS,
    FINAL,
    OUTPUTS,
    PLAIN,
    SCHEMA_VERSION,
    STEP,
    Facts,
    Later,
    Mapped,
    SetAside,
    Setting,
    cleaned,
    note_owner,
)
from cauldron.domain.legacy.payloads import outputs_of, read_payload
from cauldron.domain.legacy.pieces import piece_of, state_of
from cauldron.domain.legacy.values import (
    Doc,
    born_ms,
    count_of,
    first,
    id_of,
    id_text,
    iso_of,
    ms_of,
    part,
    stamp_of,
    text_of,
    whole_of,
)

NEVER_STORED = frozenset({"static-image-test"})  # a literal that tests left behind as an id
CARRIED = frozenset({
    "_id", "generationId", "masterAccountId", "toolId", "toolDisplayName", "status", "statusReason",
    "requestTimestamp", "responseTimestamp", "durationMs", "costUsd", "pointsSpent", "protocolNetPoints",
    "requestPayload", "responsePayload", "outputs", "artifactUrls", "notificationPlatform", "deliveryStatus",
    "deliveryTimestamp", "deliveryAttempts", "deliveryError", "deliveryStrategy", "spellId", "castId",
    "spellCastId", "cookId", "cookExecutionId", "collectionId", "reviewOutcome", "cullStatus",
    "exportExcluded", "metadata", "schemaVersion", "errorDetails",
})  # fmt: skip
META_CARRIED = frozenset({
    "castId", "spellCastId", "cookId", "cookExecutionId", "collectionId", "jobId", "pieceIndex", "stepIndex",
    "run_id", "reviewOutcome", "cullStatus", "exportExcluded", "error", "selectedTraits", "spellId",
})  # fmt: skip
COST_NOTES = {word: f"cost.{word}" for word in ENCODINGS}
COPIES = frozenset({"spell", "pipelineContext", "originalContext"})  # whole documents inside a document
DOUBLES = frozenset({"traitSel", "traits", "traitDetails"})  # the traits a second and third time

DROPPED = COPIES | DOUBLES


def map_output(doc: Doc, setting: Setting) -> Mapped:
    """The record of one execution.

    Raises:
        SetAside: it has no usable id, or a status that nobody knows.
        Later: the earlier system is still working on it.
    """
    output_id = id_of(doc, "_id", "generationId")
    if output_id is None or output_id in NEVER_STORED:
        raise SetAside("no_id", "the document has no id that could be kept")
    notes: list[str] = []
    get = doc.get
    meta = part(doc, "metadata")
    status, legacy_status = _status(get("status"), notes)
    start, end = _instants(doc, output_id, notes)
    if status in statuses.UNFINISHED:
        status = _closed(start, setting, notes)
    cast_id, cook_id, row, place = _links(doc, meta, notes)
    cost = parse_cost(get("costUsd"))
    notes.append(COST_NOTES[cost.encoding])
    owner = setting.owner(get("masterAccountId"))
    note_owner(owner, notes)
    tool_id, tool_name = _tool(doc, setting, notes)
    record = _identity(output_id, owner, setting) | _times(doc, start, end, notes)
    record |= {
        "toolId": tool_id,
        "toolVersion": "",
        "toolDisplayName": tool_name,
        "status": status,
        "statusReason": (text_of(doc["statusReason"]) or None) if "statusReason" in doc else None,
        "error": None if status == "success" else _error(doc, meta, status, notes),
        "externalRunId": text_of(get("platformSpecificRunId") or meta.get("run_id"), longest=200) or None,
        "costUsd": (cost.micro_usd or 0) / 1_000_000,
        "costSource": "unknown" if cost.micro_usd is None else "reported",
        **_delivery(doc, start, setting, notes),
        "castId": cast_id,
        "cookId": cook_id,
        "spellId": id_text(get("spellId") or meta.get("spellId")),
        "collectionId": id_text(get("collectionId") or meta.get("collectionId")),
        "pieceId": None,
        "step": _step(meta),
        "inputs": cleaned(part(doc, "requestPayload"), notes),
        "outputs": _outputs(doc, status, notes),
        "legacy": _legacy(doc, meta, notes, status=legacy_status, unread=cost.encoding),
    }
    role = _role(doc, meta)
    made = role != STEP and (cook_id is not None or row is not None or meta.get("source") == "cook")
    state = state_of(doc, meta, status, notes) if made else ""
    records = [(OUTPUTS, record)]
    if state:
        records.append(piece_of(record, meta, state=state, index=place))
    facts = Facts(
        role, cast_id, cook_id, row, place, state, status, cost.micro_usd, start, record["durationMs"] or 0,
        record["pointsSpent"], owner, record["spellId"], record["collectionId"],
    )  # fmt: skip
    return Mapped(records, notes, facts)


def _identity(output_id: str, owner: str, setting: Setting) -> Doc:
    return {
        "_id": output_id,
        "schemaVersion": SCHEMA_VERSION,
        "imported": True,
        "legacyId": output_id,
        "owner": owner,
        "visibility": "private",
        "environment": setting.environment,
        "attempt": 1,
        "cached": False,
        "seq": 0,
    }


def _times(doc: Doc, start: int, end: int | None, notes: list[str]) -> Doc:
    """Instants and counts that say how it went."""
    get = doc.get
    return {
        "requestTimestamp": stamp_of(get("requestTimestamp"), start),
        "responseTimestamp": None if end is None else stamp_of(get("responseTimestamp"), end),
        "durationMs": _duration(doc, start, end, notes),
        "webhookReceivedAt": None,
        "pointsSpent": count_of(get("pointsSpent")),
        "protocolNetPoints": (whole_of(doc["protocolNetPoints"]) or 0) if "protocolNetPoints" in doc else 0,
    }


def _status(raw: Any, notes: list[str]) -> tuple[str, str | None]:
    """Our status, and theirs where it said more."""
    said = raw if isinstance(raw, str) and raw in statuses.OUTPUT else statuses.word(raw)
    status = statuses.OUTPUT.get(said)
    if status is None:
        raise SetAside("unknown_status", "the status is none that is known")
    if status == said:
        return status, None
    notes.append("status.alias")
    return status, said


def _closed(start: int, setting: Setting, notes: list[str]) -> str:
    """What ran a day or more ago never ends: time-out. What is younger is left to the next run."""
    if setting.now_ms - start < DAY_MS:
        raise Later
    notes.append("status.stale")
    return "timeout"


def _instants(doc: Doc, output_id: str, notes: list[str]) -> tuple[int, int | None]:
    start, end = ms_of(doc.get("requestTimestamp")), ms_of(doc.get("responseTimestamp"))
    if start is not None:
        return start, end
    born = born_ms(output_id)
    notes.append("time.from_id" if born is not None else "time.missing")
    found = born if born is not None else end
    return (0 if found is None else found), end


def _duration(doc: Doc, start: int, end: int | None, notes: list[str]) -> int | None:
    """Response − request; None, not 0, where clocks disagreed."""
    if end is not None and doc.get("requestTimestamp") is not None:
        if end >= start:
            return end - start
        notes.append("duration.negative")
        return None
    given = whole_of(doc.get("durationMs"))
    if given is not None and given >= 0:
        return given
    notes.append("duration.missing" if given is None else "duration.negative")
    return None


def _tool(doc: Doc, setting: Setting, notes: list[str]) -> tuple[str, str]:
    """(tool id, display name); old names of tools become ours where they are known."""
    tool_id = text_of(doc.get("toolId"), longest=200)
    name = text_of(doc.get("toolDisplayName"), longest=200)
    if not tool_id:
        notes.append("tool.from_service")
        tool_id = text_of(doc.get("serviceName"), longest=200) or "unknown"
    if not name:
        notes.append("tool.name_filled")
        name = setting.tool_names.get(tool_id) or text_of(doc.get("serviceName"), longest=200) or tool_id
    return setting.tool_ids.get(tool_id, tool_id), name


def _error(doc: Doc, meta: Doc, status: str, notes: list[str]) -> Doc:
    """Why it did not succeed, from any of the places that said so."""
    details = part(doc, "errorDetails")
    code = text_of(details.get("errorCode"), longest=80)
    message = (
        text_of(first(meta, "error", "paymentError")) or text_of(details) or text_of(doc.get("statusReason"))
    )
    if not code:
        code = "points_exhausted" if doc.get("status") == "payment_failed" else status
    if status == "timeout" and "status.stale" in notes:
        code, message = (
            "stale_at_migration",
            message or "it was unfinished when it was migrated; never run again",
        )
    return {"code": code, "message": cleaned(message, notes)}


def _delivery(doc: Doc, start: int, setting: Setting, notes: list[str]) -> Doc:
    """How the result was told: what is older than the cut-off is never sent again."""
    platform = statuses.platform_of(doc.get("notificationPlatform"))
    said = statuses.word(doc.get("deliveryStatus"))
    status = statuses.DELIVERY.get(said, "pending")
    if status != "pending":
        if status != said:
            notes.append("delivery.alias")
    elif (
        platform in ("none", "cook")
        or start < setting.cutoff_ms
        or doc.get("deliveryStrategy") == "spell_step"
    ):
        notes.append("delivery.never_sent")
        status = "skipped"
    else:
        notes.append("delivery.still_owed")
    return {
        "notificationPlatform": platform,
        "deliveryStatus": status,
        "deliveryTimestamp": iso_of(doc.get("deliveryTimestamp")),
        "deliveryAttempts": count_of(doc.get("deliveryAttempts")),
        "deliveryError": cleaned(text_of(doc["deliveryError"]), notes) or None
        if "deliveryError" in doc
        else None,
    }


def _links(doc: Doc, meta: Doc, notes: list[str]) -> tuple[str | None, str | None, str | None, int | None]:
    """(cast, cook, row of the old queue, place): from the top, the metadata, or the job's id."""
    cast, cook = id_of(doc, "castId", "spellCastId"), id_of(doc, "cookId", "cookExecutionId")
    if cast is None and (cast := id_of(meta, "castId", "spellCastId")) is not None:
        notes.append("link.cast_from_metadata")
    if cook is None and (cook := id_of(meta, "cookId", "cookExecutionId")) is not None:
        notes.append("link.cook_from_metadata")
    index, row = whole_of(meta.get("pieceIndex")), None
    job = id_text(meta.get("jobId"))
    if job is not None:
        said, place = _parsed_job(job)
        index = place if index is None else index
        if cook is None and said is not None:
            notes.append("link.cook_from_job")
            cook = said
        row = job if said is None else None
    return cast, cook, row, index if index is None or index >= 0 else None


def _parsed_job(job: str) -> tuple[str | None, int | None]:
    """``cook:index`` or ``batch-cook-index``; (None, None) for the id of a row."""
    head, mark, tail = job.rpartition(":")
    if not mark and job.startswith("batch-"):
        head, mark, tail = job.removeprefix("batch-").rpartition("-")
    if not mark or not head or not tail.isdigit() or len(tail) > 9:
        return None, None
    return id_text(head), int(tail)


def _step(meta: Doc) -> str:
    index = whole_of(meta.get("stepIndex"))
    return "tool" if index is None else f"step{index}"


def _outputs(doc: Doc, status: str, notes: list[str]) -> Doc:
    for name in ("responsePayload", "outputs", "artifactUrls"):
        payload = doc.get(name)
        if payload is None:
            continue
        read = read_payload(payload)
        if not read.whole:
            notes.append("payload.partly_read")
        if read.artifacts:
            if name != "responsePayload":
                notes.append(f"payload.from_{name}")
            found: Doc = cleaned(outputs_of(read.artifacts), notes)
            return found
    if status == "success":
        notes.append("asset_missing")
    return {}


def _legacy(doc: Doc, meta: Doc, notes: list[str], *, status: str | None, unread: str) -> Doc:
    """What has no field here: unknown fields, and values that were lost in reading."""
    kept = {key: value for key, value in doc.items() if key not in CARRIED and value is not None}
    inner = {key: value for key, value in meta.items() if key not in META_CARRIED and value is not None}
    if not DROPPED.isdisjoint(inner):
        if not COPIES.isdisjoint(inner):
            notes.append("copy.dropped")
        inner = {k: v for k, v in inner.items() if k not in COPIES and (k not in DOUBLES or _only(k, meta))}
    if inner:
        kept["metadata"] = inner
    if status is not None:
        kept["status"] = status
    if unread in ("unreadable", "negative", "excessive"):
        kept["costUsd"] = doc.get("costUsd")
    if "payload.partly_read" in notes:
        kept["responsePayload"] = first(doc, "responsePayload", "outputs", "artifactUrls")
    for name in ("requestPayload", "metadata"):
        value = doc.get(name)
        if value is not None and not isinstance(value, dict):
            kept[name] = value
    found: Doc = cleaned(kept, notes)
    return found


def _only(name: str, meta: Doc) -> bool:
    """Whether a double of the traits is the only place that has them."""
    return not meta.get("selectedTraits") and not (name == "traitDetails" and meta.get("appliedTraits"))


def _role(doc: Doc, meta: Doc) -> int:
    """A step of a cast, its final with the cast's whole cost, or an execution of its own."""
    strategy, tool_id = doc.get("deliveryStrategy"), doc.get("toolId")
    if strategy == "spell_final" or (isinstance(tool_id, str) and tool_id.startswith("spell-")):
        return FINAL
    return STEP if strategy == "spell_step" or meta.get("stepIndex") is not None else PLAIN
