"""HTTP/1.1 with bounds on what comes before a request: the size of its head and the time it takes."""

import asyncio

import orjson

from cauldron.api.headers import completed
from cauldron.api.live.connection import AbortableHttp

MAX_HEAD_BYTES = 64 * 1024
HEAD_TIME_S = 20.0


class BoundedHttp(AbortableHttp):
    """Refuses heads that are too long, too slow or malformed, with problem documents."""

    _head_bytes = 0
    _in_head = True
    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Expect a head soon."""
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Expect nothing more."""
        self._lose_patience()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what belongs to a head that is not yet whole."""
        if self._in_head:
            self._head_bytes += len(data)
            if self._patience is None:
                self._expect_head()
        super().data_received(data)
        if self._in_head and self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._refuse(431, "headers_too_large", f"the head may have {MAX_HEAD_BYTES} bytes")

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._in_head, self._head_bytes = False, 0
        self._lose_patience()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The next thing is another head."""
        self._in_head = True
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP with a problem document like all others."""
        self._refuse(400, "malformed_request", msg)

    def _expect_head(self) -> None:
        self._patience = self.loop.call_later(HEAD_TIME_S, self._too_slow)

    def _lose_patience(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _too_slow(self) -> None:
        self._patience = None
        if self._in_head and not self.transport.is_closing():
            self._refuse(408, "head_too_slow", f"the head took more than {HEAD_TIME_S:g} s")

    def _refuse(self, status: int, code: str, detail: str) -> None:
        title = {400: "Bad request", 408: "Too slow", 431: "Headers too large"}[status]
        body = orjson.dumps(
            {
                "type": f"urn:cauldron:problem:{code}",
                "title": title,
                "status": status,
                "code": code,
                "detail": detail,
            }
        )
        given = [
            (b"content-type", b"application/problem+json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        head = b"".join(name + b": " + value + b"\r\n" for name, value in completed(given, ()))
        self.transport.write(b"HTTP/1.1 %d %b\r\n%b\r\n%b" % (status, title.encode(), head, body))
        self.transport.close()
