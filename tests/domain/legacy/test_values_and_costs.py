"""Single values: money is conserved to the micro-dollar, instants and ids keep what they mean."""

from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cauldron.domain.legacy.costs import ENCODINGS, MOST_USD, parse_cost
from cauldron.domain.legacy.values import born_ms, id_text, iso_of, ms_of, owner_of, whole_of

amounts = st.decimals(min_value=0, max_value=MOST_USD, allow_nan=False, allow_infinity=False, places=10)
micros = st.integers(0, MOST_USD * 1_000_000)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(micro=micros)
def test_a_cost_is_the_same_in_every_encoding(micro):
    usd = Decimal(micro) / 1_000_000
    written = [
        str(usd),
        f"${usd}",
        f" {usd} ",
        {"$numberDecimal": str(usd)},
        {"$numberDouble": repr(float(usd))},
    ]
    written.append(float(usd))
    assert {parse_cost(value).micro_usd for value in written} == {micro}


@given(amount=amounts)
def test_smaller_parts_than_a_micro_dollar_are_rounded_half_even(amount):
    wanted = int((amount * 1_000_000).quantize(Decimal(1), rounding=ROUND_HALF_EVEN))
    assert parse_cost({"$numberDecimal": str(amount)}).micro_usd == wanted
    assert parse_cost(str(amount)).micro_usd == wanted


@given(value=json_values)
def test_no_value_makes_a_cost_fail_and_what_is_unreadable_is_unknown_not_zero(value):
    cost = parse_cost(value)
    assert cost.encoding in ENCODINGS
    assert (cost.micro_usd is None) == (cost.encoding not in ("number", "decimal", "text"))


@pytest.mark.parametrize(
    ("value", "encoding"),
    [
        (None, "absent"),
        ("n/a", "unreadable"),
        ("", "unreadable"),
        (True, "unreadable"),
        (-0.01, "negative"),
        ("-3", "negative"),
        (10**9, "excessive"),
        ("1e999999999", "excessive"),
        (float("nan"), "unreadable"),
        ({"$numberDecimal": "NaN"}, "unreadable"),
        ({"$numberDecimal": "Infinity"}, "unreadable"),
        ({"$numberDecimal": "1", "more": 1}, "unreadable"),
        ("9" * 65, "unreadable"),
    ],
)
def test_what_is_no_cost_says_why(value, encoding):
    assert parse_cost(value) == (None, encoding)


@given(value=json_values)
def test_no_value_makes_the_readers_fail(value):
    for read in (id_text, ms_of, iso_of, whole_of, owner_of):
        read(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("2025-08-30T10:00:00Z", "2025-08-30T10:00:00.000Z"),
        ("2025-08-30T12:00:00+02:00", "2025-08-30T10:00:00.000Z"),
        ("2025-08-30T10:00:00.123Z", "2025-08-30T10:00:00.123Z"),
        (1_756_548_000_000, "2025-08-30T10:00:00.000Z"),
        (1_756_548_000, "2025-08-30T10:00:00.000Z"),
        ("1756548000000", "2025-08-30T10:00:00.000Z"),
        ("yesterday", None),
        (-5, None),
        (10**18, None),
        (None, None),
    ],
)
def test_instants_of_every_spelling_are_one(value, text):
    assert iso_of(value) == text


@pytest.mark.parametrize(
    ("value", "owner"),
    [
        ("65200000000000000000ABCD", "65200000000000000000abcd"),
        (123456789, "telegram:123456789"),
        ("123456789", "telegram:123456789"),
        ("0xABCDEF0123456789abcdef0123456789ABCDEF01", "0xabcdef0123456789abcdef0123456789abcdef01"),
        (None, "unowned"),
        ("", "unowned"),
        ({"a": 1}, "unowned"),
    ],
)
def test_owners_are_known_in_every_form(value, owner):
    assert owner_of(value) == owner


def test_an_object_id_knows_when_it_was_made():
    assert born_ms("65f1a0000000000000000000") == 0x65F1A000 * 1000
    assert born_ms("not-an-id") is None
