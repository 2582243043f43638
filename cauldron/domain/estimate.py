"""What a run will take, as an interval that says on what it rests and how often it held.

Runs differ from one another more than their pieces do. The interval therefore has
two variances, within runs and between them; where such intervals turn out to hold too
seldom, the ratios of past totals to what was foretold take their place, and after a
step (a new price, another machine) only the runs since then count.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean, variance

LEAST_PAST = 5  # runs before an interval is given at all
MOST_PAST = 20  # runs that count
LEVEL = 0.8  # of the interval
LEAST_HITS = 0.7  # of nominal 0.8; below it the ratios of past runs give the interval
STEP = 3  # runs in a row beyond the same end of their intervals are a step
Z90 = 1.2815515655446004
EXACT_T90 = {1: 3.0776835, 2: 1.8856181, 3: 1.6377444}  # the expansion is poor there


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run that ended well: how many pieces, and what one took (seconds, micro-USD …).

    ``within`` is the variance over its pieces, ``drift`` the squared difference between the
    means of its halves beyond what that variance explains (0 when unknown). ``foretold``
    is what was shown before it began, per piece: low, middle, high.
    """

    pieces: int
    mean: float
    within: float = 0.0
    drift: float = 0.0
    foretold: tuple[float, float, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A middle and the 80 % interval around it; without an interval ``low`` and ``high`` are None.

    ``basis`` is ``none`` (nothing is known), ``tariff`` (declared, exact), ``pieces`` (the
    run's own pieces, no interval), ``history`` (two variances), ``recent`` (the runs
    since a step) or ``calibrated`` (ratios, because ``history`` held too seldom).
    """

    middle: float | None = None
    low: float | None = None
    high: float | None = None
    basis: str = "none"
    past_runs: int = 0
    hit_rate: float | None = None  # share of the last runs whose intervals held
    checked: int = 0  # runs that the hit rate is a share of

    def scaled(self, factor: float) -> "Interval":
        """The same in other units."""
        parts = (None if part is None else part * factor for part in (self.low, self.middle, self.high))
        low, middle, high = parts
        return replace(self, low=low, middle=middle, high=high)


@dataclass(frozen=True, slots=True)
class _Band:
    """Per piece, for a run of a given length."""

    low: float
    middle: float
    high: float


def run_of(
    values: Sequence[float], *, pieces: int = 0, foretold: tuple[float, float, float] | None = None
) -> Run:
    """The run whose pieces took ``values``, in their order, or a sample of them out of ``pieces``."""
    count, half = len(values), len(values) // 2
    within = variance(values) if count > 1 else 0.0
    drift = 0.0
    if half > 1:
        drift = (fmean(values[:half]) - fmean(values[half:])) ** 2 - within / half - within / (count - half)
    return Run(pieces=max(pieces, count), mean=fmean(values), within=within, drift=drift, foretold=foretold)


def exactly(total: float, *, past_runs: int = 0) -> Interval:
    """What a declared tariff says: nothing is left open."""
    return Interval(middle=total, low=total, high=total, basis="tariff", past_runs=past_runs)


def foretell(rest: int, *, own: Sequence[float] = (), past: Sequence[Run] = ()) -> Interval:
    """What ``rest`` pieces will take in all.

    Args:
        own: what the pieces of this run took so far, or a sample of them.
        past: ended runs of the same kind, newest first.

    Returns:
        No interval with fewer than five past runs: the spread between runs is not known.

    Cost: O(runs²). Source: variance components (Searle, Casella, McCulloch, *Variance
    Components*, 1992); split conformal prediction for the ratios (Vovk et al.,
    *Algorithmic Learning in a Random World*, 2005).
    """
    runs = [run for run in past if run.pieces > 0 and run.mean >= 0][:MOST_PAST]
    if rest <= 0:
        return Interval(middle=0.0, low=0.0, high=0.0, basis="pieces", past_runs=len(runs))
    if len(runs) < LEAST_PAST:
        middle = rest * fmean(own) if own else None
        return Interval(middle=middle, basis="pieces" if own else "none", past_runs=len(runs))
    checks = replays(runs)
    hit_rate = fmean(held == 0 for _, held in checks) if checks else None
    basis, band = _chosen(rest, own, runs, checks, hit_rate)
    return Interval(
        low=rest * max(0.0, band.low),
        middle=rest * band.middle,
        high=rest * band.high,
        basis=basis,
        past_runs=len(runs),
        hit_rate=hit_rate,
        checked=len(checks),
    )


def _chosen(
    rest: int,
    own: Sequence[float],
    runs: Sequence[Run],
    checks: Sequence[tuple[float, int]],
    hit_rate: float | None,
) -> tuple[str, _Band]:
    if _stepped(checks):
        return "recent", two_variances(rest, own, runs[:STEP], before=runs[STEP:])
    band = two_variances(rest, own, runs)
    if hit_rate is None or len(checks) < LEAST_PAST or hit_rate >= LEAST_HITS:
        return "history", band
    return "calibrated", by_ratios(band.middle, [ratio for ratio, _ in checks])


def _stepped(checks: Sequence[tuple[float, int]]) -> bool:
    """Whether the newest runs all lay beyond the same end of what was foretold."""
    newest = {side for _, side in checks[:STEP]}
    return len(checks) >= STEP and newest in ({1}, {-1})


def two_variances(
    rest: int, own: Sequence[float], runs: Sequence[Run], *, before: Sequence[Run] = ()
) -> _Band:
    """The interval per piece of ``rest`` pieces, from the variance within runs and between them.

    A run's own pieces draw the middle towards themselves, the more the runs differ. Runs
    ``before`` a step, at another level, tell how much runs differ, relative to their mean.
    """
    count, means = len(runs), [run.mean for run in runs]
    length = count / sum(1 / run.pieces for run in runs)  # harmonic: short runs know little
    within = _within(own, runs)
    spread, degrees = _spread(means, [run.mean for run in before])
    between = max(0.0, spread - within / length)
    weight = _weight(len(own), within, between, drift=fmean(run.drift for run in runs))
    middle = weight * fmean(own) + (1 - weight) * fmean(means) if own else fmean(means)
    about_grand = (between + within / length) / count
    about_mean = between * (1 - weight) + (1 - weight) ** 2 * about_grand
    reach = t90(degrees) * math.sqrt(about_mean + within / rest)
    return _Band(middle - reach, middle, middle + reach)


def _spread(means: Sequence[float], before: Sequence[float]) -> tuple[float, int]:
    """The variance of runs' means and its degrees of freedom, with that of other runs at their level."""
    squares, degrees = (variance(means) * (len(means) - 1), len(means) - 1) if len(means) > 1 else (0.0, 0)
    if len(before) > 1 and fmean(before) > 0:
        level = fmean(means) / fmean(before)
        squares += variance(before) * level**2 * (len(before) - 1)
        degrees += len(before) - 1
    return (squares / degrees if degrees else 0.0), degrees


def _weight(own: int, within: float, between: float, *, drift: float) -> float:
    """How much a run's own pieces say about the rest of it: little where runs change on their way."""
    if not own or between == 0:
        return 0.0
    return between / (between + within / own + max(0.0, drift))


def _within(own: Sequence[float], runs: Sequence[Run]) -> float:
    """The variance over pieces, pooled over the runs that know theirs and the one under way."""
    known = [(run.within, run.pieces - 1) for run in runs if run.pieces > 1]
    if len(own) > 1:
        known.append((variance(own), len(own) - 1))
    degrees = sum(weight for _, weight in known)
    return sum(value * weight for value, weight in known) / degrees if degrees else 0.0


def by_ratios(middle: float, ratios: Sequence[float]) -> _Band:
    """The interval that would have held the past runs as often as it promises to hold the next."""
    ordered, count = sorted(ratios), len(ratios)
    tail = (1 - LEVEL) / 2
    low = ordered[max(0, math.floor((count + 1) * tail) - 1)]
    high = ordered[min(count, math.ceil((count + 1) * (1 - tail))) - 1]
    return _Band(middle * min(1.0, low), middle, middle * max(1.0, high))


def replays(runs: Sequence[Run]) -> list[tuple[float, int]]:
    """Each run against what was foretold of it, newest first: (actual / foretold, side).

    ``side`` is 0 where the interval held, 1 where the run took more, −1 where it took
    less. What was shown at the time counts; else what the older runs foretell.
    """
    found = []
    for index, run in enumerate(runs):
        band = _foretold(run, runs[index + 1 :])
        if band is not None and band.middle > 0:
            slack = 1e-9 * band.middle
            side = (run.mean > band.high + slack) - (run.mean < band.low - slack)
            found.append((run.mean / band.middle, side))
    return found


def _foretold(run: Run, older: Sequence[Run]) -> _Band | None:
    if run.foretold is not None:
        return _Band(*run.foretold)
    return two_variances(run.pieces, (), older) if len(older) >= LEAST_PAST else None


def t90(degrees: int) -> float:
    """The 90 % quantile of Student's t. Source: Cornish–Fisher expansion, within 0.5 % from 4 degrees on."""
    n = max(1, degrees)
    if n in EXACT_T90:
        return EXACT_T90[n]
    z = Z90
    return (
        z
        + (z**3 + z) / (4 * n)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * n**3)
    )
