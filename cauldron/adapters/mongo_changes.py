"""Following MongoDB: one doorbell per handle over all its tables, and feeds that miss and double nothing.

Both read change streams. Where much happens a bell rings by the clock instead and
looks again later, because only the ringing matters and every change read costs the
server as much as a small query; a feed goes on from the token of its last document.
"""

import asyncio
import contextlib
import weakref
from collections.abc import Iterable, Sequence
from typing import Any

from bson.int64 import Int64
from bson.timestamp import Timestamp
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import PyMongoError

from cauldron.adapters.mongo_link import Link, after
from cauldron.domain.errors import Unavailable
from cauldron.ports.storage import Doc

AWAIT_MS = 1000  # how long the server holds an answer back while nothing happens
OVERDUE_S = 3.0
BELL_BATCH = 16  # so many within one pause are much
BELL_PAUSE_S = 0.02  # between two rings
BUSY_RINGS, BUSY_PAUSE_S = 6, 0.04  # by the clock, before it looks again
REOPEN_S = 0.2
CHANGES = {"$in": ["insert", "update", "replace", "delete"]}


class ChangeCursor:
    """One change stream, batch by batch."""

    def __init__(self, link: Link, target: str | None, pipeline: Sequence[Doc], *, batch: int) -> None:
        """``target`` is a collection, or None for the whole database."""
        self._link, self._target, self._pipeline, self._batch = link, target, list(pipeline), batch
        self._session: AsyncClientSession | None = None
        self._id = 0
        self.token: Doc | None = None

    async def open(self, **start: Any) -> list[Doc]:
        """Begin at ``resumeAfter``, ``startAtOperationTime`` or now; the first batch."""
        await self.close()
        self._session = self._link.client.start_session(causal_consistency=False)
        command = {
            "aggregate": self._target or 1,
            "pipeline": [{"$changeStream": start}, *self._pipeline],
            "cursor": {"batchSize": self._batch},
            "readConcern": {"level": "majority"},
        }
        return self._read(await self._link.db.command(command, session=self._session), "firstBatch")

    async def next(self) -> list[Doc]:
        """The next batch; empty when nothing happened for a second.

        Raises:
            Unavailable: the stream has ended, because its collection is gone.
            TimeoutError: the server owes an answer.
        """
        if not self._id:
            raise Unavailable(f"{self._link.where}: the change stream has ended")
        command = {
            "getMore": Int64(self._id),
            "collection": self._target or "$cmd.aggregate",
            "batchSize": self._batch,
            "maxTimeMS": AWAIT_MS,
        }
        async with asyncio.timeout(OVERDUE_S):
            return self._read(await self._link.db.command(command, session=self._session), "nextBatch")

    def _read(self, answer: Doc, name: str) -> list[Doc]:
        cursor = answer["cursor"]
        self._id = int(cursor["id"])
        self.token = cursor.get("postBatchResumeToken", self.token)
        self._link.horizon.note(answer.get("operationTime"))
        return list(cursor[name])

    async def close(self) -> None:
        """Let go; the server ends its side with the session or by itself."""
        session, cursor_id = self._session, self._id
        self._session, self._id = None, 0
        if session is None:
            return
        if cursor_id:
            kill = {"killCursors": self._target or "$cmd.aggregate", "cursors": [Int64(cursor_id)]}
            with contextlib.suppress(PyMongoError, TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._link.db.command(kill, session=session)
        await session.end_session()


class Bell:
    """Rings when its table may have changed; from its making to its end."""

    def __init__(self, chime: "Chime", table: str, since: Timestamp) -> None:
        self.table, self.since = table, since
        self._chime = chime
        self._event = asyncio.Event()
        self._ended = False

    def __aiter__(self) -> "Bell":
        return self

    async def __anext__(self) -> tuple[str, Doc | None]:
        await self._event.wait()
        if self._ended:
            raise StopAsyncIteration
        self._event.clear()
        return "", None

    def ring(self) -> None:
        """Something may have changed."""
        self._event.set()

    def end(self) -> None:
        """The store closes: no more."""
        self._ended = True
        self._event.set()

    async def aclose(self) -> None:
        """Stop following."""
        self.end()
        self._chime.bells.discard(self)


class Chime:
    """All bells of one handle behind one change stream over the tables that they watch."""

    def __init__(self, link: Link) -> None:
        self.bells: weakref.WeakSet[Bell] = weakref.WeakSet()
        self._link = link
        self._tables: set[str] = set()
        self._task: asyncio.Task[None] | None = None
        self._start: Doc = {}

    def bell(self, table: str) -> Bell:
        """A bell that rings for what is committed from now on."""
        bell = Bell(self, table, self._link.horizon.at)
        self.bells.add(bell)
        if table not in self._tables:  # a wider stream, from where the narrower one had come to
            self._tables.add(table)
            if self._task is not None:
                self._task.cancel()
            else:
                self._start = {"startAtOperationTime": after(bell.since)}
            self._task = asyncio.create_task(self._run(self._task))
        return bell

    async def close(self) -> None:
        """End every bell."""
        for bell in list(self.bells):
            bell.end()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self, before: "asyncio.Task[None] | None") -> None:
        if before is not None:
            await asyncio.gather(before, return_exceptions=True)
        pipeline: list[Doc] = [
            {"$match": {"operationType": CHANGES, "ns.coll": {"$in": sorted(self._tables)}}},
            {"$project": {"ns.coll": 1, "clusterTime": 1}},
        ]
        cursor = ChangeCursor(self._link, None, pipeline, batch=BELL_BATCH)
        try:
            while True:
                try:
                    await self._follow(cursor)
                except (PyMongoError, Unavailable, TimeoutError):
                    self._start = {}  # what was missed is made good by ringing
                    self._ring_all()
                    await asyncio.sleep(REOPEN_S)
        finally:
            await cursor.close()

    async def _follow(self, cursor: ChangeCursor) -> None:
        jumped = not self._start
        batch = await cursor.open(**self._start)
        if jumped:
            self._ring_all()
        while True:
            self._start = {"resumeAfter": cursor.token}
            self._ring(batch)
            if len(batch) >= BELL_BATCH:
                self._start = {}
                await cursor.close()
                for _ in range(BUSY_RINGS):
                    await asyncio.sleep(BUSY_PAUSE_S)
                    self._ring_all()
                return
            if batch:
                await asyncio.sleep(BELL_PAUSE_S)
            batch = await cursor.next()

    def _ring(self, batch: Iterable[Doc]) -> None:
        latest: dict[str, Timestamp] = {}
        for change in batch:
            latest[change["ns"]["coll"]] = change["clusterTime"]
        for bell in list(self.bells) if latest else ():
            if bell.table in latest and latest[bell.table] > bell.since:
                bell.ring()

    def _ring_all(self) -> None:
        for bell in list(self.bells):
            bell.ring()
