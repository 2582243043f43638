"""What a collection will give, before it is cooked: counts, forecasts, first rows, one piece for a try.

Planning is arithmetic that may take seconds: it runs in threads, a few at a time, and
whoever asked is not kept waiting without end.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from cauldron.domain.binding import resolve_inputs
from cauldron.domain.collection import Collection
from cauldron.domain.counting import Count, count_combinations
from cauldron.domain.errors import Unavailable
from cauldron.domain.forecast import Forecast, forecast
from cauldron.domain.plan import Plan, Selection
from cauldron.domain.planning import distinct_pieces, make_plan
from cauldron.domain.traits import TraitValue
from cauldron.domain.trying import Tried, try_traits
from cauldron.services.casting import Caller, Casting
from cauldron.services.collecting import Collecting

R = TypeVar("R")
MAX_SUPPLY = 100_000  # pieces of a preview
AT_ONCE = 2
LIMIT_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """A plan, what it holds, and its first rows."""

    plan: Plan
    expected: Forecast
    distinct: int
    rows: list[Selection]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A cast that makes one piece with chosen traits."""

    run_id: str
    credit_tx_id: str
    tried: Tried


@dataclass(slots=True)
class Previewing:
    """Looks ahead for the collections of one store."""

    collecting: Collecting
    casting: Casting
    limit_s: float = LIMIT_S
    _turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def _think(self, work: Callable[[], R]) -> R:
        """The result of ``work``, done in a thread.

        Raises:
            Unavailable: it took too long, or others do.
        """
        try:
            async with asyncio.timeout(self.limit_s):
                await self._turns.acquire()
                thinking = asyncio.get_running_loop().run_in_executor(None, work)
                thinking.add_done_callback(lambda _: self._turns.release())  # however late it ends
                return await asyncio.shield(thinking)
        except TimeoutError:
            raise Unavailable(f"planning took more than {self.limit_s:g} s: try fewer pieces") from None

    async def count(self, collection: Collection) -> Count:
        """Different pieces that options and rules admit. Raises Unavailable."""
        return await self._think(lambda: count_combinations(collection))

    async def preview(
        self, collection: Collection, *, supply: int | None, seed: str | None, rows: int
    ) -> Preview:
        """The plan of ``supply`` pieces, at most 100,000, and its first ``rows`` rows.

        Raises:
            Infeasible: the settings admit no plan. Unavailable: it took too long.
        """
        wanted = min(supply if supply is not None else collection.supply, MAX_SUPPLY)

        def look() -> Preview:
            plan = make_plan(collection, supply=wanted, seed=seed)
            first = [plan.selection(slot) for slot in range(min(rows, plan.supply))]
            return Preview(plan=plan, expected=forecast(plan), distinct=distinct_pieces(plan), rows=first)

        return await self._think(look)

    async def trial(
        self,
        collection: Collection,
        traits: Mapping[str, TraitValue | None],
        *,
        seed: str,
        caller: Caller,
        key: str | None = None,
    ) -> Trial:
        """Make one piece with these traits: a real cast of the collection's generator.

        Raises:
            InvalidMany: a trait or an input is not valid. NotFound: there is no such generator.
        """
        tried = await self._think(lambda: try_traits(collection, traits, seed=seed))
        snapshot = await self.collecting.snapshot(collection, caller=caller)
        inputs: dict[str, Any] = resolve_inputs(collection, tried.selection)
        run = await self.casting.start(snapshot, inputs, caller=caller, key=f"trial:{key}" if key else None)
        return Trial(run_id=run["runId"], credit_tx_id=run["creditTxId"], tried=tried)
