"""Casts of the earlier system: the document, what its executions add up to, or only the latter."""

from typing import Any

from cauldron.domain.legacy import statuses
from cauldron.domain.legacy.costs import parse_cost
from cauldron.domain.legacy.mapping import (
    CASTS,
    DAY_MS,
    Later,
    Mapped,
    SetAside,
    Setting,
    cleaned,
    note_owner,
    record_of,
)
from cauldron.domain.legacy.outputs import NEVER_STORED
from cauldron.domain.legacy.tallies import FIRST_PAGE, Tally, cast_cost
from cauldron.domain.legacy.values import Doc, born_ms, first, id_of, id_text, items, ms_of, rest_of, text_of
from cauldron.domain.times import iso

CARRIED = frozenset({
    "_id", "castId", "spellId", "initiatorAccountId", "status", "stepGenerationIds", "generationIds",
    "costUsd", "startedAt", "updatedAt", "completedAt", "failedAt", "failureReason", "schemaVersion",
})  # fmt: skip
STALE = {"code": "stale_at_migration", "message": "it was left running; nothing of it is run again"}


def map_cast(doc: Doc, tally: Tally | None, setting: Setting) -> Mapped:
    """The record of a cast.

    Raises:
        SetAside: no usable id, or an unknown status.
        Later: it has been running for less than a day.
    """
    cast_id = id_of(doc, "_id", "castId")
    if cast_id is None:
        raise SetAside("no_id", "the cast has no id that could be kept")
    notes: list[str] = []
    said = statuses.word(doc.get("status"))
    status = statuses.CAST.get(said)
    if status is None:
        raise SetAside("unknown_status", "the status is none that is known")
    started = ms_of(doc.get("startedAt")) or born_ms(cast_id) or 0
    ended, error = _end(doc, status, notes)
    if status == "running":
        if setting.now_ms - max(started, ms_of(doc.get("updatedAt")) or 0) < DAY_MS:
            raise Later
        notes.append("cast.stale")
        status, error, ended = "failed", STALE, ms_of(doc.get("updatedAt")) or started
    owner = setting.owner(first(doc, "initiatorAccountId"))
    note_owner(owner, notes)
    ids = generation_ids(doc, notes)
    record = cast_record(
        cast_id, setting, owner=owner, spell_id=id_of(doc, "spellId"), status=status, started_ms=started,
        ended_ms=ended, error=cleaned(error, notes), ids=ids or (tally["ids"] if tally else []),
        count=max(len(ids), tally["count"] if tally else 0), tally=tally,
    )  # fmt: skip
    record["costUsd"] = _cost(doc, tally, notes) / 1_000_000
    record["legacy"] = _legacy(doc, said, status, notes)
    return Mapped([(CASTS, record)], notes)


def _end(doc: Doc, status: str, notes: list[str]) -> tuple[int | None, Doc | None]:
    ended = ms_of(first(doc, "completedAt", "failedAt"))
    if status in ("completed", "cancelled"):
        if ended is None:
            notes.append("time.end_from_update")
        return ended if ended is not None else ms_of(doc.get("updatedAt")), None
    reason = text_of(doc.get("failureReason")) or "the earlier system gave no reason"
    return ended if ended is not None else ms_of(doc.get("updatedAt")), {"code": "failed", "message": reason}


def _cost(doc: Doc, tally: Tally | None, notes: list[str]) -> int:
    """What its executions cost, each counted once; without any, what the document says."""
    said = parse_cost(doc.get("costUsd"))
    if tally is None or not tally["count"]:
        notes.append("cast.without_outputs")
        return said.micro_usd or 0
    summed = cast_cost(tally)
    if said.micro_usd is not None and said.micro_usd != summed:
        notes.append("cast.cost_recounted")
    return summed


def _legacy(doc: Doc, said: str, status: str, notes: list[str]) -> Doc:
    kept = rest_of(doc, CARRIED)
    if doc.get("costUsd") is not None:
        kept["costUsd"] = doc["costUsd"]
    if said != status:
        kept["status"] = said
    if doc.get("updatedAt") is not None:
        kept["updatedAt"] = doc["updatedAt"]
    return dict(cleaned(kept, notes))


def generation_ids(doc: Doc, notes: list[str]) -> list[str]:
    """The ids of its executions, each once; ids that never named one are left out."""
    raw = items(doc, "stepGenerationIds") or items(doc, "generationIds")
    found = [text for text in (id_text(item) for item in raw) if text is not None]
    real = [text for text in dict.fromkeys(found) if text not in NEVER_STORED]
    if len(real) < len(set(found)):
        notes.append("ids.never_stored")
    if len(set(found)) < len(raw):
        notes.append("ids.doubled")
    return real


def cast_record(
    cast_id: str,
    setting: Setting,
    *,
    owner: str,
    spell_id: str | None,
    status: str,
    started_ms: int,
    ended_ms: int | None,
    error: Any,
    ids: list[str],
    count: int,
    tally: Tally | None,
) -> Doc:
    """The fields of a cast's record."""
    return record_of(
        cast_id,
        setting,
        owner=owner,
        spellId=spell_id,
        spellName=None,
        version=None,
        configHash=None,
        initiatorAccountId=owner,
        payerAccountId=owner,
        cookId=tally["cook"] if tally else None,
        pieceId=None,
        status=status,
        startedAt=iso(started_ms),
        completedAt=None if ended_ms is None else iso(ended_ms),
        generationIds=ids[:FIRST_PAGE],
        generationCount=count,
        outputs={},
        error=error,
        costUsd=cast_cost(tally) / 1_000_000 if tally else 0.0,
        pointsSpent=tally["points"] if tally else 0,
        creditTxId=None,
    )


def cast_from_outputs(cast_id: str, tally: Tally, setting: Setting) -> Mapped:
    """The record of a cast that had no document: only its executions name it."""
    ok = bool(tally["ok"])
    error = None if ok else {"code": "no_document", "message": "rebuilt from its executions; none ended it"}
    record = cast_record(
        cast_id, setting, owner=tally["owner"], spell_id=tally["spell"],
        status="completed" if ok else "failed", started_ms=tally["first"],
        ended_ms=tally["last"] or None, error=error, ids=tally["ids"], count=tally["count"], tally=tally,
    )  # fmt: skip
    return Mapped([(CASTS, record | {"legacy": {}})], ["cast.rebuilt_from_outputs"])
