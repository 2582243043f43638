"""Failures for people: a browser that opens one of our pages is told in words, on a page."""

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cauldron.api.routes.spell_pages import PAGE_HEADERS, site_of, visitor_of
from cauldron.bootstrap import Studio
from cauldron.web.pages import Failure, failure_page

FOR_PROGRAMS = ("/api/", "/internal/", "/mcp", "/metrics", "/healthz", "/readyz", "/static/")
OF_THE_DOCUMENT = frozenset((b"content-type", b"content-length"))
PASSING = frozenset((408, 429, 500, 503, 507))  # what may be over when the page is opened again
EXPLAINED = frozenset((400, 403, 422, 429))  # where the document says more than the words here
WORDS: Mapping[int, tuple[str, str]] = {
    400: ("This address cannot be understood", "Something in it is not as an address is written."),
    401: ("Sign in to see this", "What you showed opens nothing here, or not any more."),
    403: ("This is not open to you", "Your account may not look at it."),
    404: ("There is no such page", "It was taken away, has another address, or was never there."),
    410: ("This is gone", "What was here is not offered any more."),
    414: ("This address is too long", "It cannot be one of ours."),
    422: ("This address does not fit", "The page is there, but takes nothing of the kind."),
    429: ("Too many requests", "More pages were asked for than the studio hands out in a minute."),
    431: ("Your browser sent too much", "Its cookies for this site are too many or too long: remove some."),
    500: ("Something broke here", "It is not your doing. The log of the server says more."),
    503: ("The studio cannot answer now", "It is starting, stopping, or cannot reach what it stores."),
    507: ("The studio has no room", "Its disk is full. Nothing that was kept is lost."),
}
OTHERWISE = ("This did not work", "The studio could not answer with a page.")


class ErrorPages:
    """Makes a page of a problem document where a browser opens a page; programs get the document."""

    def __init__(self, app: ASGIApp, studio: Studio) -> None:
        self._app = app
        self._studio = studio

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the class."""
        if not _is_a_visit(scope):
            await self._app(scope, receive, send)
            return
        start: Message | None = None
        parts: list[bytes] = []

        async def reading(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start" and _is_a_problem(message):
                start = message
            elif start is None:
                await send(message)
            elif message["type"] == "http.response.body":
                parts.append(message.get("body", b""))
                if not message.get("more_body", False):
                    await self._page(scope, start, b"".join(parts))(scope, receive, send)

        await self._app(scope, receive, reading)

    def _page(self, scope: Scope, start: Message, body: bytes) -> HTMLResponse:
        request, status = Request(scope), start["status"]
        said: Mapping[str, Any] = orjson.loads(body)
        heading, lead = WORDS.get(status, OTHERWISE)
        failure = Failure(
            status=status,
            heading=heading,
            lead=lead,
            why=_reasons(said) if status in EXPLAINED else (),
            may_be_over=status in PASSING,
            code=str(said.get("code", status)),
            request_id=str(scope["state"].get("request_id", "")),
        )
        site = site_of(request, self._studio)
        page = failure_page(site, failure=failure, visitor=visitor_of(request))
        answer = HTMLResponse(page, status_code=status, headers=PAGE_HEADERS)
        kept = [pair for pair in start.get("headers", ()) if pair[0].lower() not in OF_THE_DOCUMENT]
        answer.raw_headers.extend(kept)
        return answer


def _reasons(said: Mapping[str, Any]) -> list[str]:
    listed = [f"{each['path']}: {each['message']}" for each in said.get("problems", ())]
    return listed or [str(said.get("detail", ""))]


def _is_a_visit(scope: Scope) -> bool:
    return (
        scope["type"] == "http"
        and scope["method"] == "GET"
        and not scope["path"].startswith(FOR_PROGRAMS)
        and "text/html" in Headers(scope=scope).get("accept", "")
    )


def _is_a_problem(start: Message) -> bool:
    return any(
        name.lower() == b"content-type" and value.startswith(b"application/problem+json")
        for name, value in start.get("headers", ())
    )
