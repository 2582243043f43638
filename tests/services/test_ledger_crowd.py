"""Many tasks and threads on one hot account: nothing is spent twice, whoever comes first."""

import asyncio
import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from cauldron.adapters.mongo import MongoStore
from cauldron.adapters.sqlite import SqliteStore
from cauldron.domain.errors import Refused
from cauldron.domain.ledger import InsufficientPoints, is_floored
from tests.contracts.conftest import STORES
from tests.ledger_world import ALL_TABLES, LedgerWorld

HANDLES, TASKS, THREADS = 3, 8, 8


@pytest.mark.parametrize("rounds", [6, pytest.param(60, marks=pytest.mark.slow)], ids=["few", "many"])
@pytest.mark.parametrize("name", STORES)
def test_a_crowd_on_one_account_never_spends_a_point_twice(run, tmp_path, name, rounds):
    engine = STORES[name](tmp_path)
    done: Counter[str] = Counter()

    async def visitor(worlds, number):
        rng = random.Random(f"{name} {number}")
        for turn in range(rounds):
            world, other = rng.sample(worlds, 2)
            try:
                hold = await world.open(f"run:{number}:{turn}", cap=rng.randint(1, 900))
            except InsufficientPoints:
                done["short"] += 1
                continue
            except Refused:
                done["contended"] += 1
                continue
            done["held"] += 1
            capture = ("draw", 1 + turn, rng.randint(0, 700), rng.randint(0, 500))
            await asyncio.gather(*(w.capture(hold, "1", capture) for w in (world, other)))
            await asyncio.gather(*(w.ledger.release(hold) for w in (world, other)))
            if rng.random() < 0.3 and capture[2]:
                await asyncio.gather(*(w.ledger.refund(f"cap:{hold}:1", actor="op") for w in (world, other)))
                done["refunded"] += 1

    async def story():
        worlds = [LedgerWorld(await engine.open(*ALL_TABLES), prefix=f"h{n}-") for n in range(HANDLES)]
        await worlds[0].ledger.grant("ann", 900 * rounds, actor="op")
        async with asyncio.TaskGroup() as group:
            for number in range(TASKS):
                group.create_task(visitor(worlds, number))
        streams = await worlds[0].streams()
        await asyncio.gather(*(world.books.catch_up(streams) for world in worlds))
        found = await worlds[0].check.verify()
        assert found.problems == []
        assert (await worlds[1].ledger.balance("ann"))["heldPts"] == 0
        print(f"{name}: {dict(done)}, {found.groups} groups")
        assert done["held"] > rounds
        assert done["short"] + done["refunded"] > 0
        await engine.close()

    run(story(), timeout_s=300)


@pytest.mark.parametrize("rounds", [5, pytest.param(60, marks=pytest.mark.slow)], ids=["few", "many"])
@pytest.mark.parametrize("name", STORES)
def test_eight_threads_on_one_account_are_one_after_the_other(run, tmp_path, name, rounds):
    """Each with a loop and a handle of its own; who reads the log meanwhile finds every group balanced."""
    engine = STORES[name](tmp_path)
    run(engine.open(*ALL_TABLES))
    over = threading.Event()

    async def visit(number):
        world, done = await opened(engine, f"t{number}-"), Counter()
        rng = random.Random(f"{name} {number}")
        for turn in range(rounds):
            done[await turn_of(world, f"{number}:{turn}", rng)] += 1
        await world.store.close()
        return done

    async def look():
        world, looks = await opened(engine, "look-"), 0
        while not over.is_set():
            async for commit in world.commits():
                for event in commit["events"]:
                    assert sum(milli for _, milli in event["data"].get("legs", ())) == 0, commit["_id"]
            looks += 1
        await world.store.close()
        return looks

    async def prepare():
        world = await opened(engine, "first-")
        await world.ledger.grant("ann", 900 * rounds, actor="op", grant_id="g")
        await world.store.close()

    async def check():
        world = await opened(engine, "last-")
        await world.books.catch_up(await world.streams())
        found = await world.check.verify()
        assert found.problems == []
        assert sum(found.sums.values()) == 0
        assert all(milli >= 0 for account, milli in found.sums.items() if is_floored(account))
        assert (await world.ledger.balance("ann"))["heldPts"] == 0
        await world.store.close()
        return found

    run(prepare())
    with ThreadPoolExecutor(THREADS + 1) as pool:
        looking = pool.submit(asyncio.run, look())
        visits = [pool.submit(asyncio.run, visit(number)) for number in range(THREADS)]
        try:
            done = sum((each.result(timeout=300) for each in visits), Counter())
        finally:
            over.set()
        looks = looking.result(timeout=60)
    found = run(check())
    run(engine.close())
    print(f"{name}: {dict(done)}, {found.groups} groups, looked at {looks} times")
    assert looks >= 1
    assert done["held"] > rounds
    assert done["short"] > 0


async def opened(engine, prefix):
    """A handle on the loop of this thread."""
    store = MongoStore(engine.url) if hasattr(engine, "url") else SqliteStore(engine.path)
    await store.open(ALL_TABLES)
    return LedgerWorld(store, prefix=prefix)


async def turn_of(world, natural, rng):
    """A hold of up to a fifth of the account, something captured from it, and its end."""
    try:
        hold = await world.open(f"run:{natural}", cap=rng.randint(1, 1_000))
    except InsufficientPoints:
        return "short"
    except Refused:
        return "contended"
    await world.capture(hold, "1", ("draw", 1, rng.randint(0, 700), rng.randint(0, 500)))
    await world.ledger.release(hold)
    return "held"
