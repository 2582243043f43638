"""A worker that was stopped, lost its lease, and goes on: what it brings is refused."""

import asyncio
import os
import random
import signal

import pytest

from tests.flows.killable import Crew, Fate, preload
from tests.kitchen import ENGINES, Kitchen, engine, kitchen, problems

PIECES = 24

preload()


async def held(k: Kitchen) -> set[str]:
    return {job["_id"] for job in await k.store.find("cook_jobs", {"status": "running"}, order=("worker",))}


@pytest.mark.parametrize("engine_name", ENGINES)
def test_the_late_results_of_a_stopped_worker_are_refused(run, tmp_path, engine_name):
    async def story():
        roles = {"w1": "sleepy worker", "o1": "owner"}
        crew = Crew(tmp_path, roles, random.Random(4), lambda crew, name: Fate())
        async with kitchen(tmp_path) as k:
            await k.start(PIECES)
            with crew:
                taken = await stopped_with_jobs(crew, k)
                crew.add("w2", "sleepy worker")
                await k.until(lambda: made_by_others(k, taken))
                os.kill(crew.pid("w1"), signal.SIGCONT)
                await k.until_state("Completed")
                await asyncio.sleep(0.5)
            makers = {r["pieceId"]: r["inputs"]["by"] for r in await records(k)}
            assert {makers[name] for name in taken} == {crew.pid("w2")}
            starts = crew.log("starts").split()
            assert all(starts.count(name) >= 2 for name in taken), "they ran in both workers"
            assert await problems(k) == []

    with engine(engine_name, tmp_path):
        run(story(), timeout_s=90)


async def stopped_with_jobs(crew: Crew, k: Kitchen) -> set[str]:
    """Stop the worker while it runs some jobs; their ids."""

    async def runs_some() -> bool:
        return len(await held(k)) == 4

    await k.until(runs_some)
    while True:
        os.kill(crew.pid("w1"), signal.SIGSTOP)
        await asyncio.sleep(0.05)  # what it had sent has arrived
        if len(taken := await held(k)) == 4 and taken <= set(crew.log("starts").split()):
            return taken
        os.kill(crew.pid("w1"), signal.SIGCONT)
        await asyncio.sleep(0.05)


async def made_by_others(k: Kitchen, names: set[str]) -> bool:
    pieces = {record["pieceId"] for record in await records(k)}
    return names <= pieces


async def records(k: Kitchen) -> list[dict]:
    return await k.store.find("generationOutputs", {"cookId": "c1"}, order=("cookId",))
