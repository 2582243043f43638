"""Read models of a cook: counters, the parent record, pieces and their outputs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cauldron.domain import cook as cooks
from cauldron.domain import status
from cauldron.domain.cook_state import Cook
from tests.domain.cook_samples import (
    PAUSE,
    START,
    STARTED,
    after,
    apply,
    failed,
    made,
    refill,
    review,
    start,
    step,
)


def test_counters_are_a_count_of_the_pieces():
    history = [start(6, failure_budget=9), made(1), made(2), made(3), failed(4), made(5)]
    history += [review("approve", 1, 2), review("reject", 3), review("cull", 2)]
    doc = status.status_document(after(history), seq=9)
    wanted = {
        "state": "Cooking",
        "targetSupply": 6,
        "generationCount": 4,
        "queued": 1,
        "unreviewed": 1,
        "approved": 1,
        "rejected": 1,
        "failed": 1,
        "culled": 1,
        "toRefill": 2,
        "lastGenerated": 5,
        "seq": 9,
    }
    assert {key: doc[key] for key in wanted} == wanted
    assert doc["failuresByCode"] == {"tool_error": 1}
    assert doc["costUsd"] == pytest.approx(5 * 7e-6)


def test_a_revived_piece_counts_as_approved():
    cook = after([START, made(1), review("approve", 1), review("cull", 1), review("revive", 1)])
    doc = status.status_document(cook, seq=1)
    assert (doc["approved"], doc["culled"]) == (1, 0)


def test_a_refilled_slot_needs_no_refill():
    cook = after([START, failed(1), refill(1)])
    doc = status.status_document(cook, seq=1)
    assert (doc["toRefill"], doc["failed"], doc["queued"]) == (0, 1, 3)


def cooked(times_ms: list[int], *, amount: int = 1000) -> Cook:
    cook = after([start(amount)])
    for piece, ts in enumerate(times_ms, 1):
        apply(cook, cooks.decide(cook, made(piece)), ts=STARTED + ts)
    return cook


def test_rate_and_eta_follow_the_last_minute():
    doc = status.status_document(cooked([500 * n for n in range(1, 21)]), seq=1)
    assert doc["rate"] == pytest.approx(2.0)
    assert doc["eta"] == pytest.approx(980 / 2.0)


def test_an_hour_of_rest_does_not_slow_the_rate():
    cook = cooked([100, 200])
    late = 3_600_000
    for piece, ts in ((3, late), (4, late + 1000), (5, late + 2000)):
        apply(cook, cooks.decide(cook, made(piece)), ts=STARTED + ts)
    assert status.rate_per_s(cook) == pytest.approx(1.0)


def test_a_clock_set_back_gives_no_rate_rather_than_a_wrong_one():
    assert status.rate_per_s(cooked([-5000, -4000])) == 0.0


def test_a_paused_cook_promises_no_end():
    cook = cooked([500, 1000])
    apply(cook, cooks.decide(cook, PAUSE), ts=STARTED + 1500)
    assert status.status_document(cook, seq=1)["eta"] is None


def test_the_parent_record_knows_when_it_ended():
    record = status.cook_document(after([start(1), made(1)]), seq=3, first_outputs=["o"])
    assert record["status"] == "Completed"
    assert record["completedAt"] == "2026-01-01T00:00:01.000Z"
    assert record["generationIds"] == ["o"]
    assert status.cook_document(after([START]), seq=1, first_outputs=[])["completedAt"] is None


def piece_event(command, history=(START,)):
    cook = after(history)
    return cook, cooks.decide(cook, command)[0].data


def test_a_piece_links_to_the_output_that_made_it():
    cook, data = piece_event(made(2))
    doc = status.piece_document(cook, data, traits={"Hat": "Crown"}, state="generated", ts=STARTED, seq=4)
    [output] = status.output_documents(cook, data, seq=4)
    assert doc["outputId"] == output["_id"] == "c1.2.1.0"
    assert (doc["_id"], doc["number"], doc["slot"], doc["traits"]) == ("c1.2", 2, 1, {"Hat": "Crown"})
    assert (output["pieceId"], output["cookId"], output["castId"]) == ("c1.2", "c1", None)


def test_outputs_of_earlier_attempts_have_ids_of_their_own():
    cook, data = piece_event(made(1, attempt=2))
    data["steps"] = [step(1, status="failed"), step(2)]
    ids = [o["_id"] for o in status.output_documents(cook, data, seq=1)]
    assert ids == ["c1.1.1.0", "c1.1.2.1"]
    doc = status.piece_document(cook, data, traits={}, state="generated", ts=STARTED, seq=1)
    assert doc["outputId"] == ids[-1]


def test_a_piece_of_a_spell_has_a_cast_and_one_of_a_tool_has_none():
    spell = [start(3, generator={"kind": "spell", "id": "postcard"})]
    cook, data = piece_event(made(1, attempt=2), spell)
    data["steps"] = [step(1, status="failed"), step(2), step(2)]
    first, cast = status.inner_cast_documents(cook, data, ts=STARTED, seq=1)
    outputs = list(status.output_documents(cook, data, seq=1))
    assert (first["_id"], cast["_id"]) == ("c1.1.1", "c1.1.2")
    for each in (first, cast):
        assert each["generationIds"] == [o["_id"] for o in outputs if o["castId"] == each["_id"]]
    assert (first["generationCount"], cast["generationCount"]) == (1, 2)
    assert (first["status"], cast["status"]) == ("failed", "completed")
    assert first["costUsd"] + cast["costUsd"] == pytest.approx(sum(o["costUsd"] for o in outputs))
    assert list(status.inner_cast_documents(*piece_event(made(1)), ts=STARTED, seq=1)) == []


def test_a_piece_that_failed_before_any_step_has_no_output():
    cook, data = piece_event(failed(1))
    data["steps"] = []
    doc = status.piece_document(cook, data, traits={}, state="failed", ts=STARTED, seq=1)
    assert doc["outputId"] is None
    assert doc["error"]["code"] == "tool_error"


@pytest.mark.parametrize(
    ("decision", "state"),
    [
        ("approved", "approved"),
        ("rejected", "rejected"),
        ("culled", "culled"),
        ("kept", "kept"),
        ("reset", "generated"),
    ],
)
def test_a_decision_sets_the_state_of_a_piece(decision, state):
    changes = status.review_changes({"decision": decision, "reason": "r"}, actor="ann", ts=STARTED, seq=7)
    assert changes == {
        "state": state,
        "reviewReason": "r",
        "reviewedBy": "ann",
        "updatedAt": "2026-01-01T00:00:00.000Z",
        "seq": 7,
    }


@given(st.lists(st.integers(0, 200_000), min_size=1, max_size=200))
def test_the_rate_is_never_negative_and_the_memory_of_it_bounded(times_ms):
    cook = cooked(times_ms)
    assert status.rate_per_s(cook) >= 0
    assert len(cook.recent) <= 64
