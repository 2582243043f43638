"""Starting, steering and refilling cooks of a collection, through two processes' worth of studios."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from cauldron.bootstrap import Studio
from cauldron.config import Settings
from cauldron.domain.cook_state import State
from cauldron.domain.errors import NotFound, Refused
from cauldron.services.cooking import Cooking, Started, Wanted
from cauldron.services.projecting import stream_of

COLLECTION = {
    "cauldron": 1,
    "name": "Verses",
    "supply": 24,
    "seed": "s",
    "generator": {"tool": "text.template", "inputs": {"template": "[[Who]] [[Does]] [[What]]"}},
    "categories": [
        {"name": "Who", "options": [{"name": n} for n in ("Ann", "Bob", "Cid", "Dot")]},
        {"name": "Does", "options": [{"name": n} for n in ("sees", "eats", "sings")]},
        {"name": "What", "options": [{"name": n} for n in ("rain", "bread", "songs", "stars")]},
    ],
}


@asynccontextmanager
async def studios(home, count: int = 1):
    """Studios on one home; their tools run in one process each."""
    made = [Studio(Settings(home=home, processes=1)) for _ in range(count)]
    for each in made:
        await each.open()
    try:
        yield made
    finally:
        for each in made:
            await each.close()


async def collection_of(studio, **changes) -> str:
    doc = await studio.collecting.save(COLLECTION | changes, caller=studio.caller)
    return doc["_id"]


async def state_of(studio, cook: str) -> State:
    return (await studio.cooks.load(stream_of(cook))).state.state


async def end(studio, cook: str, state: str = "Completed", within_s: float = 30.0):
    async with asyncio.timeout(within_s):
        while (await studio.cooking.status(cook))["state"] != state:
            await asyncio.sleep(0.02)


async def active_cooks(studio) -> list[str]:
    """As the streams say, whatever has been projected yet."""
    cooks = [doc["_id"] for doc in await studio.store.find("cook_status", {})]
    return [cook for cook in cooks if await state_of(studio, cook) in (State.COOKING, State.PAUSED)]


def test_a_collection_is_cooked_and_its_pieces_are_what_the_plan_says(run, home):
    async def story():
        async with studios(home) as [studio]:
            started = await studio.cooking.start(
                Wanted(collection_id=await collection_of(studio)), caller=studio.caller
            )
            async with studio.running():
                await end(studio, started.cook_id)
            pieces = await studio.store.find(
                "pieces", {"cookId": started.cook_id}, order=("cookId", "number")
            )
            assert len(pieces) == 24
            for piece in pieces:
                assert piece["output"]["value"] == " ".join(
                    piece["traits"][n] for n in ("Who", "Does", "What")
                )
            assert len({piece["output"]["value"] for piece in pieces}) == 24

    run(story())


@pytest.mark.parametrize("seeds", [("s", "s"), ("s", "t")], ids=["the same settings", "other seeds"])
def test_two_simultaneous_starts_make_one_active_cook(run, home, seeds):
    async def story():
        async with studios(home, 2) as both:
            collection = await collection_of(both[0])
            wanted = [Wanted(collection_id=collection, amount=5, seed=seed) for seed in seeds]
            starts = [
                each.cooking.start(w, caller=each.caller) for each, w in zip(both, wanted, strict=True)
            ] + [each.cooking.start(w, caller=each.caller) for each, w in zip(both, wanted, strict=True)]
            answers = await asyncio.gather(*starts)
            active = await active_cooks(both[0])
            assert len(active) == 1
            assert {a.cook_id for a in answers} == set(active)
            assert sum(a.fresh for a in answers) == 1
            again = await both[1].cooking.start(wanted[1], caller=both[1].caller)
            assert (again.cook_id, again.fresh) == (active[0], False)

    for _ in range(3):
        run(story())
        for file in home.glob("*.db*"):
            file.unlink()


def test_who_joined_a_cook_that_gave_way_meanwhile_is_answered_with_the_other_one(run, home):
    """The cook is stopped for another one between two steps of a start that joins it."""

    async def story():
        async with studios(home, 2) as [first, second]:
            wanted = Wanted(collection_id=await collection_of(first), amount=5, seed="s")
            begun = await first.cooking.start(wanted, caller=first.caller)

            class Slow(Cooking):
                async def _begin(self, command, *, actor):
                    await second.cooking.stop(begun.cook_id, actor=actor)
                    self.other = await second.cooking.start(replace(wanted, seed="t"), caller=second.caller)
                    return await Cooking._begin(self, command, actor=actor)

            slow = Slow(**{name: getattr(first.cooking, name) for name in Cooking.__dataclass_fields__})
            joined = await slow.start(wanted, caller=first.caller)
            assert joined == Started(cook_id=slow.other.cook_id, fresh=False)
            assert slow.other.fresh

    run(story())


def test_the_same_key_starts_one_cook_even_after_its_end(run, home):
    async def story():
        async with studios(home) as [studio]:
            wanted = Wanted(collection_id=await collection_of(studio), amount=3, key="k")
            first = await studio.cooking.start(wanted, caller=studio.caller)
            async with studio.running():
                await end(studio, first.cook_id)
            again = await studio.cooking.start(wanted, caller=studio.caller)
            assert (again.cook_id, again.fresh) == (first.cook_id, False)

    run(story())


def test_cooks_of_a_collection_use_up_its_rows_without_doubles(run, home):
    async def story():
        async with studios(home) as [studio]:
            collection = await collection_of(studio)
            texts = []
            async with studio.running():
                for amount in (7, 9, None):
                    started = await studio.cooking.start(
                        Wanted(collection_id=collection, amount=amount), caller=studio.caller
                    )
                    assert started.fresh
                    await end(studio, started.cook_id)
                    where = {"cookId": started.cook_id}
                    pieces = await studio.store.find("pieces", where, order=("cookId", "number"))
                    texts += [piece["output"]["value"] for piece in pieces]
            assert len(texts) == len(set(texts)) == 24
            with pytest.raises(Refused, match="rows of the plan"):
                await studio.cooking.start(Wanted(collection_id=collection, amount=1), caller=studio.caller)

    run(story())


def test_an_ended_cook_is_not_resumed_beside_an_active_one(run, home):
    async def story():
        async with studios(home) as [studio]:
            collection = await collection_of(studio)
            first = await studio.cooking.start(
                Wanted(collection_id=collection, amount=5), caller=studio.caller
            )
            await studio.cooking.stop(first.cook_id, actor="ann")
            second = await studio.cooking.start(
                Wanted(collection_id=collection, amount=5), caller=studio.caller
            )
            assert second.cook_id != first.cook_id
            with pytest.raises(Refused, match=second.cook_id):
                await studio.cooking.resume(first.cook_id, actor="ann")
            await studio.cooking.stop(second.cook_id, actor="ann")
            await studio.cooking.resume(first.cook_id, actor="ann")
            assert await active_cooks(studio) == [first.cook_id]

    run(story())


def test_a_start_and_a_resume_at_the_same_moment_leave_one_active_cook(run, home):
    async def story():
        async with studios(home, 2) as both:
            one, two = both
            collection = await collection_of(one)
            first = await one.cooking.start(Wanted(collection_id=collection, amount=2), caller=one.caller)
            for _ in range(5):
                for cook in await active_cooks(one):
                    await one.cooking.stop(cook, actor="ann")
                await asyncio.gather(
                    one.cooking.resume(first.cook_id, actor="ann"),
                    two.cooking.start(Wanted(collection_id=collection, amount=2), caller=two.caller),
                    return_exceptions=True,
                )
                assert len(await active_cooks(one)) == 1

    run(story())


def test_steering_what_does_not_exist(run, home):
    async def story():
        async with studios(home) as [studio]:
            for act in (studio.cooking.pause, studio.cooking.resume, studio.cooking.stop):
                with pytest.raises(NotFound):
                    await act("nobody", actor="ann")
            with pytest.raises(NotFound):
                await studio.cooking.status("nobody")

    run(story())


def test_rejected_pieces_are_rerolled_into_selections_nobody_has(run, home):
    async def story():
        async with studios(home, 2) as both:
            studio, other = both
            collection = await collection_of(studio)
            started = await studio.cooking.start(Wanted(collection_id=collection), caller=studio.caller)
            cook = started.cook_id
            async with studio.running():
                await end(studio, cook)
                rejected = [2, 5, 7, 11, 13, 17]
                await studio.reviewing.review(cook, "reject", pieces=rejected, actor="ann")
                await studio.reviewing.review(cook, "approve", pieces=None, actor="ann")
                # Two people re-roll different pieces at the same moment.
                counts = await asyncio.gather(
                    studio.reviewing.refill(cook, pieces=rejected[:3], actor="ann"),
                    other.reviewing.refill(cook, pieces=rejected[3:], actor="bob"),
                )
                assert counts == [3, 3]
                assert await studio.reviewing.refill(cook, pieces=rejected, actor="ann") == 0
                await end(studio, cook)
            pieces = await studio.store.find("pieces", {"cookId": cook}, order=("cookId", "number"))
            assert len(pieces) == 30
            texts = [piece["output"]["value"] for piece in pieces]
            assert len(set(texts)) == 30, "nor those that were rejected"

    run(story())


def test_cooks_of_one_collection_never_reroll_into_the_same_selection(run, home):
    """48 combinations, 40 of them planned: eight are free, four for either cook."""

    async def story():
        async with studios(home) as [studio]:
            collection, cooks = await collection_of(studio, supply=40), []
            async with studio.running():
                for _ in range(2):
                    wanted = Wanted(collection_id=collection, amount=20)
                    cooks.append((await studio.cooking.start(wanted, caller=studio.caller)).cook_id)
                    await end(studio, cooks[-1])
                for cook in cooks:
                    await studio.reviewing.review(cook, "reject", pieces=[3, 6, 9, 12], actor="ann")
                    assert await studio.reviewing.refill(cook, pieces=None, actor="ann") == 4
                    await end(studio, cook)
            texts = [piece["output"]["value"] for piece in await studio.store.find("pieces", {})]
            assert len(texts) == len(set(texts)) == 48

    run(story())


def test_a_refill_refuses_what_is_not_rejected_before_any_work(run, home):
    async def story():
        async with studios(home) as [studio]:
            started = await studio.cooking.start(
                Wanted(collection_id=await collection_of(studio), amount=3), caller=studio.caller
            )
            for pieces, error in (([1], Refused), ([99], NotFound), ([0], NotFound), (None, Refused)):
                with pytest.raises(error):
                    await studio.reviewing.refill(started.cook_id, pieces=pieces, actor="ann")
            with pytest.raises(NotFound):
                await studio.reviewing.refill("nobody", pieces=[1], actor="ann")

    run(story())


def test_regenerating_keeps_the_selection(run, home):
    async def story():
        async with studios(home) as [studio]:
            started = await studio.cooking.start(
                Wanted(collection_id=await collection_of(studio), amount=4), caller=studio.caller
            )
            cook = started.cook_id
            async with studio.running():
                await end(studio, cook)
                await studio.reviewing.review(cook, "reject", pieces=[3], actor="ann")
                assert await studio.reviewing.refill(cook, pieces=None, actor="ann", same=True) == 1
                await end(studio, cook)
            old, new = await studio.store.get("pieces", [f"{cook}.3", f"{cook}.5"])
            assert (new["slot"], new["traits"]) == (old["slot"], old["traits"])

    run(story())


def test_a_review_key_is_its_cooks_own(run, home):
    async def story():
        async with studios(home) as [studio]:
            cooks = []
            async with studio.running():
                for name in ("One", "Two"):
                    started = await studio.cooking.start(
                        Wanted(collection_id=await collection_of(studio, name=name), amount=2),
                        caller=studio.caller,
                    )
                    cooks.append(started.cook_id)
                for cook in cooks:
                    await end(studio, cook)
            for cook in cooks:
                changed = await studio.reviewing.review(cook, "approve", pieces=[1], actor="ann", key="k")
                assert changed == 1
                assert await studio.reviewing.review(cook, "approve", pieces=[1], actor="ann", key="k") == 1
            status = await studio.cooking.status(cooks[1])
            assert status["approved"] == 1

    run(story())
