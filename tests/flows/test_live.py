"""Live progress of a cook whose pieces another process makes, with the server restarted in between."""

import asyncio
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
import pytest

from cauldron import client as api
from cauldron.bootstrap import Studio
from cauldron.domain.envelopes import envelopes, heading_of
from cauldron.services.projecting import stream_of
from tests.api.live.live_world import open_studio, until
from tests.flows.commands import COMMAND, Shell
from tests.mongod import database, free_ports

COLLECTION = {
    "cauldron": 1,
    "name": "Counted",
    "supply": 400,
    "generator": {"tool": "text.template", "inputs": {"template": "No. [[Serial]]"}},
    "categories": [{"name": "Serial", "range": {"from": 1, "to": 500}}],
}


@contextmanager
def running(shell: Shell, *words: str) -> Iterator[subprocess.Popen[str]]:
    """A command that runs until the block ends."""
    process = subprocess.Popen(
        [*COMMAND, *words],
        cwd=shell.cwd,
        env=shell.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


@contextmanager
def server(shell: Shell, port: int) -> Iterator[str]:
    """``cauldron serve --no-workers`` on a port; its address."""
    with running(shell, "serve", "--no-workers", "--port", str(port), "--json") as process:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["url"]


async def follow(address: str, cook: str, told: list[Any], begun: asyncio.Event) -> None:
    """Write down the log as the stream tells it, until the cook is complete."""
    async with api.AsyncClient(address) as studio:
        async for event in studio.cooks.stream(cook):
            assert event.type != "reset"
            begun.set()
            if event.type not in ("snapshot", "generationProgress"):
                told.append([event.type, event.payload])
            if event.type == "cook.completed":
                return


async def log_of(studio: Studio, cook: str) -> list[Any]:
    """What streams tell of the whole log, as JSON."""
    commits = await studio.cook_streams.tail(stream_of(cook), after=0)
    heading = heading_of(commits[0])
    assert heading is not None
    return [
        [each.type, json.loads(orjson.dumps(each.payload))]
        for commit in commits
        for each in envelopes(heading, commit)
    ]


@pytest.mark.parametrize("engine", ["sqlite", "mongo"])
def test_a_stream_tells_what_a_worker_does_while_the_server_is_away_and_back(run, home, tmp_path, engine):
    """Half of the pieces are made beside the server, half while it is down; the client notices neither."""

    async def story(url: str) -> None:
        shell = Shell(home=home, cwd=tmp_path, settings=(("CAULDRON_DATABASE_URL", url),) if url else ())
        [port] = free_ports(1)
        told, begun = [], asyncio.Event()
        async with open_studio(home, url) as studio:
            with server(shell, port) as address:
                async with api.AsyncClient(address) as client:
                    collection = (await client.collections.create(COLLECTION))["collectionId"]
                    cook = (await client.cooks.start(collection))["cookId"]
                following = asyncio.create_task(follow(address, cook, told, begun))
                await asyncio.wait_for(begun.wait(), 20)
                with running(shell, "worker", "--slots", "2"):
                    await until(lambda: len(told) > 5)
                    await studio.cooking.pause(cook, actor="test")
            await studio.cooking.resume(cook, actor="test")
            with running(shell, "worker", "--slots", "2"):
                while (await studio.cooking.status(cook))["state"] != "Completed":
                    await asyncio.sleep(0.05)
            with server(shell, port):
                await asyncio.wait_for(following, 40)
            log = await log_of(studio, cook)
            assert told == log[2:]  # after CookStarted and PiecesQueued, which the snapshot shows
            assert sum(kind == "generationUpdate" for kind, _ in told) == COLLECTION["supply"]

    if engine == "sqlite":
        run(story(""), timeout_s=150)
    else:
        with database() as url:
            run(story(url), timeout_s=150)
