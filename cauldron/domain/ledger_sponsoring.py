"""What a payer's account remembers of each sponsorship: how much is set aside or spent under it.

The payer's own stream decides, so that casts at the same time pass no bound.
"""

from collections.abc import Mapping
from typing import Any

from cauldron.domain.ledger import InsufficientPoints, points
from cauldron.domain.ledger_balance import Account

NAMED = "sponsorship"  # in what a hold is about


class SponsorshipExhausted(InsufficientPoints):
    """Who pays has bounded what it pays in all, and too little of that is left; ``missingPts`` says by how
    much."""

    code = "sponsorship_exhausted"


def check_total(used_milli: int, *, cap_milli: int, total_milli: int | None) -> None:
    """Whether one more cast fits what is paid in all; None is without bound. Raises SponsorshipExhausted."""
    missing = 0 if total_milli is None or not cap_milli else used_milli + cap_milli - total_milli
    if total_milli is not None and missing > 0:
        raise SponsorshipExhausted(
            f"{points(missing):g} points are missing: of the {points(total_milli):g} that are paid in all, "
            f"{points(used_milli):g} are spent or set aside",
            missingPts=points(missing),
            totalPts=points(total_milli),
            usedPts=points(used_milli),
        )


def held(account: Account, data: Mapping[str, Any]) -> None:
    """Fold PointsHeld."""
    name = data["about"].get(NAMED)
    if name:
        account.sponsored[name] = account.sponsored.get(name, 0) + data["capMilli"]
        account.sponsored_holds[data["hold"]] = name


def released(account: Account, data: Mapping[str, Any]) -> None:
    """Fold PointsReleased."""
    name = account.sponsored_holds.pop(data["hold"], None)
    if name is not None:
        account.sponsored[name] -= data["leftMilli"]
