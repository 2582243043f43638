"""Charging while everything is free: holds are named, nothing is counted."""

from collections.abc import Sequence

from cauldron.domain.hashing import content_hash
from cauldron.ports.charging import Capture


class FreeOfCharge:
    """A Charging that admits every hold and captures nothing."""

    async def hold(self, key: str, *, account: str, cap_milli: int) -> str:
        """The same ``creditTxId`` for the same key and account."""
        return content_hash([key, account])[:32]

    async def capture(self, credit_tx_id: str, captures: Sequence[Capture]) -> None:
        """Nothing is owed."""

    async def release(self, credit_tx_id: str) -> None:
        """Nothing was held."""
