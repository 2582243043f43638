"""The durable path on a one-node replica set: a cook of no-op pieces, workers in processes of their own.

The whole of it is counted, from the start command to the cook's completion: jobs queued, claimed,
run, settled, folded into the stream, pieces and outputs written. Majority and journaled. Beside it
on the same mongod, in the same run: Agenda, whose jobs are only begun and ended.

    python -m benchmarks.durable_mongo [--only 2x32] [--pieces 20000] [--profile FOLDER]
"""

import argparse
import asyncio
import cProfile
import gc
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from benchmarks import agenda, harness
from benchmarks.noop_cooks import (
    DECIDER,
    GC_THRESHOLDS,
    Noop,
    Traits,
    all_up,
    cpu_s,
    start_command,
)
from cauldron.adapters.mongo import MongoStore
from cauldron.bootstrap import clock, new_id
from cauldron.persistence.jobs import JobStore
from cauldron.persistence.leases import Leases
from cauldron.persistence.streams import Streams
from cauldron.persistence.tables import COOK_EVENTS, COOK_JOBS, TABLES
from cauldron.services.dispatch import Dispatcher
from cauldron.services.owning import Owner
from cauldron.services.projecting import Projector, stream_of
from cauldron.services.working import Worker, WorkerOptions
from tests.mongod import ReplicaSet, database

TARGETS = {"2x32": 3000.0, "4x1": 300.0}
BESIDE_AGENDA = "2x32"
PACED, PACED_S = 200, 0.04


def _work(url: str, slots: int, profile: str | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    gc.set_threshold(*GC_THRESHOLDS)

    async def go() -> None:
        store = MongoStore(url)
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

    _profiled(lambda: asyncio.run(go()), profile, f"worker-{os.getpid()}")


def _profiled(work: Any, folder: str | None, name: str) -> None:
    if folder is None:
        work()
        return
    profiler = cProfile.Profile()
    profiler.runcall(work)
    profiler.dump_stats(Path(folder) / f"{name}.prof")


@contextmanager
def workers(
    url: str, *, processes: int, slots: int, profile: str | None = None
) -> Iterator[Sequence[BaseProcess]]:
    """Worker processes, up and claiming; they drain at the end."""
    context = multiprocessing.get_context("spawn")
    made = [context.Process(target=_work, args=(url, slots, profile)) for _ in range(processes)]
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one cook took."""

    pieces_per_s: float
    owner_us: float  # processor time per piece
    workers_us: float
    mongod_us: float


async def cook(url: str, processes: Sequence[BaseProcess], *, pieces: int, slots: int, mongod: int) -> Run:
    """Cook ``pieces`` from start to completion with workers that are there already."""
    gc.set_threshold(*GC_THRESHOLDS)
    store = MongoStore(url)
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
        window=max(1000, 2 * len(processes) * slots),
    )
    await all_up(store, len(processes))
    task = asyncio.create_task(owner.run())
    pids: list[list[int | None]] = [[os.getpid()], [process.pid for process in processes], [mongod]]
    before = [sum(map(cpu_s, group)) for group in pids]
    began, name = time.monotonic(), f"c{new_id()[:8]}"
    await dispatcher.handle(stream_of(name), start_command(name, pieces), actor="o")
    await projector.catch_up(name)
    while not (await store.find("cook_status", {"state": "Completed"}, order=("state",), limit=1)):
        if task.done():
            task.result()
        await asyncio.sleep(0.02)
    took_s = time.monotonic() - began
    used = [(sum(map(cpu_s, group)) - was) / pieces * 1e6 for group, was in zip(pids, before, strict=True)]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    [status] = await store.get("cook_status", [name])
    assert status is not None
    assert status["generationCount"] == pieces, status
    await store.close()
    return Run(pieces_per_s=pieces / took_s, owner_us=used[0], workers_us=used[1], mongod_us=used[2])


def measure(nodes: ReplicaSet, *, processes: int, slots: int, pieces: int, profile: str | None = None) -> Run:
    """One cook on a database of its own."""
    mongod = nodes.processes[nodes.primary()].pid
    with database(nodes) as url, workers(url, processes=processes, slots=slots, profile=profile) as made:
        result: list[Run] = []

        def run() -> None:
            result.append(asyncio.run(cook(url, made, pieces=pieces, slots=slots, mongod=mongod)))

        _profiled(run, profile, "owner")
    return result[0]


async def _paced(url: str) -> list[int]:
    store = MongoStore(url)
    await store.open(TABLES)
    jobs = JobStore(store, COOK_JOBS)
    await all_up(store, 1)
    names = [f"j{n:05}" for n in range(PACED)]
    for n, name in enumerate(names):
        job = {"_id": name, "status": "queued", "rank": n, "parent": "p", "attempt": 1, "deliveries": 0}
        await jobs.enqueue([{**job, "createdAt": clock()}])
        await asyncio.sleep(PACED_S)
    while True:
        docs = await store.get(COOK_JOBS, names)
        if all(doc and doc["status"] == "settled" for doc in docs):
            break
        await asyncio.sleep(0.1)
    await store.close()
    return sorted(doc["result"]["steps"][0]["startMs"] - doc["createdAt"] for doc in docs if doc)


def latency(nodes: ReplicaSet) -> tuple[float, float]:
    """From before the enqueue to the start of the job at 25 jobs/s: p50 and p99 in ms (whole ms)."""
    with database(nodes) as url, workers(url, processes=1, slots=8):
        waits = asyncio.run(_paced(url))
    return float(waits[len(waits) // 2]), float(waits[len(waits) * 99 // 100])


def report(name: str, run: Run) -> None:
    """What the processors did, to the terminal."""
    total = run.owner_us + run.workers_us + run.mongod_us
    print(
        f"{name}: {run.pieces_per_s:,.0f} pieces/s; µs of processor per piece: owner {run.owner_us:.0f},"
        f" workers {run.workers_us:.0f}, mongod {run.mongod_us:.0f}, together {total:.0f}",
        flush=True,
    )


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description="The durable path on MongoDB.")
    parser.add_argument("--only", help="one shape, such as 2x32, without recording")
    parser.add_argument("--pieces", type=int)
    parser.add_argument("--profile", help="a folder for cProfile files")
    args = parser.parse_args()
    if args.only is None:
        agenda.packages_folder()  # a missing peer is told at once
    nodes = ReplicaSet(oplog_mb=1024, cache_gb=1.0)  # a server's usual share of this machine
    try:
        if args.only:
            processes, slots = map(int, args.only.split("x"))
            pieces = args.pieces or 10_000
            run = measure(nodes, processes=processes, slots=slots, pieces=pieces, profile=args.profile)
            report(args.only, run)
            return
        harness.record("durable_mongo", rows(nodes, args.pieces), notes={"mongod": _version(nodes)})
    finally:
        nodes.stop()


def rows(nodes: ReplicaSet, pieces: int | None) -> list[harness.Row]:
    """Every figure, one after the other on the same mongod."""
    made = []
    for name, target in TARGETS.items():
        processes, slots = map(int, name.split("x"))
        run = measure(
            nodes, processes=processes, slots=slots, pieces=pieces or (20_000 if slots > 1 else 3000)
        )
        report(name, run)
        title = f"durable no-op pieces, {processes} workers × {slots} slots"
        made.append(_at_least(title, run.pieces_per_s, target))
        if name == BESIDE_AGENDA:
            made += _beside_agenda(nodes, run)
    return [*made, _more_workers(nodes, pieces or 20_000), _latency_row(nodes)]


def _at_least(name: str, ours: float, bound: float) -> harness.Row:
    return harness.Row(name=name, ours=ours, peer=bound, peer_name="must be at least", unit="pieces/s")


def _beside_agenda(nodes: ReplicaSet, run: Run) -> list[harness.Row]:
    peer = agenda.measure_agenda(nodes)
    print(peer, flush=True)
    made = []
    for what, rate in (("live", peer.live_per_s), ("on a backlog", peer.drain_per_s)):
        name = f"Agenda {peer.version}, change streams, {peer.workers} workers × 10, {what}"
        title = f"durable no-op pieces beside a bare queue {what}"
        made.append(
            harness.Row(name=title, ours=run.pieces_per_s, peer=rate, peer_name=name, unit="pieces/s")
        )
    return made


def _more_workers(nodes: ReplicaSet, pieces: int) -> harness.Row:
    many = measure(nodes, processes=16, slots=8, pieces=pieces)
    few = measure(nodes, processes=4, slots=8, pieces=pieces)
    report("16x8", many)
    report("4x8", few)
    return harness.Row(
        name="16 worker processes on one cook beside 4, 8 slots each",
        ours=many.pieces_per_s,
        peer=few.pieces_per_s,
        peer_name="4 processes",
        unit="pieces/s",
    )


def _latency_row(nodes: ReplicaSet) -> harness.Row:
    p50_ms, p99_ms = latency(nodes)
    print(f"enqueue to start: p50 {p50_ms:.0f} ms, p99 {p99_ms:.0f} ms")
    return harness.Row(
        name="enqueue to start, p99 at 25/s",
        ours=p99_ms,
        peer=50.0,
        peer_name="must be at most",
        unit="ms",
    )


def _version(nodes: ReplicaSet) -> str:
    with nodes.client() as client:
        return str(client.server_info()["version"])


if __name__ == "__main__":
    main()
