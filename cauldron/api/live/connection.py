"""What uvicorn does not offer by itself: ending a connection whose peer does not read.

Closing a transport waits until everything is sent, which may be never; aborting it does
not. ``cauldron serve`` runs uvicorn with :class:`AbortableHttp`.
"""

import contextlib
import os
import socket
from collections.abc import Callable
from typing import Any, cast

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

ABORT = "cauldron.abort"
UNREAD_BYTES = 64 * 1024  # of a stream that the kernel keeps for a client; the default is megabytes
MAX_MESSAGE_BYTES = 64 * 1024  # of a WebSocket


class AbortableHttp(HttpToolsProtocol):
    """HTTP/1.1 whose applications may end their connection at once."""

    gone: Callable[[], None] | None = None  # told when the client has gone

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell who streams that nobody listens any more."""
        super().connection_lost(exc)
        if self.gone is not None:
            self.gone()
            self.gone = None

    def on_message_begin(self) -> None:
        """Offer the way out with the scope of each request."""
        super().on_message_begin()
        transport = self.transport
        self.scope.setdefault("extensions", {})[ABORT] = {
            "abort": transport.abort,
            "transport": transport,
            "protocol": self,
        }


class AbortableWebSocket(WebSocketsSansIOProtocol):
    """The same for WebSockets."""

    def handle_connect(self, event: Any) -> None:
        """Offer the way out; the application starts with the next turn of the loop."""
        super().handle_connect(event)
        scope = getattr(self, "scope", None)
        if scope is not None:
            scope["extensions"][ABORT] = {"abort": self.transport.abort, "transport": self.transport}


# What uvicorn's Config is to be given: compression of messages would cost each connection 300 kB.
PROTOCOLS: dict[str, Any] = {
    "http": AbortableHttp,
    "ws": AbortableWebSocket,
    "ws_max_size": MAX_MESSAGE_BYTES,
    "ws_per_message_deflate": False,
}


def abort_of(scope: Scope) -> Callable[[], None] | None:
    """What ends this connection at once, if the server offers it."""
    found = (scope.get("extensions") or {}).get(ABORT)
    return cast(Callable[[], None], found["abort"]) if found else None


def when_gone(scope: Scope, tell: Callable[[], None]) -> bool:
    """Have ``tell`` called when the client has gone; False when the server offers no such thing."""
    found = (scope.get("extensions") or {}).get(ABORT)
    if not found or "protocol" not in found:
        return False
    found["protocol"].gone = tell
    if found["transport"].is_closing():  # it went meanwhile
        tell()
    return True


def keep_little(scope: Scope) -> None:
    """Have the kernel hold little for this connection, so that a client that does not read is noticed,
    and send at once what there is."""
    found = (scope.get("extensions") or {}).get(ABORT)
    handle = found and found["transport"].get_extra_info("socket")
    if handle:
        copy = socket.socket(fileno=os.dup(handle.fileno()))  # a pseudo-socket of uvloop sets no options
        with copy:
            copy.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, UNREAD_BYTES)
            with contextlib.suppress(OSError):  # a Unix socket
                copy.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
