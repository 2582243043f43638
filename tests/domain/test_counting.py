"""Counting: equal to enumeration, whole numbers beyond 64 bits, honest estimates."""

import random

import pytest
from hypothesis import assume, given

from cauldron.domain.boxes import build_space
from cauldron.domain.collection import check_collection, parse_collection
from cauldron.domain.counting import Count, count_combinations
from cauldron.domain.elimination import Network
from tests.domain import plan_oracle as oracle
from tests.domain.collection_samples import document, grid, options, pair_rules, small_documents


def count(doc):
    return count_combinations(parse_collection(doc))


@given(doc=small_documents())
def test_the_count_is_what_enumeration_finds(doc):
    assume(not check_collection(doc))
    assert count(doc) == Count(combinations=oracle.count(doc), exact=True)


@given(doc=small_documents(subs=False))
def test_tables_by_option_are_what_enumeration_finds(doc):
    """What capacity checks look at: how many different pieces carry two given options."""
    assume(not check_collection(doc))
    space = build_space(parse_collection(doc))
    network = Network(space=space, boxes=space.boxes)
    names = [c["name"] for c, parent, *_ in oracle.flat(doc) if parent is None][:2]
    pair = tuple(sorted(space.index[name] for name in names))
    assume(len(pair) == 2 and set(pair) <= set(network.columns))
    table = network.table(pair)
    for i, first in enumerate(space.collection.by_name[space.columns[pair[0]].name].options):
        for j, second in enumerate(space.collection.by_name[space.columns[pair[1]].name].options):
            cell = network.classes[pair[0]][i], network.classes[pair[1]][j]
            wanted = (space.columns[pair[0]].name, first.name), (space.columns[pair[1]].name, second.name)
            found = {
                oracle.compared(doc, piece)
                for piece, _ in oracle.pieces(doc)
                if all(piece[name] == option for name, option in wanted)
            }
            assert (int(table[cell]) if min(cell) >= 0 else 0) == len(found)


def test_spaces_beyond_64_bits_are_counted_exactly():
    """20^40, and with one excluded pair 20^40 − 20^38."""
    assert count(grid([20] * 40, supply=5)).combinations == 20**40
    rule = {"id": "r", "excludes": [{"C3": "o1"}, {"C9": "o2"}]}
    assert count(grid([20] * 40, supply=5, rules=[rule])) == Count(combinations=20**40 - 20**38, exact=True)


def test_a_ring_of_rules_beyond_64_bits_is_counted_exactly():
    """Neighbours in a ring of n may not both be o0: trace of [[0, 19], [1, 19]]^n."""
    number = 40
    rules = [
        {"id": f"r{i}", "excludes": [{f"C{i}": "o0"}, {f"C{(i + 1) % number}": "o0"}]} for i in range(number)
    ]
    a, b = (2, 19)  # traces of the matrix [[0, 19], [1, 19]] to the powers 0 and 1
    for _ in range(number - 1):
        a, b = b, 19 * b + 19 * a
    assert count(grid([20] * number, supply=5, rules=rules)) == Count(combinations=b, exact=True)


def test_what_plays_no_part_is_not_counted():
    doc = document(
        [
            {"name": "Body", "options": [*options("A", "B"), {"name": "Never", "weight": 0}]},
            {"name": "Halo", "unique": False, "options": options("Ring", "Sun")},
            {"name": "Level", "range": {"from": 1, "to": 9, "unique": True}},
            {"name": "Grain", "seed": True},
            {"name": "Size", "range": {"from": 1, "to": 3}},
        ]
    )
    assert count(doc).combinations == 6


def test_too_many_tied_categories_give_an_estimate_that_says_so():
    """Every pair of 14 categories is tied: too wide. One random piece in 4.2 is valid; the estimate
    from 200,000 pieces has a standard error below 0.5 %, checked against inclusion of the rules
    through a plain sample of the same size with another generator (together below 1 %; allow 4 %)."""
    sizes = [12] * 14
    rules = pair_rules(sizes, count=260, seed=3)
    found = count(grid(sizes, supply=5, rules=rules))
    assert not found.exact
    pairs = [tuple((int(k[1:]), int(v[1:])) for t in r["excludes"] for k, v in t.items()) for r in rules]
    rng = random.Random(1)
    valid = 0
    for _ in range(20_000):
        row = [rng.randrange(12) for _ in sizes]
        valid += not any(row[a] == x and row[b] == y for (a, x), (b, y) in pairs)
    assert found.combinations == pytest.approx(12**14 * valid / 20_000, rel=0.06)


def test_an_estimate_sees_columns_that_are_not_compared():
    """The same, with one category left out of uniqueness and tied to the others."""
    sizes = [12] * 14
    doc = grid(sizes, supply=5, rules=pair_rules(sizes, count=260, seed=3))
    doc["categories"][13]["unique"] = False
    found = count(doc)
    assert not found.exact
    assert 12**12 < found.combinations < 12**13
