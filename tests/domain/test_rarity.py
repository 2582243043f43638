"""OpenRarity scores and ranks against a plain reference and against published figures."""

import math
import time
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cauldron.domain.rarity import open_rarity

NAMES = st.sampled_from(["Hat", "hat ", "Eyes", "Mouth", "Level"])
VALUES = st.sampled_from(["Red", "red", " Blue", "Green", "None", "", "Null", 3, 7.5])
COLLECTIONS = st.lists(st.dictionaries(NAMES, VALUES, max_size=4), min_size=1, max_size=30)


def reference(traits: list[dict]) -> tuple[list[float], list[int]]:
    """OpenRarity written as plainly as can be: one dictionary, one loop per formula."""
    pieces = []
    for own in traits:
        once = {k.lower().strip(): v.lower().strip() if isinstance(v, str) else v for k, v in own.items()}
        texts = {k: v for k, v in once.items() if isinstance(v, str)}
        real = [v for v in once.values() if v not in ("", "none")]
        if any(traits):
            texts["meta_trait:trait_count"] = str(len(real))
        pieces.append(texts)
    counts = {name: Counter(p.get(name) for p in pieces) for p in pieces for name in p}
    n = len(pieces)
    entropy = -sum(c / n * math.log2(c / n) for found in counts.values() for c in found.values())
    bits = [-sum(math.log2(counts[name][p.get(name)] / n) for name in counts) for p in pieces]
    scores = [b / entropy if entropy else 0.0 for b in bits]
    alone = [sum(counts[name][value] == 1 for name, value in p.items()) for p in pieces]
    order = sorted(range(n), key=lambda i: (alone[i], round(scores[i], 12)), reverse=True)
    ranks = [0] * n
    for place, i in enumerate(order):
        before = order[place - 1]
        tied = place and math.isclose(scores[i], scores[before], rel_tol=1e-9)
        ranks[i] = ranks[before] if tied else place + 1
    return scores, ranks


@given(COLLECTIONS)
def test_scores_and_ranks_equal_the_plain_reference(traits):
    got = open_rarity(traits)
    scores, ranks = reference(traits)
    assert got.scores == pytest.approx(scores, abs=1e-9)
    assert list(got.ranks) == ranks


def test_figures_equal_those_of_the_reference_implementation():
    """Computed with the package open-rarity 0.7.5."""
    traits = [
        {"Hat": "Cap", "Eyes": "Blue"},
        {"Hat": "cap ", "Eyes": "Green"},
        {"Eyes": "Blue"},
        {"Hat": "Crown", "Eyes": "Blue"},
        {"Hat": "Cap", "Eyes": "None"},
        {"Hat": "Cap", "Eyes": "Blue"},
    ]
    got = open_rarity(traits)
    one, two, three = 0.512891924421, 1.097421615116, 1.389686460463
    assert got.ranks == (5, 2, 4, 2, 1, 5)
    assert got.scores == pytest.approx([one, two, three, two, three, one], abs=1e-11)
    assert got.unique_attributes == (0, 1, 0, 1, 1, 0)


def test_ties_share_a_rank_and_the_next_rank_counts_them():
    traits = [{"A": "x"}, *({"A": "y"} for _ in range(3)), *({"A": "z"} for _ in range(4))]
    assert open_rarity(traits).ranks == (1, 2, 2, 2, 5, 5, 5, 5)


def test_a_value_nobody_else_has_beats_a_higher_score():
    common = [{"A": "p", "B": "p", "C": "p"} for _ in range(20)]
    pairs = [{"A": "q", "B": "q", "C": "q"} for _ in range(2)]
    alone = [{"A": "r", "B": "p", "C": "p"}]
    got = open_rarity([*common, *pairs, *alone])
    assert got.ranks[-1] == 1
    assert got.scores[-1] < got.scores[-2]


def test_numbers_are_not_scored_but_count_as_traits():
    same = open_rarity([{"A": "x", "Level": 1}, {"A": "x", "Level": 2}])
    assert same.ranks == (1, 1)
    more = open_rarity([{"A": "x", "Level": 1}, {"A": "x"}, {"A": "x"}])
    assert more.ranks == (1, 2, 2)
    assert open_rarity([{"A": "x", "Level": 1}, {"A": "x"}, {"A": "x"}], trait_count=False).ranks == (1, 1, 1)


@pytest.mark.parametrize("traits", [[], [{}], [{"A": "x"}], [{}, {}]])
def test_a_collection_that_says_nothing_has_scores_of_zero(traits):
    got = open_rarity(traits)
    assert got.scores == (0.0,) * len(traits)
    assert got.ranks == (1,) * len(traits)


@pytest.mark.slow
def test_a_hundred_thousand_pieces_take_two_seconds_at_most():
    traits = [{f"T{j}": f"v{(i * (j + 7)) % 10}" for j in range(10)} for i in range(100_000)]
    before = time.process_time()
    open_rarity(traits)
    assert time.process_time() - before <= 2
