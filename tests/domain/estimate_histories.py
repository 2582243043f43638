"""Simulated histories of cooks: five ways in which what a piece takes varies."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from cauldron.domain.estimate import Interval, foretell, run_of

Pieces = NDArray[np.float64]
PAST, LENGTH, NEXT = 20, 100, 1000  # cooks, pieces of one, pieces of the next


def lognormal(rng: Generator, count: int, sigma: float) -> Pieces:
    """Mean 1."""
    return rng.lognormal(-sigma * sigma / 2, sigma, count)


def alike(rng: Generator) -> list[Pieces]:
    return [lognormal(rng, n, 0.5) for n in lengths()]


def cold_starts(rng: Generator) -> list[Pieces]:
    return [each * np.where(rng.random(len(each)) < 0.05, 8.0, 1.0) for each in alike(rng)]


def cook_to_cook(rng: Generator) -> list[Pieces]:
    return [each * lognormal(rng, 1, 0.3)[0] for each in alike(rng)]


def price_step(rng: Generator) -> list[Pieces]:
    cooks = alike(rng)
    return [each * (1.5 if i >= PAST - 3 else 1.0) for i, each in enumerate(cooks)]


def loaded(rng: Generator) -> list[Pieces]:
    """A load that goes on from cook to cook: AR(1), half forgotten after 70 pieces."""
    total, phi, spread = sum(lengths()), 0.99, 0.4
    shocks = rng.normal(0, spread * np.sqrt(1 - phi * phi), total)
    load, state = np.empty(total), rng.normal(0, spread)
    for i, shock in enumerate(shocks):
        state = phi * state + shock
        load[i] = state
    pieces = np.exp(load - spread * spread / 2) * lognormal(rng, total, 0.3)
    return np.split(pieces, np.cumsum(lengths())[:-1])


def lengths() -> list[int]:
    return [LENGTH] * PAST + [NEXT]


HISTORIES: Mapping[str, Callable[[Generator], list[Pieces]]] = {
    "alike": alike,
    "cold starts": cold_starts,
    "cook to cook": cook_to_cook,
    "loaded": loaded,
    "price step": price_step,
}


def one(name: str, rng: Generator, *, done: float = 0.0) -> tuple[Interval, float]:
    """What is foretold of the rest of the next cook, and what the rest took."""
    *past, following = HISTORIES[name](rng)
    own = int(done * len(following))
    runs = [run_of(each.tolist()) for each in reversed(past)]
    rest = following[own:]
    return foretell(len(rest), own=following[:own].tolist(), past=runs), float(rest.sum())


def coverage(name: str, *, times: int, seed: int = 1, done: float = 0.0) -> tuple[float, float]:
    """(share of intervals that held, median width relative to the middle)."""
    rng = np.random.default_rng([seed, list(HISTORIES).index(name)])
    held, widths = 0, []
    for _ in range(times):
        interval, actual = one(name, rng, done=done)
        assert interval.low is not None and interval.high is not None and interval.middle is not None
        held += interval.low <= actual <= interval.high
        widths.append((interval.high - interval.low) / interval.middle)
    return held / times, float(np.median(widths))
