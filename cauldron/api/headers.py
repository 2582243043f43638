"""Headers of every answer: what browsers may do with it, and which origins may read it."""

from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cauldron.bootstrap import Studio

Pair = tuple[bytes, bytes]
ALWAYS: tuple[Pair, ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
)
UNLESS_SAID: tuple[Pair, ...] = (  # an endpoint that says otherwise is right about itself
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'"),
    (b"cache-control", b"no-store"),
)
METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE"
REQUEST_HEADERS = b"authorization, content-type, idempotency-key, if-match, last-event-id, x-request-id"
EXPOSED = b"etag, idempotent-replay, location, ratelimit, ratelimit-policy, retry-after, x-request-id"
MAX_AGE_S = b"600"
# Routes under the names of older documents, and what they are called now.
RETIRING = {
    "/internal/spellCasts": "/internal/casts",
    "/internal/spellCasts/{cast_id}": "/internal/casts",
    "/internal/cookExecutions/{cook_id}": "/internal/cooks",
    "/api/v1/payments/prepare-spell": "/api/v1/payments/invoice",
    "/api/v1/payments/confirm": "/api/v1/spells/cast",
}
# Who comes by a payment route of the preview sees a banner on the pages of spells.
PREVIEW_COOKIE = "cauldron-preview"
PREVIEW = f"{PREVIEW_COOKIE}=1; Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax".encode()
DEPRECATED_SINCE = b"@1795132800"  # 2026-11-20
SUNSET = b"Sat, 20 Nov 2027 00:00:00 GMT"


class SecurityHeaders:
    """Adds the headers; answers pre-flight questions of origins that the settings name.

    Without ``cors_origins`` no other site may read anything. Those it names may, with
    an API key: cookies are never for them.
    """

    def __init__(self, app: ASGIApp, studio: Studio) -> None:
        self._app = app
        self._origins = frozenset(studio.settings.cors_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the class."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        shared = self._shared(scope) if self._origins else ()

        async def adding(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = completed(message.get("headers", ()), (*shared, *_retiring(scope)))
            await send(message)

        if len(shared) > 1 and scope["method"] == "OPTIONS" and _asks(scope):
            await adding({"type": "http.response.start", "status": 204, "headers": [*_preflight()]})
            await adding({"type": "http.response.body", "body": b""})
            return
        await self._app(scope, receive, adding)

    def _shared(self, scope: Scope) -> tuple[Pair, ...]:
        origins = Headers(scope=scope).getlist("origin")
        if len(origins) != 1 or origins[0] not in self._origins:
            return ((b"vary", b"Origin"),)
        return (
            (b"vary", b"Origin"),
            (b"access-control-allow-origin", origins[0].encode("latin-1")),
            (b"access-control-expose-headers", EXPOSED),
            (b"cross-origin-resource-policy", b"cross-origin"),
        )


def completed(given: Iterable[Pair], more: tuple[Pair, ...]) -> list[Pair]:
    """Headers with ours beside them."""
    headers = list(given)
    said = {name.lower() for name, _ in headers} | {name for name, _ in more if name != b"vary"}
    headers += more
    headers += [pair for pair in (*ALWAYS, *UNLESS_SAID) if pair[0] not in said]
    return headers


def _retiring(scope: Scope) -> tuple[Pair, ...]:
    """What an old route says of its end (RFC 9745, RFC 8594)."""
    successor = RETIRING.get(getattr(scope.get("route"), "path", ""))
    if successor is None:
        return ()
    link = f'<{successor}>; rel="successor-version"'.encode()
    found = ((b"deprecation", DEPRECATED_SINCE), (b"sunset", SUNSET), (b"link", link))
    return (
        (*found, (b"set-cookie", PREVIEW)) if "/payments/" in successor or "/spells/" in successor else found
    )


def _asks(scope: Scope) -> bool:
    return any(name == b"access-control-request-method" for name, _ in scope["headers"])


def _preflight() -> tuple[Pair, ...]:
    return (
        (b"access-control-allow-methods", METHODS),
        (b"access-control-allow-headers", REQUEST_HEADERS),
        (b"access-control-max-age", MAX_AGE_S),
    )
