"""Casts that are quoted, paid for and started: the way of every spell page, at a price of nothing, too."""

import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cauldron.domain.errors import Invalid, NotFound, Refused
from cauldron.domain.estimate_cost import tariff_micro_usd
from cauldron.domain.invoice import InvoiceRejected, Quote
from cauldron.domain.ledger_pricing import WHOLE_BPS, Terms, cost_milli, price_milli
from cauldron.domain.ledger_sponsoring import check_total
from cauldron.domain.snapshot import PlannedStep, Snapshot, check_exposed, execution_plan
from cauldron.domain.tool import Kind
from cauldron.ports.storage import Doc, Store
from cauldron.services.casting import Caller, Casting
from cauldron.services.invoicing import Invoicing
from cauldron.services.offering import Offer, Offering, SpellGone
from cauldron.services.spell_stats import SpellStats
from cauldron.services.spells import SPELLS, VERSIONS, SpellRetired, check_not_retired
from cauldron.services.sponsoring import Sponsoring

LEAST_RUNS = 5  # before history says what a run may cost
MICRO = 1_000_000
CheckMedia = Callable[..., Awaitable[None]]


class PriceUnknown(Refused):
    """What a run may cost at most is not declared, and too few runs have shown it."""

    code = "price_unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What one run is expected to cost and may cost at most, in micro-USD, and on what that rests."""

    micro_usd: float
    most_micro_usd: float
    basis: str


@dataclass(slots=True, kw_only=True)
class PaidCasting:
    """Quotes spells, and starts casts on invoices. Inputs are checked before anything is charged."""

    store: Store
    invoicing: Invoicing
    casting: Casting
    offering: Offering
    stats: SpellStats
    check_media: CheckMedia
    sponsoring: Sponsoring
    assets: tuple[str, ...]
    platform_share_bps: int = 0  # of a creator's margin, in parts of 10,000

    async def invoice(
        self, slug: str, *, asset: str, caller: Caller, payer: str | None = None, key: str | None = None
    ) -> dict[str, Any]:
        """An invoice for one cast of what a slug offers now: ``{invoiceId, costPts, capPts, expiry, …}``.

        ``payer`` is the account that pays, when it is not the caller's own.

        Raises:
            Invalid: the asset is not taken here. NotFound: there is no such spell. SpellRetired.
            NotSponsored: the payer has not said that it pays for this caller. SponsorshipExhausted: it
            pays no more in all.
            PriceUnknown: nobody can say what it costs. IdempotencyMismatch: see :meth:`Invoicing.issue`.
        """
        if asset not in self.assets:
            raise Invalid(
                f"asset: {asset!r:.60} is not taken here, only {', '.join(self.assets)}", path="asset"
            )
        try:
            offer = await self.offering.find(slug)
        except SpellGone as gone:
            raise SpellRetired(gone.message, slug=slug) from gone
        price = await self._price(offer)
        terms = await self.invoicing.ledger.terms(self._terms(offer, caller))
        steps = len(offer.snapshot.checked.order)
        quote = Quote(
            initiator=caller.account,
            payer=payer or caller.account,
            slug=offer.slug,
            spell_id=str(offer.record["_id"]),
            version=str(offer.version["version"]),
            asset=asset,
            cost_milli=_milli(price.micro_usd, terms, steps=steps),
            cap_milli=_milli(price.most_micro_usd, terms, steps=steps),
            terms=terms,
            environment=caller.environment,
            estimate={"basis": price.basis},
        )
        said = await self._sponsorship(quote.initiator, quote.payer, cap_milli=quote.cap_milli)
        if said is not None:
            used = (await self.invoicing.ledger.sponsored(quote.payer)).get(said["sponsorship"], 0)
            check_total(used, cap_milli=quote.cap_milli, total_milli=said["totalMilli"])
        return await self.invoicing.issue(quote, key=key)

    def _terms(self, offer: Offer, caller: Caller) -> Terms:
        """The creator's margin on top of what a run costs; who casts a spell of their own pays none."""
        creator, margin = str(offer.record["owner"]), offer.record.get("margin") or {}
        if creator == caller.account:
            margin = {}
        return Terms(
            rate_id="",
            micro_usd_per_point=1,
            markup_bps=margin.get("markupBps", 0),
            flat_milli=margin.get("flatMilli", 0),
            creator=creator,
            creator_bps=WHOLE_BPS - self.platform_share_bps if margin else 0,
        )

    async def _sponsorship(self, initiator: str, payer: str, *, cap_milli: int) -> Doc | None:
        """What somebody else who pays has said; None where nobody else does. Raises NotSponsored."""
        if payer == initiator:
            return None
        return await self.sponsoring.check(payer, initiator, cap_milli=cap_milli)

    async def _price(self, offer: Offer) -> Price:
        """Declared tariffs beat history."""
        steps = execution_plan(offer.snapshot)
        usual, most = _defaults(offer.snapshot), _largest(offer.snapshot)
        declared, worst = tariff_micro_usd(steps, usual), _most(steps, most)
        if worst is not None:
            expected = min(declared if declared is not None else worst, worst)
            return Price(micro_usd=expected, most_micro_usd=worst, basis="tariff")
        known = await self.stats.spell(str(offer.record["_id"]))
        if known.get("runs", 0) < LEAST_RUNS or not known.get("costUsd"):
            raise PriceUnknown(
                f"{offer.title!r:.80} has no price yet: its tools declare none, "
                f"and fewer than {LEAST_RUNS} runs have shown one"
            )
        cost = known["costUsd"]
        high = max(cost["p90"], cost["mean"]) * MICRO * float(known["retryFactor"])
        return Price(micro_usd=cost["mean"] * MICRO, most_micro_usd=high, basis="history")

    async def cast(
        self, slug: str, *, token: str, context: Mapping[str, Any], caller: Caller
    ) -> dict[str, str]:
        """Start the run that an invoice stands for: ``{creditTxId, runId}``; once, however often it is asked.

        The version is the quoted one, whatever was published since.

        Raises:
            InvoiceRejected, OfferExpired, InsufficientPoints: see :meth:`Invoicing.consume`.
            SpellRetired: it is not offered any more. InvalidMany: an input does not fit.
            NotSponsored: the payer does not pay for the caller any more.
        """
        invoice = await self.invoicing.read(
            token, account=caller.account, slug=slug, environment=caller.environment
        )
        if invoice["runId"] and await self._has_begun(invoice["runId"]):
            return {"creditTxId": str(invoice["creditTxId"]), "runId": str(invoice["runId"])}
        said = None
        if invoice["state"] == "open":
            await self._check_offered(invoice)
            payer = invoice["payer"]
            said = await self._sponsorship(invoice["owner"], payer, cap_milli=invoice["capMilli"])
        snapshot = await self._pinned(invoice)
        await self.check_media(context, caller=caller, path="context")
        check_exposed(snapshot, context)
        consumed = await self.invoicing.consume(
            token, account=caller.account, slug=slug, environment=caller.environment, sponsorship=said
        )
        await self.casting.start(
            snapshot, context, caller=caller, key=f"invoice:{invoice['_id']}", paid=consumed.opened
        )
        return consumed.answer

    async def _has_begun(self, run_id: str) -> bool:
        [found] = await self.store.get("casts", [run_id])
        return found is not None

    async def _check_offered(self, invoice: Mapping[str, Any]) -> None:
        [record] = await self.store.get(SPELLS, [invoice["spellId"]])
        if record is None or record["deleted"] or record["publishedVersion"] is None:
            raise SpellRetired(f"the spell {invoice['slug']!r} is not offered any more; nothing was charged")
        [version] = await self.store.get(VERSIONS, [f"{invoice['spellId']}@{invoice['version']}"])
        check_not_retired(invoice["slug"], version)

    async def _pinned(self, invoice: Mapping[str, Any]) -> Snapshot:
        [version] = await self.store.get(VERSIONS, [f"{invoice['spellId']}@{invoice['version']}"])
        if version is None:
            raise NotFound(f"the spell has no version {invoice['version']}")
        return Snapshot.from_dict(version["snapshot"])

    async def run_of(self, slug: str, credit_tx_id: str) -> str:
        """The run of a spell that a hold pays for. Raises NotFound."""
        hold = (await self.invoicing.ledger.holds.load(f"hold:{credit_tx_id}")).state
        if not hold.opened or hold.opened["about"].get("slug") != slug:
            raise NotFound(f"there is no run {credit_tx_id!r:.80}")
        return str(hold.opened["run"])

    async def reader(self, token: str, *, slug: str, credit_tx_id: str) -> Doc:
        """The invoice that opens the stream of its own run, also when it is over.

        Raises:
            InvoiceRejected: it is not genuine, or another run's.
        """
        tokens, clock = self.invoicing.tokens, self.invoicing.ledger.clock
        claims = tokens.read(token, now=clock())
        invoice = dict(
            await self.invoicing.read(
                token, account=claims.account, slug=slug, environment=self.offering.environment
            )
        )
        if invoice["creditTxId"] != credit_tx_id:
            raise InvoiceRejected("this invoice is another run's")
        return invoice


def _milli(micro_usd: float, terms: Terms, *, steps: int) -> int:
    """A price in milli-points; every step's is rounded up, so that a run may cost a little more."""
    if micro_usd <= 0:
        return terms.flat_milli
    spare = steps * (2 + -(-terms.markup_bps // WHOLE_BPS)) if terms.markup_bps else steps
    return price_milli(cost_milli(math.ceil(micro_usd), terms), terms) + spare + terms.flat_milli


def _defaults(snapshot: Snapshot) -> dict[str, Any]:
    return {port.name: port.default for port in snapshot.checked.inputs} | dict(snapshot.overrides)


def _largest(snapshot: Snapshot) -> dict[str, Any]:
    """The largest numbers that inputs may be; those without a bound are left out."""
    ports = [port for port in snapshot.checked.inputs if port.kind in (Kind.INTEGER, Kind.NUMBER)]
    return {port.name: port.maximum for port in ports if port.maximum is not None}


def _most(steps: tuple[PlannedStep, ...], inputs: Mapping[str, Any]) -> float | None:
    """What one run may cost at most by declared tariffs; None where one is missing.

    A step that is paid by the second costs at most its time-out.
    """
    total = 0.0
    for step in steps:
        costing = step.tool.costing
        if costing.model == "per_second" and costing.source == "tariff":
            total += costing.amount_micro_usd * step.tool.timeout_s
            continue
        cost = tariff_micro_usd([step], inputs)
        if cost is None:
            return None
        total += cost
    return total
