"""The decider of a hold: opened once, captured from up to its cap, closed once.

What arrives after the close takes nothing from anybody's points: it is written down as
wasted, and the platform bears its cost.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from cauldron.domain.errors import Invalid, NotFound, Refused
from cauldron.domain.events import Event
from cauldron.domain.ledger import PLATFORM, PROVIDER, LedgerConflict, accrued, held, legs_of
from cauldron.domain.ledger_commands import CaptureLines, CloseHold, HoldCommand, OpenHold, RefundLines
from cauldron.domain.ledger_pricing import Charged, Line, Terms, share_all, terms_of

REASONS = ("finished", "cancelled", "expired")
NO_TERMS = Terms(rate_id="", micro_usd_per_point=1)


class HoldState(StrEnum):
    """Where a hold is. ``none`` is before its first commit."""

    NONE = "none"
    OPEN = "open"
    CLOSED = "closed"


@dataclass(slots=True)
class Hold:
    """The folded state of one hold. A bit per piece says what was paid for: 100,000 pieces are 12 KB."""

    state: HoldState = HoldState.NONE
    opened: Mapping[str, Any] = field(default_factory=dict)  # data of HoldOpened
    terms: Terms = NO_TERMS
    cap_milli: int = 0
    captured_milli: int = 0
    creator_milli: int = 0  # the creator's part of that
    provider_milli: int = 0
    wasted_milli: int = 0
    refunded_milli: int = 0
    captures: int = 0  # lines
    closed_reason: str = ""
    paid_pieces: bytearray = field(default_factory=bytearray)
    paid_steps: set[str] = field(default_factory=set)  # of a cast, which has no pieces
    refunded: set[str] = field(default_factory=set)  # keys of lines

    @property
    def left_milli(self) -> int:
        """What may still be captured."""
        return self.cap_milli - self.captured_milli

    def is_paid(self, line: Line) -> bool:
        """Whether an earlier group has paid for this line."""
        if not line.piece:
            return line.step in self.paid_steps
        index, bit = divmod(line.piece, 8)
        return index < len(self.paid_pieces) and bool(self.paid_pieces[index] >> bit & 1)


def decide(hold: Hold, command: HoldCommand) -> list[Event]:
    """The events that ``command`` causes; none when it is already so.

    Raises:
        NotFound: there is no such hold. Refused, Invalid, LedgerConflict.
    """
    if hold.state is HoldState.NONE and not isinstance(command, OpenHold):
        raise NotFound("there is no such hold", hold=command.hold_id)
    return _DECIDE[type(command)](hold, command)


def _open(hold: Hold, c: OpenHold) -> list[Event]:
    if hold.state is not HoldState.NONE:
        return []
    body = {
        "hold": c.hold_id,
        "asked": c.asked,
        "account": c.account,
        "run": c.run_id,
        "capMilli": c.cap_milli,
        "terms": dict(c.terms),
        "expiresAt": c.expires_at,
        "environment": c.environment,
        "about": dict(c.about),
    }
    return [Event("HoldOpened", body)]


def _capture(hold: Hold, c: CaptureLines) -> list[Event]:
    seen: set[str] = set()
    lines = []
    for line in c.lines:
        if line.price_milli < 0 or line.cost_milli < 0 or line.piece < 0:
            raise Invalid(f"line {line.key}: amounts must be 0 or more", path="lines")
        if line.key not in seen and not hold.is_paid(line):
            lines.append(line)
        seen.add(line.key)
    if hold.state is HoldState.CLOSED:
        return [_wasted(hold, c, lines)] if lines else []
    return [_captured(hold, c, lines)] if lines else []


def _captured(hold: Hold, c: CaptureLines, lines: list[Line]) -> Event:
    shares = share_all(lines, hold.terms, left_milli=hold.left_milli)
    taken = sum(each.taken_milli for each in shares)
    provider = sum(each.provider_milli for each in shares)
    creator = sum(each.creator_milli for each in shares)
    moved = {held(hold.opened["account"]): -taken, PROVIDER: provider, PLATFORM: taken - provider - creator}
    if creator:
        moved[accrued(hold.terms.creator)] = creator
    body = {
        "group": c.key,
        "asked": c.asked,
        "hold": c.hold_id,
        "account": hold.opened["account"],
        "takenMilli": taken,
        "providerMilli": provider,
        "creatorMilli": creator,
        "overrunMilli": sum(each.overrun_milli for each in shares),
        "lines": [list(each) for each in shares],
        "legs": legs_of(moved),
    }
    return Event("PointsCaptured", body)


def _wasted(hold: Hold, c: CaptureLines, lines: list[Line]) -> Event:
    cost = sum(line.cost_milli for line in lines)
    body = {
        "group": c.key,
        "asked": c.asked,
        "hold": c.hold_id,
        "account": hold.opened["account"],
        "costMilli": cost,
        "lines": [list(line) for line in lines],
        "legs": legs_of({PLATFORM: -cost, PROVIDER: cost}),
    }
    return Event("CaptureWasted", body)


def _close(hold: Hold, c: CloseHold) -> list[Event]:
    if hold.state is HoldState.CLOSED:
        return []
    if c.reason not in REASONS:
        raise Invalid(f"reason must be one of {', '.join(REASONS)}", path="reason")
    ends = hold.opened["expiresAt"]
    if c.reason == "expired" and (ends is None or c.now < ends):
        raise Refused("this hold has not expired")
    body = {
        "hold": c.hold_id,
        "asked": c.asked,
        "account": hold.opened["account"],
        "reason": c.reason,
        "capturedMilli": hold.captured_milli,
        "creatorMilli": hold.creator_milli,
        "leftMilli": hold.left_milli,
    }
    return [Event("HoldClosed", body)]


def _refund(hold: Hold, c: RefundLines) -> list[Event]:
    if hold.state is not HoldState.CLOSED:
        raise Refused("the run is still being paid for: refund it when it is over")
    wanted = [Charged(*row) for row in c.lines]
    if c.line:
        wanted = [each for each in wanted if key_of(each) == c.line]
        if not wanted:
            raise NotFound(f"{c.group} has no line {c.line!r:.80}")
    fresh = [each for each in wanted if key_of(each) not in hold.refunded]
    if not fresh:
        raise Refused("this was refunded before", group=c.group)
    taken = sum(each.taken_milli for each in fresh)
    if hold.refunded_milli + taken > hold.captured_milli:
        raise LedgerConflict(f"{c.group}: more would be given back than was taken")
    body = {
        "asked": c.asked,
        "hold": c.hold_id,
        "account": hold.opened["account"],
        "of": c.group,
        "refund": c.key.removeprefix("asked-"),
        "amountMilli": taken,
        "creator": hold.terms.creator,
        "creatorMilli": sum(each.creator_milli for each in fresh),
        "providerMilli": sum(each.provider_milli for each in fresh),
        "keys": [key_of(each) for each in fresh],
        "reason": c.reason,
    }
    return [Event("RefundDecided", body)]


def key_of(charged: Charged) -> str:
    """What a line that was taken is of; see :attr:`Line.key`."""
    return f"{charged.piece}/{charged.step}"


_DECIDE: Mapping[type, Callable[[Hold, Any], list[Event]]] = {
    OpenHold: _open,
    CaptureLines: _capture,
    CloseHold: _close,
    RefundLines: _refund,
}


def evolve(hold: Hold, event: Event, *, ts: int) -> None:
    """Fold one event, in place."""
    data = event.data
    if event.type == "HoldOpened":
        hold.state, hold.opened = HoldState.OPEN, data
        hold.cap_milli, hold.terms = data["capMilli"], terms_of(data["terms"])
    elif event.type == "PointsCaptured":
        hold.captured_milli += data["takenMilli"]
        hold.creator_milli += data["creatorMilli"]
        hold.provider_milli += data["providerMilli"]
        hold.captures += len(data["lines"])
        _mark_paid(hold, data["lines"])
    elif event.type == "CaptureWasted":
        hold.wasted_milli += data["costMilli"]
        _mark_paid(hold, data["lines"])
    elif event.type == "HoldClosed":
        hold.state, hold.closed_reason = HoldState.CLOSED, data["reason"]
    elif event.type == "RefundDecided":
        hold.refunded_milli += data["amountMilli"]
        hold.refunded.update(data["keys"])


def _mark_paid(hold: Hold, lines: list[list[Any]]) -> None:
    for step, piece, *_ in lines:
        if not piece:
            hold.paid_steps.add(step)
            continue
        index, bit = divmod(piece, 8)
        if index >= len(hold.paid_pieces):
            hold.paid_pieces.extend(bytes(index + 1 - len(hold.paid_pieces)))
        hold.paid_pieces[index] |= 1 << bit
