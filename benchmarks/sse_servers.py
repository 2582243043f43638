"""The servers of :mod:`benchmarks.sse` and ``http``, each a process of its own: ours, peers, and a floor.

Ours and the queues follow the same event log on one SQLite file that another process writes.
"""

import asyncio
import contextlib
import os
import resource
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import uvicorn
from starlette.types import Receive, Scope, Send

from cauldron.adapters.sqlite import SqliteStore
from cauldron.api.app import create_app
from cauldron.api.server import config_of, spare_collector
from cauldron.bootstrap import Studio
from cauldron.config import Settings
from cauldron.domain import codec
from cauldron.domain.times import iso
from cauldron.log import set_up_logging
from cauldron.persistence.tables import COOK_EVENTS, TABLES
from cauldron.services.feed_readers import Reader

BACKLOG = 8192
CLIENTS = 20_000  # open streams of the one account that measures
STALLED_S = 5.0


def allow_files() -> None:
    """As many open files as this process may have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def serve(config: uvicorn.Config) -> None:
    """Serve on a free port of loopback; the port is printed when it listens."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", 0))
    config.backlog = BACKLOG
    print(listener.getsockname()[1], flush=True)
    await uvicorn.Server(config).serve([listener])


async def ours(home: Path) -> None:
    """A studio's API, as ``cauldron serve --no-workers`` serves it."""
    studio = Studio(Settings(home=home, processes=1, database_url=os.environ.get("BENCH_DATABASE_URL", "")))
    await studio.open()
    studio.feeds.max_per_account = CLIENTS
    studio.feeds.stalled_s = STALLED_S
    dropped, drop = [0], Reader.drop

    def counted(reader: Reader, reason: str) -> None:
        dropped[0] += 1
        print(f"dropped: {reason}", file=sys.stderr, flush=True)
        drop(reader, reason)

    Reader.drop = counted
    app = create_app(studio)
    spare_collector()
    await serve(config_of(app))


async def queues(home: Path) -> None:
    """The usual way: sse-starlette, and a queue per client that every event is put into."""
    from sse_starlette import EventSourceResponse
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.routing import Route

    store = SqliteStore(home / "cauldron.db")
    await store.open(TABLES)
    listening: dict[str, set[asyncio.Queue[dict[str, str]]]] = {}

    async def follow() -> None:
        async for _, commit in store.watch(COOK_EVENTS):
            if commit is None:
                continue
            for event in codec.unpack(commit)["events"]:
                body = {"type": "cook.reviewed", "topic": commit["stream"], "ts": iso(commit["ts"])}
                text = orjson.dumps(body | {"payload": event["data"]}).decode()
                message = {"id": str(commit["seq"]), "event": "cook.reviewed", "data": text}
                for queue in listening.get(commit["stream"], ()):
                    queue.put_nowait(message)

    async def stream(request: Request) -> EventSourceResponse:
        queue: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        topic = listening.setdefault(f"cook:{request.path_params['id']}", set())
        topic.add(queue)

        async def messages() -> AsyncIterator[dict[str, str]]:
            with contextlib.ExitStack() as stack:
                stack.callback(topic.discard, queue)
                while True:
                    yield await queue.get()

        return EventSourceResponse(messages())

    following = asyncio.create_task(follow())
    app = Starlette(routes=[Route("/api/v1/cooks/{id}/stream", stream)])
    await serve(uvicorn.Config(app, lifespan="off", log_level="warning", access_log=False))
    following.cancel()


async def bare(home: Path) -> None:
    """The floor: an application that answers everything with the same bytes, behind the same server."""
    body = orjson.dumps({"state": "Cooking", "said": "x" * 700})
    length = str(len(body)).encode()
    start = {
        "type": "http.response.start", "status": 200,
        "headers": [(b"content-type", b"application/json"), (b"content-length", length)],
    }  # fmt: skip

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start)
        await send({"type": "http.response.body", "body": body})

    await serve(config_of(app))


SERVERS = {"ours": ours, "queues": queues, "bare": bare}

if __name__ == "__main__":
    allow_files()
    kind, folder = sys.argv[1:]
    set_up_logging("info" if kind == "ours" else "error")  # as `cauldron serve` does
    import uvloop

    uvloop.run(SERVERS[kind](Path(folder)))
