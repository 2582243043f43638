"""Engines under contract: each opens any number of handles on one set of data."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cauldron.adapters.fs import FsBlobs
from cauldron.adapters.sqlite import SqliteStore
from cauldron.ports.blobs import BlobStore
from cauldron.ports.storage import Store, Table


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


STORES = {"sqlite": SqliteEngine}
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
