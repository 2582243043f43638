"""The books on a real engine, with a clock that is moved by hand and ids that count."""

import itertools
from collections.abc import AsyncIterator
from typing import Any

from cauldron.domain import codec
from cauldron.domain.events import Event
from cauldron.domain.ledger import totals
from cauldron.domain.ledger_pricing import Line, Terms
from cauldron.persistence.ledger_tables import LEDGER
from cauldron.persistence.ledger_tables import TABLES as LEDGER_TABLES
from cauldron.persistence.tables import TABLES
from cauldron.services.ledger import Ledger
from cauldron.services.ledger_books import Books
from cauldron.services.ledger_checking import LedgerCheck
from tests.kitchen import SteppingClock

ALL_TABLES = (*TABLES, *LEDGER_TABLES)
TERMS = Terms(
    rate_id="default", micro_usd_per_point=1_000, markup_bps=2_500, creator="cora", creator_bps=3_333
)


class LedgerWorld:
    """One process's view of the books."""

    def __init__(self, store: Any, *, prefix: str = "id", clock: SteppingClock | None = None) -> None:
        ids = itertools.count(1)
        self.store = store
        self.clock = clock or SteppingClock()
        self.ledger = Ledger(store, clock=self.clock, new_id=lambda: f"{prefix}{next(ids)}")
        self.books = Books(self.ledger)
        self.check = LedgerCheck(self.ledger, self.books)

    async def open(self, natural: str, *, account: str = "ann", cap: int = 1_000, **more: Any) -> str:
        terms = more.pop("terms", TERMS)
        opened = await self.ledger.open(
            natural, account=account, cap_milli=cap, terms=terms, actor=account, **more
        )
        return opened.charge.hold_id

    async def capture(self, hold: str, number: str, *lines: tuple[Any, ...]) -> Event | None:
        """``lines`` are (step, piece, price, cost)."""
        wanted = [Line(step, piece, 1, price, cost) for step, piece, price, cost in lines]
        return await self.ledger.capture_lines(hold, number=number, lines=wanted)

    async def commits(self) -> AsyncIterator[dict[str, Any]]:
        """The whole log."""
        after: list[Any] | None = None
        while page := await self.store.find(LEDGER, {}, limit=500, after=after):
            for commit in page:
                yield codec.unpack(commit)
            after = [page[-1]["_id"]]

    async def sums(self) -> dict[str, int]:
        """Milli-points by ledger account, straight from the log."""
        groups = [e["data"].get("legs", []) async for c in self.commits() for e in c["events"]]
        return {account: milli for account, milli in totals(groups).items() if milli}

    async def streams(self) -> set[str]:
        return {commit["stream"] async for commit in self.commits()}
