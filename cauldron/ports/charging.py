"""What execution asks of the books: hold, capture, release."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """Points used by one step; ``key`` makes a second posting of it harmless."""

    key: str
    points_milli: int
    cost_milli: int = 0  # what of it goes to whom the step was bought from


class Charging(Protocol):
    """Spending of points. All amounts are whole milli-points.

    Guarantees: (1) a hold with the same key is the same hold; (2) captures of a
    hold never exceed its cap; (3) release returns what was not captured, once.
    """

    async def hold(self, key: str, *, account: str, cap_milli: int) -> str:
        """Reserve points; returns the ``creditTxId``. Raises Refused when there are not enough."""
        ...

    async def capture(self, credit_tx_id: str, captures: Sequence[Capture]) -> None: ...

    async def release(self, credit_tx_id: str) -> None: ...
