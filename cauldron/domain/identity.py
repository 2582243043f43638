"""Who asks: roles, the scopes they carry, and the principal of one request."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from cauldron.domain.errors import Refused

Scope = Literal["read", "edit", "cast", "cook", "review", "export", "operate", "admin", "act-for"]
Role = Literal["owner", "creator", "reviewer", "operator", "service"]
SCOPES: tuple[Scope, ...] = (
    "read", "edit", "cast", "cook", "review", "export", "operate", "admin", "act-for",
)  # fmt: skip
ROLES: Mapping[Role, frozenset[Scope]] = {
    "owner": frozenset(SCOPES) - {"act-for"},
    "creator": frozenset(("read", "edit", "cast", "cook", "review", "export")),
    "reviewer": frozenset(("read", "review")),
    "operator": frozenset(("read", "operate")),
    "service": frozenset(SCOPES) - {"admin"},
}


class Forbidden(Refused):
    """The caller is known but may not do this."""

    code = "forbidden"


class Unauthenticated(Refused):
    """Nobody is named, or what was shown is not valid."""

    code = "unauthenticated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who makes a request, and what they may do.

    ``account`` owns what is read and made; ``user`` is the actor that events name.
    Several users may work on one account.
    """

    account: str
    user: str
    scopes: frozenset[Scope]
    via: Literal["local", "session", "key"] = "local"
    credential: str = ""  # id of the session or key, for limits and logs

    def need(self, scope: Scope) -> None:
        """Raises Forbidden when ``scope`` is missing."""
        if scope not in self.scopes:
            raise Forbidden(f"this needs the scope {scope!r}", scope=scope)
