"""A small typed client of Cauldron's HTTP API: :class:`Client` blocks, :class:`AsyncClient` is awaited."""

from cauldron.client.clients import AsyncClient, Client
from cauldron.client.errors import (
    Broken,
    Changed,
    Conflict,
    Failure,
    Forbidden,
    Invalid,
    NotFound,
    Refused,
    Throttled,
    Unauthenticated,
    Unreachable,
)
from cauldron.client.events import Event

__all__ = [
    "AsyncClient",
    "Broken",
    "Changed",
    "Client",
    "Conflict",
    "Event",
    "Failure",
    "Forbidden",
    "Invalid",
    "NotFound",
    "Refused",
    "Throttled",
    "Unauthenticated",
    "Unreachable",
]
