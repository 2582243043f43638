"""What a cook that is paid from a hold charges for its pieces."""

from typing import Any

from cauldron.domain.commands import RecordPiece
from cauldron.domain.cook_state import ENDED, Cook
from cauldron.domain.ledger_pricing import charge_of, charged_steps, price_of

EXHAUSTED = {"reason": "points_exhausted", "detail": "the points set aside are used up"}


def price_wanted(cook: Cook, c: RecordPiece) -> int:
    """The price of a piece that was made, in milli-points, before any cap."""
    return price_of(c.steps, charge_of(cook.charge).terms, piece=c.piece, attempt=c.attempt)


def payable(cook: Cook, wanted_milli: int) -> int:
    """What of a price the hold pays; after the cook's end nobody pays any more."""
    return 0 if cook.state in ENDED else min(wanted_milli, cook.left_milli)


def paid(cook: Cook, c: RecordPiece, *, milli: int) -> dict[str, Any]:
    """What the end of a piece says of the ``milli`` milli-points charged for its steps."""
    charge = charge_of(cook.charge)
    steps = charged_steps(c.steps, charge, left_milli=milli, piece=c.piece, attempt=c.attempt)
    return {"pointsMilli": milli, "hold": charge.hold_id, "steps": steps}
