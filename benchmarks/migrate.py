"""How fast records of the earlier system are rehearsed and written, and that memory stays flat.

    python -m benchmarks.migrate [--documents 100000] [--large 1000000] [--keep FOLDER] [--only HOW]

Dumps of the seeded legacy world are written first (that takes longest; ``--keep`` uses them again).
Each run is a process of its own, so that its memory and its processor time can be told. The rehearsal
with helpers is of the large dump: starting them is a second of processor time.
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


def dump(place: Path, seed: int, documents: int) -> Path:
    """A dump of so many documents; written unless it is there already."""
    folder = place / f"dump-{documents}"
    if not folder.exists():
        write_bson(World(seed, documents=documents, detail=False), place / "half")
        (place / "half").rename(folder)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--large", type=int, default=1_000_000)
    parser.add_argument("--keep", type=Path, help="a folder for the dumps")
    parser.add_argument(
        "--only", help="rehearse-0, rehearse-2, apply-2: one run of the small dump, not recorded"
    )
    parser.add_argument("--run", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.run:
        run(*asked.run)
        return
    with tempfile.TemporaryDirectory(prefix="cauldron-bench-") as name:
        place, kept = Path(name), asked.keep or Path(name)
        small = dump(kept, 1, asked.documents)
        if asked.only:
            measured(small, asked.only, str(place / "only.db"))
            return
        large = dump(kept, 2, asked.large)
        rows, notes = figures(place, small, large)
        harness.record("migrate", rows, notes=notes)


def figures(place: Path, small: Path, large: Path) -> tuple[list[harness.Row], dict[str, object]]:
    """Every run, and what it came to."""
    alone = measured(small, "rehearse-0", str(place / "r0.db"))
    flat = measured(large, "rehearse-0", str(place / "r1.db"))
    helped = measured(large, "rehearse-2", str(place / "r2.db"))
    applied = measured(small, "apply-2", str(place / "a2.db"))
    with mongod.server() as nodes, mongod.database(nodes) as url:
        live = measured(small, "apply-2", url)
    rows = [
        row("rehearse, one process", flat["perSecond"], 50_000, "documents/s"),
        row("rehearse, two helpers", helped["perSecond"], 50_000, "documents/s"),
        row("apply on SQLite", applied["perSecond"], 20_000, "documents/s"),
        row("apply on MongoDB", live["perSecond"], 5_000, "documents/s"),
        row("memory of the large dump beyond the small one", flat["peakMb"] - alone["peakMb"], 50, "MB"),
    ]
    return rows, {"small": alone, "large": flat, "helped": helped, "applied": applied, "mongo": live}


def row(name: str, ours: float, bound: float, unit: str) -> harness.Row:
    words = "must be at least" if unit.endswith("/s") else "must be at most"
    return harness.Row(name=name, ours=max(ours, 0.1), peer=bound, peer_name=words, unit=unit)


if __name__ == "__main__":
    main()
