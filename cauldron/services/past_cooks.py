"""Cooks that ended well, as runs that the next one is estimated from."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from cauldron.domain.codec import commit_id
from cauldron.domain.estimate import MOST_PAST, Run, run_of
from cauldron.domain.times import from_iso
from cauldron.persistence.tables import COOK_EVENTS
from cauldron.ports.storage import Doc, Store
from cauldron.services.projecting import stream_of

ENDED_WELL = ("Completed", "Exported")
LOOKED_AT = 100  # earlier cooks, of which those with the same generator count
SAMPLE = 25  # pieces of one cook, the first ones
NAMES = ("usd", "seconds", "elapsed")


class PastCook(NamedTuple):
    """One cook, per piece: USD, seconds of work, seconds that passed."""

    usd: Run
    seconds: Run
    elapsed: Run


async def past_cooks(store: Store, *, owner: str, generator: Mapping[str, Any]) -> list[PastCook]:
    """The owner's cooks with the same generator, newest first, at most twenty.

    Totals are exact; the spread within a cook is that of its first pieces.
    """
    where, order = {"owner": owner}, ("owner", "-startedAt")
    earlier = await store.find("cooks", where, order=order, limit=LOOKED_AT)
    mine = [doc for doc in earlier if doc["status"] in ENDED_WELL and doc.get("generator") == generator]
    mine = [doc for doc in mine if doc["generationCount"]][:MOST_PAST]
    if not mine:
        return []
    ids = [doc["_id"] for doc in mine]
    counted = await store.get("cook_status", ids)
    begun = await store.get(COOK_EVENTS, [commit_id(stream_of(cook_id), 1) for cook_id in ids])
    return [
        await _past(store, doc, status, _foretold(first))
        for doc, status, first in zip(mine, counted, begun, strict=True)
        if status is not None
    ]


async def _past(store: Store, doc: Doc, status: Doc, foretold: Mapping[str, Any]) -> PastCook:
    where = {"cookId": doc["_id"]}
    pieces = await store.find("pieces", where, order=("cookId", "number"), limit=SAMPLE)
    made = [piece for piece in pieces if piece["state"] != "failed"]
    count = int(doc["generationCount"])
    work_s = [piece["durationMs"] / 1000 for piece in made if piece.get("durationMs") is not None]
    return PastCook(
        usd=_run([piece["costUsd"] for piece in made], status["costUsd"], count, foretold.get("usd")),
        seconds=_run(work_s, status["durationMs"] / 1000, count, foretold.get("seconds")),
        elapsed=_run([], _elapsed_s(doc), count, foretold.get("elapsed")),
    )


def _run(values: Sequence[float], total: float, count: int, foretold: Sequence[float] | None) -> Run:
    spread = run_of(values, pieces=count) if values else Run(pieces=count, mean=0.0)
    shown = (foretold[0], foretold[1], foretold[2]) if foretold else None
    return Run(pieces=count, mean=total / count, within=spread.within, drift=spread.drift, foretold=shown)


def _elapsed_s(doc: Doc) -> float:
    if not doc.get("completedAt"):
        return 0.0
    return max(0, from_iso(doc["completedAt"]) - from_iso(doc["startedAt"])) / 1000


def _foretold(first: Doc | None) -> Mapping[str, Any]:
    """What was shown before a cook began, per piece: ``{usd: [low, middle, high], …}``."""
    if first is None:
        return {}
    data: Mapping[str, Any] = first["events"][0]["data"]
    shown = data.get("estimate") or {}
    return {name: shown[name] for name in NAMES if shown.get(name)}
