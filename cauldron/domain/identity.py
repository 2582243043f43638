"""Who asks: roles, the scopes they carry, the principal of one request, and rules for names and passwords."""

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from cauldron.domain.errors import InvalidMany, Problem, Refused

Scope = Literal["read", "edit", "cast", "visit", "cook", "review", "export", "operate", "admin", "act-for"]
Role = Literal["owner", "creator", "reviewer", "operator", "service"]
SCOPES: tuple[Scope, ...] = (
    "read", "edit", "cast", "visit", "cook", "review", "export", "operate", "admin", "act-for",
)  # fmt: skip
ROLES: Mapping[Role, frozenset[Scope]] = {
    "owner": frozenset(SCOPES) - {"act-for"},
    "creator": frozenset(("read", "edit", "cast", "cook", "review", "export")),
    "reviewer": frozenset(("read", "review")),
    "operator": frozenset(("read", "operate")),
    "service": frozenset(SCOPES) - {"admin"},
}
GUEST = "guest"  # the role of who has no name here: nobody is given it
GUEST_SCOPES: frozenset[Scope] = frozenset(("read", "visit"))  # cast what is offered, look at what came of it
MAX_NAME = 254  # characters: an address of e-mail fits
MAX_LABEL = 100  # characters
LEAST_PASSWORD = 12  # characters
MAX_PASSWORD_BYTES = 1024
LEAST_DIFFERENT = 5  # characters of a password


class Forbidden(Refused):
    """The caller is known but may not do this."""

    code = "forbidden"


class CrossSite(Forbidden):
    """A page of another site made the request, or it lacks the session's CSRF token."""

    code = "cross_site_request"


class InsecureTransport(Forbidden):
    """Others on the way could read what the request holds: it needs https."""

    code = "https_needed"


class Unauthenticated(Refused):
    """Nobody is named, or what was shown is not valid."""

    code = "unauthenticated"


class Throttled(Refused):
    """Too many tries; ``retryAfterS`` seconds from now one more is heard."""

    code = "too_many_attempts"

    def __init__(self, message: str, *, retry_after_s: int, **details: Any) -> None:
        super().__init__(message, retryAfterS=retry_after_s, **details)
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who makes a request, and what they may do.

    ``account`` owns what is read and made; ``user`` is the actor that events name.
    Several users may work on one account.
    """

    account: str
    user: str
    scopes: frozenset[Scope]
    via: Literal["local", "session", "key", "invoice"] = "local"  # invoice: reads its own run
    credential: str = ""  # id of the session or key, for limits and logs

    def need(self, scope: Scope) -> None:
        """Raises Forbidden when ``scope`` is missing."""
        if scope not in self.scopes:
            raise Forbidden(f"this needs the scope {scope!r}", scope=scope)

    def need_any(self, *scopes: Scope) -> None:
        """Raises Forbidden when all of ``scopes`` are missing; it names the first."""
        if self.scopes.isdisjoint(scopes):
            self.need(scopes[0])

    @property
    def is_guest(self) -> bool:
        """Whether nothing is known of them but that they came."""
        return self.scopes == GUEST_SCOPES and self.via == "session"

    def need_grant(self) -> None:
        """Whether they may hand out access: a key does so only with the scope ``admin``.

        Raises:
            Forbidden: a key that leaks must not make itself at home.
        """
        if self.via == "key":
            self.need("admin")


def normal_name(text: str) -> str:
    """The one spelling of a user's name or e-mail address: NFKC, case folded, nothing around it.

    Raises:
        InvalidMany: it is empty, too long, or has spaces or characters that are not printed.
    """
    if len(text) > MAX_NAME:  # before work that grows with it
        raise _wrong("name", "name_too_long", f"must be at most {MAX_NAME} characters")
    name = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()).strip()
    if not name or len(name) > MAX_NAME:
        raise _wrong("name", "name_empty", f"must have 1 to {MAX_NAME} characters")
    if any(unicodedata.category(character)[0] in "CZ" for character in name):
        raise _wrong("name", "name_not_printable", "must have no spaces and no control characters")
    return name


def normal_password(text: str) -> str:
    """A password as it is hashed, whatever keyboard it was typed on (NFKC)."""
    return unicodedata.normalize("NFKC", text)


def check_password(text: str, *, name: str) -> str:
    """A new password as it is hashed. Length counts, not kinds of characters (NIST SP 800-63B).

    Raises:
        InvalidMany: it is too short, too long, or plainly easy to guess; it is not repeated.
    """
    if len(text) > MAX_PASSWORD_BYTES or len(text.encode(errors="surrogatepass")) > MAX_PASSWORD_BYTES:
        raise _wrong("password", "password_too_long", f"must be at most {MAX_PASSWORD_BYTES} bytes")
    password = normal_password(text)
    if len(password) < LEAST_PASSWORD:
        raise _wrong("password", "password_too_short", f"must be at least {LEAST_PASSWORD} characters")
    if any(unicodedata.category(character) == "Cs" for character in password):
        raise _wrong("password", "password_not_text", "must be text")
    if len(set(password)) < LEAST_DIFFERENT or password.casefold().replace(name, "") == "":
        raise _wrong("password", "password_easy", "is easy to guess: the name again, or few characters")
    return password


def check_label(text: str) -> str:
    """A label of a key or invitation. Raises InvalidMany."""
    label = text.strip()
    if len(text) > MAX_LABEL or any(unicodedata.category(character)[0] == "C" for character in label):
        raise _wrong("label", "label_malformed", f"must be at most {MAX_LABEL} printable characters")
    return label


def check_role(text: str) -> Role:
    """A role by its name. Raises InvalidMany."""
    if text not in ROLES:
        raise _wrong("role", "role_unknown", f"must be one of {', '.join(ROLES)}")
    return cast(Role, text)


def check_scopes(texts: Iterable[str], *, within: frozenset[Scope]) -> list[Scope]:
    """Scopes by name, in the order of :data:`SCOPES`, each one of ``within``.

    Raises:
        InvalidMany: one is unknown, or none is named. Forbidden: one is not had by who asks.
    """
    named = set(texts)
    if not named or not named <= set(SCOPES):
        raise _wrong("scopes", "scope_unknown", f"must name some of {', '.join(SCOPES)}")
    scopes = [scope for scope in SCOPES if scope in named]
    beyond = [scope for scope in scopes if scope not in within]
    if beyond:
        raise Forbidden(f"you do not have {', '.join(beyond)} to give", scope=beyond[0])
    return scopes


def _wrong(path: str, code: str, message: str) -> InvalidMany:
    return InvalidMany([Problem(path=path, code=code, message=message)])
