"""The layer that believes proxies it was told of, and nobody else, where a request comes from."""

from ipaddress import ip_address

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from cauldron.bootstrap import Studio

SECURE = {"http": "https", "https": "https", "ws": "wss", "wss": "wss"}
PLAIN = {"http": "http", "https": "http", "ws": "ws", "wss": "ws"}
MOST_HOPS = 20


class Forwarded:
    """Puts the client's address and scheme, as a trusted proxy gives them, in place of the proxy's own.

    ``X-Forwarded-For`` is read from its end: the last address that no trusted proxy has is the
    client's; what stands before it anybody may have written. Headers of others are left alone.
    """

    def __init__(self, app: ASGIApp, studio: Studio) -> None:
        self.app = app
        self.trusted = tuple(studio.settings.trusted_proxies)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the class."""
        client = scope.get("client")
        if self.trusted and scope["type"] in ("http", "websocket") and client and self._trusts(client[0]):
            scope = {**scope, **self._told(scope, Headers(scope=scope), client)}
        await self.app(scope, receive, send)

    def _trusts(self, address: str) -> bool:
        try:
            found = ip_address(address)
        except ValueError:
            return False
        mapped = getattr(found, "ipv4_mapped", None) or found
        return any(mapped in network for network in self.trusted)

    def _told(self, scope: Scope, headers: Headers, client: tuple[str, int]) -> Scope:
        """The parts of the scope that the proxy knows better."""
        told: Scope = {"client": self._client(headers, client)}
        said = headers.getlist("x-forwarded-proto")
        if len(said) == 1 and said[0].lower() in ("http", "https"):
            schemes = SECURE if said[0].lower() == "https" else PLAIN
            told["scheme"] = schemes.get(scope.get("scheme", "http"), said[0].lower())
        return told

    def _client(self, headers: Headers, client: tuple[str, int]) -> tuple[str, int]:
        hops = [hop.strip() for hop in ",".join(headers.getlist("x-forwarded-for")).split(",")][-MOST_HOPS:]
        for hop in reversed([hop for hop in hops if hop]):
            address = _address(hop)
            if address is None:
                return client
            if not self._trusts(address):
                return (address, 0)
        return client


def _address(text: str) -> str | None:
    """An address as proxies write it: ``192.0.2.1``, ``192.0.2.1:4711``, ``[2001:db8::1]:4711``."""
    bare = text[1:].partition("]")[0] if text.startswith("[") else text
    if bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        return str(ip_address(bare))
    except ValueError:
        return None
