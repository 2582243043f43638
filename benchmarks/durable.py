"""The durable path with a tool that does nothing, beside Huey on SQLite with fsync.

From queue to lease, settlement, event and projections; Huey runs its task and stores the result. Worker
processes on one file, ``synchronous=FULL`` for both, one run.

    python -m benchmarks.durable [--pieces 40000] [--jobs 5000]
"""

import argparse
import tempfile
from functools import partial
from pathlib import Path

from benchmarks import harness
from benchmarks.noop_cooks import CookRun, cook, waits_ms
from benchmarks.queue_peers import QueueRates, measure_huey
from cauldron.adapters.sqlite import SqliteStore

LEAST = "must be at least"
BOUNDS_PER_S = {(2, 32): 8_000.0, (4, 1): 1_200.0}  # (processes, slots of each)
MOST_WAIT_MS = 5.0


def rows(runs: dict[tuple[int, int], CookRun], waits: list[float], huey: QueueRates) -> list[harness.Row]:
    """The figures that must be kept, and Huey's beside them."""
    made: list[harness.Row] = []
    for (processes, slots), run in runs.items():
        name = f"durable no-op pieces, {processes} workers × {slots} slots"
        bound = BOUNDS_PER_S[processes, slots]
        for peer, peer_name in ((bound, LEAST), (huey.best_per_s, f"{huey.engine}, {huey.workers} workers")):
            made.append(
                harness.Row(name=name, ours=run.pieces_per_s, peer=peer, peer_name=peer_name, unit="pieces/s")
            )
    p50_ms, p99_ms = waits[len(waits) // 2], waits[len(waits) * 99 // 100]
    at = "enqueue to start between processes at 25/s"
    made += [
        harness.Row(
            name=f"{at}, p50", ours=p50_ms, peer=MOST_WAIT_MS, peer_name="must be at most", unit="ms"
        ),
        harness.Row(name=f"{at}, p50", ours=p50_ms, peer=huey.p50_ms, peer_name=huey.engine, unit="ms"),
        harness.Row(name=f"{at}, p99", ours=p99_ms, peer=huey.p99_ms, peer_name=huey.engine, unit="ms"),
    ]
    return made


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pieces", type=int, default=40_000)
    parser.add_argument("--jobs", type=int, default=5_000, help="jobs of the peer")
    parser.add_argument("--alone", action="store_true", help="without the peer; nothing is recorded")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="durable-") as name:
        folder = Path(name)
        runs = {
            (2, 32): cook(folder, processes=2, slots=32, pieces=args.pieces),
            (4, 1): cook(folder, processes=4, slots=1, pieces=args.pieces // 8),
        }
        for (processes, slots), run in runs.items():
            print(
                f"{processes} × {slots}: {run.pieces_per_s:,.0f}/s; µs of processor per piece:"
                f" owner {run.owner_us:.0f}, workers {run.workers_us:.0f}",
                flush=True,
            )
        waits = waits_ms(partial(SqliteStore, folder / "paced.db"), jobs=250, processes=2)
        print(f"waits: p50 {waits[len(waits) // 2]:.2f} ms, p99 {waits[len(waits) * 99 // 100]:.2f} ms")
        if args.alone:
            return
        huey = measure_huey(args.jobs, workers=2, folder=folder)
    cpu = {f"{p}x{s}": {"ownerUs": r.owner_us, "workersUs": r.workers_us} for (p, s), r in runs.items()}
    harness.record("durable", rows(runs, waits, huey), notes={"cpuPerPiece": cpu})


if __name__ == "__main__":
    main()
