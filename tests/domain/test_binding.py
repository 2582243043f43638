"""Filling placeholders: once, typed, with missing layers dropped."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cauldron.domain.binding import check_placeholders, fill_text, resolve_inputs
from cauldron.domain.collection import parse_collection
from cauldron.domain.media import is_media
from cauldron.domain.planning import make_plan
from tests.domain.collection_samples import document, options

REF = {"media": "sha256:" + "a" * 64, "mime": "image/png", "sizeBytes": 3, "width": 4, "height": 4}


def resolved(inputs, categories, **more):
    doc = document(categories, supply=1, generator={"tool": "t", "inputs": inputs}, **more)
    collection = parse_collection(doc)
    return resolve_inputs(collection, make_plan(collection, seed="s").selection(0))


def one(value, *, name="Hat", option="Crown"):
    return {"name": name, "options": [{"name": option, "value": value}]}


WITHOUT = {"name": "Halo", "none": 1, "options": options("Ring")}


@pytest.mark.parametrize(
    "value",
    ["text", 3, 0.5, True, False, None, [1, "a"], {"a": {"b": 1}}, REF, {"image": REF, "opacity": 0.5}],
)
def test_a_whole_placeholder_keeps_the_type(value):
    assert resolved({"x": "[[Hat]]"}, [one(value)]) == {"x": value}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("red", "a red hat"),
        (3, "a 3 hat"),
        (0.5, "a 0.5 hat"),
        (True, "a Crown hat"),
        ([1], "a Crown hat"),
        (REF, "a Crown hat"),
    ],
)
def test_inside_text_the_value_is_text_or_its_name(value, text):
    assert resolved({"x": "a [[Hat]] hat"}, [one(value)])["x"] == text


def test_names_rows_and_literal_brackets():
    found = resolved(
        {"a": "[[Hat:name]]", "b": "[[$slot]]", "c": r"\[[Hat]] [[Hat:name]]/[[$slot]]", "d": "[[ Hat ]]"},
        [one("red")],
    )
    assert found == {"a": "Crown", "b": 0, "c": "[[Hat]] Crown/0", "d": "red"}
    assert 0 <= resolved({"s": "[[$seed]]"}, [one("red")])["s"] < 2**32


@given(value=st.text(alphabet="[]{}\\$Hat:name ", max_size=30))
def test_what_comes_in_is_never_read_again(value):
    found = resolved({"x": "<[[Hat]]>", "y": ["[[Hat]]"]}, [one(value)])
    assert found == {"x": f"<{value}>", "y": [value]}


def test_none_is_null_empty_text_and_a_dropped_layer():
    inputs = {
        "value": "[[Halo]]",
        "text": "([[Halo]])",
        "layers": [{"image": "[[Halo]]", "blend": "screen"}, "[[Halo]]", {"image": "[[Hat]]"}, 1],
        "alone": {"image": "[[Halo]]"},
        "inner": {"keep": {"image": "[[Halo]]"}, "a": 1},
    }
    assert resolved(inputs, [WITHOUT, one(REF)]) == {
        "value": None,
        "text": "()",
        "layers": [{"image": REF}, 1],
        "alone": None,
        "inner": {"keep": None, "a": 1},
    }


def test_an_image_brings_its_own_keys_and_explicit_ones_win():
    value = {"image": REF, "opacity": 0.3, "x": 5}
    found = resolved({"layers": [{"image": "[[Hat]]", "opacity": 0.8}]}, [one(value)])
    assert found == {"layers": [{"image": REF, "opacity": 0.8, "x": 5}]}
    assert is_media(found["layers"][0]["image"])


def test_options_bind_over_inputs_and_one_of_ones_over_both():
    hat = {"name": "Hat", "options": [{"name": "Crown", "bind": {"style": "gold [[Hat]]", "size": 3}}]}
    inputs = {"style": "plain", "size": 1, "other": 2}
    assert resolved(inputs, [hat]) == {"style": "gold Crown", "size": 3, "other": 2}
    first = {"name": "First", "traits": {"Hat": "Crown"}, "inputs": {"size": 9, "text": "[[Hat]]!"}}
    found = resolved(inputs, [hat], oneOfOnes=[first])
    assert found == {"style": "gold Crown", "size": 9, "other": 2, "text": "Crown!"}


def test_names_and_descriptions_are_filled_in_one_pass():
    collection = parse_collection(document([one("{{number}} [[Hat]]")], supply=1))
    selection = make_plan(collection).selection(0)
    text = fill_text(
        r"{{collection}} #{{number}}: [[Hat]] \{{x}} \[[y]]",
        selection,
        extra={"number": "7", "collection": "[[Hat]]"},
    )
    assert text == "[[Hat]] #7: {{number}} [[Hat]] {{x}} [[y]]"


def test_a_category_called_like_a_suffix_is_itself():
    categories = [one("a"), one("b", name="Hat:name")]
    assert resolved({"x": "[[Hat:name]] [[Hat:name:name]]"}, categories)["x"] == "b Crown"


def test_padded_numbers_are_text_inside_text_and_numbers_alone():
    level = {"name": "Level", "range": {"from": 7, "to": 7, "pad": 3}}
    assert resolved({"a": "[[Level]]", "b": "no. [[Level]]"}, [level]) == {"a": 7, "b": "no. 007"}


def test_the_checker_is_the_one_documents_are_read_with():
    collection = parse_collection(document([one("a")], generator={"tool": "t", "inputs": {"x": "[[Hat]]"}}))
    assert check_placeholders(collection) == []
