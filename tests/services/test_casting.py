"""Casts: started once per key, ended once, their records never go backwards, nothing is finished unfolded."""

import asyncio

import pytest

from cauldron.adapters.fs import FsBlobs
from cauldron.domain.errors import InvalidMany, NotFound, StorageFull, Unavailable
from cauldron.domain.snapshot import snapshot_of_tool
from cauldron.persistence.jobs import JobStore, Lease
from cauldron.persistence.leases import Leases
from cauldron.persistence.streams import Streams
from cauldron.persistence.tables import CAST_EVENTS, CAST_JOBS
from cauldron.services.casting import DECIDER, Caller, Casting, stream_of
from cauldron.services.dispatch import Dispatcher
from cauldron.services.ledger import Ledger
from tests.kitchen import failure, kitchen, new_id, success, wall_ms
from tests.services.test_execution import PAINT

ANN = Caller(account="ann")
SNAPSHOT = snapshot_of_tool(PAINT)


def casting(k) -> Casting:
    return Casting(
        store=k.store,
        casts=Dispatcher(Streams(k.store, CAST_EVENTS), DECIDER, clock=wall_ms),
        jobs=JobStore(k.store, CAST_JOBS),
        blobs=FsBlobs(k.blobs),
        charging=Ledger(k.store, clock=wall_ms, new_id=new_id),
        leases=Leases(k.store, holder=new_id(), clock=wall_ms),
        clock=wall_ms,
        new_id=new_id,
    )


async def work(c: Casting, script=success) -> list[str]:
    lease = Lease(id=new_id(), worker="w")
    docs = await c.jobs.claim(lease, limit=9, now=wall_ms())
    results = {d["_id"]: script(d) | {"outputs": {"note": "x"}} for d in docs}
    return await c.jobs.settle(results, lease=lease, now=wall_ms())


async def begin(c: Casting, *, caller=ANN, key=None) -> str:
    answer = await c.start(SNAPSHOT, {"text": "hi"}, caller=caller, key=key)
    return answer["runId"]


def test_a_cast_runs_to_its_end(run, tmp_path):
    async def story():
        async with kitchen(tmp_path) as k:
            c = casting(k)
            cast = await begin(c)
            assert (await c.get(cast))["status"] == "running"
            await work(c)
            assert await c.fold_settled() == 1
            record = await c.get(cast)
            assert (record["status"], record["outputs"], record["error"]) == (
                "completed",
                {"note": "x"},
                None,
            )
            assert record["generationCount"] == 1
            [output] = await k.store.get("generationOutputs", record["generationIds"])
            assert (output["castId"], output["cookId"], output["owner"]) == (cast, None, "ann")
            assert (await c.jobs.get(cast))["status"] == "done"

    run(story())


def test_a_failed_cast_says_why(run, tmp_path):
    async def story():
        async with kitchen(tmp_path) as k:
            c = casting(k)
            cast = await begin(c)
            await work(c, failure)
            await c.fold_settled()
            record = await c.get(cast)
            assert (record["status"], record["error"]["code"]) == ("failed", "tool_error")
            assert (await c.jobs.get(cast))["status"] == "failed"

    run(story())


def test_the_same_key_is_the_same_run_for_one_account_and_another_for_the_next(run, tmp_path):
    async def story():
        async with kitchen(tmp_path) as k, kitchen(tmp_path) as other:
            one, two = casting(k), casting(other)
            first = await begin(one, key="k1")
            assert await begin(two, key="k1") == first
            await work(one)
            await one.fold_settled()
            assert await begin(one, key="k1") == first, "also after its end"
            assert (await one.get(first))["status"] == "completed"
            assert await begin(two, caller=Caller(account="bob"), key="k1") != first
            assert await begin(two, key="end:" + first) != first, "a caller cannot speak for the machinery"

    run(story())


def test_simultaneous_starts_with_one_key_are_one_run(run, tmp_path):
    async def story():
        async with kitchen(tmp_path) as k, kitchen(tmp_path) as other:
            both = [casting(k), casting(other)] * 4
            runs = await asyncio.gather(*(begin(c, key="k1") for c in both))
            assert len(set(runs)) == 1
            assert len(await work(both[0])) == 1

    run(story())


def test_inputs_that_do_not_fit_start_nothing(run, tmp_path):
    async def story():
        async with kitchen(tmp_path) as k:
            c = casting(k)
            with pytest.raises(InvalidMany):
                await c.start(SNAPSHOT, {"text": 7}, caller=ANN)
            assert await work(c) == []

    run(story())


@pytest.mark.parametrize("point", ["cast_events", "project"])
@pytest.mark.parametrize("error", [StorageFull("no room"), Unavailable("no answer")])
def test_a_result_that_could_not_be_folded_is_not_thrown_away(run, tmp_path, point, error):
    async def story():
        broken = False

        async def tap(at):
            if broken and at == f"before:{point}":
                raise error

        async with kitchen(tmp_path, tap=tap) as k:
            c = casting(k)
            cast = await begin(c)
            await work(c)
            broken = True
            with pytest.raises(type(error)):
                await c.fold_settled()
            assert (await c.jobs.get(cast))["status"] == "settled"
            broken = False
            await c.fold_settled()
            record = await c.get(cast)
            assert (record["status"], record["generationCount"]) == ("completed", 1)

    run(story())


def test_it_folds_on_after_a_store_that_did_not_answer(run, tmp_path):
    async def story():
        refusals = 0

        async def tap(at):
            nonlocal refusals
            if at == "before:cast_events" and armed and refusals < 2:
                refusals += 1
                raise StorageFull("no room") if refusals == 1 else RuntimeError("a bug")

        armed = False
        async with kitchen(tmp_path, tap=tap) as k:
            c = casting(k)
            cast = await begin(c)
            await work(c)
            armed = True

            async def ended():
                return (await c.get(cast))["status"] == "completed"

            async with k.running(c):
                await k.until(ended)
            assert refusals == 2

    run(story())


def test_a_slow_projection_does_not_bring_a_cast_back_to_running(run, tmp_path):
    async def story():
        asleep, wake = asyncio.Event(), asyncio.Event()

        async def tap(at):
            if at == "before:casts" and not asleep.is_set():
                asleep.set()
                await wake.wait()

        async with kitchen(tmp_path) as other, kitchen(tmp_path, tap=tap) as k:
            slow, quick = casting(k), casting(other)
            starting = asyncio.create_task(begin(slow))
            await asyncio.wait_for(asleep.wait(), 5)
            [cast] = await work(quick)
            await quick.fold_settled()
            assert (await quick.get(cast))["status"] == "completed"
            wake.set()
            assert await starting == cast
            assert (await quick.get(cast))["status"] == "completed"

    run(story())


def test_a_cast_whose_starter_died_before_queueing_is_queued_by_a_follower(run, tmp_path):
    async def story():
        async def tap(at):
            if at == "before:cast_jobs":
                raise ConnectionError("killed")

        async with kitchen(tmp_path) as other, kitchen(tmp_path, tap=tap) as k:
            with pytest.raises(ConnectionError):
                await begin(casting(k))
            c = casting(other)

            async def queued():
                return bool(await other.store.find(CAST_JOBS, {"status": "queued"}, order=("rank",)))

            async with other.running(c):
                await other.until(queued)
                [cast] = await work(c)

                async def ended():
                    return (await c.get(cast))["status"] == "completed"

                await other.until(ended)

    run(story())


def test_a_cancelled_cast_is_not_begun_and_its_late_end_changes_nothing(run, tmp_path):
    async def story():
        async with kitchen(tmp_path) as k:
            c = casting(k)
            waiting = await begin(c)
            await c.cancel(waiting, actor="ann")
            await c.cancel(waiting, actor="ann")
            assert await work(c) == []
            running = await begin(c)
            lease = Lease(id="l", worker="w")
            [doc] = await c.jobs.claim(lease, limit=9, now=wall_ms())
            await c.cancel(running, actor="ann")
            await c.jobs.settle({running: success(doc) | {"outputs": {}}}, lease=lease, now=wall_ms())
            await c.fold_settled()
            assert [(await c.get(n))["status"] for n in (waiting, running)] == ["cancelled", "cancelled"]
            assert (await c.jobs.get(running))["status"] == "done"

    run(story())


def test_many_processes_fold_the_same_casts_once(run, tmp_path):
    async def story():
        async with kitchen(tmp_path) as k, kitchen(tmp_path) as other:
            both = [casting(k), casting(other)]
            names = [await begin(both[0]) for _ in range(8)]
            await work(both[0])
            await asyncio.gather(*(c.fold_settled() for c in both * 3))
            for name in names:
                assert (await both[0].get(name))["status"] == "completed"
                assert len(await both[0].casts.streams.tail(stream_of(name), after=0)) == 2
            outputs = await k.store.find("generationOutputs", {"castId": names[0]}, order=("castId",))
            assert len(outputs) == 1

    run(story())


def test_a_cast_that_does_not_exist(run, tmp_path):
    async def story():
        async with kitchen(tmp_path) as k:
            with pytest.raises(NotFound):
                await casting(k).get("nobody")
            with pytest.raises(NotFound):
                await casting(k).cancel("nobody", actor="ann")

    run(story())
