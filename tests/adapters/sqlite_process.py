"""What other processes do to a store in the tests: ``python sqlite_process.py <mode> <file> …``."""

import asyncio
import os
import sys
import time
from pathlib import Path

from cauldron.adapters.sqlite import SqliteStore
from cauldron.ports.storage import Claim, Index, Insert, Table

TABLES = (
    Table(name="jobs", indexes=(Index(fields=("rank",), where={"status": "queued"}),)),
    Table(name="log", feed=True, indexes=(Index(fields=("stream", "seq"), unique=True),)),
)


async def opened(path: str | Path) -> SqliteStore:
    store = SqliteStore(Path(path))
    await store.open(TABLES)
    return store


def say(word: str) -> None:
    """A line in one write, so that a kill leaves it out or whole."""
    os.write(sys.stdout.fileno(), f"{word}\n".encode())


async def insert(store: SqliteStore, who: str, count: str) -> None:
    """``count`` jobs and log entries from 4 tasks, each named once it is acknowledged."""

    async def task(t: int) -> None:
        for n in range(int(count) // 4):
            name = f"{who}:{t}:{n:05}"
            await store.commit(
                [
                    Insert("jobs", {"_id": name, "status": "queued", "rank": n}),
                    Insert("log", {"_id": name, "stream": f"{who}:{t}", "seq": n}),
                ]
            )
            say(name)

    await asyncio.gather(*(task(t) for t in range(4)))


async def claim(store: SqliteStore, who: str, until: str) -> None:
    """Claim jobs and name them until ``until`` have been claimed by everybody together."""
    while True:
        docs = await store.claim(
            Claim(
                table="jobs",
                where={"status": "queued"},
                order=("rank",),
                set={"status": "taken", "by": who},
                limit=5,
            )
        )
        for doc in docs:
            say(doc["_id"])
        if not docs:
            if len([d for d in await store.find("jobs", {}, limit=100_000) if "by" in d]) >= int(until):
                return
            await asyncio.sleep(0.005)


async def saturate(store: SqliteStore, who: str) -> None:
    """Commit back to back, for ever, from so many tasks that the writer never rests."""

    async def task(t: int) -> None:
        n = 0
        while True:
            ops = [Insert("jobs", {"_id": f"{who}:{t}:{n}:{k}", "status": "x", "rank": k}) for k in range(63)]
            await store.commit([*ops, Insert("log", {"_id": f"{who}:{t}:{n}", "stream": f"{t}", "seq": n})])
            n += 1

    tasks = [asyncio.create_task(task(t)) for t in range(16)]
    await asyncio.sleep(0.1)
    say("ready")
    await asyncio.gather(*tasks)


async def ring(store: SqliteStore, who: str, count: str) -> None:
    """A log entry every 20 ms with the time at which its commit was acknowledged before."""
    for n in range(int(count)):
        stamp = time.monotonic_ns()
        await store.commit([Insert("log", {"_id": f"{who}:{n}", "stream": who, "seq": n, "at": stamp})])
        await asyncio.sleep(0.02)


async def main(mode: str, path: str, *rest: str) -> None:
    store = await opened(path)
    await {"insert": insert, "claim": claim, "saturate": saturate, "ring": ring}[mode](store, *rest)
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
