"""How many different pieces a collection admits: exactly where possible, else an estimate that says so."""

import math
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from cauldron.domain.boxes import build_space
from cauldron.domain.collection import Collection
from cauldron.domain.elimination import Network, TooWide
from cauldron.domain.rows import Checker, Generator, sizes_of, stream
from cauldron.domain.space import Floats, Mask, Rows, Space

SAMPLES = 200_000
BATCH = 50_000
LOOSE_TRIES = 64  # draws of the columns that are not compared, per sampled piece


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """Different valid pieces, one-of-ones aside. ``exact`` is False for an estimate."""

    combinations: int
    exact: bool


def count_combinations(collection: Collection) -> Count:
    """Count the pieces that rules allow and that differ in what is compared.

    Options that can never appear (weight or count 0) do not count, nor do seeds,
    numbers that are unique across the collection and categories with ``unique: false``;
    how often each option is wanted plays no part.

    Raises:
        Invalid: images that have not been read.

    Cost: milliseconds by variable elimination; where rules tie so many categories
    that its tables would be too wide, 200,000 random pieces with a fixed seed.
    """
    space = build_space(collection)
    try:
        return Count(combinations=Network(space=space, boxes=space.boxes).count(), exact=True)
    except TooWide:
        return Count(combinations=_estimate(space), exact=False)


def _estimate(space: Space) -> int:
    """Mean over random pieces of (is valid / chance of the piece). Source: Knuth, 1975."""
    random = stream("count")
    checker = Checker(space.boxes, sizes_of(space))
    total = Decimal(0)
    for _ in range(0, SAMPLES, BATCH):
        rows, logs = _random_rows(space, random)
        valid = _extendable(space, rows, checker=checker, random=random)
        if valid.any():
            top = float(logs[valid].max())
            total += Decimal(float(np.exp(logs[valid] - top).sum())) * Decimal(top).exp()
    return int(total / SAMPLES)


def _random_rows(space: Space, random: Generator) -> tuple[Rows, Floats]:
    """Pieces drawn evenly category by category, and the logarithm of 1 / their chance."""
    rows = np.zeros((len(space.columns), BATCH), dtype=np.int32)
    logs = np.zeros(BATCH)
    for index in space.core:
        applies = _draw_evenly(space, index, rows, random)
        if space.columns[index].unique:
            options = int(space.columns[index].alive.sum()) - (space.columns[index].absent >= 0)
            logs += np.where(applies, math.log(max(1, options)), 0.0)
    return rows, logs


def _draw_evenly(space: Space, index: int, rows: Rows, random: Generator) -> Mask:
    column = space.columns[index]
    alive = column.alive.copy()
    applies = np.ones(rows.shape[1], dtype=bool)
    if column.absent >= 0:
        alive[column.absent] = False
        applies = rows[column.parent] == column.host
    options = np.flatnonzero(alive)
    if len(options):
        rows[index] = options[random.integers(0, len(options), rows.shape[1])]
    rows[index, ~applies] = column.absent
    return applies


def _extendable(space: Space, rows: Rows, *, checker: Checker, random: Generator) -> Mask:
    """Whether the columns that are not compared can be chosen so that the row is valid.

    They are tried at random: a row with very few such choices may be missed.
    """
    valid = ~checker.broken(rows)
    loose = [c for c in space.core if not space.columns[c].unique and c in space.linked]
    for _ in range(LOOSE_TRIES if loose else 0):
        pending = np.flatnonzero(~valid)
        part = rows[:, pending]
        for index in loose:
            _draw_evenly(space, index, part, random)
        valid[pending] = ~checker.broken(part)
    return valid
