"""Explanations: what is blamed is really impossible, and nothing blamed is idle."""

import numpy as np
import pytest
from hypothesis import assume, event, given, settings

from cauldron.domain.boxes import build_space
from cauldron.domain.collection import check_collection, parse_collection
from cauldron.domain.conflicts import SUPPLY, Conflicts, first_conflict
from cauldron.domain.errors import Infeasible
from cauldron.domain.flows import largest_flow
from cauldron.domain.planning import make_plan
from cauldron.domain.quotas import largest_remainder, make_demand
from tests.domain import plan_oracle as oracle
from tests.domain.collection_samples import document, grid, numbered, options, small_documents


def reasons(doc, **more):
    with pytest.raises(Infeasible) as refusal:
        make_plan(parse_collection(doc), **more)
    return refusal.value.reasons


def feasible_under(doc, conflicts, items):
    """Whether a plan exists under these settings alone, by the oracle."""
    kept = {conflicts.origins[number] for kind, number, _ in items if kind == "origin"}
    relaxed = {**doc, "rules": [rule for rule in doc["rules"] if rule["id"] in kept]}
    counts = {}
    for kind, column, option in items:
        if kind == "count":
            found = conflicts.space.columns[column]
            names = [o.name for o in conflicts.space.collection.by_name[found.name].choices]
            name = names[option] if option < len(names) else None
            counts[found.name, name] = int(conflicts.demand.counts[column][option])
    return oracle.feasible(relaxed, doc["supply"], counts, exact_supply=SUPPLY in items)


@settings(max_examples=30)
@given(doc=small_documents(subs=False))
def test_what_is_blamed_is_impossible_and_none_of_it_is_idle(doc):
    assume(not check_collection(doc) and any(here for *_, here in oracle.flat(doc)))
    assume(sum(1 for _ in oracle.pieces(doc)) <= 60)
    collection = parse_collection(doc)
    space = build_space(collection)
    conflicts = Conflicts(space=space, demand=make_demand(space, amount=collection.supply, used={}))
    found = first_conflict(conflicts) or first_conflict(conflicts, tests=[conflicts.whole()])
    assert (found is None) == oracle.feasible(doc, doc["supply"])
    if found is None:
        return
    test, items = found
    event("everything" if test.everything else f"{len(test.columns)} columns")
    assert not feasible_under(doc, conflicts, items)
    for item in items:
        rest = [other for other in items if other != item]
        assert not conflicts.fails(test, rest)
        if test.everything or len(test.columns) < 2:
            assert feasible_under(doc, conflicts, rest)


def test_too_small_a_space_is_said_with_both_numbers():
    found = reasons(grid([3, 4], supply=13))
    assert found == ("13 pieces are wanted, but there are only 12 different valid combinations",)


def test_only_the_rules_that_matter_are_named():
    rules = [
        {"id": "matters", "excludes": [{"C0": "o0"}, {"C1": "o0"}]},
        {"id": "idle", "excludes": [{"C0": "o0"}, {"C1": "o0"}, {"C2": "o1"}]},
    ]
    found = reasons(grid([3, 4, 2], supply=23, rules=rules))
    assert found == (
        "23 pieces are wanted, but there are only 22 different valid combinations",
        'rule matters: C0 "o0" never with C1 "o0"',
    )


def test_a_count_beyond_its_combinations_is_named_with_the_room_it_has():
    hat = {"name": "Hat", "options": [{"name": "Crown", "count": 30}, {"name": "Cap"}]}
    doc = document([hat, numbered(20, name="Body")], supply=35)
    assert reasons(doc) == ('Hat "Crown" must appear 30 times, but only 20 valid combinations carry it',)


def test_counts_and_the_rule_between_them_are_named():
    """Crown on 30 of 50 and Ghost on 30 of 50 must meet on 10, which the rule forbids."""
    hat = {"name": "Hat", "options": [{"name": "Crown", "count": 30}, {"name": "Cap"}]}
    body = {"name": "Body", "options": [{"name": "Ghost", "count": 30}, {"name": "Bear"}]}
    rule = {"id": "no-crowned-ghosts", "excludes": [{"Hat": "Crown"}, {"Body": "Ghost"}]}
    other = {"id": "idle", "excludes": [{"Hat": "Cap"}, {"N": "3"}]}
    doc = document([hat, body, numbered(40)], supply=50, rules=[other, rule])
    assert reasons(doc) == (
        "50 pieces are wanted",
        'Hat "Crown" must appear 30 times',
        'Body "Ghost" must appear 30 times',
        'rule no-crowned-ghosts: Hat "Crown" never with Body "Ghost"',
    )


def test_limits_of_sub_collections_are_named():
    sky = {"name": "Sky", "options": [{"name": "Void", "count": 30}, {"name": "Dusk"}]}
    doc = document([sky, numbered(60)], supply=50)
    doc["subCollections"] = [
        {"name": "Night", "size": 20},
        {"name": "Day", "size": 30, "without": {"Sky": "Void"}},
    ]
    assert set(reasons(doc)) == {
        'Sky "Void" must appear 30 times',
        'sub-collection "Night" has 20 pieces',
        'sub-collection "Day" leaves out options of Sky',
    }


@pytest.mark.parametrize(
    ("rule", "supply", "sentence"),
    [
        (
            {"requires": {"when": {"Hat": "Crown"}, "then": {"Body": ["Bear", "Owl"]}}},
            6,
            'rule r: Hat "Crown" needs Body "Bear" or "Owl"',
        ),
        (
            {"together": [{"Hat": "Crown"}, {"Body": "Bear"}]},
            4,
            'rule r: Hat "Crown" and Body "Bear" only all together',
        ),
        (
            {"excludes": [{"tag": "dark"}, {"Body": None}], "in": ["All"]},
            6,
            'rule r: anything tagged "dark" never with Body none, in All',
        ),
    ],
)
def test_rules_of_every_kind_have_words(rule, supply, sentence):
    hat = {"name": "Hat", "options": [{"name": "Crown", "tags": ["dark"]}, {"name": "Cap"}]}
    body = {"name": "Body", "none": 0.5, "options": options("Bear", "Owl")}
    doc = document([hat, body], supply=supply, rules=[{"id": "r", **rule}], subCollections=[{"name": "All"}])
    assert reasons(doc)[-1] == sentence


@pytest.mark.parametrize(
    ("rows", "columns", "bounds", "flow"),
    [
        ([3, 2], [2, 3], [[9, 9], [9, 9]], 5),
        ([3, 2], [2, 3], [[0, 9], [9, 0]], 5),
        ([3, 2], [3, 2], [[0, 9], [9, 0]], 4),
        ([2, 2], [2, 2], [[1, 0], [1, 1]], 3),
        ([1], [], [[]], 0),
        ([10**30], [10**30], [[10**29]], 10**29),
    ],
)
def test_flows(rows, columns, bounds, flow):
    assert largest_flow(rows, columns, bounds) == flow


@pytest.mark.parametrize(
    ("targets", "total", "least", "shares"),
    [
        ([1, 1, 1], 10, None, [4, 3, 3]),
        ([5, 2], 87, None, [62, 25]),
        ([0, 1], 3, None, [0, 3]),
        ([0.1, 0.1, 0.1], 3, None, [1, 1, 1]),
        ([1, 99], 10, [4, 0], [4, 6]),
        ([1e-12, 1e12], 5, None, [0, 5]),
    ],
)
def test_largest_remainder(targets, total, least, shares):
    bound = None if least is None else np.array(least)
    assert largest_remainder(np.array(targets, dtype=float), total=total, least=bound).tolist() == shares
