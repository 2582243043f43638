"""The layer for a studio below a path of a site, such as ``https://site.example/cauldron``."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cauldron.bootstrap import Studio


class SubPath:
    """Takes the setting ``root_path`` off paths, if the proxy has not, and puts it before ``Location``."""

    def __init__(self, app: ASGIApp, studio: Studio) -> None:
        self.app = app
        self.prefix = studio.settings.root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the class."""
        if not self.prefix or scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        scope = {**scope, "path": self._inside(scope["path"])}
        if scope.get("raw_path"):
            scope["raw_path"] = self._inside(scope["raw_path"].decode("latin-1")).encode("latin-1")

        async def leading_back(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [self._led(*pair) for pair in message.get("headers", ())]}
            await send(message)

        await self.app(scope, receive, leading_back)

    def _inside(self, path: str) -> str:
        return path.removeprefix(self.prefix) if path.startswith(f"{self.prefix}/") else path

    def _led(self, name: bytes, value: bytes) -> tuple[bytes, bytes]:
        own = name.lower() == b"location" and value.startswith(b"/") and not value.startswith(b"//")
        return (name, self.prefix.encode() + value) if own else (name, value)
