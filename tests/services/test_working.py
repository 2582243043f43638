"""The worker: every job it claims ends, retries back off, drains lose nothing, results stand alone."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cauldron.domain.errors import StorageFull, Unavailable
from cauldron.persistence.jobs import JobStore
from cauldron.persistence.tables import CAST_JOBS
from cauldron.services.working import Worker, WorkerOptions, backoff_ms
from tests.kitchen import Scripted, failure, kitchen, new_id, success, wall_ms


def job(name: str, *, rank: int = 0, **more):
    return {
        "_id": name,
        "parent": "c1",
        "piece": 1,
        "rank": rank,
        "status": "queued",
        "attempt": 1,
        "attempts": 3,
        "deliveries": 0,
        **more,
    }


def worker(k, executor, *, queues=None, slots=4, lease_ms=15_000, uniform=lambda: 0.0, **options) -> Worker:
    return Worker(
        store=k.store,
        queues=queues or [k.jobs],
        executor=executor,
        clock=k.clock,
        new_id=new_id,
        uniform=uniform,
        options=WorkerOptions(slots=slots, lease_ms=lease_ms, idle_poll_s=0.1, **options),
    )


async def ended(k, *names, status="settled") -> bool:
    docs = await k.store.get("cook_jobs", names)
    return all(doc["status"] == status for doc in docs)


def test_what_is_queued_is_run_and_settled(run, tmp_path):
    async def story():
        async with kitchen(tmp_path) as k:
            names = [f"j{n}" for n in range(30)]
            await k.jobs.enqueue([job(n) for n in names])
            executor = Scripted()
            w = worker(k, executor)
            async with k.running(w):
                await k.until(lambda: ended(k, *names))
            assert sorted(executor.runs) == sorted(names)
            assert (w.counters.done, w.counters.failed, w.counters.lost) == (30, 0, 0)
            doc = await k.jobs.get("j0")
            assert doc["result"]["status"] == "success"

    run(story())


def test_no_more_jobs_run_at_once_than_there_are_slots(run, tmp_path):
    async def story():
        async with kitchen(tmp_path) as k:
            names = [f"j{n}" for n in range(20)]
            await k.jobs.enqueue([job(n) for n in names])
            now = most = 0

            class Counting:
                async def run(self, job):
                    nonlocal now, most
                    now += 1
                    most = max(most, now)
                    await asyncio.sleep(0.005)
                    now -= 1
                    return success(job)

            async with k.running(worker(k, Counting(), slots=3)):
                await k.until(lambda: ended(k, *names))
            assert most == 3

    run(story())


def test_a_job_queued_by_another_process_starts_at_once(run, tmp_path):
    async def story():
        async with kitchen(tmp_path) as k, kitchen(tmp_path) as other:
            executor = Scripted()
            w = worker(k, executor)
            w.options = WorkerOptions(slots=4, idle_poll_s=60)
            async with k.running(w):
                await asyncio.sleep(0.3)
                for n in range(3):
                    await other.jobs.enqueue([job(f"j{n}")])
                    await k.until(lambda n=n: ended(k, f"j{n}"), within_s=3)

    run(story())


def test_a_retryable_failure_is_tried_again_after_a_pause_and_keeps_its_history(run, tmp_path):
    async def story():
        async with kitchen(tmp_path) as k:
            await k.jobs.enqueue([job("a")])
            executor = Scripted(lambda j: success(j) if j["attempt"] == 3 else failure(j, retryable=True))
            w = worker(k, executor)
            async with k.running(w):
                await k.until(lambda: ended(k, "a", status="waiting"))
                doc = await k.jobs.get("a")
                assert doc["runAt"] - doc["updatedAt"] == 250
                await k.store.commit([])  # nothing wakes it but the sweeper
                assert executor.runs == ["a"]
                async with k.running(k.sweeper()):
                    await k.until(lambda: ended(k, "a"))
            doc = await k.jobs.get("a")
            assert (doc["attempt"], [s["attempt"] for s in doc["history"]]) == (3, [1, 2])
            assert w.counters.retried == 2

    run(story())


def test_after_the_last_attempt_a_failure_is_the_end(run, tmp_path):
    async def story():
        async with kitchen(tmp_path) as k:
            await k.jobs.enqueue([job("a", attempt=3), job("b")])
            executor = Scripted(lambda j: failure(j, retryable=j["_id"] == "a"))
            w = worker(k, executor)
            async with k.running(w):
                await k.until(lambda: ended(k, "a", "b"))
            assert w.counters.failed == 2
            assert executor.runs.count("b") == 1, "what is not retryable is not retried"

    run(story())


def test_no_room_for_an_output_costs_no_attempt_but_does_not_go_on_for_ever(run, tmp_path):
    async def story():
        async with kitchen(tmp_path) as k:
            await k.jobs.enqueue([job("a", attempts=1)])
            executor = Scripted(lambda j: failure(j, "storage_full", retryable=True))
            async with k.running(worker(k, executor)):
                for _ in range(6):
                    await k.until(lambda: ended_or_waiting(k))
                    doc = await k.jobs.get("a")
                    if doc["status"] == "waiting":
                        await k.jobs.wake_due(now=wall_ms() + 100_000)
                await k.until(lambda: ended(k, "a"))
            doc = await k.jobs.get("a")
            assert (doc["attempt"], len(executor.runs)) == (1, 6)
            assert doc["result"]["error"]["code"] == "storage_full"

    run(story())


async def ended_or_waiting(k):
    return (await k.jobs.get("a"))["status"] in ("waiting", "settled")


def test_an_executor_that_breaks_its_promise_ends_the_job_and_frees_the_slot(run, tmp_path):
    async def story():
        async with kitchen(tmp_path) as k:
            names = [f"j{n}" for n in range(6)]
            await k.jobs.enqueue([job(n) for n in names])

            def script(j):
                if j["_id"] in ("j0", "j1"):
                    raise RuntimeError("it crashed")
                return success(j)

            async with k.running(worker(k, Scripted(script), slots=2)):
                await k.until(lambda: ended(k, *names))
            doc = await k.jobs.get("j0")
            assert doc["result"]["error"]["code"] == "internal_error"
            assert "it crashed" in doc["result"]["error"]["message"]

    run(story())


def test_a_result_that_cannot_be_stored_does_not_take_its_neighbours_along(run, tmp_path):
    async def story():
        async with kitchen(tmp_path) as k:
            names = [f"j{n}" for n in range(6)]
            await k.jobs.enqueue([job(n) for n in names])

            def script(j):
                return success(j) | {"output": {"value": object()}} if j["_id"] == "j2" else success(j)

            async with k.running(worker(k, Scripted(script, takes_s=0.02), slots=6)):
                await k.until(lambda: ended(k, *names))
            statuses = [(await k.jobs.get(n))["result"]["status"] for n in names]
            assert statuses == ["success", "success", "failed", "success", "success", "success"]

    run(story())


@pytest.mark.parametrize("error", [StorageFull("no room"), Unavailable("no answer")])
@pytest.mark.parametrize("point", ["settle", "claim", "beat"])
def test_a_store_that_takes_nothing_for_a_while_loses_nothing(run, tmp_path, point, error):
    async def story():
        broken, refused = False, 0

        async def tap(at):
            nonlocal refused
            if broken and at == f"before:{point}":
                refused += 1
                raise error

        async with kitchen(tmp_path, tap=tap) as k, kitchen(tmp_path) as other:
            names = [f"j{n}" for n in range(12)]
            executor = Scripted(takes_s=0.01)
            w = worker(k, executor, lease_ms=300)
            async with k.running(w):
                await asyncio.sleep(0.05)
                broken = True
                await other.jobs.enqueue([job(n) for n in names])
                await k.until(lambda: has(refused >= 1))
                broken = False
                await k.until(lambda: ended(other, *names))
            assert sorted(executor.runs) == sorted(names), "nothing was run twice"

    run(story())


async def has(value: bool) -> bool:
    return value


def test_results_that_cannot_be_settled_do_not_pile_up(run, tmp_path):
    async def story():
        async def tap(at):
            if at == "before:settle":
                raise StorageFull("no room")

        async with kitchen(tmp_path, tap=tap) as k, kitchen(tmp_path) as other:
            await other.jobs.enqueue([job(f"j{n:03}", rank=n) for n in range(300)])
            executor = Scripted()
            async with k.running(worker(k, executor, slots=4)):
                await asyncio.sleep(2.5)
            assert len(executor.runs) <= 4 * 6 + 4

    run(story())


def test_draining_finishes_what_is_held_and_claims_no_more(run, tmp_path):
    async def story():
        async with kitchen(tmp_path) as k:
            names = [f"j{n}" for n in range(10)]
            await k.jobs.enqueue([job(n, rank=i) for i, n in enumerate(names)])
            executor = Scripted(takes_s=0.1)
            w = worker(k, executor, slots=3)
            task = asyncio.create_task(w.run())
            await k.until(lambda: has(len(executor.runs) == 3))
            w.drain()
            await asyncio.wait_for(task, 5)
            assert len(executor.runs) == 3
            docs = await k.store.get("cook_jobs", names)
            assert [d["status"] for d in docs] == ["settled"] * 3 + ["queued"] * 7
            assert await k.store.find("workers", {}) == []

    run(story())


def test_a_drain_waits_for_a_settling_that_is_slow(run, tmp_path):
    async def story():
        async def tap(at):
            if at == "before:settle":
                await asyncio.sleep(0.2)

        async with kitchen(tmp_path, tap=tap) as k:
            await k.jobs.enqueue([job("a")])
            w = worker(k, Scripted())
            task = asyncio.create_task(w.run())
            await asyncio.sleep(0.1)
            w.drain()
            await asyncio.wait_for(task, 5)
            doc = await k.jobs.get("a")
            assert (doc["status"], doc.get("lost", 0)) == ("settled", 0)

    run(story())


def test_a_worker_that_is_cancelled_gives_back_what_it_holds(run, tmp_path):
    async def story():
        async with kitchen(tmp_path) as k:
            await k.jobs.enqueue([job("a"), job("b")])
            executor = Scripted(takes_s=60)
            task = asyncio.create_task(worker(k, executor).run())
            await k.until(lambda: has(len(executor.runs) == 2))
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            for name in "ab":
                doc = await k.jobs.get(name)
                assert (doc["status"], doc["lost"]) == ("queued", 0)

    run(story())


def test_a_worker_whose_jobs_were_taken_counts_them_as_lost_and_settles_none(run, tmp_path):
    async def story():
        async with kitchen(tmp_path) as k:
            await k.jobs.enqueue([job("a")])
            go_on = asyncio.Event()

            class Slow:
                async def run(self, job):
                    await go_on.wait()
                    return failure(job) if slow.session == job["worker"] else success(job)

            slow = worker(k, Slow())
            async with k.running(slow):
                await k.until(lambda: ended(k, "a", status="running"))
                await k.jobs.reap(slow.session, now=wall_ms())
                slow.drain()
                async with k.running(worker(k, Scripted())):
                    await k.until(lambda: ended(k, "a"))
                go_on.set()
                await k.until(lambda: has(slow.counters.lost == 1))
            assert (await k.jobs.get("a"))["result"]["status"] == "success"

    run(story())


def test_a_job_that_comes_back_to_the_same_worker_takes_a_slot_of_its_own(run, tmp_path):
    async def story():
        async with kitchen(tmp_path) as k:
            await k.jobs.enqueue([job("a")])
            gates = [asyncio.Event(), asyncio.Event()]
            runs = 0

            class Slow:
                async def run(self, job):
                    nonlocal runs
                    runs += 1
                    await gates[runs - 1].wait()
                    return success(job)

            w = worker(k, Slow(), slots=4)
            async with k.running(w):
                await k.until(lambda: has(runs == 1))
                await k.jobs.reap(w.session, now=wall_ms())  # it slept, and was taken for dead
                await k.until(lambda: has(runs == 2))
                assert (w.running, w._free()) == (["a", "a"], 2)
                gates[0].set()
                await k.until(lambda: has(w.counters.lost == 1))
                assert (w.running, w._free()) == (["a"], 3)
                gates[1].set()
                await k.until(lambda: ended(k, "a"))

    run(story())


def test_a_long_queue_does_not_starve_the_other(run, tmp_path):
    async def story():
        async with kitchen(tmp_path) as k:
            casts = JobStore(k.store, CAST_JOBS)
            await k.jobs.enqueue([job(f"j{n:04}", rank=n) for n in range(400)])
            executor = Scripted(takes_s=0.003)
            async with k.running(worker(k, executor, queues=[k.jobs, casts], slots=2)):
                await k.until(lambda: has(len(executor.runs) > 20))
                await casts.enqueue([job("cast")])
                began = len(executor.runs)
                await k.until(lambda: has("cast" in executor.runs))
                assert executor.runs.index("cast") - began < 30

    run(story())


def test_it_beats_and_says_what_it_does(run, tmp_path):
    async def story():
        async with kitchen(tmp_path) as k:
            await k.jobs.enqueue([job("a")])
            executor = Scripted(takes_s=60)
            w = worker(k, executor, lease_ms=150)
            async with k.running(w):
                await k.until(lambda: has(executor.runs == ["a"]))
                [first] = await k.store.find("workers", {})
                await asyncio.sleep(0.25)
                [later] = await k.store.find("workers", {})
                assert later["until"] > first["until"]
                assert later["running"] == ["a"]

    run(story())


def test_a_part_that_breaks_ends_the_worker_with_its_reason(run, tmp_path):
    async def story():
        async def tap(at):
            if at == "before:claim" and broken:
                raise RuntimeError("a bug")

        broken = False
        async with kitchen(tmp_path, tap=tap) as k:
            task = asyncio.create_task(worker(k, Scripted()).run())
            await asyncio.sleep(0.05)
            broken = True
            with pytest.raises(RuntimeError, match="a bug"):
                await asyncio.wait_for(task, 5)

    run(story())


@given(attempt=st.integers(1, 60), uniform=st.floats(0, 1, exclude_max=True))
def test_back_off_grows_is_jittered_and_bounded(attempt, uniform):
    ceiling = min(60_000, 500 * 2 ** (attempt - 1))
    assert ceiling // 2 <= backoff_ms(attempt, uniform) <= ceiling
