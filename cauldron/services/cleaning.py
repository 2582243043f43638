"""Clean-up: what nobody needs any more, counted first, removed only when told to.

Every task may be cut short at any moment and done again; only one clean-up of a
store runs at a time, beside any number of processes at work.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from cauldron.domain.audit import DAY_MS
from cauldron.domain.cook_state import ENDED
from cauldron.domain.errors import Invalid, Refused
from cauldron.domain.times import iso
from cauldron.persistence.leases import Leases
from cauldron.persistence.ledger_tables import LEDGER, PAYMENT_EVENTS, POSTINGS
from cauldron.persistence.streams import Commit
from cauldron.persistence.tables import CAST_EVENTS, COOK_EVENTS, COOK_JOBS, GATES
from cauldron.ports.storage import Delete, Doc, Expunge, Op, Store
from cauldron.ports.system import Clock
from cauldron.services.audit_streams import stream_firsts
from cauldron.services.auditing import pages
from cauldron.services.marking import Sweeping

TASKS = ("test-records", "ended-jobs", "payment-events", "old-rows", "blobs")
LEASE = "clean"
LEASE_MS = 60_000
LEAST_GRACE_MS = 2 * 3_600_000  # while anything is at work; see ports/sweeping
BATCH = 500
UNDER_WAY = ("Cooking", "Paused")
BOOKS = {LEDGER, POSTINGS}  # what was posted stays posted
KEPT_TABLES = BOOKS | {COOK_EVENTS, CAST_EVENTS, GATES, "workers", "leases", "cursors", "plans"}
TIMES = ("updatedAt", "completedAt", "createdAt", "startedAt", "requestTimestamp")  # in ISO or ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How old something must be before it goes."""

    test_ms: int = DAY_MS
    jobs_ms: int = 30 * DAY_MS
    payments_ms: int = 90 * DAY_MS  # rails repeat an event for days, not for months
    rows_ms: int = DAY_MS
    plans_ms: int = 30 * DAY_MS
    grace_ms: int = DAY_MS  # a blob used within this time stays


@dataclass(slots=True)
class Count:
    """What a task found or removed."""

    records: int = 0
    size_bytes: int = 0
    left: int = 0  # not touched because it is in use
    by_table: dict[str, int] = field(default_factory=dict)
    why: str = ""  # why the task had nothing to do here

    def add(self, table: str, doc: Doc) -> None:
        """One record."""
        self.records += 1
        self.size_bytes += len(orjson.dumps(doc))
        self.by_table[table] = self.by_table.get(table, 0) + 1

    def document(self, task: str) -> dict[str, Any]:
        """``{task, records, sizeBytes, left, byTable, why?}``"""
        body = {
            "task": task,
            "records": self.records,
            "sizeBytes": self.size_bytes,
            "left": self.left,
            "byTable": self.by_table,
        }
        return body | {"why": self.why} if self.why else body


@dataclass(slots=True)
class Cleaning:
    """Cleans one store. ``tables`` are the names of those it has; without ``sweeping`` blobs stay."""

    store: Store
    tables: Collection[str]
    sweeping: Sweeping | None
    leases: Leases
    clock: Clock
    environment: str
    is_idle: Callable[[], Awaitable[bool]]
    limits: Limits = field(default_factory=Limits)
    batch: int = BATCH  # documents read and removed at a time
    _held_ms: int = -LEASE_MS

    async def run(self, tasks: Sequence[str] = (), *, apply: bool) -> list[dict[str, Any]]:
        """Carry out tasks, or with ``apply`` False only count; what each came to.

        Raises:
            Invalid: a task is unknown, or an age is too short while processes work.
            Refused: another clean-up is under way.
        """
        wanted = [task for task in TASKS if not tasks or task in tasks]
        if unknown := sorted(set(tasks) - set(TASKS)):
            raise Invalid(f"{unknown[0]!r} is no task: {', '.join(TASKS)}", path="task")
        await self._check_grace(wanted)
        await self._hold()
        try:
            return [(await self._task(task, apply=apply)).document(task) for task in wanted]
        finally:
            self._held_ms = -LEASE_MS
            await self.leases.release(LEASE)

    async def _check_grace(self, wanted: Sequence[str]) -> None:
        if "blobs" not in wanted or self.limits.grace_ms >= LEAST_GRACE_MS or await self.is_idle():
            return
        raise Invalid(
            "the grace period must be 2 hours or more while anything is at work", path="grace_hours"
        )

    async def _hold(self) -> None:
        """Take or renew the right to clean, well before it ends. Raises Refused."""
        now = self.clock()
        if 0 <= now - self._held_ms < LEASE_MS // 4:
            return
        if not await self.leases.acquire(LEASE):
            raise Refused("another clean-up is under way")
        self._held_ms = now

    async def _task(self, task: str, *, apply: bool) -> Count:
        steps: Mapping[str, Callable[..., Awaitable[Count]]] = {
            "test-records": self.test_records,
            "ended-jobs": self._ended_jobs,
            "payment-events": self._payment_events,
            "old-rows": self._old_rows,
            "blobs": self._blobs,
        }
        return await steps[task](apply=apply)

    async def test_records(self, *, apply: bool) -> Count:
        """Records of tests with their event streams, unless what they belong to is still under way."""
        count = Count()
        if self.environment == "test":
            count.why = "this is an environment for tests: its records are no strays"
            return count
        busy = await self._under_way()
        for table in sorted(set(self.tables) - KEPT_TABLES):
            async for page in self._pages(table):
                strays = [doc for doc in page if doc.get("environment") == "test"]
                removed = [doc for doc in strays if not self._stays(doc, busy)]
                count.left += len(strays) - len(removed)
                for doc in removed:
                    count.add(table, doc)
                ops = [Delete(table, doc["_id"], {"environment": "test"}) for doc in removed]
                await self._commit(ops, apply=apply)
        for table in (t for t in (COOK_EVENTS, CAST_EVENTS) if t in self.tables):
            await self._test_streams(table, busy, count, apply=apply)
        return count

    async def _under_way(self) -> set[str]:
        """Ids of test cooks and casts that are not over, and of the collections of the former."""
        busy: set[str] = set()
        for state in UNDER_WAY:
            after: list[Any] | None = None
            while True:
                where = {"state": state}
                page = await self.store.find(
                    "cook_status", where, order=("state",), limit=self.batch, after=after
                )
                for doc in page:
                    busy |= {doc["_id"], doc["collectionId"]} if doc["environment"] == "test" else set()
                if len(page) < self.batch:
                    break
                after = [state, page[-1]["_id"]]
        async for page in self._pages("casts"):
            running = (d for d in page if d["status"] == "running" and d["environment"] == "test")
            busy |= {doc["_id"] for doc in running if self._is_young(doc)}
        return busy

    def _stays(self, doc: Doc, busy: set[str]) -> bool:
        names = (doc["_id"], *(doc.get(key) for key in ("cookId", "castId", "parent", "collectionId")))
        return not busy.isdisjoint(names) or self._is_young(doc)

    def _is_young(self, doc: Doc) -> bool:
        since = self.clock() - self.limits.test_ms
        return any(_after(doc.get(name), since) for name in TIMES)

    async def _test_streams(self, table: str, busy: set[str], count: Count, *, apply: bool) -> None:
        since = self.clock() - self.limits.test_ms
        async for first in stream_firsts(self.store, table):
            if not await self._is_test_stream(first):
                continue
            if first["stream"].partition(":")[2] in busy or first["ts"] >= since:
                count.left += 1
                continue
            async for page in self._commits(table, first["stream"]):
                for commit in page:
                    count.add(table, commit)
                await self._commit([Expunge(table, commit["_id"]) for commit in page], apply=apply)

    async def _is_test_stream(self, first: Commit) -> bool:
        """Whether a stream was begun by a test; a collection's, when its record has been removed."""
        kind, _, owner_id = first["stream"].partition(":")
        if kind == "collection":
            reserved = [e["data"].get("cookId") for e in first["events"] if e["type"] == "RowsReserved"]
            [record] = await self.store.get("collections", [owner_id])
            cooks = await self.store.get("cooks", [cook for cook in reserved if cook])
            return record is None and not any(cooks)
        return any(event["data"].get("environment") == "test" for event in first["events"])

    async def _commits(self, table: str, stream: str) -> AsyncIterator[list[Doc]]:
        """The commits of a stream from its end, so that its first, which says what it is, goes last."""
        after: list[Any] | None = None
        while True:
            where = {"stream": stream}
            page = await self.store.find(table, where, order=("-seq",), limit=self.batch, after=after)
            if page:
                await self._hold()
                yield page
            if len(page) < self.batch:
                return
            after = [page[-1]["seq"], page[-1]["_id"]]

    async def _ended_jobs(self, *, apply: bool) -> Count:
        """Done jobs of cooks that are over. Dead letters stay: they can be retried by hand."""
        count, before = Count(), self.clock() - self.limits.jobs_ms
        async for page in self._pages(COOK_JOBS):
            done = [doc for doc in page if doc["status"] == "done" and not _after(doc["updatedAt"], before)]
            over = await self._over({doc["parent"] for doc in done})
            removed = [doc for doc in done if doc["parent"] in over]
            count.left += len(done) - len(removed)
            for doc in removed:
                count.add(COOK_JOBS, doc)
            ops = [Delete(COOK_JOBS, doc["_id"], {"status": "done"}) for doc in removed]
            await self._commit(ops, apply=apply)
        return count

    async def _over(self, cook_ids: Collection[str]) -> set[str]:
        """Those of the cooks that have ended, or are gone."""
        ids = sorted(cook_ids)
        docs = await self.store.get("cook_status", ids) if ids else []
        return {i for i, doc in zip(ids, docs, strict=True) if doc is None or doc["state"] in ENDED}

    async def _payment_events(self, *, apply: bool) -> Count:
        """What rails told long ago and was looked into; told again, the charge's id posts nothing anew."""
        count, before = Count(), self.clock() - self.limits.payments_ms
        async for page in self._pages(PAYMENT_EVENTS):
            old = [doc for doc in page if not _after(doc["receivedAt"], before)]
            removed = [doc for doc in old if doc["status"] != "pending"]
            count.left += len(old) - len(removed)
            for doc in removed:
                count.add(PAYMENT_EVENTS, doc)
            ops = [Delete(PAYMENT_EVENTS, doc["_id"], {"status": doc["status"]}) for doc in removed]
            await self._commit(ops, apply=apply)
        return count

    async def _old_rows(self, *, apply: bool) -> Count:
        """Workers and leases long over, gates of cooks that are gone, and where old plans are kept.

        Cursors stay: a follower without its cursor would do everything again.
        """
        count, before = Count(), self.clock() - self.limits.rows_ms
        for table in ("workers", "leases"):
            async for page in self._pages(table):
                old = [doc for doc in page if doc["until"] < before]
                for doc in old:
                    count.add(table, doc)
                ops = [Delete(table, doc["_id"], {"until": doc["until"]}) for doc in old]
                await self._commit(ops, apply=apply)
        async for page in self._pages(GATES):
            cooks = await self.store.get("cooks", [doc["_id"] for doc in page])
            orphans = [doc for doc, cook in zip(page, cooks, strict=True) if cook is None]
            orphans = [doc for doc in orphans if not await self._has_stream(doc["_id"])]
            for doc in orphans:
                count.add(GATES, doc)
            ops = [Delete(GATES, doc["_id"], {"at": doc["at"]}) for doc in orphans]
            await self._commit(ops, apply=apply)
        await self._old_plans(count, apply=apply)
        return count

    async def _old_plans(self, count: Count, *, apply: bool) -> None:
        """Forget plans computed long ago: cooks name theirs in the log, any other is computed again.

        Their blobs count as used now, so that whoever is about to cook from one still finds it.
        """
        before = self.clock() - self.limits.plans_ms
        async for page in self._pages("plans"):
            aged = [doc for doc in page if not _after(doc["createdAt"], before)]
            for doc in aged:
                count.add("plans", doc)
                if apply and self.sweeping is not None:
                    await self.sweeping.blobs.size(doc["blob"])
            await self._commit([Delete("plans", doc["_id"]) for doc in aged], apply=apply)

    async def _has_stream(self, cook_id: str) -> bool:
        where = {"stream": f"cook:{cook_id}"}
        return bool(await self.store.find(COOK_EVENTS, where, order=("seq",), limit=1))

    async def _blobs(self, *, apply: bool) -> Count:
        """Blobs that nothing refers to and nobody has used within the grace period."""
        count = Count()
        if self.sweeping is None:
            count.why = "this blob store cannot say when a blob was used last"
            return count
        before = self.clock() - self.limits.grace_ms
        marks = await self.sweeping.mark(touched_before_ms=before, tick=self._hold)
        async for digest, size_bytes in self.sweeping.unreferenced(marks, touched_before_ms=before):
            taken = not apply or await self.sweeping.take(marks, digest, touched_before_ms=before)
            count.left += not taken
            count.records += taken
            count.size_bytes += size_bytes if taken else 0
            await self._hold()
        return count

    async def _pages(self, table: str) -> AsyncIterator[list[Doc]]:
        """A table's pages; the lease is renewed before each."""
        if table in self.tables:
            async for page in pages(self.store, table, size=self.batch):
                await self._hold()
                yield page

    async def _commit(self, ops: Sequence[Op], *, apply: bool) -> None:
        if apply and ops:
            await self.store.commit(ops, atomic=False)


def _after(value: Any, since: int) -> bool:
    """Whether an instant in a record, ISO text or milliseconds, is at or after ``since``."""
    if isinstance(value, str):
        return value >= iso(since)
    return isinstance(value, int) and value >= since
