"""The job queue: leases fence, gates hold, poison is given up, cooks take turns. Two handles on one store."""

import asyncio
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cauldron.persistence.jobs import JobStore, Lease
from cauldron.persistence.leases import Leases
from cauldron.persistence.tables import CAST_JOBS, COOK_JOBS
from cauldron.ports.storage import Patch
from tests.kitchen import SteppingClock, kitchen

NOW = 1_767_225_600_000
RESULT = {"status": "success", "steps": []}


def job(name: str, *, parent: str = "c1", rank: int = 0, **more):
    return {
        "_id": name,
        "parent": parent,
        "rank": rank,
        "status": "queued",
        "attempt": 1,
        "attempts": 3,
        "deliveries": 0,
        "createdAt": NOW,
        "updatedAt": NOW,
        **more,
    }


def lease(name: str, worker: str = "w1") -> Lease:
    return Lease(id=name, worker=worker)


@pytest.fixture
def queues(run, tmp_path):
    """The same queue through two handles."""

    async def opened():
        one, two = kitchen(tmp_path), kitchen(tmp_path)
        return (
            one,
            two,
            JobStore((await one.__aenter__()).store, COOK_JOBS),
            JobStore((await two.__aenter__()).store, COOK_JOBS),
        )

    one, two, mine, theirs = run(opened())
    yield mine, theirs
    run(one.__aexit__(None, None, None))
    run(two.__aexit__(None, None, None))


def test_the_lowest_rank_is_claimed_first_and_each_job_once(run, queues):
    mine, theirs = queues

    async def story():
        await mine.enqueue([job(f"j{n:02}", rank=99 - n) for n in range(20)])
        taken = await asyncio.gather(
            *(queue.claim(lease(f"l{n}"), limit=3, now=NOW) for n in range(4) for queue in queues)
        )
        ids = [doc["_id"] for docs in taken for doc in docs]
        assert sorted(ids) == [f"j{n:02}" for n in range(20)]
        assert ["j19", "j18", "j17"] in [[doc["_id"] for doc in docs] for docs in taken]  # whoever came first
        assert await theirs.claim(lease("late"), limit=3, now=NOW) == []

    run(story())


def test_queueing_twice_is_queueing_once(run, queues):
    mine, theirs = queues

    async def story():
        await mine.enqueue([job("a"), job("b")])
        [first] = await theirs.claim(lease("l"), limit=1, now=NOW)
        await theirs.enqueue([job("a"), job("b"), job("c")])
        assert (await mine.get(first["_id"]))["status"] == "running"
        assert len(await mine.claim(lease("m"), limit=9, now=NOW)) == 2

    run(story())


@pytest.mark.parametrize("act", ["settle", "postpone", "extend"])
def test_a_zombie_cannot_touch_what_was_taken_from_it(run, queues, act):
    mine, theirs = queues

    async def story():
        await mine.enqueue([job("a")])
        [held] = await mine.claim(lease("old", "zombie"), limit=1, now=NOW)
        assert await theirs.reap("zombie", now=NOW) == 1
        [again] = await theirs.claim(lease("new", "w2"), limit=1, now=NOW)
        assert again["lost"] == 1
        if act == "settle":
            assert await mine.settle({"a": RESULT}, lease=lease("old", "zombie"), now=NOW) == []
        elif act == "postpone":
            assert not await mine.postpone(held, lease=lease("old", "zombie"), until=NOW, changes={}, now=NOW)
        else:
            assert not await mine.extend(held, lease=lease("old", "zombie"), changes={"runId": "r"})
        now = await theirs.get("a")
        assert (now["status"], now["leaseId"], now["worker"]) == ("running", "new", "w2")
        assert await theirs.settle({"a": RESULT}, lease=lease("new", "w2"), now=NOW) == ["a"]

    run(story())


def test_the_same_worker_is_a_zombie_too_once_it_has_claimed_again(run, queues):
    mine, _ = queues

    async def story():
        await mine.enqueue([job("a")])
        await mine.claim(lease("first"), limit=1, now=NOW)
        await mine.reap("w1", now=NOW)
        await mine.claim(lease("second"), limit=1, now=NOW)
        assert await mine.settle({"a": RESULT}, lease=lease("first"), now=NOW) == []
        assert await mine.settle({"a": RESULT}, lease=lease("second"), now=NOW) == ["a"]

    run(story())


def test_a_reaper_does_not_take_what_was_claimed_anew_meanwhile(run, tmp_path):
    """Between the reaper's look and its write the job has passed to another worker."""

    async def story():
        stolen = False

        async def tap(point):
            nonlocal stolen
            if point == "before:queued" and not stolen:
                stolen = True
                await other.jobs.reap("dead", now=NOW)
                await other.jobs.claim(lease("new", "w2"), limit=1, now=NOW)

        async with kitchen(tmp_path) as other, kitchen(tmp_path, tap=tap) as k:
            await other.jobs.enqueue([job("a")])
            await other.jobs.claim(lease("old", "dead"), limit=1, now=NOW)
            assert await k.jobs.reap("dead", now=NOW) == 0
            doc = await k.jobs.get("a")
            assert (doc["status"], doc["leaseId"], doc["lost"]) == ("running", "new", 1)

    run(story())


def test_a_job_lost_three_times_is_poison_and_others_are_not(run, queues):
    mine, _ = queues

    async def story():
        await mine.enqueue([job("bad"), job("fine", rank=1)])
        for turn in range(3):
            [doc] = await mine.claim(lease(f"l{turn}"), limit=1, now=NOW)
            assert doc["_id"] == "bad"
            await mine.reap("w1", now=NOW)
        bad = await mine.get("bad")
        assert bad["status"] == "settled"
        assert bad["result"]["error"]["code"] == "worker_lost"
        assert "3 times" in bad["result"]["error"]["message"]
        assert (await mine.get("fine"))["status"] == "queued"

    run(story())


def test_retries_and_leaving_workers_do_not_make_poison(run, queues):
    mine, _ = queues

    async def story():
        await mine.enqueue([job("a")])
        for turn in range(10):
            held = lease(f"l{turn}")
            [doc] = await mine.claim(held, limit=1, now=NOW)
            if turn % 2:
                assert await mine.postpone(doc, lease=held, until=NOW, changes={}, now=NOW)
                assert await mine.wake_due(now=NOW) == 1
            else:
                assert await mine.reap("w1", now=NOW, lost=False) == 1
        doc = await mine.get("a")
        assert (doc["status"], doc["lost"], doc["deliveries"]) == ("queued", 0, 10)

    run(story())


def test_a_postponed_job_waits_for_its_instant(run, queues):
    mine, theirs = queues

    async def story():
        await mine.enqueue([job("a")])
        [doc] = await mine.claim(lease("l"), limit=1, now=NOW)
        kept = await mine.postpone(doc, lease=lease("l"), until=NOW + 500, changes={"attempt": 2}, now=NOW)
        assert kept
        assert await theirs.wake_due(now=NOW + 499) == 0
        assert await theirs.claim(lease("m"), limit=1, now=NOW) == []
        assert await theirs.wake_due(now=NOW + 500) == 1
        [again] = await theirs.claim(lease("m"), limit=1, now=NOW)
        assert again["attempt"] == 2

    run(story())


def test_nothing_behind_a_closed_gate_is_claimed(run, queues):
    mine, theirs = queues

    async def story():
        await mine.enqueue([job(f"a{n}") for n in range(5)] + [job("b", parent="c2", rank=9)])
        assert await mine.hold("c1", at=2, now=NOW) == 5
        assert [d["_id"] for d in await theirs.claim(lease("l"), limit=9, now=NOW)] == ["b"]
        assert await mine.unhold("c1", at=3, now=NOW) == 5
        assert len(await theirs.claim(lease("m"), limit=9, now=NOW)) == 5

    run(story())


@pytest.mark.parametrize("way", ["reap", "retry", "late queueing"])
def test_whatever_comes_back_into_the_queue_stays_behind_the_gate(run, queues, way):
    mine, theirs = queues

    async def story():
        held = lease("l", "w1")
        if way != "late queueing":
            await mine.enqueue([job("a")])
            [doc] = await mine.claim(held, limit=1, now=NOW)
        assert await theirs.hold("c1", at=2, now=NOW) == 0
        if way == "reap":
            assert await mine.reap("w1", now=NOW) == 1
        elif way == "retry":
            assert await mine.postpone(doc, lease=held, until=NOW, changes={}, now=NOW)
            assert await mine.wake_due(now=NOW) == 1
        else:
            await mine.enqueue([job("a")])
        assert (await mine.get("a"))["status"] == "queued"
        assert await mine.claim(lease("m"), limit=1, now=NOW) == []
        assert (await mine.get("a"))["status"] == "held"
        assert await theirs.unhold("c1", at=3, now=NOW) == 1
        assert len(await mine.claim(lease("n"), limit=1, now=NOW)) == 1

    run(story())


def test_who_speaks_of_an_earlier_state_does_not_move_the_gate(run, queues):
    mine, theirs = queues

    async def story():
        await mine.enqueue([job("a")])
        await mine.hold("c1", at=5, now=NOW)
        assert await theirs.unhold("c1", at=4, now=NOW) == 0  # an owner that has not seen the pause
        assert await theirs.unhold("c1", at=5, now=NOW) == 0
        assert await theirs.claim(lease("l"), limit=1, now=NOW) == []
        assert await theirs.unhold("c1", at=6, now=NOW) == 1
        assert await mine.hold("c1", at=5, now=NOW) == 0  # the pause, repeated late
        assert len(await theirs.claim(lease("m"), limit=1, now=NOW)) == 1

    run(story())


def test_a_gate_that_opens_while_a_claim_gives_back_leaves_nothing_behind(run, tmp_path):
    async def story():
        opened = False

        async def tap(point):
            nonlocal opened
            if point == "before:held" and armed and not opened:
                opened = True
                await other.jobs.unhold("c1", at=3, now=NOW)

        armed = False
        async with kitchen(tmp_path) as other, kitchen(tmp_path, tap=tap) as k:
            await other.jobs.hold("c1", at=2, now=NOW)
            await other.jobs.enqueue([job("a")])
            armed = True
            assert await k.jobs.claim(lease("l"), limit=1, now=NOW) == []
            assert (await k.jobs.get("a"))["status"] == "queued"

    run(story())


def test_jobs_held_behind_an_open_gate_are_found_and_freed(run, queues):
    mine, theirs = queues

    async def story():
        await mine.enqueue([job("a"), job("b", parent="c2"), job("c", parent="c3")])
        for parent in ("c1", "c2"):
            await mine.hold(parent, at=2, now=NOW)
        await mine.store.commit([patch_gate("c1", closed=False)])  # who opened it died before the rest
        assert await theirs.free_stray(now=NOW) == 1
        assert {n: (await mine.get(n))["status"] for n in "abc"} == {
            "a": "queued",
            "b": "held",
            "c": "queued",
        }

    run(story())


def patch_gate(parent: str, *, closed: bool):
    return Patch("gates", parent, {"closed": closed})


def test_more_jobs_than_are_moved_at_a_time_are_all_moved(run, queues):
    mine, theirs = queues

    async def story():
        await mine.enqueue([job(f"a{n:05}", rank=n) for n in range(5_200)])
        assert await mine.hold("c1", at=2, now=NOW) == 5_200
        assert await theirs.claim(lease("l"), limit=1, now=NOW) == []
        assert await theirs.unhold("c1", at=3, now=NOW) == 5_200

    run(story())


def test_a_blocked_job_is_held_with_its_history(run, queues):
    mine, _ = queues

    async def story():
        await mine.enqueue([job("a", history=[{"step": "first"}])])
        await mine.claim(lease("l"), limit=1, now=NOW)
        await mine.settle(
            {"a": {"status": "failed", "steps": [{"step": "second"}]}}, lease=lease("l"), now=NOW
        )
        await mine.put_back(await mine.settled("c1", limit=9), now=NOW)
        doc = await mine.get("a")
        assert (doc["status"], doc["result"]) == ("held", None)
        assert [s["step"] for s in doc["history"]] == ["first", "second"]

    run(story())


def test_only_settled_jobs_are_finished(run, queues):
    mine, _ = queues

    async def story():
        await mine.enqueue([job("a"), job("b", rank=1)])
        await mine.claim(lease("l"), limit=1, now=NOW)
        await mine.settle({"a": RESULT}, lease=lease("l"), now=NOW)
        await mine.finish([("a", True), ("b", True)], now=NOW)
        await mine.finish([("a", False)], now=NOW)
        assert (await mine.get("a"))["status"] == "done"
        assert (await mine.get("a"))["result"] is None
        assert (await mine.get("b"))["status"] == "queued"

    run(story())


def test_only_what_nobody_began_is_dropped(run, queues):
    mine, _ = queues

    async def story():
        await mine.enqueue([job("a"), job("b", rank=1)])
        await mine.claim(lease("l"), limit=1, now=NOW)
        assert not await mine.drop("a", now=NOW)
        assert await mine.drop("b", now=NOW)
        assert await mine.claim(lease("m"), limit=1, now=NOW) == []

    run(story())


def test_parents_with_something_to_fold_are_named_once(run, queues):
    mine, _ = queues

    async def story():
        await mine.enqueue([job(f"{p}{n}", parent=p) for p in ("c1", "c2", "c3") for n in range(3)])
        docs = await mine.claim(lease("l"), limit=9, now=NOW)
        done = {d["_id"]: RESULT for d in docs if d["parent"] != "c2"}
        await mine.settle(done, lease=lease("l"), now=NOW)
        assert await mine.parents_settled() == ["c1", "c3"]

    run(story())


def test_queues_do_not_mix(run, tmp_path):
    async def story():
        async with kitchen(tmp_path) as k:
            casts = JobStore(k.store, CAST_JOBS)
            await casts.enqueue([job("a")])
            assert await k.jobs.claim(lease("l"), limit=1, now=NOW) == []
            assert len(await casts.claim(lease("m"), limit=1, now=NOW)) == 1

    run(story())


ACTS = st.lists(
    st.tuples(
        st.sampled_from(["claim", "settle", "reap", "leave", "hold", "unhold", "retry", "wake", "finish"]),
        st.integers(0, 2),
    ),
    max_size=40,
)


@given(acts=ACTS)
@settings(max_examples=25)
def test_no_job_is_ever_held_by_two_and_every_job_ends_once(acts, tmp_path_factory):
    """Random workers over one queue; a plain model says who holds what."""

    async def story():
        async with kitchen(tmp_path_factory.mktemp("q"), max_lost=3) as k:
            names = [f"j{n}" for n in range(4)]
            await k.jobs.enqueue([job(name, rank=i) for i, name in enumerate(names)])
            leases: dict[int, list[Lease]] = {0: [], 1: [], 2: []}
            holder: dict[str, str] = {}
            settled: Counter[str] = Counter()
            seq, closed = 1, False
            for turn, (act, who) in enumerate(acts):
                worker = f"w{who}"
                if act == "claim":
                    mine = lease(f"l{turn}", worker)
                    docs = await k.jobs.claim(mine, limit=2, now=NOW)
                    assert not (docs and closed)
                    leases[who].append(mine)
                    for doc in docs:
                        assert doc["_id"] not in holder
                        holder[doc["_id"]] = mine.id
                elif act == "settle":
                    for mine in leases[who]:
                        ended = await k.jobs.settle(dict.fromkeys(names, RESULT), lease=mine, now=NOW)
                        assert set(ended) == {j for j, held in holder.items() if held == mine.id}
                        settled.update(ended)
                        holder = {j: held for j, held in holder.items() if held != mine.id}
                elif act in ("reap", "leave"):
                    await k.jobs.reap(worker, now=NOW, lost=act == "reap")
                    gone = {mine.id for mine in leases[who]}
                    holder = {j: held for j, held in holder.items() if held not in gone}
                elif act == "retry":
                    for mine in leases[who]:
                        for name in [j for j, held in holder.items() if held == mine.id]:
                            doc = await k.jobs.get(name)
                            assert await k.jobs.postpone(doc, lease=mine, until=NOW, changes={}, now=NOW)
                            del holder[name]
                elif act == "wake":
                    await k.jobs.wake_due(now=NOW)
                elif act == "finish":
                    docs = await k.jobs.settled("c1", limit=9)
                    await k.jobs.finish([(d["_id"], True) for d in docs], now=NOW)
                else:
                    closed, seq = act == "hold", seq + 1
                    await (k.jobs.hold if closed else k.jobs.unhold)("c1", at=seq, now=NOW)
            states = {name: (await k.jobs.get(name))["status"] for name in names}
            assert {n for n, s in states.items() if s == "running"} == set(holder)
            assert all(count == 1 for count in settled.values())

    asyncio.run(story())


def test_a_lease_is_held_by_one_until_it_ends(run, tmp_path):
    async def story():
        clock = SteppingClock()
        async with kitchen(tmp_path) as one, kitchen(tmp_path) as two:
            a = Leases(one.store, holder="a", clock=clock, ttl_ms=1000)
            b = Leases(two.store, holder="b", clock=clock, ttl_ms=1000)
            assert await a.acquire("x")
            assert not await b.acquire("x")
            clock.pass_ms(900)
            assert await a.acquire("x")
            clock.pass_ms(900)
            assert not await b.acquire("x")
            clock.pass_ms(100)
            assert await b.acquire("x")
            assert not await a.acquire("x")
            await a.release("x")  # no longer ours to let go
            assert not await a.acquire("x")
            await b.release("x")
            assert await a.acquire("x")

    run(story())


def test_a_clock_set_back_does_not_make_a_lease_last_for_hours(run, tmp_path):
    async def story():
        clock = SteppingClock()
        async with kitchen(tmp_path) as one:
            a = Leases(one.store, holder="a", clock=clock, ttl_ms=1000)
            b = Leases(one.store, holder="b", clock=clock, ttl_ms=1000)
            assert await a.acquire("x")
            clock.pass_ms(-3_600_000)
            assert await b.acquire("x")

    run(story())


def test_of_many_who_want_a_free_lease_one_gets_it(run, tmp_path):
    async def story():
        async with kitchen(tmp_path) as one, kitchen(tmp_path) as two:
            stores = [one.store, two.store] * 4
            leases = [Leases(s, holder=f"h{n}", clock=SteppingClock()) for n, s in enumerate(stores)]
            got = await asyncio.gather(*(each.acquire("x") for each in leases))
            assert sum(got) == 1

    run(story())
