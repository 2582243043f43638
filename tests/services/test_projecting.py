"""Read models: whatever happens on the way, they are what a fresh fold of the stream says."""

import asyncio
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cauldron.domain.commands import ReviewPieces
from cauldron.domain.cook_state import FAILED, QUEUED, REJECTED, State
from cauldron.domain.errors import CauldronError, NotFound, StorageFull
from cauldron.ports.storage import Delete, Insert, Patch
from cauldron.services.projecting import stream_of
from cauldron.services.rebuilding import Findings, Rebuilding
from tests.domain.cook_samples import (
    PAUSE,
    RESUME,
    STOP,
    failed,
    made,
    refill,
    review,
    review_all,
    start,
    step,
)
from tests.kitchen import SteppingClock, Traits, kitchen

STREAM = stream_of("c1")
TABLES = ("pieces", "generationOutputs", "casts", "cooks", "cook_status")


async def stored(k) -> dict[str, dict]:
    """Every read model of the store, without versions."""
    found = {}
    for table in TABLES:
        for doc in await k.store.find(table, {}, limit=10_000):
            found[f"{table}/{doc['_id']}"] = {key: v for key, v in doc.items() if key != "_v"}
    return found


HISTORY = [
    start(6, failure_budget=9, generator={"kind": "spell", "id": "postcard"}),
    made(1),
    made(2, attempt=2),
    failed(3),
    review("approve", 1),
    review("reject", 2),
    refill(2, 3),
    made(7),
    made(8),
    PAUSE,
    made(4),
    RESUME,
    review("cull", 1),
    review("revive", 1),
    made(5),
    made(6),
    review_all("approve"),
]


def keyed(history):
    """The same commands, each with a key of its own."""

    return [
        replace(command, key=f"{command.key}#{n}") if not command.key.startswith("gen:") else command
        for n, command in enumerate(history)
    ]


async def tell(k, commands, *, batches: bool = False) -> None:
    """Append without projecting, one commit each or in small batches."""
    commands = keyed(commands)
    size = 3 if batches else 1
    for low in range(0, len(commands), size):
        await k.cooks.handle_many(STREAM, commands[low : low + size], actor="ann")


@pytest.mark.parametrize("batches", [False, True])
def test_projections_are_what_a_rebuild_says(run, tmp_path, batches):
    async def story():
        async with kitchen(tmp_path) as k:
            await tell(k, HISTORY, batches=batches)
            await k.projector.catch_up("c1")
            found = await k.findings()
            assert (found.differing, found.examples) == (0, [])
            assert found.documents > 20
            [piece] = await k.store.get("pieces", ["c1.1"])
            assert (piece["state"], piece["traits"]) == ("kept", {"Plan": "blob0", "Slot": "0"})
            [renewed] = await k.store.get("pieces", ["c1.7"])
            assert (renewed["slot"], renewed["traits"]["Plan"]) == (1, "blob-h1")
            [record] = await k.store.get("cooks", ["c1"])
            outputs = await k.store.find("generationOutputs", {"cookId": "c1"}, order=("cookId",))
            assert sorted(record["generationIds"]) == sorted(o["_id"] for o in outputs)

    run(story())


def test_one_commit_at_a_time_is_the_same_as_all_at_once(run, tmp_path):
    async def story():
        clock = SteppingClock()
        async with kitchen(tmp_path / "a", clock=clock) as a, kitchen(tmp_path / "b", clock=clock) as b:
            for command in keyed(HISTORY):
                await a.cooks.handle(STREAM, command, actor="ann")
                await a.projector.catch_up("c1")
                await b.cooks.handle(STREAM, command, actor="ann")
            await b.projector.catch_up("c1")
            assert await stored(a) == await stored(b)

    run(story())


def points_of(run, tmp_path) -> int:
    """How many writes a projection of the history takes."""
    count = 0

    async def tap(point):
        nonlocal count
        count += point.startswith("before:") and point.split(":")[1] in ("project", "status", "casts")

    async def story():
        async with kitchen(tmp_path / "count", tap=tap) as k:
            await tell(k, HISTORY)
            await k.projector.catch_up("c1")

    run(story())
    return count


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_projection_interrupted_at_any_write_is_resumed(run, tmp_path, when):
    """Stop at the n-th write for every n, then go on: by the same projector, or by another process."""
    writes = points_of(run, tmp_path)
    assert writes >= 5

    async def story(nth, folder):
        seen = 0

        async def tap(point):
            nonlocal seen
            if point.startswith(when) and point.split(":")[1] in ("project", "status"):
                seen += 1
                if seen == nth:
                    raise StorageFull("no room")

        async with kitchen(folder, tap=tap) as k, kitchen(folder) as other:
            await tell(other, HISTORY)
            cursor = await k.projector.cursor("c1")
            with pytest.raises(StorageFull):
                await k.projector.catch_up("c1", cursor=cursor)
            mine = k if nth % 2 else other
            await mine.projector.catch_up("c1", cursor=cursor if mine is k else None)
            assert (await other.findings()).examples == []

    for nth in range(1, writes + 1):
        run(story(nth, tmp_path / f"{when}{nth}"))


def test_the_cursor_does_not_pass_what_was_not_written(run, tmp_path):
    async def story():
        full = True

        async def tap(point):
            if full and point == "before:project":
                raise StorageFull("no room")

        async with kitchen(tmp_path, tap=tap) as k:
            await tell(k, HISTORY)
            cursor = await k.projector.cursor("c1")
            commits = await k.streams.tail(STREAM, after=0)
            folded = await k.load()
            with pytest.raises(StorageFull):
                await k.projector.write(folded, commits, cursor=cursor)
            assert (cursor.seq, cursor.first_outputs) == (0, [])
            full = False
            await k.projector.write(folded, commits, cursor=cursor)
            assert cursor.seq == len(commits)
            await k.projector.save_status(folded, cursor=cursor)
            assert (await k.findings()).examples == []

    run(story())


def test_two_projectors_at_once_write_the_same_documents(run, tmp_path):
    async def story():
        async with kitchen(tmp_path) as a, kitchen(tmp_path) as b:
            await tell(a, HISTORY[:1])
            for command in keyed(HISTORY)[1:]:
                await a.cooks.handle(STREAM, command, actor="ann")
                results = await asyncio.gather(
                    a.projector.catch_up("c1"), b.projector.catch_up("c1"), return_exceptions=True
                )
                assert not [r for r in results if isinstance(r, BaseException)]
            assert (await a.findings()).examples == []

    run(story())


def test_a_projector_that_slept_does_not_bring_back_the_past(run, tmp_path):
    async def story():
        asleep, wake = asyncio.Event(), asyncio.Event()

        async def tap(point):
            if point == "before:project" and not asleep.is_set():
                asleep.set()
                await wake.wait()

        async with kitchen(tmp_path) as other, kitchen(tmp_path, tap=tap) as k:
            await tell(other, [start(3), made(1), review("approve", 1)])
            sleeping = asyncio.create_task(k.projector.catch_up("c1"))
            await asyncio.wait_for(asleep.wait(), 5)
            await other.projector.catch_up("c1")
            await other.cooks.handle(STREAM, review("reject", 1, key="later"), actor="bob")
            await other.projector.catch_up("c1")
            wake.set()
            await sleeping
            [piece] = await other.store.get("pieces", ["c1.1"])
            assert (piece["state"], piece["reviewedBy"]) == ("rejected", "bob")
            assert (await other.findings()).examples == []

    run(story())


def test_an_old_decision_written_late_does_not_overwrite_a_newer_one(run, tmp_path):
    async def story():
        async with kitchen(tmp_path) as other, kitchen(tmp_path) as k:
            await tell(other, [start(3), made(1), review("approve", 1)])
            folded, cursor = await k.load(), await k.projector.cursor("c1")
            old = await k.streams.tail(STREAM, after=0)
            await other.give(review("reject", 1, key="later"))
            await k.projector.write(folded, old, cursor=cursor)  # it slept with these in its hands
            [piece] = await other.store.get("pieces", ["c1.1"])
            assert piece["state"] == "rejected"

    run(story())


def test_a_parent_record_that_is_ahead_of_the_cursor_is_made_up_for(run, tmp_path):
    """An engine without a common write may die between the two records."""

    async def story():
        async with kitchen(tmp_path) as k:
            await tell(k, HISTORY)
            await k.projector.catch_up("c1")
            before = await stored(k)
            for table, seq in (("cook_status", 2), ("cooks", 3)):
                await k.store.commit([Patch(table, "c1", {"seq": seq})])
                await k.projector.catch_up("c1")
                assert await stored(k) == before

    run(story())


def test_counters_do_not_go_back(run, tmp_path):
    async def story():
        asleep, wake = asyncio.Event(), asyncio.Event()

        async def tap(point):
            if point == "before:status" and not asleep.is_set():
                asleep.set()
                await wake.wait()

        async with kitchen(tmp_path) as other, kitchen(tmp_path, tap=tap) as k:
            await tell(other, [start(3), made(1)])
            sleeping = asyncio.create_task(k.projector.catch_up("c1"))
            await asyncio.wait_for(asleep.wait(), 5)
            await other.give(made(2))
            wake.set()
            await sleeping
            [status], [record] = [await other.store.get(table, ["c1"]) for table in ("cook_status", "cooks")]
            assert (status["generationCount"], record["generationCount"]) == (2, 2)

    run(story())


def test_two_decisions_in_one_commit_end_as_the_last_one_says(run, tmp_path):
    async def story():
        async with kitchen(tmp_path) as k:
            await k.cooks.handle(STREAM, start(3), actor="ann")
            batch = [made(1), review("approve", 1, key="v1"), review("reject", 1, key="v2"), made(2)]
            await k.cooks.handle_many(STREAM, batch, actor="ann")
            await k.projector.catch_up("c1")
            [piece] = await k.store.get("pieces", ["c1.1"])
            assert piece["state"] == "rejected"
            assert (await k.findings()).examples == []

    run(story())


def test_pieces_of_many_plans_in_one_commit_each_find_their_own(run, tmp_path):
    async def story():
        async with kitchen(tmp_path) as k:
            await tell(k, [start(12, failure_budget=99), *(failed(n) for n in range(1, 13))])
            await tell(k, [refill(n, plan_hash=f"h{n}") for n in range(1, 13)])
            await k.cooks.handle_many(STREAM, [made(n) for n in range(13, 25)], actor="a")
            await k.projector.catch_up("c1")
            pieces = await k.store.get("pieces", [f"c1.{n}" for n in range(13, 25)])
            assert [p["traits"]["Plan"] for p in pieces] == [f"blob-h{n}" for n in range(1, 13)]

    run(story())


def test_a_command_is_answered_while_its_cook_is_busy_in_the_same_process(run, tmp_path):
    """A pause must not be reported as failed because others moved the stream on while it was projected."""

    async def story():
        async with kitchen(tmp_path) as k:
            await k.start(3_000)

            async def busy():
                for low in range(1, 2_900, 10):
                    await k.cooks.handle_many(STREAM, [made(n) for n in range(low, low + 10)], actor="system")

            working = asyncio.create_task(busy())
            for turn in range(6):
                await asyncio.sleep(0.02)
                await k.cooking.pause("c1", actor="ann")
                assert (await k.cooking.status("c1"))["state"] == "Paused"
                await k.cooking.resume("c1", actor="ann")
                assert (await k.cooking.status("c1"))["state"] == "Cooking", turn
            await working
            await k.projector.catch_up("c1")
            assert (await k.findings()).examples == []

    run(story())


def test_a_check_finds_every_kind_of_damage(run, tmp_path):
    async def story():
        async with kitchen(tmp_path) as k:
            await tell(k, HISTORY)
            await k.projector.catch_up("c1")
            [status] = await k.store.get("cook_status", ["c1"])
            damage = [
                Delete("pieces", "c1.4"),
                Patch("pieces", "c1.5", {"state": "culled"}),
                Patch("generationOutputs", "c1.1.1.0", {"costUsd": 9}),
                Patch("cook_status", "c1", {"approved": 99}),
                Insert("pieces", {"_id": "c1.99", "cookId": "c1", "number": 99, "state": "x", "seq": 1}),
            ]
            await k.store.commit(damage)
            found = await k.findings()
            assert {(e["table"], e["id"]) for e in found.examples} == {
                ("pieces", "c1.4"),
                ("pieces", "c1.5"),
                ("pieces", "c1.99"),
                ("generationOutputs", "c1.1.1.0"),
                ("cook_status", "c1"),
            }
            rebuilding = Rebuilding(k.store, k.streams, k.projector)
            await rebuilding.rewrite("c1", Findings())
            assert (await k.findings()).examples == []
            assert (await k.store.get("pieces", ["c1.99"])) == [None]
            [again] = await k.store.get("cook_status", ["c1"])
            assert again["approved"] == status["approved"]

    run(story())


def test_a_rewrite_leaves_deliveries_alone(run, tmp_path):
    async def story():
        async with kitchen(tmp_path) as k:
            await tell(k, [start(2, notification_platform="discord"), made(1), made(2)])
            await k.projector.catch_up("c1")
            sent = {"deliveryStatus": "sent", "deliveryAttempts": 1}
            await k.store.commit(
                [
                    Patch("generationOutputs", "c1.1.1.0", sent | {"costUsd": 5}),
                    Delete("generationOutputs", "c1.2.1.0"),
                ]
            )
            await Rebuilding(k.store, k.streams, k.projector).rewrite("c1", Findings())
            one, two = await k.store.get("generationOutputs", ["c1.1.1.0", "c1.2.1.0"])
            assert (one["deliveryStatus"], one["deliveryAttempts"], one["costUsd"]) == ("sent", 1, 7e-06)
            assert two["deliveryStatus"] == "pending"

    run(story())


def test_a_cook_that_goes_on_meanwhile_is_compared_as_it_was(run, tmp_path):
    async def story():
        async with kitchen(tmp_path) as k, kitchen(tmp_path) as other:
            await k.start(90)

            async def busy():
                for n in range(1, 90):
                    await other.give(made(n), actor="system")
                    if n % 9 == 0:
                        await other.give(review("approve", n, key=f"v{n}"))

            working = asyncio.create_task(busy())
            checks = 0
            while not working.done():
                assert (await k.findings()).examples == []
                checks += 1
            await working
            assert checks >= 2

    run(story())


def test_there_is_nothing_to_project_of_what_never_started(run, tmp_path):
    async def story():
        async with kitchen(tmp_path) as k:
            with pytest.raises(NotFound):
                await k.projector.catch_up("nobody")
            with pytest.raises(NotFound):
                await k.findings("nobody")

    run(story())


def test_a_missing_plan_moves_nothing_and_is_made_up_for(run, tmp_path):
    async def story():
        traits = Traits(missing=["blob0"])
        async with kitchen(tmp_path, traits=traits) as k:
            await tell(k, [start(2), made(1)])
            with pytest.raises(NotFound):
                await k.projector.catch_up("c1")
            assert (await k.store.get("pieces", ["c1.1"])) == [None]
            traits.missing.clear()
            await k.projector.catch_up("c1")
            assert (await k.findings()).examples == []

    run(story())


def random_command(cook, rng):
    """Something that may be said to a cook in this state, or may not."""
    kind = rng.random()
    queued = cook.in_state(QUEUED)
    if kind < 0.5 and queued:
        piece = rng.choice(queued)
        report = made if rng.random() < 0.8 else failed
        command = report(piece, attempt=rng.randint(1, 3))
        steps = [step(n, status="failed") for n in range(1, command.attempt)] + list(command.steps)

        return replace(command, steps=steps)
    if kind < 0.8:
        pieces = None if rng.random() < 0.3 else [rng.randint(1, max(1, cook.pieces)) for _ in range(3)]
        return ReviewPieces(
            key=f"v{rng.random()}",
            decision=rng.choice(["approve", "reject", "cull", "revive", "reset"]),
            pieces=pieces,
        )
    if kind < 0.9:
        bad = [n for n in cook.in_state(REJECTED, FAILED) if cook.is_current(n)]
        return refill(*bad[: rng.randint(1, 3)], plan_hash=f"h{rng.randint(1, 9)}")
    return rng.choice([PAUSE, RESUME, STOP])


@given(seed=st.integers(0, 2**32))
@settings(max_examples=15)
def test_random_histories_are_projected_as_they_are_rebuilt(seed, tmp_path_factory):
    """Random batches; projected now and then, by one of two handles, and interrupted now and then."""
    rng = random.Random(seed)

    async def story():
        async def tap(point):
            if point in ("before:project", "after:project", "before:status") and rng.random() < 0.1:
                raise StorageFull("no room")

        folder = tmp_path_factory.mktemp("cook")
        kind = rng.choice(["tool", "spell"])
        async with kitchen(folder, tap=tap) as a, kitchen(folder) as b:
            begin = start(rng.randint(1, 8), failure_budget=99, generator={"kind": kind, "id": "g"})
            await b.cooks.handle(STREAM, begin, actor="ann")
            for _ in range(rng.randint(1, 12)):
                cook = (await b.load()).state
                batch = [random_command(cook, rng) for _ in range(rng.randint(1, 4))]
                unique = {c.key if c.key.startswith("gen:") else f"{c.key}{rng.random()}": c for c in batch}

                outcome = await b.cooks.handle_many(
                    STREAM, [replace(c, key=key) for key, c in unique.items()], actor=f"actor{rng.random()}"
                )
                assert all(isinstance(r, (list, CauldronError)) for r in outcome.events)
                if rng.random() < 0.6:
                    who = rng.choice([a, b])
                    await asyncio.gather(who.projector.catch_up("c1"), return_exceptions=True)
            await b.projector.catch_up("c1")
            found = await b.findings()
            assert found.examples == []
            doc = (await b.store.get("cook_status", ["c1"]))[0]
            pieces = await b.store.find("pieces", {"cookId": "c1"}, order=("cookId", "number"))
            assert doc["generationCount"] == sum(p["error"] is None for p in pieces)
            by_state = [p["state"] for p in pieces]
            assert doc["approved"] == by_state.count("approved") + by_state.count("kept")
            assert doc["rejected"] == by_state.count("rejected")
            assert State(doc["state"]) is (await b.load()).state.state

    asyncio.run(story())
