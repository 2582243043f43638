"""Reader threads of the SQLite engine: snapshots that never wait on the writer."""

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from cauldron.adapters.sqlite_file import connect, translate
from cauldron.adapters.sqlite_query import Query
from cauldron.adapters.sqlite_terms import decode
from cauldron.ports.storage import Doc

T = TypeVar("T")
Job = tuple[Callable[[sqlite3.Connection], Any], asyncio.Future[Any]]


class Readers:
    """A few threads, each with its own connection, answering into one event loop."""

    def __init__(self, path: Path, *, threads: int, loop: asyncio.AbstractEventLoop) -> None:
        self._path, self._loop = path, loop
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._run, name=f"sqlite-reader-{n}-{path.name}", daemon=True)
            for n in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def run(self, job: Callable[[sqlite3.Connection], T]) -> "asyncio.Future[T]":
        """Run ``job`` with a connection on one of the threads."""
        future: asyncio.Future[T] = self._loop.create_future()
        self._jobs.put((job, future))
        return future

    def stop(self) -> None:
        """Answer what was asked, then end. Blocks for as long as the longest read."""
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        db: sqlite3.Connection | None = None
        while (item := self._jobs.get()) is not None:
            db = self._serve(db, *item)
            del item  # while waiting for the next nothing of this one is kept
        if db is not None:
            db.close()

    def _serve(
        self, db: sqlite3.Connection | None, job: Callable[[sqlite3.Connection], Any], future: Any
    ) -> sqlite3.Connection | None:
        """Do a job and answer it; returns the connection, made when there was none."""
        result: Any = None
        failure: BaseException | None = None
        try:
            if db is None:
                db = connect(self._path, synchronous="NORMAL")
            result = job(db)
        except Exception as exc:  # the asker must hear of it; the thread must go on
            failure = translate(exc, self._path)
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(_answer, future, result, failure)
        return db


def _answer(future: "asyncio.Future[Any]", result: Any, failure: BaseException | None) -> None:
    if future.done():
        return
    if failure is not None:
        future.set_exception(failure)
    else:
        future.set_result(result)


def read_pages(db: sqlite3.Connection, queries: Sequence[Query], limit: int) -> list[Doc]:
    """Rows of ``queries`` one after the other, ``limit`` in all, from one snapshot."""
    if len(queries) == 1:
        sql, params = queries[0]
        return [decode(row) for row in db.execute(sql, (*params, limit))]
    docs: list[Doc] = []
    db.execute("BEGIN")
    try:
        for sql, params in queries:
            docs += [decode(row) for row in db.execute(sql, (*params, limit - len(docs)))]
            if len(docs) >= limit:
                break
    finally:
        db.execute("COMMIT")
    return docs
