"""What a cook that is paid from a hold charges for its pieces."""

from typing import Any

from cauldron.domain.budget import Spending, piece_price
from cauldron.domain.commands import RecordPiece, ReplaceHold
from cauldron.domain.cook_state import ENDED, Cook, State
from cauldron.domain.errors import Refused
from cauldron.domain.events import Event
from cauldron.domain.ledger_pricing import charge_of, charged_steps, price_of

PIECES_A_HOLD = 200  # what one is for at most; then another takes its place
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


def points_left(spending: Spending | None) -> int | None:
    """What a budget leaves of points, in thousandths; None without a cap in points."""
    if spending is None or "pointsMilli" not in spending.caps:
        return None
    return max(0, spending.caps["pointsMilli"] - spending.spent.points_milli)


def hold_room(cook: Cook, *, in_flight: int) -> int | None:
    """How many more pieces the present hold has room for; None without limit."""
    if not cook.charge or points_left(cook.spending) is None or cook.spending is None:
        return None
    price = piece_price(cook.spending, "pointsMilli")
    if cook.left_milli <= 0:
        return None if price == 0 else 0
    if price is None:
        return max(0, 1 - in_flight)
    return max(0, cook.left_milli // price - in_flight) if price else None


def is_short(cook: Cook, *, in_flight: int, least_milli: int = 0, pieces_a_hold: int = PIECES_A_HOLD) -> bool:
    """Whether another hold should take the present one's place before more is charged to it.

    It should cover what is in flight and a quarter of a hold's pieces beyond, and at
    least ``least_milli``, as far as the budget and the pieces to make go.
    """
    left = points_left(cook.spending)
    if not cook.charge or left is None or cook.spending is None or cook.left_milli >= left:
        return False
    price = piece_price(cook.spending, "pointsMilli")
    if price == 0 and not least_milli:
        return False
    ahead = min(cook.outstanding, in_flight + max(1, pieces_a_hold // 4))
    return cook.left_milli < max(least_milli, ahead * (price or 0), 1)


def hold_wanted(spending: Spending | None, *, pieces: int, least_milli: int = 0) -> int:
    """What a hold for so many pieces should be, in milli-points: all that is left where no price is known."""
    left = points_left(spending) or 0
    price = piece_price(spending, "pointsMilli") if spending is not None else None
    return left if price is None else min(left, max(least_milli, pieces * price))


def replace(cook: Cook, c: ReplaceHold) -> list[Event]:
    """Another hold in the present one's place; nothing when somebody was faster. Raises Refused."""
    if not cook.charge or cook.state is not State.COOKING:
        raise Refused(f"a cook that is {cook.state} takes no other hold", state=cook.state.value)
    if c.number != cook.holds + 1:
        return []
    body = {"number": c.number, "charge": dict(c.charge), "closes": cook.charge["hold"]}
    return [Event("HoldReplaced", body)]
