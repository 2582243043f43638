"""What a cook will cost and how long it will take, before it starts, and the budget that follows from it."""

import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cauldron.domain.binding import resolve_inputs
from cauldron.domain.budget import points_at
from cauldron.domain.collection import Collection, parse_collection
from cauldron.domain.errors import NotFound
from cauldron.domain.estimate import Interval, foretell
from cauldron.domain.estimate_cost import by_tariff, tariff_micro_usd, told
from cauldron.domain.piece_checks import generator_inputs
from cauldron.domain.snapshot import Snapshot, execution_plan
from cauldron.services.casting import Caller
from cauldron.services.collecting import Collecting, StoredPlan
from cauldron.services.cooking import generator_of
from cauldron.services.funding import BudgetNeeded
from cauldron.services.past_cooks import NAMES, PastCook, past_cooks
from cauldron.services.spell_stats import SpellStats

SAMPLE = 50  # selections whose tariffs are looked up
MICRO = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CookForecast:
    """Estimates of one cook: micro-USD in all and of one piece, seconds that pass."""

    pieces: int
    micro_usd: Interval
    one_micro_usd: Interval  # of a single further piece
    seconds: Interval
    retry_factor: float
    micro_usd_per_point: int

    def document(self) -> dict[str, Any]:
        """As the command line and the API show it."""
        points = self.micro_usd.scaled(1 / self.micro_usd_per_point)
        return {
            "pieces": self.pieces,
            "costUsd": told(self.micro_usd.scaled(1 / MICRO), digits=6, unit="USD"),
            "costPts": told(points, digits=3, unit="points"),
            "seconds": told(self.seconds, digits=1, unit="s"),
            "retryFactor": self.retry_factor,
        }

    def kept(self) -> dict[str, Any] | None:
        """What the cook keeps so that it can be checked later: low, middle, high per piece."""
        shown = {"usd": self.micro_usd.scaled(1 / MICRO / self.pieces)}
        shown |= {"elapsed": self.seconds.scaled(1 / self.pieces)}
        kept = {
            name: [each.low, each.middle, each.high]
            for name, each in shown.items()
            if name in NAMES and each.low is not None
        }
        return kept or None

    def budget(self, *, points: float | None, usd: float | None) -> dict[str, Any] | None:
        """A cook's budget from the caps that a person gives; None without any.

        What is set aside for a piece is its tariff, else the upper end of its interval;
        left out when nobody knows.
        """
        if points is None and usd is None:
            return None
        budget: dict[str, Any] = {"microUsdPerPoint": self.micro_usd_per_point}
        budget |= {} if points is None else {"pointsMilli": round(points * 1000)}
        budget |= {} if usd is None else {"microUsd": round(usd * MICRO)}
        if self.one_micro_usd.high is not None:
            price = math.ceil(self.one_micro_usd.high)
            budget |= {"pieceMicroUsd": price, "piecePointsMilli": points_at(price, self.micro_usd_per_point)}
            budget["exact"] = self.one_micro_usd.basis == "tariff"
        return budget

    def budget_to_pay(self, *, points: float | None, usd: float | None) -> dict[str, Any]:
        """The budget of a cook that is paid with points; without a cap of them, the estimate's upper end.

        Raises:
            BudgetNeeded: there is neither.
        """
        if points is None:
            high = self.micro_usd.high
            if high is None:
                says = told(self.micro_usd, digits=0, unit="")["says"]
                raise BudgetNeeded(f"say how many points the cook may take: {says}")
            milli = max(1, points_at(math.ceil(high), self.micro_usd_per_point)) + self.pieces
            points = milli / 1000
        return self.budget(points=points, usd=usd) or {}


@dataclass(slots=True)
class Forecasting:
    """Estimates cooks of one store."""

    collecting: Collecting
    stats: SpellStats
    rate: Callable[[], Awaitable[int]]  # micro-USD per point, now

    async def cook(
        self, collection_id: str, *, amount: int | None, caller: Caller, seed: str | None = None
    ) -> CookForecast:
        """What ``amount`` pieces (None: the whole supply) will take.

        Raises:
            NotFound: the caller has no such collection. Infeasible: it admits no plan.
        """
        record = await self.collecting.get(collection_id)
        if record["owner"] != caller.account:
            raise NotFound(f"there is no collection {collection_id!r:.80}")
        collection = parse_collection(record["definition"])
        snapshot = await self.collecting.snapshot(collection, caller=caller)
        stored = await self.collecting.plan(collection, seed=collection.seed if seed is None else seed)
        pieces = min(amount or collection.supply, collection.supply)
        store = self.collecting.store
        past = await past_cooks(store, owner=caller.account, generator=generator_of(snapshot))
        tariffs = _tariffs(collection, snapshot, stored)
        factor = await self._retry_factor(snapshot)
        return CookForecast(
            pieces=pieces,
            micro_usd=_cost(tariffs, pieces, past, factor=factor),
            one_micro_usd=_cost(tariffs, 1, past, factor=1.0),
            seconds=foretell(pieces, past=[each.elapsed for each in past]),
            retry_factor=round(factor, 3),
            micro_usd_per_point=await self.rate(),
        )

    async def _retry_factor(self, snapshot: Snapshot) -> float:
        """Tries per success over all steps: each step's own multiply."""
        factor = 1.0
        for step in execution_plan(snapshot):
            known = await self.stats.tool(step.tool.id, step.tool.version)
            factor *= float(known["retryFactor"]) if known else 1.0
        return factor


def _tariffs(collection: Collection, snapshot: Snapshot, stored: StoredPlan) -> list[float] | None:
    """The tariff of pieces spread over the plan; None when it is not declared."""
    steps, supply = execution_plan(snapshot), len(stored.plan.rows)
    found: list[float] = []
    for slot in sorted({i * supply // SAMPLE for i in range(SAMPLE)}):
        inputs: Mapping[str, Any] = resolve_inputs(collection, stored.plan.selection(slot))
        cost = tariff_micro_usd(steps, generator_inputs(snapshot, inputs))
        if cost is None:
            return None
        found.append(cost)
    return found


def _cost(tariffs: list[float] | None, pieces: int, past: list[PastCook], *, factor: float) -> Interval:
    """Declared tariffs beat history."""
    if tariffs:
        sample = [max(tariffs)] if pieces == 1 else tariffs
        return by_tariff(sample, pieces, factor=factor, past_runs=len(past))
    return foretell(pieces, past=[each.usd for each in past]).scaled(MICRO)
