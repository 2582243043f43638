"""Engines under contract: each opens any number of handles on one set of data."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cauldron.adapters.fs import FsBlobs
from cauldron.adapters.mongo import MongoStore
from cauldron.adapters.sqlite import SqliteStore
from cauldron.ports.blobs import BlobStore
from cauldron.ports.storage import Store, Table
from tests.mongod import database


class SqliteEngine:
    """Handles on one SQLite file."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "store.db"
        self.handles: list[SqliteStore] = []

    async def open(self, *tables: Table) -> Store:
        store = SqliteStore(self.path)
        self.handles.append(store)
        await store.open(tables)
        return store

    async def close(self) -> None:
        for handle in self.handles:
            await handle.close()


class MongoEngine:
    """Handles on one database of a real replica set."""

    def __init__(self, folder: Path) -> None:
        self._database = contextlib.ExitStack()
        self.url = self._database.enter_context(database())
        self.handles: list[MongoStore] = []

    async def open(self, *tables: Table) -> Store:
        store = MongoStore(self.url)
        self.handles.append(store)
        await store.open(tables)
        return store

    async def close(self) -> None:
        for handle in self.handles:
            await handle.close()
        self._database.close()


STORES = {"sqlite": SqliteEngine, "mongo": MongoEngine}
BLOBS = {"disk": lambda folder: FsBlobs(folder / "blobs")}


@pytest.fixture(params=STORES)
def engine(request: pytest.FixtureRequest, tmp_path: Path, run: Any) -> Iterator[Any]:
    """``run(engine.open(*tables))`` is a handle; every call gives another on the same data."""
    engine = STORES[request.param](tmp_path)
    yield engine
    run(engine.close())


@pytest.fixture(params=BLOBS)
def open_blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Every call gives another handle on the same blobs."""

    def opened() -> BlobStore:
        return BLOBS[request.param](tmp_path)

    return opened
