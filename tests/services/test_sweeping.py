"""The sweeper: lost workers are noticed, live ones left alone, whatever the clock does."""

import asyncio

from cauldron.domain.errors import Unavailable
from cauldron.persistence.jobs import Lease
from cauldron.ports.storage import Put
from cauldron.services.sweeping import Sweeper
from tests.kitchen import SteppingClock, kitchen
from tests.services.test_working import job

HOUR_MS = 3_600_000


async def beat(k, clock, worker="w1", *, lease_ms=1000):
    row = {"_id": worker, "beatAt": clock(), "until": clock() + lease_ms}
    await k.store.commit([Put("workers", row, None)])


async def held_job(k, clock, worker="w1", name="a", *, lease_ms=1000):
    await k.jobs.enqueue([job(name)])
    await beat(k, clock, worker, lease_ms=lease_ms)
    await k.jobs.claim(Lease(id=f"l-{worker}", worker=worker), limit=1, now=clock())


def test_a_silent_worker_loses_its_jobs_and_a_living_one_keeps_them(run, tmp_path):
    async def story():
        clock = SteppingClock()
        async with kitchen(tmp_path, clock=clock) as k:
            await held_job(k, clock, "w1", "a")
            await held_job(k, clock, "w2", "b")
            sweeper = Sweeper(k.store, [k.jobs], clock)
            clock.pass_ms(999)
            assert await sweeper.reap() == 0
            await beat(k, clock, "w2")
            clock.pass_ms(2)
            assert await sweeper.reap() == 1
            assert [(await k.jobs.get(n))["status"] for n in "ab"] == ["queued", "running"]

    run(story())


def test_a_worker_without_a_row_is_lost_but_its_row_is_kept_while_it_holds_jobs(run, tmp_path):
    async def story():
        clock = SteppingClock()
        async with kitchen(tmp_path, clock=clock) as k:
            await k.jobs.enqueue([job("a")])
            await k.jobs.claim(Lease(id="l", worker="ghost"), limit=1, now=clock())
            sweeper = Sweeper(k.store, [k.jobs], clock)
            assert await sweeper.reap() == 1
            await held_job(k, clock, "w1", "b")
            clock.pass_ms(HOUR_MS)
            assert await sweeper.reap() >= 1
            assert (await k.jobs.get("b"))["status"] == "queued", "taken back before it is forgotten"
            assert await k.store.find("workers", {}) == []

    run(story())


def test_a_row_of_a_worker_that_beats_again_is_not_forgotten(run, tmp_path):
    """Between the look and the write it came back."""

    async def story():
        clock = SteppingClock()

        async def tap(point):
            if point == "before:beat" and armed:
                await beat(other, clock)

        armed = False
        async with kitchen(tmp_path, clock=clock) as other, kitchen(tmp_path, clock=clock, tap=tap) as k:
            await beat(other, clock)
            clock.pass_ms(HOUR_MS)
            armed = True
            await Sweeper(k.store, [k.jobs], clock).reap()
            assert len(await k.store.find("workers", {})) == 1

    run(story())


def test_a_clock_set_back_does_not_keep_a_dead_worker_alive(run, tmp_path):
    async def story():
        clock = SteppingClock()
        async with kitchen(tmp_path, clock=clock) as k:
            await held_job(k, clock, lease_ms=200)
            clock.pass_ms(-HOUR_MS)  # now its lease seems to last for an hour
            sweeper = Sweeper(k.store, [k.jobs], clock)
            assert await sweeper.reap() == 0
            await asyncio.sleep(0.3)
            assert await sweeper.reap() == 1

    run(story())


def test_a_clock_set_back_does_not_kill_a_living_worker(run, tmp_path):
    async def story():
        clock = SteppingClock()
        async with kitchen(tmp_path, clock=clock) as k:
            await held_job(k, clock, lease_ms=200)
            sweeper = Sweeper(k.store, [k.jobs], clock)
            await sweeper.reap()
            clock.pass_ms(-HOUR_MS)
            for _ in range(6):
                await asyncio.sleep(0.06)
                clock.pass_ms(60)
                await beat(k, clock, lease_ms=200)
                assert await sweeper.reap() == 0

    run(story())


def test_many_sweepers_do_no_more_than_one(run, tmp_path):
    async def story():
        clock = SteppingClock()
        async with kitchen(tmp_path, clock=clock) as k, kitchen(tmp_path, clock=clock) as other:
            for n in range(5):
                await held_job(k, clock, f"w{n}", f"j{n}")
            clock.pass_ms(5_000)
            sweepers = [Sweeper(s.store, [s.jobs], clock) for s in (k, other) * 3]
            assert sum(await asyncio.gather(*(s.reap() for s in sweepers))) == 5
            assert {(await k.jobs.get(f"j{n}"))["lost"] for n in range(5)} == {1}

    run(story())


def test_it_goes_on_after_a_store_that_did_not_answer(run, tmp_path):
    async def story():
        failures = 0

        async def tap(point):
            nonlocal failures
            if point == "before:queued" and failures < 3:
                failures += 1
                raise Unavailable("no answer") if failures < 3 else RuntimeError("a bug")

        async with kitchen(tmp_path, tap=tap) as k:
            await k.jobs.enqueue([job("a")])
            await k.jobs.claim(Lease(id="l", worker="ghost"), limit=1, now=k.clock())
            async with k.running(k.sweeper()):
                await k.until(lambda: is_queued(k))
            assert failures == 3

    run(story())


async def is_queued(k):
    return (await k.jobs.get("a"))["status"] == "queued"
