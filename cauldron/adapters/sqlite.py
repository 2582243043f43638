"""The storage kernel on SQLite: one writer thread, group commit, readers beside it.

Several processes, and several handles in one process, may use one file. Not for
network file systems: their locks and shared memory are not to be relied on.
"""

import asyncio
import functools
import sqlite3
import tempfile
import time
import urllib.parse
import weakref
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import orjson

from cauldron.adapters import sqlite_file, sqlite_query
from cauldron.adapters.sqlite_readers import Readers, read_pages
from cauldron.adapters.sqlite_sql import TableSql
from cauldron.adapters.sqlite_terms import decode
from cauldron.adapters.sqlite_work import ClaimWork, CommitWork, Work
from cauldron.adapters.sqlite_writer import Group, Request, Writer, settle
from cauldron.domain.errors import Invalid, Unavailable
from cauldron.ports.storage import Claim, Doc, Op, Table, Where

INLINE = 16  # so few documents are read in the loop: 10 µs each, a thread costs 60 and more
FEED_PAGE = 500
MAX_WAITING = 4096  # callers in the inbox; more wait before it
CHECKPOINT_BYTES = 48 * 1024 * 1024  # rarely: a checkpoint holds other commits up for tens of ms
CHECKPOINT_EVERY_S = 0.1  # at most: while readers keep the log from starting over it stays long

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Live:
    """What an open handle holds."""

    writer: Writer
    readers: Readers
    here: sqlite3.Connection  # reads in the loop itself
    checkpoint_turn: sqlite_file.Turnstile
    log: sqlite_file.LogLength


class SqliteStore:
    """One handle on one database file; implements the ``Store`` port.

    A handle belongs to the event loop that opened it.
    """

    def __init__(self, path: Path | None, *, synchronous: str = "FULL", readers: int = 2) -> None:
        """``path`` None is a file of its own that disappears on close.

        ``synchronous`` ``NORMAL`` may lose the last commits when power fails.
        """
        if synchronous not in ("FULL", "NORMAL"):
            raise Invalid(f"synchronous is FULL or NORMAL, not {synchronous!r}", path="synchronous")
        self._own = tempfile.TemporaryDirectory(prefix="cauldron-") if path is None else None
        self.path = Path(self._own.name) / "store.db" if self._own else Path(path or "").absolute()
        self._synchronous, self._reader_count = synchronous, readers
        self._tables: dict[str, TableSql] = {}
        self._room = asyncio.Semaphore(MAX_WAITING)
        self._watches: weakref.WeakSet[Watch] = weakref.WeakSet()
        self._live: _Live | None = None
        self._checkpointing: asyncio.Future[None] | None = None
        self._checkpoint_due = 0.0
        self._waiting = 0  # watches that wait for their bell

    @classmethod
    def for_url(cls, url: str) -> "SqliteStore":
        """``sqlite:///relative.db`` or ``sqlite:////absolute.db``, with ``?synchronous=NORMAL``.

        Raises:
            Invalid: another scheme, a host, or no file.
        """
        parts = urllib.parse.urlsplit(url)
        name = urllib.parse.unquote(parts.path.removeprefix("/"))
        if parts.scheme != "sqlite" or parts.netloc or not name or "\0" in name:
            raise Invalid(f"{url!r} is not sqlite:///<file>", path="url")
        options = dict(urllib.parse.parse_qsl(parts.query))
        return cls(Path(name), synchronous=options.get("synchronous", "FULL"))

    async def open(self, tables: Sequence[Table]) -> None:
        """Create what is missing; may be called again with more tables.

        Raises:
            Invalid: the file is damaged, or another program's.
            Refused: a later version wrote it.
            Unavailable, StorageFull: it cannot be opened or made.
        """
        for table in tables:
            TableSql(table)  # malformed declarations are refused before a file is touched
        loop = asyncio.get_running_loop()
        try:
            added = await asyncio.to_thread(self._open_file, tables, loop)
        except (sqlite3.Error, OSError) as exc:
            raise sqlite_file.translate(exc, self.path) from exc
        self._tables.update((table.name, table) for table in added)

    def _open_file(self, tables: Sequence[Table], loop: asyncio.AbstractEventLoop) -> list[TableSql]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        turnstile = sqlite_file.Turnstile(self.path)
        try:
            with turnstile.entered():
                db = sqlite_file.connect(self.path, synchronous=self._synchronous)
                try:
                    sqlite_file.prepare_file(db, self.path)
                    made = [TableSql(t, hot=sqlite_file.hot_columns(db, t.name)) for t in tables]
                    sqlite_file.create_missing(db, made)
                    if self._live is None:
                        self._live = self._start(loop)
                finally:
                    db.close()
        finally:
            turnstile.close()
        return made

    def _start(self, loop: asyncio.AbstractEventLoop) -> _Live:
        here = sqlite_file.connect(self.path, synchronous="NORMAL")
        here.execute("PRAGMA busy_timeout=100")
        writer = Writer(
            self.path,
            synchronous=self._synchronous,
            loop=loop,
            settle=self._settle,
            foreign=functools.partial(self._ring, None),
        )
        writer.start()
        return _Live(
            writer=writer,
            readers=Readers(self.path, threads=self._reader_count, loop=loop),
            here=here,
            checkpoint_turn=sqlite_file.Turnstile(self.path),
            log=sqlite_file.LogLength(self.path),
        )

    def _opened(self) -> _Live:
        if self._live is None:
            raise Unavailable("the store is not open")
        return self._live

    def _table(self, name: str) -> TableSql:
        try:
            return self._tables[name]
        except KeyError:
            self._opened()
            raise Invalid(f"no table {name!r} was opened", table=name) from None

    async def get(self, table: str, ids: Sequence[str]) -> list[Doc | None]:
        """Documents by id, in the order asked for; None where there is none."""
        known = self._table(table)
        if len(ids) > INLINE:
            return await self._read(functools.partial(_get_many, table=known, ids=ids))
        try:
            return _get_few(self._opened().here, table=known, ids=ids)
        except sqlite3.Error:  # busy for a moment: not in the loop's time
            return await self._read(functools.partial(_get_few, table=known, ids=ids))

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
        queries = sqlite_query.select(self._table(table), where, order, after=after)
        if limit <= INLINE and len(queries) == 1:
            try:
                return read_pages(self._opened().here, queries=queries, limit=limit)
            except sqlite3.Error:  # busy for a moment: not in the loop's time
                pass
        return await self._read(functools.partial(read_pages, queries=queries, limit=limit))

    async def commit(self, ops: Sequence[Op], *, atomic: bool = True) -> list[Exception | None]:
        """Carry out operations durably; see the port.

        Raises:
            Invalid: an operation is malformed; nothing was written.
        """
        if not ops:
            return []
        prepared = [self._table(op.table).prepare(op) for op in ops]
        work = CommitWork(prepared, atomic, frozenset(op.table for op in ops))
        outcomes: list[Exception | None] = await self._write(work)
        return outcomes

    async def claim(self, claim: Claim) -> list[Doc]:
        """The claimed documents after patching, in the order they were chosen."""
        table = self._table(claim.table)
        if table.feed:
            raise Invalid(f"{table.name} is append-only", table=table.name)
        if claim.limit < 1:
            raise Invalid(f"limit must be 1 or more, not {claim.limit}", path="limit")
        ((choose, params),) = sqlite_query.select(table, claim.where, claim.order, columns="pos")
        change, values = table.change(claim.set, claim.increment)
        docs: list[Doc] = await self._write(
            ClaimWork(
                table=table.name,
                choose=choose,
                choose_params=params,
                change=change,
                change_params=values,
                limit=claim.limit,
            )
        )
        return docs

    def watch(self, table: str, *, after: str | None = None) -> AsyncIterator[tuple[str, Doc | None]]:
        """Follow a table from this moment, or a feed from its cursor; see the port."""
        known = self._table(table)
        if known.feed:
            watch = Watch(self, table, cursor=self._cursor(known, after))
        elif after is not None:
            raise Invalid(f"{table} is not a feed and has no cursors", table=table)
        else:
            watch = Watch(self, table, cursor=None)
        self._watches.add(watch)
        return watch

    def _cursor(self, table: TableSql, after: str | None) -> int:
        if after is None:
            (last,) = self._opened().here.execute(table.last).fetchone()
            return int(last or 0)
        if after and not (after.isascii() and after.isdigit() and len(after) < 19):
            raise Invalid(f"{after!r} is not a cursor of {table.name}", path="after")
        return int(after or 0)

    async def close(self) -> None:
        """Finish what was accepted, then let go of everything."""
        live, self._live = self._live, None
        if live is not None:
            done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            live.writer.stop(done)
            await done
            await asyncio.to_thread(live.readers.stop)
            live.here.close()
            live.checkpoint_turn.close()
            live.log.close()
            for watch in list(self._watches):
                watch.end()
        if self._own is not None:
            self._own.cleanup()

    async def backup_to(self, path: Path) -> None:
        """Copy the whole database, as of now, to a new file; writers go on meanwhile."""
        if path.exists():
            raise Invalid(f"{path.name} exists already", path=str(path))
        await self._read(functools.partial(_backup, path=path))

    async def tables_info(self) -> dict[str, tuple[int, int]]:
        """``{table: (documents, bytes of documents)}``. Reads every row."""
        tables = list(self._tables.values())
        return await self._read(functools.partial(sqlite_file.table_sizes, tables=tables))

    async def _read(self, job: Callable[[sqlite3.Connection], T]) -> T:
        return await self._opened().readers.run(job)

    async def _write(self, work: Work) -> Any:
        async with self._room:
            future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            self._opened().writer.submit(Request(work, future))
            return await future

    def _settle(self, group: Group) -> None:
        """In the loop: answer the callers of a group, ring, keep the log short."""
        for request in group.requests:
            settle(request)
        for table in group.changed:
            self._ring(table)
        if group.changed and self._checkpointing is None and self._live is not None:
            self._keep_short(self._live)

    def _keep_short(self, live: _Live) -> None:
        now = time.monotonic()
        if now < self._checkpoint_due or not live.log.exceeds(CHECKPOINT_BYTES):
            return
        self._checkpoint_due = now + CHECKPOINT_EVERY_S
        job = functools.partial(sqlite_file.checkpoint, turnstile=live.checkpoint_turn)
        self._checkpointing = live.readers.run(job)
        self._checkpointing.add_done_callback(self._checkpointed)

    def _checkpointed(self, done: "asyncio.Future[None]") -> None:
        self._checkpointing = None
        done.exception()  # no room: the log stays longer, a later group tries again

    def _wait(self, more: int) -> None:
        """Note how many watches wait: commits of others are looked for only meanwhile."""
        self._waiting += more
        if self._live is not None:
            self._live.writer.watch(self._waiting > 0)

    def _ring(self, table: str | None) -> None:
        """Tell those who follow ``table`` (None: any) that it may have changed."""
        for watch in list(self._watches):
            if table is None or watch.table == table:
                watch.ring()

    async def _tail(self, table: str, cursor: int) -> list[tuple[int, Doc]]:
        sql = self._table(table).tail
        return list(await self._read(functools.partial(_feed_page, sql=sql, cursor=cursor)))


class Watch:
    """What :meth:`SqliteStore.watch` hands out; registered from its making to its end."""

    def __init__(self, store: SqliteStore, table: str, *, cursor: int | None) -> None:
        self.table = table
        self._store, self._cursor = store, cursor
        self._bell = asyncio.Event()
        self._page: list[tuple[int, Doc]] = []
        self._ended = False
        if cursor is not None:
            self._bell.set()  # there may be a past to show

    def __aiter__(self) -> "Watch":
        return self

    async def __anext__(self) -> tuple[str, Doc | None]:
        while not self._page:
            await self._hear()
            if self._ended:
                raise StopAsyncIteration
            self._bell.clear()  # before reading, so that a later commit rings again
            if self._cursor is None:
                return "", None
            self._page = (await self._store._tail(self.table, self._cursor))[::-1]
            if len(self._page) == FEED_PAGE:
                self._bell.set()
        position, doc = self._page.pop()
        self._cursor = position
        return str(position), doc

    async def _hear(self) -> None:
        if self._bell.is_set():
            return
        self._store._wait(+1)
        try:
            await self._bell.wait()
        finally:
            self._store._wait(-1)

    def ring(self) -> None:
        """Something may have changed."""
        self._bell.set()

    def end(self) -> None:
        """The store closes: no more."""
        self._ended = True
        self._bell.set()

    async def aclose(self) -> None:
        """Stop following."""
        self.end()
        self._store._watches.discard(self)


def _get_few(db: sqlite3.Connection, *, table: TableSql, ids: Sequence[str]) -> list[Doc | None]:
    sql, docs = table.by_id, list[Doc | None]()
    for name in ids:
        row = db.execute(sql, (name,)).fetchone()
        docs.append(None if row is None else decode(row))
    return docs


def _get_many(db: sqlite3.Connection, *, table: TableSql, ids: Sequence[str]) -> list[Doc | None]:
    rows = db.execute(table.by_ids, (orjson.dumps(list(ids)).decode(),))
    found = {row[0]: decode(row) for row in rows}
    return [dict(found[name]) if name in found else None for name in ids]


def _feed_page(db: sqlite3.Connection, *, sql: str, cursor: int) -> list[tuple[int, Doc]]:
    return [(row[0], decode(row)) for row in db.execute(sql, (cursor, FEED_PAGE))]


def _backup(db: sqlite3.Connection, *, path: Path) -> None:
    target = sqlite3.connect(path, isolation_level=None)
    try:
        db.backup(target)
    finally:
        target.close()
