"""One piece with chosen traits: what was chosen is there, the rest is drawn and keeps the rules."""

import pytest

from cauldron.domain.collection import parse_collection
from cauldron.domain.errors import InvalidMany
from cauldron.domain.trying import try_traits

TASSEL = {"name": "Tassel", "options": [{"name": "Red"}, {"name": "Blue"}]}
DOCUMENT = {
    "cauldron": 1,
    "name": "Hats",
    "supply": 6,
    "generator": {"tool": "text.card", "inputs": {"text": "[[Hat]]"}},
    "categories": [
        {
            "name": "Hat",
            "none": 0.2,
            "options": [
                {"name": "Fez", "categories": [TASSEL]},
                {"name": "Crown"},
                {"name": "Never", "weight": 0},
            ],
        },
        {"name": "Mood", "options": [{"name": "Calm"}, {"name": "Wild"}]},
        {"name": "Number", "range": {"from": 1, "to": 50}},
    ],
    "rules": [{"id": "calm", "excludes": [{"Hat": "Crown"}, {"Mood": "Wild"}]}],
}  # fmt: skip


def tried(traits, seed="s"):
    return try_traits(parse_collection(DOCUMENT), traits, seed=seed)


def test_what_is_chosen_is_there_and_the_same_seed_draws_the_same():
    found = tried({"Hat": "Crown", "Number": 7})
    assert found.selection.traits["Hat"] == "Crown"
    assert found.selection.names["Number"] == "7"
    assert found.selection == tried({"Hat": "Crown", "Number": 7}).selection


def test_the_rest_is_drawn_so_that_the_rules_hold():
    for seed in range(20):
        found = tried({"Hat": "Crown"}, seed=str(seed))
        assert found.allowed
        assert found.selection.traits["Mood"] == "Calm"


def test_a_choice_against_the_rules_is_made_all_the_same_and_said():
    found = tried({"Hat": "Crown", "Mood": "Wild"})
    assert found.allowed is False
    assert found.selection.traits["Mood"] == "Wild"


def test_a_nested_choice_brings_its_host_along():
    found = tried({"Tassel": "Blue"})
    assert found.selection.traits["Hat"] == "Fez"
    assert found.selection.traits["Tassel"] == "Blue"
    assert "Tassel" not in tried({"Hat": "Crown"}).selection.traits


def test_an_option_that_never_appears_can_be_tried_and_none_where_there_may_be_none():
    assert tried({"Hat": "Never"}).selection.traits["Hat"] == "Never"
    assert "Hat" not in tried({"Hat": None}).selection.traits


def test_what_does_not_exist_is_named():
    with pytest.raises(InvalidMany) as raised:
        tried({"Hat": "Beret", "Nose": "Red", "Mood": None, "Number": 99})
    assert [p.path for p in raised.value.problems] == [
        "traits.Hat",
        "traits.Nose",
        "traits.Mood",
        "traits.Number",
    ]
