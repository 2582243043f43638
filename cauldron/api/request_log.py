"""The outermost layer: an id for every request, one log line and one count at its end."""

import re
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cauldron.bootstrap import Studio

log = structlog.get_logger("cauldron.request")
SANE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{7,63}")
OPEN = "switching"  # a WebSocket that was accepted
UNROUTED = "(none)"  # the template of a request that no route takes
PATHS: dict[object, str] = {}  # endpoint -> template, of routes that do not leave their own in the scope
NAMES = {"cook_id": "cook_id", "cast_id": "cast_id", "piece_id": "piece_id", "output_id": "generation_id"}
STREAMS = {"/api/v1/cooks/{id}/stream": "cook_id", "/api/v1/casts/{id}/stream": "cast_id"}


@dataclass(slots=True)
class _Seen:
    """What went out for one request."""

    status: int | str = 0
    size_bytes: int = 0


class RequestLog:
    """Gives requests their id, tells the log about them and counts them.

    A sane ``X-Request-Id`` that comes in is kept; every answer carries the id.
    Paths are logged as route templates and query strings never: both may hold secrets.
    """

    def __init__(self, app: ASGIApp, studio: Studio) -> None:
        self._app = app
        self._studio = studio

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the class."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        request_id = incoming_id(scope) or self._studio.new_id()
        scope.setdefault("state", {})["request_id"] = request_id
        header = (b"x-request-id", request_id.encode())
        seen = _Seen()

        async def noting(message: Message) -> None:
            kind = message["type"]
            if kind == "http.response.start":
                seen.status = message["status"]
                message["headers"] = [*message.get("headers", ()), header]
            elif kind == "http.response.body":
                seen.size_bytes += len(message.get("body", b""))
            elif kind == "websocket.accept":
                seen.status = OPEN
            elif kind == "websocket.http.response.start":
                seen.status = message["status"]
            elif kind == "websocket.close" and not seen.status:
                seen.status = 403  # what a server makes of it before the connection is open
            await send(message)

        start = perf_counter()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        try:
            with self._studio.tracer.span("request", id=request_id, method=scope.get("method", "WEBSOCKET")):
                await self._app(scope, receive, noting)
        finally:
            self._tell(scope, seen, seconds=perf_counter() - start)
            structlog.contextvars.unbind_contextvars("request_id", "cook_id", "cast_id")

    def _tell(self, scope: Scope, seen: _Seen, *, seconds: float) -> None:
        method = scope.get("method", "WEBSOCKET")
        route = template_of(scope)
        status = str(seen.status)
        self._studio.metrics.add("cauldron_http_requests_total", method=method, route=route, status=status)
        if seen.status != OPEN:
            self._studio.metrics.observe("cauldron_http_request_seconds", seconds, method=method, route=route)
        principal = scope["state"].get("principal")
        tell = log.error if status.startswith("5") else log.info
        tell(
            "request",
            method=method,
            route=route,
            status=seen.status,
            ms=round(seconds * 1000, 2),
            size_bytes=seen.size_bytes,
            account=principal.account if principal is not None else None,
            **_names(scope, route),
        )


def incoming_id(scope: Scope) -> str | None:
    """The request id that came in, if it is sane: 8 to 64 letters, digits, dots, dashes."""
    found = [value for name, value in scope["headers"] if name == b"x-request-id"]
    if len(found) != 1 or len(found[0]) > 64:
        return None
    text = found[0].decode("latin-1")
    return text if SANE.fullmatch(text) else None


def template_of(scope: Scope) -> str:
    """The route's template, ``/api/v1/cooks/{cook_id}``: ids have no place in metrics."""
    path = getattr(scope.get("route"), "path", None) or scope["state"].get("template")
    return path if isinstance(path, str) else PATHS.get(scope.get("endpoint"), UNROUTED)


def _names(scope: Scope, route: str) -> dict[str, Any]:
    """The cook, cast, piece or generation that the path names, as the rest of the log calls them."""
    params = scope.get("path_params") or {}
    if route in STREAMS and "id" in params:
        return {STREAMS[route]: params["id"]}
    return {name: params[key] for key, name in NAMES.items() if key in params}
