"""Every failure as ``application/problem+json`` (RFC 9457) with a stable ``code`` and field paths."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cauldron.api.shapes import PreconditionFailed, PreconditionRequired
from cauldron.bootstrap import Studio
from cauldron.domain.errors import (
    CauldronError,
    Invalid,
    InvalidMany,
    NotFound,
    Refused,
    StaleVersion,
    StorageFull,
    Unavailable,
)
from cauldron.domain.identity import Forbidden, Throttled, Unauthenticated
from cauldron.domain.invoice import InvoiceRejected
from cauldron.domain.ledger import InsufficientPoints
from cauldron.ports.payments import WebhookRejected
from cauldron.services.offering import SpellGone

log = structlog.get_logger("cauldron.api")
BROKEN = "something broke here; the log of the server says more"
MAX_PROBLEMS = 50  # listed of one request
STATUS: tuple[tuple[type[CauldronError], int], ...] = (  # the first that fits
    (Invalid, 422),
    (InsufficientPoints, 402),
    (InvoiceRejected, 403),
    (WebhookRejected, 400),
    (SpellGone, 410),
    (NotFound, 404),
    (Unauthenticated, 401),
    (Forbidden, 403),
    (Throttled, 429),
    (PreconditionFailed, 412),
    (PreconditionRequired, 428),
    (StaleVersion, 409),
    (Refused, 409),
    (StorageFull, 507),
    (Unavailable, 503),
)
TITLES = {
    400: "Bad request", 401: "Not signed in", 402: "Not enough points", 403: "Not allowed", 404: "Not found",
    405: "Method not allowed", 408: "Too slow", 409: "Not possible now", 410: "Gone",
    412: "Changed meanwhile", 413: "Too large", 414: "Address too long", 415: "Unsupported media type",
    416: "No such range", 422: "Not valid", 428: "Version needed", 429: "Too many requests",
    431: "Headers too large", 500: "Something broke", 503: "Not available", 507: "No room",
}  # fmt: skip
CODES = {400: "bad_request", 404: "no_such_route", 405: "method_not_allowed", 413: "body_too_large"}
ANSWERS: Mapping[str, tuple[int, str]] = {  # what is refused before any class of failure has a say
    "bad_request": (400, "The request cannot be understood."),
    "malformed_request": (400, "What came is not HTTP/1.1."),
    "malformed_path": (400, "The path holds a NUL."),
    "malformed_json": (
        400,
        "The body is not JSON (RFC 8259, UTF-8), or an object in it has a name twice.",
    ),
    "json_too_deep": (400, "The body's objects and arrays are nested too deeply."),
    "incomplete_body": (400, "The connection ended before the body did."),
    "malformed_idempotency_key": (400, "The Idempotency-Key is not 1 to 255 printable ASCII characters."),
    "no_such_route": (404, "Nothing is at this address."),
    "method_not_allowed": (405, "The address knows other methods; `Allow` names them."),
    "head_too_slow": (408, "The head of the request did not come in time."),
    "body_too_slow": (408, "The body did not come in time."),
    "body_too_large": (
        413,
        "The body is larger than this route takes; `limitBytes` says how large it may be.",
    ),
    "url_too_long": (414, "The address is too long."),
    "unsupported_media_type": (415, "The route takes another Content-Type."),
    "range_not_satisfiable": (416, "The content ends before the range begins; `sizeBytes` is its length."),
    "invalid_request": (422, "Body, query or path is not what the route takes; `problems` lists why."),
    "rate_limited": (429, "Too many requests in the last minute; `Retry-After` says when to come back."),
    "headers_too_large": (431, "There are too many headers, or they are too long."),
    "internal_error": (500, "Something broke; the log of the server says more under the request's id."),
    "not_ready": (503, "The server cannot work now; `checks` says why."),
    "http_error": (500, "What the client says of an answer that is no problem document, such as a proxy's."),
}


class Rejected(HTTPException):
    """A layer refuses the request; whoever catches it sends ``answer``."""

    def __init__(self, answer: Response) -> None:
        super().__init__(answer.status_code)
        self.answer = answer


def problem(status: int, code: str, detail: str, **more: Any) -> Response:
    """A problem document; ``more`` are further members."""
    body = {"type": f"urn:cauldron:problem:{code}", "title": TITLES.get(status, "Error"), "status": status}
    headers = {"www-authenticate": "Bearer"} if status == 401 else None
    return Response(
        orjson.dumps(body | {"code": code, "detail": detail} | more),
        status_code=status,
        headers=headers,
        media_type="application/problem+json",
    )


def problem_of(error: CauldronError) -> Response:
    """The answer to a named failure."""
    status = next((number for kind, number in STATUS if isinstance(error, kind)), 500)
    if isinstance(error, InvalidMany):
        listed = [{"path": p.path, "code": p.code, "message": p.message} for p in error.problems]
        return problem(status, error.code, error.message, problems=listed)
    details = {key: value for key, value in error.details.items() if _plain(value)}
    answer = problem(status, error.code, error.message, **({"details": details} if details else {}))
    if isinstance(error, Throttled):
        answer.headers["retry-after"] = str(error.retry_after_s)
    return answer


def _plain(value: object) -> bool:
    return isinstance(value, str | int | float | bool | list)


class Failures:
    """The layer that answers what the layers behind it, and raw endpoints, raise."""

    def __init__(self, app: ASGIApp, studio: Studio) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a failure, unless the answer has begun: then only the log hears of it."""
        begun = False

        async def noting(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except Exception as error:  # the last resort: nothing is silent
            answer = _answer(error, path=scope.get("path", ""), begun=begun)
            if scope["type"] != "http":
                raise
            if not begun:
                await answer(scope, receive, send)


def _answer(error: Exception, *, path: str, begun: bool) -> Response:
    if isinstance(error, CauldronError):
        return problem_of(error)
    log.error("request failed", path=path, begun=begun, error=type(error).__name__, exc_info=error)
    return problem(500, "internal_error", BROKEN)


def install(app: FastAPI, *, routes: Sequence[BaseRoute]) -> None:
    """Answer every failure of ``app``, which has these ``routes``, with a problem document."""

    @app.exception_handler(CauldronError)
    async def named(request: Request, error: CauldronError) -> Response:
        return problem_of(error)

    @app.exception_handler(RequestValidationError)
    async def malformed(request: Request, error: RequestValidationError) -> Response:
        listed = [
            {"path": _place(each["loc"]), "code": each["type"], "message": each["msg"]}
            for each in error.errors()[:MAX_PROBLEMS]
        ]
        return problem(422, "invalid_request", "the request is not valid", problems=listed)

    @app.exception_handler(HTTPException)
    async def plain(request: Request, error: HTTPException) -> Response:
        if isinstance(error, Rejected):
            return error.answer
        detail, allowed = str(error.detail), ", ".join(methods_of(routes, request.scope["path"]))
        if error.status_code == 404:
            detail = "nothing is at this address; /api lists what there is"
        elif error.status_code == 405:
            detail = f"this address takes {allowed}, not {request.method[:20]}"
        answer = problem(error.status_code, CODES.get(error.status_code, "http_error"), detail)
        answer.headers.update(error.headers or {})
        if error.status_code == 405:
            answer.headers["allow"] = allowed
        return answer

    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> Response:
        return problem(500, "internal_error", BROKEN)  # Failures, around all of this, logs it


def methods_of(routes: Sequence[BaseRoute], path: str) -> list[str]:
    """What may be done at a path, by all routes that take it; HEAD wherever GET may."""
    found: set[str] = set()
    for route in routes:
        if isinstance(route, Route) and route.methods and route.path_regex.fullmatch(path):
            found |= route.methods
    return sorted(found | {"HEAD"} if "GET" in found else found)


def _place(location: Sequence[str | int]) -> str:
    """``body.amount`` is ``amount``; ``query.limit`` and the like keep their first word."""
    return ".".join(map(str, location[1:] if location[0] == "body" and len(location) > 1 else location))
