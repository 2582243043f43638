"""Budgeted cooks on both engines: they rest at their cap, tell of it once, and go on with a higher one."""

import random
from dataclasses import replace

import pytest

from cauldron.bootstrap import TABLES
from cauldron.domain.commands import ResumeCook
from cauldron.services.projecting import stream_of
from tests.contracts.conftest import STORES
from tests.kitchen import Kitchen, Scripted, new_id, problems, step, success, wall_ms


@pytest.fixture(params=STORES)
def kitchens(request, tmp_path, run):
    engine = STORES[request.param](tmp_path)

    async def open_one() -> Kitchen:
        return Kitchen(await engine.open(*TABLES), tmp_path / "blobs")

    yield open_one
    run(engine.close())


def costing(least: int, most: int, *, seed: int = 1):
    """A script whose pieces cost so much, micro-USD."""
    rng = random.Random(seed)

    def made(job):
        return success(job) | {"steps": [step(job, costMicroUsd=rng.randint(least, most))]}

    return made


async def told(kitchen: Kitchen, cook_id: str = "c1") -> list[str]:
    found = []
    async for page in kitchen.streams.read(stream_of(cook_id)):
        found += [e["type"] for commit in page for e in commit["events"]]
    return [
        each for each in found if each.startswith(("Budget", "CookPaused", "CookResumed", "CookCompleted"))
    ]


def test_a_cook_pauses_at_its_cap_and_goes_on_with_a_higher_one(run, kitchens):
    async def story():
        k = await kitchens()
        await k.start(40, budget={"microUsd": 1000, "pieceMicroUsd": 100, "exact": True})
        async with k.running(k.owner(), k.worker(Scripted(costing(100, 100))), k.sweeper()):
            rests = await k.until_state("Paused")
            assert rests["pauseReason"] == "budget_exhausted"
            assert rests["generationCount"] == 10
            assert (rests["budget"]["spentUsd"], rests["budget"]["excessUsd"]) == (0.001, 0.0)
            higher = ResumeCook(key="r", budget={"microUsd": 2550})
            await k.give(higher)
            await k.until(lambda: at_least(k, 25))
            rests = await k.until_state("Paused")
            assert rests["generationCount"] == 25  # a 26th would cost 100, and 50 are left
            assert await told(k) == [
                *("BudgetReached", "BudgetReached", "BudgetExhausted", "CookPaused", "CookResumed"),
                *("BudgetReached", "BudgetReached", "BudgetExhausted", "CookPaused"),
            ]
            await k.give(ResumeCook(key="r2", budget={"microUsd": 10_000}))
            await k.until_state("Completed")
        assert await problems(k) == []

    run(story())


async def at_least(k: Kitchen, made: int) -> bool:
    return (await k.load()).state.made >= made


def test_a_cook_whose_costs_vary_is_never_charged_more_than_its_cap(run, kitchens):
    async def story():
        k = await kitchens()
        await k.start(200, budget={"microUsd": 5_000})
        async with k.running(k.owner(), k.worker(Scripted(costing(0, 200)), slots=8), k.sweeper()):
            rests = await k.until_state("Paused")
        cook = (await k.load()).state
        assert cook.spending.spent.micro_usd <= 5_000
        assert cook.spending.spent.micro_usd + cook.spending.excess.micro_usd == cook.cost_micro_usd
        assert cook.spending.spent.micro_usd >= 4_800  # no more than one piece's room is left
        assert rests["budget"]["told"] == [50, 80, 100]
        assert (await k.findings()).examples == []

    run(story())


def test_another_owner_goes_on_within_the_same_budget(run, kitchens):
    """The first owner dies with jobs in the queue; the second admits nothing beyond the cap."""

    async def story():
        k = await kitchens()
        await k.start(40, budget={"microUsd": 1000, "pieceMicroUsd": 100, "exact": True})
        first = k.owner(lease_ms=200)
        await first.round()  # admits ten, and is never heard of again
        other = replace_session(k)
        async with k.running(other.owner(), other.worker(Scripted(costing(100, 100))), other.sweeper()):
            await k.until_state("Paused")
        statuses = await k.job_statuses()
        assert len(statuses) == 10
        assert set(statuses.values()) == {"done"}

    run(story())


def replace_session(k: Kitchen) -> Kitchen:
    return replace(k, session=new_id(), clock=wall_ms)
