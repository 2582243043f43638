"""The layer that finds out who makes a request: an API key, a session, or whoever sits at this machine."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from cauldron.api import origins
from cauldron.api.problems import problem_of
from cauldron.api.rate_limits import OPEN_TO_ALL
from cauldron.bootstrap import Studio
from cauldron.domain.credentials import KEY, SESSION, parse_token
from cauldron.domain.errors import CauldronError
from cauldron.domain.identity import CrossSite, Principal
from cauldron.services.identity_records import same

SECURE_COOKIE = "__Host-cauldron"  # browsers take it from https only, and for no other host or path
LOOPBACK_COOKIE = "cauldron"  # plain http on this machine, where they refuse the other
CSRF_HEADER = "x-csrf-token"
MAX_COOKIES_BYTES = 8192
REFUSED_UPGRADE = 4403  # close code of a WebSocket when the server cannot answer with a status


class Authentication:
    """Sets ``scope["state"]["principal"]`` for a request that shows who makes it.

    Whoever shows nothing, or a session that is over, goes on as nobody: routes that need
    a principal then answer 401. A key that is not valid is refused here.
    """

    def __init__(self, app: ASGIApp, studio: Studio) -> None:
        self.app = app
        self.studio = studio

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the class."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        state.pop("principal", None)
        if scope["path"] in OPEN_TO_ALL:  # watchers are answered though the store that knows people is silent
            await self.app(scope, receive, send)
            return
        try:
            principal = await self._principal(scope, Headers(scope=scope))
        except CauldronError as error:
            await refuse(error, scope, receive, send)
            return
        if principal is not None:
            state["principal"] = principal
        await self.app(scope, receive, send)

    async def _principal(self, scope: Scope, headers: Headers) -> Principal | None:
        proofs = self.studio.identity.authenticator
        bearer = bearer_of(headers)
        if bearer is not None:  # other tokens are for their routes to look at
            return await proofs.key(bearer) if bearer.startswith(f"{KEY}_") else None
        if origins.is_unsafe(scope):
            origins.refuse_other_sites(scope, headers)
        token = session_token(scope, headers)
        session = await proofs.session(token) if token else None
        if session is not None and token:
            _check_page(scope, headers, token)
            return session
        if not origins.is_from_this_machine(scope, headers):
            return None
        local = await proofs.local()
        if local is not None:
            origins.refuse_embedding(headers)
        return local


async def check_exposure(studio: Studio, host: str) -> None:
    """Call it before a server listens on ``host``: local mode is for this machine alone.

    Raises:
        Refused: others could reach the server, and nobody has been set up as the owner.
    """
    await studio.identity.check_exposure(host)


def _check_page(scope: Scope, headers: Headers, token: str) -> None:
    """What a session changes is asked for by our own pages. Raises CrossSite."""
    if not origins.is_unsafe(scope):
        return
    if not origins.is_own_page(scope, headers):
        raise CrossSite("a session changes things only from pages of this very site: Origin does not match")
    parsed = parse_token(token, SESSION)
    if scope["type"] == "http" and (
        parsed is None or not same(headers.get(CSRF_HEADER, ""), parsed.csrf)
    ):  # a WebSocket can send no header; its origin is checked above
        raise CrossSite("the header X-CSRF-Token is missing or is not this session's: see GET /api/v1/me")


async def refuse(error: CauldronError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request, or the opening of a WebSocket, with a problem."""
    if scope["type"] == "websocket" and "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": REFUSED_UPGRADE, "reason": error.code})
        return
    await problem_of(error)(scope, receive, send)


def bearer_of(headers: Headers) -> str | None:
    """The bearer token of a request; other schemes, which a proxy may ask for, are not ours."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def cookie_name(scope: Scope) -> str:
    """The session cookie's name as this request may carry it."""
    return SECURE_COOKIE if origins.is_secure(scope) else LOOPBACK_COOKIE


def session_token(scope: Scope, headers: Headers) -> str | None:
    """The session that a request shows; over plain http only when made to this machine."""
    text = "; ".join(headers.getlist("cookie"))
    if not text or not (origins.is_secure(scope) or origins.names_loopback(headers)):
        return None
    name = cookie_name(scope)
    found = [
        value for key, _, value in (part.strip().partition("=") for part in text.split(";")) if key == name
    ]
    return found[0] if len(found) == 1 and len(text) <= MAX_COOKIES_BYTES else None
