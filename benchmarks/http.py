"""Requests against one server process: the status of a cook at work, decisions by the fifty, pages of pieces.

Client and server are processes of their own, on a core each; both engines. There is no peer: the bounds are
the project's own. The status is asked for while another process writes 100 commits a second to its cook.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from benchmarks import harness
from benchmarks.sse import START, errors_of, process
from cauldron.bootstrap import Studio
from cauldron.config import Settings
from cauldron.domain.commands import RecordPiece
from cauldron.services.cooking import Wanted
from cauldron.services.projecting import stream_of
from tests.mongod import database, server

PIECES = int(os.environ.get("HTTP_PIECES", "100000"))
SECONDS = 8.0
DOCUMENT: dict[str, Any] = {
    "cauldron": 1,
    "name": "Many",
    "supply": PIECES,
    "seed": "bench",
    "generator": {"tool": "text.template", "inputs": {"template": "[[Colour]] [[Serial]]"}},
    "categories": [
        {"name": "Colour", "options": [{"name": name} for name in ("red", "green", "blue", "gold")]},
        {"name": "Serial", "range": {"from": 1, "to": max(1000, PIECES)}},
    ],
}


async def prepare(home: Path, url: str) -> str:
    """A cook of which every piece is made, and one that is hot: ``c0``."""
    studio = Studio(Settings(home=home, processes=1, database_url=url))
    await studio.open()
    record = await studio.collecting.save(DOCUMENT, caller=studio.caller)
    cook = (await studio.cooking.start(Wanted(collection_id=record["_id"]), caller=studio.caller)).cook_id
    for first in range(1, PIECES + 1, 500):
        ends = [_made(cook, n) for n in range(first, min(first + 500, PIECES + 1))]
        await studio.cooks.handle_many(stream_of(cook), ends, actor="bench")
    await studio.cooking.project(cook)
    hot = replace(START, key="start:c0", cook_id="c0")
    await studio.cooking.command("c0", hot, actor="bench")
    await studio.close()
    return cook


def _made(cook: str, number: int) -> RecordPiece:
    step: Any = {
        "step": "tool", "toolId": "text.template", "toolVersion": "1.0.0", "toolDisplayName": "Template",
        "status": "success", "startMs": 1, "endMs": 2, "inputs": {}, "outputs": {}, "costMicroUsd": 0,
        "costSource": "tariff", "attempt": 1,
    }  # fmt: skip
    output = {"value": f"piece {number}"}
    return RecordPiece(
        key=f"gen:{cook}.{number}", piece=number, attempt=1, steps=[step], output=output, duration_ms=1
    )


@contextmanager
def served(home: Path, url: str, kind: str = "ours") -> Iterator[int]:
    """The port of a server on the first core."""
    os.environ["BENCH_DATABASE_URL"] = url
    with process("benchmarks.sse_servers", kind, home, core=0) as server:
        assert server.stdout is not None
        yield int(server.stdout.readline())


def ask(port: int, kind: str, cook: str, *, connections: int) -> dict[str, float]:
    """What the client process measured."""
    words = [port, kind, cook, PIECES, connections, SECONDS]
    with process("benchmarks.http_clients", *words, core=1) as client:
        assert client.stdout is not None
        out = client.stdout.readline()
        if not out:
            client.wait(timeout=10)
            raise SystemExit(f"the client failed: {errors_of(client)[-1500:]}")
    return dict(orjson.loads(out))


@contextmanager
def writing(home: Path) -> Iterator[None]:
    """Somebody appends to the hot cook's log."""
    with process("benchmarks.sse_clients", "write", home, 1, 100.0, SECONDS + 3, core=1) as writer:
        assert writer.stdin is not None and writer.stdout is not None
        writer.stdout.readline()
        writer.stdin.write("go\n")
        writer.stdin.flush()
        yield


def measure(engine: str, url: str) -> list[harness.Row]:
    """The three figures on one engine."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        cook = asyncio.run(prepare(home, url))
        os.sync()  # what the kernel has yet to write of that would hold up every commit for half a minute
        with served(home, url) as port:
            ask(port, "page", cook, connections=1)  # once to warm up
            with writing(home):
                status = ask(port, "status", "c0", connections=32)
            page = ask(port, "page", cook, connections=1)
            review = ask(port, "review", cook, connections=1)
        with served(home, url, "bare") as port:
            floor = ask(port, "status", "c0", connections=32)
    print(engine, status, floor, page, review, sep="\n", file=sys.stderr)
    return [
        _row(f"status of a hot cook, {engine}", status["perSecond"], 5000, "must be at least", "requests/s"),
        _row(
            f"status of a hot cook beside a floor, {engine}",
            status["perSecond"],
            floor["perSecond"],
            "uvicorn with an application that always says the same",
            "requests/s",
        ),
        _row(
            f"p99 of a page of 100 from {PIECES} pieces, {engine}", page["p99Ms"], 20, "must be at most", "ms"
        ),
        _row(f"p99 of 50 decisions in one request, {engine}", review["p99Ms"], 20, "must be at most", "ms"),
    ]


def _row(name: str, ours: float, bound: float, said: str, unit: str) -> harness.Row:
    return harness.Row(name=name, ours=ours, peer=bound, peer_name=said, unit=unit)


def main() -> None:
    """Both engines."""
    rows = measure("SQLite", "")
    with server() as nodes, database(nodes) as url:
        rows += measure("MongoDB", url)
    harness.record("http", rows, notes={"pieces": PIECES, "seconds": SECONDS})


if __name__ == "__main__":
    try:
        main()
    except subprocess.TimeoutExpired as late:
        raise SystemExit(f"no answer: {late}") from late
