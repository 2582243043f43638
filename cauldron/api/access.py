"""What routes ask for: the studio, the principal, and scopes."""

from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Annotated, cast

from fastapi import Depends, Header
from starlette.requests import HTTPConnection

from cauldron.bootstrap import Studio
from cauldron.domain.identity import Principal, Scope, Unauthenticated
from cauldron.services.casting import Caller


def studio_of(connection: HTTPConnection) -> Studio:
    """The studio that this application serves."""
    return cast(Studio, connection.app.state.studio)


def principal_of(connection: HTTPConnection) -> Principal:
    """Who asks, as the authentication layer found out. Raises Unauthenticated."""
    found = connection.scope.get("state", {}).get("principal")
    if not isinstance(found, Principal):
        raise Unauthenticated("sign in, or send an API key as a bearer token")
    return found


async def _the_studio(connection: HTTPConnection) -> Studio:
    """The same as a dependency: a coroutine, for functions would be sent to threads."""
    return studio_of(connection)


def needing(*scopes: Scope) -> Callable[[HTTPConnection], Awaitable[Principal]]:
    """A dependency: the principal, who must have one of ``scopes``."""

    async def principal(connection: HTTPConnection) -> Principal:
        found = principal_of(connection)
        found.need_any(*scopes)
        return found

    return principal


def caller_of(studio: Studio, who: Principal) -> Caller:
    """The same as services know it."""
    return Caller(account=who.account, user=who.user, environment=studio.settings.environment)


def key_of(connection: HTTPConnection) -> str | None:
    """The request's ``Idempotency-Key``: the natural key of what it commands."""
    found = connection.scope["state"].get("idempotency_key")
    return found if isinstance(found, str) else None


def natural_id(who: Principal, key: str | None) -> str | None:
    """The id of what a request with an ``Idempotency-Key`` makes: the same for the same key."""
    return sha256(f"{who.account}\0{key}".encode()).hexdigest()[:32] if key else None


async def _key(
    connection: HTTPConnection,
    idempotency_key: Annotated[
        str | None,
        Header(
            description="Any text of 1 to 255 characters: the same request with the same key is carried out "
            "once, and answered again with its first answer for a day.",
            min_length=1,
            max_length=255,
            pattern=r"^[!-~]([ -~]*[!-~])?$",
        ),
    ] = None,
) -> str | None:
    return key_of(connection)


Key = Annotated[str | None, Depends(_key)]
TheStudio = Annotated[Studio, Depends(_the_studio)]
Reader = Annotated[Principal, Depends(needing("read"))]
Editor = Annotated[Principal, Depends(needing("edit"))]
Caster = Annotated[Principal, Depends(needing("cast"))]
Visiting = Annotated[Principal, Depends(needing("cast", "visit"))]  # guests, too
Cook = Annotated[Principal, Depends(needing("cook"))]
Reviewer = Annotated[Principal, Depends(needing("review"))]
Exporter = Annotated[Principal, Depends(needing("export"))]
Admin = Annotated[Principal, Depends(needing("admin"))]
