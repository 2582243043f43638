"""The decider of a cast: it starts once and ends once, whatever arrives later."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cauldron.domain import cast as casts
from cauldron.domain.cast import Cast, CastState
from cauldron.domain.commands import EndCast, StartCast
from cauldron.domain.errors import NotFound, Refused
from tests.domain.cook_samples import STARTED, step

START = StartCast(
    key="cast:ann:1",
    cast_id="a1",
    spell_id="s1",
    spell_name="Postcard",
    spell_version="3",
    config_hash="conf",
    owner="ann",
    payer_account_id="bob",
    inputs={"text": "hello"},
    credit_tx_id="tx1",
)


def end(status: str, *, key: str = "end:a1") -> EndCast:
    error = {"code": "tool_error", "message": "it broke"} if status == "failed" else None
    return EndCast(key=key, status=status, steps=[step()], outputs={"image": "x"}, error=error)


def after(commands) -> Cast:
    cast = Cast()
    for index, command in enumerate(commands):
        for event in casts.decide(cast, command):
            casts.evolve(cast, event, ts=STARTED + 1000 * index)
    return cast


@pytest.mark.parametrize(
    ("given_", "when", "then", "state"),
    [
        ([], START, ["CastStarted"], "running"),
        ([START], START, Refused, "running"),
        ([], end("success"), NotFound, "none"),
        ([START], end("success"), ["CastCompleted"], "completed"),
        ([START], end("failed"), ["CastFailed"], "failed"),
        ([START], end("cancelled"), ["CastCancelled"], "cancelled"),
        ([START, end("success")], end("failed"), [], "completed"),
        ([START, end("failed")], end("success"), [], "failed"),
        ([START, end("cancelled")], end("success"), [], "cancelled"),
        ([START, end("success")], START, Refused, "completed"),
    ],
    ids=[
        "start",
        "start twice",
        "end what never started",
        "complete",
        "fail",
        "cancel",
        "a failure after the end",
        "a success after a failure",
        "a success after a cancellation",
        "start after the end",
    ],
)
def test_decide(given_, when, then, state):
    cast = after(given_)
    if isinstance(then, list):
        events = casts.decide(cast, when)
        assert [e.type for e in events] == then
        for event in events:
            casts.evolve(cast, event, ts=STARTED)
    else:
        with pytest.raises(then):
            casts.decide(cast, when)
    assert cast.state == CastState(state)


def test_the_event_of_a_start_names_who_pays_and_what_was_asked():
    [event] = casts.decide(Cast(), START)
    assert event.data["payerAccountId"] == "bob"
    assert event.data["inputs"] == {"text": "hello"}
    assert event.data["spellVersion"] == "3"


def test_a_failed_cast_keeps_its_error_and_its_steps():
    cast = after([START, end("failed")])
    assert cast.ended["error"]["code"] == "tool_error"
    assert len(cast.ended["steps"]) == 1


@given(ends=st.lists(st.sampled_from(["success", "failed", "cancelled"]), min_size=1, max_size=5))
def test_the_first_end_is_the_only_one(ends):
    cast = after([START, *(end(status) for status in ends)])
    assert cast.state == {"success": "completed"}.get(ends[0], ends[0])
    assert cast.ended_ms == STARTED + 1000


def test_folding_a_late_end_again_changes_nothing():
    cast = after([START, end("success")])
    for event in casts.decide(after([START]), end("failed")):
        casts.evolve(cast, event, ts=STARTED + 9000)
    assert (cast.state, cast.ended_ms) == (CastState.COMPLETED, STARTED + 1000)
