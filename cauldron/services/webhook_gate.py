"""Where callbacks may go: checked as text when they are asked for, as an address before each connection.

What is denied: other schemes than https (plain http only to hosts that the settings
name), credentials, and every address that is not public, however it is written. The
classification of Python 3.11 lets NAT64, 6to4 and multicast pass; they are denied here.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from cauldron.domain.errors import InvalidMany, Problem
from cauldron.ports.webhooks import Target

MAX_URL = 2_000  # characters
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
TUNNELS = tuple(
    ipaddress.IPv6Network(text)
    for text in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "::/96", "fec0::/10", "100::/64")
)
RELAYS = ipaddress.IPv4Network("192.88.99.0/24")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """What the settings let callbacks reach beyond the public network."""

    hosts: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()

    @classmethod
    def of(cls, entries: Sequence[str]) -> "Gate":
        """From names of hosts, addresses and networks. Raises InvalidMany."""
        hosts, networks = set[str](), list[Network]()
        for index, entry in enumerate(entries):
            try:
                networks.append(ipaddress.ip_network(entry.strip(), strict=False))
            except ValueError:
                name = entry.strip().lower().rstrip(".")
                if not name or any(sign in name for sign in "/:@ []"):
                    raise _refusal(
                        f"callback_hosts[{index}]", "malformed", "must be a host, an address or a network"
                    ) from None
                hosts.add(name)
        return cls(hosts=frozenset(hosts), networks=tuple(networks))

    def target(self, url: str, *, path: str = "callbackUrl") -> Target:
        """The parts of a callback's address. Nothing is looked up.

        Raises:
            InvalidMany: it is malformed, or plainly leads where callbacks may not go.
        """
        if len(url) > MAX_URL or not url.isascii() or any(c <= " " or c == "\\" for c in url):
            raise _refusal(path, "malformed", f"must be an address of at most {MAX_URL} plain characters")
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise _refusal(path, "malformed", "is no address") from None
        host = (parts.hostname or "").rstrip(".")
        if parts.username is not None or parts.password is not None or "@" in parts.netloc:
            raise _refusal(path, "credentials", "must have no user and no password")
        if parts.fragment or "#" in url:
            raise _refusal(path, "malformed", "must have no fragment")
        if not host or port == 0:
            raise _refusal(path, "malformed", "must name a host")
        listed = self._is_listed(host)
        if parts.scheme != "https" and not (parts.scheme == "http" and listed):
            raise _refusal(path, "scheme", "must begin with https://")
        literal = _address(host)
        if literal is not None and not self.admits(literal, host=host):
            raise _refusal(path, "not_public", "must lead to a public address")
        if literal is None and not listed and (host == "localhost" or "." not in host or "%" in host):
            raise _refusal(path, "not_public", "must lead to a public address")
        usual = 443 if parts.scheme == "https" else 80
        where = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return Target(scheme=parts.scheme, host=host, port=port or usual, path=where)

    def _is_listed(self, host: str) -> bool:
        literal = _address(host)
        return host in self.hosts or (
            literal is not None and any(literal in network for network in self.networks)
        )

    def admits_text(self, address: str, host: str) -> bool:
        """The same for an address as text; what is no address is not admitted."""
        found = _address(address)
        return found is not None and self.admits(found, host=host)

    def admits(self, address: Address, *, host: str) -> bool:
        """Whether a connection to this address, which ``host`` led to, may be made."""
        if host in self.hosts or any(address in network for network in self.networks):
            return True
        return is_public(address)


def is_public(address: Address) -> bool:
    """Whether an address is one of the public network, and leads nowhere else."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address.scope_id is not None or any(address in network for network in TUNNELS):
            return False
    elif address in RELAYS:
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _address(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _refusal(path: str, code: str, message: str) -> InvalidMany:
    return InvalidMany([Problem(path=path, code=code, message=message)])
