"""SpellStats on both engines: refreshed by one process when it is time, and on demand."""

import asyncio

import pytest

from cauldron.bootstrap import TABLES
from cauldron.domain.times import iso
from cauldron.persistence.leases import Leases
from cauldron.ports.storage import Insert
from cauldron.services.spell_stats import EVERY_MS, SpellStats
from tests.contracts.conftest import STORES
from tests.kitchen import SteppingClock, new_id


@pytest.fixture(params=STORES)
def place(request, tmp_path, run):
    """(store, clock); the clock stands still."""
    engine = STORES[request.param](tmp_path)
    yield run(engine.open(*TABLES)), SteppingClock()
    run(engine.close())


def stats_of(place) -> SpellStats:
    store, clock = place
    return SpellStats(store, Leases(store, holder=new_id(), clock=clock), clock)


async def add(
    place, *, spell: str = "s1", tool: str = "Paint", times: int = 1, ms: int = 100, **more
) -> None:
    store, clock = place
    ops = []
    for _ in range(times):
        clock.pass_ms(1)
        start, end = iso(clock()), iso(clock() + ms)
        ids = {"_id": new_id(), "environment": "live", "owner": "ann"}
        ops.append(
            Insert(
                "generationOutputs",
                ids
                | {"toolDisplayName": tool, "toolId": tool.lower(), "toolVersion": "1.0.0"}
                | {"status": "success", "requestTimestamp": start, "durationMs": ms, "inputs": {}}
                | {"costUsd": 0.001, "costSource": "tariff", "pointsSpent": 1}
                | more,
            )
        )
        cast = {"spellId": spell, "status": "completed", "startedAt": start, "completedAt": end}
        ops.append(Insert("casts", ids | {"_id": new_id(), "pointsSpent": 2, "costUsd": 0.001} | cast | more))
    await store.commit(ops)


def test_every_tool_and_spell_is_refreshed(run, place):
    async def story():
        await add(place, spell="s1", tool="Paint", times=3)
        await add(place, spell="s2", tool="Carve", times=2, ms=500)
        stats = stats_of(place)
        assert await stats.refresh() == 4
        assert (await stats.tool("paint", "1.0.0"))["runtimeMs"]["p50"] == 100
        found = await stats.spell("s2")
        assert (found["avgRuntimeMsCached"], found["avgCostPtsCached"], found["runs"]) == (500, 2.0, 2)
        assert found["statsAsOf"] == iso(place[1]())

    run(story())


def test_a_spell_is_worked_out_when_it_is_first_asked_for(run, place):
    async def story():
        stats = stats_of(place)
        assert (await stats.spell("nobody"))["runs"] == 0
        await add(place, spell="s9")
        assert (await stats.spell("nobody"))["runs"] == 0
        assert (await stats.spell("s9"))["runs"] == 1

    run(story())


def test_figures_stay_as_they_are_until_somebody_asks_for_new_ones(run, place):
    async def story():
        stats = stats_of(place)
        await add(place)
        first = await stats.spell("s1")
        await add(place, times=4)
        assert await stats.spell("s1") == first
        await stats.invalidate("s1")
        again = await stats.spell("s1")
        assert (again["runs"], again["statsAsOf"] > first["statsAsOf"]) == (5, True)

    run(story())


def test_runs_of_tests_do_not_count(run, place):
    async def story():
        stats = stats_of(place)
        await add(place, environment="test")
        await stats.refresh()
        assert (await stats.spell("s1"))["runs"] == 0
        assert await stats.tool("paint", "1.0.0") is None

    run(story())


def test_one_process_refreshes_when_a_quarter_of_an_hour_has_passed(run, place):
    async def story():
        store, clock = place
        await add(place)
        two = [stats_of(place), stats_of(place)]

        async def refreshed() -> int:
            [kept] = await store.get("spell_stats", ["refreshed"])
            return kept["at"] if kept else 0

        tasks = [asyncio.create_task(each.run()) for each in two]
        async with asyncio.timeout(10):
            while not await refreshed():
                await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        first = await refreshed()
        assert not await two[0]._is_due()
        clock.pass_ms(EVERY_MS)
        assert await two[0]._is_due()
        assert first < clock()

    run(story())
