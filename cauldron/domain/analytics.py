"""What a cook's pieces cost, how long they took, why they failed, and which traits people approve of.

Quantiles come from counts in buckets that grow by a fixed ratio: memory does not grow
with the number of pieces, and no quantile is off by more than one percent. Source:
Masson, Rim, Lee, *DDSketch*, VLDB 2019.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from cauldron.domain.cook_state import APPROVED, CULLED, GENERATED, KEPT, PIECE_STATES, QUEUED, REJECTED
from cauldron.domain.plan import Plan

ACCURACY = 0.01
_RATIO = (1 + ACCURACY) / (1 - ACCURACY)
_LOG_RATIO = math.log(_RATIO)
QUANTILES = (0.1, 0.5, 0.9, 0.99)
MOST_REASONS = 100  # codes of failures told apart
MOST_VALUES = 200  # of one trait, those with the most pieces
OTHER = "other"

ByValue = dict[str, dict[str, npt.NDArray[np.int64]]]  # label -> value -> pieces per piece state


@dataclass(slots=True)
class Sketch:
    """Counts of non-negative whole numbers, enough for quantiles."""

    buckets: dict[int, int] = field(default_factory=dict)
    zeros: int = 0
    count: int = 0
    total: int = 0
    most: int = 0

    def add(self, value: int) -> None:
        """One more number; below 0 counts as 0."""
        self.count += 1
        if value <= 0:
            self.zeros += 1
            return
        self.total += value
        self.most = max(self.most, value)
        place = math.ceil(math.log(value) / _LOG_RATIO)
        self.buckets[place] = self.buckets.get(place, 0) + 1

    def quantile(self, share: float) -> float | None:
        """The number that ``share`` of all are at or below, to 1 %; None when there are none."""
        if not self.count:
            return None
        rank, seen = share * (self.count - 1), self.zeros
        if seen > rank:
            return 0.0
        for place in sorted(self.buckets):
            seen += self.buckets[place]
            if seen > rank:
                return min(2 * _RATIO**place / (_RATIO + 1), float(self.most))
        return float(self.most)

    def document(self, *, scale: float = 1.0, digits: int = 6) -> dict[str, Any]:
        """``{count, total, mean, max, p10, p50, p90, p99}``, numbers divided by ``scale``."""
        values = {f"p{round(share * 100)}": self.quantile(share) for share in QUANTILES}
        mean = self.total / self.count if self.count else None
        told = {"total": float(self.total), "mean": mean, "max": float(self.most), **values}
        rounded = {key: None if v is None else round(v / scale, digits) for key, v in told.items()}
        return {"count": self.count, **rounded}


@dataclass(slots=True)
class Tally:
    """What the log says of all ends of pieces, as of ``seq``."""

    seq: int = 0
    durations_ms: Sketch = field(default_factory=Sketch)
    costs_micro_usd: Sketch = field(default_factory=Sketch)
    failures: dict[str, int] = field(default_factory=dict)

    def fold(self, commits: Iterable[Mapping[str, Any]]) -> None:
        """Take commits in, in order; their events may lack their detail."""
        for commit in commits:
            for event in commit["events"]:
                if event["type"] == "PieceGenerated":
                    self.ended(event["data"]["durationMs"], event["data"]["costMicroUsd"])
                elif event["type"] == "GenerationFailed":
                    self.failed(str(event["data"]["error"].get("code", "error")))
            self.seq = commit["seq"]

    def ended(self, duration_ms: int, cost_micro_usd: int) -> None:
        """A piece was made."""
        self.durations_ms.add(duration_ms)
        self.costs_micro_usd.add(cost_micro_usd)

    def failed(self, code: str) -> None:
        """A piece was given up."""
        known = code in self.failures or len(self.failures) < MOST_REASONS
        code = code if known else OTHER
        self.failures[code] = self.failures.get(code, 0) + 1


def count_values(
    found: ByValue, plan: Plan, slots: npt.NDArray[np.uint32], states: npt.NDArray[np.uint8]
) -> None:
    """Add, per trait and value, how many pieces are in which state: columns at a time."""
    kinds = len(PIECE_STATES)
    made = states != QUEUED
    plain = made & ~np.isin(slots, np.fromiter(plan.ones, dtype=np.int64, count=len(plan.ones)))
    for label, column, text in plan.shown_columns():
        options, place = np.unique(column[slots[plain]], return_inverse=True)
        counts = np.bincount(place * kinds + states[plain], minlength=len(options) * kinds)
        for option, row in zip(options.tolist(), counts.reshape(-1, kinds), strict=True):
            value = text(option)
            if value is not None:
                _add(found, label, str(value), row)
    for index in np.flatnonzero(made & ~plain).tolist():
        row = np.bincount([states[index]], minlength=kinds)
        for label, value in plan.selection(int(slots[index])).traits.items():
            _add(found, label, str(value), row)


def count_piece(found: ByValue, traits: Mapping[str, Any], state: str) -> None:
    """Add one piece by its record, as of cooks without a log."""
    if state in PIECE_STATES:
        row = np.bincount([PIECE_STATES.index(state)], minlength=len(PIECE_STATES))
        for label, value in traits.items():
            if str(value) in found.get(label, {}) or len(found.get(label, {})) < 10_000:
                _add(found, label, str(value), row)


def _add(found: ByValue, label: str, value: str, row: npt.NDArray[np.int64]) -> None:
    values = found.setdefault(label, {})
    values[value] = values[value] + row if value in values else row.astype(np.int64)


def trait_documents(found: ByValue) -> list[dict[str, Any]]:
    """Per trait its values with the most pieces first; ``approvalRate`` is a share of those decided on."""
    return [
        {
            "trait": label,
            "omitted": max(0, len(values) - MOST_VALUES),
            "values": [
                _value_document(value, counts.tolist())
                for value, counts in sorted(values.items(), key=lambda item: (-item[1].sum(), item[0]))[
                    :MOST_VALUES
                ]
            ],
        }
        for label, values in found.items()
    ]


def _value_document(value: str, counts: list[int]) -> dict[str, Any]:
    approved = counts[APPROVED] + counts[KEPT]
    decided = approved + counts[REJECTED] + counts[CULLED]
    return {
        "value": value,
        "pieces": sum(counts),
        "approved": approved,
        "rejected": counts[REJECTED],
        "culled": counts[CULLED],
        "unreviewed": counts[GENERATED],
        "approvalRate": round(approved / decided, 4) if decided else None,
    }
