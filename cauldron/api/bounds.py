"""Bounds on what comes in: length of address and headers, size, form and depth of a body, time to send it."""

import asyncio
import json
import re
from dataclasses import dataclass

import orjson
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cauldron.api.problems import Rejected, problem
from cauldron.bootstrap import Studio

MAX_URL_BYTES = 8 * 1024
MAX_HEADERS = 100
MAX_HEADER_BYTES = 32 * 1024  # all of them
MAX_JSON_BYTES = 1024 * 1024
MAX_DEPTH = 64  # objects and arrays in one another
BODY_TIME_S = 30.0  # for a JSON body to arrive
UPLOAD_PAUSE_S = 30.0  # between two parts of an upload
JSON = re.compile(r"application/(?:[a-z0-9.+-]+\+)?json", re.IGNORECASE)
UNREAD = (408, 413, 414, 431)
WITH_BODY = frozenset(("POST", "PUT", "PATCH", "DELETE"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A route whose body is not JSON: its path, what it may weigh, and its media types."""

    path: re.Pattern[str]
    max_bytes: int
    types: tuple[str, ...]  # "multipart/form-data", "image/*"


# Routes that take something else than JSON are named here; whoever adds one adds its row.
UPLOADS: list[Upload] = []


def upload_of(scope: Scope) -> Upload | None:
    """The row of a route that takes something else than JSON."""
    return next((upload for upload in UPLOADS if upload.path.fullmatch(scope["path"])), None)


class Bounds:
    """Refuses what is too long, too large, too slow, too deep or of another kind than its route takes.

    A JSON body is read here, checked, and handed on whole.
    """

    def __init__(self, app: ASGIApp, studio: Studio) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the class."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        begun = False

        async def noting(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            _check_head(scope)
            if scope["type"] == "http" and scope["method"] in WITH_BODY:
                receive = await _bounded(scope, receive)
            await self._app(scope, receive, noting)
        except Rejected as bad:
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1009})
            elif not begun:
                if bad.status_code in UNREAD:
                    bad.answer.headers["connection"] = "close"  # what is left of it is not read
                await bad.answer(scope, receive, send)


def _check_head(scope: Scope) -> None:
    length = len(scope.get("raw_path") or b"") + len(scope.get("query_string") or b"")
    if length > MAX_URL_BYTES:
        raise Rejected(problem(414, "url_too_long", f"an address may have {MAX_URL_BYTES} bytes"))
    headers = scope["headers"]
    size = sum(len(name) + len(value) for name, value in headers)
    if len(headers) > MAX_HEADERS or size > MAX_HEADER_BYTES:
        detail = f"at most {MAX_HEADERS} headers of {MAX_HEADER_BYTES} bytes in all"
        raise Rejected(problem(431, "headers_too_large", detail))
    if "\0" in scope["path"]:
        raise Rejected(problem(400, "malformed_path", "the path holds a NUL"))


async def _bounded(scope: Scope, receive: Receive) -> Receive:
    """What the application receives: an upload as it comes, anything else as a whole, checked JSON body."""
    headers = Headers(scope=scope)
    upload = upload_of(scope)
    most = upload.max_bytes if upload else MAX_JSON_BYTES
    announced = headers.get("content-length")
    if announced is not None and announced.isdigit() and int(announced[:12]) > most:
        raise Rejected(_too_large(most))
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if upload is not None:
        if not _is_one_of(kind, upload.types):
            raise Rejected(_unsupported(kind, ", ".join(upload.types)))
        return _counting(receive, most)
    coding = headers.get("content-encoding", "identity").strip().lower()
    if coding != "identity":
        raise Rejected(
            problem(415, "unsupported_media_type", f"bodies are taken as they are, not {coding[:80]}")
        )
    body = await _read(receive, most)
    if body:
        if not JSON.fullmatch(kind):
            raise Rejected(_unsupported(kind, "application/json"))
        _check_json(body)
    return _replaying(body, receive)


def _is_one_of(kind: str, types: tuple[str, ...]) -> bool:
    return any(kind == t or (t.endswith("/*") and kind.startswith(t[:-1])) for t in types)


async def _read(receive: Receive, most: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_TIME_S):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    raise Rejected(
                        problem(400, "incomplete_body", "the connection ended before the body did")
                    )
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                if size > most:
                    raise Rejected(_too_large(most))
                if not message.get("more_body", False):
                    return b"".join(parts)
    except TimeoutError:
        raise Rejected(problem(408, "body_too_slow", f"the body took more than {BODY_TIME_S:g} s")) from None


def _check_json(body: bytes) -> None:
    try:
        value = orjson.loads(body)
    except ValueError:
        raise Rejected(problem(400, "malformed_json", "the body is not JSON (RFC 8259, UTF-8)")) from None
    if body.count(b"{") + body.count(b"[") > MAX_DEPTH and _is_too_deep(value):
        raise Rejected(
            problem(400, "json_too_deep", f"at most {MAX_DEPTH} objects and arrays in one another")
        )
    try:
        json.loads(body, object_pairs_hook=_once_each, parse_int=str, parse_float=str)
    except _Twice as twice:
        detail = f"the name {twice.args[0]!r:.80} is in one object twice"
        raise Rejected(problem(400, "malformed_json", detail)) from None


class _Twice(ValueError):
    """A name that an object has twice: readers differ in which one counts."""


def _once_each(pairs: list[tuple[str, object]]) -> None:
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            raise _Twice(name)
        seen.add(name)


def _is_too_deep(value: object) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return False
    return True


def _replaying(body: bytes, receive: Receive) -> Receive:
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()  # the disconnect, when it comes
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def _counting(receive: Receive, most: int) -> Receive:
    size, ended = 0, False

    async def count() -> Message:
        nonlocal size, ended
        if ended:
            return await receive()  # the disconnect, when it comes
        try:
            async with asyncio.timeout(UPLOAD_PAUSE_S):
                message = await receive()
        except TimeoutError:
            raise Rejected(problem(408, "body_too_slow", f"nothing came for {UPLOAD_PAUSE_S:g} s")) from None
        size += len(message.get("body", b""))
        if size > most:
            raise Rejected(_too_large(most))
        ended = message["type"] != "http.request" or not message.get("more_body", False)
        return message

    return count


def _too_large(most: int) -> Response:
    return problem(413, "body_too_large", f"a body may have {most} bytes here", limitBytes=most)


def _unsupported(kind: str, wanted: str) -> Response:
    said = f"not {kind[:80]}" if kind else "and Content-Type must say so"
    return problem(415, "unsupported_media_type", f"this takes {wanted}, {said}")
