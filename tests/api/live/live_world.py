"""A studio behind a real server on loopback, cooks whose log is written by hand, and a bare SSE reader."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson
import uvicorn

from cauldron.api.app import create_app
from cauldron.api.live.connection import PROTOCOLS
from cauldron.bootstrap import Studio
from cauldron.config import Settings
from cauldron.domain.commands import RecordPiece, ReviewPieces, StartCook, StopCook
from cauldron.domain.envelopes import envelopes, heading_of
from cauldron.domain.identity import ROLES, Principal
from cauldron.services.projecting import stream_of
from tests.domain.cook_samples import START, failed, made


@asynccontextmanager
async def open_studio(home: Path, database_url: str = "") -> AsyncIterator[Studio]:
    """A studio on a home; several may share one."""
    studio = Studio(Settings(home=home, processes=1, database_url=database_url))
    await studio.open()
    try:
        yield studio
    finally:
        await studio.feeds.close()
        await studio.close()


@asynccontextmanager
async def serving(studio: Studio, port: int = 0) -> AsyncIterator[int]:
    """The API of a studio on a port of loopback."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    config = uvicorn.Config(
        create_app(studio), lifespan="off", log_config=None, timeout_graceful_shutdown=1, **PROTOCOLS
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve([listener]))
    try:
        while not server.started:
            await asyncio.sleep(0.005)
        yield listener.getsockname()[1]
    finally:
        studio.feeds.say_goodbye()
        server.should_exit = True
        with contextlib.suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def buffering(target: int, *, hold_bytes: int) -> AsyncIterator[int]:
    """The port of a proxy that hands answers on in lumps, as some do."""

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, hold: int) -> None:
        held = b""
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 14):
                held += data
                if len(held) >= hold:
                    writer.write(held)
                    await writer.drain()
                    held = b""
            writer.write(held)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", target)
        ways = [
            asyncio.create_task(pass_on(*way)) for way in ((reader, back, 1), (there, writer, hold_bytes))
        ]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for each in ways:
            each.cancel()
        writer.close()
        back.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def start_cook(studio: Studio, cook_id: str = "c1", *, amount: int = 10_000, owner: str = "") -> str:
    """A cook with a log and read models, and no jobs."""
    command: StartCook = replace(
        START, cook_id=cook_id, key=f"start:{cook_id}", amount=amount, owner=owner or studio.owner
    )
    await studio.cooking.command(cook_id, command, actor=studio.owner)
    return cook_id


async def record(studio: Studio, cook_id: str, *pieces: int, broken: bool = False) -> None:
    """Pieces of a cook end, all in one commit."""
    ends: list[RecordPiece] = [(failed if broken else made)(n) for n in pieces]
    ends = [replace(end, key=f"gen:{cook_id}.{end.piece}") for end in ends]
    await studio.cooks.handle_many(stream_of(cook_id), ends, actor="system")


async def review(studio: Studio, cook_id: str, decision: str, *pieces: int) -> None:
    """Somebody decides on pieces."""
    command = ReviewPieces(
        key=f"review:{cook_id}:{time.monotonic_ns()}", decision=decision, pieces=list(pieces)
    )
    await studio.cooks.handle(stream_of(cook_id), command, actor="ann")


async def stop(studio: Studio, cook_id: str, reason: str = "") -> None:
    """The cook ends before all pieces were made."""
    command = StopCook(key=f"stop:{cook_id}:{time.monotonic_ns()}", reason=reason)
    await studio.cooks.handle(stream_of(cook_id), command, actor="ann")


async def owner_key(studio: Studio, *scopes: str) -> tuple[Principal, str, str]:
    """An owner is set up and makes a key: who, the key's id, the key."""
    user = await studio.identity.users.set_up("ann", "a long enough secret 9")
    who = Principal(account=user["account"], user=user["_id"], scopes=ROLES["owner"], via="session")
    key, text = await studio.identity.keys.create(who, label="tests", scopes=scopes or None)
    return who, key["_id"], text


async def expected(studio: Studio, cook_id: str) -> list[tuple[str, Any]]:
    """What a stream must have told, read from the log itself: type and payload of every message."""
    commits = await studio.cook_streams.tail(stream_of(cook_id), after=0)
    heading = heading_of(commits[0])
    assert heading is not None
    return [
        (each.type, orjson.loads(orjson.dumps(each.payload)))
        for commit in commits
        for each in envelopes(heading, commit)
    ]


async def until(holds: Callable[[], bool], within_s: float = 20.0) -> None:
    """Wait for it."""
    async with asyncio.timeout(within_s):
        while not holds():
            await asyncio.sleep(0.01)


@dataclass(slots=True)
class Event:
    """One server-sent event."""

    type: str
    id: str  # in force after it
    data: Any
    own_id: bool


@dataclass(slots=True)
class Parser:
    """Bytes to events: only whole events count, as in a browser."""

    last_id: str = ""
    retry_ms: int = 0
    comments: int = 0
    _rest: bytes = b""
    raw: bytearray = field(default_factory=bytearray)

    def feed(self, data: bytes) -> list[Event]:
        """The events that are complete now."""
        self.raw += data
        *blocks, self._rest = (self._rest + data).split(b"\n\n")
        return [event for block in blocks if (event := self._event(block)) is not None]

    def _event(self, block: bytes) -> Event | None:
        fields: dict[str, str] = {}
        for line in block.decode().split("\n"):
            name, _, value = line.partition(":")
            if not name:
                self.comments += 1
                continue
            fields[name] = value.removeprefix(" ")
        if "retry" in fields:
            self.retry_ms = int(fields["retry"])
        if "id" in fields:
            self.last_id = fields["id"]
        if "data" not in fields:
            return None
        data = orjson.loads(fields["data"])
        return Event(fields.get("event", "message"), self.last_id, data, "id" in fields)


class Wire:
    """One connection that reads a stream, byte by byte if need be."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.status, self.headers = 0, {}
        self._chunk = 0  # bytes left of the chunk that is being read

    @classmethod
    async def open(
        cls, port: int, path: str, *, last_id: str = "", headers: dict[str, str] | None = None
    ) -> "Wire":
        """Ask for a stream and read the head of the answer."""
        wire = cls(*await asyncio.open_connection("127.0.0.1", port))
        lines = [
            f"GET {path} HTTP/1.1",
            "Host: 127.0.0.1",
            *(f"{k}: {v}" for k, v in (headers or {}).items()),
        ]
        if last_id:
            lines.append(f"Last-Event-ID: {last_id}")
        wire.writer.write("\r\n".join([*lines, "", ""]).encode())
        head = await wire.reader.readuntil(b"\r\n\r\n")
        first, *rest = head.decode().split("\r\n")
        wire.status = int(first.split()[1])
        wire.headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in rest if line)}
        return wire

    async def read(self, limit: int = 1 << 16) -> bytes:
        """Some bytes of the body; empty at its end."""
        if "content-length" in self.headers:
            return await self.reader.read(limit)
        while self._chunk == 0:
            line = await self.reader.readline()
            if not line:
                return b""
            if line.strip():
                self._chunk = int(line, 16)
                if self._chunk == 0:
                    return b""
        data = await self.reader.read(min(limit, self._chunk))
        self._chunk -= len(data)
        return data

    def close(self) -> None:
        """Cut the connection."""
        self.writer.transport.abort()
