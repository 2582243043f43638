"""What a route's query does not know is refused: a filter that is spelled wrong would find everything."""

from collections.abc import Callable, Iterator
from typing import Any

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from cauldron.api.shapes import Malformed
from cauldron.domain.errors import Problem
from cauldron.domain.identity import Principal

OF_PROGRAMS = ("/api/", "/internal/")  # who links to a page appends what they like
MOST = 20  # that are listed
_found: dict[Callable[..., Any], tuple[str, ...]] = {}  # by endpoint


async def only_known_queries(request: Request) -> None:
    """For every route; who is nobody is told that first. Raises Malformed."""
    scope = request.scope
    if not scope.get("query_string") or not scope["path"].startswith(OF_PROGRAMS):
        return
    if not isinstance(scope["state"].get("principal"), Principal):
        return
    known = _known(scope["route"])
    unknown = sorted(set(request.query_params) - set(known))
    if unknown:
        raise Malformed([_unknown(name[:80], known) for name in unknown[:MOST]])


def _unknown(name: str, known: tuple[str, ...]) -> Problem:
    return Problem(
        path=f"query.{name}",
        code="unknown_parameter",
        message=f"is no parameter of this route: it takes {', '.join(known) or 'none'}",
    )


def _known(route: APIRoute) -> tuple[str, ...]:
    """The names that a route's query may have."""
    if route.endpoint not in _found:
        _found[route.endpoint] = tuple(_names(route.dependant))
    return _found[route.endpoint]


def _names(dependant: Dependant) -> Iterator[str]:
    yield from (param.alias for param in dependant.query_params)
    for each in dependant.dependencies:
        yield from _names(each)
