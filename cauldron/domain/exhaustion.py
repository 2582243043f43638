"""Deciding small cases for certain: whether exact counts can be met, by trying everything.

Valid rows are grouped by what is compared; a plan takes at most one row of each
group. Dynamic programming over the groups keeps the set of sums that can be
reached, and never more than fit below the counts.
"""

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np

from cauldron.domain.rows import Checker, Coder, sizes_of
from cauldron.domain.space import Box, Rows, Space

MAX_ROWS = 20_000  # rows tried, valid or not
MAX_STATES = 30_000  # reachable sums kept at once
MAX_STEPS = 3_000_000

Counts = Mapping[tuple[int, int], int]  # (column, option) -> rows wanted


def can_be_met(space: Space, boxes: Sequence[Box], counts: Counts, *, amount: int | None) -> bool | None:
    """Whether different valid rows with exactly these counts exist; None: too much work, or nothing compared.

    Args:
        boxes: those that hold.
        amount: the number of rows; None leaves it open.
    """
    if not space.unique:
        return None
    tied = {c for box in boxes for c in box.columns} | space.linked | {c for c, _ in counts}
    columns = [c for c in space.core if c in tied]
    options = [np.flatnonzero(space.columns[c].alive).tolist() for c in columns]
    if np.prod([float(len(found)) for found in options]) > MAX_ROWS:
        return None
    combinations = np.array(list(product(*options)), dtype=np.int32).reshape(-1, len(columns))
    rows: Rows = np.zeros((len(space.columns), len(combinations)), dtype=np.int32)
    rows[columns] = combinations.T
    rows = rows[:, ~Checker(boxes, sizes_of(space)).broken(rows)]
    groups = _groups(space, rows, list(counts))
    return _reachable(groups, tuple(counts.values()), amount=amount)


def _groups(space: Space, rows: Rows, keys: Sequence[tuple[int, int]]) -> list[set[tuple[int, ...]]]:
    """Per different piece what its rows add to each count."""
    codes = Coder(space.unique, sizes_of(space)).codes(rows).tolist()
    adds = np.array([rows[column] == option for column, option in keys], dtype=np.int64)
    groups: dict[int, set[tuple[int, ...]]] = {}
    for index, code in enumerate(codes):
        groups.setdefault(code, set()).add(tuple(adds[:, index].tolist()) if len(keys) else ())
    return list(groups.values())


def _reachable(
    groups: Sequence[set[tuple[int, ...]]], wanted: tuple[int, ...], *, amount: int | None
) -> bool | None:
    goal, limit = (amount or 0, wanted), amount if amount is not None else 0
    states: set[tuple[int, tuple[int, ...]]] = {(0, (0,) * len(wanted))}
    steps = 0
    for choices in groups:
        grown = set(states)
        for taken, sums in states:
            if amount is not None and taken == limit:
                continue
            for choice in choices:
                after = tuple(a + b for a, b in zip(sums, choice, strict=True))
                if all(a <= b for a, b in zip(after, wanted, strict=True)):
                    grown.add((taken + (amount is not None), after))
        steps += len(states) * len(choices)
        states = grown
        if goal in states:
            return True
        if len(states) > MAX_STATES or steps > MAX_STEPS:
            return None
    return False
