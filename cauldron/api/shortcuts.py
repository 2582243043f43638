"""The one question that is asked all the time, answered before any routing: where is the cook?

Behind the same layers as everything else. What is not at hand, or not this caller's, is
left to the route of the same path, which looks properly.
"""

import re

from starlette.types import ASGIApp, Receive, Scope, Send

from cauldron.api.access import caller_of
from cauldron.bootstrap import Studio
from cauldron.domain.identity import Principal

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
        body = self._body(scope) if scope["type"] == "http" and scope["path"].endswith("/status") else None
        if body is None:
            await self._app(scope, receive, send)
            return
        length = str(len(body)).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", length)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _body(self, scope: Scope) -> bytes | None:
        principal = scope["state"].get("principal")
        if scope["method"] != "GET" or not isinstance(principal, Principal) or "read" not in principal.scopes:
            return None
        caller = caller_of(self._studio, principal)
        hot = self._studio.hot_status
        for pattern, template in TEMPLATES.items():
            found = pattern.fullmatch(scope["path"])
            if found is not None:
                scope["state"]["template"] = template
                cook_id: str | None = found[1]
                if pattern is OF_COLLECTION:
                    cook_id = hot.kept_newest(found[1], caller=caller)
                return hot.kept(cook_id, caller=caller) if cook_id is not None else None
        return None
