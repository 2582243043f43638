"""Repair on its own: what is frozen stays, what is stuck gets free, and it gives up in the end."""

import numpy as np
import pytest

from cauldron.domain.boxes import build_space
from cauldron.domain.collection import parse_collection
from cauldron.domain.quotas import Demand
from cauldron.domain.repair import Repair
from cauldron.domain.rows import Coder, sizes_of, stream
from tests.domain.collection_samples import grid

NOTHING = np.zeros(0, dtype=np.int64)


def repair(doc, rows, *, exact=True, frozen=None, forbidden=NOTHING):
    """A repair of ``rows`` (one tuple per piece); with ``exact`` the counts they have are kept."""
    space = build_space(parse_collection(doc))
    table = np.array(rows, dtype=np.int32).T.copy()
    counts = {c: np.bincount(table[c], minlength=space.columns[c].size) for c in range(len(table))}
    return Repair(
        space=space,
        demand=Demand(amount=len(rows), counts=counts if exact else {}),
        coder=Coder(space.unique, sizes_of(space)),
        rows=table,
        random=stream("test"),
        forbidden=forbidden,
        frozen=None if frozen is None else np.array(frozen),
    )


def test_of_two_equal_rows_the_frozen_one_stays():
    work = repair(grid([3, 3], supply=2), [(1, 1), (1, 1)], exact=False, frozen=[False, True])
    assert work.run() == 0
    assert work.rows[:, 1].tolist() == [1, 1]
    assert work.rows[:, 0].tolist() != [1, 1]


def test_exchanges_keep_every_count():
    rows = [(0, 0), (0, 0), (1, 1), (1, 1), (2, 2), (2, 2)]
    work = repair(grid([3, 3], supply=6), rows)
    assert work.run() == 0
    assert sorted(work.rows[0]) == sorted(work.rows[1]) == [0, 0, 1, 1, 2, 2]
    assert len({tuple(row) for row in work.rows.T.tolist()}) == 6


def test_a_forbidden_row_is_renewed():
    work = repair(grid([2, 2], supply=2), [(0, 0), (1, 1)])
    work = repair(grid([2, 2], supply=2), [(0, 0), (1, 1)], forbidden=np.sort(work.codes[:1]))
    assert work.run() == 0
    assert sorted(map(tuple, work.rows.T.tolist())) == [(0, 1), (1, 0)]


@pytest.mark.parametrize("rows", [[(0, 0), (0, 0)], [(0, 1), (0, 1)]])
def test_what_cannot_be_repaired_is_left_and_counted(rows):
    work = repair(grid([2, 2], supply=len(rows)), rows)
    before = np.sort(work.rows, axis=1).tolist()
    assert work.run(rounds=60) == 1
    assert np.sort(work.rows, axis=1).tolist() == before


def test_codes_held_are_those_of_good_rows():
    sizes = [4, 4, 4]
    rows = [(i % 4, i // 4 % 4, (i + i // 16) % 4) for i in range(30)] + [(0, 0, 0)] * 4
    work = repair(grid(sizes, supply=34), rows)
    assert work.run() == 0
    assert work.held.tolist() == sorted(work.coder.codes(work.rows).tolist())
    assert work.good.all()
