"""Feeds on MongoDB: every insert after a cursor once, in the order of commits.

The past is scanned as of one instant T, in the order of insertion; the change
stream goes on right after T. A scan that is taken up again later, or that outlives
the server's history, goes on as of a newer instant; which inserts each part has
covered travels in the cursor. When the oplog no longer reaches back to a cursor,
the collection is scanned again from a little before it: nothing is missed, and
what was inserted in those few seconds may be shown twice to a reader that was away.
"""

import asyncio
import base64
import binascii
import re
import weakref
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Any

import bson
from bson.errors import BSONError
from bson.timestamp import Timestamp
from pymongo.errors import PyMongoError

from cauldron.adapters.mongo_changes import REOPEN_S, ChangeCursor
from cauldron.adapters.mongo_documents import decode, position
from cauldron.adapters.mongo_link import HISTORY_LOST, NO_SNAPSHOT, Link, after, code_of, is_passing, log
from cauldron.domain.errors import Invalid, Unavailable
from cauldron.ports.storage import Doc

PAGE = 500
ROOM = 1000  # documents read ahead of the reader
OVERLAP_S = 5  # an insert that took longer than this to commit would be missed after lost history
REMEMBERED = 4096
BY_TS = [("_ts", 1), ("_id", 1)]
TS_INDEX = "ts"
START = (Timestamp(0, 0), "")
Position = tuple[Timestamp, str]

_CURSOR = re.compile(r"m1\.[A-Za-z0-9_-]+=*")


@dataclass(slots=True, kw_only=True)
class Place:
    """Where a reader of a feed stands: what its cursor says.

    ``parts`` are scans ``(as of, up to)``: together they covered the collection up
    to the last bound, each as of its instant; ``whole`` says that the last one
    reached the end. ``token`` is where the change stream goes on.
    """

    parts: list[tuple[Timestamp, Position]] = field(default_factory=list)
    whole: bool = True
    token: str | None = None
    last: Position = START

    def text(self) -> str:
        """The opaque cursor."""
        body: Doc = {"p": list(self.last)}
        if self.token is not None:
            body["t"] = bytes.fromhex(self.token)
        if self.parts:
            body |= {"s": [[at, *upto] for at, upto in self.parts], "w": self.whole}
        return "m1." + base64.urlsafe_b64encode(bson.encode(body)).decode()

    @classmethod
    def of(cls, text: str, table: str) -> "Place":
        """The place a cursor names. Raises Invalid."""
        try:
            if not _CURSOR.fullmatch(text):
                raise ValueError(text)
            body: dict[str, Any] = bson.decode(base64.urlsafe_b64decode(text.removeprefix("m1.")))
            parts = [(at, (ts, name)) for at, ts, name in body.get("s", [])]
            ts, name = body["p"]
            token = bytes(body["t"]).hex().upper() if "t" in body else None
            if not parts and token is None:
                raise ValueError(text)
            whole = bool(body.get("w", True))
            return cls(parts=parts, whole=whole, token=token, last=(Timestamp(ts.time, ts.inc), str(name)))
        except (ValueError, KeyError, TypeError, AttributeError, binascii.Error, BSONError):
            raise Invalid(f"{text[:80]!r} is not a cursor of {table}", path="after") from None

    def covers(self, at: Timestamp, where: Position) -> bool:
        """Has a scan shown the document that was inserted at this instant?"""
        for as_of, upto in self.parts:
            if where <= upto:
                return at <= as_of
        return bool(self.parts) and self.whole and at <= self.parts[-1][0]


class Feed:
    """What ``watch`` hands out for a feed; from its making to its end."""

    def __init__(self, link: Link, table: str, cursor: str | None) -> None:
        """``cursor`` None is now, ``""`` the beginning. Raises Invalid."""
        self._state = _State()
        reader = _Reader(link, table, self._state)
        if cursor is None:
            reader.place.last = (link.horizon.at, "")
            reader.start_at = after(link.horizon.at)
        elif cursor:
            reader.place = Place.of(cursor, table)
        else:
            reader.place.whole = False
            reader.as_of = link.horizon.at
        self._task = asyncio.create_task(reader.run())
        weakref.finalize(self, _cancel, self._task, asyncio.get_running_loop())

    def __aiter__(self) -> "Feed":
        return self

    async def __anext__(self) -> tuple[str, Doc | None]:
        state = self._state
        while not state.items:
            if state.failure is not None:
                raise state.failure
            if state.ended:
                raise StopAsyncIteration
            state.news.clear()
            await state.news.wait()
        item = state.items.popleft()
        if len(state.items) < ROOM // 2:
            state.room.set()
        return item

    def end(self) -> None:
        """The store closes: no more than what was read already."""
        self._state.ended = True
        self._state.news.set()
        self._task.cancel()

    async def aclose(self) -> None:
        """Stop following."""
        self.end()
        await asyncio.gather(self._task, return_exceptions=True)


def _cancel(task: "asyncio.Task[None]", loop: asyncio.AbstractEventLoop) -> None:
    """Nobody holds the feed any more."""
    if not loop.is_closed() and not task.done():
        loop.call_soon_threadsafe(task.cancel)


@dataclass(slots=True)
class _State:
    """What passes between a reader in the background and the one that iterates."""

    items: deque[tuple[str, Doc | None]] = field(default_factory=deque)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    room: asyncio.Event = field(default_factory=asyncio.Event)
    failure: BaseException | None = None
    ended: bool = False


class _Reader:
    """Reads a feed in the background, so that a reader who gives up waiting loses nothing."""

    def __init__(self, link: Link, table: str, state: _State) -> None:
        self.link, self.table, self.state = link, table, state
        self.place = Place()
        self.start_at: Timestamp | None = None  # where the stream begins that has no token yet
        self.as_of: Timestamp | None = None  # the instant that the scan shows
        self._resume: Doc | None = None  # newer than the place's token while nothing is inserted
        self._shown: OrderedDict[str, None] = OrderedDict()

    async def run(self) -> None:
        """Until cancelled, or for good when the server says what waiting does not mend."""
        try:
            while True:
                try:
                    await self._once()
                except PyMongoError as exc:
                    if code_of(exc) in HISTORY_LOST:
                        await self._go_back()
                    elif not is_passing(exc):
                        raise
                except TimeoutError:
                    pass
                await asyncio.sleep(REOPEN_S)
        except (PyMongoError, Unavailable) as exc:
            self.state.failure = self.link.translate(exc)
        finally:
            self.state.news.set()

    async def _once(self) -> None:
        if not self.place.whole:
            await self._scan()
        pipeline: list[Doc] = [
            {"$match": {"operationType": "insert"}},
            {"$project": {"fullDocument": 1, "clusterTime": 1}},
        ]
        cursor = ChangeCursor(self.link, self.table, pipeline, batch=PAGE)
        try:
            batch = await cursor.open(**self._start())
            while True:
                for change in batch:
                    await self._show_change(change)
                self._resume = cursor.token
                batch = await cursor.next()
        finally:
            await cursor.close()

    def _start(self) -> Doc:
        if self._resume is not None:
            return {"resumeAfter": self._resume}
        if self.place.token is not None:
            return {"resumeAfter": {"_data": self.place.token}}
        return {"startAtOperationTime": self.start_at or after(self.place.parts[0][0])}

    async def _show_change(self, change: Doc) -> None:
        stored, at, place = change["fullDocument"], change["clusterTime"], self.place
        place.token, where = change["_id"]["_data"], position(stored)
        self._resume = None  # until the batch is shown
        covered = place.covers(at, where)
        if place.parts and at > max(as_of for as_of, _ in place.parts):
            place.parts = []  # from here on the token says it all
        if not covered:
            place.last = where
            await self._show(stored)

    async def _show(self, stored: Doc) -> None:
        name = stored["_id"]
        self._shown[name] = None
        if len(self._shown) > REMEMBERED:
            self._shown.popitem(last=False)
        state = self.state
        state.items.append((self.place.text(), decode(stored)))
        state.news.set()
        if len(state.items) >= ROOM:
            state.room.clear()
            await state.room.wait()

    async def _scan(self) -> None:
        """Show what was there, page by page as of one instant, from where the place says."""
        place = self.place
        while not place.whole:
            if self.as_of is None:
                await self.link.ping()
                self.as_of = self.link.horizon.at
            try:
                page = await self._page(place.parts[-1][1] if place.parts else START)
            except PyMongoError as exc:
                if code_of(exc) not in NO_SNAPSHOT:
                    raise
                self.as_of = None  # history is kept for minutes only: go on as of now
                continue
            for stored in page:
                self._scanned(position(stored))
                if stored["_id"] not in self._shown:
                    place.last = max(place.last, position(stored))
                    await self._show(stored)
            if len(page) < PAGE:
                if not place.parts or place.parts[-1][0] != self.as_of:
                    place.parts.append((self.as_of, place.parts[-1][1] if place.parts else START))
                place.whole = True

    def _scanned(self, upto: Position) -> None:
        parts, as_of = self.place.parts, self.as_of or Timestamp(0, 0)
        if parts and parts[-1][0] == as_of:
            parts[-1] = (as_of, upto)
        else:
            parts.append((as_of, upto))

    async def _page(self, start: Position) -> list[Doc]:
        concern = {"level": "snapshot", "atClusterTime": self.as_of}
        beyond = {"$or": [{"_ts": {"$gt": start[0]}}, {"_ts": start[0], "_id": {"$gt": start[1]}}]}
        command = {
            "find": self.table,
            "filter": {"$and": [{"_ts": {"$gte": start[0]}}, beyond]},
            "sort": dict(BY_TS),
            "hint": TS_INDEX,
            "limit": PAGE,
            "batchSize": PAGE,
            "singleBatch": True,
            "readConcern": concern,
        }
        answer = await self.link.db.command(command)
        return list(answer["cursor"]["firstBatch"])

    async def _go_back(self) -> None:
        """The oplog has forgotten the token: scan again from a little before the last document."""
        log.warning("feed history lost: scanning again", table=self.table)
        last, _ = self.place.last
        for _, name in (self.place.last, *(upto for _, upto in self.place.parts)):
            self._shown[name] = None
        floor = (Timestamp(max(0, last.time - OVERLAP_S), 0), "")
        await self.link.ping()
        self.as_of = self.link.horizon.at
        self.place.token, self.start_at, self._resume, self.place.whole = None, None, None, False
        self.place.parts = [(self.as_of, floor)]
