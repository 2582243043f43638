"""Reading YAML and JSON text without guesses, expansion or surprises."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cauldron.domain.errors import Invalid
from cauldron.domain.json_values import json_problem, shown
from cauldron.domain.strict_yaml import MAX_DOCUMENT_BYTES, read_document

READ = [
    ("a: yes", {"a": "yes"}),
    ("a: NO", {"a": "NO"}),
    ("a: true", {"a": True}),
    ("a: 2026-01-01", {"a": "2026-01-01"}),
    ("a: 12:30", {"a": "12:30"}),
    ("a: 1_000", {"a": "1_000"}),
    ("a: 1e3", {"a": 1000.0}),
    ("a: -.5", {"a": -0.5}),
    ("a: 0x1F", {"a": 31}),
    ("a: 010", {"a": 10}),
    ("a: ~\nb:", {"a": None, "b": None}),
    ("a: .nan", {"a": ".nan"}),
    ("'1': x", {"1": "x"}),
    ("<<: {a: 1}", {"<<": {"a": 1}}),
    ("{a: 1, b: [x]}", {"a": 1, "b": ["x"]}),
    ('{"a":\t1}', {"a": 1}),
    ("", None),
]


@pytest.mark.parametrize(("text", "value"), READ)
def test_scalars_follow_the_core_schema(text, value):
    assert read_document(text) == value


REFUSED = [
    ("a: 1\na: 2", "line 2, column 1: the key 'a' appears twice"),
    ('{"a": 1,\n "a": 2}', "line 2, column 2: the key 'a' appears twice"),
    ("a: &x [1]\nb: *x", "line 2, column 4: aliases"),
    ("a: !!python/object:os.system x", "tags ('tag:yaml.org,2002:python/object:os.system')"),
    ("a: !!int x", "tags"),
    ("1: a", "a key must be text"),
    ("true: a", "a key must be text"),
    ("? [1]\n: 2", "a key must be text"),
    ("a: [1", "line 1"),
    ("a: b\n---\nc: d", "another document"),
    ("a: \x00", "#x0000"),
    ('{"a": NaN}', "a has nan, which is no JSON number"),
    ('{"a": [{"b": 1}, {"c": -Infinity}]}', "a[1].c has -inf, which is no JSON number"),
    ('{"a": 1e999}', "inf"),
    ("a: 1e999", "inf"),
    ('{"a": "\\ud800"}', "surrogate"),
    ('a: "\\ud800"', "surrogate"),
    ("a: " + "9" * 5000, "64 bits"),
    ('{"a": ' + "9" * 5000 + "}", "64 bits"),
    ("a: " + "9" * 25, "64 bits"),
    ("[" * 1000 + "]" * 1000, "nested deeper"),
    ("{a: " * 1000 + "}" * 1000, "nested deeper"),
    ("[" * 100_000, "nested deeper"),
    ("- " * 1000 + "a", "nested deeper"),
    ("a: '" + "x" * MAX_DOCUMENT_BYTES + "'", "allowed"),
]


@pytest.mark.parametrize(("text", "reason"), REFUSED, ids=map(str, range(len(REFUSED))))
def test_what_is_ambiguous_or_dangerous_is_refused_with_its_place(text, reason):
    with pytest.raises(Invalid) as caught:
        read_document(text, source="spell.yaml")
    assert caught.value.message.startswith("spell.yaml:")
    assert reason in caught.value.message
    assert len(caught.value.message) < 300


def test_aliases_cannot_multiply_a_document():
    laughs = "a: &a [x, x]\n" + "".join(
        f"{n}: &{n} [*{p}, *{p}]\n" for p, n in zip("abcdef", "bcdefg", strict=True)
    )
    with pytest.raises(Invalid, match="aliases"):
        read_document(laughs)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=8)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
)  # fmt: skip


@given(st.dictionaries(st.text(max_size=5), VALUES, max_size=4))
def test_json_comes_back_as_it_was_written(value):
    assert json_problem(value) is None
    assert read_document(json.dumps(value)) == value


@given(st.text(max_size=60) | st.text(alphabet="[]{}:,-'\"&*!|>%@` \n\tab01.", max_size=60))
def test_any_text_is_read_or_refused_as_invalid(text):
    with contextlib.suppress(Invalid):
        assert json_problem(read_document(text)) is None


def test_showing_a_value_never_fails():
    assert shown(10**5000) == "a int too large to show"
    assert len(shown("x" * 10**6)) == 60
