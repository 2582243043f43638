"""The one question that is asked all the time, answered before any routing: where is the cook?

Behind the same layers as everything else. What cannot be answered, or is not this caller's,
is left to the route of the same path, which says why.
"""

import contextlib
import re

from starlette.types import ASGIApp, Receive, Scope, Send

from cauldron.api.access import caller_of
from cauldron.bootstrap import Studio
from cauldron.domain.errors import CauldronError
from cauldron.domain.identity import Principal
from cauldron.services.casting import Caller

OF_COLLECTION = re.compile(r"/api/v1/collections/([0-9A-Za-z._-]{1,200})/cook/status")
OF_COOK = re.compile(r"/api/v1/cooks/([0-9A-Za-z._-]{1,200})/status")
TEMPLATES = {
    OF_COLLECTION: "/api/v1/collections/{collection_id}/cook/status",
    OF_COOK: "/api/v1/cooks/{cook_id}/status",
}


class Shortcuts:
    """Answers ``GET …/cook/status`` and ``GET /api/v1/cooks/:id/status`` from what is at hand."""

    def __init__(self, app: ASGIApp, studio: Studio) -> None:
        self._app = app
        self._studio = studio

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the class."""
        body = None
        if scope["type"] == "http" and scope["method"] == "GET" and scope["path"].endswith("/status"):
            body = await self._body(scope)
        if body is None:
            await self._app(scope, receive, send)
            return
        length = str(len(body)).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", length)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _body(self, scope: Scope) -> bytes | None:
        principal = scope["state"].get("principal")
        if not isinstance(principal, Principal) or "read" not in principal.scopes:
            return None
        caller = caller_of(self._studio, principal)
        for pattern, template in TEMPLATES.items():
            found = pattern.fullmatch(scope["path"])
            if found is not None:
                with contextlib.suppress(CauldronError):  # its route says what is wrong
                    body = await self._status(found[1], caller, of_collection=pattern is OF_COLLECTION)
                    scope["state"]["template"] = template
                    return body
        return None

    async def _status(self, name: str, caller: Caller, *, of_collection: bool) -> bytes:
        hot = self._studio.hot_status
        cook_id = name
        if of_collection:
            cook_id = hot.kept_newest(name, caller=caller) or await hot.newest_of(name, caller=caller)
        return hot.kept(cook_id, caller=caller) or await hot.of(cook_id, caller=caller)
