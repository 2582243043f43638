"""A stream that is written straight to its connection, without a task of its own.

Thousands of clients wait most of the time. Once the head of the answer is sent, the
connection is taken over from the server's protocol: what is new is made into one chunk
for all clients at the same point, and written to each as it is woken. A task is only
there for as long as a reader must ask the log.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from starlette.types import Scope

from cauldron.api.live.connection import ABORT
from cauldron.domain.errors import CauldronError
from cauldron.services.feed_readers import News, Over, Reader
from cauldron.services.feed_rings import Cursor

log = structlog.get_logger("cauldron.live")
END = b"0\r\n\r\n"  # of a chunked answer
Render = Callable[[News, Sequence[Cursor]], bytes]  # a whole chunk
Goodbye = Callable[[str], bytes]  # the last event, by reason


def chunk(data: bytes) -> bytes:
    """A part of a chunked answer (RFC 9112, 7.1); nothing for nothing, which would be its end."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


class DirectStream(asyncio.Protocol):
    """The protocol of a connection that only streams from here on."""

    __slots__ = ("_again", "_closed", "_goodbye", "_heartbeat", "_leave", "_paused", "_peers", "_reader",
                 "_render", "_task", "_transport")  # fmt: skip

    def __init__(
        self, reader: Reader, *, render: Render, goodbye: Goodbye, heartbeat: bytes, leave: Callable[[], None]
    ) -> None:
        self._reader = reader
        self._render, self._goodbye, self._heartbeat, self._leave = render, goodbye, heartbeat, leave
        self._task: asyncio.Task[None] | None = None
        self._again = self._paused = self._closed = False

    def take_over(self, scope: Scope, first: bytes) -> bool:
        """Write to the connection of a request whose answer has begun; False where that cannot be had."""
        offered: dict[str, Any] = (scope.get("extensions") or {}).get(ABORT) or {}
        server: Any = offered.get("protocol")
        cycle = getattr(server, "cycle", None)
        if cycle is None or not cycle.chunked_encoding:  # HTTP/1.0, or the client has asked for more already
            return False
        transport: Any = offered["transport"]
        if cycle.disconnected or transport.is_closing():
            self._leave()
            return True
        cycle.disconnected = True  # for the server this request is over
        self._peers, self._transport = server.connections, transport
        self._peers.discard(server)
        self._peers.add(self)  # it waits for these when it shuts down
        transport.set_protocol(self)
        transport.set_write_buffer_limits(high=0)  # a client that does not read is noticed at once
        transport.resume_reading()  # or nobody would notice that it has gone
        self._reader.sink, self._reader.task = self.wake, None
        self._write(chunk(first))
        self.wake()
        return True

    def wake(self) -> None:
        """Something may be new, or the stream is to end."""
        reader = self._reader
        if self._task is not None:
            self._again = True
        elif not self._paused or reader.ended:
            self._tell()

    def _tell(self) -> None:
        """Write what is at hand; a task asks the log for the rest."""
        reader = self._reader
        try:
            news, behind = reader.at_hand()
        except Over as over:
            self._end(over.reason)
            return
        if news:
            self._write(self._render(news, reader.cursors))
        elif reader.heartbeat_due:
            self._write(self._heartbeat)
        reader.heartbeat_due = False
        if behind and not self._closed:
            self._task = asyncio.create_task(self._catch_up())

    async def _catch_up(self) -> None:
        """Read the log until everything is at hand, or the client reads no more."""
        try:
            while not self._paused and not self._closed:
                self._again = False
                news = await self._reader.look()
                if news:
                    self._write(self._render(news, self._reader.cursors))
                elif not self._again:
                    break
        except Over as over:
            self._end(over.reason)
        except CauldronError as failure:  # the store is away: the client comes back and goes on
            log.warning("stream ended", code=failure.code, account=self._reader.who.account)
            self._end("unavailable")
        except Exception:
            log.exception("stream broke", account=self._reader.who.account)
            self._end("unavailable")
        finally:
            self._task = None
        if self._again or self._reader.ended:
            self.wake()

    def _write(self, data: bytes) -> None:
        if data and not self._closed:
            self._reader.spoke_at = asyncio.get_running_loop().time()
            self._transport.write(data)

    def _end(self, reason: str) -> None:
        """Say goodbye, unless it was the client that went."""
        if self._closed:
            return
        if reason != "left":
            self._write(chunk(self._goodbye(reason)) + END)
        self._closed = True
        self._transport.close()

    def pause_writing(self) -> None:
        """The client has not read what it was sent."""
        self._paused = True
        self._reader.sending_since = asyncio.get_running_loop().time()

    def resume_writing(self) -> None:
        """It has now."""
        self._paused = False
        self._reader.sending_since = None
        self.wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody listens any more."""
        self._closed = True
        self._peers.discard(self)
        self._reader.sink = None
        if self._task is not None:
            self._task.cancel()
        self._leave()

    def shutdown(self) -> None:
        """The server ends: called as on its own connections."""
        self._reader.end("shutdown")
