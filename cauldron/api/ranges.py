"""Contents sent in parts: one range or several, resumed with If-Range, cut off when nobody listens.

One implementation for stored files and for archives that are put together while they
are sent (RFC 9110 §13 and §14).
"""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from cauldron.api.problems import problem

MAX_RANGES = 8  # more are answered with the whole
CHUNK_BYTES = 256 * 1024
STALLED_S = 60.0  # without a byte taken by the other side

Span = tuple[int, int]  # first byte, one past the last


class Content(Protocol):
    """Bytes of a known number that never change under their entity tag."""

    @property
    def size_bytes(self) -> int: ...

    def read(self, start: int, end: int) -> AsyncIterator[bytes]:
        """The bytes from ``start`` up to before ``end``."""
        ...


class FileContent:
    """A local file that never changes."""

    def __init__(self, path: Path) -> None:
        """Raises OSError when it cannot be looked at."""
        self._path = path
        self._size = path.stat().st_size

    @property
    def size_bytes(self) -> int:
        return self._size

    async def read(self, start: int, end: int) -> AsyncIterator[bytes]:
        """See :class:`Content`."""
        handle = await asyncio.to_thread(os.open, self._path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            while start < end:
                data = await asyncio.to_thread(os.pread, handle, min(CHUNK_BYTES, end - start), start)
                if not data:
                    return
                start += len(data)
                yield data
        finally:
            os.close(handle)


class RangedAnswer(Response):
    """Sends a content, or the parts of it that are asked for."""

    def __init__(self, content: Content, *, etag: str, media_type: str, headers: Mapping[str, str]) -> None:
        """``etag`` is strong, quotes included; ``headers`` go with every answer that has a body."""
        super().__init__(media_type=media_type)
        self._content = content
        self._kept = {**headers, "etag": etag, "accept-ranges": "bytes"}
        self._etag = etag
        self._type = media_type

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        asked, size = Headers(scope=scope), self._content.size_bytes
        if _matches(asked.get("if-none-match"), self._etag):
            await Response(status_code=304, headers=self._kept)(scope, receive, send)
            return
        spans = self._spans(asked, size)
        if spans is None:
            answer = problem(416, "range_not_satisfiable", f"there are {size} bytes", sizeBytes=size)
            answer.headers["content-range"] = f"bytes */{size}"
            await answer(scope, receive, send)
            return
        start, parts = self._head(spans, size)
        await _watched(self._pump(start, parts, _patient(send)), receive)

    def _spans(self, asked: Headers, size: int) -> Sequence[Span] | None:
        """The parts wanted; empty: the whole; None: there are none such."""
        wanted = asked.get("range")
        condition = asked.get("if-range")
        if wanted is None or (condition is not None and condition.strip() != self._etag):
            return ()
        return parse_ranges(wanted, size)

    def _head(self, spans: Sequence[Span], size: int) -> tuple[Message, list[bytes | Span]]:
        """The start of the answer, and what follows: bytes as they are, and spans of the content."""
        headers = dict(self._kept)
        parts: list[bytes | Span]
        if not spans:
            headers |= {"content-type": self._type, "content-length": str(size)}
            parts, status = [(0, size)], 200
        elif len(spans) == 1:
            low, high = spans[0]
            headers |= {"content-type": self._type, "content-length": str(high - low)}
            headers["content-range"] = f"bytes {low}-{high - 1}/{size}"
            parts, status = [spans[0]], 206
        else:
            boundary = secrets.token_hex(13)
            parts, status = _multipart(spans, boundary, size=size, media_type=self._type), 206
            headers["content-type"] = f"multipart/byteranges; boundary={boundary}"
            length = sum(len(p) if isinstance(p, bytes) else p[1] - p[0] for p in parts)
            headers["content-length"] = str(length)
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        return {"type": "http.response.start", "status": status, "headers": raw}, parts

    async def _pump(self, start: Message, parts: Sequence[bytes | Span], send: Send) -> None:
        await send(start)
        for part in parts:
            if isinstance(part, bytes):
                await send({"type": "http.response.body", "body": part, "more_body": True})
                continue
            async for chunk in self._content.read(*part):
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def parse_ranges(text: str, size: int) -> Sequence[Span] | None:
    """Spans of a ``Range`` header, merged and ascending.

    Returns:
        Empty when the header is malformed, of another unit or asks for too many parts:
        then it does not count. None when no part of it lies within ``size`` bytes.
    """
    unit, equals, rest = text.partition("=")
    if not equals or unit.strip().lower() != "bytes" or rest.count(",") >= MAX_RANGES:
        return ()
    spans: list[Span] = []
    for each in rest.split(","):
        span = _span(each.strip(), size)
        if span is None:
            return ()
        if span[0] < span[1]:
            spans.append(span)
    merged: list[Span] = []
    for low, high in sorted(spans):
        if merged and low <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return merged or None


def _span(text: str, size: int) -> Span | None:
    """One span, empty when it lies beyond the end; None: malformed."""
    first, dash, last = text.partition("-")
    if not dash or not all(not n or (n.isascii() and n.isdigit() and len(n) <= 18) for n in (first, last)):
        return None
    if not first:
        return (max(0, size - int(last)), size) if last else None
    if last and int(last) < int(first):
        return None
    return min(int(first), size), min(int(last) + 1, size) if last else size


def _multipart(spans: Sequence[Span], boundary: str, *, size: int, media_type: str) -> list[bytes | Span]:
    parts: list[bytes | Span] = []
    for index, (low, high) in enumerate(spans):
        head = (
            f"{'' if index == 0 else chr(13) + chr(10)}--{boundary}\r\nContent-Type: {media_type}\r\n"
            f"Content-Range: bytes {low}-{high - 1}/{size}\r\n\r\n"
        )
        parts += [head.encode("latin-1"), (low, high)]
    return [*parts, f"\r\n--{boundary}--\r\n".encode("latin-1")]


def _matches(header: str | None, etag: str) -> bool:
    """Whether ``If-None-Match`` names the tag, or everything."""
    if header is None:
        return False
    return any(each.strip().removeprefix("W/") in (etag, "*") for each in header.split(","))


def _patient(send: Send) -> Send:
    """``send`` that gives up on a client that takes nothing."""

    async def bounded(message: Message) -> None:
        async with asyncio.timeout(STALLED_S):
            await send(message)

    return bounded


async def _watched(pump: Coroutine[None, None, None], receive: Receive) -> None:
    """Send until it is all sent or the client has gone; servers do not say so when sending."""
    sending, leaving = asyncio.create_task(pump), asyncio.create_task(_gone(receive))
    try:
        await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
        if sending.done():
            sending.result()
    finally:
        for task in (sending, leaving):
            task.cancel()
        await asyncio.gather(sending, leaving, return_exceptions=True)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
