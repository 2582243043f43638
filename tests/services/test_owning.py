"""The owner of a cook: it fills the queue, folds what was settled, pauses, and keeps cooks apart."""

import asyncio

import pytest

from cauldron.domain.commands import PauseCook
from cauldron.domain.cook_state import State
from cauldron.domain.errors import StorageFull
from cauldron.persistence.jobs import Lease
from cauldron.services.projecting import stream_of
from tests.domain.cook_samples import BREAK, PAUSE, RESUME, STOP, refill, review
from tests.kitchen import Scripted, Traits, failure, kitchen, new_id, problems, success, wall_ms

LEASE = Lease(id="l1", worker="w1")


async def settle_some(k, limit=100, script=success, lease=None) -> list[str]:
    """Claim and settle jobs, as a worker would."""
    lease = lease or Lease(id=new_id(), worker="w1")
    docs = await k.jobs.claim(lease, limit=limit, now=wall_ms())
    return await k.jobs.settle({d["_id"]: script(d) for d in docs}, lease=lease, now=wall_ms())


async def rounds(owner, count: int = 8) -> None:
    for _ in range(count):
        await owner.round()


def test_a_cook_is_made_to_its_end(run, tmp_path):
    async def story():
        async with kitchen(tmp_path) as k:
            await k.start(250)
            async with k.running(k.owner(), k.worker(Scripted(), slots=8), k.sweeper()):
                status = await k.until_state("Completed")
            assert (status["generationCount"], status["queued"], status["failed"]) == (250, 0, 0)
            assert await problems(k) == []

    run(story())


def test_the_queue_holds_a_window_and_no_more(run, tmp_path):
    async def story():
        async with kitchen(tmp_path) as k:
            await k.start(500)
            owner = k.owner(window=40)
            await rounds(owner)
            assert len(await k.job_statuses()) == 40
            await settle_some(k, limit=10)
            await rounds(owner)
            assert len(await k.job_statuses()) == 40, "filled again when half has been made"
            await settle_some(k, limit=10)
            await rounds(owner)
            assert len(await k.job_statuses()) == 60

    run(story())


def test_a_new_owner_queues_exactly_what_is_missing(run, tmp_path):
    async def story():
        async with kitchen(tmp_path) as k:
            await k.start(30)
            await rounds(k.owner(window=10, lease_ms=1), 3)
            await settle_some(k, limit=4)
            await asyncio.sleep(0.01)
            await rounds(k.owner(window=50, lease_ms=1))
            statuses = await k.job_statuses()
            assert len(statuses) == 30
            assert sorted(statuses.values()) == ["done"] * 4 + ["queued"] * 26

    run(story())


def test_one_that_cannot_have_the_lease_leaves_the_cook_alone(run, tmp_path):
    async def story():
        async with kitchen(tmp_path) as k, kitchen(tmp_path) as other:
            await k.start(30)
            await rounds(k.owner(), 2)
            await settle_some(k)
            await rounds(other.owner())
            assert (await k.load()).seq == 1
            assert set((await k.job_statuses()).values()) == {"settled"}

    run(story())


def test_a_worker_that_reports_twice_makes_one_piece(run, tmp_path):
    """The commit is there, the job is still settled: as after a crash between the two."""

    async def story():
        crashed = False

        async def tap(point):
            nonlocal crashed
            if point == "before:finish" and not crashed:
                crashed = True
                raise StorageFull("no room")

        async with kitchen(tmp_path, tap=tap) as k:
            await k.start(3)
            owner = k.owner()
            await rounds(owner, 2)
            await settle_some(k)
            with pytest.raises(StorageFull):
                await rounds(owner)
            assert set((await k.job_statuses()).values()) == {"settled"}
            await rounds(owner)
            assert set((await k.job_statuses()).values()) == {"done"}
            assert (await k.load()).state.made == 3
            assert await problems(k) == []

    run(story())


def test_a_refill_after_the_end_is_made_like_the_rest(run, tmp_path):
    async def story():
        async with kitchen(tmp_path) as k:
            await k.start(5)
            async with k.running(k.owner(), k.worker(Scripted())):
                await k.until_state("Completed")
                await k.give(review("reject", 2, 4), refill(2, 4))
                await k.until_state("Cooking")
                status = await k.until_state("Completed")
            assert (status["generationCount"], status["rejected"], status["toRefill"]) == (7, 2, 0)
            pieces = await k.store.find("pieces", {"cookId": "c1"}, order=("cookId", "number"))
            assert [(p["number"], p["slot"]) for p in pieces[5:]] == [(6, 1), (7, 3)]
            assert [p["traits"]["Plan"] for p in pieces[4:]] == ["blob0", "blob-h1", "blob-h1"]
            assert await problems(k) == []

    run(story())


def test_a_stopped_cook_goes_on_when_resumed(run, tmp_path):
    async def story():
        async with kitchen(tmp_path) as k:
            await k.start(60)
            executor = Scripted(takes_s=0.005)
            async with k.running(k.owner(window=20), k.worker(executor)):
                await k.until(lambda: has(len(executor.runs) >= 10))
                await k.cooking.stop("c1", actor="ann", reason="enough")
                runs = len(executor.runs)
                await asyncio.sleep(0.4)
                assert len(executor.runs) == runs
                doc = await k.cooking.status("c1")
                assert (doc["state"], doc["running"], doc["generationCount"]) == ("Stopped", 0, runs)
                await k.cooking.resume("c1", actor="ann")
                await k.until_state("Completed")
            assert sorted(executor.runs) == sorted(f"c1.{n}" for n in range(1, 61))
            assert await problems(k) == []

    run(story())


async def has(value: bool) -> bool:
    return value


def test_once_pause_has_returned_no_job_starts(run, tmp_path):
    """Workers run, jobs fail and come back, an owner fills: whatever was not begun stays unbegun."""

    async def story():
        async with kitchen(tmp_path) as k, kitchen(tmp_path) as cli:
            await k.start(2_000)
            executor = Scripted(
                lambda job: failure(job, retryable=True) if job["piece"] % 3 == 0 else success(job),
                takes_s=0.002,
            )
            started = executor.runs
            async with k.running(k.owner(window=60), k.worker(executor, slots=6), k.sweeper()):
                for turn in range(8):
                    before = len(started)
                    await k.until(lambda before=before: has(len(started) > before + 20))
                    await cli.cooking.pause("c1", actor="ann", reason="lunch")
                    running = {d["_id"] for d in await running_jobs(cli)}
                    begun = len(started)
                    await asyncio.sleep(0.15 if turn % 2 else 0.7)  # longer than the first back-off, too
                    late = set(started[begun:])
                    assert late <= running, "only what had been claimed before may still begin"
                    assert len(started) <= begun + 6
                    await cli.cooking.resume("c1", actor="ann")
            status = await cli.cooking.status("c1")
            assert status["state"] == "Cooking"

    run(story(), timeout_s=60)


async def running_jobs(k):
    return await k.store.find("cook_jobs", {"status": "running"}, order=("worker",))


def test_pieces_in_flight_at_a_pause_are_recorded(run, tmp_path):
    async def story():
        async with kitchen(tmp_path) as k:
            await k.start(10)
            go_on = asyncio.Event()

            class Slow:
                async def run(self, job):
                    await go_on.wait()
                    return success(job)

            async with k.running(k.owner(), k.worker(Slow(), slots=3)):
                await k.until(lambda: at_least(k, 3))
                await k.cooking.pause("c1", actor="ann")
                doc = await k.cooking.status("c1")
                assert (doc["running"], doc["queued"], doc["state"]) == (3, 7, "Paused")
                go_on.set()
                await k.until(lambda: made_are(k, 3))
                await asyncio.sleep(0.3)
            doc = await k.cooking.status("c1")
            assert (doc["generationCount"], doc["queued"], doc["running"]) == (3, 7, 0)

    run(story())


async def at_least(k, count):
    return len(await running_jobs(k)) >= count


async def made_are(k, count, cook_id="c1"):
    return (await k.load(cook_id)).state.made == count


@pytest.mark.parametrize("end", [STOP, BREAK, PAUSE], ids=["stopped", "failed", "paused"])
def test_a_late_piece_of_a_resting_cook_is_recorded_by_an_owner_that_knew_nothing(run, tmp_path, end):
    async def story():
        async with kitchen(tmp_path) as k:
            await k.start(4)
            await rounds(k.owner(lease_ms=1), 2)
            docs = await k.jobs.claim(LEASE, limit=2, now=wall_ms())
            await k.give(end)
            await asyncio.sleep(0.01)
            owner = k.owner()
            await rounds(owner)
            assert await k.jobs.settle({d["_id"]: success(d) for d in docs}, lease=LEASE, now=wall_ms())
            await asyncio.sleep(0.3)  # it looks around four times a second
            await rounds(owner)
            statuses = await k.job_statuses()
            assert sorted(statuses.values()) == ["done", "done", "held", "held"]
            assert (await k.findings()).examples == []

    run(story())


def test_a_pause_whose_process_died_before_it_held_the_queue_is_obeyed(run, tmp_path):
    async def story():
        async with kitchen(tmp_path) as k, kitchen(tmp_path) as dying:
            await k.start(20)
            await rounds(k.owner(lease_ms=1), 2)
            await dying.give(PAUSE)  # the event and its projection; then the process is gone
            await asyncio.sleep(0.01)
            await rounds(k.owner(lease_ms=1), 2)
            assert set((await k.job_statuses()).values()) == {"held"}
            await dying.give(RESUME)  # likewise
            await asyncio.sleep(0.01)
            await rounds(k.owner(lease_ms=1), 2)
            assert set((await k.job_statuses()).values()) == {"queued"}

    run(story())


def test_a_pause_and_a_resume_that_the_owner_did_not_see_leave_the_queue_open(run, tmp_path):
    async def story():
        async with kitchen(tmp_path) as k, kitchen(tmp_path) as cli:
            await k.start(20)
            owner = k.owner()
            await rounds(owner, 2)
            await cli.cooking.pause("c1", actor="ann")
            await cli.give(RESUME)  # its process dies before it opens the gate
            await rounds(owner, 2)
            assert set((await k.job_statuses()).values()) == {"queued"}
            assert len(await k.jobs.claim(LEASE, limit=99, now=wall_ms())) == 20

    run(story())


def test_an_owner_that_is_late_does_not_undo_a_pause(run, tmp_path):
    """It has seen the cook cook; the pause is answered before it gets to tell the queue."""

    async def story():
        async with kitchen(tmp_path) as cli:
            await cli.start(10)

            async def tap(point):
                if point == "before:gate" and not paused.is_set():
                    paused.set()
                    await cli.cooking.pause("c1", actor="ann")

            paused = asyncio.Event()
            async with kitchen(tmp_path, tap=tap) as k:
                await asyncio.gather(rounds(k.owner(), 3), return_exceptions=True)
                assert paused.is_set()
                assert await k.jobs.claim(LEASE, limit=99, now=wall_ms()) == []

    run(story())


def test_too_many_failures_pause_with_the_reason(run, tmp_path):
    async def story():
        async with kitchen(tmp_path) as k:
            await k.start(200, failure_budget=5)
            executor = Scripted(lambda job: failure(job), takes_s=0.001)
            async with k.running(k.owner(window=20), k.worker(executor)):
                doc = await k.until_state("Paused")
                assert doc["pauseReason"] == "failure_budget"
                assert "broke" in doc["pauseDetail"]
                await k.until(lambda: nothing_runs(k))
                await asyncio.sleep(0.4)
                runs = len(executor.runs)
                await asyncio.sleep(0.4)
                assert len(executor.runs) == runs < 60
                executor.script = success
                await k.cooking.resume("c1", actor="ann")
                doc = await k.until_state("Completed")
            assert (doc["failed"], doc["generationCount"]) == (runs, 200 - runs)
            assert await problems(k) == []

    run(story())


async def nothing_runs(k):
    return set((await k.job_statuses()).values()) <= {"queued", "held", "done", "failed"}


@pytest.mark.parametrize(
    ("code", "state", "reason"),
    [
        ("tool_unavailable", "Paused", "tool_unavailable"),
        ("storage_full", "Paused", "disk_full"),
        ("snapshot_missing", "Failed", "snapshot_missing"),
    ],
)
def test_what_is_not_the_pieces_fault_costs_no_piece(run, tmp_path, code, state, reason):
    async def story():
        async with kitchen(tmp_path) as k:
            await k.start(12)
            fine = False
            executor = Scripted(lambda job: success(job) if fine else failure(job, code))
            async with k.running(k.owner(), k.worker(executor), k.sweeper()):
                for turn in range(3):
                    doc = await k.until_state(state)
                    assert doc["pauseReason"] == reason
                    assert doc["pauseDetail"]
                    await k.until(lambda: nothing_runs(k))
                    fine = turn == 2  # resumed too early, it rests again
                    await k.cooking.resume("c1", actor="ann")
                doc = await k.until_state("Completed")
            assert (doc["failed"], doc["generationCount"]) == (0, 12)
            [piece] = [p for p in await k.store.get("pieces", ["c1.1"]) if p]
            outputs = await k.store.find("generationOutputs", {"cookId": "c1"}, order=("cookId",))
            of_first = [o for o in outputs if o["pieceId"] == "c1.1"]
            assert len(of_first) >= 2, "the runs that came to nothing are on record"
            assert piece["costUsd"] == pytest.approx(3e-6 * len(of_first))
            assert await problems(k) == []

    run(story())


@pytest.mark.parametrize("point", ["append", "project", "status", "finish", "enqueue", "lease", "gate"])
def test_a_full_disk_loses_nothing_and_the_cook_goes_on_when_there_is_room(run, tmp_path, point):
    async def story():
        full, refused = False, 0

        async def tap(at):
            nonlocal refused
            if full and at == f"before:{point}":
                refused += 1
                raise StorageFull("no room")

        async with kitchen(tmp_path, tap=tap) as k, kitchen(tmp_path) as floor:
            await k.start(120)
            executor = Scripted(takes_s=0.001)
            full = True
            async with k.running(k.owner(window=30)), floor.running(floor.worker(executor), floor.sweeper()):
                await k.until(lambda: has(refused >= 1))
                full = False
                await k.until_state("Completed")
            assert await problems(k) == []

    run(story())


def test_a_cook_that_cannot_be_projected_does_not_stop_the_others(run, tmp_path):
    async def story():
        traits = Traits(missing=["lost"])
        async with kitchen(tmp_path, traits=traits) as k:
            await k.start(5, cook_id="bad", plan="lost")
            await k.start(5, cook_id="good")
            async with k.running(k.owner(lease_ms=1), k.worker(Scripted())):
                await k.until_state("Completed", cook_id="good")
            assert await problems(k, "good") == []
            traits.missing.clear()  # the disk that it is on is mounted again
            async with k.running(k.owner(), k.worker(Scripted())):
                await k.until_state("Completed", cook_id="bad")
            assert await problems(k, "bad") == []

    run(story())


def test_cooks_take_turns_and_accounts_have_equal_shares(run, tmp_path):
    """Ann has three cooks, bob one that began late: of the pieces made meanwhile half are bob's."""

    async def story():
        async with kitchen(tmp_path) as k:
            for name in ("a1", "a2", "a3"):
                await k.start(400, cook_id=name, owner="ann")
            owner = k.owner(window=50)
            await rounds(owner, 2)
            for _ in range(8):
                await settle_some(k, limit=10)
                await rounds(owner, 2)
            await k.start(400, cook_id="b1", owner="bob")
            before = await made_by(k)
            for _ in range(30):
                await settle_some(k, limit=10)
                await rounds(owner, 2)
            gained = {name: count - before.get(name, 0) for name, count in (await made_by(k)).items()}
            assert sum(gained.values()) == 300
            assert 110 <= gained["b1"] <= 190
            for name in ("a1", "a2", "a3"):
                assert 25 <= gained[name] <= 85

    run(story())


async def made_by(k):
    return {name: (await k.load(name)).state.made for name in ("a1", "a2", "a3", "b1")}


def test_two_owners_that_ignore_their_lost_lease_double_nothing(run, tmp_path):
    """Both fold everything all the time; the stream's seq and the commands' keys keep them apart."""

    async def story():
        async with kitchen(tmp_path) as a, kitchen(tmp_path) as b:
            await a.start(400)
            # A lease of a millisecond is lost between any two rounds.
            owners = [k.owner(window=50, lease_ms=1) for k in (a, b)]
            floor = a.worker(Scripted(), slots=8)
            async with a.running(owners[0], floor), b.running(owners[1]):
                await a.until_state("Completed")
                await asyncio.sleep(0.3)
            assert await problems(a) == []

    run(story())


def test_resting_cooks_cost_their_owner_nothing(run, tmp_path):
    async def story():
        writes = 0

        async def tap(point):
            nonlocal writes
            writes += point.startswith("before:")

        async with kitchen(tmp_path, tap=tap) as k:
            for n in range(20):
                await k.start(3, cook_id=f"c{n}")
                await k.give(PauseCook(key=f"p{n}"), cook_id=f"c{n}")
            owner = k.owner()
            await rounds(owner, 4)
            writes = 0
            async with k.running(owner):
                await asyncio.sleep(1.0)
            assert writes <= 4
            assert owner._tended == {}

    run(story())


def test_a_paused_cook_completes_when_it_is_resumed_with_nothing_left(run, tmp_path):
    async def story():
        async with kitchen(tmp_path) as k:
            await k.start(2)
            await rounds(k.owner(lease_ms=1), 2)
            docs = await k.jobs.claim(LEASE, limit=2, now=wall_ms())
            await k.cooking.pause("c1", actor="ann")
            await k.jobs.settle({d["_id"]: success(d) for d in docs}, lease=LEASE, now=wall_ms())
            await asyncio.sleep(0.3)
            await rounds(k.owner(), 3)
            assert (await k.load()).state.state is State.PAUSED
            await k.cooking.resume("c1", actor="ann")
            assert (await k.cooking.status("c1"))["state"] == "Completed"
            assert await problems(k) == []

    run(story())


def test_many_small_commits_and_few_large_ones_stay_below_a_megabyte(run, tmp_path):
    async def story():
        async with kitchen(tmp_path) as k:
            await k.start(100)

            def talkative(job):
                result = success(job)
                result["steps"][0]["inputs"] = {"text": "x" * 60_000}
                return result

            owner = k.owner()
            await rounds(owner, 2)
            await settle_some(k, script=talkative)
            await rounds(owner, 20)
            assert (await k.load()).state.made == 100
            commits = await k.store.find(
                "cook_events", {"stream": stream_of("c1")}, order=("seq",), limit=500
            )
            sizes = [len(str(commit)) for commit in commits]
            assert max(sizes) < 1_200_000
            assert 7 <= len(commits) <= 12

    run(story())


@pytest.mark.parametrize("ticks", range(5))
def test_it_ends_when_it_is_told_to_whatever_rings_at_that_moment(run, tmp_path, ticks):
    async def story():
        async with kitchen(tmp_path) as k:
            for part in (k.owner(), k.worker(Scripted())):
                task = asyncio.create_task(part.run())
                await asyncio.sleep(0.1)
                part._wake.set()
                for _ in range(ticks):
                    await asyncio.sleep(0)
                task.cancel()
                done, _ = await asyncio.wait([task], timeout=3)
                assert done

    run(story())
