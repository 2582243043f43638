"""What is wanted of the books. ``key`` is the posting group's id; ``asked`` tells two of one id apart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cauldron.domain.ledger import fingerprint
from cauldron.domain.ledger_pricing import Line


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantPoints:
    """Give an account points; ``expires_at`` in ms, None for never. Lower priority is spent first."""

    account: str
    grant_id: str
    kind: str
    amount_milli: int
    priority: int = 50
    expires_at: int | None = None
    note: str = ""

    @property
    def key(self) -> str:
        return f"grant:{self.grant_id}"

    @property
    def asked(self) -> str:
        return fingerprint(
            "grant", [self.account, self.kind, self.amount_milli, self.priority, self.expires_at]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DepositPoints:
    """Points for money that a provider took; once per charge."""

    account: str
    provider: str
    charge_id: str
    amount_milli: int
    money_micro_usd: int
    rate_id: str

    @property
    def key(self) -> str:
        return f"dep:{self.provider}:{self.charge_id}"

    @property
    def asked(self) -> str:
        return fingerprint("dep", [self.account, self.amount_milli, self.money_micro_usd, self.rate_id])


@dataclass(frozen=True, slots=True, kw_only=True)
class ReverseDeposit:
    """What went back of one charge in all, as its provider says; ``number`` counts the changes of that."""

    account: str
    provider: str
    charge_id: str
    number: int
    reversed_micro_usd: int
    now: int
    reason: str = ""

    @property
    def key(self) -> str:
        return f"rev:{self.provider}:{self.charge_id}:{self.number}"

    @property
    def asked(self) -> str:
        return fingerprint("rev", [self.account, self.reversed_micro_usd])


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldPoints:
    """Set points aside for a run. Whoever asks second with the same ``natural`` key gets the first's ids."""

    natural: str  # "invoice:<id>", "cook:<id>" … : one of these, one hold
    account: str
    hold_id: str
    run_id: str
    cap_milli: int
    terms: Mapping[str, Any]
    now: int
    expires_at: int | None = None  # when a hold whose run never began is closed
    offer_ends_at: int | None = None  # after this instant the quote no longer stands
    total_milli: int | None = None  # what may be paid in all under the sponsorship that ``about`` names
    environment: str = "live"
    about: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return f"hold:{self.natural}"

    @property
    def asked(self) -> str:
        return fingerprint("hold", [self.account, self.cap_milli, dict(self.terms), self.environment])


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseHold:
    """Give back what a closed hold did not use."""

    account: str
    hold_id: str
    captured_milli: int
    now: int

    @property
    def key(self) -> str:
        return f"rel:{self.hold_id}"

    @property
    def asked(self) -> str:
        return fingerprint("rel", [self.account, self.captured_milli])


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpireGrant:
    """Take what is left of a grant whose time is over."""

    account: str
    grant_id: str
    now: int

    @property
    def key(self) -> str:
        return f"exp:{self.grant_id}"

    @property
    def asked(self) -> str:
        return fingerprint("exp", [self.account])


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundPoints:
    """Give a user back what a capture took; the creator's part has been taken back before."""

    account: str
    refund: str  # "ref:<capture group>" or "ref:<capture group>:<line>"
    amount_milli: int

    @property
    def key(self) -> str:
        return self.refund

    @property
    def asked(self) -> str:
        return fingerprint("ref", [self.account, self.amount_milli])


@dataclass(frozen=True, slots=True, kw_only=True)
class MovePoints:
    """Send all that an account has, and owes, to the account that takes it over; ``number`` counts."""

    account: str
    to: str
    number: int
    now: int

    @property
    def key(self) -> str:
        return f"move:{self.account}:{self.number}"

    @property
    def asked(self) -> str:
        return fingerprint("move", [self.to])


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivePoints:
    """What left ``source`` arrives: ``grants`` are [kind, priority, expires at, milli-points]."""

    account: str
    source: str
    number: int
    grants: Sequence[Sequence[Any]]
    debt_milli: int
    now: int

    @property
    def key(self) -> str:
        return f"recv:{self.source}:{self.number}"

    @property
    def asked(self) -> str:
        return fingerprint("recv", [self.account, [list(each) for each in self.grants], self.debt_milli])


AccountCommand = (
    GrantPoints
    | DepositPoints
    | ReverseDeposit
    | HoldPoints
    | ReleaseHold
    | ExpireGrant
    | RefundPoints
    | MovePoints
    | ReceivePoints
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenHold:
    """Begin the hold's own stream, from what the account's stream says was held."""

    hold_id: str
    account: str
    run_id: str
    cap_milli: int
    terms: Mapping[str, Any]
    expires_at: int | None
    environment: str
    about: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return f"open:{self.hold_id}"

    @property
    def asked(self) -> str:
        return fingerprint("open", [self.account, self.cap_milli, dict(self.terms)])


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureLines:
    """Take points for steps that succeeded; one group per commit of the run."""

    hold_id: str
    number: str  # tells the groups of a hold apart: the seq of the run's commit
    lines: Sequence[Line]

    @property
    def key(self) -> str:
        return f"cap:{self.hold_id}:{self.number}"

    @property
    def asked(self) -> str:
        return fingerprint("cap", [list(line) for line in self.lines])


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseHold:
    """Nothing is taken from a hold any more. ``now`` is checked where the reason is ``expired``."""

    hold_id: str
    reason: str  # finished | cancelled | expired
    now: int

    @property
    def key(self) -> str:
        return f"close:{self.hold_id}"

    @property
    def asked(self) -> str:
        return fingerprint("close", [])


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundLines:
    """Undo what a capture group took, whole or for one line; ``lines`` are as the group has them."""

    hold_id: str
    group: str
    lines: Sequence[Sequence[Any]]  # rows of PointsCaptured
    line: str = ""  # one line's key; empty: all of the group
    reason: str = ""

    @property
    def key(self) -> str:
        return f"asked-ref:{self.group}" + (f":{self.line}" if self.line else "")

    @property
    def asked(self) -> str:
        return fingerprint("asked-ref", [self.group, self.line])


HoldCommand = OpenHold | CaptureLines | CloseHold | RefundLines


@dataclass(frozen=True, slots=True, kw_only=True)
class EarnShare:
    """A creator's share of a run that is over may be withdrawn."""

    creator: str
    hold_id: str
    amount_milli: int

    @property
    def key(self) -> str:
        return f"earn:{self.hold_id}"

    @property
    def asked(self) -> str:
        return fingerprint("earn", [self.creator, self.amount_milli])


@dataclass(frozen=True, slots=True, kw_only=True)
class ClawBack:
    """Take a creator's share of a refund back, as far as it is still there."""

    creator: str
    refund: str
    amount_milli: int

    @property
    def key(self) -> str:
        return f"claw:{self.refund}"

    @property
    def asked(self) -> str:
        return fingerprint("claw", [self.creator, self.amount_milli])


@dataclass(frozen=True, slots=True, kw_only=True)
class WithdrawPoints:
    """Pay a creator out."""

    creator: str
    withdrawal: str
    amount_milli: int

    @property
    def key(self) -> str:
        return f"wd:{self.withdrawal}"

    @property
    def asked(self) -> str:
        return fingerprint("wd", [self.creator, self.amount_milli])


CreatorCommand = EarnShare | ClawBack | WithdrawPoints


@dataclass(frozen=True, slots=True, kw_only=True)
class SetRate:
    """What a point is worth from now on."""

    rate_id: str
    micro_usd_per_point: int

    @property
    def key(self) -> str:
        return f"rate:{self.rate_id}"

    @property
    def asked(self) -> str:
        return fingerprint("rate", [self.micro_usd_per_point])


LedgerCommand = AccountCommand | HoldCommand | CreatorCommand | SetRate
