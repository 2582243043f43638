"""Random numbers that are a function of a seed and a purpose, the same on every machine and version."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from cauldron.domain.hashing import seed_from

T = TypeVar("T")
STEP = np.uint64(0x9E3779B97F4A7C15)
MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
MIX_2 = np.uint64(0x94D049BB133111EB)


class Chance:
    """A stream of numbers; equal (seed, purpose) give equal streams.

    Method: SplitMix64 over a counter (Steele, Lea and Flood, 2014). NumPy's own
    generators are not used because their streams may change between versions.
    """

    def __init__(self, seed: int, purpose: str) -> None:
        self._key = np.uint64(seed_from("chance", seed, purpose))
        self._used = 0

    def floats(self, *shape: int) -> NDArray[np.float64]:
        """Uniform numbers in [0, 1) of ``shape``."""
        count = int(np.prod(shape))
        index = np.arange(self._used + 1, self._used + 1 + count, dtype=np.uint64)
        self._used += count
        mixed = self._key + index * STEP
        mixed = (mixed ^ (mixed >> np.uint64(30))) * MIX_1
        mixed = (mixed ^ (mixed >> np.uint64(27))) * MIX_2
        mixed ^= mixed >> np.uint64(31)
        numbers: NDArray[np.float64] = (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53
        return numbers.reshape(shape)

    def float(self, low: float = 0.0, high: float = 1.0) -> float:
        """One number in [low, high)."""
        return low + (high - low) * float(self.floats(1)[0])

    def whole(self, low: int, high: int) -> int:
        """One whole number from ``low`` to ``high``, both included."""
        return low + int(self.float() * (high - low + 1))

    def pick(self, items: Sequence[T]) -> T:
        """One of ``items``."""
        return items[self.whole(0, len(items) - 1)]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """``items`` in a random order."""
        order = np.argsort(self.floats(len(items)), kind="stable")
        return [items[i] for i in order]

    def bell(self, *shape: int) -> NDArray[np.float32]:
        """Roughly normal numbers with mean 0 and deviation 1 (a sum of four uniform ones)."""
        total = self.floats(4, *shape).sum(axis=0) - 2.0
        scaled: NDArray[np.float32] = (total * 3.0**0.5).astype(np.float32)
        return scaled
