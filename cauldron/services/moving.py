"""Moving up: copies a whole store to another engine, table by table, and proves that the copy is whole.

A copy can be killed at any moment and goes on where it was. While it is under way
neither store opens for anybody else; afterwards the old one stays shut, so that
nobody goes on working with what has been left behind.
"""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson

from cauldron.domain.errors import Duplicate, Refused
from cauldron.persistence.leases import Leases
from cauldron.ports.storage import Delete, Doc, Insert, Put, Store, Table
from cauldron.ports.system import Clock, NewId

MOVES = "moves"
LOCK = "engine"
TABLES: tuple[Table, ...] = (Table(name=MOVES),)
# What belongs to processes that live, or to one engine: followers begin anew, and bear seeing all again.
LEFT = frozenset({"workers", "leases", "cursors", MOVES})
PAGE = 500
COMPARED = 2_000  # documents read at a time
PAGE_BYTES = 4_000_000  # of one write, about
SILENT_S = 30.0  # a feed that owes documents and shows none for so long
Tell = Callable[[str, int, int], None]  # table, documents done, documents in all


@dataclass(frozen=True, slots=True)
class Summary:
    """A table as a number and a hash that does not depend on the order of its documents."""

    documents: int
    digest: str  # 64 hex digits


@dataclass(slots=True)
class Outcome:
    """What a copy came to."""

    copied: dict[str, int] = field(default_factory=dict)  # table -> documents written by this run
    tables: dict[str, Summary] = field(default_factory=dict)  # as both sides have them
    differing: list[str] = field(default_factory=list)

    @property
    def documents(self) -> int:
        """How many documents the copy holds."""
        return sum(summary.documents for summary in self.tables.values())


async def check_open(store: Store) -> None:
    """Refuse a store that is being moved, or was. Its table ``moves`` must be open.

    Raises:
        Refused: it must not be worked with.
    """
    [lock] = await store.get(MOVES, [LOCK])
    if lock is None:
        return
    if lock["state"] == "moved":
        raise Refused(f"this store was moved to {lock['to']}: set CAULDRON_DATABASE_URL to work there")
    other = f"to {lock['to']}" if lock["role"] == "source" else f"from {lock['from']}"
    raise Refused(f"this store is being copied {other}: run `cauldron migrate engine` again to finish it")


@dataclass(slots=True, kw_only=True)
class Moving:
    """One move. Both stores are open with ``tables`` and :data:`TABLES`; nobody else has them open."""

    source: Store
    target: Store
    tables: Sequence[Table]
    places: tuple[str, str]  # where from and where to, as people may read them
    clock: Clock
    new_id: NewId
    tell: Tell = lambda _table, _done, _all: None
    lease_ms: int = 10_000
    _move: str = ""

    async def run(self) -> Outcome:
        """Copy what is missing, compare both sides, shut the old store.

        Raises:
            Refused: a store is in use, the target holds something else, or the copy differs.
        """
        async with self._alone():
            await self._check_quiet()
            await self._lock()
            await self._check_quiet()  # who came in between has found it open
            outcome = Outcome()
            for table in self._moved():
                outcome.copied[table.name] = await self._copy(table)
            await self._compare_all(outcome)
            if outcome.differing:
                raise Refused(
                    f"the copy differs in {', '.join(outcome.differing)}: nothing was switched over"
                )
            await self._finish()
        return outcome

    async def verify(self) -> Outcome:
        """Compare both sides and change nothing."""
        outcome = Outcome()
        await self._compare_all(outcome)
        return outcome

    def _moved(self) -> list[Table]:
        return [table for table in self.tables if table.name not in LEFT]

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """One mover at a time, by a lease in both stores that is kept up meanwhile."""
        holder = self.new_id()
        leases = [
            Leases(store, holder=holder, clock=self.clock, ttl_ms=self.lease_ms)
            for store in (self.source, self.target)
        ]
        await self._acquire(leases)
        keeping = asyncio.create_task(_keep(leases, every_s=self.lease_ms / 3000))
        try:
            yield
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
            for each in leases:
                await each.release(MOVES)

    async def _acquire(self, leases: Sequence[Leases]) -> None:
        """Wait as long as a mover that was killed still holds them."""
        end = asyncio.get_running_loop().time() + 1.2 * self.lease_ms / 1000
        for each in leases:
            while not await each.acquire(MOVES):
                if asyncio.get_running_loop().time() > end:
                    raise Refused("another process is moving this store")
                await asyncio.sleep(self.lease_ms / 20_000)

    async def _lock(self) -> None:
        """Shut both stores for others, if this is a new move; know our own unfinished one.

        Raises:
            Refused: one of them takes part in another move, or the target is not empty.
        """
        [[mine], [theirs]] = [await s.get(MOVES, [LOCK]) for s in (self.source, self.target)]
        begun = mine is not None and theirs is not None and mine["move"] == theirs["move"]
        if mine is not None and (mine["role"] != "source" or (mine["state"] == "moved" and not begun)):
            await check_open(self.source)
        if mine is not None and mine["to"] != self.places[1]:
            raise Refused(f"a copy to {mine['to']} is unfinished: finish it, or give it up with --unlock")
        if theirs is not None and not begun:
            raise Refused(f"{self.places[1]} takes part in another move; drop what is there first")
        if theirs is None:
            await self._check_empty()
        self._move = mine["move"] if mine is not None else self.new_id()
        for store, role, known in ((self.source, "source", mine), (self.target, "target", theirs)):
            if known is None:
                await store.commit([Insert(MOVES, self._lock_document(role))])

    def _lock_document(self, role: str, state: str = "copying") -> Doc:
        start, end = self.places
        now = self.clock()
        return {
            "_id": LOCK,
            "move": self._move,
            "role": role,
            "state": state,
            "from": start,
            "to": end,
            "at": now,
        }

    async def _check_empty(self) -> None:
        for table in self._moved():
            if await self.target.find(table.name, {}, limit=1):
                raise Refused(f"{self.places[1]} is not empty: {table.name} holds documents")

    async def _check_quiet(self) -> None:
        """No living worker and no lease but ours, on either side."""
        for store, place in zip((self.source, self.target), self.places, strict=True):
            now = self.clock()
            workers = [w["name"] for w in await store.find("workers", {}, limit=PAGE) if w["until"] > now]
            leases = [
                doc["_id"]
                for doc in await store.find("leases", {}, limit=PAGE)
                if doc["_id"] != MOVES and doc["until"] > now
            ]
            if workers or leases:
                who = f"worker {workers[0]}" if workers else f"whoever holds {leases[0]}"
                raise Refused(f"{place} is in use by {who}: stop it, and run this again")

    async def _copy(self, table: Table) -> int:
        """Copy what a table still lacks; returns how many documents this run wrote."""
        point = f"table:{table.name}"
        [known] = await self.target.get(MOVES, [point])
        if known is not None and known["done"]:
            return 0
        count, after = (known["documents"], known["after"]) if known is not None else (0, None)
        total = await _count(self.source, table.name)
        written = 0
        reading = (
            self._feed_pages(table.name, after, total - count)
            if table.feed
            else self._pages(table.name, after)
        )
        async with aclosing(reading) as pages:
            async for docs, last in pages:
                written += await self._write(table.name, docs)
                count += len(docs)
                await self._checkpoint(point, documents=count, after=last)
                self.tell(table.name, count, total)
        await self._checkpoint(point, documents=count, after=None, done=True)
        return written

    async def _checkpoint(self, point: str, *, documents: int, after: str | None, done: bool = False) -> None:
        body = {"_id": point, "move": self._move, "documents": documents, "after": after, "done": done}
        await self.target.commit([Put(MOVES, body, None)])

    async def _pages(self, table: str, after: str | None) -> AsyncGenerator[tuple[list[Doc], str], None]:
        while page := await self.source.find(table, {}, limit=PAGE, after=[after] if after else None):
            after = page[-1]["_id"]
            yield page, page[-1]["_id"]

    async def _feed_pages(
        self, table: str, after: str | None, owed: int
    ) -> AsyncGenerator[tuple[list[Doc], str], None]:
        """Commits in the order they were made in, so that the copy's feed tells the same story."""
        feed = self.source.watch(table, after=after or "")
        page: list[Doc] = []
        cursor = after or ""
        try:
            while owed > 0:
                async with asyncio.timeout(SILENT_S):
                    cursor, doc = await anext(feed)
                if doc is None:
                    continue
                page.append(doc)
                owed -= 1
                if len(page) == PAGE or owed == 0:
                    yield page, cursor
                    page = []
        except TimeoutError:
            raise Refused(
                f"{table} shows {owed} documents fewer than it holds: run `cauldron audit`"
            ) from None
        finally:
            if (close := getattr(feed, "aclose", None)) is not None:
                await close()

    async def _write(self, table: str, docs: Sequence[Doc]) -> int:
        """Insert documents; those an earlier run wrote must be the same. Raises Refused."""
        plain = [_plain(doc) for doc in docs]
        found: list[Exception | None] = []
        for part in _parts(plain):
            found += await self.target.commit([Insert(table, doc) for doc in part], atomic=False)
        there = [doc for doc, failure in zip(plain, found, strict=True) if failure is not None]
        others = [f for f in found if f is not None and not isinstance(f, Duplicate)]
        if others:
            raise others[0]
        stored = await self.target.get(table, [doc["_id"] for doc in there])
        for doc, known in zip(there, stored, strict=True):
            if known is None or _plain(known) != doc:
                raise Refused(f"{table} {doc['_id']} is in the target already, and differs")
        return len(docs) - len(there)

    async def _compare_all(self, outcome: Outcome) -> None:
        for table in self._moved():
            here, there = await asyncio.gather(
                summarise(self.source, table.name), summarise(self.target, table.name)
            )
            outcome.tables[table.name] = there
            if here != there:
                outcome.differing.append(table.name)

    async def _finish(self) -> None:
        """The source first: if we die in between, both stay shut and the next run finishes."""
        points = [f"table:{table.name}" for table in self._moved()]
        await self.source.commit([Put(MOVES, self._lock_document("source", "moved"), None)])
        await self.target.commit([Delete(MOVES, point) for point in points], atomic=False)
        await self.target.commit([Delete(MOVES, LOCK)])


async def unlock(store: Store) -> bool:
    """Give up a move: the store opens again. False when it was not shut.

    Of a half-written target nothing is removed: it stays shut until it is emptied.

    Raises:
        Refused: it is the target of a move.
    """
    [lock] = await store.get(MOVES, [LOCK])
    if lock is None:
        return False
    if lock["role"] != "source":
        raise Refused(f"this is a half-written copy of {lock['from']}: drop the database instead")
    await store.commit([Delete(MOVES, LOCK, {"move": lock["move"]})])
    return True


async def summarise(store: Store, table: str) -> Summary:
    """Number and hash of a table's documents: the sum of their SHA-256 modulo 2^256."""
    count = total = 0
    after: list[Any] | None = None
    while page := await store.find(table, {}, limit=COMPARED, after=after):
        total += await asyncio.to_thread(_sum, page)
        count += len(page)
        after = [page[-1]["_id"]]
    return Summary(count, f"{total % (1 << 256):064x}")


def _sum(page: Sequence[Doc]) -> int:
    texts = (orjson.dumps(_plain(doc), option=orjson.OPT_SORT_KEYS) for doc in page)
    return sum(int.from_bytes(hashlib.sha256(text).digest()) for text in texts)


def _plain(doc: Doc) -> Doc:
    """A document without the engine's version, which counts changes and begins anew in a copy."""
    return {key: value for key, value in doc.items() if key != "_v"}


def _parts(docs: Sequence[Doc]) -> list[list[Doc]]:
    """Documents in writes of a bounded size."""
    parts: list[list[Doc]] = [[]]
    room = PAGE_BYTES
    for doc in docs:
        size = len(orjson.dumps(doc))
        if parts[-1] and size > room:
            parts.append([])
            room = PAGE_BYTES
        parts[-1].append(doc)
        room -= size
    return [part for part in parts if part]


async def _count(store: Store, table: str) -> int:
    count = 0
    after: list[Any] | None = None
    while page := await store.find(table, {}, limit=COMPARED, after=after):
        count += len(page)
        after = [page[-1]["_id"]]
    return count


async def _keep(leases: Sequence[Leases], *, every_s: float) -> None:
    """Should a lease be lost, no harm is done: two movers write the same documents."""
    while True:
        await asyncio.sleep(every_s)
        for each in leases:
            await each.acquire(MOVES)
