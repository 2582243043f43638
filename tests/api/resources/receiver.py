"""A server on loopback that receives callbacks, and behaves as badly as it is told to."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class Received:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Receiver:
    """``manner`` is a status to answer with, or slow, endless, redirect, silent or junk."""

    manner: int | str = 204
    port: int = 0
    got: list[Received] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?token=1"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._one(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = dict(_header(line) for line in head[1:] if line)
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.got.append(Received(head[0].split(" ")[1], headers, body))
        manner = self.manner
        if manner == "silent":
            return
        if manner == "slow":
            await asyncio.sleep(30)
        if manner == "junk":
            writer.write(b"\x00\xff" * 200)
            return
        if manner == "endless":
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
            for _ in range(400):
                writer.write(chunk)
                await writer.drain()
            return
        if manner == "redirect":
            writer.write(b"HTTP/1.1 307 X\r\nLocation: http://127.0.0.1:%d/other\r\n" % self.port)
        else:
            writer.write(f"HTTP/1.1 {manner} X\r\n".encode())
        writer.write(b"Content-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()


def _header(line: str) -> tuple[str, str]:
    name, _, value = line.partition(": ")
    return name.lower(), value


@asynccontextmanager
async def receiving(manner: int | str = 204) -> AsyncIterator[Receiver]:
    """A receiver while the block runs."""
    receiver = Receiver(manner)
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
