"""The machinery of cooks on a real engine, wired for tests: tools that do nothing, and a tapped store.

A folder stands for a store: it holds the one SQLite file, or names a database (:func:`engine`).

Faults are brought in from outside only: by the executor, the clock, or a store
that tells a *tap* what is about to be done and what was done.
"""

import asyncio
import itertools
import random
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import structlog

from cauldron.adapters.fs import FsBlobs
from cauldron.adapters.mongo import MongoStore
from cauldron.adapters.sqlite import SqliteStore
from cauldron.domain import cook as cooks
from cauldron.domain.commands import StartCook
from cauldron.domain.cook_state import Cook, evolve, fold_commits
from cauldron.domain.errors import NotFound
from cauldron.persistence.jobs import JobStore
from cauldron.persistence.leases import Leases
from cauldron.persistence.ledger_tables import TABLES as LEDGER_TABLES
from cauldron.persistence.streams import Streams
from cauldron.persistence.tables import COOK_EVENTS, COOK_JOBS, TABLES
from cauldron.ports.storage import Claim, Doc, Insert, Op, Patch, Store, Table, Where
from cauldron.services import spells, tools
from cauldron.services.collecting import Collecting
from cauldron.services.cooking import ROWS, Cooking
from cauldron.services.dispatch import Decider, Dispatcher, Folded
from cauldron.services.owning import Owner
from cauldron.services.projecting import Projector, stream_of
from cauldron.services.rebuilding import Findings, Rebuilding
from cauldron.services.sweeping import Sweeper
from cauldron.services.working import Executor, Worker, WorkerOptions
from tests.domain.cook_samples import START
from tests.mongod import database

if not structlog.is_configured():  # else failures are drawn with all their variables, which takes seconds
    structlog.configure(
        processors=[structlog.processors.format_exc_info, structlog.processors.KeyValueRenderer()]
    )

COOKS: Decider[Cook] = Decider(Cook, cooks.decide, evolve, whole=False, fold=fold_commits)
Tap = Callable[[str], Awaitable[None]]


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


def new_id() -> str:
    return secrets.token_hex(16)


class SteppingClock:
    """An instant that moves only when it is told to."""

    def __init__(self, now_ms: int = 1_767_225_600_000) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        return self.now_ms

    def pass_ms(self, ms: int) -> None:
        self.now_ms += ms


class Traits:
    """Traits that follow from plan and slot, so that a mixed-up plan shows."""

    def __init__(self, missing: Sequence[str] = ()) -> None:
        self._ready = ""
        self.missing = set(missing)

    async def load(self, plan: str) -> None:
        if plan in self.missing:
            raise NotFound(f"there is no plan {plan}")
        self._ready = plan  # one at a time: who awaits in between looks into another

    def traits(self, plan: str, slot: int) -> Mapping[str, Any]:
        assert plan == self._ready, "a plan must be looked into right after it was loaded"
        return {"Plan": plan, "Slot": str(slot)}


def step(job: Doc, *, status: str = "success", **more: Any) -> dict[str, Any]:
    """What a job's run of a tool that does nothing is recorded as."""
    now = wall_ms()
    return {
        "step": "tool",
        "toolId": "test.noop",
        "toolVersion": "1.0.0",
        "toolDisplayName": "No-op",
        "status": status,
        "startMs": now,
        "endMs": now,
        "inputs": {"text": "x"},
        "outputs": {"image": {"media": "sha256:" + "0" * 64, "mime": "image/png", "sizeBytes": 1}},
        "costMicroUsd": 3,
        "costSource": "tariff",
        "attempt": job["attempt"],
        **more,
    }


def success(job: Doc) -> dict[str, Any]:
    output = {"media": "sha256:" + "0" * 64, "mime": "image/png", "sizeBytes": 1}
    return {"status": "success", "steps": [step(job)], "output": output, "durationMs": 1}


def failure(job: Doc, code: str = "tool_error", *, retryable: bool = False) -> dict[str, Any]:
    return {
        "status": "failed",
        "code": code,
        "error": {"code": code, "message": f"piece {job.get('piece')} broke"},
        "retryable": retryable,
        "steps": [step(job, status="failed")],
        "durationMs": 1,
    }


@dataclass
class Scripted:
    """An executor: ``script`` says what a run of a job comes to; every run is written down."""

    script: Callable[[Doc], Mapping[str, Any]] = success
    takes_s: float = 0.0
    runs: list[str] = field(default_factory=list)

    async def run(self, job: Doc) -> Mapping[str, Any]:
        self.runs.append(job["_id"])
        if self.takes_s:
            await asyncio.sleep(self.takes_s)
        return self.script(job)


def point_of(ops: Sequence[Op]) -> str:
    """The step of a cook that these operations are."""
    first = ops[0]
    if first.table == COOK_JOBS:
        if isinstance(first, Insert):
            return "enqueue"
        status = first.set.get("status") if isinstance(first, Patch) else None
        return {"settled": "settle", "done": "finish", "failed": "finish", None: "extend"}.get(status, status)
    return {
        COOK_EVENTS: "append",
        "pieces": "project",
        "generationOutputs": "project",
        "cook_status": "status",
        "cooks": "status",
        "workers": "beat",
        "leases": "lease",
        "gates": "gate",
    }.get(first.table, first.table)


class Tapped:
    """A store that awaits ``tap("before:append")``, ``tap("after:append")`` … around what it does."""

    def __init__(self, store: Store, tap: Tap) -> None:
        self.inner = store
        self.tap = tap

    async def open(self, tables: Sequence[Table]) -> None:
        await self.inner.open(tables)

    async def get(self, table: str, ids: Sequence[str]) -> list[Doc | None]:
        return await self.inner.get(table, ids)

    async def find(self, table: str, where: Where, **more: Any) -> list[Doc]:
        return await self.inner.find(table, where, **more)

    async def commit(self, ops: Sequence[Op], *, atomic: bool = True) -> list[Exception | None]:
        if not ops:
            return []
        point = point_of(ops)
        await self.tap(f"before:{point}")
        outcome = await self.inner.commit(ops, atomic=atomic)
        await self.tap(f"after:{point}")
        return outcome

    async def claim(self, claim: Claim) -> list[Doc]:
        await self.tap("before:claim")
        docs = await self.inner.claim(claim)
        if docs:
            await self.tap("after:claim")
        return docs

    def watch(self, table: str, *, after: str | None = None) -> AsyncIterator[tuple[str, Doc | None]]:
        return self.inner.watch(table, after=after)

    async def close(self) -> None:
        await self.inner.close()


@dataclass
class Kitchen:
    """One process's view of a store with cooks."""

    store: Store
    blobs: Path
    clock: Callable[[], int] = wall_ms
    traits: Traits = field(default_factory=Traits)
    max_lost: int = 1_000
    session: str = field(default_factory=new_id)

    def __post_init__(self) -> None:
        self.streams = Streams(self.store, COOK_EVENTS)
        self.cooks: Dispatcher[Cook] = Dispatcher(self.streams, COOKS, clock=self.clock)
        self.projector = Projector(self.store, self.cooks, self.traits)
        self.jobs = JobStore(self.store, COOK_JOBS, max_lost=self.max_lost)
        blobs, registry = FsBlobs(self.blobs), tools.ToolRegistry()
        book = spells.Spellbook(
            store=self.store, tools=registry, owner="ann", actor="ann", environment="test"
        )
        collecting = Collecting(
            store=self.store, blobs=blobs, tools=registry, spells=book, clock=self.clock, new_id=new_id
        )
        self.cooking = Cooking(
            store=self.store,
            cooks=self.cooks,
            rows=Dispatcher(self.streams, ROWS, clock=self.clock),
            projector=self.projector,
            jobs=self.jobs,
            blobs=blobs,
            collecting=collecting,
            new_id=new_id,
        )

    def owner(self, *, window: int = 100, lease_ms: int = 5_000) -> Owner:
        return Owner(
            store=self.store,
            jobs=self.jobs,
            cooks=self.cooks,
            projector=self.projector,
            leases=Leases(self.store, holder=new_id(), clock=self.clock, ttl_ms=lease_ms),
            clock=self.clock,
            window=window,
            lease_ms=lease_ms,
        )

    def worker(self, executor: Executor, *, slots: int = 4, lease_ms: int = 15_000) -> Worker:
        return Worker(
            store=self.store,
            queues=[self.jobs],
            executor=executor,
            clock=self.clock,
            new_id=new_id,
            uniform=random.random,
            options=WorkerOptions(slots=slots, lease_ms=lease_ms, idle_poll_s=0.2),
        )

    def sweeper(self) -> Sweeper:
        return Sweeper(self.store, [self.jobs], self.clock, 0.02, 0.05, 0.2)

    async def start(self, amount: int = 3, *, cook_id: str = "c1", **changes: Any) -> str:
        changes = {"failure_budget": 1_000, "owner": "ann"} | changes
        command: StartCook = replace(
            START, key=f"start:{cook_id}", cook_id=cook_id, collection_id=f"of-{cook_id}", amount=amount
        )
        await self.give(replace(command, **changes), cook_id=cook_id)
        return cook_id

    async def give(self, *commands: Any, cook_id: str = "c1", actor: str = "ann") -> None:
        """Carry out commands one after the other, and project them."""
        for command in commands:
            await self.cooking.command(cook_id, command, actor=actor)

    async def load(self, cook_id: str = "c1") -> Folded[Cook]:
        return await self.cooks.load(stream_of(cook_id))

    async def until(self, holds: Callable[[], Awaitable[bool]], *, within_s: float = 20.0) -> None:
        async with asyncio.timeout(within_s):
            while not await holds():
                await asyncio.sleep(0.01)

    async def until_state(self, state: str, *, cook_id: str = "c1", within_s: float = 20.0) -> Doc:
        doc: Doc | None = None

        async def reached() -> bool:
            nonlocal doc
            [doc] = await self.store.get("cook_status", [cook_id])
            return doc is not None and doc["state"] == state

        await self.until(reached, within_s=within_s)
        assert doc is not None
        return doc

    async def job_statuses(self, cook_id: str = "c1") -> dict[str, str]:
        """Every job of a cook by id, with its status."""
        pieces = (await self.load(cook_id)).state.pieces
        jobs = await self.store.get(COOK_JOBS, [f"{cook_id}.{n}" for n in range(1, pieces + 1)])
        return {job["_id"]: job["status"] for job in jobs if job is not None}

    async def findings(self, cook_id: str = "c1") -> Findings:
        """What ``rebuild --check`` says."""
        found = Findings()
        await Rebuilding(self.store, self.streams, self.projector).check(cook_id, found)
        return found

    @asynccontextmanager
    async def running(self, *parts: Any) -> AsyncIterator[None]:
        """Owners, workers and sweepers at work while the block runs; a part that breaks breaks the test."""
        tasks = [asyncio.create_task(part.run()) for part in parts]
        try:
            yield
        finally:
            broken = [t.exception() for t in tasks if t.done() and not t.cancelled() and t.exception()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for failure_ in broken:
            raise failure_


ENGINES = ("sqlite", "mongo")
ADDRESS = "database"  # a file that says which


@contextmanager
def engine(name: str, folder: Path) -> Iterator[Path]:
    """A folder whose kitchens are on that engine."""
    if name != "mongo":
        yield folder
        return
    with database() as url:
        (folder / ADDRESS).write_text(url)
        yield folder


@asynccontextmanager
async def kitchen(folder: Path, *, tap: Tap | None = None, **more: Any) -> AsyncIterator[Kitchen]:
    """A kitchen over the store of ``folder``."""
    address = folder / ADDRESS
    store: Any = MongoStore(address.read_text()) if address.exists() else SqliteStore(folder / "store.db")
    await store.open((*TABLES, *LEDGER_TABLES, *spells.TABLES, *tools.TABLES))
    try:
        yield Kitchen(Tapped(store, tap) if tap else store, folder / "blobs", **more)
    finally:
        await store.close()


async def problems(kitchen_: Kitchen, cook_id: str = "c1") -> list[str]:
    """The history checker: what a finished cook lost, doubled or counted wrongly; empty when all is well."""
    found: list[str] = []
    cook = (await kitchen_.load(cook_id)).state
    ends: dict[int, int] = {}
    outputs: set[str] = set()
    seqs = itertools.count(1)
    async for page in kitchen_.streams.read(stream_of(cook_id)):
        for commit in page:
            if commit["seq"] != next(seqs):
                found.append(f"a gap before commit {commit['seq']}")
            for event in commit["events"]:
                if event["type"] in ("PieceGenerated", "GenerationFailed"):
                    piece = event["data"]["piece"]
                    ends[piece] = ends.get(piece, 0) + 1
    found += [f"piece {n} ended {count} times" for n, count in ends.items() if count != 1]
    found += [f"piece {n} is lost" for n in range(1, cook.pieces + 1) if n not in ends]
    pieces = await kitchen_.store.find(
        "pieces", {"cookId": cook_id}, order=("cookId", "number"), limit=100_000
    )
    found += [f"{len(pieces)} piece records, not {cook.pieces}"] if len(pieces) != cook.pieces else []
    records = await kitchen_.store.find(
        "generationOutputs", {"cookId": cook_id}, order=("cookId",), limit=100_000
    )
    outputs = {record["_id"] for record in records}
    found += [f"output {r['_id']} has no piece" for r in records if not r["pieceId"]]
    found += [f"{p['_id']} names no output" for p in pieces if p["outputId"] and p["outputId"] not in outputs]
    [status] = await kitchen_.store.get("cook_status", [cook_id])
    made = sum(p["state"] != "failed" for p in pieces)
    if status is None or (status["generationCount"], status["queued"]) != (made, 0):
        found.append(f"counters are wrong: {made} made, {status}")
    for job, state in (await kitchen_.job_statuses(cook_id)).items():
        if state not in ("done", "failed", "settled"):
            found.append(f"job {job} is {state}")
    checked = await kitchen_.findings(cook_id)
    return found + [f"{e['table']} {e['id']} {e['reason']}" for e in checked.examples]
