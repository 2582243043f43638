"""Plans as data: selections, counts, and bytes that come back or are refused."""

import json

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cauldron.domain.collection import check_collection, parse_collection
from cauldron.domain.errors import Infeasible, Invalid, NotFound
from cauldron.domain.plan import Plan
from cauldron.domain.plan_document import plan_lines
from cauldron.domain.planning import make_plan
from tests.domain.collection_samples import document, grid, numbered, options, small_documents


@given(doc=small_documents())
def test_plans_come_back_from_bytes_equal(doc):
    assume(not check_collection(doc))
    try:
        plan = make_plan(parse_collection(doc))
    except Infeasible:
        return
    again = Plan.from_bytes(plan.to_bytes())
    assert again.to_bytes() == plan.to_bytes()
    assert again.plan_hash == plan.plan_hash
    assert again.collection == plan.collection
    assert list(again.selections()) == list(plan.selections())
    for selection in plan.selections():
        assert list(again.traits(selection.slot).items()) == list(selection.traits.items())


@given(place=st.integers(0, 10_000), change=st.integers(1, 255))
def test_a_changed_byte_is_noticed(place, change):
    data = bytearray(make_plan(parse_collection(grid([3, 4], supply=7, name="Same"))).to_bytes())
    data[place % len(data)] ^= change
    try:
        plan = Plan.from_bytes(bytes(data))
    except Invalid:
        return
    assert plan.plan_hash == make_plan(parse_collection(grid([3, 4], supply=7))).plan_hash


@pytest.mark.parametrize("data", [b"", b"CAULDRON PLAN 1\n", b"CAULDRON PLAN 1\n" + b"\xff" * 40, b"{}" * 99])
def test_what_is_no_plan_is_refused(data):
    with pytest.raises(Invalid, match="this is no plan"):
        Plan.from_bytes(data)


def test_the_traits_of_one_of_ones_and_of_hidden_numbered_and_seeded_categories_are_those_of_the_selection():
    doc = document(
        [
            {"name": "Sky", "label": "Backdrop", "options": options("Dusk", "Dawn")},
            {"name": "Mood", "metadata": False, "options": options("Calm")},
            {"name": "Power", "displayType": "number", "range": {"from": 1, "to": 9}},
            {"name": "Grain", "seed": True},
        ],
        supply=6,
        oneOfOnes=[{"name": "The First", "traits": {"Sky": "Aurora", "Power": 7}}],
    )
    plan = make_plan(parse_collection(doc))
    found = [list(plan.traits(slot).items()) for slot in range(6)]
    assert found == [list(selection.traits.items()) for selection in plan.selections()]
    assert [("Backdrop", "Aurora"), ("Power", 7)] in found
    with pytest.raises(NotFound):
        plan.traits(6)


def test_a_plan_cut_short_or_with_more_behind_is_refused():
    data = make_plan(parse_collection(grid([3, 4], supply=7))).to_bytes()
    for broken in (data[:-1], data + b"\0"):
        with pytest.raises(Invalid):
            Plan.from_bytes(broken)


def test_selections_hold_names_values_and_what_the_metadata_shows():
    doc = document(
        [
            {"name": "Sky", "label": "Backdrop", "options": [{"name": "Dusk", "value": {"image": "a.png"}}]},
            {"name": "Mood", "metadata": False, "options": options("Calm")},
            {"name": "Halo", "none": 1, "options": options("Ring")},
            {"name": "Level", "range": {"from": 7, "to": 7, "pad": 3}, "displayType": "number"},
            {"name": "Serial", "range": {"from": 7, "to": 7, "pad": 3}},
            {"name": "Plain", "range": {"from": 7, "to": 7}},
            {"name": "Power", "displayType": "number", "options": [{"name": "Big", "value": 9}]},
            {"name": "Grain", "seed": True},
        ],
        supply=1,
    )
    found = make_plan(parse_collection(doc)).selection(0)
    assert found.traits == {"Backdrop": "Dusk", "Level": 7, "Serial": "007", "Plain": 7, "Power": 9}
    assert found.hidden == {"Mood": "Calm"}
    assert found.values["Sky"] == {"image": "a.png"}
    assert found.values["Halo"] is None
    assert found.names["Halo"] is None
    assert isinstance(found.values["Grain"], int)
    with pytest.raises(NotFound):
        make_plan(parse_collection(doc)).selection(1)


def test_option_counts_are_those_of_the_selections():
    doc = grid([4, 4, 3], supply=30, oneOfOnes=[{"name": "One", "traits": {"C0": "strange"}}])
    plan = make_plan(parse_collection(doc))
    counts = plan.counts()
    for name, table in counts.items():
        names = [s.names[name] for s in plan.selections()]
        assert table == {option: names.count(option) for option in table}
        assert sum(table.values()) == 30
    assert counts["C0"]["strange"] == 1


def test_the_readable_document_has_a_line_per_piece():
    doc = document([{"name": "Sky", "metadata": False, "options": options("A")}, numbered(5)], supply=5)
    doc["subCollections"] = [{"name": "All"}]
    plan = make_plan(parse_collection(doc))
    lines = list(plan_lines(plan))
    body = json.loads(b"".join(lines))
    assert len(lines) == 7
    assert body["planHash"] == plan.plan_hash
    assert [piece["slot"] for piece in body["pieces"]] == list(range(5))
    assert body["pieces"][0]["hidden"] == {"Sky": "A"}
    assert body["pieces"][0]["subCollection"] == "All"


def test_rows_say_which_option_every_slot_has():
    plan = make_plan(parse_collection(grid([3, 4], supply=12)))
    assert plan.rows.shape == (12, 2)
    assert plan.columns == ("C0", "C1")
    assert len(np.unique(plan.rows, axis=0)) == 12
