"""What a cook's budget decides: what a piece is charged, which marks it reaches, when the cook rests."""

from typing import Any

from cauldron.domain.budget import NOTHING, REASON, Amount, capped, check_budget, points_at, raised, room
from cauldron.domain.commands import ExhaustBudget, RecordPiece, ResumeCook, SetBudget
from cauldron.domain.cook_charge import EXHAUSTED, hold_room, payable, price_wanted
from cauldron.domain.cook_state import Cook, State
from cauldron.domain.errors import Refused
from cauldron.domain.events import Event


def taken_by(cook: Cook, c: RecordPiece) -> Amount:
    """What a piece took: USD for every try, points for what succeeded."""
    if c.error is not None:
        return Amount(0, c.cost_micro_usd)
    if cook.charge:
        return Amount(price_wanted(cook, c), c.cost_micro_usd)
    if c.points_milli or cook.spending is None:
        return Amount(c.points_milli, c.cost_micro_usd)
    made = sum(s["costMicroUsd"] for s in c.steps if s["status"] == "success")
    return Amount(points_at(made, cook.spending.micro_usd_per_point), c.cost_micro_usd)


def spent_on(cook: Cook, c: RecordPiece) -> Amount:
    """What is charged for a piece: never more than what is left of the hold and of the budget."""
    taken = taken_by(cook, c)
    if cook.charge:
        taken = taken._replace(points_milli=payable(cook, taken.points_milli))
    return taken if cook.spending is None else capped(cook.spending, taken)


def reached(cook: Cook, mark: int, charge: Amount) -> Event:
    """That ``charge`` brings what is spent to ``mark`` percent."""
    spent = cook.spending.spent if cook.spending is not None else NOTHING
    body: dict[str, Any] = {
        "pointsMilli": spent.points_milli + charge.points_milli,
        "microUsd": spent.micro_usd + charge.micro_usd,
    }
    return Event("BudgetExhausted", body) if mark == 100 else Event("BudgetReached", {"percent": mark} | body)


def exhaust(cook: Cook, c: ExhaustBudget) -> list[Event]:
    """The pause of a cook whose budget has no room for a further piece."""
    if cook.state is not State.COOKING or cook.spending is None or not cook.outstanding or c.in_flight:
        return []  # what is in flight may leave room
    if room(cook.spending, in_flight=0) != 0:  # it has been raised meanwhile
        return [Event("CookPaused", dict(EXHAUSTED))] if hold_room(cook, in_flight=0) == 0 else []
    told = 100 in cook.spending.told
    paused = Event("CookPaused", {"reason": REASON, "detail": "no further piece fits the budget"})
    return [paused] if told else [reached(cook, 100, NOTHING), paused]


def set_budget(cook: Cook, c: SetBudget) -> list[Event]:
    """Another budget for a cook under way.

    Raises:
        Invalid: it caps nothing. Refused: it caps less than is spent, the cook has ended, or it is
        paid with points and would have no cap in points.
    """
    if cook.state not in (State.COOKING, State.PAUSED):
        raise Refused(f"a cook that is {cook.state} has no use for a budget", state=cook.state.value)
    if cook.charge and (c.budget is None or c.budget.get("pointsMilli") is None):
        raise Refused("a cook that is paid with points keeps a budget in points")
    if c.budget is None:
        return [] if cook.spending is None else [Event("BudgetChanged", {"budget": None})]
    check_budget(c.budget)
    caps = raised(cook.spending, c.budget).caps
    if cook.spending is not None and caps == cook.spending.caps:
        return []
    return [Event("BudgetChanged", {"budget": dict(c.budget)})]


def check_raise(cook: Cook, c: ResumeCook) -> None:
    """Raises Refused: without room for one piece the cook would pause again at once."""
    spending = cook.spending
    if c.budget is not None:
        check_budget(c.budget)
        spending = raised(cook.spending, c.budget)
    exhausted = cook.state is State.PAUSED and cook.pause_reason == REASON
    if exhausted and spending is not None and cook.outstanding and room(spending, in_flight=0) == 0:
        raise Refused("the budget is used up: resume with a higher one", state=cook.state.value)
