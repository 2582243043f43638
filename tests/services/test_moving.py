"""Moving a store to another engine: whole, resumable at every point, never under anybody's feet."""

import asyncio
import importlib
import pkgutil
import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import cauldron
from cauldron.adapters.fs import BlobFiles, FsBlobs
from cauldron.adapters.mongo import MongoStore
from cauldron.adapters.s3 import S3Blobs
from cauldron.adapters.sqlite import SqliteStore
from cauldron.cli.move import EVERY_TABLE
from cauldron.domain.errors import Refused, Unavailable
from cauldron.persistence.tables import COOK_EVENTS
from cauldron.ports.storage import Insert, Patch, Put, Store, Table
from cauldron.services import moving
from cauldron.services.copying import copy_blobs
from cauldron.services.moving import Moving
from tests import s3server
from tests.mongod import database

STREAMS, COMMITS = 5, 60
SCRATCH = {"notes"}  # tables of files that end with their command


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


class Cut(Exception):
    """The process ends here."""


@dataclass
class Left:
    """How many writes a process still does, in all its stores; below 0: no end of them."""

    writes: int = -1


class Dying:
    """A store whose process ends before or after its last write."""

    def __init__(self, store: Store, left: Left, *, after: bool = True) -> None:
        self.inner, self.left, self.after = store, left, after

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def commit(self, ops: Any, *, atomic: bool = True) -> Any:
        if self.left.writes == 0:
            raise Cut  # the dead write nothing, not even that they leave
        self.left.writes -= 1
        if self.left.writes == 0 and not self.after:
            raise Cut
        found = await self.inner.commit(ops, atomic=atomic)
        if self.left.writes == 0:
            raise Cut
        return found


async def only_shut_or_untouched(source: Store) -> None:
    """A source whose lock is written opens for nobody."""
    [lock] = await source.get(moving.MOVES, [moving.LOCK])
    if lock is not None:
        with pytest.raises(Refused):
            await moving.check_open(source)


@pytest.fixture
def opened(tmp_path: Path, run: Any) -> Iterator[Any]:
    """``opened("sqlite")`` is an empty store of that engine."""
    with ExitStack() as stack:
        stores: list[Store] = []

        def make(kind: str) -> Store:
            url = stack.enter_context(database()) if kind == "mongo" else ""
            path = tmp_path / f"{len(stores)}.db"
            store: Store = MongoStore(url) if url else SqliteStore(path, synchronous="NORMAL")
            stores.append(store)
            run(store.open(EVERY_TABLE))
            return store

        yield make
        for store in stores:
            run(store.close())


def move_of(source: Any, target: Any, **more: Any) -> Moving:
    defaults = {"lease_ms": 200, "places": ("sqlite:///old.db", "mongodb://new/studio")}
    return Moving(
        source=source,
        target=target,
        tables=EVERY_TABLE,
        clock=wall_ms,
        new_id=lambda: secrets.token_hex(8),
        **defaults | more,
    )


async def fill(store: Store) -> None:
    """Streams whose commits were made in turns, jobs in every state, records with values of every kind."""
    for n in range(STREAMS * COMMITS):
        stream, seq = f"cook:{n % STREAMS}", n // STREAMS + 1
        await store.commit([Insert(COOK_EVENTS, commit(stream, seq, n))])
    jobs = [
        {"_id": f"c.{n}", "status": status, "parent": "cook:1", "rank": n, "worker": "gone", "leaseId": "x"}
        for n, status in enumerate(["queued", "running", "settled", "done", "failed", "held", "waiting"] * 20)
    ]
    records = [
        {
            "_id": f"cook:{n}",
            "state": "Cooking",
            "owner": "ann",
            "startedAt": f"2026-01-{n + 1:02d}",
            "collectionId": "k",
            "seq": 2**53 + n,
            "values": [1, 1.5, None, True, "ü\u0000€", {"a.b": [], "$c": {}}],
        }
        for n in range(STREAMS)
    ]
    await store.commit([Insert("cook_jobs", job) for job in jobs], atomic=False)
    await store.commit([Insert("cook_status", record) for record in records], atomic=False)
    await store.commit([Patch("cook_status", "cook:1", {"state": "Paused"})])
    await store.commit([Put("cursors", {"_id": "casts", "cursor": "17", "savedAt": 1})])


def commit(stream: str, seq: int, n: int) -> dict[str, Any]:
    event = {"type": "PieceGenerated", "v": 1, "data": {"piece": n, "detail": "x" * 300}, "c": 0}
    key = {"_id": f"{stream}:{seq:010d}", "stream": stream, "seq": seq, "cmds": [f"gen:{n}"]}
    return key | {"actor": "ann", "ts": n, "events": [event]}


async def feed_of(store: Store, count: int) -> list[str]:
    feed, seen = store.watch(COOK_EVENTS, after=""), list[str]()
    async with asyncio.timeout(20):
        while len(seen) < count:
            _, doc = await anext(feed)
            seen += [doc["_id"]] if doc is not None else []
    await feed.aclose()
    return seen


async def whole(store: Store) -> dict[str, Any]:
    """Everything that a copy must hold."""
    names = [t.name for t in EVERY_TABLE if t.name not in moving.LEFT]
    pages = [await store.find(name, {}, limit=100_000) for name in names]
    return {
        name: [{k: v for k, v in doc.items() if k != "_v"} for doc in page]
        for name, page in zip(names, pages, strict=True)
    }


@pytest.mark.parametrize(
    ("start", "end"), [("sqlite", "mongo"), ("mongo", "sqlite"), ("mongo", "mongo"), ("sqlite", "sqlite")]
)
def test_everything_arrives_and_the_feed_tells_the_same_story(opened: Any, run: Any, start: str, end: str):
    async def story() -> None:
        await fill(source)
        outcome = await move_of(source, target).run()
        assert await whole(target) == await whole(source)
        assert outcome.documents == sum(len(docs) for docs in (await whole(source)).values())
        assert outcome.copied[COOK_EVENTS] == STREAMS * COMMITS
        order = await feed_of(source, STREAMS * COMMITS)
        assert await feed_of(target, STREAMS * COMMITS) == order
        assert order[:3] == ["cook:0:0000000001", "cook:1:0000000001", "cook:2:0000000001"]
        assert await target.find("cursors", {}) == []  # they name places of the other engine
        await moving.check_open(target)
        with pytest.raises(Refused, match="was moved to mongodb://new/studio"):
            await moving.check_open(source)

    source, target = opened(start), opened(end)
    run(story())


@pytest.mark.parametrize("end", ["sqlite", "mongo"])
def test_a_copy_cut_short_at_any_write_goes_on_to_the_same_result(
    opened: Any, run: Any, monkeypatch: pytest.MonkeyPatch, end: str
):
    """The first run ends at its first write, the second at its second, and so on, before it or after it."""
    monkeypatch.setattr(moving, "PAGE", 25)

    async def story() -> int:
        await fill(source)
        for cuts in range(100):
            left = Left(cuts + 1)
            after = cuts % 2 == 0
            try:
                await move_of(
                    Dying(source, left, after=after), Dying(target, left, after=after), lease_ms=100
                ).run()
                break
            except Cut:
                await only_shut_or_untouched(source)
            except Refused as refusal:  # the cut came after the very last write
                assert "was moved" in refusal.message
                break
        assert await whole(target) == await whole(source)
        assert await feed_of(target, STREAMS * COMMITS) == await feed_of(source, STREAMS * COMMITS)
        await moving.check_open(target)
        return cuts

    source, target = opened("sqlite"), opened(end)
    assert run(story()) > 8


class DyingAt(Dying):
    """Ends once a table's checkpoint says so many documents."""

    def __init__(self, store: Store, table: str, documents: int) -> None:
        super().__init__(store, Left())
        self.point = (f"table:{table}", documents)

    async def commit(self, ops: Any, *, atomic: bool = True) -> Any:
        found = await super().commit(ops, atomic=atomic)
        docs = [op.doc for op in ops if isinstance(op, Put) and op.table == moving.MOVES]
        if any((doc["_id"], doc.get("documents")) == self.point for doc in docs):
            self.left.writes = 0
            raise Cut
        return found


@pytest.mark.parametrize(("table", "documents"), [("cook_jobs", 50), (COOK_EVENTS, 100)])
@pytest.mark.parametrize("start", ["sqlite", "mongo"])
def test_a_copy_goes_on_right_behind_its_checkpoint(
    opened: Any, run: Any, monkeypatch: pytest.MonkeyPatch, start: str, table: str, documents: int
):
    monkeypatch.setattr(moving, "PAGE", 25)

    async def story() -> None:
        await fill(source)
        with pytest.raises(Cut):
            await move_of(source, DyingAt(target, table, documents)).run()
        outcome = await move_of(source, target).run()
        assert outcome.copied[table] == len((await whole(source))[table]) - documents
        assert await whole(target) == await whole(source)

    source, target = opened(start), opened("sqlite")
    run(story())


def test_a_half_made_copy_that_was_changed_is_refused_by_name(opened: Any, run: Any):
    async def story() -> None:
        await fill(source)
        with pytest.raises(Cut):
            await move_of(source, DyingAt(target, "cook_jobs", 140)).run()
        await target.commit([moving.Delete(moving.MOVES, "table:cook_jobs")])  # as if cut before it
        await target.commit([Patch("cook_jobs", "c.16", {"status": "failed"})])
        with pytest.raises(Refused, match=r"cook_jobs c[.]16 is in the target already, and differs"):
            await move_of(source, target).run()

    source, target = opened("sqlite"), opened("sqlite")
    run(story())


def test_death_between_shutting_the_old_store_and_opening_the_new_one_is_finished(opened: Any, run: Any):
    async def story() -> None:
        await fill(source)
        with pytest.raises(Cut):
            await move_of(DyingWhenMoved(source), target).run()
        for store in (source, target):
            with pytest.raises(Refused):
                await moving.check_open(store)
        await move_of(source, target).run()
        await moving.check_open(target)
        assert await whole(target) == await whole(source)

    class DyingWhenMoved(Dying):
        def __init__(self, store: Store) -> None:
            super().__init__(store, Left())

        async def commit(self, ops: Any, *, atomic: bool = True) -> Any:
            found = await super().commit(ops, atomic=atomic)
            if any(isinstance(op, Put) and op.doc.get("state") == "moved" for op in ops):
                raise Cut
            return found

    source, target = opened("sqlite"), opened("sqlite")
    run(story())


@pytest.mark.parametrize("side", ["source", "target"])
@pytest.mark.parametrize(
    ("table", "doc"),
    [
        ("workers", {"_id": "w", "name": "host:1"}),
        ("leases", {"_id": "cook:1", "holder": "h", "ttlMs": 600_000}),
    ],
)
def test_a_store_in_use_is_not_moved_and_stays_open(
    opened: Any, run: Any, side: str, table: str, doc: dict[str, Any]
):
    async def story() -> None:
        await stores[side].commit([Put(table, doc | {"until": wall_ms() + 600_000})])
        with pytest.raises(Refused, match="is in use by"):
            await move_of(stores["source"], stores["target"]).run()
        for store in stores.values():
            await moving.check_open(store)
        await stores[side].commit([Put(table, doc | {"until": 5})])  # it died long ago
        await move_of(stores["source"], stores["target"]).run()

    stores = {"source": opened("sqlite"), "target": opened("sqlite")}
    run(story())


def test_a_target_that_holds_anything_else_is_refused(opened: Any, run: Any):
    async def story() -> None:
        await fill(source)
        await target.commit([Insert("plans", {"_id": "p"})])
        with pytest.raises(Refused, match="is not empty: plans"):
            await move_of(source, target).run()
        await moving.check_open(source)
        with pytest.raises(Cut):
            await move_of(source, Dying(half, Left(6))).run()
        with pytest.raises(Refused, match="takes part in another move"):
            await move_of(stranger, half).run()
        with pytest.raises(Refused, match="a copy to mongodb://new/studio is unfinished"):
            await move_of(source, target, places=("sqlite:///old.db", "mongodb://other/studio")).run()
        assert await moving.unlock(source)
        await moving.check_open(source)
        with pytest.raises(Refused, match="half-written copy"):
            await moving.unlock(half)

    source, target, half, stranger = (opened("sqlite") for _ in range(4))
    run(story())


def test_a_second_mover_waits_and_is_refused(opened: Any, run: Any):
    async def story() -> None:
        await source.commit(
            [Put("leases", {"_id": "moves", "holder": "h", "until": wall_ms() + 9000, "ttlMs": 9000})]
        )
        with pytest.raises(Refused, match="another process is moving"):
            await move_of(source, target, lease_ms=100).run()

    source, target = opened("sqlite"), opened("sqlite")
    run(story())


@pytest.mark.parametrize("fault", ["changed", "missing", "more"])
def test_a_copy_that_differs_is_found_and_nothing_is_switched_over(opened: Any, run: Any, fault: str):
    async def spoil() -> None:
        record = {"_id": "cook:2", "state": "Failed"}
        if fault == "changed":
            await target.commit([Put("cook_status", record, None)])
        else:
            gone = source if fault == "more" else target
            await gone.commit([moving.Delete("cook_status", "cook:3")])

    async def story() -> None:
        await fill(source)
        pending: list[Any] = []

        class Spoiled(Dying):
            async def get(self, table: str, ids: Any) -> Any:
                if table == moving.MOVES and ids == ["table:exports"] and not pending:
                    pending.append(1)
                    await spoil()
                return await self.inner.get(table, ids)

        with pytest.raises(Refused, match="differs in cook_status"):
            await move_of(source, Spoiled(target, Left())).run()
        with pytest.raises(Refused, match="being copied"):
            await moving.check_open(target)
        outcome = await move_of(source, target).verify()
        assert outcome.differing == ["cook_status"]

    source, target = opened("sqlite"), opened("sqlite")
    run(story())


def test_every_table_of_the_program_is_moved_or_left_on_purpose():
    declared = set()
    for info in pkgutil.walk_packages(cauldron.__path__, "cauldron."):
        if info.name.startswith(("cauldron.persistence.", "cauldron.services.")):
            tables = getattr(importlib.import_module(info.name), "TABLES", ())
            declared |= {table.name for table in tables if isinstance(table, Table)}
    known = {table.name for table in EVERY_TABLE}
    assert len(known) > 15
    assert declared - known <= SCRATCH, "add it to EVERY_TABLE in cli/move.py"


def test_blobs_are_copied_once_and_a_damaged_one_is_told(
    tmp_path: Path, run: Any, monkeypatch: pytest.MonkeyPatch
):
    for name, value in s3server.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)

    async def story() -> None:
        source = FsBlobs(tmp_path / "old")
        digests = [await source.put(b"%d" % n * 50) for n in range(40)]
        target = S3Blobs(s3server.shared().url(), BlobFiles(tmp_path / "copies"), cache_bytes=0)
        await target.put(b"7" * 50)
        assert await copy_blobs(source, target) == {"blobs": 40, "copied": 39, "copiedBytes": 3450}
        assert await copy_blobs(source, target) == {"blobs": 40, "copied": 0, "copiedBytes": 0}
        assert {d async for d, _ in target.list()} == set(digests)
        path = await source.local_path(await source.put(b"whole"))
        path.chmod(0o644)
        path.write_bytes(b"torn!")
        with pytest.raises(Unavailable, match="damaged"):
            await copy_blobs(source, target)
        assert len([1 async for _ in target.list()]) == 40

    run(story())
