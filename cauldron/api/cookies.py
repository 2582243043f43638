"""The session cookie: given, and taken away."""

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Scope

from cauldron.api import origins
from cauldron.api.authentication import cookie_name
from cauldron.domain.credentials import Token
from cauldron.domain.identity import InsecureTransport

MAX_AGE_S = 30 * 86_400  # the session itself may end sooner


def check_transport(scope: Scope, headers: Headers) -> None:
    """Refuse a password or session that others on the way could read.

    Raises:
        InsecureTransport: plain http, and not to this machine.
    """
    if not origins.is_secure(scope) and not origins.names_loopback(headers):
        raise InsecureTransport(
            "passwords and sessions need https here: see docs/howto/reverse-proxy.md; keys work without"
        )


def give(response: Response, scope: Scope, token: Token) -> None:
    """Have the browser keep a session."""
    _set(response, scope, value=token.text, max_age_s=MAX_AGE_S)


def take(response: Response, scope: Scope) -> None:
    """Have the browser forget its session."""
    _set(response, scope, value="", max_age_s=0)


def _set(response: Response, scope: Scope, *, value: str, max_age_s: int) -> None:
    response.set_cookie(
        cookie_name(scope),
        value,
        max_age=max_age_s,
        path="/",
        secure=origins.is_secure(scope),
        httponly=True,
        samesite="lax",
    )
