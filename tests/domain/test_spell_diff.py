"""What differs between spell documents: named field by field, and enough to make one from the other."""

import json

from hypothesis import given
from hypothesis import strategies as st

from cauldron.domain.spell_diff import Change, diff_documents

NAMES = st.sampled_from(["a", "b", "c", "d"])
LEAVES = st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=3) | st.just([]) | st.just({})


def items(key):
    """A list whose items go by ``key``."""
    parts = st.dictionaries(NAMES, st.dictionaries(st.sampled_from(["tool", "text"]), LEAVES), max_size=4)
    return parts.map(lambda found: [{key: name, **fields} for name, fields in found.items()])


DOCUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "name": st.text(max_size=4),
        "inputs": items("name"),
        "steps": items("id"),
        "output": st.dictionaries(NAMES, LEAVES),
    },
)


def canonical(document):
    return json.dumps(document, sort_keys=True)


@given(DOCUMENTS)
def test_a_document_does_not_differ_from_itself(document):
    assert diff_documents(document, document) == []


@given(DOCUMENTS, DOCUMENTS)
def test_documents_that_differ_say_so_and_the_way_back_mirrors_it(one, other):
    there, back = diff_documents(one, other), diff_documents(other, one)
    assert bool(there) == (canonical(one) != canonical(other))
    mirror = {"added": "removed", "removed": "added"}
    turned = {(c.path, mirror.get(c.change, c.change), repr(c.after), repr(c.before)) for c in there}
    assert turned == {(c.path, c.change, repr(c.before), repr(c.after)) for c in back}
    assert len({(c.path, c.change) for c in there}) == len(there)


def test_items_go_by_name_whatever_their_place_and_an_order_is_one_change():
    before = {"inputs": [{"name": "a", "kind": "text"}, {"name": "b", "kind": "text"}]}
    after = {"inputs": [{"name": "b", "kind": "text"}, {"name": "a", "kind": "text", "maxLength": 4}]}
    assert diff_documents(before, after) == [
        Change("inputs", "moved", ["a", "b"], ["b", "a"]),
        Change("inputs.a.maxLength", "added", None, 4),
    ]


def test_what_is_wholly_new_is_named_by_its_fields():
    after = {"steps": [{"id": "card", "tool": "text.card", "inputs": {"text": {"input": "words"}}}]}
    assert diff_documents({"steps": []}, after) == [
        Change("steps.card.tool", "added", None, "text.card"),
        Change("steps.card.inputs.text.input", "added", None, "words"),
    ]


def test_items_that_go_by_another_field_now_are_other_items():
    before, after = {"x": [{"id": "a"}]}, {"x": [{"name": "a"}]}
    assert diff_documents(before, after) == [Change("x", "changed", [{"id": "a"}], [{"name": "a"}])]


def test_lists_whose_items_have_no_name_are_values():
    before, after = {"x": [1, 2]}, {"x": [2, 1]}
    assert diff_documents(before, after) == [Change("x", "changed", [1, 2], [2, 1])]
    twice = {"x": [{"id": "a"}, {"id": "a"}]}
    assert diff_documents(twice, {"x": [{"id": "a"}]}) == [
        Change("x", "changed", [{"id": "a"}, {"id": "a"}], [{"id": "a"}])
    ]
