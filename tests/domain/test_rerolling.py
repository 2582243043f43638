"""Re-rolls: rejected slots change for good, frozen ones never, counts and rules hold."""

import numpy as np
import pytest
from hypothesis import assume, event, given
from hypothesis import strategies as st

from cauldron.domain.collection import check_collection, parse_collection
from cauldron.domain.errors import Infeasible, Invalid, NotFound, Refused
from cauldron.domain.plan import Plan
from cauldron.domain.planning import make_plan
from cauldron.domain.rerolling import changed_slots, reroll
from tests.domain import plan_oracle as oracle
from tests.domain.collection_samples import (
    document,
    grid,
    numbered,
    options,
    pair_rules,
    small_documents,
    with_counts,
)


def rolled(doc, plan, *, slots, frozen=(), seed="x"):
    return reroll(parse_collection(doc), plan, slots=slots, frozen=frozen, seed=seed)


@given(doc=small_documents(), data=st.data())
def test_whatever_is_re_rolled_the_plan_stays_a_plan(doc, data):
    assume(not check_collection(doc) and any(here for *_, here in oracle.flat(doc)))
    collection = parse_collection(doc)
    try:
        plan = make_plan(collection)
    except Infeasible:
        return
    slots = data.draw(st.lists(st.integers(0, plan.supply - 1), min_size=1, max_size=3, unique=True))
    others = [slot for slot in range(plan.supply) if slot not in slots]
    frozen = data.draw(st.lists(st.sampled_from(others), unique=True)) if others else []
    try:
        after = reroll(collection, plan, slots=slots, frozen=frozen, seed="x")
    except Infeasible as refusal:
        event("nothing fits")
        assert refusal.reasons
        return
    event("re-rolled")
    assert oracle.faults(doc, after) == []
    assert (after.rows[frozen] == plan.rows[frozen]).all()
    rejected = {oracle.compared(doc, plan.selection(slot).names) for slot in slots}
    assert not rejected & {oracle.compared(doc, s.names) for s in after.selections()}
    assert set(slots) <= set(changed_slots(plan, after))


def test_exact_counts_are_kept_where_other_rows_may_help():
    sizes = [10, 10, 10]
    doc = with_counts(grid(sizes, supply=120, rules=pair_rules(sizes, count=5, seed=4)))
    plan = make_plan(parse_collection(doc))
    after = rolled(doc, plan, slots=range(20), frozen=range(20, 80))
    assert after.counts() == plan.counts()
    assert (after.rows[20:80] == plan.rows[20:80]).all()
    assert oracle.faults(doc, after) == []


def test_by_weight_alone_nobody_else_is_touched():
    doc = grid([10] * 5, supply=300)
    plan = make_plan(parse_collection(doc))
    after = rolled(doc, plan, slots=[3, 30, 299])
    assert changed_slots(plan, after) == [3, 30, 299]


def test_what_was_rejected_once_never_comes_back():
    """Seven pieces, three used: four re-rolls of one slot find each of the others, a fifth finds none."""
    doc = document([numbered(7)], supply=3)
    plan = make_plan(parse_collection(doc))
    seen = {plan.selection(1).names["N"]}
    for turn in range(4):
        plan = Plan.from_bytes(rolled(doc, plan, slots=[1], seed=str(turn)).to_bytes())
        seen.add(plan.selection(1).names["N"])
    assert len(seen) == 5
    with pytest.raises(Infeasible) as refusal:
        rolled(doc, plan, slots=[1], seed="more")
    assert refusal.value.reasons


def test_nothing_is_left_where_every_piece_is_used():
    doc = grid([8, 13], supply=104)
    with pytest.raises(Infeasible, match="No other selection fits"):
        rolled(
            doc,
            make_plan(parse_collection(doc)),
            slots=[5],
            frozen=[slot for slot in range(104) if slot != 5],
        )


def test_the_seed_of_the_piece_changes_even_where_no_trait_can():
    doc = document([{"name": "Grain", "seed": True}], supply=3)
    plan = make_plan(parse_collection(doc))
    after = rolled(doc, plan, slots=[1])
    assert [a.seed != b.seed for a, b in zip(plan.selections(), after.selections(), strict=True)] == [
        False,
        True,
        False,
    ]
    assert changed_slots(plan, after) == [1]


def test_numbers_stay_with_their_slot_and_order_stays():
    doc = document(
        [
            {"name": "Level", "range": {"from": 1, "to": 99, "unique": True}},
            {
                "name": "Photo",
                "unique": False,
                "images": {"items": [{"name": "a"}, {"name": "b"}], "draw": "order"},
            },
            numbered(50),
        ],
        supply=20,
    )
    plan = make_plan(parse_collection(doc))
    after = rolled(doc, plan, slots=[4, 5])
    for name in ("Level", "Photo"):
        assert [s.names[name] for s in after.selections()] == [s.names[name] for s in plan.selections()]


def test_nested_numbers_follow_their_category():
    serial = {"name": "Serial", "range": {"from": 1, "to": 40, "unique": True}}
    body = {"name": "Body", "options": [{"name": "Robot", "categories": [serial]}, {"name": "Bear"}]}
    doc = document([body, numbered(60)], supply=40)
    after = rolled(doc, make_plan(parse_collection(doc)), slots=range(15))
    held = [(s.names["Body"], s.values["Serial"]) for s in after.selections()]
    assert all((number is not None) == (name == "Robot") for name, number in held)
    numbers = [number for _, number in held if number is not None]
    assert len(numbers) == len(set(numbers))


def test_sub_collections_keep_their_sizes():
    subs = [{"name": "A", "size": 12, "only": {"C0": ["o0", "o1"]}}, {"name": "B", "size": 18}]
    doc = grid([4, 9, 3], supply=30, subCollections=subs)
    after = rolled(doc, make_plan(parse_collection(doc)), slots=range(10), frozen=range(15, 30))
    assert oracle.faults(doc, after) == []


def test_the_same_call_gives_the_same_plan():
    doc = grid([6, 6, 6], supply=50)
    plan = make_plan(parse_collection(doc))
    assert rolled(doc, plan, slots=[1, 2]).plan_hash == rolled(doc, plan, slots=[2, 1]).plan_hash
    assert rolled(doc, plan, slots=[1, 2]).plan_hash != rolled(doc, plan, slots=[1, 2], seed="y").plan_hash
    assert rolled(doc, plan, slots=[]) is plan


def test_what_cannot_be_asked_is_refused():
    doc = grid([3, 4], supply=5, oneOfOnes=[{"name": "One"}])
    plan = make_plan(parse_collection(doc))
    one = next(iter(plan.ones))
    other = next(slot for slot in range(5) if slot != one)
    with pytest.raises(Invalid, match="one-of-one"):
        rolled(doc, plan, slots=[one])
    with pytest.raises(Invalid, match="at once"):
        rolled(doc, plan, slots=[other], frozen=[other])
    with pytest.raises(NotFound):
        rolled(doc, plan, slots=[5])
    with pytest.raises(Refused):
        rolled(grid([3, 5], supply=5, oneOfOnes=[{"name": "One"}]), plan, slots=[other])
    assert np.array_equal(rolled(doc, plan, slots=[other], frozen=[one]).rows[one], plan.rows[one])


def test_options_that_only_one_slot_may_have_move_with_their_counts():
    hat = {"name": "Hat", "options": [{"name": "Crown", "count": 1}, *options("Cap", "Top")]}
    doc = document([hat, numbered(30)], supply=20)
    plan = make_plan(parse_collection(doc))
    crown = next(s.slot for s in plan.selections() if s.names["Hat"] == "Crown")
    assert rolled(doc, plan, slots=[crown]).counts()["Hat"]["Crown"] == 1
