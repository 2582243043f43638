"""Processes that post captures and keep the books, and may be killed at any write."""

import asyncio
from pathlib import Path

from cauldron.persistence.leases import Leases
from cauldron.services.ledger import Ledger
from cauldron.services.ledger_books import Books, bookkeeper
from cauldron.services.ledger_captures import capture_followers
from tests.flows.killable import Doom, Fate, lived
from tests.kitchen import kitchen, new_id, wall_ms

LEASE_MS = 300
TABLES = ("ledger", "ledger_postings", "ledger_book", "accounts", "holds", "cursors")
POINTS = tuple(f"{when}:{table}" for table in TABLES for when in ("before", "after"))


def post(folder: str, fate: Fate) -> None:
    """The whole life of a process that posts."""
    lived(Path(folder), _post(Path(folder), fate))


async def _post(folder: Path, fate: Fate) -> None:
    async with kitchen(folder, tap=Doom(fate)) as k:
        ledger = Ledger(k.store, clock=wall_ms, new_id=new_id)
        leases = Leases(k.store, holder=new_id(), clock=wall_ms, ttl_ms=LEASE_MS)
        parts = [*capture_followers(ledger, leases), bookkeeper(Books(ledger), leases)]
        for part in parts:
            part.renew_every_s = 0.05
        async with asyncio.TaskGroup() as group:
            for part in parts:
                group.create_task(part.run())
