"""What runs of a tool or a spell took: quantiles of the latest runs, and failures as a factor.

A window of the latest runs is kept whole, so that its quantiles are exact; how far
they are from those of all runs is the error of a sample: with 200 runs the median
lies between the true 43 % and 57 % quantiles in 95 of 100 cases.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from cauldron.domain.estimate import LEAST_PAST
from cauldron.domain.times import from_iso

WINDOW = 200  # runs that count
MOST_BUCKETS = 16  # kinds of inputs of one tool that are told apart
QUANTILES = (10, 50, 90)
WORST_FACTOR = 20.0  # tries per success, at most
FAILED = frozenset({"failed", "timeout", "lost"})


def summary_of(values: Sequence[float]) -> dict[str, float | None] | None:
    """``{mean, p10, p50, p90}`` by nearest rank; None of nothing, and of fewer than five no 10 and 90 %."""
    if not values:
        return None
    ordered = sorted(values)
    ranks: dict[str, float | None] = {
        f"p{q}": ordered[max(0, math.ceil(q / 100 * len(ordered)) - 1)] for q in QUANTILES
    }
    if len(ordered) < LEAST_PAST:
        ranks |= {"p10": None, "p90": None}
    return {"mean": round(fmean(ordered), 6)} | ranks


def retry_factor(succeeded: int, failed: int) -> float:
    """Tries per success: 1 / (1 − p), p the share of tries that fail."""
    tries = succeeded + failed
    return min(WORST_FACTOR, tries / succeeded) if succeeded else (WORST_FACTOR if tries else 1.0)


def bucket_of(inputs: Mapping[str, Any]) -> str:
    """The class of inputs that a run belongs to: size of the picture and steps, by powers of two."""
    width, height, steps = (_whole(inputs.get(name)) for name in ("width", "height", "steps"))
    parts = [f"{2 ** round(math.log2(width * height))}px"] if width and height else []
    parts += [f"{2 ** round(math.log2(steps))} steps"] if steps else []
    return ", ".join(parts)


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def tool_stats(outputs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The statistics of one tool version from its generation outputs, newest first."""
    ran = [o for o in outputs if not o.get("cached")][:WINDOW]
    stats = _of_outputs(ran)
    kinds: dict[str, list[Mapping[str, Any]]] = {}
    for output in ran:
        kinds.setdefault(bucket_of(output.get("inputs") or {}), []).append(output)
    most = sorted(kinds.items(), key=lambda kind: -len(kind[1]))[:MOST_BUCKETS]
    named = {name: _of_outputs(found) for name, found in most if name}
    return stats | {"buckets": named, "cachedShare": _share(len(outputs) - len(ran), len(outputs))}


def _of_outputs(outputs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    good = [o for o in outputs if o["status"] == "success"]
    failed = sum(o["status"] in FAILED for o in outputs)
    return {
        "runs": len(good),
        "failures": failed,
        "retryFactor": round(retry_factor(len(good), failed), 3),
        "runtimeMs": summary_of([o["durationMs"] for o in good if o.get("durationMs") is not None]),
        "costUsd": summary_of([o["costUsd"] for o in good if o.get("costSource") != "unknown"]),
        "costPts": summary_of([o.get("pointsSpent") or 0 for o in good]),
        "costSources": sorted({str(o.get("costSource")) for o in good}),
    }


def spell_stats(casts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The statistics of one spell from records of its casts, newest first.

    ``avgCostPtsCached`` and ``avgRuntimeMsCached`` are means over the casts that
    completed, null before the first.
    """
    ended = [cast for cast in casts if cast["status"] in ("completed", "failed")][:WINDOW]
    good = [cast for cast in ended if cast["status"] == "completed"]
    runtimes = [ms for cast in good if (ms := _lasted(cast)) is not None]
    points = [float(cast.get("pointsSpent") or 0) for cast in good]
    failed = len(ended) - len(good)
    return {
        "runs": len(good),
        "failures": failed,
        "retryFactor": round(retry_factor(len(good), failed), 3),
        "runtimeMs": summary_of(runtimes),
        "costUsd": summary_of([float(cast.get("costUsd") or 0) for cast in good]),
        "costPts": summary_of(points),
        "avgCostPtsCached": round(fmean(points), 3) if points else None,
        "avgRuntimeMsCached": round(fmean(runtimes)) if runtimes else None,
    }


def _lasted(cast: Mapping[str, Any]) -> int | None:
    try:
        return max(0, from_iso(cast["completedAt"]) - from_iso(cast["startedAt"]))
    except (KeyError, TypeError, ValueError):
        return None


def _share(part: int, whole: int) -> float:
    return round(part / whole, 3) if whole else 0.0
