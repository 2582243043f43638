"""Running a migration in tests: here, or (``python -m tests.legacy_runs``) as a process to kill."""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from cauldron.adapters.legacy_source import decode, source_for
from cauldron.adapters.mongo import MongoStore
from cauldron.adapters.sqlite import SqliteStore
from cauldron.persistence.tables import TABLES
from cauldron.ports.storage import Doc, Store, Table
from cauldron.services import migrating_notebook, migrating_writing, spells, tools
from cauldron.services.migrating import Migrating, Wanted
from cauldron.services.migrating_report import Report
from tests.legacy_world import NOW_MS

ALL: tuple[Table, ...] = (*TABLES, *spells.TABLES, *tools.TABLES, *migrating_writing.TABLES)
RECORDS = (
    "generationOutputs", "pieces", "casts", "cooks", "cook_status", "collections", "spells", "exports",
    "legacy_events", "legacy_set_aside",
)  # fmt: skip
QUEUES = ("cook_jobs", "cast_jobs", "cook_events", "cast_events")


@asynccontextmanager
async def opened(url: str | Path | None) -> AsyncIterator[Store]:
    """A target: a file, None for a file of its own, or the address of a MongoDB."""
    store: Store = MongoStore(url) if isinstance(url, str) else SqliteStore(url, synchronous="NORMAL")
    await store.open(ALL)
    try:
        yield store
    finally:
        await store.close()


async def migrate(
    store: Store,
    places: Sequence[str],
    *,
    line: Any = None,
    notes: int = 8_000,
    every: int = 10_000,
    **wanted: Any,
) -> dict[str, Any]:
    """One migration at the world's own time."""
    scratch = SqliteStore(None, synchronous="NORMAL")
    await scratch.open(migrating_notebook.TABLES)
    source = source_for(list(places))
    try:
        migrating = Migrating(
            source=source,
            decode=decode,
            store=store,
            scratch=scratch,
            clock=lambda: NOW_MS,
            report=Report(line),
            notes=notes,
            checkpoint_every=every,
        )
        return await migrating.run(Wanted(**wanted))
    finally:
        await source.close()
        await scratch.close()


async def everything(
    store: Store, tables: Sequence[str] = RECORDS, *, versions: bool = True
) -> dict[str, Doc]:
    """Every document of these tables by ``table/id``."""
    found: dict[str, Doc] = {}
    for table in tables:
        after = None
        while page := await store.find(table, {}, after=after):
            found |= {f"{table}/{doc['_id']}": doc for doc in page}
            after = [page[-1]["_id"]]
    if not versions:
        for doc in found.values():
            doc.pop("_v")
    return found


class Telling:
    """A store that prints a line after each commit, so that a process can be killed between two."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def commit(self, ops: Any, *, atomic: bool = True) -> Any:
        outcomes = await self._store.commit(ops, atomic=atomic)
        print("commit", flush=True)
        return outcomes


async def _main(target: str, processes: str, *places: str) -> None:
    async with opened(Path(target)) as store:
        await migrate(Telling(store), places, apply=True, processes=int(processes), every=300)
        print("done", flush=True)


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
