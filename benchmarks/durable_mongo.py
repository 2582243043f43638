"""The durable path on a one-node replica set: a cook of no-op pieces, workers in processes of their own.

The whole of it is counted, from the start command to the cook's completion: jobs queued, claimed,
run, settled, folded into the stream, pieces and outputs written. Majority and journaled. Beside it
on the same mongod, in the same run: Agenda, whose jobs are only begun and ended.

    python -m benchmarks.durable_mongo [--only 2x32] [--pieces 20000] [--profile FOLDER]
"""

import argparse
import asyncio
from functools import partial

from benchmarks import agenda, harness
from benchmarks.noop_cooks import CookRun, profiled, run_cook, waits_ms, workers
from cauldron.adapters.mongo import MongoStore
from tests.mongod import ReplicaSet, database, server

TARGETS = {"2x32": 3000.0, "4x1": 300.0}
BESIDE_AGENDA = "2x32"
PACED = 200


def measure(
    nodes: ReplicaSet, *, processes: int, slots: int, pieces: int, profile: str | None = None
) -> CookRun:
    """One cook on a database of its own."""
    mongod = nodes.processes[nodes.primary()].pid
    with database(nodes) as url:
        opener = partial(MongoStore, url)
        with workers(opener, processes=processes, slots=slots, profile=profile) as made:
            cook = partial(run_cook, opener, made, pieces=pieces, slots=slots, server=mongod)
            run: CookRun = profiled(lambda: asyncio.run(cook()), profile, "owner")
    return run


def latency(nodes: ReplicaSet) -> tuple[float, float]:
    """From before the enqueue to the start of the job at 25 jobs/s: p50 and p99 in ms."""
    with database(nodes) as url:
        waits = waits_ms(partial(MongoStore, url), jobs=PACED, processes=1)
    return waits[len(waits) // 2], waits[len(waits) * 99 // 100]


def report(name: str, run: CookRun) -> None:
    """What the processors did, to the terminal."""
    print(
        f"{name}: {run.pieces_per_s:,.0f} pieces/s; µs of processor per piece: owner {run.owner_us:.0f},"
        f" workers {run.workers_us:.0f}, mongod {run.server_us:.0f}, together {run.total_us:.0f}",
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
    with server() as nodes:
        if args.only:
            processes, slots = map(int, args.only.split("x"))
            pieces = args.pieces or 10_000
            run = measure(nodes, processes=processes, slots=slots, pieces=pieces, profile=args.profile)
            report(args.only, run)
            return
        harness.record("durable_mongo", rows(nodes, args.pieces), notes={"mongod": _version(nodes)})


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


def _beside_agenda(nodes: ReplicaSet, run: CookRun) -> list[harness.Row]:
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
