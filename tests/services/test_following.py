"""Followers: every commit at least once, by one process at a time, from where the last one stopped."""

import asyncio
from collections import Counter

from cauldron.domain.commands import StopCook
from cauldron.persistence.leases import Leases
from cauldron.services.following import Follower
from cauldron.services.projecting import stream_of
from tests.domain.cook_samples import made, start
from tests.kitchen import kitchen, new_id, wall_ms


def follower(k, seen: list, *, name="f", handle=None, ttl_ms=5_000) -> Follower:
    async def note(commit):
        seen.append(commit["_id"])

    return Follower(
        name=name,
        table="cook_events",
        store=k.store,
        leases=Leases(k.store, holder=new_id(), clock=wall_ms, ttl_ms=ttl_ms),
        clock=wall_ms,
        handle=handle or note,
        renew_every_s=0.05,
    )


async def cooks(k, names):
    for name in names:
        await k.cooks.handle(stream_of(name), start(2, cook_id=name, key=f"start:{name}"), actor="ann")


async def renewed(k, *, times: int) -> None:
    """Wait until the follower has renewed its lease so often, and saved its place in between."""
    seen = set()
    while len(seen) <= times:
        [lease] = await k.store.get("leases", ["follower:f"])
        seen.add(lease["until"])
        await asyncio.sleep(0.01)


async def has(value: bool) -> bool:
    return value


def test_it_sees_the_past_and_the_future_whole_and_in_order(run, tmp_path):
    async def story():
        async with kitchen(tmp_path) as k:
            await cooks(k, ["a"])
            seen, outputs = [], []

            async def handle(commit):
                seen.append(commit["seq"])
                outputs.extend(
                    e["data"].get("output") for e in commit["events"] if e["type"] == "PieceGenerated"
                )

            async with k.running(follower(k, [], handle=handle)):
                await k.until(lambda: has(seen == [1]))
                await k.cooks.handle(stream_of("a"), made(1), actor="x")
                await k.until(lambda: has(seen == [1, 2]))
            assert outputs[0]["mime"] == "image/png", "events are whole, as they were written"

    run(story())


def test_the_next_one_goes_on_where_the_last_one_stopped(run, tmp_path):
    async def story():
        async with kitchen(tmp_path) as k:
            first, second = [], []
            await cooks(k, [f"a{n}" for n in range(20)])
            async with k.running(follower(k, first)):
                await k.until(lambda: has(len(first) == 20))
                await asyncio.sleep(0.15)  # long enough for the cursor to be saved
            await cooks(k, [f"b{n}" for n in range(20)])
            async with k.running(follower(k, second, ttl_ms=1)):
                await k.until(lambda: has(len(second) >= 20))
            assert second == [f"cook:b{n}:0000000001" for n in range(20)]

    run(story(), timeout_s=30)


def test_of_two_processes_one_follows(run, tmp_path):
    async def story():
        async with kitchen(tmp_path) as k, kitchen(tmp_path) as other:
            mine, theirs = [], []
            async with k.running(follower(k, mine)), other.running(follower(other, theirs)):
                await asyncio.sleep(0.2)
                await cooks(k, [f"a{n}" for n in range(30)])
                await k.until(lambda: has(len(mine) + len(theirs) >= 30))
                await asyncio.sleep(0.2)
            assert sorted([len(mine), len(theirs)]) == [0, 30]

    run(story())


def test_a_handler_that_fails_is_called_again_and_nothing_is_passed_over(run, tmp_path):
    async def story():
        async with kitchen(tmp_path) as k:
            calls: Counter[str] = Counter()

            async def handle(commit):
                calls[commit["_id"]] += 1
                if calls["cook:a3:0000000001"] in (1, 2) and commit["_id"].startswith("cook:a3"):
                    await renewed(k, times=2)  # so that its place was saved while this was under way
                    raise RuntimeError("a bug") if calls[commit["_id"]] == 1 else ConnectionError("gone")

            async with k.running(follower(k, [], handle=handle)):
                await cooks(k, [f"a{n}" for n in range(6)])
                await k.until(lambda: has(calls["cook:a5:0000000001"] >= 1))
            assert calls["cook:a3:0000000001"] == 3
            assert len(calls) == 6

    run(story())


def test_followers_of_other_names_have_cursors_of_their_own(run, tmp_path):
    async def story():
        async with kitchen(tmp_path) as k:
            one, two = [], []
            async with k.running(follower(k, one, name="one"), follower(k, two, name="two")):
                await cooks(k, ["a", "b"])
                await k.cooks.handle(stream_of("a"), StopCook(key="s"), actor="ann")
                await k.until(lambda: has(len(one) == len(two) == 3))

    run(story())
