"""Budgets: never overspent, told of once per mark, no piece begun that may not fit, resumed with more."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cauldron.domain import cook as cooks
from cauldron.domain.budget import Amount, Spending, capped, note, piece_price, points_at, room
from cauldron.domain.commands import ExhaustBudget, RecordPiece, ResumeCook
from cauldron.domain.cook_state import Cook, evolve
from cauldron.domain.errors import CauldronError, Invalid, Refused
from cauldron.domain.status import status_document
from tests.domain.cook_samples import START, STARTED, start, step

FULL = ExhaustBudget(key="x")


def budgeted(amount: int = 10, **budget: int) -> Cook:
    cook = Cook()
    give(cook, start(amount, budget=budget, failure_budget=10_000))
    return cook


def give(cook: Cook, command) -> list[str]:
    events = cooks.decide(cook, command)
    for event in events:
        evolve(cook, event, ts=STARTED)
    return [event.type for event in events]


def ended(piece: int, micro_usd: int, *, failed: bool = False) -> RecordPiece:
    error = {"code": "tool_error", "message": "no"} if failed else None
    steps = [step(cost_micro_usd=micro_usd, status="failed" if failed else "success")]
    return RecordPiece(
        key=f"gen:{piece}",
        piece=piece,
        attempt=1,
        steps=steps,
        output={},
        error=error,
        cost_micro_usd=micro_usd,
    )


def test_marks_are_told_once_and_the_last_one_pauses():
    cook = budgeted(microUsd=100, pieceMicroUsd=10, exact=True)
    told = [give(cook, ended(n, 20)) for n in range(1, 6)]
    assert told == [
        ["PieceGenerated"],
        ["PieceGenerated"],
        ["PieceGenerated", "BudgetReached"],
        ["PieceGenerated", "BudgetReached"],
        ["PieceGenerated", "BudgetExhausted", "CookPaused"],
    ]
    assert (cook.pause_reason, cook.spending.told) == ("budget_exhausted", {50, 80, 100})


def test_one_piece_may_reach_several_marks():
    cook = budgeted(microUsd=100)
    assert give(cook, ended(1, 85)) == ["PieceGenerated", "BudgetReached", "BudgetReached"]


def test_a_piece_beyond_the_cap_is_charged_what_is_left_and_the_rest_is_written_down():
    cook = budgeted(microUsd=100)
    [event, *_] = cooks.decide(cook, ended(1, 130))
    assert (event.data["charged"], event.data["wanted"]) == ([0, 100], [0, 130])
    assert event.data["costMicroUsd"] == 130  # what it cost is never made to look smaller
    evolve(cook, event, ts=STARTED)
    assert cook.spending.excess == Amount(0, 30)


def test_points_are_charged_for_successes_only_and_usd_for_every_try():
    cook = budgeted(microUsd=1000, pointsMilli=1000, microUsdPerPoint=1000)
    give(cook, ended(1, 100))
    give(cook, ended(2, 50, failed=True))
    assert cook.spending.spent == Amount(100, 150)


@pytest.mark.parametrize(
    ("cost", "rate", "points"), [(0, 10_000, 0), (1, 10_000, 1), (10_000, 10_000, 1000), (5, 0, 0)]
)
def test_points_of_a_cost_are_rounded_up(cost, rate, points):
    assert points_at(cost, rate) == points


def test_a_cook_rests_when_the_next_piece_may_not_fit():
    cook = budgeted(microUsd=100, pieceMicroUsd=30, exact=True)
    for n in (1, 2, 3):
        give(cook, ended(n, 30))
    assert room(cook.spending, in_flight=0) == 0
    assert give(cook, FULL) == ["BudgetExhausted", "CookPaused"]
    assert give(cook, FULL) == []


def test_a_cook_with_room_or_with_pieces_in_flight_does_not_rest():
    cook = budgeted(microUsd=100, pieceMicroUsd=30, exact=True)
    assert give(cook, FULL) == []
    for n in (1, 2, 3):
        give(cook, ended(n, 30))
    assert give(cook, ExhaustBudget(key="y", in_flight=1)) == []


def test_a_cook_without_a_budget_is_never_exhausted():
    cook = Cook()
    give(cook, START)
    assert give(cook, FULL) == []


def exhausted() -> Cook:
    cook = budgeted(microUsd=100, pieceMicroUsd=20, exact=True)
    for n in range(1, 6):
        give(cook, ended(n, 20))
    return cook


def test_the_same_budget_does_not_go_on():
    with pytest.raises(Refused, match="higher"):
        give(exhausted(), ResumeCook(key="r"))


def test_a_higher_budget_goes_on_and_marks_ahead_are_told_again():
    cook = exhausted()
    assert give(cook, ResumeCook(key="r", budget={"microUsd": 150})) == ["CookResumed"]
    assert cook.spending.told == {50}  # 100 of 150 is past that mark
    assert room(cook.spending, in_flight=0) == 2  # the declared price stays
    assert give(cook, ended(6, 20)) == ["PieceGenerated", "BudgetReached"]
    assert cook.spending.told == {50, 80}


def test_a_budget_below_what_is_spent_is_refused():
    with pytest.raises(Refused, match="spent already"):
        give(exhausted(), ResumeCook(key="r", budget={"microUsd": 90}))


def test_a_budget_can_be_raised_before_it_is_used_up():
    cook = budgeted(microUsd=100)
    assert give(cook, ResumeCook(key="r", budget={"microUsd": 200})) == ["CookResumed"]
    assert cook.spending.caps == {"microUsd": 200}


@pytest.mark.parametrize(
    "budget",
    [
        {},
        {"microUsd": 0},
        {"microUsd": -1},
        {"microUsd": 1.5},
        {"pointsMilli": True},
        {"pointsMilli": 10**16},
    ],
)
def test_a_senseless_budget_is_invalid(budget):
    with pytest.raises(Invalid):
        give(Cook(), start(3, budget=budget))


def test_unknown_prices_let_one_piece_begin_at_a_time_until_five_are_known():
    cook = budgeted(20, microUsd=1000)
    assert [room(cook.spending, in_flight=n) for n in (0, 1)] == [1, 0]
    for n in range(1, 6):
        give(cook, ended(n, 10))
    assert piece_price(cook.spending, "microUsd") == 10
    assert room(cook.spending, in_flight=3) == 95 - 3


def test_nine_of_ten_pieces_cost_no_more_than_what_is_set_aside():
    spending = Spending(caps={"microUsd": 10**6}, price={"microUsd": 1})
    for cost in range(1, 101):
        note(spending, Amount(0, cost), Amount(0, cost))
    assert piece_price(spending, "microUsd") == 90


def test_a_declared_price_beats_what_was_seen():
    spending = Spending(caps={"microUsd": 10**6}, price={"microUsd": 7}, exact=True)
    for _ in range(20):
        note(spending, Amount(0, 1), Amount(0, 1))
    assert piece_price(spending, "microUsd") == 7


@given(
    cap=st.integers(1, 10_000),
    spent=st.integers(0, 10_000),
    actual=st.tuples(st.integers(0, 10_000), st.integers(0, 10_000)),
)
def test_a_charge_never_passes_the_cap(cap, spent, actual):
    spending = Spending(caps={"microUsd": cap}, price={}, spent=Amount(0, min(spent, cap)))
    charge = capped(spending, Amount(*actual))
    assert spending.spent.micro_usd + charge.micro_usd <= cap
    assert charge.points_milli == actual[0]  # no cap on points
    assert charge.micro_usd in (actual[1], cap - spending.spent.micro_usd)


def test_the_status_shows_how_far_the_budget_goes():
    cook = budgeted(microUsd=1000)
    for n in range(1, 6):
        give(cook, ended(n, 100))
    shown = status_document(cook, seq=1)["budget"]
    assert (shown["usd"], shown["spentUsd"], shown["nextUsd"]) == (0.001, 0.0005, 0.0001)
    assert (shown["percent"], shown["told"], shown["runsOutAt"]) == (50.0, [50], 10)
    assert status_document(played_without(), seq=1)["budget"] is None


def played_without() -> Cook:
    cook = Cook()
    give(cook, START)
    return cook


def cook_at_random(rng: random.Random) -> Cook:
    """A budgeted cook as an owner runs it: admitted by ``room``, ended in any order, resumed now and then."""
    amount, price = rng.randint(1, 30), rng.choice([1, 10, 1000])
    budget = {"microUsd": rng.randint(1, amount * price * 2)} if rng.random() < 0.7 else {}
    if not budget or rng.random() < 0.5:
        budget |= {"pointsMilli": rng.randint(1, amount * price * 2), "microUsdPerPoint": 1000}
    if rng.random() < 0.6:
        budget |= {"pieceMicroUsd": price, "piecePointsMilli": price, "exact": rng.random() < 0.5}
    cook = budgeted(amount, **budget)
    marks: list[tuple[int, str]] = []
    flying: list[int] = []
    waiting = list(range(1, amount + 1))
    epoch = 0
    for _ in range(10_000):
        if not flying and not waiting:
            break
        space = room(cook.spending, in_flight=len(flying))
        begin = min(len(waiting), rng.randint(0, 8) if space is None else space)
        if cook.state.value == "Cooking" and begin:
            flying += waiting[:begin]
            del waiting[:begin]
        if flying:
            piece = flying.pop(rng.randrange(len(flying)))
            cost = rng.choice([price, rng.randint(0, price), rng.randint(0, 10 * price)])
            events = give(cook, ended(piece, cost, failed=rng.random() < 0.1))
        else:
            events = give(cook, ExhaustBudget(key=f"x{_}"))
        marks += [(epoch, event) for event in events if event.startswith("Budget")]
        check_caps(cook)
        if cook.state.value == "Paused" and not flying:
            if rng.random() < 0.7:
                break
            epoch += 1
            more = {c: cap + rng.randint(1, 20 * price) for c, cap in cook.spending.caps.items()}
            try:
                give(cook, ResumeCook(key=f"r{epoch}", budget=more))
            except CauldronError:
                break
    else:
        raise AssertionError("it neither ends nor rests")
    for _epoch in range(epoch + 1):
        told = [event for at, event in marks if at == _epoch]
        assert told.count("BudgetExhausted") <= 1
        assert told.count("BudgetReached") <= 2
    return cook


def check_caps(cook: Cook) -> None:
    spent = {"microUsd": cook.spending.spent.micro_usd, "pointsMilli": cook.spending.spent.points_milli}
    for currency, cap in cook.spending.caps.items():
        assert spent[currency] <= cap


def run_many(times: int) -> dict[str, int]:
    rng, seen = random.Random(5), {"paused": 0, "complete": 0, "excess": 0}
    for _ in range(times):
        cook = cook_at_random(rng)
        seen["paused"] += cook.pause_reason == "budget_exhausted"
        seen["complete"] += cook.state.value == "Completed"
        seen["excess"] += cook.spending.excess.micro_usd > 0
    return seen


def test_no_budget_is_overspent_in_ten_thousand_random_cooks():
    seen = run_many(10_000)
    assert min(seen.values()) > 500  # all of it was reached
