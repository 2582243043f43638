"""Drawing under the rules: the law of drawing and dropping, and only what fixed columns leave open."""

from collections import Counter

import numpy as np
import pytest

from cauldron.domain.boxes import build_space
from cauldron.domain.collection import parse_collection
from cauldron.domain.conditional import ConditionalSampler, UnderRules
from cauldron.domain.elimination import TooWide
from cauldron.domain.rows import stream
from tests.domain import plan_oracle as oracle
from tests.domain.collection_samples import SKEWED, document, grid, options, pair_rules, palette

DRAWS = 40_000


def space_of(doc):
    return build_space(parse_collection(doc))


def agree(seen, chances):
    """Frequencies of DRAWS rows within 5 sd of chances, and nothing else drawn."""
    total = sum(chances.values())
    assert set(seen) <= set(chances)
    for cell, chance in chances.items():
        share = chance / total
        assert abs(seen[cell] - DRAWS * share) <= 5 * np.sqrt(DRAWS * share * (1 - share)) + 1e-9


@pytest.mark.parametrize("rules", [palette(3, 4), pair_rules([4, 4, 4], count=6, seed=8)])
def test_rows_have_the_law_of_those_that_were_not_dropped(rules):
    doc = grid([4, 4, 4], supply=5, rules=rules)
    space = space_of(doc)
    rows = ConditionalSampler(space=space, sub=0).rows(
        np.zeros((3, DRAWS), dtype=np.int32), random=stream("law")
    )
    valid = {tuple(int(o[1:]) for o in piece.values()) for piece, _ in oracle.pieces(doc)}
    agree(
        Counter(map(tuple, rows.T.tolist())),
        {cell: float(np.prod([SKEWED[o] for o in cell])) for cell in valid},
    )


def test_options_no_rule_tells_apart_keep_their_weights():
    """o1 … o7 are one class; inside it the weights 20 to 3 hold."""
    rule = {"id": "r", "excludes": [{"C0": "o0"}, {"C1": "o0"}]}
    space = space_of(grid([8, 2], supply=5, rules=[rule]))
    rows = ConditionalSampler(space=space, sub=0).rows(
        np.zeros((2, DRAWS), dtype=np.int32), random=stream("class")
    )
    chances = {(i, j): float(SKEWED[i] * SKEWED[j]) for i in range(8) for j in range(2) if i or j}
    agree(Counter(map(tuple, rows.T.tolist())), chances)


def test_nested_categories_leave_their_parents_law_alone():
    antenna = {"name": "Antenna", "options": options("Long", "Short")}
    body = [{"name": "Robot", "categories": [antenna]}, {"name": "Bear", "weight": 3}]
    space = space_of(document([{"name": "Body", "options": body}], supply=1))
    rows = ConditionalSampler(space=space, sub=0).rows(
        np.zeros((2, DRAWS), dtype=np.int32), random=stream("nested")
    )
    agree(Counter(map(tuple, rows.T.tolist())), {(0, 0): 1, (0, 1): 1, (1, 2): 6})


def test_fixed_columns_stay_and_the_others_follow_them():
    space = space_of(grid([4, 4, 4], supply=5, rules=palette(3, 4)))
    rows = np.zeros((3, 400), dtype=np.int32)
    rows[1] = np.arange(400) % 4
    UnderRules(space=space, fixed=frozenset({1})).rows(rows, random=stream("fixed"))
    assert (rows == np.arange(400) % 4).all()


def test_every_sub_collection_has_its_own_law():
    doc = grid([3, 3], supply=20, rules=palette(2, 3))
    doc["subCollections"] = [
        {"name": "A", "size": 10, "only": {"C0": ["o0"]}},
        {"name": "B", "size": 10, "weights": {"C1": {"o0": 0}}},
    ]
    space = space_of(doc)
    rows = np.zeros((3, 400), dtype=np.int32)
    rows[2] = np.arange(400) % 2
    UnderRules(space=space, fixed=frozenset({2})).rows(rows, random=stream("subs"))
    assert (rows[0] == rows[1]).all()
    assert set(rows[0][::2].tolist()) == {0}
    assert set(rows[0][1::2].tolist()) == {1, 2}


def test_what_is_too_wide_or_impossible_is_said():
    wide = grid([12] * 14, supply=5, rules=pair_rules([12] * 14, count=260, seed=3))
    with pytest.raises(TooWide):
        ConditionalSampler(space=space_of(wide), sub=0)
    rules = [*palette(2, 2), {"id": "x", "excludes": [{"C0": ["o0", "o1"]}, {"C1": ["o0", "o1"]}]}]
    with pytest.raises(TooWide):
        ConditionalSampler(space=space_of(grid([2, 2], supply=1, rules=rules)), sub=0)
