"""Cooks whose tool does nothing, with real worker processes on one store: what the machinery costs.

The whole durable path is there, from the start command to the cook's completion: jobs queued, claimed
under leases, run, settled, folded into the stream by the cook's owner, pieces, outputs and counters
written, as durably as in a studio. A store is named by what opens it, in this and in other processes.
"""

import asyncio
import cProfile
import gc
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from cauldron.adapters.mongo import MongoStore
from cauldron.adapters.sqlite import SqliteStore
from cauldron.bootstrap import clock, new_id
from cauldron.domain import cook as cooks
from cauldron.domain.commands import StartCook
from cauldron.domain.cook_state import Cook, evolve, fold_commits
from cauldron.persistence.jobs import JobStore
from cauldron.persistence.leases import Leases
from cauldron.persistence.streams import Streams
from cauldron.persistence.tables import COOK_EVENTS, COOK_JOBS, TABLES
from cauldron.ports.storage import Doc
from cauldron.services.dispatch import Decider, Dispatcher
from cauldron.services.owning import Owner
from cauldron.services.projecting import Projector, stream_of
from cauldron.services.working import Worker, WorkerOptions

AnyStore = SqliteStore | MongoStore
Opener = Callable[[], AnyStore]  # one that pickles
DECIDER: Decider[Cook] = Decider(Cook, cooks.decide, evolve, whole=False, fold=fold_commits)
BLOB = {"media": "sha256:" + "5e" * 32, "mime": "image/png", "sizeBytes": 1}
PACED_S = 0.04  # 25 jobs a second
GC_THRESHOLDS = (50_000, 20, 20)  # as in a studio's processes
DEADLINE_S = 600.0


class Traits:
    """A plan of which every row is the same."""

    async def load(self, plan: str) -> None:
        """Nothing to read."""

    def traits(self, plan: str, slot: int) -> Mapping[str, Any]:
        """The same for every piece."""
        return {"Background": "Dusk", "Body": "Robot", "Hat": "Crown"}


class Noop:
    """Runs a job by doing nothing; the result has the shape of a real one."""

    async def run(self, job: Doc) -> Mapping[str, Any]:
        """Success at once; ``began`` is the instant in seconds."""
        now = clock()
        step = {
            **{"step": "tool", "toolId": "test.noop", "toolVersion": "1.0.0", "toolDisplayName": "No-op"},
            **{"status": "success", "startMs": now, "endMs": now, "attempt": job["attempt"]},
            **{"inputs": {"text": "x", "n": 3}, "outputs": {"image": BLOB}},
            **{"costMicroUsd": 0, "costSource": "tariff"},
        }
        return {"status": "success", "output": BLOB, "durationMs": 0, "steps": [step], "began": time.time()}


def _work(opener: Opener, slots: int, profile: str | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    gc.set_threshold(*GC_THRESHOLDS)

    async def go() -> None:
        store = opener()
        await store.open(TABLES)
        worker = Worker(
            store=store,
            queues=[JobStore(store, COOK_JOBS)],
            executor=Noop(),
            clock=clock,
            new_id=new_id,
            uniform=random.random,
            options=WorkerOptions(slots=slots),
        )
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.drain)
        await worker.run()
        await store.close()

    profiled(lambda: asyncio.run(go()), profile, f"worker-{os.getpid()}")


def profiled(work: Callable[[], Any], folder: str | None, name: str) -> Any:
    """What ``work`` answers; with a folder, its profile is written there."""
    if folder is None:
        return work()
    profiler = cProfile.Profile()
    answer = profiler.runcall(work)
    profiler.dump_stats(Path(folder) / f"{name}.prof")
    return answer


@contextmanager
def workers(
    opener: Opener, *, processes: int, slots: int, profile: str | None = None
) -> Iterator[Sequence[BaseProcess]]:
    """Worker processes; they drain at the end."""
    context = multiprocessing.get_context("spawn")
    made = [context.Process(target=_work, args=(opener, slots, profile)) for _ in range(processes)]
    for process in made:
        process.start()
    try:
        yield made
    finally:
        for process in made:
            process.terminate()
        for process in made:
            process.join(15)
            process.kill()


async def all_up(store: AnyStore, count: int) -> None:
    """Wait until ``count`` workers beat."""
    end = time.monotonic() + 60
    while len(await store.find("workers", {}, limit=1000)) < count:
        if time.monotonic() > end:
            raise RuntimeError("the workers do not come up")
        await asyncio.sleep(0.05)


@dataclass(frozen=True, slots=True, kw_only=True)
class CookRun:
    """What one cook took."""

    pieces_per_s: float
    owner_us: float  # processor time per piece, in the process that owns the cook
    workers_us: float  # in all workers together
    server_us: float = 0.0  # in the store's own process, where it has one

    @property
    def total_us(self) -> float:
        """Processor time of all processes per piece."""
        return self.owner_us + self.workers_us + self.server_us


def cpu_s(pid: int | None) -> float:
    """Processor time of a living process so far (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def start_command(cook_id: str, pieces: int) -> StartCook:
    """The command that starts a cook of no-ops."""
    return StartCook(
        key=f"start:{cook_id}",
        cook_id=cook_id,
        collection_id="k",
        collection_version="v",
        owner="o",
        amount=pieces,
        slot_from=0,
        plan_hash="h",
        plan="b",
        config_hash="x",
        generator={"kind": "tool", "id": "test.noop"},
        seed="s",
    )


async def run_cook(
    opener: Opener, made: Sequence[BaseProcess], *, pieces: int, slots: int, server: int | None = None
) -> CookRun:
    """Cook ``pieces``, from the start command to completion, with workers that are up.

    ``server`` is the process of the store, if its time is to be counted.
    """
    gc.set_threshold(*GC_THRESHOLDS)
    store = opener()
    await store.open(TABLES)
    dispatcher = Dispatcher(Streams(store, COOK_EVENTS), DECIDER, clock=clock)
    projector = Projector(store, dispatcher, Traits())
    owner = Owner(
        store=store,
        jobs=JobStore(store, COOK_JOBS),
        cooks=dispatcher,
        projector=projector,
        leases=Leases(store, holder=new_id(), clock=clock),
        clock=clock,
        window=max(1000, 2 * len(made) * slots),
    )
    await all_up(store, len(made))
    owning = asyncio.create_task(owner.run())
    pids: list[list[int | None]] = [
        [os.getpid()],
        [process.pid for process in made],
        [] if server is None else [server],
    ]
    before = [sum(map(cpu_s, group)) for group in pids]
    began, cook_id = time.monotonic(), new_id()
    await dispatcher.handle(stream_of(cook_id), start_command(cook_id, pieces), actor="o")
    await projector.catch_up(cook_id)
    await _completed(store, cook_id, owning)
    took_s = time.monotonic() - began
    used = [(sum(map(cpu_s, group)) - was) / pieces * 1e6 for group, was in zip(pids, before, strict=True)]
    owning.cancel()
    await asyncio.gather(owning, return_exceptions=True)
    await _check(store, pieces)
    await store.close()
    owner_us, workers_us, server_us = used
    return CookRun(
        pieces_per_s=pieces / took_s, owner_us=owner_us, workers_us=workers_us, server_us=server_us
    )


async def _completed(store: AnyStore, cook_id: str, owning: "asyncio.Task[None]") -> None:
    end = time.monotonic() + DEADLINE_S
    while True:
        [status] = await store.get("cook_status", [cook_id])
        if status is not None and status["state"] == "Completed":
            return
        if owning.done():
            owning.result()
        if time.monotonic() > end:
            raise RuntimeError(f"the cook has not ended: {status}")
        await asyncio.sleep(0.02)


async def _check(store: AnyStore, pieces: int) -> None:
    """Every piece and every output is there, once."""
    sizes = await store.tables_info()
    found = {table: sizes[table][0] for table in ("pieces", "generationOutputs", COOK_JOBS)}
    if set(found.values()) != {pieces}:
        raise RuntimeError(f"{found} records of {pieces} pieces")


def cook(folder: Path, *, processes: int, slots: int, pieces: int) -> CookRun:
    """One cook on a new file in ``folder``, worker processes included."""
    opener = partial(SqliteStore, folder / f"{processes}x{slots}-{new_id()}.db")
    with workers(opener, processes=processes, slots=slots) as made:
        return asyncio.run(run_cook(opener, made, pieces=pieces, slots=slots))


def waits_ms(opener: Opener, *, jobs: int, processes: int) -> list[float]:
    """From before the enqueue to the start in another process at 25 jobs/s, sorted, in ms."""
    with workers(opener, processes=processes, slots=8):
        return asyncio.run(_paced(opener, jobs, processes))


async def _paced(opener: Opener, jobs: int, processes: int) -> list[float]:
    store = opener()
    await store.open(TABLES)
    queue = JobStore(store, COOK_JOBS)
    await all_up(store, processes)
    asked: dict[str, float] = {}
    for n in range(jobs):
        name = f"j{n:05}"
        asked[name] = time.time()
        await queue.enqueue([_job(name, rank=n)])
        await asyncio.sleep(PACED_S)
    while True:
        docs = [doc for doc in await store.get(COOK_JOBS, list(asked)) if doc is not None]
        if all(doc["status"] == "settled" for doc in docs):
            break
        await asyncio.sleep(0.05)
    await store.close()
    return sorted((doc["result"]["began"] - asked[doc["_id"]]) * 1e3 for doc in docs)


def _job(name: str, *, rank: int) -> Doc:
    return {"_id": name, "status": "queued", "rank": rank, "parent": "p", "attempt": 1, "deliveries": 0}
