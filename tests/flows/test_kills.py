"""Processes killed at every step boundary: nothing lost, nothing doubled, every counter exact.

SIGKILL is a crash of the process, not of the machine: what was written but not yet
synced survives it. See docs/explanation/reliability.md.
"""

import asyncio
import os
import random
import signal
import time

import pytest

from cauldron.domain.commands import PauseCook, ResumeCook
from cauldron.services.projecting import stream_of
from tests.flows.killable import OWNER_POINTS, WORKER_POINTS, Crew, Fate, at_named_points, preload
from tests.kitchen import Kitchen, engine, kitchen, problems

preload()


async def drive(crew: Crew, k: Kitchen, *, kills: int, pieces: int, within_s: float) -> list[str]:
    """Keep cooks going until so many processes have died, then let the living finish; returns the cooks."""
    cooks: list[str] = []
    with crew:
        async with asyncio.timeout(within_s):
            while crew.kills < kills:
                if not cooks or await is_nearly_done(k, cooks[-1]):
                    cooks.append(await k.start(pieces, cook_id=f"c{len(cooks) + 1}"))
                await asyncio.sleep(0.01)
                crew.look()
                if crew.rng.random() < 0.05:
                    crew.kill(crew.rng.choice(list(crew.roles)))
            crew.spare()
            for cook in cooks:
                while (await state_of(k, cook)) != "Completed":
                    await asyncio.sleep(0.02)
                    crew.look()
    return cooks


async def state_of(k: Kitchen, cook: str) -> str:
    [doc] = await k.store.get("cook_status", [cook])
    return doc["state"] if doc else ""


async def is_nearly_done(k: Kitchen, cook: str) -> bool:
    [doc] = await k.store.get("cook_status", [cook])
    return doc is not None and doc["queued"] < doc["targetSupply"] // 4


async def tidy(k: Kitchen) -> None:
    """What a running owner does within a second: fold what a killed one had folded but not finished."""
    owner = k.owner(lease_ms=1)
    for _ in range(6):
        await owner.round()
        await asyncio.sleep(0.1)


async def open_jobs(k: Kitchen, cook: str) -> dict[str, str]:
    statuses = await k.job_statuses(cook)
    return {job: status for job, status in statuses.items() if status not in ("done", "failed")}


@pytest.mark.parametrize(
    ("engine_name", "kills", "pieces", "within_s"),
    [
        ("sqlite", 110, 300, 60),
        ("mongo", 70, 300, 120),
        pytest.param("sqlite", 1_100, 1_500, 900, marks=pytest.mark.slow),
        pytest.param("mongo", 600, 1_000, 900, marks=pytest.mark.slow),
    ],
    ids=["a hundred", "some on MongoDB", "a thousand", "hundreds on MongoDB"],
)
def test_kills_at_every_step_boundary_lose_and_double_nothing(
    run, tmp_path, engine_name, kills, pieces, within_s
):
    """After the last death the rest takes as long as leases do, not as long as a server's transactions."""

    async def story():
        roles = {"w1": "worker", "w2": "worker", "w3": "worker", "o1": "owner", "o2": "owner"}
        crew = Crew(tmp_path, roles, random.Random(f"kills {kills}"), at_named_points)
        async with kitchen(tmp_path) as k:
            cooks = await drive(crew, k, kills=kills, pieces=pieces, within_s=within_s)
            await tidy(k)
            for cook in cooks:
                assert await problems(k, cook) == []
                assert await open_jobs(k, cook) == {}
        assert crew.kills >= kills
        missed = [p for p in (*WORKER_POINTS, *OWNER_POINTS) if not crew.by_point.get(p)]
        most = 0 if kills > 500 else 4 if kills > 100 else 10
        assert len(missed) <= most, f"never died at {missed}"
        assert "locked" not in crew.log()
        print(f"{crew.kills} kills, {len(cooks)} cooks, {dict(sorted(crew.by_point.items()))}")

    with engine(engine_name, tmp_path):
        run(story(), timeout_s=within_s + 120)


def test_the_same_checker_fails_when_the_commit_order_is_broken(run, tmp_path):
    """A control: an owner that finishes jobs before their events are appended loses pieces when killed."""

    def between(crew: Crew, name: str) -> Fate:
        return Fate("after:finish") if crew.roles[name] == "hasty owner" and not crew.kills else Fate()

    async def story():
        roles = {"w1": "worker", "o1": "hasty owner"}
        crew = Crew(tmp_path, roles, random.Random(1), between)
        async with kitchen(tmp_path) as k:
            await k.start(200)
            with crew:
                async with asyncio.timeout(40):
                    while not crew.kills or await open_jobs(k, "c1"):
                        await asyncio.sleep(0.02)
                        crew.look()
            over = {job for job, status in (await k.job_statuses()).items() if status == "done"}
            lost = [found.split()[1] for found in await problems(k) if found.endswith("is lost")]
            assert over & {f"c1.{piece}" for piece in lost}, "whatever is over has its event"

    run(story(), timeout_s=60)


@pytest.mark.parametrize(
    ("pieces", "cycles"),
    [(1_200, 20), pytest.param(15_000, 200, marks=pytest.mark.slow)],
    ids=["few", "many"],
)
def test_two_owners_stopped_and_continued_that_ignore_their_lost_lease_double_nothing(
    run, tmp_path, pieces, cycles
):
    async def story():
        roles = {"w1": "worker", "w2": "worker", "o1": "obstinate owner", "o2": "obstinate owner"}
        crew = Crew(tmp_path, roles, random.Random(2), lambda crew, name: Fate())
        async with kitchen(tmp_path) as k:
            await k.start(pieces)
            with crew:
                async with asyncio.timeout(600 if pieces > 2_000 else 90):
                    for turn in range(cycles):
                        name = ("o1", "o2")[turn % 2]
                        os.kill(crew.pid(name), signal.SIGSTOP)
                        await asyncio.sleep(crew.rng.uniform(0.005, 0.08))
                        os.kill(crew.pid(name), signal.SIGCONT)
                        await asyncio.sleep(crew.rng.uniform(0.01, 0.05))
                        crew.look()
                    while await state_of(k, "c1") != "Completed":
                        await asyncio.sleep(0.02)
                        crew.look()
            await tidy(k)
            assert await problems(k) == []
        refused = len(crew.log("refused").splitlines())
        print(f"{refused} refused appends")
        assert refused > 0, "they never met: the test shows nothing"

    run(story(), timeout_s=700)


@pytest.mark.parametrize(
    ("pieces", "commands"),
    [(2_500, 60), pytest.param(30_000, 600, marks=pytest.mark.slow)],
    ids=["few", "many"],
)
def test_a_server_two_workers_and_pauses_from_a_command_line_share_one_file(run, tmp_path, pieces, commands):
    """Nobody is ever told that the database is locked, and a command is answered soon.

    Alone the 99th percentile is below 20 ms. Here other tests run beside it: the few commands
    of the short form are allowed 1 s, the many of the long one 250 ms.
    """

    async def story():
        roles = {"server": "owner", "w1": "slow worker", "w2": "slow worker"}
        crew = Crew(tmp_path, roles, random.Random(3), lambda crew, name: Fate())
        taken_ms: list[float] = []
        async with kitchen(tmp_path) as k:
            await k.start(pieces)
            with crew:
                async with asyncio.timeout(600 if pieces > 5_000 else 90):
                    while await made(k) < 20:
                        await asyncio.sleep(0.02)
                    for turn in range(commands):
                        kind = ResumeCook if turn % 2 else PauseCook
                        began = time.perf_counter()
                        await k.cooks.handle(stream_of("c1"), kind(key=f"{turn}"), actor="ann")
                        taken_ms.append((time.perf_counter() - began) * 1000)
                        if turn % 2 == 0:
                            await k.cooking.pause("c1", actor="ann")
                            begun = len(crew.log("starts"))
                            running = await running_jobs(k)
                            await asyncio.sleep(0.01)
                            late = set(crew.log("starts")[begun:].split())
                            assert late <= running, "only what had been claimed before may still begin"
                        else:
                            await k.cooking.resume("c1", actor="ann")
                            await asyncio.sleep(0.02)
                        crew.look()
                    while await state_of(k, "c1") != "Completed":
                        await asyncio.sleep(0.02)
                        crew.look()
            await tidy(k)
            assert await problems(k) == []
        assert "locked" not in crew.log()
        taken_ms.sort()
        p99 = taken_ms[int(len(taken_ms) * 0.99) - 1]
        print(f"command: p50 {taken_ms[len(taken_ms) // 2]:.1f} ms, p99 {p99:.1f} ms")
        assert p99 < (250 if commands > 100 else 1_000)

    run(story(), timeout_s=700)


async def made(k: Kitchen) -> int:
    return (await k.load()).state.made


async def running_jobs(k: Kitchen) -> set[str]:
    return {job["_id"] for job in await k.store.find("cook_jobs", {"status": "running"}, order=("worker",))}
