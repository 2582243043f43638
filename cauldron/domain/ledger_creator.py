"""The deciders of a creator's earnings, and of the rates: small streams of their own."""

from dataclasses import dataclass, field
from typing import Any

from cauldron.domain.errors import Invalid
from cauldron.domain.events import Event
from cauldron.domain.ledger import (
    PAYOUT,
    PLATFORM,
    InsufficientPoints,
    LedgerConflict,
    accrued,
    check_amount,
    legs_of,
    payable,
    points,
)
from cauldron.domain.ledger_commands import ClawBack, CreatorCommand, EarnShare, SetRate, WithdrawPoints
from cauldron.domain.ledger_pricing import Rate

MAX_MICRO_USD_PER_POINT = 10**9


@dataclass(slots=True)
class Earnings:
    """The folded state of one creator."""

    payable_milli: int = 0
    earned_milli: int = 0
    withdrawn_milli: int = 0


def decide(earnings: Earnings, command: CreatorCommand) -> list[Event]:
    """The events that ``command`` causes. Raises InsufficientPoints, Invalid."""
    if isinstance(command, EarnShare):
        return _earn(command) if command.amount_milli else []
    if isinstance(command, ClawBack):
        return _claw_back(earnings, command)
    return _withdraw(earnings, command)


def _earn(c: EarnShare) -> list[Event]:
    legs = legs_of({accrued(c.creator): -c.amount_milli, payable(c.creator): c.amount_milli})
    return [Event("CreatorEarned", _body(c, c.amount_milli, legs) | {"hold": c.hold_id})]


def _claw_back(earnings: Earnings, c: ClawBack) -> list[Event]:
    """What is there; the platform bears what was withdrawn before."""
    taken = min(c.amount_milli, earnings.payable_milli)
    legs = legs_of({payable(c.creator): -taken, PLATFORM: taken})
    short = c.amount_milli - taken
    return [Event("CreatorClawedBack", _body(c, taken, legs) | {"refund": c.refund, "shortMilli": short})]


def _withdraw(earnings: Earnings, c: WithdrawPoints) -> list[Event]:
    check_amount(c.amount_milli)
    missing = c.amount_milli - earnings.payable_milli
    if missing > 0:
        raise InsufficientPoints(
            f"{points(missing):g} points are missing: {points(earnings.payable_milli):g} may be withdrawn",
            missingPts=points(missing),
            availablePts=points(earnings.payable_milli),
        )
    legs = legs_of({payable(c.creator): -c.amount_milli, PAYOUT: c.amount_milli})
    return [Event("PointsWithdrawn", _body(c, c.amount_milli, legs))]


def _body(c: CreatorCommand, amount_milli: int, legs: Any) -> dict[str, Any]:
    body = {"group": c.key, "asked": c.asked, "creator": c.creator, "amountMilli": amount_milli}
    return body | {"legs": legs}


def evolve(earnings: Earnings, event: Event, *, ts: int) -> None:
    """Fold one event, in place."""
    amount = event.data["amountMilli"]
    if event.type == "CreatorEarned":
        earnings.payable_milli += amount
        earnings.earned_milli += amount
    else:
        earnings.payable_milli -= amount
        if event.type == "PointsWithdrawn":
            earnings.withdrawn_milli += amount


@dataclass(slots=True)
class Rates:
    """Every rate there ever was, oldest first: they are pinned by id."""

    rates: list[Rate] = field(default_factory=list)


def decide_rate(rates: Rates, c: SetRate) -> list[Event]:
    """The new rate. Raises Invalid, LedgerConflict."""
    if not 1 <= c.micro_usd_per_point <= MAX_MICRO_USD_PER_POINT:
        raise Invalid(f"a point is worth between 1 and {MAX_MICRO_USD_PER_POINT} micro-USD", path="rate")
    if any(rate.rate_id == c.rate_id for rate in rates.rates):
        raise LedgerConflict(f"there is a rate {c.rate_id} already; rates are never changed")
    body = {"asked": c.asked, "rateId": c.rate_id, "microUsdPerPoint": c.micro_usd_per_point}
    return [Event("RateSet", body)]


def evolve_rate(rates: Rates, event: Event, *, ts: int) -> None:
    """Fold one event, in place."""
    data = event.data
    rate = Rate(rate_id=data["rateId"], micro_usd_per_point=data["microUsdPerPoint"], from_ms=ts)
    rates.rates.append(rate)
