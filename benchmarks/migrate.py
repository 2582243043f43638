"""How fast records of the earlier system are rehearsed and written, and that memory stays flat.

    python -m benchmarks.migrate [--documents 100000] [--large 1000000] [--mongo]

A dump of the seeded legacy world is written first (that takes longest). Each run is a
process of its own, so that its memory and its processor time can be told.
"""

import argparse
import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import harness
from tests import mongod
from tests.legacy_runs import migrate, opened
from tests.legacy_world import World, write_bson


def run(folder: str, how: str, target: str) -> None:
    """One migration in this process; prints its figures as JSON."""
    started, used = time.perf_counter(), time.process_time()

    async def work():
        async with opened(target if target.startswith("mongodb") else Path(target)) as store:
            return await migrate(store, [folder], apply=how.startswith("apply"), processes=int(how[-1]))

    summary = asyncio.run(work())
    seconds, cpu = time.perf_counter() - started, time.process_time() - used
    helped = resource.getrusage(resource.RUSAGE_CHILDREN)
    figures = {
        "documents": summary["documents"],
        "perSecond": round(summary["documents"] / seconds),
        "cpuUsPerDocument": round(1e6 * cpu / summary["documents"], 1),
        "helpersCpuUsPerDocument": round(1e6 * (helped.ru_utime + helped.ru_stime) / summary["documents"], 1),
        "peakMb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "records": sum(summary["records"].values()),
    }
    print(json.dumps(figures))


def measured(folder: Path, how: str, target: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.migrate", "--run", str(folder), how, target]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    figures = json.loads(done.stdout.splitlines()[-1])
    print(how, target.split(":")[0] if "://" in target else "sqlite", figures)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--large", type=int, default=1_000_000)
    parser.add_argument("--mongo", action="store_true")
    parser.add_argument("--run", nargs=3)
    asked = parser.parse_args()
    if asked.run:
        run(*asked.run)
        return
    with tempfile.TemporaryDirectory(prefix="cauldron-bench-") as name:
        place = Path(name)
        write_bson(World(1, documents=asked.documents, detail=False), place / "dump")
        alone = measured(place / "dump", "rehearse-0", str(place / "r0.db"))
        helped = measured(place / "dump", "rehearse-2", str(place / "r2.db"))
        applied = measured(place / "dump", "apply-2", str(place / "a2.db"))
        rows = [
            row("rehearse, one process", alone["perSecond"], 50_000, "documents/s"),
            row("rehearse, two helpers", helped["perSecond"], 50_000, "documents/s"),
            row("apply on SQLite", applied["perSecond"], 20_000, "documents/s"),
        ]
        notes = {"documents": asked.documents, "alone": alone, "helped": helped, "applied": applied}
        if asked.mongo:
            with mongod.database() as url:
                live = measured(place / "dump", "apply-2", url)
            rows.append(row("apply on MongoDB", live["perSecond"], 5_000, "documents/s"))
            notes["mongo"] = live
        if asked.large:
            write_bson(World(2, documents=asked.large, detail=False), place / "large")
            large = measured(place / "large", "rehearse-0", str(place / "rl.db"))
            rows.append(row("memory beyond the small dump", large["peakMb"] - alone["peakMb"], 50, "MB"))
            notes["large"] = large
        harness.record("migrate", rows, notes=notes)


def row(name: str, ours: float, bound: float, unit: str) -> harness.Row:
    words = "must be at least" if unit.endswith("/s") else "must be at most"
    return harness.Row(name=name, ours=max(ours, 0.1), peer=bound, peer_name=words, unit=unit)


if __name__ == "__main__":
    main()
