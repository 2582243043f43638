"""Plans: what every one must fulfil, the law of weights, saturation, and refusals."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, event, given
from hypothesis import strategies as st

from cauldron.domain.collection import check_collection, parse_collection
from cauldron.domain.errors import Infeasible, Invalid
from cauldron.domain.filling import fill
from cauldron.domain.planning import Ground, distinct_pieces, make_plan
from cauldron.domain.quotas import make_demand
from tests.domain import plan_oracle as oracle
from tests.domain.collection_samples import (
    SKEWED,
    document,
    grid,
    numbered,
    options,
    pair_rules,
    palette,
    small_documents,
    with_counts,
)


def plan(doc, **more):
    return make_plan(parse_collection(doc), **more)


def compares_something(doc):
    """With nothing compared the oracle, which thinks in sets of pieces, does not apply."""
    return any(here for *_, here in oracle.flat(doc))


@given(doc=small_documents(), seed=st.text(max_size=5))
def test_a_plan_keeps_rules_counts_and_uniqueness_and_exists_whenever_one_can(doc, seed):
    assume(not check_collection(doc) and compares_something(doc))
    possible = oracle.feasible(doc, doc["supply"])
    try:
        made = plan(doc, seed=seed)
    except Infeasible as refusal:
        event("refused")
        assert refusal.reasons
        assert not possible
        return
    event("planned")
    assert oracle.faults(doc, made) == []
    assert made.supply == doc["supply"]


@given(doc=small_documents(counts=False))
def test_one_of_ones_are_inside_the_supply_and_nobody_equals_them(doc):
    first = doc["categories"][0]
    doc["supply"] += 2
    doc.pop("subCollections", None)
    doc["rules"] = [rule for rule in doc["rules"] if "in" not in rule]
    doc["oneOfOnes"] = [
        {"name": "Whole", "traits": {c["name"]: c["options"][0]["name"] for c in doc["categories"]}},
        {"name": "Strange", "traits": {first["name"]: "what no option has"}},
    ]
    assume(not check_collection(doc) and compares_something(doc))
    try:
        made = plan(doc)
    except Infeasible:
        return
    assert oracle.faults(doc, made) == []
    ones = [s for s in made.selections() if s.one_of_one]
    assert [s.one_of_one for s in sorted(ones, key=lambda s: s.one_of_one)] == ["Strange", "Whole"]
    by_names = Counter(oracle.compared(doc, s.names) for s in made.selections() if s.one_of_one != "Strange")
    assert max(by_names.values()) == 1
    assert next(s for s in ones if s.one_of_one == "Strange").traits[first["name"]] == "what no option has"


class TestTheLawOfWeights:
    """Inclusion probabilities of the loop "draw, drop what was there, repeat", from exact fractions."""

    ROUNDS = 4000

    def frequencies(self, doc, cells):
        ground = Ground(collection=parse_collection(doc))
        demand = make_demand(ground.space, amount=doc["supply"], used={})
        seen = Counter()
        for seed in range(self.ROUNDS):
            rows = fill(ground.space, demand, forbidden=ground.forbidden, coder=ground.coder, seed=str(seed))
            seen.update(map(tuple, rows.T.tolist()))
        return np.array([seen[cell] for cell in cells]) / self.ROUNDS

    def check(self, doc, sizes, amount, *, forbidden=()):
        cells = [cell for cell in oracle.grid(sizes) if cell not in forbidden]
        chances = [int(np.prod([SKEWED[option] for option in cell])) for cell in cells]
        wanted = np.array(oracle.inclusion(chances, amount))
        got = self.frequencies(doc, cells)
        sd = np.sqrt(wanted * (1 - wanted) / self.ROUNDS)
        assert (np.abs(got - wanted) <= 5 * sd + 1e-9).all(), (got - wanted) / sd

    def test_holds_where_most_of_the_space_is_taken(self):
        """3 of 6: taken by walking through the space and keeping the largest keys."""
        self.check(grid([3, 2], supply=3), [3, 2], 3)

    def test_holds_where_little_is_taken(self):
        """2 of 64: drawn in batches."""
        self.check(grid([4, 4, 4], supply=2), [4, 4, 4], 2)

    def test_holds_under_rules(self):
        rule = {"id": "r", "excludes": [{"C0": "o0"}, {"C1": "o0"}]}
        self.check(grid([3, 2], supply=2, rules=[rule]), [3, 2], 2, forbidden={(0, 0)})

    def test_holds_inside_every_option_of_one_exact_category(self):
        """C0 is exact: of its option o1 two pieces, drawn from the 4 of C1 by weight."""
        doc = grid([2, 4], supply=3)
        for option, count in zip(doc["categories"][0]["options"], (1, 2), strict=True):
            option.pop("weight")
            option["count"] = count
        one, two = oracle.inclusion(SKEWED[:4], 1), oracle.inclusion(SKEWED[:4], 2)
        wanted = np.array(one + two)
        got = self.frequencies(doc, list(oracle.grid([2, 4])))
        assert (np.abs(got - wanted) <= 5 * np.sqrt(wanted * (1 - wanted) / self.ROUNDS)).all()

    def test_weights_are_frequencies(self):
        """10,000 of 10^7: shares within 5 sd of the weights (uniqueness takes 106 pieces at most)."""
        made = plan(grid([10] * 7, supply=10_000), seed="w")
        for column in made.rows.T:
            got = np.bincount(column, minlength=10)
            wanted = 10_000 * np.array(SKEWED) / sum(SKEWED)
            assert (np.abs(got - wanted) <= 5 * np.sqrt(wanted) + 106).all()

    def test_a_nested_category_leaves_its_parents_law_alone(self):
        """Robot has weight 1 of 4 whatever hangs below it; sd of 2,000 draws at 1/4 is 19.4."""
        robot = {"name": "Robot", "categories": [{"name": "Antenna", "options": options(*"abcdefgh")}]}
        body = {"name": "Body", "options": [robot, {"name": "Bear", "weight": 3}]}
        numbers = {"name": "Level", "range": {"from": 1, "to": 1_000_000}}
        made = plan(document([body, numbers], supply=2000))
        counts = made.counts()
        assert abs(counts["Body"]["Robot"] - 500) < 5 * 19.4
        assert counts["Antenna"][None] == counts["Body"]["Bear"]

    def test_a_nested_category_leaves_its_parents_law_alone_where_the_space_is_walked_through(self):
        """One piece of three: Robot with either antenna has 1/4 together, Bear 3/4."""
        antenna = {"name": "Antenna", "options": options("Long", "Short")}
        body = [{"name": "Robot", "categories": [antenna]}, {"name": "Bear", "weight": 3}]
        cells = [(0, 0), (0, 1), (1, 2)]
        got = self.frequencies(document([{"name": "Body", "options": body}], supply=1), cells)
        wanted = np.array([1 / 8, 1 / 8, 3 / 4])
        assert (np.abs(got - wanted) <= 5 * np.sqrt(wanted * (1 - wanted) / self.ROUNDS)).all()

    def test_a_share_of_none_is_a_frequency(self):
        """40 % of 4,000 without a halo: 1,600, sd 31."""
        halo = {"name": "Halo", "none": 0.4, "options": options("Ring", "Sun")}
        numbers = {"name": "Level", "range": {"from": 1, "to": 1_000_000}}
        assert abs(plan(document([halo, numbers], supply=4000)).counts()["Halo"][None] - 1600) < 5 * 31


class TestTightRules:
    """Twelve categories of ten colours that must all match: one draw in 10^11 would keep the rules."""

    def doc(self):
        return grid([10] * 12 + [8] * 5, supply=900, weights=(1,), rules=palette(12, 10))

    def test_by_weight(self):
        assert oracle.faults(self.doc(), plan(self.doc())) == []

    def test_with_exact_counts_and_sub_collections(self):
        doc = self.doc()
        for category in (0, 16):
            exact = with_counts(grid([10] * 12 + [8] * 5, supply=900, weights=(1,)))
            doc["categories"][category] = exact["categories"][category]
        doc["subCollections"] = [{"name": "A", "size": 200, "only": {"C0": ["o0", "o1", "o2"]}}]
        doc["subCollections"].append({"name": "B", "size": 700})
        assert oracle.faults(doc, plan(doc)) == []


class TestSaturation:
    @pytest.mark.parametrize("sizes", [[8, 13, 8, 12], [10, 5, 5, 6, 10]])
    def test_every_last_combination_is_found(self, sizes):
        total = int(np.prod(sizes))
        made = plan(grid(sizes, supply=total))
        assert distinct_pieces(made) == total
        with pytest.raises(Infeasible) as refusal:
            plan(grid(sizes, supply=total), supply=total + 1)
        assert f"{total:,} different valid combinations" in refusal.value.reasons[0]

    @pytest.mark.parametrize("share", [0.5, 0.6, 0.9, 0.97, 0.99, 1.0])
    def test_exact_counts_hold_close_to_the_full_space(self, share):
        doc = with_counts(grid([10, 5, 5, 6], supply=int(1500 * share), weights=(1,)))
        assert oracle.faults(doc, plan(doc)) == []

    @pytest.mark.parametrize("supply", [150, 270, 297, 300])
    def test_exact_counts_beside_weights_hold_close_to_the_full_space(self, supply):
        doc, exact = (
            grid([5, 5, 4, 3], supply=supply),
            with_counts(grid([5, 5, 4, 3], supply=supply, weights=(1,))),
        )
        doc["categories"][0], doc["categories"][3] = exact["categories"][0], exact["categories"][3]
        assert oracle.faults(doc, plan(doc)) == []

    def test_exact_counts_hold_under_rules_at_size(self):
        sizes = [10] * 7
        doc = with_counts(grid(sizes, supply=5_000, rules=pair_rules(sizes, count=30, seed=11)))
        made = plan(doc)
        assert distinct_pieces(made) == 5_000
        assert oracle.faults(doc, made) == []

    def test_a_space_beyond_64_bits_can_be_planned(self):
        sizes = [20] * 40
        doc = grid(sizes, supply=600, rules=pair_rules(sizes, count=60, seed=5))
        made = plan(doc)
        assert distinct_pieces(made) == 600
        assert oracle.faults(doc, made) == []

    def test_exact_counts_in_a_space_beyond_64_bits(self):
        sizes = [20] * 40
        doc = with_counts(grid(sizes, supply=400, weights=(1,)))
        assert oracle.faults(doc, plan(doc)) == []

    @pytest.mark.slow
    def test_a_million_pieces_with_one_more_category_each(self):
        made = plan(grid([10] * 9, supply=1_000_000))
        assert distinct_pieces(made) == 1_000_000


class TestCounts:
    def test_weights_share_what_counts_leave_by_largest_remainder(self):
        """100 − 13 = 87 over 1 : 1 : 1 is 29 each; over 5 : 2 it is 62.14 and 24.86."""
        colours = [{"name": "Gold", "count": 13}, {"name": "Red", "weight": 5}, {"name": "Blue", "weight": 2}]
        doc = document(
            [{"name": "Colour", "options": colours}, numbered(90)],
            supply=100,
        )
        assert plan(doc).counts()["Colour"] == {"Gold": 13, "Red": 62, "Blue": 25}

    def test_a_none_count_is_exact(self):
        hat = {"name": "Hat", "noneCount": 17, "options": options("Cap", "Crown")}
        doc = document([hat, numbered(50)], supply=60)
        assert plan(doc).counts()["Hat"][None] == 17

    def test_one_of_ones_use_up_counts(self):
        sky = {"name": "Sky", "options": [{"name": "Void", "count": 3}, {"name": "Dusk"}]}
        doc = document([sky, numbered(30)], supply=20)
        doc["oneOfOnes"] = [{"name": "One", "traits": {"Sky": "Void", "N": "0"}}]
        made = plan(doc)
        assert made.counts()["Sky"]["Void"] == 3
        assert oracle.faults(doc, made) == []

    def test_nested_counts_settle_their_parent(self):
        antenna = {
            "name": "Antenna",
            "options": [{"name": "Long", "count": 4}, {"name": "Short", "count": 3}],
        }
        body = {"name": "Body", "options": [{"name": "Robot", "categories": [antenna]}, {"name": "Bear"}]}
        made = plan(document([body, numbered(30)], supply=20))
        assert made.counts()["Body"] == {"Robot": 7, "Bear": 13}
        assert made.counts()["Antenna"] == {"Long": 4, "Short": 3, None: 13}

    @pytest.mark.parametrize(
        ("option", "said"),
        [
            ([{"name": "A", "count": 3}, {"name": "B", "count": 4}], "add up to 7, but there are 10 pieces"),
            ([{"name": "A", "count": 10}, {"name": "B", "weight": 0}], None),
        ],
    )
    def test_counts_must_add_up(self, option, said):
        doc = document(
            [{"name": "C", "options": option}, numbered(30)],
            supply=10,
        )
        if said is None:
            assert plan(doc).counts()["C"]["A"] == 10
            return
        with pytest.raises(Infeasible) as refusal:
            plan(doc)
        assert said in refusal.value.reasons[0]


class TestGenerated:
    def test_images_come_in_order_each_as_often_as_said(self):
        photos = {"items": [{"name": f"p{i}"} for i in range(6)], "draw": "order", "times": 2}
        doc = document([{"name": "Photo", "images": photos}, numbered(3)], supply=12)
        names = [s.names["Photo"] for s in plan(doc).selections()]
        assert names == [f"p{i}" for i in range(6)] * 2

    def test_two_sets_in_order_stay_side_by_side(self):
        sets = [
            {"name": name, "images": {"items": [{"name": f"{name}{i}"} for i in range(5)], "draw": "order"}}
            for name in ("Photo", "Frame")
        ]
        doc = document([*sets, numbered(4)], supply=15)
        picked = [(s.names["Photo"], s.names["Frame"]) for s in plan(doc).selections()]
        assert picked == [(f"Photo{i % 5}", f"Frame{i % 5}") for i in range(15)]

    def test_images_that_do_not_fit_their_times_are_refused(self):
        photos = {"items": [{"name": f"p{i}"} for i in range(6)], "draw": "order", "times": 1}
        doc = document([{"name": "Photo", "images": photos}, numbered(3)], supply=12)
        with pytest.raises(Infeasible) as refusal:
            plan(doc)
        assert "add up to 6, but there are 12 pieces" in refusal.value.reasons[0]

    def test_unread_image_folders_are_no_surprise(self):
        doc = document([{"name": "Photo", "images": {"folder": "photos"}}])
        with pytest.raises(Invalid, match="has not been read"):
            plan(doc)

    def test_unique_numbers_never_repeat_and_leave_uniqueness_to_the_rest(self):
        level = {"name": "Level", "range": {"from": 5, "to": 500, "step": 5, "pad": 4, "unique": True}}
        doc = document([level, numbered(90)], supply=90)
        made = plan(doc)
        numbers = [s.values["Level"] for s in made.selections()]
        assert len(set(numbers)) == 90
        assert all(isinstance(n, int) and n % 5 == 0 and 5 <= n <= 500 for n in numbers)
        assert distinct_pieces(made) == 90
        with pytest.raises(Infeasible):
            plan(doc, supply=91)

    def test_too_few_unique_numbers_are_refused(self):
        level = {"name": "Level", "range": {"from": 1, "to": 9, "unique": True}}
        with pytest.raises(Infeasible) as refusal:
            plan(document([level, numbered(90)], supply=10))
        assert refusal.value.reasons == ("Level has 9 numbers, each used once, for 10 pieces",)

    def test_unique_numbers_of_a_nested_category_are_there_exactly_where_it_applies(self):
        serial = {"name": "Serial", "none": 0.5, "range": {"from": 1, "to": 40, "unique": True}}
        body = {"name": "Body", "options": [{"name": "Robot", "categories": [serial]}, {"name": "Bear"}]}
        doc = document([body, numbered(60)], supply=60)
        selections = list(plan(doc).selections())
        held = [s.values["Serial"] for s in selections if s.values["Serial"] is not None]
        assert len(held) == len(set(held)) > 5
        assert all(s.names["Body"] == "Robot" for s in selections if s.values["Serial"] is not None)

    def test_steps_of_a_tenth_are_exact(self):
        level = {"name": "Level", "range": {"from": 0, "to": 1, "step": 0.1}}
        made = plan(document([level], supply=11))
        assert sorted(s.values["Level"] for s in made.selections()) == [i / 10 for i in range(11)]

    def test_seeds_are_32_bits_differ_by_piece_and_by_category(self):
        doc = document([{"name": "A", "seed": True}, {"name": "B", "seed": True}], supply=50)
        selections = list(plan(doc).selections())
        seeds = (
            {s.values["A"] for s in selections}
            | {s.values["B"] for s in selections}
            | {s.seed for s in selections}
        )
        assert len(seeds) == 150
        assert all(0 <= seed < 2**32 for seed in seeds)


class TestSubCollections:
    def test_sizes_limits_and_weights_hold(self):
        sky = {"name": "Sky", "options": options("Dusk", "Void", "Noon")}
        halo = {"name": "Halo", "none": 0.5, "options": options("Ring")}
        doc = document([sky, halo, numbered(50)], supply=100)
        doc["subCollections"] = [
            {"name": "Night", "size": 30, "only": {"Sky": ["Dusk", "Void"]}, "none": {"Halo": 0}},
            {"name": "Day", "size": 70, "without": {"Sky": ["Void"]}, "weights": {"Sky": {"Noon": 0}}},
        ]
        made = plan(doc)
        assert oracle.faults(doc, made) == []
        night = [s for s in made.selections() if s.sub_collection == "Night"]
        assert len(night) == 30
        assert all(s.names["Halo"] == "Ring" for s in night)
        assert {s.names["Sky"] for s in made.selections() if s.sub_collection == "Day"} == {"Dusk"}

    def test_without_sizes_they_share_evenly(self):
        doc = grid([10, 10], supply=10, subCollections=[{"name": "A"}, {"name": "B"}, {"name": "C"}])
        sizes = Counter(s.sub_collection for s in plan(doc).selections())
        assert sizes == {"A": 4, "B": 3, "C": 3}

    def test_a_tight_one_is_not_eaten_up_by_a_loose_one(self):
        """B can only have the six pieces with o0; A could take them but must not."""
        subs = [{"name": "A", "size": 12}, {"name": "B", "size": 6, "only": {"C0": ["o0"]}}]
        doc = grid([3, 6], supply=18, subCollections=subs)
        assert oracle.faults(doc, plan(doc)) == []


class TestReproducibility:
    GOLDEN = "88d4d763f933ca6196435464be6b7f29aab577c9437d5fa2febe99916000bc6e"

    BY_WEIGHT = "c1cbeefe49a4feed1cc47034c188190228b68c0b5c74b854b749602e91193916"

    def doc(self):
        sizes = [6, 5, 4, 7]
        rules = pair_rules(sizes, count=6, seed=2)
        doc = grid(sizes, supply=200, rules=rules, seed="golden")
        doc["categories"][1]["options"][0] = {"name": "o0", "count": 31}
        doc["categories"][2]["options"][0] = {"name": "o0", "count": 47}
        return doc

    def test_the_hash_of_a_known_plan_never_changes(self):
        assert plan(self.doc()).plan_hash == self.GOLDEN

    def test_nor_does_that_of_one_by_weight(self):
        assert plan(grid([6, 5, 4, 7], supply=200, seed="golden")).plan_hash == self.BY_WEIGHT

    def test_texts_of_the_collection_do_not_move_the_rows(self):
        before = plan(self.doc())
        after = plan({**self.doc(), "description": "New words.", "metadata": {"name": "X #{{number}}"}})
        assert after.plan_hash == before.plan_hash

    def test_another_seed_is_another_plan(self):
        assert plan(self.doc(), seed="a").plan_hash != plan(self.doc(), seed="b").plan_hash

    @pytest.mark.parametrize("supply", [0, -1, 1_000_001, True])
    def test_a_supply_out_of_bounds_is_malformed(self, supply):
        with pytest.raises(Invalid):
            plan(self.doc(), supply=supply)
