"""Invoices: a quoted, expiring permission to spend points on one cast, and when it still stands."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cauldron.domain.errors import Refused
from cauldron.domain.hashing import content_hash
from cauldron.domain.ledger import points
from cauldron.domain.ledger_pricing import Terms
from cauldron.domain.times import iso

LIFE_MS = 600_000  # ten minutes
STATES = ("open", "consumed", "expired")


class InvoiceRejected(Refused):
    """The token is no invoice of this place, caller or spell, or has been tampered with."""

    code = "invoice_rejected"


class IdempotencyMismatch(Refused):
    """The same key was used for another quote."""

    code = "idempotency_mismatch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """What one cast of a spell version is offered for. Amounts are milli-points."""

    initiator: str  # who may use it
    payer: str  # whose points pay
    slug: str
    spell_id: str
    version: str
    asset: str
    cost_milli: int  # what it is expected to cost
    cap_milli: int  # what it costs at most: so much is held
    terms: Terms
    environment: str = "live"
    estimate: Mapping[str, Any] | None = None
    inputs_hash: str = ""
    about: Mapping[str, str] = field(default_factory=dict)

    @property
    def offer(self) -> str:
        """The same for the same version, asset, inputs and people: such quotes share one open invoice."""
        parts = [self.initiator, self.payer, self.slug, self.version, self.asset, self.inputs_hash]
        return content_hash([*parts, self.environment])[:32]


def invoice_document(invoice_id: str, quote: Quote, *, serial: int, now: int, life_ms: int) -> dict[str, Any]:
    """The ``invoices`` record of a fresh quote."""
    return {
        "_id": invoice_id,
        "schemaVersion": 1,
        "offer": quote.offer,
        "serial": serial,
        "owner": quote.initiator,
        "payer": quote.payer,
        "slug": quote.slug,
        "spellId": quote.spell_id,
        "version": quote.version,
        "asset": quote.asset,
        "costMilli": quote.cost_milli,
        "capMilli": quote.cap_milli,
        "terms": quote.terms.document(),
        "estimate": dict(quote.estimate) if quote.estimate is not None else None,
        "environment": quote.environment,
        "state": "open",
        "creditTxId": None,
        "runId": None,
        "createdAt": iso(now),
        "endsAt": now + life_ms,
    }


def stands(invoice: Mapping[str, Any], now: int) -> bool:
    """Whether a cast may still be started on it."""
    return bool(invoice["state"] == "open" and now < invoice["endsAt"])


def check_use(
    invoice: Mapping[str, Any] | None, *, account: str, slug: str, environment: str
) -> Mapping[str, Any]:
    """The invoice, if this account, for which it was quoted, may use it for this spell.

    Raises:
        InvoiceRejected: it is somebody else's, or for another spell.
    """
    if invoice is None or account != invoice["owner"]:  # who pays for it does not cast with it
        raise InvoiceRejected("this invoice is not yours")
    if invoice["slug"] != slug:
        raise InvoiceRejected(f"this invoice is for {invoice['slug']}, not {slug!r:.80}")
    if invoice["environment"] != environment:
        raise InvoiceRejected(f"this invoice is for the environment {invoice['environment']}")
    return invoice


def invoice_view(invoice: Mapping[str, Any], token: str) -> dict[str, Any]:
    """What is answered to who asked for an invoice; points, not thousandths."""
    return {
        "invoiceId": token,
        "costPts": points(invoice["costMilli"]),
        "capPts": points(invoice["capMilli"]),
        "expiry": iso(invoice["endsAt"]),
        "rateId": invoice["terms"]["rateId"],
        "spellVersion": invoice["version"],
        "asset": invoice["asset"],
        "payerAccountId": invoice["payer"],
        "estimate": invoice["estimate"],
    }
