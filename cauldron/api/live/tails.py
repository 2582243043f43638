"""The outermost layer: answers that go on for hours are sent from here, with nothing else around them.

An endpoint that streams begins its answer behind all layers, then leaves its *tail* in the
request's state and returns. The frames of the layers are let go, a few tens of kilobytes
for each of thousands of clients, and what follows does not pass through them.
"""

import contextlib
from collections.abc import Awaitable, Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cauldron.bootstrap import Studio

TAIL = "tail"
Tail = Callable[[Receive, Send], Awaitable[None]]


class Tails:
    """Sends the tail of an answer, if its endpoint left one."""

    def __init__(self, app: ASGIApp, studio: Studio) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the class."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        state[TAIL] = None
        await self._app(scope, receive, send)
        tail: Tail | None = state.pop(TAIL, None)
        if tail is None:
            return
        if scope["method"] != "HEAD":
            await tail(receive, send)
            return
        with contextlib.suppress(_HeadOnly):
            await tail(receive, _refuse)
        await send({"type": "http.response.body", "body": b""})


class _HeadOnly(Exception):
    """Whoever asks for the head of an answer gets none of its events."""


async def _refuse(message: Message) -> None:
    raise _HeadOnly
