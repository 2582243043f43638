"""A cache bounded by bytes: the entry used longest ago goes first."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class BoundedCache(Generic[K, V]):
    """Least-recently-used cache. Not shared between processes; guard it between threads."""

    def __init__(self, *, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.size_bytes = 0
        self._entries: OrderedDict[K, tuple[V, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K) -> V | None:
        """The value under ``key``, which becomes the most recent, or None."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        return entry[0]

    def put(self, key: K, value: V, *, size_bytes: int) -> None:
        """Keep ``value``, evicting the oldest entries; what exceeds the limit alone is not kept."""
        if size_bytes > self.limit_bytes:
            return
        old = self._entries.pop(key, None)
        self.size_bytes += size_bytes - (old[1] if old else 0)
        self._entries[key] = (value, size_bytes)
        while self.size_bytes > self.limit_bytes:
            _, (_, gone) = self._entries.popitem(last=False)
            self.size_bytes -= gone

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self.size_bytes = 0
