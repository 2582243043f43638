"""Engines under contract: each opens any number of handles on one set of data."""

import contextlib
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cauldron.adapters.fs import BlobFiles, FsBlobs
from cauldron.adapters.mongo import MongoStore
from cauldron.adapters.s3 import S3Blobs
from cauldron.adapters.sqlite import SqliteStore
from cauldron.ports.blobs import BlobStore
from cauldron.ports.storage import Store, Table
from tests import s3server
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


def disk_blobs(folder: Path) -> Callable[[], BlobStore]:
    """Handles on one folder."""
    return lambda: FsBlobs(folder / "blobs")


def s3_blobs(folder: Path) -> Callable[[], BlobStore]:
    """Handles on one bucket of a real server, each with copies of its own, as on hosts of their own."""
    url, hosts = s3server.shared().url(), itertools.count()
    return lambda: S3Blobs(url, BlobFiles(folder / f"host-{next(hosts)}"), cache_bytes=1 << 20)


BLOBS = {"disk": disk_blobs, "s3": s3_blobs}


@pytest.fixture(params=STORES)
def engine(request: pytest.FixtureRequest, tmp_path: Path, run: Any) -> Iterator[Any]:
    """``run(engine.open(*tables))`` is a handle; every call gives another on the same data."""
    engine = STORES[request.param](tmp_path)
    yield engine
    run(engine.close())


@pytest.fixture(params=BLOBS)
def open_blobs(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], BlobStore]:
    """Every call gives another handle on the same blobs."""
    for name, value in s3server.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    return BLOBS[request.param](tmp_path)
