"""What happened in the books. ``group`` is a posting group's id, ``legs`` its [account, milli-points] pairs.

``asked`` tells whether a later command of the same id asks for the same. Amounts are
milli-points, instants milliseconds since 1970 UTC.
"""

from typing import Any, NotRequired, TypedDict

Legs = list[list[Any]]


class Posted(TypedDict):
    """What the events that move points share."""

    group: str
    asked: str
    legs: Legs


class Repaid(TypedDict):
    """What the events that bring points to an account share."""

    repaidMilli: NotRequired[int]  # of it, what went to what the account owed


class PointsGranted(Posted, Repaid):
    """An account was given points."""

    account: str
    grant: str
    kind: str  # paid | promo | adjust
    amountMilli: int
    priority: int  # lower is spent first
    expiresAt: int | None
    note: str


class PointsDeposited(Posted, Repaid):
    """Money came in for an account, once per charge of the provider."""

    account: str
    provider: str
    chargeId: str
    amountMilli: int
    moneyMicroUsd: int
    rateId: str


class DepositReversed(Posted):
    """Money went back; its points were taken as far as they were there, the rest is owed.

    ``number`` counts the changes of what went back of one charge, ``reversedMilli`` is what did in all.
    """

    account: str
    provider: str
    chargeId: str
    number: int
    reversedMilli: int
    amountMilli: int
    reason: str
    owedMilli: int
    parts: list[list[Any]]


class DepositRestored(Posted, Repaid):
    """Money that had gone back came again, as after a dispute that was won."""

    account: str
    provider: str
    chargeId: str
    number: int
    reversedMilli: int
    amountMilli: int
    reason: str


class PointsHeld(Posted):
    """Points were set aside for a run; ``parts`` are [grant, milli-points] pairs in the order of spending."""

    account: str
    hold: str
    run: str
    capMilli: int
    parts: list[list[Any]]
    terms: dict[str, Any]
    expiresAt: int | None
    environment: str
    about: dict[str, str]


class PointsReleased(Posted, Repaid):
    """What a closed hold had not used came back; what had expired meanwhile did not."""

    account: str
    hold: str
    capturedMilli: int
    leftMilli: int
    expiredMilli: int
    parts: list[list[Any]]


class GrantExpired(Posted):
    """What was left of a grant is no longer anybody's."""

    account: str
    grant: str
    amountMilli: int


class PointsRefunded(Posted, Repaid):
    """A user got back what a capture had taken."""

    account: str
    amountMilli: int


class PointsMoved(Posted):
    """All that an account had went to the one that took it over; what it owed, too.

    ``grants`` are [kind, priority, expires at, milli-points], ``number`` counts the moves of the account.
    """

    account: str
    to: str
    number: int
    amountMilli: int
    debtMilli: int
    parts: list[list[Any]]  # [grant, milli-points]
    grants: list[list[Any]]


class PointsReceived(Posted):
    """What left the account ``source`` arrived; ``grants`` are what is left of it to spend.

    A debt that came along was paid with what came, then with ``parts`` of grants that were here.
    """

    account: str
    source: str
    amountMilli: int
    debtMilli: int
    repaidMilli: int
    parts: list[list[Any]]  # [grant, milli-points]
    grants: list[list[Any]]


class HoldOpened(TypedDict):
    """A hold's own stream began."""

    hold: str
    asked: str
    account: str
    run: str
    capMilli: int
    terms: dict[str, Any]
    expiresAt: int | None
    environment: str
    about: dict[str, str]


class PointsCaptured(Posted):
    """Points were taken for steps that succeeded.

    ``lines`` are [step, piece, attempt, taken, provider, creator, overrun].
    """

    hold: str
    account: str
    takenMilli: int
    providerMilli: int
    creatorMilli: int
    overrunMilli: int
    lines: list[list[Any]]


class CaptureWasted(Posted):
    """Something cost after its hold was closed: the platform bears it.

    ``lines`` are [step, piece, attempt, price, cost].
    """

    hold: str
    account: str
    costMilli: int
    lines: list[list[Any]]


class HoldClosed(TypedDict):
    """Nothing is captured from the hold any more."""

    hold: str
    asked: str
    account: str
    reason: str  # finished | cancelled | expired
    capturedMilli: int
    creatorMilli: int
    leftMilli: int


class RefundDecided(TypedDict):
    """A capture, or a line of it, is to be given back; the postings follow under ``refund``."""

    asked: str
    hold: str
    account: str
    of: str
    refund: str
    amountMilli: int
    creator: str
    creatorMilli: int
    providerMilli: int
    keys: list[str]
    reason: str


class CreatorEarned(Posted):
    """A creator's share of a run that is over may be withdrawn."""

    creator: str
    amountMilli: int
    hold: str


class CreatorClawedBack(Posted):
    """A creator's share of a refund was taken back; the platform bears the withdrawn ``shortMilli``."""

    creator: str
    amountMilli: int
    refund: str
    shortMilli: int


class PointsWithdrawn(Posted):
    """A creator was paid out."""

    creator: str
    amountMilli: int


class RateSet(TypedDict):
    """What a point is worth from now on."""

    asked: str
    rateId: str
    microUsdPerPoint: int


LEDGER_EVENTS = {
    "PointsGranted": "An account was given points.",
    "PointsDeposited": "Money came in for an account.",
    "DepositReversed": "Money went back; what of its points was spent is owed.",
    "DepositRestored": "Money that had gone back came again.",
    "PointsHeld": "Points were set aside for a run.",
    "PointsReleased": "What a closed hold had not used came back.",
    "GrantExpired": "What was left of a grant expired.",
    "PointsRefunded": "A user got back what a capture had taken.",
    "PointsMoved": "All points of an account went to the one that took it over.",
    "PointsReceived": "Points of an account that was taken over arrived.",
    "HoldOpened": "A hold's own stream began.",
    "PointsCaptured": "Points were taken from a hold for steps that succeeded.",
    "CaptureWasted": "Something cost after its hold was closed; the platform bears it.",
    "HoldClosed": "Nothing is captured from the hold any more.",
    "RefundDecided": "A capture is to be given back; the postings follow.",
    "CreatorEarned": "A creator's share of a run that is over may be withdrawn.",
    "CreatorClawedBack": "A creator's share of a refund was taken back.",
    "PointsWithdrawn": "A creator was paid out.",
    "RateSet": "What a point is worth from now on.",
}
