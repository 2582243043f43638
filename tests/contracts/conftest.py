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
from tests.mongod import database, studio_database


class Engine:
    """Handles on one set of data."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self.handles: list[Store] = []

    async def open(self, *tables: Table) -> Store:
        store: Store = self._make()
        self.handles.append(store)
        await store.open(tables)
        return store

    async def close(self) -> None:
        for handle in self.handles:
            await handle.close()


class SqliteEngine(Engine):
    """Handles on one SQLite file."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "store.db"
        super().__init__(lambda: SqliteStore(self.path))


class MongoEngine(Engine):
    """Handles on one database of a real replica set, where a test before may have made the tables."""

    made_by = staticmethod(studio_database)

    def __init__(self, folder: Path) -> None:
        self._database = contextlib.ExitStack()
        self.url = self._database.enter_context(self.made_by())
        super().__init__(lambda: MongoStore(self.url))

    async def close(self) -> None:
        await super().close()
        self._database.close()


class FreshMongoEngine(MongoEngine):
    """The same with tables of a test's own, or processes that are killed."""

    made_by = staticmethod(database)


STORES = {"sqlite": SqliteEngine, "mongo": MongoEngine}
FRESH_STORES = {"sqlite": SqliteEngine, "mongo": FreshMongoEngine}


def disk_blobs(folder: Path) -> Callable[[], BlobStore]:
    """Handles on one folder."""
    return lambda: FsBlobs(folder / "blobs")


def s3_blobs(folder: Path) -> Callable[[], BlobStore]:
    """Handles on one bucket of a real server, each with copies of its own, as on hosts of their own."""
    url, hosts = s3server.shared().url(), itertools.count()
    return lambda: S3Blobs(url, BlobFiles(folder / f"host-{next(hosts)}"), cache_bytes=1 << 20)


BLOBS = {"disk": disk_blobs, "s3": s3_blobs}


@pytest.fixture(params=FRESH_STORES)
def engine(request: pytest.FixtureRequest, tmp_path: Path, run: Any) -> Iterator[Any]:
    """``run(engine.open(*tables))`` is a handle; every call gives another on the same data."""
    engine = FRESH_STORES[request.param](tmp_path)
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
