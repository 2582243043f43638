"""Rows of a plan are given out once, in order, and a collection has one active cook."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cauldron.domain import reservation
from cauldron.domain.commands import ActivateCook, ReserveRows
from cauldron.domain.errors import Refused
from cauldron.domain.reservation import Rows


def reserve(cook: str, amount: int | None, *, supply: int = 10, plan: str = "h", ended: str | None = None):
    return ReserveRows(
        key=f"k:{cook}", cook_id=cook, amount=amount, supply=supply, plan_hash=plan, ended=ended
    )


def after(commands) -> Rows:
    rows = Rows()
    for command in commands:
        for event in reservation.decide(rows, command):
            reservation.evolve(rows, event, ts=0)
    return rows


def test_the_first_cook_gets_the_first_rows():
    rows = after([reserve("a", 4)])
    assert rows.active == "a"
    assert (rows.reserved["a"]["slotFrom"], rows.reserved["a"]["amount"]) == (0, 4)


def test_the_next_cook_goes_on_where_the_last_one_ended():
    rows = after([reserve("a", 4), reserve("b", None, ended="a")])
    assert (rows.reserved["b"]["slotFrom"], rows.reserved["b"]["amount"]) == (4, 6)


def test_nothing_is_reserved_while_another_cook_is_active():
    assert reservation.decide(after([reserve("a", 4)]), reserve("b", 4)) == []
    assert reservation.decide(after([reserve("a", 4)]), reserve("b", 4, ended="x")) == []


def test_who_has_seen_an_older_cook_end_does_not_displace_a_newer_one():
    rows = after([reserve("a", 2), reserve("b", 2, ended="a")])
    assert reservation.decide(rows, reserve("c", 2, ended="a")) == []


def test_a_cook_reserves_once():
    assert reservation.decide(after([reserve("a", 4)]), reserve("a", 4)) == []


def test_rows_of_another_plan_are_counted_apart():
    rows = after([reserve("a", 10), reserve("b", 3, plan="other", ended="a")])
    assert rows.reserved["b"]["slotFrom"] == 0


@pytest.mark.parametrize(("used", "asked", "words"), [(10, 1, "all 10 rows"), (8, 3, "only 2 of 10")])
def test_what_is_not_left_is_refused(used, asked, words):
    with pytest.raises(Refused, match=words):
        reservation.decide(after([reserve("a", used)]), reserve("b", asked, ended="a"))


def test_an_ended_cook_becomes_the_active_one_again():
    rows = after([reserve("a", 2), reserve("b", 2, ended="a")])
    activate = ActivateCook(key="k", cook_id="a", ended="b")
    assert [e.type for e in reservation.decide(rows, activate)] == ["CookActivated"]
    for event in reservation.decide(rows, activate):
        reservation.evolve(rows, event, ts=0)
    assert rows.active == "a"
    assert reservation.decide(rows, activate) == []


def test_no_cook_is_activated_beside_an_active_one():
    rows = after([reserve("a", 2), reserve("b", 2, ended="a")])
    assert reservation.decide(rows, ActivateCook(key="k", cook_id="a", ended=None)) == []


@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.integers(1, 6), st.booleans(), st.sampled_from(["h", "g"])),
        max_size=12,
    )
)
def test_no_row_is_ever_given_out_twice(wishes):
    rows, given_out = Rows(), {"h": [], "g": []}
    for number, amount, sees_the_end, plan in wishes:
        command = reserve(
            f"c{number}", amount, supply=20, plan=plan, ended=rows.active if sees_the_end else None
        )
        try:
            events = reservation.decide(rows, command)
        except Refused:
            continue
        for event in events:
            reservation.evolve(rows, event, ts=0)
            low = event.data["slotFrom"]
            given_out[plan] += range(low, low + event.data["amount"])
            assert rows.active == command.cook_id
    for slots in given_out.values():
        assert slots == list(range(len(slots)))
        assert len(slots) <= 20
