"""The books: every change of points goes through here, and nothing else posts.

A hold is a stream of its own; the account's stream sees only that points were set
aside and came back. What one command begins and another stream must finish (a hold
that is opened, closed, refunded) is done at once, and done again by the follower of
the books if a process died in between: every step has an id that follows from what
it is about.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from cauldron.domain import ledger_account, ledger_creator, ledger_hold
from cauldron.domain.errors import NotFound
from cauldron.domain.events import Event
from cauldron.domain.hashing import content_hash
from cauldron.domain.ledger import LedgerConflict, check_account, check_amount, check_reference, points
from cauldron.domain.ledger_account import Account
from cauldron.domain.ledger_commands import (
    CaptureLines,
    ClawBack,
    CloseHold,
    DepositPoints,
    EarnShare,
    ExpireGrant,
    GrantPoints,
    HoldPoints,
    LedgerCommand,
    OpenHold,
    RefundLines,
    RefundPoints,
    ReleaseHold,
    ReverseDeposit,
    SetRate,
    WithdrawPoints,
)
from cauldron.domain.ledger_creator import Earnings, Rates
from cauldron.domain.ledger_hold import Hold, HoldState
from cauldron.domain.ledger_pricing import Charge, Line, Rate, Terms, charge_of, check_terms, with_rate
from cauldron.persistence.ledger_tables import LEDGER
from cauldron.persistence.streams import Streams
from cauldron.persistence.tables import CAST_EVENTS, COOK_EVENTS
from cauldron.ports.charging import Capture
from cauldron.ports.storage import Store
from cauldron.ports.system import Clock, NewId
from cauldron.services.dispatch import Decider, Dispatcher

log = structlog.get_logger("cauldron.ledger")
SYSTEM = "system"
RATES_STREAM = "rates:points"
DEFAULT_RATE = Rate(rate_id="default", micro_usd_per_point=1_000)  # until one is set: 1,000 points are 1 USD


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A hold, as it was opened first."""

    charge: Charge
    run_id: str


class Ledger:
    """Carries out what is wanted of the books; a Charging. Amounts are whole milli-points."""

    def __init__(self, store: Store, *, clock: Clock, new_id: NewId) -> None:
        self.store = store
        self.clock = clock
        self.new_id = new_id
        self.streams = Streams(store, LEDGER)
        self.accounts: Dispatcher[Account] = Dispatcher(
            self.streams, Decider(Account, ledger_account.decide, ledger_account.evolve), clock=clock
        )
        self.holds: Dispatcher[Hold] = Dispatcher(
            self.streams, Decider(Hold, ledger_hold.decide, ledger_hold.evolve), clock=clock
        )
        self.creators: Dispatcher[Earnings] = Dispatcher(
            self.streams, Decider(Earnings, ledger_creator.decide, ledger_creator.evolve), clock=clock
        )
        self.rates: Dispatcher[Rates] = Dispatcher(
            self.streams, Decider(Rates, ledger_creator.decide_rate, ledger_creator.evolve_rate), clock=clock
        )

    async def post(
        self, dispatcher: Dispatcher[Any], stream: str, command: LedgerCommand, *, actor: str
    ) -> Event | None:
        """Carry a command out: what it caused, now or when it came first; None when nothing was left to do.

        Raises:
            LedgerConflict: the id is known, and meant something else.
        """
        outcome = await dispatcher.handle(stream, command, actor=actor)
        events = outcome.events[0]
        if not isinstance(events, list) or not events:
            return None
        if events[0].data["asked"] != command.asked:
            log.error("ledger conflict", group=command.key, stream=stream)
            raise LedgerConflict(
                f"{command.key} is in the books already and says something else", group=command.key
            )
        return events[0]

    # Points that come in.

    async def grant(
        self,
        account: str,
        milli: int,
        *,
        actor: str,
        kind: str = "promo",
        grant_id: str | None = None,
        priority: int = 50,
        expires_at: int | None = None,
        note: str = "",
    ) -> Mapping[str, Any]:
        """Give points; the same ``grant_id`` again changes nothing. Raises Invalid, LedgerConflict."""
        command = GrantPoints(
            account=check_account(account),
            grant_id=check_reference(grant_id or self.new_id(), path="grant"),
            kind=kind,
            amount_milli=check_amount(milli),
            priority=priority,
            expires_at=expires_at,
            note=note[:200],
        )
        event = await self.post(self.accounts, f"account:{account}", command, actor=actor)
        return event.data if event else {}

    async def deposit(
        self,
        account: str,
        milli: int,
        *,
        provider: str,
        charge_id: str,
        money_micro_usd: int,
        rate_id: str | None = None,
    ) -> Mapping[str, Any]:
        """Points for money, once per charge however often it is told; ``rate_id`` None is the rate of now.

        Raises:
            Invalid, LedgerConflict.
        """
        command = DepositPoints(
            account=check_account(account),
            provider=check_account(provider),
            charge_id=check_reference(charge_id, path="charge"),
            amount_milli=check_amount(milli),
            money_micro_usd=money_micro_usd,
            rate_id=rate_id or (await self.rate()).rate_id,
        )
        event = await self.post(self.accounts, f"account:{account}", command, actor=SYSTEM)
        return event.data if event else {}

    async def reverse_deposit(self, command: ReverseDeposit) -> Mapping[str, Any]:
        """Take back, or give again, what a provider says of a charge. Raises NotFound, Invalid."""
        event = await self.post(self.accounts, f"account:{command.account}", command, actor=SYSTEM)
        return event.data if event else {}

    async def check_unlocked(self, account: str) -> None:
        """Raises AccountLocked: the account owes."""
        ledger_account.check_open((await self.accounts.load(f"account:{account}")).state)

    async def expire_grants(self, account: str) -> int:
        """Take what is left of grants whose time is over; returns how many."""
        now, stream = self.clock(), f"account:{account}"
        grants = (await self.accounts.load(stream)).state.grants.values()
        over = [g.grant_id for g in grants if not g.lasts(now) and g.left_milli]
        for grant_id in over:
            command = ExpireGrant(account=account, grant_id=grant_id, now=now)
            await self.post(self.accounts, stream, command, actor=SYSTEM)
        return len(over)

    # Holds.

    async def open(
        self,
        natural: str,
        *,
        account: str,
        cap_milli: int,
        terms: Terms,
        actor: str,
        run_id: str | None = None,
        offer_ends_at: int | None = None,
        expires_at: int | None = None,
        environment: str = "live",
        about: Mapping[str, str] | None = None,
        total_milli: int | None = None,
    ) -> Opened:
        """Set points aside; whoever comes second with the same ``natural`` gets the first's hold and run.

        Raises:
            InsufficientPoints: there are not enough. SponsorshipExhausted: ``total_milli`` in all would be
            passed. OfferExpired, Invalid, LedgerConflict.
        """
        command = HoldPoints(
            natural=check_reference(natural, path="key"),
            account=check_account(account),
            hold_id=self.new_id(),
            run_id=run_id or self.new_id(),
            cap_milli=cap_milli,
            terms=check_terms(terms).document(),
            now=self.clock(),
            expires_at=expires_at,
            offer_ends_at=offer_ends_at,
            environment=environment,
            about=about or {},
            total_milli=total_milli,
        )
        held = await self.post(self.accounts, f"account:{account}", command, actor=actor)
        if held is None:
            raise NotFound(f"there is no hold for {natural!r:.80}")
        await self.ensure_open(held.data)
        charge = charge_of(
            {"hold": held.data["hold"], "account": account, "capMilli": cap_milli, "terms": command.terms}
        )
        return Opened(charge=charge, run_id=held.data["run"])

    async def ensure_open(self, held: Mapping[str, Any]) -> None:
        """Begin the stream of a hold that the account's stream has; nothing when it has begun."""
        stream = f"hold:{held['hold']}"
        if (await self.holds.load(stream)).state.state is not HoldState.NONE:
            return
        command = OpenHold(
            hold_id=held["hold"],
            account=held["account"],
            run_id=held["run"],
            cap_milli=held["capMilli"],
            terms=held["terms"],
            expires_at=held["expiresAt"],
            environment=held["environment"],
            about=held["about"],
        )
        await self.post(self.holds, stream, command, actor=SYSTEM)

    async def hold(self, key: str, *, account: str, cap_milli: int) -> str:
        """See the port :class:`Charging`. What costs nothing is named, and not in the books."""
        if not cap_milli:
            return content_hash([key, account])[:32]
        rate = await self.rate()
        terms = Terms(rate_id=rate.rate_id, micro_usd_per_point=rate.micro_usd_per_point)
        opened = await self.open(key, account=account, cap_milli=cap_milli, terms=terms, actor=account)
        return opened.charge.hold_id

    async def capture(self, credit_tx_id: str, captures: Sequence[Capture]) -> None:
        """See the port :class:`Charging`. A key is paid for once, in whatever company it comes."""
        owed = [each for each in captures if each.points_milli or each.cost_milli]
        lines = [Line(each.key, 0, 1, each.points_milli, each.cost_milli) for each in owed]
        if lines:
            number = content_hash([line.step for line in lines])[:16]
            await self.capture_lines(credit_tx_id, number=number, lines=lines)

    async def capture_lines(self, hold_id: str, *, number: str, lines: Sequence[Line]) -> Event | None:
        """Take points for steps; the group is ``cap:<hold>:<number>``. Late ones are written down as wasted.

        Raises:
            NotFound: there is no such hold. LedgerConflict: the group says something else.
        """
        command = CaptureLines(hold_id=hold_id, number=number, lines=lines)
        return await self.post(self.holds, f"hold:{hold_id}", command, actor=SYSTEM)

    async def release(self, credit_tx_id: str) -> None:
        """See the port :class:`Charging`."""
        if (await self.holds.load(f"hold:{credit_tx_id}")).state.state is not HoldState.NONE:
            await self.close(credit_tx_id, reason="finished")

    async def close(self, hold_id: str, *, reason: str) -> None:
        """Capture no more, give back the rest, let the creator have the share. Raises NotFound, Refused."""
        command = CloseHold(hold_id=hold_id, reason=reason, now=self.clock())
        await self.post(self.holds, f"hold:{hold_id}", command, actor=SYSTEM)
        await self.settle(hold_id)

    async def settle(self, hold_id: str) -> None:
        """Post what follows from the end of a hold; what is posted already stays as it is."""
        hold = (await self.holds.load(f"hold:{hold_id}")).state
        if hold.state is not HoldState.CLOSED:
            return
        account, captured, creator = hold.opened["account"], hold.captured_milli, hold.terms.creator
        share = EarnShare(creator=creator, hold_id=hold_id, amount_milli=hold.creator_milli)
        release = ReleaseHold(account=account, hold_id=hold_id, captured_milli=captured, now=self.clock())
        await self.post(self.accounts, f"account:{account}", release, actor=SYSTEM)
        if share.amount_milli:
            await self.post(self.creators, f"creator:{creator}", share, actor=SYSTEM)

    async def is_begun(self, run_id: str) -> bool:
        """Whether a run has a stream of its own: then its end closes the hold."""
        for table, kind in ((CAST_EVENTS, "cast"), (COOK_EVENTS, "cook")):
            where = {"stream": f"{kind}:{run_id}"}
            if await self.store.find(table, where, order=("stream", "seq"), limit=1):
                return True
        return False

    async def is_open(self, hold_id: str) -> bool:
        """Whether anything may still be captured from a hold."""
        return (await self.holds.load(f"hold:{hold_id}")).state.state is HoldState.OPEN

    async def sponsored(self, account: str) -> Mapping[str, int]:
        """What an account has set aside or spent for others, in milli-points by sponsorship."""
        return dict((await self.accounts.load(f"account:{account}")).state.sponsored)

    # Points that go back, and out.

    async def refund(self, group: str, *, actor: str, line: str = "", reason: str = "") -> Mapping[str, Any]:
        """Give back what a capture group took, or one line of it; once.

        Raises:
            NotFound: there is no such capture. Refused: its run goes on, or it was refunded before.
        """
        commit = await self.streams.find_command(group) if group.startswith("cap:") else None
        events = commit["events"] if commit else ()
        captured = next((e["data"] for e in events if e["type"] == "PointsCaptured"), None)
        if captured is None:
            raise NotFound(f"there is no capture {group!r:.120}")
        hold_id = captured["hold"]
        await self.settle(hold_id)  # so that what is taken back from the creator has come there
        command = RefundLines(
            hold_id=hold_id, group=group, lines=captured["lines"], line=line, reason=reason[:200]
        )
        decided = await self.post(self.holds, f"hold:{hold_id}", command, actor=actor)
        if decided is None:
            return {}
        told: Mapping[str, Any] = decided.data
        await self.finish_refund(told)
        return told

    async def finish_refund(self, decided: Mapping[str, Any]) -> None:
        """Post what a refund comes to: the creator's part first, as far as it is there."""
        refund, creator, account = decided["refund"], decided["creator"], decided["account"]
        if decided["creatorMilli"]:
            claw = ClawBack(creator=creator, refund=refund, amount_milli=decided["creatorMilli"])
            await self.post(self.creators, f"creator:{creator}", claw, actor=SYSTEM)
        if decided["amountMilli"]:
            back = RefundPoints(account=account, refund=refund, amount_milli=decided["amountMilli"])
            await self.post(self.accounts, f"account:{account}", back, actor=SYSTEM)

    async def withdraw(
        self, creator: str, milli: int, *, actor: str, withdrawal: str | None = None
    ) -> Mapping[str, Any]:
        """Pay a creator out; the same ``withdrawal`` again changes nothing. Raises InsufficientPoints."""
        command = WithdrawPoints(
            creator=check_account(creator),
            withdrawal=check_reference(withdrawal or self.new_id(), path="withdrawal"),
            amount_milli=check_amount(milli),
        )
        event = await self.post(self.creators, f"creator:{creator}", command, actor=actor)
        return event.data if event else {}

    # Rates and balances.

    async def set_rate(self, micro_usd_per_point: int, *, actor: str, rate_id: str | None = None) -> Rate:
        """What a point is worth from now on; what is quoted already keeps its rate. Raises Invalid."""
        wanted = check_reference(rate_id or self.new_id(), path="rate")
        command = SetRate(rate_id=wanted, micro_usd_per_point=micro_usd_per_point)
        await self.post(self.rates, RATES_STREAM, command, actor=actor)
        return await self.rate()

    async def rate(self) -> Rate:
        """What a point is worth now."""
        rates = (await self.rates.load(RATES_STREAM)).state.rates
        return rates[-1] if rates else DEFAULT_RATE

    async def terms(self, terms: Terms | None = None) -> Terms:
        """Terms at the rate of now."""
        rate = await self.rate()
        return with_rate(terms or Terms(rate_id="", micro_usd_per_point=1), rate)

    async def balance(self, account: str) -> dict[str, Any]:
        """What an account may spend, what is set aside, what a creator may withdraw; exact now, in points."""
        now = self.clock()
        folded = await self.accounts.load(f"account:{check_account(account)}")
        state, open_holds, capped = folded.state, list(folded.state.holds), folded.state.capped_milli()
        kinds: dict[str, int] = {}
        for grant in state.grants.values():
            if grant.lasts(now) and grant.left_milli:
                kinds[grant.kind] = kinds.get(grant.kind, 0) + grant.left_milli
        expiring = [g.expires_at for g in state.grants.values() if g.expires_at and g.left_milli]
        spendable = state.spendable_milli(now)
        captured = 0
        for hold_id in open_holds:
            captured += (await self.holds.load(f"hold:{hold_id}")).state.captured_milli
        earnings = (await self.creators.load(f"creator:{account}")).state
        return {
            "account": account,
            "availablePts": points(spendable),
            "heldPts": points(capped - captured),
            "openHolds": len(open_holds),
            "byKind": {kind: points(milli) for kind, milli in sorted(kinds.items())},
            "owedPts": points(state.debt_milli),
            "nextExpiry": min((at for at in expiring if at > now), default=None),
            "payablePts": points(earnings.payable_milli),
            "earnedPts": points(earnings.earned_milli),
            "withdrawnPts": points(earnings.withdrawn_milli),
        }
