"""Named leases: who looks after something now. They avoid contention; they are not the fence."""

from cauldron.domain.errors import Duplicate, StaleVersion
from cauldron.ports.storage import Delete, Doc, Put, Store
from cauldron.ports.system import Clock

TABLE = "leases"


class Leases:
    """The leases of one holder (a process session)."""

    def __init__(self, store: Store, *, holder: str, clock: Clock, ttl_ms: int = 5_000) -> None:
        self._store = store
        self._holder = holder
        self._clock = clock
        self._ttl_ms = ttl_ms

    async def acquire(self, name: str) -> bool:
        """Take or renew a lease; False while somebody else holds it."""
        [doc] = await self._store.get(TABLE, [name])
        now = self._clock()
        if doc is not None and doc["holder"] != self._holder and _lasts(doc, now):
            return False
        wanted = {"_id": name, "holder": self._holder, "until": now + self._ttl_ms, "ttlMs": self._ttl_ms}
        try:
            await self._store.commit([Put(TABLE, wanted, doc["_v"] if doc else 0)])
        except (StaleVersion, Duplicate):
            return False
        return True

    async def release(self, name: str) -> None:
        """Let go of a lease, if it is still ours."""
        await self._store.commit([Delete(TABLE, name, {"holder": self._holder})], atomic=False)


def _lasts(doc: Doc, now: int) -> bool:
    """Whether a lease is not over; one that outlasts its length dates from before the clock was set back."""
    return bool(now < doc["until"] <= now + doc["ttlMs"])
