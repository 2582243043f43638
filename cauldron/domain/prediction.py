"""What the rest of a run will take, as an interval that says on what it rests.

Source: variance components (Searle, Casella, McCulloch, *Variance Components*, 1992):
runs differ from one another more than their pieces do, so that an interval from the
pieces of one run alone is far too narrow. How often earlier intervals held is worked
out by predicting each of the last runs from those before it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, quantiles, variance

LEAST_PAST = 5  # runs before an interval is given at all
MOST_PAST = 20
Z90 = 1.2815515655446004  # quantile of the normal distribution: 80 % lie within
LEAST_HITS = 0.7  # of nominal 0.8; below it the ratios of earlier runs widen the interval


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRun:
    """A run that ended: its pieces and what they took in all (seconds, or USD)."""

    pieces: int
    total: float

    @property
    def mean(self) -> float:
        """Per piece."""
        return self.total / self.pieces


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A middle and an 80 % interval around it; ``low`` and ``high`` are None when there is too little past.

    ``basis`` is ``none``, ``pieces`` (this run's own, no interval), ``history``, or
    ``calibrated`` where earlier intervals held too seldom.
    """

    middle: float | None
    low: float | None = None
    high: float | None = None
    basis: str = "none"
    past_runs: int = 0
    hit_rate: float | None = None  # share of the last runs that such an interval would have held

    def scaled(self, factor: float) -> "Interval":
        """The same in other units."""
        low, middle, high = (
            None if each is None else each * factor for each in (self.low, self.middle, self.high)
        )
        return Interval(
            middle=middle,
            low=low,
            high=high,
            basis=self.basis,
            past_runs=self.past_runs,
            hit_rate=self.hit_rate,
        )


def predict(*, rest: int, own: Sequence[float], past: Sequence[PastRun]) -> Interval:
    """What ``rest`` pieces will take in all.

    Args:
        own: what pieces of this run took, a sample.
        past: runs of the same generator, newest first.
    """
    runs = [run for run in past if run.pieces > 0][:MOST_PAST]
    if rest <= 0:
        return Interval(middle=0.0, low=0.0, high=0.0, basis="pieces", past_runs=len(runs))
    if len(runs) < LEAST_PAST:
        middle = rest * fmean(own) if own else None
        return Interval(middle=middle, basis="pieces" if own else "none", past_runs=len(runs))
    within = variance(own) if len(own) > 1 else 0.0
    middle, spread = _by_variances(rest, own, runs, within=within)
    ratios = _ratios(runs, within=within)
    hits = fmean(held for _, held in ratios) if ratios else None
    basis, low, high = "history", middle - spread, middle + spread
    if hits is not None and len(ratios) >= LEAST_PAST and hits < LEAST_HITS:
        cuts = quantiles([ratio for ratio, _ in ratios], n=10, method="inclusive")
        basis, low, high = "calibrated", middle * min(1.0, cuts[0]), middle * max(1.0, cuts[-1])
    return Interval(
        middle=middle, low=max(0.0, low), high=high, basis=basis, past_runs=len(runs), hit_rate=hits
    )


def _by_variances(
    rest: int, own: Sequence[float], runs: Sequence[PastRun], *, within: float
) -> tuple[float, float]:
    """Middle of the total of ``rest`` pieces, and how far the interval reaches to each side."""
    means = [run.mean for run in runs]
    grand, count = fmean(means), len(runs)
    per_run = fmean(run.pieces for run in runs)
    between = max(0.0, variance(means) - within / per_run)
    weight = 1.0 if between == 0 and own else len(own) / (len(own) + within / between) if between else 0.0
    expected = weight * fmean(own) + (1 - weight) * grand if own else grand
    spread = rest**2 * (between * (1 - weight) + between / count + within / (count * per_run)) + rest * within
    return rest * expected, t_quantile(count - 1) * math.sqrt(spread)


def _ratios(runs: Sequence[PastRun], *, within: float) -> list[tuple[float, bool]]:
    """Each run against what the older ones foretold: actual / foretold, and whether the interval held."""
    found = []
    for index, run in enumerate(runs):
        older = runs[index + 1 :]
        if len(older) < LEAST_PAST:
            break
        middle, spread = _by_variances(run.pieces, [], older, within=within)
        if middle > 0:
            found.append((run.total / middle, abs(run.total - middle) <= spread + 1e-9))
    return found


def t_quantile(degrees: int) -> float:
    """The 90 % quantile of Student's t. Source: Cornish–Fisher expansion; within 0.5 % from 4 degrees on."""
    z, n = Z90, max(1, degrees)
    return (
        z
        + (z**3 + z) / (4 * n)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * n**3)
    )
