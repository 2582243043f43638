"""Balances and statements: what the log of the books says, read out of it once.

A batch of commits is first written down as one document with the balances that it
leads to, then these are written. Whoever finds a batch that is not written to its end
writes it, so that a process may die anywhere: no leg is counted twice, none is left out.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog

from cauldron.domain import codec
from cauldron.domain.errors import Duplicate, Invalid, NotFound, Refused, StaleVersion
from cauldron.domain.ledger import LedgerConflict, points
from cauldron.domain.ledger_account import Account
from cauldron.domain.ledger_hold import Hold, HoldState
from cauldron.domain.times import iso
from cauldron.persistence.leases import Leases
from cauldron.persistence.ledger_tables import ACCOUNTS, BOOK, HOLDS, LEDGER, MARKS, POSTINGS
from cauldron.persistence.streams import Commit
from cauldron.ports.storage import Compare, Doc, Insert, Op, Patch, Put, Store
from cauldron.services.following import Follower
from cauldron.services.ledger import Ledger
from cauldron.services.ledger_moves import BRING, finish_move, send_after
from cauldron.services.outliving import outliving

log = structlog.get_logger("cauldron.books")
BATCH = 200  # streams brought up to date at a time
TRIES = 50
THE_BOOK = "book"


def postings_of(commit: Commit) -> list[Doc]:
    """A document per leg; the same however often they are made."""
    found = []
    for place, event in enumerate(commit["events"]):
        data = event["data"]
        for leg, (account, milli) in enumerate(data.get("legs", ())):
            doc = {
                "_id": f"{commit['_id']}:{place}:{leg}",
                "account": account,
                "amountMilli": milli,
                "group": data["group"],
                "kind": event["type"],
                "hold": data.get("hold"),
                "note": data.get("note") or data.get("reason") or "",
                "actor": commit["actor"],
                "at": iso(commit["ts"]),
                "stream": commit["stream"],
                "seq": commit["seq"],
            }
            found.append(doc)
    return found


def hold_document(hold_id: str, hold: Hold, *, seq: int, ts: int) -> Doc:
    """The ``holds`` record, from the hold's fold as of ``seq``."""
    opened = hold.opened
    return {
        "_id": hold_id,
        "schemaVersion": 1,
        "owner": opened["account"],
        "runId": opened["run"],
        "state": hold.state.value,
        "reason": hold.closed_reason or None,
        "capMilli": hold.cap_milli,
        "capturedMilli": hold.captured_milli,
        "creatorMilli": hold.creator_milli,
        "wastedMilli": hold.wasted_milli,
        "refundedMilli": hold.refunded_milli,
        "captures": hold.captures,
        "terms": dict(opened["terms"]),
        "about": dict(opened["about"]),
        "expires": opened["expiresAt"] is not None,
        "expiresAt": opened["expiresAt"] or 0,
        "environment": opened["environment"],
        "updatedAt": iso(ts),
        "seq": seq,
    }


@dataclass(slots=True)
class _Batch:
    """What streams have in store beyond what is in the balances."""

    postings: list[Doc] = field(default_factory=list)
    marks: dict[str, dict[str, Any]] = field(default_factory=dict)  # stream -> its new mark
    deltas: dict[str, int] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    holds: list[Doc] = field(default_factory=list)

    def add(self, commits: Iterable[Commit]) -> None:
        for commit in commits:
            for posting in postings_of(commit):
                account = posting["account"]
                self.postings.append(posting)
                self.deltas[account] = self.deltas.get(account, 0) + posting["amountMilli"]
                self.counts[account] = self.counts.get(account, 0) + 1


class Books:
    """Writes balances, postings and holds from the log; any process may, at any time."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._store: Store = ledger.store
        self._turn = asyncio.Lock()

    async def catch_up(self, streams: Collection[str]) -> int:
        """Bring these streams into the balances; returns how many legs were new.

        Raises:
            StaleVersion: other processes were faster, again and again.
        """
        wanted, legs = sorted(set(streams)), 0
        async with self._turn:
            for start in range(0, len(wanted), BATCH):
                legs += await self._advance(wanted[start : start + BATCH])
        return legs

    async def _advance(self, streams: list[str]) -> int:
        for _ in range(TRIES):
            try:
                book = await self._book()
                batch = await self._read(streams)
                if not batch.marks:
                    return 0
                await self._write(book, batch)
            except (StaleVersion, Duplicate):
                await asyncio.sleep(0.01)
                continue
            return len(batch.postings)
        raise StaleVersion("the balances are contended", attempts=TRIES)

    async def _book(self) -> Doc:
        """The last batch, written to its end."""
        [book] = await self._store.get(BOOK, [THE_BOOK])
        if book is None:
            first = {"_id": THE_BOOK, "number": 0, "done": True, "balances": {}, "marks": {}}
            await self._store.commit([Insert(BOOK, first)], atomic=False)
            return await self._book()
        return book if book["done"] else await self._finish(book)

    async def _read(self, streams: list[str]) -> _Batch:
        batch = _Batch()
        marks = await self._store.get(MARKS, streams)
        for stream, mark in zip(streams, marks, strict=True):
            seen = mark["seq"] if mark is not None else 0
            tail = await self.ledger.streams.tail(stream, after=seen)
            if tail:
                batch.add(tail)
                batch.marks[stream] = {"seq": tail[-1]["seq"]} | await self._look(stream, tail, batch)
        return batch

    async def _look(self, stream: str, tail: list[Commit], batch: _Batch) -> dict[str, Any]:
        """When the sweeper must look at an account again; a hold's record is written along."""
        kind, _, name = stream.partition(":")
        if kind == "account":
            return next_expiry((await self.ledger.accounts.load(stream)).state)
        if kind == "hold":
            folded = await self.ledger.holds.load(stream)
            if folded.state.state is not HoldState.NONE:
                batch.holds.append(hold_document(name, folded.state, seq=folded.seq, ts=tail[-1]["ts"]))
        return {}

    async def _write(self, book: Doc, batch: _Batch) -> None:
        accounts = sorted(batch.deltas)
        known = await self._store.get(ACCOUNTS, accounts)
        balances = []
        for account, doc in zip(accounts, known, strict=True):
            milli = (doc["balanceMilli"] if doc else 0) + batch.deltas[account]
            count = (doc["postings"] if doc else 0) + batch.counts[account]
            balances.append([account, milli, count])
        entry = {
            "_id": THE_BOOK,
            "number": book["number"] + 1,
            "done": False,
            "balances": balances,
            "marks": [[stream, mark] for stream, mark in batch.marks.items()],
        }
        for start in range(0, len(batch.postings), 500):
            part = batch.postings[start : start + 500]
            await self._store.commit([Insert(POSTINGS, doc) for doc in part], atomic=False)
        await self._save_holds(batch.holds)
        await self._store.commit([Put(BOOK, entry, book["_v"])])
        await self._finish(entry | {"_v": book["_v"] + 1})

    async def _finish(self, entry: Doc) -> Doc:
        """Write the balances and marks of a batch; who does so again, or late, changes nothing."""
        number = entry["number"]
        ops: list[Op] = []
        for account, milli, count in entry["balances"]:
            body = {"balanceMilli": milli, "postings": count, "batch": number}
            ops += _written(ACCOUNTS, account, body, number)
        for stream, mark in entry["marks"]:
            ops += _written(MARKS, stream, dict(mark) | {"batch": number}, number)
        if ops:
            await self._store.commit(ops, atomic=False)
        done = {key: value for key, value in entry.items() if key != "_v"} | {"done": True}
        await self._store.commit([Put(BOOK, done, entry["_v"])])
        return done | {"_v": entry["_v"] + 1}

    async def _save_holds(self, docs: list[Doc]) -> None:
        ops: list[Op] = []
        for doc in docs:
            changes = {key: value for key, value in doc.items() if key != "_id"}
            ops.append(Insert(HOLDS, doc | {"createdAt": doc["updatedAt"]}))
            ops.append(Patch(HOLDS, doc["_id"], changes, {"seq": Compare("<", doc["seq"])}))
        if ops:
            await self._store.commit(ops, atomic=False)

    async def streams_of(self, account: str) -> list[str]:
        """The streams that post to a user's and creator's accounts: their own, and those of their holds."""
        found = [f"account:{account}", f"creator:{account}"]
        held = (await self.ledger.accounts.load(found[0])).state.holds
        return [*found, *(f"hold:{hold}" for hold in held)]

    async def balances(self, accounts: list[str]) -> dict[str, float]:
        """Stored balances in points; 0 where nothing was ever posted."""
        docs = await self._store.get(ACCOUNTS, accounts)
        return {a: points(d["balanceMilli"] if d else 0) for a, d in zip(accounts, docs, strict=True)}

    async def statement(
        self, ledger_account: str, *, limit: int = 100, after: list[Any] | None = None
    ) -> tuple[list[Doc], list[Any] | None]:
        """Postings of one ledger account, newest first, and where the next page begins (None: nowhere)."""
        where, order = {"account": ledger_account}, ("account", "-at")
        docs = await self._store.find(POSTINGS, where, order=order, limit=limit, after=after)
        rows = [row_of(doc) for doc in docs]
        last = docs[-1] if len(docs) == limit else None
        return rows, [last["account"], last["at"], last["_id"]] if last else None


def row_of(posting: Doc) -> Doc:
    """A posting as a statement shows it."""
    return {
        "at": posting["at"],
        "account": posting["account"],
        "points": points(posting["amountMilli"]),
        "kind": posting["kind"],
        "group": posting["group"],
        "hold": posting["hold"],
        "note": posting["note"],
        "actor": posting["actor"],
    }


def next_expiry(account: Account) -> dict[str, Any]:
    """When the first grant of an account that still has points runs out."""
    ends = [g.expires_at for g in account.grants.values() if g.expires_at is not None and g.left_milli]
    return {"expires": bool(ends), "nextExpiry": min(ends, default=0)}


def _written(table: str, doc_id: str, body: Mapping[str, Any], number: int) -> list[Op]:
    """The document as of batch ``number``, unless it is of a later one."""
    return [
        Insert(table, {"_id": doc_id, **body}),
        Patch(table, doc_id, body, {"batch": Compare("<", number)}),
    ]


@dataclass(slots=True)
class Bookkeeper(Follower):
    """Follows the books: finishes what a process that died left half done, and keeps the balances."""

    books: Books | None = None
    _streams: set[str] = field(default_factory=set)

    async def _save(self) -> None:
        while self._streams:  # before the cursor may pass what they say
            streams, self._streams = self._streams, set()
            try:
                await self._kept().catch_up(streams)
            except BaseException:
                self._streams |= streams
                raise
        await Follower._save(self)

    def _kept(self) -> Books:
        if self.books is None:
            raise RuntimeError("a bookkeeper needs books")
        return self.books

    async def note(self, commit: Commit) -> None:
        """One commit of the books."""
        self._streams.add(commit["stream"])
        ledger = self._kept().ledger
        for event in codec.events_of(commit):
            try:
                if event.type == "PointsHeld":
                    await ledger.ensure_open(event.data)
                elif event.type == "HoldClosed":
                    await ledger.settle(event.data["hold"])
                elif event.type == "RefundDecided":
                    await ledger.finish_refund(event.data)
                elif event.type == "PointsMoved":
                    await finish_move(ledger, event.data)
                elif event.type in BRING:
                    await send_after(ledger, event.data["account"])
            except (LedgerConflict, Invalid, NotFound) as wrong:  # it will not be right later either
                log.error("the books cannot be finished", commit=commit["_id"], code=wrong.code)


def bookkeeper(books: Books, leases: Leases) -> Bookkeeper:
    """The follower of the books."""
    keeper: Bookkeeper

    async def handle(commit: Commit) -> None:
        await keeper.note(commit)

    keeper = Bookkeeper(
        name="books",
        table=LEDGER,
        store=books.ledger.store,
        leases=leases,
        clock=books.ledger.clock,
        handle=handle,
        books=books,
    )
    return keeper


EVERY_S = 5.0
SWEPT = 200


@dataclass(slots=True)
class LedgerSweeper:
    """Closes holds whose run never began in time, and takes expired grants."""

    books: Books
    is_used: Callable[[Doc], Awaitable[bool]] | None = None  # whether an open hold's run is charged to it

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            with outliving(log, "books not swept: trying again"):
                await self.sweep()
            await asyncio.sleep(EVERY_S)

    async def sweep(self) -> int:
        """One round; returns how much was closed or taken."""
        ledger = self.books.ledger
        now, done = ledger.clock(), 0
        where = {"expires": True, "nextExpiry": Compare("<=", now)}
        for mark in await ledger.store.find(MARKS, where, order=("nextExpiry",), limit=SWEPT):
            done += await ledger.expire_grants(mark["_id"].removeprefix("account:"))
            await self.books.catch_up([mark["_id"]])
        over = {"state": "open", "expires": True, "expiresAt": Compare("<=", now)}
        after: list[Any] | None = None
        while True:  # page by page: runs that go on keep their holds at the beginning
            page = await ledger.store.find(HOLDS, over, order=("expiresAt",), limit=SWEPT, after=after)
            for hold in page:
                done += await self._close(hold)
            if len(page) < SWEPT:
                return done
            after = [page[-1]["expiresAt"], page[-1]["_id"]]

    async def _close(self, hold: Doc) -> int:
        """Close a hold whose time is over, unless a run is charged to it; returns how many were."""
        ledger = self.books.ledger
        if await (self.is_used(hold) if self.is_used else ledger.is_begun(hold["runId"])):
            return 0
        try:
            await ledger.close(hold["_id"], reason="expired")
        except Refused as failure:
            log.info("hold not closed", hold=hold["_id"], code=failure.code)
        await self.books.catch_up([f"hold:{hold['_id']}", f"account:{hold['owner']}"])
        return 1
