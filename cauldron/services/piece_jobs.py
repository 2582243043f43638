"""Jobs of pieces: the document that is queued for one, and the command that reports its end."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from cauldron.domain.budget import room
from cauldron.domain.codec import MAX_BYTES
from cauldron.domain.commands import FailCook, PauseCook, RecordPiece
from cauldron.domain.cook_charge import hold_room
from cauldron.domain.cook_state import QUEUED, Cook
from cauldron.domain.status import piece_id
from cauldron.ports.storage import Doc

# Failures that are not the piece's: it is made later, and the cook rests for this reason.
BLOCKING = {
    "tool_unavailable": "tool_unavailable",
    "storage_full": "disk_full",
    "snapshot_missing": "snapshot_missing",
}
BYTES_PER_JOB = 300  # in a commit, beside its result


def record_of(job: Doc) -> RecordPiece:
    """The command that reports a settled job; its key is the job's, whatever the attempt."""
    result: Mapping[str, Any] = job["result"]
    ok = result["status"] == "success"
    steps = list(job.get("history") or ()) + list(result.get("steps") or ())
    return RecordPiece(
        key=f"gen:{job['_id']}",
        piece=job["piece"],
        attempt=job["attempt"],
        steps=steps,
        output=result.get("output") if ok else None,
        error=None if ok else result.get("error") or {"code": "error", "message": "it failed"},
        duration_ms=result.get("durationMs", 0),
        cost_micro_usd=sum(step["costMicroUsd"] for step in steps),
    )


def job_document(cook: Cook, number: int, *, rank: int, now: int) -> Doc:
    """The job that makes piece ``number``: it names plan and snapshot, and holds no copy of them."""
    started, slot = cook.started, cook.slot_of[number - 1]
    plan, plan_hash = cook.plan_of(number)
    return {
        "_id": piece_id(started["cookId"], number),
        "status": "queued",
        "parent": started["cookId"],
        "cookId": started["cookId"],
        "collectionId": started["collectionId"],
        "userId": started["owner"],
        "environment": started["environment"],
        "spellIdOrToolId": started["generator"]["id"],
        "configHash": started["configHash"],
        "traitSelection": {"plan": plan, "planHash": plan_hash, "slot": slot},
        "userContext": {"notificationPlatform": started["notificationPlatform"]},
        "piece": number,
        "rank": rank,
        "attempt": 1,
        "attempts": cook.attempts,
        "deliveries": 0,
        "createdAt": now,
        "updatedAt": now,
    }


def within_one_commit(settled: Sequence[Doc]) -> list[Doc]:
    """As many jobs as fit one commit by size; at least one."""
    if _bytes_of(settled) <= MAX_BYTES:
        return list(settled)
    size, batch = 0, list[Doc]()
    for job in settled:
        size += _bytes_of([job])
        if batch and size > MAX_BYTES:
            break
        batch.append(job)
    return batch


def _bytes_of(settled: Sequence[Doc]) -> int:
    told = [(job["result"], job.get("history")) for job in settled]
    return BYTES_PER_JOB * len(settled) + len(orjson.dumps(told))


def ends_of(batch: Sequence[Doc]) -> list[tuple[str, bool]]:
    """``(id, succeeded)`` of settled jobs."""
    return [(job["_id"], job["result"]["status"] == "success") for job in batch]


def error_code(job: Doc) -> str:
    """Why a settled job failed; empty when it did not."""
    return str(((job["result"] or {}).get("error") or {}).get("code", ""))


def reaction(job: Doc) -> PauseCook | FailCook:
    """What a cook does when ``job`` reports one of :data:`BLOCKING`; a new command at every try."""
    code, message = error_code(job), str(job["result"]["error"].get("message", ""))
    key = f"{code}:{job['_id']}:{job['deliveries']}"
    if code == "snapshot_missing":
        return FailCook(key=key, reason=code, detail=message)
    return PauseCook(key=key, reason=BLOCKING[code], detail=message)


def unmade_below(cook: Cook, number: int) -> int:
    """Pieces up to ``number`` that are queued or running."""
    return cook.piece_state.count(QUEUED, 0, number)


def affordable(cook: Cook, in_flight: int) -> int:
    """How many more pieces the cook's budget and hold have room for, beside those queued or running."""
    rooms = [hold_room(cook, in_flight=in_flight)]
    rooms += [] if cook.spending is None else [room(cook.spending, in_flight=in_flight)]
    return min((each for each in rooms if each is not None), default=cook.pieces)


def next_pieces(cook: Cook, after: int, limit: int) -> list[int]:
    """Numbers past ``after`` of at most ``limit`` pieces still to make, ascending."""
    found: list[int] = []
    position = cook.piece_state.find(QUEUED, after)
    while position >= 0 and len(found) < limit:
        found.append(position + 1)
        position = cook.piece_state.find(QUEUED, position + 1)
    return found
