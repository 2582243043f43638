"""The decider of a user's account: what was given, what is set aside, what came back.

Captures are not seen here: they are the hold's. What an account may spend is what is
left of its grants.
"""

from collections.abc import Callable, Mapping
from typing import Any

from cauldron.domain import ledger_deposits, ledger_moves, ledger_sponsoring
from cauldron.domain.errors import Invalid, NotFound, Refused
from cauldron.domain.events import Event
from cauldron.domain.ledger import (
    EXPIRED,
    KINDS,
    PLATFORM,
    InsufficientPoints,
    LedgerConflict,
    available,
    check_amount,
    held,
    legs_of,
    points,
)
from cauldron.domain.ledger_balance import Account, Grant, Part
from cauldron.domain.ledger_commands import (
    AccountCommand,
    DepositPoints,
    ExpireGrant,
    GrantPoints,
    HoldPoints,
    MovePoints,
    ReceivePoints,
    RefundPoints,
    ReleaseHold,
    ReverseDeposit,
)
from cauldron.domain.ledger_deposits import repaid_of

__all__ = ["Account", "AccountLocked", "Grant", "OfferExpired", "decide", "evolve"]
MAX_PRIORITY = 100


class OfferExpired(Refused):
    """The quote's time is over; ask for a new one."""

    code = "invoice_expired"


class AccountLocked(InsufficientPoints):
    """Money was taken back after its points were spent; ``owedPts`` are to be paid before anything starts."""

    code = "account_locked"


def decide(account: Account, command: AccountCommand) -> list[Event]:
    """The events that ``command`` causes; none when it is already so.

    Raises:
        InsufficientPoints: there are not enough. Refused, NotFound, Invalid, LedgerConflict.
    """
    return _DECIDE[type(command)](account, command)


def _grant(account: Account, c: GrantPoints) -> list[Event]:
    check_amount(c.amount_milli)
    if c.kind not in KINDS:
        raise Invalid(f"kind must be one of {', '.join(KINDS)}, not {c.kind!r:.40}", path="kind")
    if not 0 <= c.priority <= MAX_PRIORITY:
        raise Invalid(f"priority must be between 0 and {MAX_PRIORITY}, not {c.priority}", path="priority")
    repaid = account.repays(c.amount_milli, kind=c.kind)
    moved = {
        f"mint:{c.kind}": -c.amount_milli,
        available(c.account): c.amount_milli - repaid,
        PLATFORM: repaid,
    }
    body = {
        "group": c.key,
        "asked": c.asked,
        "account": c.account,
        "grant": c.grant_id,
        "kind": c.kind,
        "amountMilli": c.amount_milli,
        "priority": c.priority,
        "expiresAt": c.expires_at,
        "note": c.note,
        **repaid_of(repaid),
        "legs": legs_of(moved),
    }
    return [Event("PointsGranted", body)]


def _hold(account: Account, c: HoldPoints) -> list[Event]:
    check_amount(c.cap_milli, path="cap", least=0)
    if c.cap_milli:
        check_open(account)
    if c.offer_ends_at is not None and c.now >= c.offer_ends_at:
        raise OfferExpired("this invoice has expired: ask for a new one")
    if c.hold_id in account.holds:
        raise LedgerConflict(f"hold {c.hold_id} is there already")
    used = account.sponsored.get(c.about.get(ledger_sponsoring.NAMED, ""), 0)
    ledger_sponsoring.check_total(used, cap_milli=c.cap_milli, total_milli=c.total_milli)
    parts = _drawn(account, c.cap_milli, now=c.now)
    body = {
        "group": c.key,
        "asked": c.asked,
        "account": c.account,
        "hold": c.hold_id,
        "run": c.run_id,
        "capMilli": c.cap_milli,
        "parts": [list(part) for part in parts],
        "terms": dict(c.terms),
        "expiresAt": c.expires_at,
        "environment": c.environment,
        "about": dict(c.about),
        "legs": legs_of({available(c.account): -c.cap_milli, held(c.account): c.cap_milli}),
    }
    return [Event("PointsHeld", body)]


def check_open(account: Account) -> None:
    """Raises AccountLocked: the account owes."""
    owed = account.debt_milli
    if owed:
        raise AccountLocked(
            f"{points(owed):g} points are owed for a payment that was taken back: pay that first",
            missingPts=points(owed),
            owedPts=points(owed),
        )


def _drawn(account: Account, wanted: int, *, now: int) -> list[Part]:
    parts: list[Part] = []
    missing = wanted
    for grant in sorted(account.grants.values(), key=_rank):
        if not missing:
            break
        if grant.lasts(now) and grant.left_milli:
            taken = min(grant.left_milli, missing)
            parts.append((grant.grant_id, taken))
            missing -= taken
    if missing:
        raise InsufficientPoints(
            f"{points(missing):g} points are missing: {points(wanted):g} are needed",
            missingPts=points(missing),
            neededPts=points(wanted),
            availablePts=points(wanted - missing),
        )
    return parts


def _rank(grant: Grant) -> tuple[int, float, bool, int]:
    return grant.rank


def _release(account: Account, c: ReleaseHold) -> list[Event]:
    parts = account.holds.get(c.hold_id)
    if parts is None:
        return []  # released already
    cap = sum(milli for _, milli in parts)
    if not 0 <= c.captured_milli <= cap:
        raise LedgerConflict(f"hold {c.hold_id} has a cap of {cap}, and {c.captured_milli} were captured")
    back = _unspent(parts, spent=c.captured_milli)
    lasting = [(grant, milli) for grant, milli in back if account.grants[grant].lasts(c.now)]
    over = sum(milli for _, milli in back) - sum(milli for _, milli in lasting)
    lasting, repaid = _repaying(account, lasting)
    left = cap - c.captured_milli
    moved = {held(c.account): -left, available(c.account): left - over - repaid}
    moved |= {EXPIRED: over, PLATFORM: repaid}
    body = {
        "group": c.key,
        "asked": c.asked,
        "account": c.account,
        "hold": c.hold_id,
        "capturedMilli": c.captured_milli,
        "leftMilli": left,
        "expiredMilli": over,
        "parts": [list(part) for part in lasting],
        **repaid_of(repaid),
        "legs": legs_of(moved),
    }
    return [Event("PointsReleased", body)]


def _repaying(account: Account, parts: list[Part]) -> tuple[list[Part], int]:
    """What of points that come back is left to the account, and what goes to what it owes."""
    kept, owed = [], account.debt_milli
    for grant, milli in parts:
        taken = 0 if account.grants[grant].kind == "promo" else min(milli, owed)
        owed -= taken
        if milli > taken:
            kept.append((grant, milli - taken))
    return kept, account.debt_milli - owed


def _unspent(parts: list[Part], *, spent: int) -> list[Part]:
    """What remains of a hold's parts when so much of them, from the first on, was used."""
    back = []
    for grant, milli in parts:
        used = min(milli, spent)
        spent -= used
        if milli > used:
            back.append((grant, milli - used))
    return back


def _expire(account: Account, c: ExpireGrant) -> list[Event]:
    grant = account.grants.get(c.grant_id)
    if grant is None:
        return []
    if grant.lasts(c.now):
        raise Refused(f"grant {c.grant_id} has not expired")
    if not grant.left_milli:
        return []
    body = {
        "group": c.key,
        "asked": c.asked,
        "account": c.account,
        "grant": c.grant_id,
        "amountMilli": grant.left_milli,
        "legs": legs_of({available(c.account): -grant.left_milli, EXPIRED: grant.left_milli}),
    }
    return [Event("GrantExpired", body)]


def _refund(account: Account, c: RefundPoints) -> list[Event]:
    if not account.granted:
        raise NotFound("there is no such account")
    check_amount(c.amount_milli)
    repaid = account.repays(c.amount_milli)
    back = c.amount_milli - repaid
    body = {
        "group": c.key,
        "asked": c.asked,
        "account": c.account,
        "amountMilli": c.amount_milli,
        **repaid_of(repaid),
        "legs": legs_of({PLATFORM: -back, available(c.account): back}),
    }
    return [Event("PointsRefunded", body)]


_DECIDE: Mapping[type, Callable[[Account, Any], list[Event]]] = {
    GrantPoints: _grant,
    DepositPoints: ledger_deposits.deposit,
    ReverseDeposit: ledger_deposits.reverse,
    HoldPoints: _hold,
    ReleaseHold: _release,
    ExpireGrant: _expire,
    RefundPoints: _refund,
    MovePoints: ledger_moves.move,
    ReceivePoints: ledger_moves.receive,
}


def evolve(account: Account, event: Event, *, ts: int) -> None:
    """Fold one event, in place. Total: it never refuses a recorded fact."""
    handler = _FOLD.get(event.type)
    if handler is not None:
        handler(account, event.data)


def _granted(account: Account, data: Mapping[str, Any]) -> None:
    account.add(data["grant"], data)


def _came_in(account: Account, data: Mapping[str, Any]) -> None:
    account.add(data["group"], data)


def _held(account: Account, data: Mapping[str, Any]) -> None:
    parts = [(grant, milli) for grant, milli in data["parts"]]
    for grant, milli in parts:
        account.grants[grant].left_milli -= milli
    account.holds[data["hold"]] = parts
    ledger_sponsoring.held(account, data)


def _released(account: Account, data: Mapping[str, Any]) -> None:
    account.holds.pop(data["hold"], None)
    for grant, milli in data["parts"]:
        account.grants[grant].left_milli += milli
    account.debt_milli -= data.get("repaidMilli", 0)
    ledger_sponsoring.released(account, data)
    account.forget_spent()


def _expired(account: Account, data: Mapping[str, Any]) -> None:
    account.grants[data["grant"]].left_milli -= data["amountMilli"]
    account.forget_spent()


_FOLD: Mapping[str, Callable[[Account, Mapping[str, Any]], None]] = {
    "PointsGranted": _granted,
    "PointsDeposited": ledger_deposits.deposited,
    "DepositReversed": ledger_deposits.reversed_,
    "DepositRestored": ledger_deposits.restored,
    "PointsRefunded": _came_in,
    "PointsHeld": _held,
    "PointsReleased": _released,
    "GrantExpired": _expired,
    "PointsMoved": ledger_moves.moved,
    "PointsReceived": ledger_moves.received,
}
