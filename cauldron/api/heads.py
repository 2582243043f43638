"""HEAD on everything that answers GET: the same headers, no body."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cauldron.bootstrap import Studio


class Heads:
    """Routes see a GET; what they send is cut after its headers, endless streams too."""

    def __init__(self, app: ASGIApp, studio: Studio) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the class."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        cut = asyncio.Event()

        async def only_headers(message: Message) -> None:
            if cut.is_set():
                return
            if message["type"] == "http.response.start":
                scope["method"] = "HEAD"  # the route is found; a server holds a GET to its Content-Length
                await send(message)
            elif message["type"] == "http.response.body":
                cut.set()
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        async def hanging_up() -> Message:
            if cut.is_set():
                return {"type": "http.disconnect"}
            return await receive()

        scope["method"] = "GET"
        try:
            await self._app(scope, hanging_up, only_headers)
        finally:
            scope["method"] = "HEAD"
