"""Casts as graphs: branches side by side, tries per step, cancel, named failures, nothing redone."""

import asyncio

import pytest

from cauldron.bootstrap import TABLES
from cauldron.domain import codec
from cauldron.domain.envelopes import envelopes, heading_of
from cauldron.ports.tools import ToolCall, ToolResult
from cauldron.services.casting import Caller, stream_of
from tests.contracts.conftest import STORES
from tests.flows.killable_casts import Provider, Stage, diamond, wall_ms

ANN = Caller(account="ann")
WORD = {"word": "a"}
MADE = "join(left(begin(a))+right(begin(a)))!"


@pytest.fixture(params=STORES)
def stages(request, tmp_path, run):
    engine = STORES[request.param](tmp_path)

    async def open_one() -> Stage:
        return Stage(await engine.open(*TABLES), tmp_path, lease_ms=30_000)

    yield open_one
    run(engine.close())


async def commits(stage: Stage, cast_id: str) -> list[dict]:
    return [c async for page in stage.casting.casts.streams.read(stream_of(cast_id)) for c in page]


async def outputs_of(stage: Stage, cast_id: str) -> list[dict]:
    where = {"castId": cast_id}
    return await stage.store.find("generationOutputs", where, order=("castId",), limit=100)


async def check_totals(stage: Stage, record: dict) -> None:
    """The parent says what its children say."""
    outputs = await outputs_of(stage, record["_id"])
    assert sorted(record["generationIds"]) == sorted(o["_id"] for o in outputs)
    assert record["generationCount"] == len(outputs)
    assert record["costUsd"] == pytest.approx(sum(o["costUsd"] for o in outputs))


def test_branches_run_side_by_side_and_every_step_is_recorded(run, stages):
    async def story():
        stage = await stages()
        async with stage.at_work():
            started = await stage.casting.start(diamond(), WORD, caller=ANN)
            record = await stage.ended(started["runId"])
        assert (record["status"], record["outputs"]) == ("completed", {"text": MADE})
        await check_totals(stage, record)
        by_step = {o["step"]: o for o in await outputs_of(stage, record["_id"])}
        assert by_step["left"]["requestTimestamp"] <= by_step["right"]["responseTimestamp"]
        assert by_step["right"]["requestTimestamp"] <= by_step["left"]["responseTimestamp"]
        assert by_step["left"]["externalRunId"]
        assert sorted(stage.provider.told("begun")) == ["test.begin", "test.join", "test.left", "test.right"]

    run(story())


class Meeting(Provider):
    """Neither branch ends before the other one has begun: one after the other they would wait for ever."""

    async def poll(self, call: ToolCall) -> ToolResult:
        if call.tool.id in ("test.left", "test.right") and not {"test.left", "test.right"} <= set(
            self.told("begun")
        ):
            return ToolResult(status="dispatched", run_id=call.run_id, wake_after_s=0.005)
        return await super().poll(call)


def test_branches_that_wait_for_one_another_both_end(run, stages):
    async def story():
        stage = await stages()
        stage.provider = Meeting(stage.folder)
        async with stage.at_work():
            started = await stage.casting.start(diamond(), WORD, caller=ANN)
            record = await stage.ended(started["runId"])
        assert (record["status"], record["outputs"]) == ("completed", {"text": MADE})

    run(story())


def test_the_parent_is_brought_up_to_date_as_steps_end(run, stages):
    async def story():
        stage = await stages()
        stage.provider.hangs = {"test.join"}
        async with stage.at_work():
            started = await stage.casting.start(diamond(), WORD, caller=ANN)
            async with asyncio.timeout(10):
                while (await stage.casting.get(started["runId"]))["generationCount"] < 3:
                    await asyncio.sleep(0.01)
            record = await stage.casting.get(started["runId"])
            assert (record["status"], record["costUsd"]) == ("running", pytest.approx(0.003))
            await check_totals(stage, record)
            stage.provider.hangs = set()
            record = await stage.ended(started["runId"])
        await check_totals(stage, record)
        assert record["costUsd"] == pytest.approx(0.004)

    run(story())


def test_followers_hear_of_every_step_once_while_it_happens(run, stages):
    async def story():
        stage = await stages()
        async with stage.at_work():
            started = await stage.casting.start(diamond(), WORD, caller=ANN)
            await stage.ended(started["runId"])
        found = await commits(stage, started["runId"])
        heading = heading_of(found[0])
        told = [envelopes(heading, codec.unpack(c)) for c in found]
        steps = [(at, e.payload) for at, each in enumerate(told) for e in each if e.type == "stepUpdate"]
        assert [p["index"] for _, p in steps] == [0, 1, 2, 3, 4]
        assert steps[0][0] < steps[3][0] < len(told)  # not all in the last commit
        ids = [p["generationId"] for _, p in steps]
        assert sorted(ids) == sorted(o["_id"] for o in await outputs_of(stage, started["runId"]))

    run(story())


def test_a_step_is_tried_again_and_the_others_are_not(run, stages):
    async def story():
        stage = await stages()
        stage.provider.fails = {"test.left": 2, "test.join": 1}
        async with stage.at_work():
            started = await stage.casting.start(diamond(), WORD, caller=ANN)
            record = await stage.ended(started["runId"])
        assert (record["status"], record["outputs"]) == ("completed", {"text": MADE})
        begun = stage.provider.told("begun")
        assert {t: begun.count(t) for t in begun} == {
            "test.begin": 1,
            "test.left": 3,
            "test.right": 1,
            "test.join": 2,  # tries are counted per step: three of left leave join its own
        }
        await check_totals(stage, record)

    run(story())


def test_a_failure_names_its_step_and_what_was_under_way_still_ends(run, stages):
    async def story():
        stage = await stages()
        stage.provider.for_good = {"test.left"}
        async with stage.at_work():
            started = await stage.casting.start(diamond(), WORD, caller=ANN)
            record = await stage.ended(started["runId"])
        assert record["status"] == "failed"
        assert record["error"] == {"code": "broke", "message": "left: it broke", "step": "left"}
        steps = {o["step"]: o["status"] for o in await outputs_of(stage, record["_id"])}
        assert steps == {"begin": "success", "left": "failed", "right": "success"}
        await check_totals(stage, record)

    run(story())


def test_a_step_that_never_ends_times_out_and_its_provider_is_told(run, stages):
    async def story():
        stage = await stages()
        stage.provider.hangs, stage.grace_s = {"test.right"}, 0.0
        slow = diamond(timeout_s=0.2)
        async with stage.at_work():
            started = await stage.casting.start(slow, WORD, caller=ANN)
            record = await stage.ended(started["runId"], within_s=40)
        assert record["error"]["code"] == "timeout"
        assert record["error"]["step"] == "right"
        assert stage.provider.told("cancelled") == ["test.right"] * 3

    run(story(), timeout_s=90)


def test_a_cancelled_cast_stops_and_its_provider_is_told(run, stages):
    async def story():
        stage = await stages()
        stage.provider.hangs = {"test.left", "test.right"}
        async with stage.at_work():
            started = await stage.casting.start(diamond(), WORD, caller=ANN)
            async with asyncio.timeout(10):
                while len(stage.provider.told("begun")) < 3:
                    await asyncio.sleep(0.01)
            await asyncio.sleep(0.05)
            await stage.casting.cancel(started["runId"], actor="ann")
            async with asyncio.timeout(10):
                while len(stage.provider.told("cancelled")) < 2:
                    await asyncio.sleep(0.01)
            record = await stage.casting.get(started["runId"])
        assert record["status"] == "cancelled"
        assert sorted(stage.provider.told("cancelled")) == ["test.left", "test.right"]
        assert "test.join" not in stage.provider.told("begun")
        await check_totals(stage, record)

    run(story())


def test_steps_found_in_the_cache_are_free(run, stages):
    async def story():
        stage = await stages()
        cached = diamond(deterministic=True)
        async with stage.at_work():
            first = await stage.casting.start(cached, WORD, caller=ANN)
            await stage.ended(first["runId"])
            again = await stage.casting.start(cached, WORD, caller=ANN)
            record = await stage.ended(again["runId"])
        assert record["costUsd"] == 0
        assert all(o["cached"] for o in await outputs_of(stage, record["_id"]))
        assert len(stage.provider.told("begun")) == 4
        await check_totals(stage, record)

    run(story())


def test_immediate_steps_are_not_noted_one_by_one(run, stages):
    """Fast local steps cost one commit at the start and one at the end."""

    async def story():
        stage = await stages()
        local = diamond(adapter="local", deterministic=True)
        before = wall_ms()
        async with stage.at_work():
            started = await stage.casting.start(local, WORD, caller=ANN)
            await stage.ended(started["runId"])
        types = [e["type"] for c in await commits(stage, started["runId"]) for e in c["events"]]
        if wall_ms() - before < 250:
            assert types == ["CastStarted", "CastCompleted"]

    run(story())
