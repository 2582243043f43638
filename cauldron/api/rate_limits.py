"""How many requests a credential, or an address that shows none, may make per minute."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cauldron.api.problems import problem
from cauldron.bootstrap import Studio
from cauldron.domain.identity import Principal
from cauldron.ports.limiting import Allowance

WINDOW_S = 60
SAFE = frozenset(("GET", "HEAD", "OPTIONS"))
OPEN_TO_ALL = frozenset(("/healthz", "/readyz"))  # watchers ask often, and cost nothing


class RateLimits:
    """Counts requests, says what is left in every answer, and answers 429 when it is too many.

    Whoever sits at this machine without an account is not counted.
    """

    def __init__(self, app: ASGIApp, studio: Studio) -> None:
        self._app = app
        self._studio = studio
        settings = studio.settings
        self._limits = {
            "read": settings.rate_limit_reads,
            "write": settings.rate_limit_writes,
            "anonymous": settings.rate_limit_anonymous,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the class."""
        name, who = self._kind(scope)
        limit = self._limits[name] if name else 0
        if not limit:
            await self._app(scope, receive, send)
            return
        left = self._studio.limiter.take(f"{name}:{who}", limit=limit, window_s=WINDOW_S)
        said = _headers(name, limit, left)
        if not left.allowed:
            await self._refuse(scope, receive, send, name=name, left=left, said=said)
            return

        async def telling(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *said]
            await send(message)

        await self._app(scope, receive, telling)

    def _kind(self, scope: Scope) -> tuple[str, str]:
        """Which limit a request counts against, and whose; ("", "") for none."""
        if scope["type"] not in ("http", "websocket") or scope["path"] in OPEN_TO_ALL:
            return "", ""
        principal = scope["state"].get("principal")
        if not isinstance(principal, Principal):
            client = scope.get("client")
            return "anonymous", client[0] if client else "?"
        if principal.via == "local":
            return "", ""
        name = "read" if scope.get("method", "GET") in SAFE else "write"
        return name, principal.credential or principal.user

    async def _refuse(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        name: str,
        left: Allowance,
        said: list[tuple[bytes, bytes]],
    ) -> None:
        self._studio.metrics.add("cauldron_rate_limited_total", limit=name)
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1013})
            return
        detail = f"too many requests: try again in {left.reset_s} s"
        answer = problem(429, "rate_limited", detail, retryAfterS=left.reset_s)
        answer.headers["retry-after"] = str(left.reset_s)
        answer.raw_headers.extend(said)
        await answer(scope, receive, send)


def _headers(name: str, limit: int, left: Allowance) -> list[tuple[bytes, bytes]]:
    """The fields of draft-ietf-httpapi-ratelimit-headers."""
    return [
        (b"ratelimit-policy", f'"{name}";q={limit};w={WINDOW_S}'.encode()),
        (b"ratelimit", f'"{name}";r={left.remaining};t={left.reset_s}'.encode()),
    ]
