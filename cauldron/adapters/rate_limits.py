"""Rate limits in memory, with the sliding windows of ``limits``."""

import math
import time

from limits import RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from cauldron.ports.limiting import Allowance


class MemoryLimiter:
    """Counts in this process: two servers of one store allow twice as much."""

    def __init__(self) -> None:
        self._windows = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._items: dict[tuple[int, int], RateLimitItemPerSecond] = {}

    def take(self, name: str, *, limit: int, window_s: int) -> Allowance:
        """Count one; at most ``limit`` are allowed in any window."""
        item = self._items.get((limit, window_s))
        if item is None:
            item = self._items[limit, window_s] = RateLimitItemPerSecond(limit, window_s)
        allowed = self._windows.hit(item, name)
        left = self._windows.get_window_stats(item, name)
        reset_s = max(1, math.ceil(left.reset_time - time.time()))
        return Allowance(allowed=allowed, remaining=max(0, left.remaining), reset_s=reset_s)
