"""A cook of 100,000 pieces: small to start, and taken over in time when its owner is killed."""

import asyncio
import random

import orjson
import pytest

from cauldron.persistence.tables import COOK_EVENTS, TABLES
from cauldron.ports.storage import Doc
from cauldron.services.projecting import stream_of
from tests.flows.killable import LEASE_MS, Crew, Fate, preload
from tests.kitchen import ENGINES, Kitchen, engine, kitchen, wall_ms

PIECES = 100_000
LOADED_MS = 1500  # what a machine shared with other tests may add

preload()


async def made(k: Kitchen) -> int:
    return (await k.load()).state.made


async def statuses(k: Kitchen) -> list[str]:
    """Of the jobs that are not over."""
    found: list[Doc] = []
    for where, order in (({"status": "queued"}, "rank"), ({"status": "running"}, "worker"),
                         ({"status": "settled"}, "parent")):  # fmt: skip
        found += await k.store.find("cook_jobs", where, order=(order,))
    return [job["status"] for job in found]


async def largest_bytes(k: Kitchen) -> int:
    """The largest document of all tables, as JSON."""
    largest = 0
    for table in TABLES:
        docs = await k.store.find(table.name, {}, limit=5000)
        largest = max([largest, *(len(orjson.dumps(doc)) for doc in docs)])
    return largest


@pytest.mark.parametrize("engine_name", ENGINES)
def test_a_large_cook_is_small_to_start_and_outlives_its_owner(run, tmp_path, engine_name):
    """While nobody owns it, workers settle what is queued; another owner takes over in lease + 1 s."""

    async def story():
        crew = Crew(tmp_path, {"w1": "slow worker", "o1": "owner"}, random.Random(3), lambda c, n: Fate())
        async with kitchen(tmp_path) as k:
            with crew:
                await k.start(PIECES)
                assert len(await k.store.find(COOK_EVENTS, {}, limit=10)) < 5
                await k.until(lambda: enough(k, 100), within_s=60)
                crew.kill("o1")
                await k.until(lambda: all_settled(k), within_s=60)
                took_s = await taken_over(crew, k)
                assert took_s * 1000 < LEASE_MS + 1000 + LOADED_MS
                before = await made(k)
                await k.until(lambda: enough(k, before + 200), within_s=60)
                assert await largest_bytes(k) < 1_000_000
                print(f"{engine_name}: taken over after {took_s * 1000:.0f} ms, lease {LEASE_MS} ms")

    with engine(engine_name, tmp_path):
        run(story(), timeout_s=240)


async def enough(k: Kitchen, count: int) -> bool:
    return await made(k) >= count


async def all_settled(k: Kitchen) -> bool:
    """Whether the workers have nothing more to do, and only an owner is missing."""
    return set(await statuses(k)) <= {"settled"}  # none at all, if the owner died before it queued more


async def holder(k: Kitchen) -> str | None:
    """Who owns the cook; None if nobody does."""
    [lease] = await k.store.get("leases", [stream_of("c1")])
    return None if lease is None or lease["until"] <= wall_ms() else lease["holder"]


async def taken_over(crew: Crew, k: Kitchen) -> float:
    """Seconds from the end of the owner until another one, which waited for that, has the cook."""
    crew.add("o2", "owner")
    await k.until(lambda: owned(k), within_s=60)
    crew.add("o3", "owner")
    await k.until(lambda: is_up(crew, "o3"), within_s=60)
    loop, before = asyncio.get_running_loop(), await holder(k)
    crew.kill("o2")
    killed = loop.time()
    await k.until(lambda: owned(k, other_than=before), within_s=60)
    return loop.time() - killed


async def owned(k: Kitchen, *, other_than: str | None = None) -> bool:
    return await holder(k) not in (None, other_than)


async def is_up(crew: Crew, name: str) -> bool:
    return crew.is_up(name)
