"""Where a request comes from: this machine, our own pages, or pages of somebody else."""

from functools import lru_cache
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

from cauldron.domain.identity import CrossSite
from cauldron.services.identity import is_loopback

SAFE_METHODS = frozenset(("GET", "HEAD", "OPTIONS"))
OWN_SITE = ("same-origin", "none")  # none: typed into the address bar
# What proxies add: a request that carries one comes from further away than its socket says.
FORWARDING = frozenset(
    (b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-real-ip", b"via")
)
PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


def is_unsafe(scope: Scope) -> bool:
    """Whether a request can change something; a WebSocket, which no preflight guards, counts as such."""
    return scope["type"] == "websocket" or scope["method"] not in SAFE_METHODS


def is_secure(scope: Scope) -> bool:
    """Whether the request came over TLS, to us or to a proxy that we trust."""
    return scope.get("scheme") in ("https", "wss")


def names_loopback(headers: Headers) -> bool:
    """Whether Host names this machine. A page whose name was rebound to 127.0.0.1 gives itself away here."""
    hosts = headers.getlist("host")
    return len(hosts) == 1 and is_loopback(_name_and_port(hosts[0], "http")[0])


def is_from_this_machine(scope: Scope, headers: Headers) -> bool:
    """Whether a request was made on this machine, to this machine, and came through no proxy.

    HTTP/1.0 counts as a proxy: nginx speaks it by default, and tells of itself in no other way.
    """
    client = scope.get("client")
    return (
        client is not None
        and is_loopback(client[0])
        and names_loopback(headers)
        and scope.get("http_version") != "1.0"
        and FORWARDING.isdisjoint([name for name, _ in headers.raw])
    )


def is_own_page(scope: Scope, headers: Headers) -> bool:
    """Whether the browser says that a page of this very origin made the request."""
    site = headers.get("sec-fetch-site")
    return site == "same-origin" if site is not None else _same_origin(scope, headers)


def refuse_other_sites(scope: Scope, headers: Headers) -> None:
    """Refuse what a page of another site wants changed; clients that are no browsers say nothing of pages.

    Raises:
        CrossSite: the browser says so.
    """
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    foreign = site not in OWN_SITE if site is not None else origin is not None
    if foreign and not (site is None and _same_origin(scope, headers)):
        raise CrossSite("a page of another site may not do this")


def refuse_embedding(headers: Headers) -> None:
    """Refuse what a page of another site loads; following its link is fine.

    Raises:
        CrossSite: the browser says so.
    """
    site, mode = headers.get("sec-fetch-site"), headers.get("sec-fetch-mode")
    if site is not None and site not in OWN_SITE and mode != "navigate":
        raise CrossSite("a page of another site may not load this")


def _same_origin(scope: Scope, headers: Headers) -> bool:
    origin, hosts = headers.getlist("origin"), headers.getlist("host")
    if len(origin) != 1 or len(hosts) != 1:
        return False
    scheme = "https" if is_secure(scope) else "http"
    said, _, rest = origin[0].partition("://")
    return said == scheme and bool(rest) and _name_and_port(rest, scheme) == _name_and_port(hosts[0], scheme)


@lru_cache(maxsize=1024)
def _name_and_port(text: str, scheme: str) -> tuple[str, int]:
    """``localhost:80`` as its parts; an empty name when it is malformed."""
    try:
        parts = urlsplit(f"//{text}")
        plain = not (parts.path or parts.query or parts.fragment or "@" in parts.netloc)
        return (parts.hostname or "", parts.port or PORTS[scheme]) if plain else ("", 0)
    except ValueError:
        return "", 0
