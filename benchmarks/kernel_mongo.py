"""The storage kernel on a one-node replica set, majority and journaled: commits, claims, reads, following.

python -m benchmarks.kernel_mongo
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

from benchmarks import harness
from cauldron.adapters.mongo import MongoStore
from cauldron.ports.storage import Claim, Index, Insert, Patch, Table
from tests.mongod import database, server

JOBS = Table(
    name="jobs",
    indexes=(
        Index(fields=("rank",), where={"status": "queued"}),
        Index(fields=("worker",), where={"status": "running"}),
    ),
)
LOG = Table(name="log", feed=True, indexes=(Index(fields=("stream", "seq"), unique=True),))
PAD = "x" * 200


def job(n: int) -> Insert:
    """A job of about 350 bytes."""
    return Insert(
        "jobs", {"_id": f"j{n:08}", "status": "queued", "rank": n, "worker": None, "pad": PAD, "tries": 0}
    )


async def rate(count: int, callers: int, work: Callable[[int], Awaitable[object]]) -> float:
    """Calls per second of ``callers`` at once, ``count`` in all."""
    numbers = iter(range(count))

    async def caller() -> None:
        for n in numbers:
            await work(n)

    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(callers)))
    return count / (time.perf_counter() - began)


async def measure(url: str) -> list[harness.Row]:
    """Every figure, one after the other on one store."""
    store = MongoStore(url)
    await store.open([JOBS, LOG])
    rows: list[harness.Row] = []

    def row(name: str, ours: float, *, peer: float | None = None, unit: str = "/s") -> None:
        rows.append(harness.Row(name=name, ours=ours, peer=peer, peer_name="one caller", unit=unit))

    at, single = 0, 0.0
    for callers, count in ((1, 500), (16, 4000), (256, 20_000)):
        first = at
        figure = await rate(count, callers, lambda n, first=first: store.commit([job(first + n)]))
        row(f"inserts, {callers} callers", figure, peer=single or None)
        single, at = single or figure, at + count
    for callers, count in ((1, 500), (16, 4000), (256, 20_000)):
        figure = await rate(
            count,
            callers,
            lambda n: store.commit([Patch("jobs", f"j{n:08}", {"note": n}, {"status": "queued"})]),
        )
        row(f"guarded patches, {callers} callers", figure)
    for limit, calls in ((1, 400), (32, 200)):
        claim = Claim(
            table="jobs",
            where={"status": "queued"},
            order=("rank",),
            set={"status": "running", "worker": "w"},
            limit=limit,
            increment=("tries",),
        )
        row(
            f"jobs claimed, {limit} at a time",
            limit * await rate(calls, 1, lambda _, c=claim: store.claim(c)),
        )
    row(
        "documents found, pages of 1000",
        1000 * await rate(20, 1, lambda _: store.find("jobs", {"status": "queued"}, order=("rank",))),
    )
    p50_ms, p99_ms = await delays(store)
    row("commit to a feed's reader, p50", p50_ms, unit="ms")
    row("commit to a feed's reader, p99", p99_ms, unit="ms")
    await store.close()
    return rows


async def delays(store: MongoStore, count: int = 300) -> tuple[float, float]:
    """From before a commit to its arrival at a reader of the feed, at 50/s: p50 and p99 in ms."""
    feed, took = store.watch("log"), []
    for seq in range(count):
        began = time.perf_counter()
        await store.commit([Insert("log", {"_id": f"s:{seq:06}", "stream": "s", "seq": seq})])
        await anext(feed)
        took.append((time.perf_counter() - began) * 1000)
        await asyncio.sleep(0.02)
    took.sort()
    return took[count // 2], took[count * 99 // 100]


def main() -> None:
    """Measure and record."""
    with server() as nodes, database(nodes) as url:
        rows = asyncio.run(measure(url))
    harness.record("kernel_mongo", rows)


if __name__ == "__main__":
    main()
