"""What routes ask for: the studio, the principal, and scopes."""

from collections.abc import Callable
from typing import Annotated, cast

from fastapi import Depends
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


def needing(scope: Scope) -> Callable[[HTTPConnection], Principal]:
    """A dependency: the principal, who must have ``scope``."""

    def principal(connection: HTTPConnection) -> Principal:
        found = principal_of(connection)
        found.need(scope)
        return found

    return principal


def caller_of(studio: Studio, who: Principal) -> Caller:
    """The same as services know it."""
    return Caller(account=who.account, environment=studio.settings.environment)


TheStudio = Annotated[Studio, Depends(studio_of)]
Reader = Annotated[Principal, Depends(needing("read"))]
Editor = Annotated[Principal, Depends(needing("edit"))]
Caster = Annotated[Principal, Depends(needing("cast"))]
Cook = Annotated[Principal, Depends(needing("cook"))]
Reviewer = Annotated[Principal, Depends(needing("review"))]
Exporter = Annotated[Principal, Depends(needing("export"))]
Operator = Annotated[Principal, Depends(needing("operate"))]
Admin = Annotated[Principal, Depends(needing("admin"))]
