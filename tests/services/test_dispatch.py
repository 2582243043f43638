"""Dispatching: one way in, whatever other writers do and whatever the store refuses."""

import asyncio

import pytest

from cauldron.domain.commands import PauseCook, ResumeCook, ReviewPieces
from cauldron.domain.cook_state import QUEUED, State
from cauldron.domain.errors import (
    CauldronError,
    Invalid,
    NotFound,
    Refused,
    StaleVersion,
    StorageFull,
)
from cauldron.ports.storage import Delete
from cauldron.services.projecting import stream_of
from tests.domain.cook_samples import PAUSE, RESUME, STOP, after, made, refill, review, snapshot, start
from tests.kitchen import kitchen

STREAM = stream_of("c1")


def types(result) -> list[str]:
    return [event.type for event in result]


def test_a_repeated_command_is_answered_with_its_first_result(run, tmp_path):
    async def story():
        async with kitchen(tmp_path) as k:
            first = await k.cooks.handle(STREAM, start(3), actor="ann")
            again = await k.cooks.handle(STREAM, start(3), actor="ann")
            assert again.events == first.events
            assert (first.replayed, again.replayed, again.commit) == (False, True, None)

    run(story())


def test_also_after_the_state_has_moved_on(run, tmp_path):
    async def story():
        async with kitchen(tmp_path) as k:
            await k.cooks.handle(STREAM, start(3), actor="ann")
            await k.cooks.handle(STREAM, PAUSE, actor="ann")
            await k.cooks.handle(STREAM, RESUME, actor="ann")
            again = await k.cooks.handle(STREAM, PAUSE, actor="ann")  # would be possible again
            assert types(again.events[0]) == ["CookPaused"]
            assert (await k.load()).state.state is State.COOKING
            await k.cooks.handle(STREAM, STOP, actor="ann")
            refused_now = await k.cooks.handle(STREAM, PAUSE, actor="ann")  # would be refused now
            assert types(refused_now.events[0]) == ["CookPaused"]
            assert (await k.load()).seq == 4

    run(story())


def test_also_by_another_handle_that_has_seen_nothing(run, tmp_path):
    async def story():
        async with kitchen(tmp_path) as k, kitchen(tmp_path) as other:
            first = await k.cooks.handle(STREAM, start(3), actor="ann")
            again = await other.cooks.handle(STREAM, start(3), actor="bob")
            assert again.replayed
            assert again.events == first.events

    run(story())


def test_also_inside_a_batch(run, tmp_path):
    async def story():
        async with kitchen(tmp_path) as k:
            await k.cooks.handle(STREAM, start(4), actor="ann")
            await k.cooks.handle(STREAM, made(1), actor="ann")
            outcome = await k.cooks.handle_many(STREAM, [made(1), made(2), made(2), made(3)], actor="a")
            assert [types(r) for r in outcome.events] == [["PieceGenerated"]] * 4
            assert outcome.events[1] == outcome.events[2]
            assert outcome.commit["cmds"] == ["gen:c1.2", "gen:c1.3"]
            state = (await k.load()).state
            assert (state.made, state.counts[QUEUED]) == (3, 1)

    run(story())


def test_a_batch_of_nothing_new_is_answered_from_the_log(run, tmp_path):
    async def story():
        async with kitchen(tmp_path) as k:
            await k.cooks.handle(STREAM, start(3), actor="ann")
            batch = [made(1), made(2)]
            first = await k.cooks.handle_many(STREAM, batch, actor="a")
            again = await k.cooks.handle_many(STREAM, batch, actor="a")
            assert again.replayed
            assert again.events == first.events

    run(story())


def test_a_known_key_in_a_batch_does_not_double_what_is_new_beside_it(run, tmp_path):
    """The key is known though the decision alone would not notice: another number, the same key."""

    async def story():
        async with kitchen(tmp_path) as k, kitchen(tmp_path) as other:
            await k.cooks.handle(STREAM, start(4), actor="ann")
            await other.cooks.handle(STREAM, made(1, key="shared"), actor="b")
            outcome = await k.cooks.handle_many(STREAM, [made(2, key="shared"), made(3)], actor="a")
            assert [r[0].data["piece"] for r in outcome.events] == [1, 3]
            state = (await k.load()).state
            assert state.in_state(QUEUED) == [2, 4]

    run(story())


def test_a_refused_command_does_not_block_its_batch(run, tmp_path):
    async def story():
        async with kitchen(tmp_path) as k:
            await k.cooks.handle(STREAM, start(3), actor="ann")
            batch = [made(1), made(99), review("cull", 1), made(2)]
            outcome = await k.cooks.handle_many(STREAM, batch, actor="a")
            assert types(outcome.events[0]) == types(outcome.events[3]) == ["PieceGenerated"]
            assert isinstance(outcome.events[1], NotFound)
            assert isinstance(outcome.events[2], Refused)
            assert [e["c"] for e in outcome.commit["events"]] == [0, 1]
            assert (await k.load()).state.made == 2

    run(story())


def test_a_refused_command_is_raised_to_who_gave_it_alone(run, tmp_path):
    async def story():
        async with kitchen(tmp_path) as k:
            with pytest.raises(NotFound):
                await k.cooks.handle(STREAM, PAUSE, actor="ann")

    run(story())


def test_two_dispatchers_on_one_store_lose_and_double_nothing(run, tmp_path):
    async def story():
        async with kitchen(tmp_path) as a, kitchen(tmp_path) as b:
            await a.cooks.handle(STREAM, start(60), actor="ann")

            async def report(k, pieces):
                for low in range(0, len(pieces), 3):
                    await k.cooks.handle_many(STREAM, [made(n) for n in pieces[low : low + 3]], actor="x")

            # Both report everything, in opposite order.
            await asyncio.gather(report(a, list(range(1, 61))), report(b, list(range(60, 0, -1))))
            left, right = await a.load(), await b.load()
            assert left.state.made == 60
            assert snapshot(left.state) == snapshot(right.state)
            ends = [
                e["data"]["piece"]
                async for page in a.streams.read(STREAM)
                for commit in page
                for e in commit["events"]
                if e["type"] == "PieceGenerated"
            ]
            assert sorted(ends) == list(range(1, 61))

    run(story())


def test_a_stale_append_is_decided_again_on_what_the_other_wrote(run, tmp_path):
    async def story():
        async with kitchen(tmp_path) as other:
            await other.cooks.handle(STREAM, start(3), actor="ann")
            raced = 0

            async def tap(point):
                nonlocal raced
                if point == "before:append" and raced < 2:
                    raced += 1
                    await other.cooks.handle(STREAM, made(raced), actor="b")

            async with kitchen(tmp_path, tap=tap) as k:
                outcome = await k.cooks.handle_many(STREAM, [made(1), made(3)], actor="a")
                assert raced == 2
                assert outcome.commit["seq"] == 4
                assert [r[0].data["piece"] for r in outcome.events] == [1, 3]
                assert outcome.commit["cmds"] == ["gen:c1.3"]
                state = (await k.load()).state
                assert (state.state, state.made) == (State.COMPLETED, 3)

    run(story())


def test_a_writer_that_is_always_late_gives_up_with_a_clear_refusal(run, tmp_path):
    async def story():
        async with kitchen(tmp_path) as other:
            await other.cooks.handle(STREAM, start(3), actor="ann")
            turn = 0

            async def tap(point):
                nonlocal turn
                if point == "before:append":
                    turn += 1
                    command = PauseCook(key=f"p{turn}") if turn % 2 else ResumeCook(key=f"r{turn}")
                    await other.cooks.handle(STREAM, command, actor="b")

            async with kitchen(tmp_path, tap=tap) as k:
                with pytest.raises(StaleVersion, match="contended"):
                    await k.cooks.handle(STREAM, made(1), actor="a")

    run(story())


@pytest.mark.parametrize("batch", [[made(1)], [made(1), made(2)]], ids=["alone", "in a batch"])
@pytest.mark.parametrize("when", ["before:append", "after:append"])
def test_nothing_uncommitted_is_seen_after_an_append_that_failed(run, tmp_path, batch, when):
    """Before the append nothing has happened; after it (the answer was lost) everything has."""

    async def story():
        broken = True

        async def tap(point):
            if broken and point == when:
                raise StorageFull("no room")

        async with kitchen(tmp_path) as plain:
            await plain.cooks.handle(STREAM, start(3), actor="ann")
        async with kitchen(tmp_path, tap=tap) as k:
            await k.load()
            with pytest.raises(StorageFull):
                await k.cooks.handle_many(STREAM, batch, actor="a")
            happened = [start(3), *batch] if when == "after:append" else [start(3)]
            for fresh in (False, True):
                folded = await k.cooks.load(STREAM, fresh=fresh or when == "after:append")
                assert folded.state.piece_state == after(happened).piece_state
            broken = False
            outcome = await k.cooks.handle_many(STREAM, batch, actor="a")
            assert not any(isinstance(r, CauldronError) for r in outcome.events)
            assert (await k.load()).state.made == len(batch)

    run(story())


def test_a_reader_waits_rather_than_see_what_is_only_about_to_be_committed(run, tmp_path):
    async def story():
        reached, go_on = asyncio.Event(), asyncio.Event()

        async def tap(point):
            if point == "before:append" and armed:
                reached.set()
                await go_on.wait()
                raise StorageFull("no room")

        armed = False
        async with kitchen(tmp_path, tap=tap) as k:
            await k.cooks.handle(STREAM, start(3), actor="ann")
            armed = True
            writing = asyncio.create_task(k.cooks.handle_many(STREAM, [made(1), made(2)], actor="a"))
            await reached.wait()
            reading = asyncio.create_task(k.cooks.load(STREAM, fresh=False))
            await asyncio.sleep(0.02)
            assert not reading.done()
            go_on.set()
            assert (await reading).state.made == 0
            with pytest.raises(StorageFull):
                await writing

    run(story())


def test_a_command_whose_caller_went_away_leaves_the_state_true(run, tmp_path):
    async def story():
        async with kitchen(tmp_path) as k:
            await k.cooks.handle(STREAM, start(50), actor="ann")
            for low in range(1, 50, 2):
                task = asyncio.create_task(k.cooks.handle_many(STREAM, [made(low), made(low + 1)], actor="a"))
                await asyncio.sleep(0.0005 * (low % 7))
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                await k.store.commit([Delete("leases", "nobody")])  # after what was under way
                mine = snapshot((await k.load()).state)
                async with kitchen(tmp_path) as fresh:
                    assert snapshot((await fresh.load()).state) == mine

    run(story())


def test_too_many_commands_are_no_commit(run, tmp_path):
    async def story():
        async with kitchen(tmp_path) as k:
            with pytest.raises(Invalid, match="500 commands"):
                await k.cooks.handle_many(STREAM, [made(n) for n in range(501)], actor="a")

    run(story())


def test_states_of_many_streams_are_not_kept_for_ever(run, tmp_path):
    async def story():
        async with kitchen(tmp_path) as k:
            for n in range(400):
                await k.cooks.load(stream_of(f"nobody-{n}"))
            assert len(k.cooks._folded) <= 256

    run(story())


def test_a_long_stream_is_read_in_pages_of_bounded_events(run, tmp_path):
    async def story():
        async with kitchen(tmp_path) as k:
            await k.cooks.handle(STREAM, start(6_000), actor="ann")
            for low in range(1, 6_000, 500):
                await k.cooks.handle_many(STREAM, [made(n) for n in range(low, low + 500)], actor="a")
            pages = [sum(len(c["events"]) for c in page) async for page in k.streams.read(STREAM)]
            assert sum(pages) == 6_003
            assert max(pages) <= 4_000
            async with kitchen(tmp_path) as fresh:
                assert (await fresh.load()).state.made == 6_000

    run(story())


def test_one_commit_holds_the_decision_and_its_keys(run, tmp_path):
    async def story():
        async with kitchen(tmp_path) as k:
            await k.cooks.handle(STREAM, start(3), actor="ann")
            await k.cooks.handle_many(STREAM, [made(1), made(2)], actor="system")
            await k.cooks.handle(STREAM, ReviewPieces(key="v", decision="reject", pieces=[1]), actor="ann")
            await k.cooks.handle(STREAM, refill(1), actor="ann")
            commits = await k.streams.tail(STREAM, after=0)
            assert [c["_id"][-2:] for c in commits] == ["01", "02", "03", "04"]
            assert [c["cmds"] for c in commits] == [["start:c1"], ["gen:c1.1", "gen:c1.2"], ["v"], ["rf"]]
            assert [c["actor"] for c in commits] == ["ann", "system", "ann", "ann"]

    run(story())
