"""Read models as folds: the status of a cook, its parent record, its pieces."""

from collections.abc import Iterator, Mapping
from typing import Any

from cauldron.domain.budget import burn_down
from cauldron.domain.cook_state import (
    APPROVED,
    CULLED,
    FAILED,
    GENERATED,
    KEPT,
    QUEUED,
    REJECTED,
    Cook,
    State,
)
from cauldron.domain.events import StepRecord
from cauldron.domain.generation import Parents, output_document
from cauldron.domain.times import iso

FIRST_PAGE = 100  # generation ids kept in a parent record; the API pages the rest
RATE_WINDOW_MS = 60_000


def piece_id(cook_id: str, number: int) -> str:
    """The id of a piece: its cook and its number."""
    return f"{cook_id}.{number}"


def output_id(cook_id: str, number: int, attempt: int, step: int) -> str:
    """The id of a generation output of a piece: the same however often it is folded."""
    return f"{cook_id}.{number}.{attempt}.{step}"


def rate_per_s(cook: Cook) -> float:
    """Pieces per second over the last minute of cooking (0 before the first two commits)."""
    if len(cook.recent) < 2:
        return 0.0
    newest_ms, newest = cook.recent[-1]
    oldest_ms, oldest = next((p for p in cook.recent if p[0] >= newest_ms - RATE_WINDOW_MS), cook.recent[0])
    return (newest - oldest) * 1000 / (newest_ms - oldest_ms) if newest_ms > oldest_ms else 0.0


def status_document(cook: Cook, *, seq: int) -> dict[str, Any]:
    """The ``cook_status`` document: counters only, and the ``seq`` they are folded up to.

    ``rate`` is pieces per second, ``eta`` seconds until nothing is queued (null
    when unknown). ``running`` is read from the queue, where leases live.
    """
    started, counts = cook.started, cook.counts
    rate = rate_per_s(cook)
    alive = cook.state is State.COOKING
    approved = counts[APPROVED] + counts[KEPT]
    spending = cook.spending
    budget = None if spending is None else burn_down(spending, made=cook.made)
    return {
        "_id": started["cookId"],
        "schemaVersion": 2,
        "cookId": started["cookId"],
        "collectionId": started["collectionId"],
        "owner": started["owner"],
        "visibility": started["visibility"],
        "environment": started["environment"],
        "state": cook.state.value,
        "pauseReason": cook.pause_reason or None,
        "pauseDetail": cook.pause_detail or None,
        "targetSupply": cook.amount,
        "generationCount": cook.made,
        "lastGenerated": cook.last_generated or None,
        "queued": counts[QUEUED],
        "unreviewed": counts[GENERATED],
        "approved": approved,
        "rejected": counts[REJECTED],
        "failed": counts[FAILED],
        "culled": counts[CULLED],
        "toRefill": cook.missing_slots() if counts[REJECTED] or counts[FAILED] else 0,
        "failuresByCode": dict(cook.failures_by_code),
        "costPts": cook.points_milli / 1000,
        "costUsd": cook.cost_micro_usd / 1_000_000,
        "durationMs": cook.duration_ms,
        "budget": budget,
        **_charge(cook),
        "rate": round(rate, 3),
        "eta": round(counts[QUEUED] / rate, 1) if rate and alive else None,
        "startedAt": iso(cook.first_ms),
        "updatedAt": iso(cook.last_ms),
        "seq": seq,
    }


def _charge(cook: Cook) -> dict[str, Any]:
    """``{charge: …}``: the hold that pays now; nothing for what is free of charge."""
    if not cook.charge:
        return {}
    told = {
        "hold": cook.charge["hold"],
        "account": cook.charge["account"],
        "number": cook.holds,
        "capPts": cook.charge["capMilli"] / 1000,
        "chargedPts": cook.charged_milli / 1000,
        "leftPts": cook.left_milli / 1000,
    }
    return {"charge": told}


def cook_document(cook: Cook, *, seq: int, first_outputs: list[str]) -> dict[str, Any]:
    """The ``cooks`` parent record. ``first_outputs`` is the first page of generation ids."""
    started = cook.started
    ended = cook.state in (State.COMPLETED, State.EXPORTED, State.STOPPED, State.FAILED)
    return {
        "_id": started["cookId"],
        "schemaVersion": 2,
        "collectionId": started["collectionId"],
        "collectionVersion": started["collectionVersion"],
        "initiatorAccountId": started["owner"],
        "owner": started["owner"],
        "visibility": started["visibility"],
        "environment": started["environment"],
        "status": cook.state.value,
        "startedAt": iso(cook.first_ms),
        "completedAt": iso(cook.last_ms) if ended else None,
        "generator": started["generator"],
        "planHash": started["planHash"],
        "configHash": started["configHash"],
        "seed": started["seed"],
        "generationCount": cook.made,
        "generationIds": first_outputs,
        "costUsd": cook.cost_micro_usd / 1_000_000,
        "pointsSpent": cook.points_milli / 1000,
        "seq": seq,
    } | cook.noted.document()


def piece_document(
    cook: Cook, data: Mapping[str, Any], *, traits: Mapping[str, Any], state: str, ts: int, seq: int
) -> dict[str, Any]:
    """The ``pieces`` document at the end of its attempts, from the ending event's ``data``."""
    started, number, instant = cook.started, data["piece"], iso(ts)
    cook_id = started["cookId"]
    return {
        "_id": piece_id(cook_id, number),
        "schemaVersion": 2,
        "cookId": cook_id,
        "collectionId": started["collectionId"],
        "owner": started["owner"],
        "visibility": started["visibility"],
        "environment": started["environment"],
        "number": number,
        "slot": data["slot"],
        "state": state,
        "traits": traits,
        "attempts": data["attempt"],
        "output": data.get("output"),
        "outputId": output_id(cook_id, number, data["attempt"], len(data["steps"]) - 1)
        if data["steps"]
        else None,
        "error": data.get("error"),
        "durationMs": data["durationMs"],
        "costUsd": data["costMicroUsd"] / 1_000_000,
        "reviewReason": None,
        "reviewedBy": None,
        "createdAt": instant,
        "updatedAt": instant,
        "seq": seq,
    }


def parents_of(cook: Cook, number: int, attempt: int) -> Parents:
    """What the executions of one attempt at a piece belong to."""
    started, generator = cook.started, cook.started["generator"]
    is_spell = generator["kind"] == "spell"
    return Parents(
        owner=started["owner"],
        visibility=started["visibility"],
        environment=started["environment"],
        notification_platform=started["notificationPlatform"],
        cook_id=started["cookId"],
        cast_id=f"{started['cookId']}.{number}.{attempt}" if is_spell else None,
        spell_id=generator["id"] if is_spell else None,
        collection_id=started["collectionId"],
        piece_id=piece_id(started["cookId"], number),
        payer=started["charge"]["account"] if started.get("charge") else "",
    )


def output_documents(cook: Cook, data: Mapping[str, Any], *, seq: int) -> Iterator[dict[str, Any]]:
    """The ``generationOutputs`` documents of a piece's steps, earlier attempts included."""
    number = data["piece"]
    steps: list[StepRecord] = data["steps"]
    for index, step in enumerate(steps):
        attempt = step.get("attempt", data["attempt"])
        key = output_id(cook.started["cookId"], number, attempt, index)
        yield output_document(key, step, parents_of(cook, number, attempt), seq=seq)


def inner_cast_documents(
    cook: Cook, data: Mapping[str, Any], *, ts: int, seq: int
) -> Iterator[dict[str, Any]]:
    """The ``casts`` records of a piece whose generator is a spell, one per attempt; none for a tool.

    Every output of the piece names one of them, those of attempts that failed too;
    together they cost what the piece cost.
    """
    if cook.started["generator"]["kind"] != "spell":
        return
    last, number = data["attempt"], data["piece"]
    attempts = [step.get("attempt", last) for step in data["steps"]]
    for attempt in sorted({*attempts, last}):
        own = [index for index, of in enumerate(attempts) if of == attempt]
        steps = [data["steps"][index] for index in own]
        ids = [output_id(cook.started["cookId"], number, attempt, index) for index in own]
        parents, ended = parents_of(cook, number, attempt), attempt == last
        yield {
            "_id": parents.cast_id,
            "schemaVersion": 2,
            "spellId": parents.spell_id,
            "version": cook.started["configHash"],
            "initiatorAccountId": parents.owner,
            "payerAccountId": parents.payer or parents.owner,
            "owner": parents.owner,
            "visibility": parents.visibility,
            "environment": parents.environment,
            "cookId": parents.cook_id,
            "pieceId": parents.piece_id,
            "status": "completed" if ended and "error" not in data else "failed",
            "startedAt": iso(steps[0]["startMs"] if steps else ts),
            "completedAt": iso(ts if ended else steps[-1]["endMs"]),
            "generationIds": ids[:FIRST_PAGE],
            "generationCount": len(ids),
            "costUsd": sum(step["costMicroUsd"] for step in steps) / 1_000_000,
            "pointsSpent": data.get("pointsMilli", 0) / 1000 if ended else 0.0,
            "seq": seq,
        }


def review_changes(data: Mapping[str, Any], *, actor: str, ts: int, seq: int) -> dict[str, Any]:
    """What a decision sets in every ``pieces`` document it concerns."""
    decision = data["decision"]
    return {
        "state": "generated" if decision == "reset" else decision,
        "reviewReason": data.get("reason"),
        "reviewedBy": actor,
        "updatedAt": iso(ts),
        "seq": seq,
    }
