"""The budget of a cook: what is charged against it, what may still be admitted, what is told on the way.

Both caps hold at all times: a charge is never more than what is left of them. What a
piece took beyond that is kept apart as ``excess``, borne by whoever runs the studio.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypedDict

from cauldron.domain.errors import Invalid, Refused

MARKS = (50, 80, 100)  # percent of the budget, each told once
LEAST_KNOWN = 5  # pieces of the cook itself before their quantile counts
KEPT_COSTS = 200
HIGH = 0.9  # quantile of what one piece takes that is set aside for the next one
MOST = 10**15  # micro-USD or milli-points
REASON = "budget_exhausted"


class BudgetDocument(TypedDict, total=False):
    """A budget as events keep it. Absent caps do not limit; an absent price is unknown."""

    microUsd: int  # the cap
    pointsMilli: int  # the cap
    pieceMicroUsd: int  # what is set aside for one piece
    piecePointsMilli: int
    microUsdPerPoint: int  # pinned: how points are counted where nothing is charged
    exact: bool  # the price is declared by tariffs: pieces made so far do not change it


class Amount(NamedTuple):
    """Milli-points and micro-USD."""

    points_milli: int
    micro_usd: int


NOTHING = Amount(0, 0)


@dataclass(slots=True)
class Spending:
    """The folded state of one budget."""

    caps: Mapping[str, int]  # currency -> cap, of those that are capped
    price: Mapping[str, int]  # currency -> what is set aside for one piece
    exact: bool = False
    micro_usd_per_point: int = 0
    spent: Amount = NOTHING
    excess: Amount = NOTHING
    told: set[int] = field(default_factory=set)
    costs: list[Amount] = field(default_factory=list)  # of the latest pieces, uncapped

    @property
    def percent(self) -> float:
        """How much of the scarcer cap is spent."""
        shares = [100 * _of(self.spent, c) / cap if cap else 100.0 for c, cap in self.caps.items()]
        return max(shares, default=0.0)


CURRENCIES = ("pointsMilli", "microUsd")


def _of(amount: Amount, currency: str) -> int:
    return amount.points_milli if currency == "pointsMilli" else amount.micro_usd


def budget_of(points: float | None, usd: float | None, *, rate: int | None = None) -> dict[str, Any]:
    """A budget from the caps that a person gives; prices stay those of the first one of a cook."""
    budget: dict[str, Any] = {} if points is None else {"pointsMilli": round(points * 1000)}
    budget |= {} if usd is None else {"microUsd": round(usd * 1_000_000)}
    return budget if rate is None else budget | {"microUsdPerPoint": rate}


def check_budget(budget: Mapping[str, Any]) -> None:
    """Raises Invalid: no cap at all, or one that is not a whole number in bounds."""
    caps = {name: budget[name] for name in CURRENCIES if budget.get(name) is not None}
    if not caps:
        raise Invalid("a budget caps points or USD, or both", path="budget")
    for name, cap in caps.items():
        if not isinstance(cap, int) or isinstance(cap, bool) or not 1 <= cap <= MOST:
            raise Invalid(f"the budget's {name} must be between 1 and {MOST}, not {cap!r:.40}", path="budget")


def spending_of(budget: Mapping[str, Any]) -> Spending:
    """An untouched budget."""
    price = {name: budget[key] for name, key in _PRICES.items() if budget.get(key) is not None}
    caps = {name: budget[name] for name in CURRENCIES if budget.get(name) is not None}
    rate = budget.get("microUsdPerPoint") or 0
    return Spending(caps=caps, price=price, exact=bool(budget.get("exact")), micro_usd_per_point=rate)


_PRICES = {"pointsMilli": "piecePointsMilli", "microUsd": "pieceMicroUsd"}


def points_at(micro_usd: int, micro_usd_per_point: int) -> int:
    """Milli-points that a cost comes to at a rate, rounded up; 0 without a rate."""
    return -(-micro_usd * 1000 // micro_usd_per_point) if micro_usd_per_point else 0


def capped(spending: Spending, actual: Amount) -> Amount:
    """What of ``actual`` may be charged: at most what is left of each cap."""
    left = {c: max(0, cap - _of(spending.spent, c)) for c, cap in spending.caps.items()}
    return Amount(*(min(_of(actual, c), left.get(c, _of(actual, c))) for c in CURRENCIES))


def crossed(spending: Spending, charge: Amount) -> list[int]:
    """The marks that ``charge`` reaches and that have not been told."""
    after = Spending(caps=spending.caps, price={}, spent=_sum(spending.spent, charge))
    return [mark for mark in MARKS if mark not in spending.told and after.percent >= mark]


def note(spending: Spending, actual: Amount, charge: Amount) -> None:
    """Fold the end of one piece, in place."""
    spending.spent = _sum(spending.spent, charge)
    spending.excess = _sum(spending.excess, Amount(*(a - c for a, c in zip(actual, charge, strict=True))))
    spending.costs.append(actual)
    if len(spending.costs) > KEPT_COSTS:
        del spending.costs[: KEPT_COSTS // 2]


def _sum(one: Amount, other: Amount) -> Amount:
    return Amount(one.points_milli + other.points_milli, one.micro_usd + other.micro_usd)


def raised(spending: Spending | None, budget: Mapping[str, Any]) -> Spending:
    """The state under a new budget; marks that lie ahead again are told again.

    Raises:
        Refused: it caps less than what is spent.
    """
    fresh = spending_of(budget)
    if spending is None:
        return fresh
    fresh.micro_usd_per_point = fresh.micro_usd_per_point or spending.micro_usd_per_point
    fresh.price, fresh.exact = fresh.price or spending.price, fresh.exact or spending.exact
    fresh.spent, fresh.excess, fresh.costs = spending.spent, spending.excess, list(spending.costs)
    for currency, cap in fresh.caps.items():
        if cap < _of(spending.spent, currency):
            spent = _of(spending.spent, currency)
            raise Refused(f"{spent} {currency} are spent already: the budget cannot be {cap}", spent=spent)
    fresh.told = {mark for mark in spending.told if fresh.percent >= mark}
    return fresh


def piece_price(spending: Spending, currency: str) -> int | None:
    """What is set aside for the next piece: the tariff, else the 90 % quantile; None when unknown."""
    known = spending.price.get(currency)
    if spending.exact and known is not None:
        return known
    own = sorted(_of(cost, currency) for cost in spending.costs)
    if len(own) >= LEAST_KNOWN:
        return own[math.ceil(HIGH * len(own)) - 1]  # nearest rank
    return known


def room(spending: Spending, *, in_flight: int) -> int | None:
    """How many more pieces may begin: ``spent + committed + P90(next) ≤ cap``; None without limit.

    While nobody knows what a piece takes, one is made at a time.
    """
    rooms = [_room(spending, currency, in_flight) for currency in spending.caps]
    limits = [each for each in rooms if each is not None]
    return max(0, min(limits)) if limits else None


def _room(spending: Spending, currency: str, in_flight: int) -> int | None:
    left = spending.caps[currency] - _of(spending.spent, currency)
    price = piece_price(spending, currency)
    if left <= 0:
        return 0
    if price is None:
        return 1 - in_flight
    return left // price - in_flight if price else None


def burn_down(spending: Spending, *, made: int) -> dict[str, Any]:
    """The budget as a status shows it. Points and USD, not thousandths.

    ``runsOutAt`` is about how many pieces the budget pays for in all; null while unknown.
    """
    return {
        "points": _points(spending.caps.get("pointsMilli")),
        "usd": _usd(spending.caps.get("microUsd")),
        "spentPts": spending.spent.points_milli / 1000,
        "spentUsd": spending.spent.micro_usd / 1_000_000,
        "nextPts": _points(piece_price(spending, "pointsMilli")),
        "nextUsd": _usd(piece_price(spending, "microUsd")),
        "excessPts": spending.excess.points_milli / 1000,
        "excessUsd": spending.excess.micro_usd / 1_000_000,
        "percent": round(spending.percent, 2),
        "told": sorted(spending.told),
        "runsOutAt": _runs_out(spending, made),
    }


def _runs_out(spending: Spending, made: int) -> int | None:
    ends = []
    for currency, cap in spending.caps.items():
        mean = sum(_of(cost, currency) for cost in spending.costs) / max(1, len(spending.costs))
        if mean > 0:
            ends.append(made + int((cap - _of(spending.spent, currency)) / mean))
    return min(ends, default=None)


def _points(milli: int | None) -> float | None:
    return None if milli is None else milli / 1000


def _usd(micro: int | None) -> float | None:
    return None if micro is None else micro / 1_000_000
