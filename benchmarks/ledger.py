"""10,000 captures of one hold by 16 processes, on SQLite and on MongoDB: ``python -m benchmarks.ledger``.

Every process hands in what it captured in groups, as the follower of a run does; all
of them post to one stream, and meet there. Afterwards the books must balance.
"""

import argparse
import asyncio
import logging
import multiprocessing
import secrets
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import structlog

from benchmarks.harness import Row, record
from cauldron.adapters.mongo import MongoStore
from cauldron.adapters.sqlite import SqliteStore
from cauldron.bootstrap import TABLES, clock, new_id
from cauldron.domain.errors import StaleVersion
from cauldron.domain.ledger_pricing import Line, Terms
from cauldron.services.ledger import Ledger
from cauldron.services.ledger_books import Books
from cauldron.services.ledger_checking import LedgerCheck

CAPTURES, PROCESSES, GROUP = 10_000, 16, 125
LEAST_PER_S = 5_000
TERMS = Terms(rate_id="default", micro_usd_per_point=1_000, creator="cora", creator_bps=3_333)


def store_at(url: str) -> Any:
    """A handle on the engine."""
    return MongoStore(url) if url.startswith("mongodb") else SqliteStore(Path(url))


def capture(url: str, hold: str, first: int, last: int, ready: Any, go: Any) -> None:
    """One process: its share of the captures, in groups."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))  # as a studio
    asyncio.run(_capture(url, hold, first, last, ready, go))


async def _capture(url: str, hold: str, first: int, last: int, ready: Any, go: Any) -> None:
    store = store_at(url)
    await store.open(TABLES)
    ledger = Ledger(store, clock=clock, new_id=new_id)
    await ledger.holds.load(f"hold:{hold}")
    ready.release()
    go.wait()
    for start in range(first, last, GROUP):
        pieces = range(start, min(start + GROUP, last))
        lines = [Line("draw", piece, 1, 100, 60) for piece in pieces]
        while True:
            try:
                await ledger.capture_lines(hold, number=str(start), lines=lines)
                break
            except StaleVersion:
                continue  # contended: again
    await store.close()


async def _prepare(url: str) -> str:
    store = store_at(url)
    await store.open(TABLES)
    ledger = Ledger(store, clock=clock, new_id=new_id)
    await ledger.grant("ann", 10**9, actor="op")
    opened = await ledger.open("bench", account="ann", cap_milli=10**8, terms=TERMS, actor="ann")
    await store.close()
    return opened.charge.hold_id


async def _check(url: str, hold: str) -> float:
    """That everything is there and balances; returns the seconds that a reading of the books took."""
    store = store_at(url)
    await store.open(TABLES)
    ledger = Ledger(store, clock=clock, new_id=new_id)
    await ledger.release(hold)
    state = (await ledger.holds.load(f"hold:{hold}")).state
    start = time.perf_counter()
    found = await LedgerCheck(ledger, Books(ledger)).verify()
    took = time.perf_counter() - start
    await store.close()
    if state.captures != CAPTURES or state.captured_milli != 100 * CAPTURES or found.problems:
        raise SystemExit(f"{state.captures} captures, {found.problems[:3]}")
    return took


def measure(url: str) -> float:
    """Captures per second of all processes together, from a common start."""
    hold = asyncio.run(_prepare(url))
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["benchmarks.ledger"])
    ready, go = context.Semaphore(0), context.Event()
    share = CAPTURES // PROCESSES
    crew = [
        context.Process(target=capture, args=(url, hold, 1 + n * share, 1 + (n + 1) * share, ready, go))
        for n in range(PROCESSES)
    ]
    for process in crew:
        process.start()
    for _ in crew:
        ready.acquire()
    start = time.perf_counter()
    go.set()
    for process in crew:
        process.join()
    took = time.perf_counter() - start
    print(f"{CAPTURES} captures in {took:.2f} s, verified in {asyncio.run(_check(url, hold)):.2f} s")
    return CAPTURES / took


def main() -> int:
    """Measure both engines; ``--mongo URL`` names a replica set, else the tests' own is started."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mongo", default="")
    parser.add_argument("--sqlite-only", action="store_true")
    wanted = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory(prefix="cauldron-bench-") as folder:
        rows.append(_row("SQLite", measure(str(Path(folder) / "ledger.db"))))
    if not wanted.sqlite_only:
        rows.append(_row("MongoDB", _on_mongo(wanted.mongo)))
    record("ledger", rows, notes={"captures": CAPTURES, "processes": PROCESSES, "group": GROUP})
    return 0 if all(row.ours >= LEAST_PER_S for row in rows) else 1


def _on_mongo(url: str) -> float:
    if url:
        return measure(f"{url.rstrip('/')}/bench_{secrets.token_hex(4)}")
    from tests.mongod import database, server

    with server() as nodes, database(nodes) as own:
        return measure(own)


def _row(engine: str, rate: float) -> Row:
    return Row(
        name=f"captures of one hold by {PROCESSES} processes, {engine}",
        ours=rate,
        peer=LEAST_PER_S,
        peer_name="must be at least",
        unit="captures/s",
    )


if __name__ == "__main__":
    sys.exit(main())
