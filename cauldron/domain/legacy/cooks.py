"""Cooks of the earlier system, and the events of 2025: records that no stream stands behind."""

from dataclasses import dataclass
from typing import Any

from cauldron.domain.legacy import statuses
from cauldron.domain.legacy.casts import generation_ids
from cauldron.domain.legacy.costs import parse_cost
from cauldron.domain.legacy.mapping import (
    COOKS,
    DAY_MS,
    EVENTS,
    STATUS,
    Later,
    Mapped,
    SetAside,
    Setting,
    cleaned,
    note_owner,
    record_of,
)
from cauldron.domain.legacy.tallies import FIRST_PAGE, Tally, new_cook
from cauldron.domain.legacy.values import (
    Doc,
    born_ms,
    count_of,
    first,
    id_of,
    iso_of,
    items,
    ms_of,
    rest_of,
    text_of,
)
from cauldron.domain.times import iso

CARRIED = frozenset({
    "_id", "cookId", "collectionId", "initiatorAccountId", "targetSupply", "status", "startedAt",
    "completedAt", "generationIds", "events", "schemaVersion",
})  # fmt: skip
EVENT_CARRIED = frozenset({"_id", "type", "collectionId", "userId", "ts", "cookId"})
RESTING = {
    "running": ("stale_at_migration", "it was left running; nothing of it is run again"),
    "paused": ("paused_at_migration", "it was paused; start a new cook of the collection to go on"),
}
ENDS = {"CookCompleted": "Completed", "CookStopped": "Stopped", "CookPaused": "paused"}


def map_cook(doc: Doc, tally: Tally | None, setting: Setting, *, before: Doc | None = None) -> Mapped:
    """The records of a cook: parent, counters, and its events in a table of their own.

    ``before`` is the cook that this one went on with (``{id, run}``): resuming
    made a new document each time. Raises SetAside, Later.
    """
    cook_id = id_of(doc, "_id", "cookId")
    if cook_id is None:
        raise SetAside("no_id", "the cook has no id that could be kept")
    said = statuses.word(doc.get("status")) or "running"
    state = statuses.COOK.get(said)
    if state is None:
        raise SetAside("unknown_status", "the status is none that is known")
    notes: list[str] = []
    started = ms_of(doc.get("startedAt")) or born_ms(cook_id) or 0
    if state == "running" and setting.now_ms - max(started, ms_of(doc.get("updatedAt")) or 0) < DAY_MS:
        raise Later
    reason = detail = None
    if state in RESTING:
        notes.append(f"cook.{state}")
        reason, detail = RESTING[state]
        state = "Stopped"
    owner = setting.owner(first(doc, "initiatorAccountId", "userId"))
    note_owner(owner, notes)
    folded = tally or new_cook()
    known = Known(
        cook_id=cook_id,
        owner=owner,
        collection_id=id_of(doc, "collectionId"),
        state=state,
        reason=reason,
        detail=detail,
        started_ms=started,
        ended_ms=_ended(doc, notes),
        target=count_of(doc.get("targetSupply")),
    )
    records = cook_records(known, folded, setting, ids=generation_ids(doc, notes))
    _recount(doc, folded, notes)
    records[0][1]["legacy"] = _legacy(doc, said, notes)
    if before is not None:
        notes.append("cook.continued")
        records[0][1].update(continues=before["id"], runId=before["run"])
    events = embedded_events(doc, cook_id, setting, notes)
    return Mapped([*records, *events], notes)


def _ended(doc: Doc, notes: list[str]) -> int | None:
    """When it ended: stopped and failed ones never said so, their last change is nearest."""
    ended = ms_of(doc.get("completedAt"))
    if ended is None:
        notes.append("time.end_from_update")
        ended = ms_of(doc.get("updatedAt"))
    return ended


def _recount(doc: Doc, tally: Tally, notes: list[str]) -> None:
    said = parse_cost(doc.get("costUsd"))
    if said.micro_usd is not None and said.micro_usd != tally["cost"]:
        notes.append("cook.cost_recounted")
    if doc.get("generatedCount") is not None and count_of(doc["generatedCount"]) != tally["made"]:
        notes.append("cook.count_recounted")


def _legacy(doc: Doc, said: str, notes: list[str]) -> Doc:
    kept = rest_of(doc, CARRIED)
    return dict(cleaned({**kept, "status": said}, notes))


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of a cook beside its executions."""

    cook_id: str
    owner: str
    collection_id: str | None
    state: str
    reason: str | None = None  # why it rests
    detail: str | None = None
    started_ms: int
    ended_ms: int | None
    target: int = 0  # pieces that were wanted; 0: not known


def cook_records(
    known: Known, tally: Tally, setting: Setting, *, ids: list[str] | None = None
) -> list[tuple[str, Doc]]:
    """The parent record and the counters of a cook."""
    shared = {
        "collectionId": known.collection_id,
        "generationCount": tally["made"],
        "costUsd": tally["cost"] / 1_000_000,
        "startedAt": iso(known.started_ms),
    }
    parent = record_of(
        known.cook_id,
        setting,
        owner=known.owner,
        **shared,
        runId=known.cook_id,
        collectionVersion=None,
        initiatorAccountId=known.owner,
        status=known.state,
        completedAt=None if known.ended_ms is None else iso(known.ended_ms),
        generator={},
        planHash=None,
        configHash=None,
        seed=None,
        generationIds=(ids or tally["ids"])[:FIRST_PAGE],
        pointsSpent=tally["points"],
    )
    return [(COOKS, parent), (STATUS, _counters(known, tally, setting, shared))]


def _counters(known: Known, tally: Tally, setting: Setting, shared: Doc) -> Doc:
    counts = tally["states"]
    ended = known.started_ms if known.ended_ms is None else known.ended_ms
    return record_of(
        known.cook_id,
        setting,
        owner=known.owner,
        **shared,
        cookId=known.cook_id,
        state=known.state,
        pauseReason=known.reason,
        pauseDetail=known.detail,
        targetSupply=known.target or tally["pieces"],
        lastGenerated=tally["lastMade"] or None,
        queued=0,
        unreviewed=counts.get("generated", 0),
        approved=counts.get("approved", 0) + counts.get("kept", 0),
        rejected=counts.get("rejected", 0),
        failed=counts.get("failed", 0),
        culled=counts.get("culled", 0),
        toRefill=0,
        failuresByCode={},
        costPts=tally["points"],
        durationMs=tally["duration"],
        rate=0.0,
        eta=None,
        updatedAt=iso(ended),
    )


def cook_from_outputs(cook_id: str, tally: Tally, setting: Setting, *, ends: Doc | None = None) -> Mapped:
    """The records of a cook that had no document: its executions name it, or the events of 2025."""
    known = ends or {}
    state, reason, detail = known.get("state", ""), None, None
    if state in RESTING:
        reason, detail = RESTING[state]
    elif not state:
        reason, detail = "no_document", "rebuilt from the executions that name it"
    if reason is not None:
        state = "Stopped"
    notes = ["cook.rebuilt_from_events" if ends else "cook.rebuilt_from_outputs"]
    whole = Known(
        cook_id=cook_id,
        owner=known.get("owner") or tally["owner"] or setting.owner(None),
        collection_id=known.get("collection") or tally["collection"],
        state=state,
        reason=reason,
        detail=detail,
        started_ms=known.get("at") or tally["first"],
        ended_ms=known.get("end") or tally["last"] or None,
        target=int(known.get("target") or 0),
    )
    records = cook_records(whole, tally, setting)
    records[0][1]["legacy"] = {}
    return Mapped(records, notes)


def embedded_events(doc: Doc, cook_id: str, setting: Setting, notes: list[str]) -> list[tuple[str, Doc]]:
    """The events inside a cook, a record each: the array had no bound, a document has."""
    found = []
    for number, raw in enumerate(items(doc, "events")):
        event = raw if isinstance(raw, dict) else {"value": raw}
        source = {"collectionId": doc.get("collectionId"), "userId": doc.get("initiatorAccountId"), **event}
        found.append(
            (EVENTS, event_record(f"{cook_id}:{number}", source, setting, cook_id=cook_id, notes=notes))
        )
    return found


def map_event(doc: Doc, setting: Setting, *, cook_id: str | None) -> Mapped:
    """A row of ``cook_events``. Raises SetAside."""
    event_id = id_of(doc, "_id")
    if event_id is None:
        raise SetAside("no_id", "the event has no id that could be kept")
    notes: list[str] = []
    record = event_record(event_id, doc, setting, cook_id=cook_id, notes=notes)
    return Mapped([(EVENTS, record)], notes)


def event_record(event_id: str, doc: Doc, setting: Setting, *, cook_id: str | None, notes: list[str]) -> Doc:
    """An event as history: it is read by people, no state is folded from it."""
    return record_of(
        event_id,
        setting,
        owner=setting.owner(doc.get("userId")),
        cookId=id_of(doc, "cookId") or cook_id,
        collectionId=id_of(doc, "collectionId"),
        type=text_of(doc.get("type"), longest=80) or "unknown",
        at=iso_of(doc.get("ts")),
        data=cleaned(rest_of(doc, EVENT_CARRIED), notes),
    )


def fold_run(runs: list[dict[str, Any]], doc: Doc, setting: Setting) -> None:
    """Fold one event of a collection and user into its runs: a start opens one, an end closes it."""
    kind, at = text_of(doc.get("type"), longest=80), ms_of(doc.get("ts")) or 0
    if kind == "CookStarted":
        cook_id = id_of(doc, "cookId") or f"run-{id_of(doc, '_id') or at}"
        target = count_of(first(doc, "totalSupply", "batchSize"))
        whose = {"owner": setting.owner(doc.get("userId")), "collection": id_of(doc, "collectionId")}
        runs.append({"id": cook_id, "at": at, "end": at, "state": "running", "target": target, **whose})
    elif runs:
        runs[-1]["end"] = max(runs[-1]["end"], at)
        runs[-1]["state"] = ENDS.get(kind, runs[-1]["state"])


def run_at(runs: list[dict[str, Any]], at_ms: int) -> str | None:
    """The cook that an execution of that instant belonged to: the last one started before."""
    found = None
    for run in runs:
        if run["at"] <= at_ms or found is None:
            found = str(run["id"])
    return found
