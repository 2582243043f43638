"""The decider of a user's account: what was given, what is set aside, what came back.

Captures are not seen here: they are the hold's. What an account may spend is what is
left of its grants.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

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
from cauldron.domain.ledger_commands import (
    AccountCommand,
    DepositPoints,
    ExpireGrant,
    GrantPoints,
    HoldPoints,
    RefundPoints,
    ReleaseHold,
)

MAX_PRIORITY = 100
Part = tuple[str, int]  # (grant id, milli-points of it)


class OfferExpired(Refused):
    """The quote's time is over; ask for a new one."""

    code = "invoice_expired"


@dataclass(slots=True)
class Grant:
    """Points of one origin, and how many are left."""

    grant_id: str
    kind: str
    priority: int
    expires_at: int | None
    left_milli: int
    place: int  # in the order of arrival

    def lasts(self, now: int) -> bool:
        """Whether it may still be spent."""
        return self.expires_at is None or now < self.expires_at

    @property
    def rank(self) -> tuple[int, float, bool, int]:
        """What is spent first: by priority, then what expires soonest, promotions, the oldest."""
        ends = float("inf") if self.expires_at is None else self.expires_at
        return self.priority, ends, self.kind != "promo", self.place


@dataclass(slots=True)
class Account:
    """The folded state of one account."""

    grants: dict[str, Grant] = field(default_factory=dict)
    holds: dict[str, list[Part]] = field(default_factory=dict)  # open ones: hold -> parts
    granted: int = 0  # how many, ever

    @property
    def available_milli(self) -> int:
        """The balance of the available account."""
        return sum(grant.left_milli for grant in self.grants.values())

    def spendable_milli(self, now: int) -> int:
        """What may be held now: without what has expired and was not taken yet."""
        return sum(g.left_milli for g in self.grants.values() if g.lasts(now))

    def capped_milli(self) -> int:
        """The caps of all open holds together."""
        return sum(milli for parts in self.holds.values() for _, milli in parts)


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
        "legs": legs_of({f"mint:{c.kind}": -c.amount_milli, available(c.account): c.amount_milli}),
    }
    return [Event("PointsGranted", body)]


def _deposit(account: Account, c: DepositPoints) -> list[Event]:
    check_amount(c.amount_milli)
    body = {
        "group": c.key,
        "asked": c.asked,
        "account": c.account,
        "provider": c.provider,
        "chargeId": c.charge_id,
        "amountMilli": c.amount_milli,
        "moneyMicroUsd": c.money_micro_usd,
        "rateId": c.rate_id,
        "legs": legs_of({"mint:paid": -c.amount_milli, available(c.account): c.amount_milli}),
    }
    return [Event("PointsDeposited", body)]


def _hold(account: Account, c: HoldPoints) -> list[Event]:
    check_amount(c.cap_milli, path="cap", least=0)
    if c.offer_ends_at is not None and c.now >= c.offer_ends_at:
        raise OfferExpired("this invoice has expired: ask for a new one")
    if c.hold_id in account.holds:
        raise LedgerConflict(f"hold {c.hold_id} is there already")
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
    over = sum(milli for grant, milli in back if not account.grants[grant].lasts(c.now))
    left = cap - c.captured_milli
    moved = {held(c.account): -left, available(c.account): left - over, EXPIRED: over}
    body = {
        "group": c.key,
        "asked": c.asked,
        "account": c.account,
        "hold": c.hold_id,
        "capturedMilli": c.captured_milli,
        "leftMilli": left,
        "expiredMilli": over,
        "parts": [[grant, milli] for grant, milli in back if account.grants[grant].lasts(c.now)],
        "legs": legs_of(moved),
    }
    return [Event("PointsReleased", body)]


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
    body = {
        "group": c.key,
        "asked": c.asked,
        "account": c.account,
        "amountMilli": c.amount_milli,
        "legs": legs_of({PLATFORM: -c.amount_milli, available(c.account): c.amount_milli}),
    }
    return [Event("PointsRefunded", body)]


_DECIDE: Mapping[type, Callable[[Account, Any], list[Event]]] = {
    GrantPoints: _grant,
    DepositPoints: _deposit,
    HoldPoints: _hold,
    ReleaseHold: _release,
    ExpireGrant: _expire,
    RefundPoints: _refund,
}


def evolve(account: Account, event: Event, *, ts: int) -> None:
    """Fold one event, in place. Total: it never refuses a recorded fact."""
    handler = _FOLD.get(event.type)
    if handler is not None:
        handler(account, event.data)


def _add(account: Account, grant_id: str, data: Mapping[str, Any]) -> None:
    account.granted += 1
    account.grants[grant_id] = Grant(
        grant_id=grant_id,
        kind=data.get("kind", "paid"),
        priority=data.get("priority", 50),
        expires_at=data.get("expiresAt"),
        left_milli=data["amountMilli"],
        place=account.granted,
    )


def _granted(account: Account, data: Mapping[str, Any]) -> None:
    _add(account, data["grant"], data)


def _came_in(account: Account, data: Mapping[str, Any]) -> None:
    _add(account, data["group"], data)


def _held(account: Account, data: Mapping[str, Any]) -> None:
    parts = [(grant, milli) for grant, milli in data["parts"]]
    for grant, milli in parts:
        account.grants[grant].left_milli -= milli
    account.holds[data["hold"]] = parts


def _released(account: Account, data: Mapping[str, Any]) -> None:
    account.holds.pop(data["hold"], None)
    for grant, milli in data["parts"]:
        account.grants[grant].left_milli += milli
    _forget_spent(account)


def _expired(account: Account, data: Mapping[str, Any]) -> None:
    account.grants[data["grant"]].left_milli -= data["amountMilli"]
    _forget_spent(account)


def _forget_spent(account: Account) -> None:
    """Drop grants of which nothing is left and nothing can come back."""
    needed = {grant for parts in account.holds.values() for grant, _ in parts}
    for name in [n for n, g in account.grants.items() if not g.left_milli and n not in needed]:
        del account.grants[name]


_FOLD: Mapping[str, Callable[[Account, Mapping[str, Any]], None]] = {
    "PointsGranted": _granted,
    "PointsDeposited": _came_in,
    "PointsRefunded": _came_in,
    "PointsHeld": _held,
    "PointsReleased": _released,
    "GrantExpired": _expired,
}
