"""How often something may happen."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What is left after one more: ``allowed``, how many more may come, seconds until there are more."""

    allowed: bool
    remaining: int
    reset_s: int


class Limiter(Protocol):
    """Counts per name within one process."""

    def take(self, name: str, *, limit: int, window_s: int) -> Allowance:
        """Count one; at most ``limit`` are allowed in any window."""
        ...
