"""The storage kernel on SQLite with ``synchronous=FULL``: commits, bulk, claims, reads, doorbell, blobs.

    python -m benchmarks.kernel [--seconds 2]

The bounds are what the durable path needs; the fsync rate of the disk stands beside them, because a
commit of one caller can be no faster. A plain sqlite3 loop in one thread is the peer of the single caller.
"""

import argparse
import asyncio
import itertools
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from benchmarks import harness
from cauldron.adapters.fs import BlobFiles
from cauldron.adapters.sqlite import SqliteStore
from cauldron.ports.storage import Claim, Index, Insert, Patch, Table

JOBS = Table(
    name="jobs",
    indexes=(
        Index(fields=("runAt",), where={"status": "queued"}),
        Index(fields=("leaseId",), where={"status": "running"}),
        Index(fields=("cookId", "number")),
    ),
)
LOG = Table(
    name="log",
    feed=True,
    indexes=(Index(fields=("stream", "seq"), unique=True), Index(fields=("cmds",), unique=True, multi=True)),
)
TRAITS = {"Background": "lava", "Body": "gold", "Eyes": "laser", "Hat": "crown"}
NEXT = itertools.count()


def job(number: int) -> dict:
    """About 300 bytes, with what a queue indexes."""
    return {
        "_id": f"cook:{number:08}",
        "cookId": "cook",
        "number": number,
        "status": "queued",
        "runAt": number,
        "leaseId": None,
        "attempt": 0,
        "owner": "local",
        "payload": {"seed": str(number), "traits": TRAITS},
    }


def entry(stream: str, seq: int) -> dict:
    """A commit document of one event, about 350 bytes."""
    events = [{"type": "PieceGenerated", "v": 1, "data": {"piece": seq, "traits": TRAITS}, "c": 0}]
    name = f"{stream}:{seq:010}"
    return {"_id": name, "stream": stream, "seq": seq, "cmds": [f"gen:{name}"], "ts": seq, "events": events}


async def per_second(act: Callable[[], Awaitable[int]], *, seconds: float) -> float:
    """How many things ``act`` does in a second, when it says how many it did each time."""
    done, begun = 0, time.perf_counter()
    while time.perf_counter() - begun < seconds:
        done += await act()
    return done / (time.perf_counter() - begun)


async def appends(store: SqliteStore, callers: int, *, seconds: float) -> float:
    """Durable commits per second of ``callers`` that each append to a stream of their own."""
    end = time.perf_counter() + seconds

    async def caller() -> int:
        stream, seq = f"s{next(NEXT)}", 0
        while time.perf_counter() < end:
            await store.commit([Insert("log", entry(stream, seq))])
            seq += 1
        return seq

    begun = time.perf_counter()
    done = sum(await asyncio.gather(*(caller() for _ in range(callers))))
    return done / (time.perf_counter() - begun)


async def bulk(store: SqliteStore, size: int, *, seconds: float) -> tuple[float, float]:
    """Inserts and guarded patches per second, ``size`` in one call, each standing alone."""
    added: list[str] = []

    async def insert() -> int:
        docs = [job(next(NEXT)) for _ in range(size)]
        added.extend(doc["_id"] for doc in docs)
        await store.commit([Insert("jobs", doc) for doc in docs], atomic=False)
        return size

    inserts = await per_second(insert, seconds=seconds)
    rest = iter(added)

    async def patch() -> int:
        names = list(itertools.islice(rest, size))
        change = {"status": "settled", "leaseId": None, "result": {"outputs": {"image": "sha256:0"}}}
        await store.commit([Patch("jobs", n, change, {"status": "queued"}) for n in names], atomic=False)
        return len(names)

    begun, done = time.perf_counter(), 0
    while (more := await patch()) and time.perf_counter() - begun < seconds:
        done += more
    return inserts, (done + more) / (time.perf_counter() - begun)


async def claims(store: SqliteStore, *, seconds: float) -> float:
    """Jobs claimed per second, 32 at a time."""
    wanted = Claim(
        table="jobs",
        where={"status": "queued"},
        order=("runAt",),
        set={"status": "running", "leaseId": "l", "until": 5},
        limit=32,
        increment=("attempt",),
    )
    await store.commit([Insert("jobs", job(next(NEXT))) for _ in range(10_000)], atomic=False)
    begun, done = time.perf_counter(), 0
    while (docs := await store.claim(wanted)) and time.perf_counter() - begun < seconds:
        done += len(docs)
    return done / (time.perf_counter() - begun)


async def reads(store: SqliteStore) -> tuple[float, float]:
    """p50 in µs of a get of one document, and of a find of 100."""
    names = [doc["_id"] for doc in await store.find("jobs", {}, limit=2000)]
    gets, finds = [], []
    for name in names:
        begun = time.perf_counter()
        await store.get("jobs", [name])
        gets.append(time.perf_counter() - begun)
    for _ in range(300):
        begun = time.perf_counter()
        await store.find("jobs", {"cookId": "cook"}, order=("number",), limit=100)
        finds.append(time.perf_counter() - begun)
    return statistics.median(gets) * 1e6, statistics.median(finds) * 1e6


RINGER = """
import asyncio, sys, time
from pathlib import Path
from benchmarks.kernel import JOBS, LOG
from cauldron.adapters.sqlite import SqliteStore
from cauldron.ports.storage import Insert
async def main():
    store = SqliteStore(Path(sys.argv[1]))
    await store.open([JOBS, LOG])
    for n in range(int(sys.argv[2])):
        doc = {"_id": f"r{n}", "stream": "r", "seq": n, "cmds": [], "at": time.monotonic_ns()}
        await store.commit([Insert("log", doc)])
        await asyncio.sleep(0.01)
    await store.close()
asyncio.run(main())
"""

SATURATE = """
import asyncio, sys
from pathlib import Path
from benchmarks.kernel import JOBS, LOG
from cauldron.adapters.sqlite import SqliteStore
from cauldron.ports.storage import Insert
async def caller(store, c):
    for n in range(10**9):
        docs = [{"_id": f"x{c}:{n}:{k}", "stream": f"x{c}:{k}", "seq": n, "cmds": []} for k in range(32)]
        await store.commit([Insert("log", doc) for doc in docs])
async def main():
    store = SqliteStore(Path(sys.argv[1]))
    await store.open([JOBS, LOG])
    await asyncio.gather(*(caller(store, c) for c in range(16)))
asyncio.run(main())
"""


def beside(script: str, path: Path, *rest: object) -> subprocess.Popen[bytes]:
    """Another process on the same file."""
    root = str(Path(__file__).parents[1])
    return subprocess.Popen(
        [sys.executable, "-c", script, str(path), *map(str, rest)], env={**os.environ, "PYTHONPATH": root}
    )


async def doorbell(store: SqliteStore, *, count: int = 200) -> float:
    """p50 in ms from the start of a commit in one process to its document in another."""
    watch, waits = store.watch("log"), []
    process = beside(RINGER, store.path, count)
    for _ in range(count):
        _, doc = await anext(watch)
        waits.append((time.monotonic_ns() - doc["at"]) / 1e6)
    await asyncio.to_thread(process.wait)
    return statistics.median(waits)


async def beside_saturation(store: SqliteStore, *, count: int = 300) -> tuple[float, float]:
    """p50 and p99 in ms of a commit beside a process that writes without a pause."""
    process, waits = beside(SATURATE, store.path), []
    try:
        await asyncio.sleep(1.0)
        for n in range(count):
            begun = time.perf_counter()
            await store.commit([Insert("log", entry("command", n))])
            waits.append((time.perf_counter() - begun) * 1000)
            await asyncio.sleep(0.005)
    finally:
        process.kill()
        process.wait()
    return statistics.median(waits), statistics.quantiles(waits, n=100)[98]


def plain_loop(folder: Path, *, seconds: float) -> float:
    """Commits per second of a plain sqlite3 loop in one thread, WAL and FULL: the single caller's bound."""
    db = sqlite3.connect(folder / "plain.db", isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute("CREATE TABLE t(id TEXT PRIMARY KEY, doc TEXT)")
    done, begun = 0, time.perf_counter()
    while time.perf_counter() - begun < seconds:
        db.execute("BEGIN IMMEDIATE")
        db.execute("INSERT INTO t VALUES(?,?)", (str(done), "x" * 350))
        db.execute("COMMIT")
        done += 1
    rate = done / (time.perf_counter() - begun)
    db.close()
    return rate


def blobs(folder: Path) -> tuple[float, float]:
    """Blobs of 100 kB stored per second: 32 together, and one by one."""
    files = BlobFiles(folder / "blobs")
    contents = [[os.urandom(100_000) for _ in range(32)] for _ in range(8)]
    begun = time.perf_counter()
    for part in contents[::2]:
        files.put_many(part)
    middle = time.perf_counter()
    for part in contents[1::2]:
        for data in part:
            files.put_bytes(data)
    return 128 / (middle - begun), 128 / (time.perf_counter() - middle)


def bound(name: str, ours: float, limit: float, unit: str) -> harness.Row:
    """A figure beside what it must reach."""
    kept = "must be at least" if unit.endswith("/s") else "must be at most"
    return harness.Row(name=name, ours=ours, peer=limit, peer_name=kept, unit=unit)


async def measure(folder: Path, *, seconds: float) -> list[harness.Row]:
    """Every figure, one after the other, on one file."""
    store = SqliteStore(folder / "store.db")
    await store.open([JOBS, LOG])
    plain = plain_loop(folder, seconds=seconds)
    single = await appends(store, 1, seconds=seconds)
    rows = [
        harness.Row(
            name="commits, 1 caller", ours=single, peer=plain, peer_name="sqlite3 loop", unit="commits/s"
        )
    ]
    for callers in (16, 256):
        rate = await appends(store, callers, seconds=seconds)
        rows.append(
            harness.Row(
                name=f"commits, {callers} callers",
                ours=rate,
                peer=plain,
                peer_name="sqlite3 loop",
                unit="commits/s",
            )
        )
    for size in (200, 1000):
        inserts, patches = await bulk(store, size, seconds=seconds)
        rows.append(bound(f"inserts, {size} in a call", inserts, 60_000, "ops/s"))
        rows.append(bound(f"guarded patches, {size} in a call", patches, 60_000, "ops/s"))
    rows.append(bound("claimed 32 at a time", await claims(store, seconds=seconds), 8_000, "jobs/s"))
    get_us, find_us = await reads(store)
    rows.append(bound("get of one document, p50", get_us, 150, "us"))
    rows.append(bound("find of 100 documents, p50", find_us, 2_000, "us"))
    rows.append(bound("doorbell between processes, p50", await doorbell(store), 5, "ms"))
    p50, p99 = await beside_saturation(store)
    rows.append(bound("commit beside a saturating process, p50", p50, 10, "ms"))
    rows.append(bound("commit beside a saturating process, p99", p99, 20, "ms"))
    await store.close()
    together, single_blobs = blobs(folder)
    rows.append(
        harness.Row(
            name="blobs, 32 together",
            ours=together,
            peer=single_blobs,
            peer_name="one by one",
            unit="blobs/s",
        )
    )
    return rows


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=2.0, help="for each rate")
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory(prefix="kernel-") as folder:
        harness.record("kernel", asyncio.run(measure(Path(folder), seconds=seconds)))


if __name__ == "__main__":
    main()
