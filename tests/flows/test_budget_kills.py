"""The marks of a budget are told exactly once, wherever the process dies that tells them."""

import asyncio
import signal

import pytest

from cauldron.domain.commands import ResumeCook
from cauldron.services.projecting import stream_of
from tests.flows.killable_budget import (
    HALF,
    MARKS,
    PIECE_MICRO_USD,
    Doomed,
    begin,
    mark_of,
    preload,
)
from tests.kitchen import engine, kitchen

preload()
CAP = 40 * PIECE_MICRO_USD
HIGHER = 100 * PIECE_MICRO_USD
BUDGET = {"microUsd": CAP, "pieceMicroUsd": PIECE_MICRO_USD, "exact": True}
PIECES = 120


async def told(k, cook_id):
    """The marks of a cook in the order of its log."""
    found = []
    async for page in k.streams.read(stream_of(cook_id)):
        events = [event for commit in page for event in commit["events"]]
        found += [mark_of(e) for e in events if e["type"] in ("BudgetReached", "BudgetExhausted")]
    return found


async def rests(k, cook_id):
    [doc] = await k.store.get("cook_status", [cook_id])
    return doc is not None and doc["state"] == "Paused"


async def turn(k, folder, cook_id, fate, *, forgets):
    """Let a process work until it has died or the cook rests; whether it died of its fate."""
    process = begin(folder, fate, forgets=forgets)
    try:
        async with asyncio.timeout(60):
            while process.exitcode is None and not await rests(k, cook_id):
                await asyncio.sleep(0.01)
        for _ in range(50 if fate.percent else 0):  # its point may lie behind the pause
            if process.exitcode is None:
                await asyncio.sleep(0.01)
        died = process.exitcode is not None
        assert process.exitcode in (None, -signal.SIGKILL), (folder / "log").read_text()[-4000:]
    finally:
        process.kill()
        process.join()
    return died


async def make(k, folder, cook_id, nth, *, forgets=False):
    """Make a cook up to its cap, with a death ``nth`` points from each mark on; how many died."""
    deaths = 0
    for fate in (*(Doomed(percent, nth) for percent in MARKS), Doomed()):
        deaths += await turn(k, folder, cook_id, fate, forgets=forgets)
    return deaths


async def check(k, cook_id, *, cap, marks):
    """Every mark is told once, in order; what is spent is the cap, in the log and in the records."""
    assert await told(k, cook_id) == marks
    cook = (await k.load(cook_id)).state
    assert (cook.spending.spent.micro_usd, cook.spending.excess.micro_usd) == (cap, 0)
    assert cook.made == cap // PIECE_MICRO_USD
    assert cook.pause_reason == "budget_exhausted"
    [status] = await k.store.get("cook_status", [cook_id])
    assert status["budget"]["told"] == list(MARKS)
    assert (await k.findings(cook_id)).examples == []


@pytest.mark.parametrize("engine_name", ["sqlite", "mongo"])
@pytest.mark.parametrize(
    ("points", "raises", "least"),
    [
        ((1, 4), False, 5),
        pytest.param(tuple(range(12)), True, 48, marks=pytest.mark.slow),
    ],
    ids=["at some points", "at every point"],
)
def test_marks_are_told_once_wherever_their_teller_dies(run, tmp_path, engine_name, points, raises, least):
    async def story():
        deaths = 0
        async with kitchen(tmp_path) as k:
            for nth in points:
                cook_id = f"c{nth}"
                await k.start(PIECES, cook_id=cook_id, budget=BUDGET)
                deaths += await make(k, tmp_path, cook_id, nth)
                await check(k, cook_id, cap=CAP, marks=[*MARKS])
                if raises:
                    resume = ResumeCook(key=f"r{nth}", budget={"microUsd": HIGHER})
                    await k.give(resume, cook_id=cook_id)
                    deaths += await make(k, tmp_path, cook_id, nth)
                    await check(k, cook_id, cap=HIGHER, marks=[*MARKS, *MARKS])
        assert deaths >= least
        print(f"{engine_name}: {deaths} deaths around {len(points) * 3 * (1 + raises)} marks")

    with engine(engine_name, tmp_path):
        run(story(), timeout_s=900)


def test_marks_that_a_process_remembers_by_itself_are_told_twice(run, tmp_path):
    """The control: what is told is not read from the log, and who takes over tells it again."""

    async def story():
        async with kitchen(tmp_path) as k:
            await k.start(PIECES, budget=BUDGET)
            assert await make(k, tmp_path, "c1", 1, forgets=True) >= 2
            marks = await told(k, "c1")
            assert marks.count(HALF) > 1 and marks != [*MARKS]

    run(story())
