"""Workers killed at every boundary of a cast: it goes on where it was, and no run is begun twice."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cauldron.bootstrap import TABLES
from cauldron.services.casting import Caller, stream_of
from tests.contracts.conftest import FRESH_STORES
from tests.flows.killable import FORKS, Fate
from tests.flows.killable_casts import Stage, diamond, live, store_at

ANN = Caller(account="ann")
POINTS = tuple(
    f"{when}:{what}"
    for what in ("claim", "cast_events", "casts", "generationOutputs", "submit", "poll", "cast_jobs")
    for when in ("before", "after")
)
MOST_PASSINGS = (
    14  # of one point in one cast: two notes and an end for each of four steps, and the cast's own
)
FEW = (("after", 1), ("before", 2), ("after", 4), ("before", 7))


@pytest.fixture(params=FRESH_STORES)
def place(request, tmp_path, run):
    """(url, folder) of a store that other processes open, too."""
    FORKS.set_forkserver_preload(["tests.flows.killable_casts"])
    engine = FRESH_STORES[request.param](tmp_path)
    run(engine.open(*TABLES))
    yield getattr(engine, "url", "") or str(engine.path), tmp_path
    run(engine.close())


class Stand:
    """Casts carried out by processes that die, one fate after the other."""

    def __init__(self, place: tuple[str, Path]) -> None:
        self.url, self.folder = place
        self.kills = 0
        self.reached: set[str] = set()

    async def __aenter__(self) -> "Stand":
        self.store = store_at(self.url)
        await self.store.open(TABLES)
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self.store.close()

    async def suffer(self, fate: Fate) -> bool:
        """One cast under this fate; whether anybody died of it."""
        room = self.folder / f"{fate.point.replace(':', '-')}-{fate.nth}"
        room.mkdir()
        stage = Stage(self.store, room)
        started = await stage.casting.start(diamond(), {"word": room.name}, caller=ANN)
        doomed = FORKS.Process(target=live, args=(self.url, str(room), fate), daemon=True)
        doomed.start()
        died = await self._dies_or_ends(doomed, stage, started["runId"])
        doomed.kill()
        doomed.join()
        if died:
            self.kills += 1
            self.reached.add(fate.point)
            heir = FORKS.Process(target=live, args=(self.url, str(room), Fate()), daemon=True)
            heir.start()
            await stage.ended(started["runId"])
            heir.kill()
            heir.join()
        await check(stage, started["runId"])
        return died

    async def _dies_or_ends(self, doomed: object, stage: Stage, cast_id: str) -> bool:
        async with asyncio.timeout(30):
            while doomed.exitcode is None:
                if (await stage.casting.get(cast_id))["status"] != "running":
                    await asyncio.sleep(0.1)  # the last boundaries come after the record
                    return doomed.exitcode is not None
                await asyncio.sleep(0.01)
        return True


async def check(stage: Stage, cast_id: str) -> None:
    """Nothing lost, nothing begun twice, the parent as its children."""
    record, w = await stage.casting.get(cast_id), stage.folder.name
    log = (stage.folder / "log").read_text() if (stage.folder / "log").exists() else ""
    assert record["status"] == "completed", (record["error"], log[-3000:])
    assert record["outputs"] == {"text": f"join(left(begin({w}))+right(begin({w})))!"}
    begun = stage.provider.told("begun")
    assert sorted(begun) == ["test.begin", "test.join", "test.left", "test.right"]
    await stage.casting.project(cast_id)
    record = await stage.casting.get(cast_id)
    outputs = await stage.store.find("generationOutputs", {"castId": cast_id}, order=("castId",), limit=50)
    assert sorted(o["step"] for o in outputs) == ["begin", "join", "left", "polish", "right"]
    assert sorted(o["_id"] for o in outputs) == sorted(record["generationIds"])
    assert record["costUsd"] == pytest.approx(sum(o["costUsd"] for o in outputs)) == pytest.approx(0.004)
    ends = [e async for e in events(stage, cast_id)]
    assert ends.count("CastCompleted") == ends.count("CastStarted") == 1
    assert ends.count("CastStepEnded") <= 5


async def events(stage: Stage, cast_id: str) -> AsyncIterator[str]:
    async for page in stage.casting.casts.streams.read(stream_of(cast_id)):
        for commit in page:
            for event in commit["events"]:
                yield event["type"]


def test_a_worker_killed_at_some_boundaries_leaves_nothing_to_be_redone(run, place):
    async def story():
        async with Stand(place) as stand:
            for what in ("cast_events", "submit", "poll"):
                for when, nth in FEW:
                    await stand.suffer(Fate(f"{when}:{what}", nth))
            assert stand.kills >= 10

    run(story(), timeout_s=120)


@pytest.mark.slow
def test_a_worker_killed_at_every_boundary_leaves_nothing_to_be_redone(run, place):
    async def story():
        async with Stand(place) as stand:
            for point in POINTS:
                for nth in itertools.count(1):
                    if nth > MOST_PASSINGS or not await stand.suffer(Fate(point, nth)):
                        break
            print(f"{stand.kills} kills at {len(stand.reached)} points")
            assert stand.kills >= 60
            assert {
                "before:submit",
                "after:submit",
                "before:cast_events",
                "after:cast_events",
            } <= stand.reached

    run(story(), timeout_s=900)
