"""The storage kernel on MongoDB: single-document writes in shared commands, claims in three steps.

For a replica set, from any number of processes and hosts. Writes are majority and
journaled; reads are majority; a multi-document transaction is used only where a
caller asks for several operations as a whole.
"""

import asyncio
import weakref
from collections.abc import AsyncIterator, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pymongo import IndexModel, ReadPreference
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import OperationFailure
from pymongo.read_concern import ReadConcern

from cauldron.adapters import mongo_query
from cauldron.adapters.mongo_changes import Bell, Chime
from cauldron.adapters.mongo_claim import Claims
from cauldron.adapters.mongo_documents import can_be_id, decode
from cauldron.adapters.mongo_feed import BY_TS, TS_INDEX, Feed
from cauldron.adapters.mongo_groups import Group, Unit, units
from cauldron.adapters.mongo_link import DURABLE, READ, Link
from cauldron.adapters.mongo_query import MongoTable, Query
from cauldron.adapters.mongo_statements import Write, command_of, prepare, runs
from cauldron.adapters.mongo_write import Lane, Outcome, outcome, run_deletes
from cauldron.domain.errors import Invalid, Unavailable
from cauldron.ports.storage import Claim, Doc, Op, Table, Where

IN_FLIGHT = 16
TRANSACTIONS = 4  # at once: more of them only collide
NAMESPACE_EXISTS = 48
PAGE_BATCH = 10_000
LOCAL = ReadConcern("local")

T = TypeVar("T")


@dataclass(slots=True, kw_only=True)
class _Live:
    """What an open handle holds."""

    link: Link
    chime: Chime
    in_flight: asyncio.Semaphore
    transactions: asyncio.Semaphore
    timekeeper: "asyncio.Task[None]"
    lanes: dict[tuple[str, str], Lane] = field(default_factory=dict)
    claims: dict[str, Claims] = field(default_factory=dict)
    busy: set["asyncio.Task[Any]"] = field(default_factory=set)

    def lane(self, kind: str, table: str) -> Lane:
        """Where writes of one kind into one table go."""
        lane = self.lanes.get((kind, table))
        if lane is None:
            lane = self.lanes[kind, table] = Lane(self.link, table, self.in_flight)
        return lane


class MongoStore:
    """One handle on one database; implements the ``Store`` port.

    A handle belongs to the event loop that opened it.
    """

    def __init__(self, url: str, *, in_flight: int = IN_FLIGHT, patience_s: float = 30.0) -> None:
        """``mongodb://host,host/database?replicaSet=name``.

        ``in_flight`` bounds the write commands under way at once, ``patience_s``
        how long a call waits for a primary before it is Unavailable.

        Raises:
            Invalid: the URL is malformed or names no database.
        """
        self._url, self._in_flight, self._patience_s = url, in_flight, patience_s
        Link(url, patience_s=patience_s)  # refuses what it cannot use; connects to nothing
        self._tables: dict[str, MongoTable] = {}
        self._feeds: weakref.WeakSet[Feed] = weakref.WeakSet()
        self._live: _Live | None = None

    async def open(self, tables: Sequence[Table]) -> None:
        """Create what is missing; may be called again with more tables.

        Raises:
            Invalid: not a replica set, too old, another program's data, or a refused login.
            Refused: a later version wrote it.
            Unavailable: nobody answers.
        """
        added = [MongoTable(table) for table in tables]
        live = self._live
        if live is None:
            link = Link(self._url, patience_s=self._patience_s)
            try:
                await link.check()
                await self._create(link, added)
            except BaseException:
                await link.close()
                raise
            self._live = live = _Live(
                link=link,
                chime=Chime(link),
                in_flight=asyncio.Semaphore(self._in_flight),
                transactions=asyncio.Semaphore(TRANSACTIONS),
                timekeeper=asyncio.create_task(link.keep_time()),
            )
        else:
            await self._create(live.link, added)
        self._tables.update((table.name, table) for table in added)
        await live.link.steadily(live.link.ping)  # what is committed before now is past for a watch

    async def _create(self, link: Link, tables: Sequence[MongoTable]) -> None:
        turn = asyncio.Semaphore(4)

        async def create(table: MongoTable) -> None:
            async with turn:
                await link.steadily(lambda: _create_table(link, table))

        await asyncio.gather(*(create(table) for table in tables))

    def _opened(self) -> _Live:
        if self._live is None:
            raise Unavailable("the store is not open")
        return self._live

    def _table(self, name: str) -> MongoTable:
        try:
            return self._tables[name]
        except KeyError:
            self._opened()
            raise Invalid(f"no table {name!r} was opened", table=name) from None

    async def get(self, table: str, ids: Sequence[str]) -> list[Doc | None]:
        """Documents by id, in the order asked for; None where there is none."""
        link, name = self._opened().link, self._table(table).name
        wanted = [each for each in dict.fromkeys(ids) if can_be_id(each)]
        if not wanted:
            return [None] * len(ids)
        only = {"_id": wanted[0]} if len(wanted) == 1 else {"_id": {"$in": wanted}}
        command = {"find": name, "filter": only, "batchSize": PAGE_BATCH, "readConcern": READ}
        found = await link.steadily(lambda: link.documents(command))
        by_id = {doc["_id"]: decode(doc) for doc in found}
        return [dict(by_id[each]) if each in by_id else None for each in ids]

    async def find(
        self,
        table: str,
        where: Where,
        *,
        order: tuple[str, ...] = ("_id",),
        limit: int = 1000,
        after: Sequence[Any] | None = None,
    ) -> list[Doc]:
        """Matching documents in order, from a declared index or not at all.

        Raises:
            Invalid: a field is not declared, or no index serves the filter.
        """
        if limit < 1:
            raise Invalid(f"limit must be 1 or more, not {limit}", path="limit")
        known = self._table(table)
        docs: list[Doc] = []
        for query in mongo_query.select(known, where, order, after=after):
            docs += await self._query(known.name, query, limit=limit - len(docs))
            if len(docs) >= limit:
                break
        return [decode(doc) for doc in docs]

    async def _query(self, table: str, query: Query, *, limit: int) -> list[Doc]:
        command = {
            "find": table,
            "filter": query.filter,
            "sort": dict(query.sort),
            "hint": query.hint,
            "limit": limit,
            "batchSize": min(limit, PAGE_BATCH),
            "readConcern": READ,
        }
        link = self._opened().link
        return await link.steadily(lambda: link.documents(command))

    async def commit(self, ops: Sequence[Op], *, atomic: bool = True) -> list[Outcome]:
        """Carry out operations durably; see the port.

        Raises:
            Invalid: an operation is malformed; nothing was written.
        """
        if atomic and len(ops) > 1:
            writes = [prepare(self._table(op.table), op) for op in ops]
            live = self._opened()
            return await self._accept(live, self._transact(live, writes))
        made = units(self._table, ops)
        live = self._opened()
        outcomes: list[Outcome]
        if len(ops) == 1 and made[0][0].kind != "delete":
            write = made[0][0]
            outcomes = await live.lane(write.kind, write.table).submit([write])
        else:
            outcomes = await self._accept(live, self._each(live, made))
        if atomic and outcomes and outcomes[0] is not None:
            raise outcomes[0]
        return outcomes

    async def _accept(self, live: _Live, work: Coroutine[Any, Any, T]) -> T:
        """Finish work that was begun, although its caller may give up."""
        task = asyncio.create_task(work)
        live.busy.add(task)
        task.add_done_callback(live.busy.discard)
        task.add_done_callback(_heard)
        return await asyncio.shield(task)

    async def _each(self, live: _Live, made: Sequence[Unit]) -> list[Outcome]:
        """Operations that stand alone, in as few commands as their order allows."""
        results: dict[int, Outcome] = {}
        for step in runs([write for write, _ in made]):
            done = await asyncio.gather(*(self._together(live, same) for same in step))
            for same, some in zip(step, done, strict=True):
                results.update((id(write), result) for write, result in zip(same, some, strict=True))
        outcomes: dict[int, Outcome] = {}
        for write, places in made:
            found = results[id(write)]
            each = write.outcomes(found) if isinstance(write, Group) else [found]
            outcomes.update(zip(places, each, strict=True))
        return [outcomes[n] for n in range(len(outcomes))]

    async def _together(self, live: _Live, writes: Sequence[Write]) -> list[Outcome]:
        kind, table = writes[0].kind, writes[0].table
        if kind == "delete":
            async with live.in_flight:
                return await run_deletes(live.link, table, writes)
        return await live.lane(kind, table).submit_all(writes)

    async def _transact(self, live: _Live, writes: Sequence[Write]) -> list[Outcome]:
        """All operations or none, in one transaction, tried again when it collides."""

        async def body(session: AsyncClientSession) -> None:
            for step in runs(writes):
                for same in step:
                    await _in_transaction(live.link, same, session)

        async with live.transactions, live.link.session() as session:
            await live.link.steadily(
                lambda: session.with_transaction(
                    body, ReadConcern("snapshot"), DURABLE, ReadPreference.PRIMARY
                )
            )
        return [None] * len(writes)

    async def claim(self, claim: Claim) -> list[Doc]:
        """The claimed documents after patching, in the order they were chosen."""
        table = self._table(claim.table)
        if table.feed:
            raise Invalid(f"{table.name} is append-only", table=table.name)
        if claim.limit < 1:
            raise Invalid(f"limit must be 1 or more, not {claim.limit}", path="limit")
        live = self._opened()
        claims = live.claims.setdefault(table.name, Claims(live.link, table, live.in_flight))
        return await self._accept(live, claims.take(claim))

    def watch(self, table: str, *, after: str | None = None) -> AsyncIterator[tuple[str, Doc | None]]:
        """Follow a table from this moment, or a feed from its cursor; see the port."""
        live, known = self._opened(), self._table(table)
        if known.feed:
            feed = Feed(live.link, table, after)
            self._feeds.add(feed)
            return feed
        if after is not None:
            raise Invalid(f"{table} is not a feed and has no cursors", table=table)
        bell: Bell = live.chime.bell(table)
        return bell

    async def close(self) -> None:
        """Finish what was accepted, then let go of everything."""
        live, self._live = self._live, None
        if live is None:
            return
        while live.busy:
            await asyncio.wait(list(live.busy))
        for lane in live.lanes.values():
            await lane.idle()
        live.timekeeper.cancel()
        await asyncio.gather(live.timekeeper, return_exceptions=True)
        for feed in list(self._feeds):
            await feed.aclose()
        await live.chime.close()
        await live.link.close()

    async def tables_info(self) -> dict[str, tuple[int, int]]:
        """``{table: (documents, bytes of documents)}``, from the server's own counts."""
        link = self._opened().link
        return {name: await _table_size(link, name) for name in self._tables}


def _heard(task: "asyncio.Task[Any]") -> None:
    """Its caller gave up: the failure concerns nobody any more."""
    if not task.cancelled():
        task.exception()


async def _table_size(link: Link, table: str) -> tuple[int, int]:
    """Documents and their bytes, over all shards."""

    async def ask() -> list[Doc]:
        collection = link.db[table].with_options(read_concern=LOCAL)
        return await (await collection.aggregate([{"$collStats": {"storageStats": {}}}])).to_list()

    parts = [part["storageStats"] for part in await link.steadily(ask)]
    return sum(int(part["count"]) for part in parts), sum(int(part["size"]) for part in parts)


async def _create_table(link: Link, table: MongoTable) -> None:
    indexes = [IndexModel(index.keys, **index.options) for index in table.indexes]
    if table.feed:
        indexes.append(IndexModel(BY_TS, name=TS_INDEX))
    if indexes:
        await link.db[table.name].create_indexes(indexes)
        return
    try:
        await link.db.create_collection(table.name, check_exists=False)
    except OperationFailure as exc:
        if exc.code != NAMESPACE_EXISTS:
            raise


async def _in_transaction(link: Link, writes: Sequence[Write], session: AsyncClientSession) -> None:
    """Run writes of one kind; raises the first that is refused, which undoes the transaction."""
    table, database = writes[0].table, link.client[link.db.name]  # a transaction has its own concerns
    if writes[0].kind != "delete":
        answer = await database.command(command_of(table, writes), session=session)
        for error in answer.get("writeErrors", ()):
            raise outcome(link, writes[error["index"]], error)
        return
    collection = database[table]
    for write in writes:
        done = await collection.delete_one(write.change, session=session)
        missed = done.deleted_count == 0 and write.guard
        if missed and await collection.find_one({"_id": write.id}, {"_id": 1}, session=session):
            raise write.failed({"code": 0})
