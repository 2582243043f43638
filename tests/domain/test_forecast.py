"""Forecasts: what is wanted, what is there, and rarity before anything is made."""

import pytest

from cauldron.domain.collection import parse_collection
from cauldron.domain.forecast import forecast
from cauldron.domain.planning import make_plan
from cauldron.domain.rarity import open_rarity
from tests.domain.collection_samples import document, grid, numbered, options


def by_option(found, category):
    return {o.option: o for c in found.categories if c.category == category for o in c.options}


def test_counts_are_the_plans_and_wishes_the_weights():
    plan = make_plan(parse_collection(grid([3, 40], supply=60, weights=(3, 2, 1))))
    found = forecast(plan)
    table = by_option(found, "C0")
    assert [table[f"o{i}"].wanted for i in range(3)] == pytest.approx([30, 20, 10])
    assert {name: o.count for name, o in table.items()} == plan.counts()["C0"]
    assert not table["o0"].exact
    assert found.largest_deviation == max(
        abs(o.count - o.wanted) for c in found.categories for o in c.options
    )


def test_saturation_shows_as_deviation():
    """All 6 pieces of 3 × 2: every option of C0 appears twice whatever its weight."""
    table = by_option(forecast(parse_collection(grid([3, 2], supply=6, weights=(4, 1, 1)))), "C0")
    assert table["o0"].deviation == pytest.approx(2 - 4)
    assert table["o1"].deviation == pytest.approx(2 - 1)


def test_exact_counts_have_no_deviation():
    hat = {"name": "Hat", "options": [{"name": "Crown", "count": 7}, *options("Cap", "Top")]}
    table = by_option(forecast(parse_collection(document([hat, numbered(30)], supply=20))), "Hat")
    assert [(o.exact, o.deviation) for o in table.values()] == [(True, 0)] * 3


def test_nested_categories_are_wanted_only_where_they_apply():
    antenna = {"name": "Antenna", "options": [{"name": "Long", "weight": 3}, {"name": "Short"}]}
    body = {"name": "Body", "options": [{"name": "Robot", "categories": [antenna]}, {"name": "Bear"}]}
    table = by_option(forecast(parse_collection(document([body, numbered(200)], supply=80))), "Antenna")
    assert table["Long"].wanted == pytest.approx(30)
    assert table["Short"].wanted == pytest.approx(10)
    assert table[None].wanted == pytest.approx(40)


def test_one_of_ones_and_sub_collections_take_part():
    doc = grid(
        [3, 30],
        supply=41,
        weights=(1,),
        oneOfOnes=[{"name": "One", "traits": {"C0": "gold", "C1": "o3"}}],
        subCollections=[{"name": "A", "size": 10, "only": {"C0": ["o0"]}}, {"name": "B", "size": 30}],
    )
    found = forecast(parse_collection(doc))
    table = by_option(found, "C0")
    assert table["o0"].wanted == pytest.approx(10 + 10)
    assert (table["gold"].count, table["gold"].wanted) == (1, 1)
    assert found.sub_collections == (("A", 10), ("B", 30))
    assert found.one_of_ones == 1


def test_rarity_is_that_of_the_traits():
    plan = make_plan(parse_collection(grid([5, 5], supply=12)))
    rarity = forecast(plan).rarity
    wanted = open_rarity([dict(s.traits) for s in plan.selections()])
    assert rarity.scores == wanted.scores
    assert rarity.ranks == wanted.ranks
    assert sum(rarity.histogram) == 12
    assert rarity.least <= rarity.median <= rarity.greatest
    assert forecast(plan, with_rarity=False).rarity is None


def test_ranges_are_summed_up():
    doc = document([{"name": "Level", "range": {"from": 1, "to": 500}}], supply=20)
    found = forecast(parse_collection(doc))
    assert found.categories[0].numbers == 20
    assert found.categories[0].options == ()
