"""How far a cook or cast is, what it has cost, what is still to come, and what went wrong."""

from collections.abc import Mapping, Sequence
from typing import Any

from cauldron.domain.estimate import Interval, Run, foretell

UNKNOWN = "unknown"  # a cost nobody knows: it counts as missing, not as nothing
LEVEL = 0.8  # of the intervals


def cook_summary(
    status: Mapping[str, Any],
    *,
    sources: Sequence[str] = (),
    own: Sequence[tuple[float, float]] = (),
    past: Sequence[tuple[Run, Run]] = (),
) -> dict[str, Any]:
    """Progress and cost of a cook.

    Args:
        status: what ``cook_status`` holds, ``running`` counted from the queue.
        sources: where the cost figures come from (``reported``, ``tariff``, …).
        own: (seconds, USD) of pieces of this cook, a sample.
        past: (seconds, USD) per piece of ended cooks with the same generator, newest first.
    """
    total = int(status["targetSupply"])
    left = int(status["queued"]) + int(status["running"])
    done = max(0, total - left)
    made = int(status["generationCount"])
    usd = float(status["costUsd"])
    return {
        "cookId": status["cookId"],
        "collectionId": status["collectionId"],
        "state": status["state"],
        "percent": percent(done, total),
        "done": done,
        "total": total,
        "counts": {
            "queued": status["queued"],
            "running": status["running"],
            "unreviewed": status.get("unreviewed", 0),
            "approved": status["approved"],
            "rejected": status["rejected"],
            "failed": status["failed"],
            "culled": status["culled"],
        },
        "cost": {
            "points": status["costPts"],
            "usd": usd,
            "usdPerPiece": round(usd / made, 6) if made else None,
            "sources": sorted(set(sources)),
            "known": bool(sources) and UNKNOWN not in sources,
        },
        "rate": status["rate"],
        "eta": _eta(status, left, own, past),
        "costToCome": interval_document(
            foretell(left, own=[each[1] for each in own], past=[each[1] for each in past]), digits=6
        ),
        "failures": [
            {"code": code, "count": count}
            for code, count in sorted((status.get("failuresByCode") or {}).items(), key=lambda f: (-f[1], f))
        ],
        "startedAt": status["startedAt"],
        "updatedAt": status["updatedAt"],
    }


def _eta(
    status: Mapping[str, Any],
    left: int,
    own: Sequence[tuple[float, float]],
    past: Sequence[tuple[Run, Run]],
) -> dict[str, Any]:
    """Seconds until nothing is queued: work still to do, divided by how much of it is done side by side."""
    seconds = [each[0] for each in own]
    work = foretell(left, own=seconds, past=[each[0] for each in past])
    mean = sum(seconds) / len(seconds) if seconds else 0.0
    side_by_side = float(status["rate"]) * mean
    if status["state"] != "Cooking" or side_by_side <= 0:
        empty = Interval(middle=None, past_runs=work.past_runs, hit_rate=work.hit_rate)
        return interval_document(empty, digits=1)
    return interval_document(work.scaled(1 / side_by_side), digits=1)


def cast_summary(record: Mapping[str, Any], *, sources: Sequence[str] = (), steps: int = 0) -> dict[str, Any]:
    """Progress and cost of a cast from its record; ``steps`` is how many its spell has."""
    ended = record["status"] != "running"
    error = record.get("error")
    return {
        "castId": record["_id"],
        "cookId": record.get("cookId"),
        "spellId": record["spellId"],
        "status": record["status"],
        "percent": 100.0 if ended else percent(int(record["generationCount"]), max(1, steps)),
        "cost": {
            "points": record["pointsSpent"],
            "usd": record["costUsd"],
            "sources": sorted(set(sources)),
            "known": bool(sources) and UNKNOWN not in sources,
        },
        "generationCount": record["generationCount"],
        "failures": [{"code": error.get("code", "error"), "count": 1}] if error else [],
        "startedAt": record["startedAt"],
        "completedAt": record["completedAt"],
    }


def interval_document(found: Interval, *, digits: int) -> dict[str, Any]:
    """An interval as JSON."""

    def rounded(value: float | None) -> float | None:
        return None if value is None else round(value, digits)

    return {
        "middle": rounded(found.middle),
        "low": rounded(found.low),
        "high": rounded(found.high),
        "level": LEVEL if found.low is not None else None,
        "basis": found.basis,
        "pastRuns": found.past_runs,
        "hitRate": rounded(found.hit_rate) if found.hit_rate is None else round(found.hit_rate, 2),
    }


def percent(done: int, total: int) -> float:
    """Share in percent, one decimal, never 100 before everything is done."""
    if total <= 0:
        return 0.0
    return 100.0 if done >= total else min(99.9, int(1000 * done / total) / 10)
