"""Many tasks over several handles on one hot account: nothing is spent twice, whoever is first."""

import asyncio
import random
from collections import Counter

import pytest

from cauldron.domain.errors import Refused
from cauldron.domain.ledger import InsufficientPoints
from tests.contracts.conftest import STORES
from tests.ledger_world import ALL_TABLES, LedgerWorld

HANDLES, TASKS = 3, 8


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
        await worlds[0].ledger.grant("ann", 5_000, actor="op")
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
