"""How often somebody may try a password: a bucket per name and per address, in this process."""

import math
from collections import OrderedDict
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address

from cauldron.domain.identity import Throttled
from cauldron.ports.system import Clock

MOST_BUCKETS = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """``tries`` at once, and one more every ``each_ms``."""

    tries: int
    each_ms: int


PER_NAME = Pace(tries=10, each_ms=30_000)
PER_ADDRESS = Pace(tries=30, each_ms=10_000)
GUESTS = Pace(tries=60, each_ms=5_000)  # per address, and no matter how often it tries to sign in


def neighbourhood(address: str) -> str:
    """What is counted as one address: an IPv4 address, or the 64 bits that an IPv6 network has."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if not isinstance(found, IPv6Address):
        return str(found)
    mapped = found.ipv4_mapped
    return str(mapped) if mapped else str(IPv6Address(int(found) >> 64 << 64))


@dataclass(slots=True)
class Throttle:
    """Counts tries. A try is counted before its outcome is known, so that many at once gain nothing."""

    clock: Clock
    most: int = MOST_BUCKETS
    _spent: OrderedDict[str, tuple[float, int]] = field(default_factory=OrderedDict)  # tries, as of when

    def take(self, *, name: str = "", address: str = "", guest: str = "") -> None:
        """Count one try; ``guest`` is a guest's address. Raises Throttled, and then counts nothing."""
        now = self.clock()
        wanted = [(f"name:{name}", PER_NAME)] if name else []
        wanted += [(f"address:{neighbourhood(address)}", PER_ADDRESS)] if address else []
        wanted += [(f"guest:{neighbourhood(guest)}", GUESTS)] if guest else []
        spent = {key: self._now(key, pace, now) for key, pace in wanted}
        waits = [(spent[key] + 1 - pace.tries) * pace.each_ms for key, pace in wanted]
        wait_ms = max(waits, default=0.0)
        if wait_ms > 0:
            seconds = math.ceil(wait_ms / 1000)
            raise Throttled(f"too many tries: wait {seconds} s", retry_after_s=seconds)
        for key, tries in spent.items():
            self._keep(key, tries + 1, now)

    def forgive(self, *, name: str, address: str) -> None:
        """A try succeeded: it does not count for the address, nor earlier ones for the name."""
        self._spent.pop(f"name:{name}", None)
        key, now = f"address:{neighbourhood(address)}", self.clock()
        self._keep(key, max(0.0, self._now(key, PER_ADDRESS, now) - 1), now)

    def _now(self, key: str, pace: Pace, now: int) -> float:
        spent, at = self._spent.get(key, (0.0, now))
        return max(0.0, spent - max(0, now - at) / pace.each_ms)

    def _keep(self, key: str, spent: float, now: int) -> None:
        self._spent[key] = (spent, now)
        self._spent.move_to_end(key)
        while len(self._spent) > self.most:
            self._spent.popitem(last=False)
