"""Casts on both transports: the same messages in the order of the log, of runs that work and that break."""

import asyncio
from typing import Any

import orjson
import pytest

from cauldron.domain.commands import EndCast, RecordStep, StartCast, SubmitStep
from cauldron.domain.envelopes import envelopes, heading_of
from cauldron.services.casting import stream_of
from tests.api.live.live_world import Parser, Wire, open_studio, serving
from tests.api.live.test_sse import ENGINES, database
from tests.api.live.test_websocket import opened
from tests.kitchen import step

IDS = {"cookId", "castId", "collectionId", "spellId"}
STEP = {"generationId", "toolId", "toolDisplayName", "status", "error", "durationMs", "costUsd"}
KEYS = {
    "executionStarted": IDS | {"status", "spellName", "spellVersion"},
    "stepUpdate": IDS | STEP | {"step", "index", "steps"},
    "generationUpdate": IDS | STEP | {"outputs"},
    "spellExecutionError": IDS | {"error"},
    "executionFinished": IDS | {"status", "outputs", "error", "costUsd", "pointsSpent"},
}
BROKE = {"code": "broke", "message": "second: it broke", "step": "second"}


async def begin(studio: Any, cast_id: str) -> None:
    """A cast with a log and records, and no job."""
    command = StartCast(
        key=f"cast:{cast_id}", cast_id=cast_id, spell_id="s1", spell_name="Two", spell_version="3",
        config_hash="0" * 64, owner=studio.owner, payer_account_id=studio.owner, inputs={}, credit_tx_id="t",
    )  # fmt: skip
    await tell(studio, cast_id, command)


async def tell(studio: Any, cast_id: str, *commands: Any) -> None:
    await studio.casting.casts.handle_many(stream_of(cast_id), commands, actor="system")
    await studio.casting.project(cast_id)


async def go_on(studio: Any, cast_id: str, *, breaks: bool) -> None:
    """A step that is told of when it ends, one that is told of with the end of the cast."""
    first = step({"attempt": 1}, step="first")
    second = step({"attempt": 1}, step="second", status="failed" if breaks else "success")
    await tell(studio, cast_id, SubmitStep(key=f"submit:{cast_id}", step="first", attempt=1))
    await tell(studio, cast_id, RecordStep(key=f"step:{cast_id}:first", record=first))
    end = EndCast(
        key=f"end:{cast_id}",
        status="failed" if breaks else "success",
        steps=[first, second],
        outputs={} if breaks else second["outputs"],
        error=BROKE if breaks else None,
    )
    await tell(studio, cast_id, end)


async def over_sse(port: int, cast_id: str, ready: asyncio.Event) -> list[tuple[str, Any]]:
    wire, parser, found = await Wire.open(port, f"/api/v1/casts/{cast_id}/stream"), Parser(), []
    assert wire.status == 200
    while not found or found[-1][0] != "executionFinished":
        for event in parser.feed(await wire.read()):
            assert event.data["topic"] == f"cast:{cast_id}"
            found.append((event.type, event.data["payload"]))
            ready.set()
    wire.close()
    return found


async def over_websocket(port: int, cast_id: str, ready: asyncio.Event) -> list[tuple[str, Any]]:
    async with opened(port) as client:
        assert (await client.ask("subscribe", {"topic": f"cast:{cast_id}"}))["ok"]
        ready.set()
        await client.until("executionFinished")
    assert {message["topic"] for message in client.messages} == {f"cast:{cast_id}"}
    return [(message["type"], message["payload"]) for message in client.messages]


async def in_the_log(studio: Any, cast_id: str) -> list[tuple[str, Any]]:
    commits = await studio.casting.casts.streams.tail(stream_of(cast_id), after=0)
    heading = heading_of(commits[0])
    said = [each for commit in commits for each in envelopes(heading, commit)]
    return [(each.type, orjson.loads(orjson.dumps(each.payload))) for each in said]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("breaks", [False, True], ids=["works", "breaks"])
@pytest.mark.parametrize("read", [over_sse, over_websocket], ids=["sse", "websocket"])
def test_a_cast_is_told_from_start_to_end(run, home, engine, breaks, read):
    async def story():
        with database(engine) as url:
            async with open_studio(home, url) as studio, serving(studio) as port:
                await begin(studio, "x1")
                ready = asyncio.Event()
                reading = asyncio.create_task(read(port, "x1", ready))
                async with asyncio.timeout(30):
                    await ready.wait()
                    await go_on(studio, "x1", breaks=breaks)
                    snapshot, *told = await reading
                return snapshot, told, await in_the_log(studio, "x1")

    (first, begun), told, log = run(story())
    assert (first, begun["status"]["status"]) == ("snapshot", "running")
    assert told == log[1:]
    assert log[0][0] == "executionStarted"
    for kind, payload in log:
        assert set(payload) == KEYS[kind], kind
        assert (payload["castId"], payload["spellId"], payload["cookId"]) == ("x1", "s1", None)
    error = ["spellExecutionError"] if breaks else []
    steps = ["stepUpdate", "generationUpdate"]
    assert [kind for kind, _ in told] == [*steps, *steps, *error, "executionFinished"]
    assert [p["step"] for kind, p in told if kind == "stepUpdate"] == ["first", "second"]
    end = told[-1][1]
    assert (end["status"], end["error"]) == (("failed", BROKE) if breaks else ("completed", None))
    if breaks:
        assert told[-2][1]["error"] == BROKE


@pytest.mark.parametrize("engine", ENGINES)
def test_who_comes_late_hears_the_whole_cast_from_the_log(run, home, engine):
    """The place before the first message is not known to anybody: the account's topic names the start."""

    async def story():
        with database(engine) as url:
            async with open_studio(home, url) as studio, serving(studio) as port:
                wire, parser, found = await Wire.open(port, "/api/v1/events"), Parser(), []
                while not found:
                    found += parser.feed(await wire.read())
                await begin(studio, "x2")
                await go_on(studio, "x2", breaks=True)
                async with asyncio.timeout(30):
                    while found[-1].type != "executionFinished":
                        found += parser.feed(await wire.read())
                wire.close()
                return [event.type for event in found[1:]], await in_the_log(studio, "x2")

    kinds, log = run(story())
    assert kinds == [kind for kind, _ in log]
    assert kinds[0] == "executionStarted" and "spellExecutionError" in kinds
