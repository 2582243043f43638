"""Invoices: quoted once, used once, answered the same however often they are shown.

That an invoice is used is one commit of the payer's account: the hold whose key names
the invoice. Whoever comes second is answered with that hold's ids; the record follows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cauldron.domain.errors import Duplicate, Invalid, Refused
from cauldron.domain.hashing import content_hash
from cauldron.domain.invoice import (
    LIFE_MS,
    IdempotencyMismatch,
    InvoiceRejected,
    Quote,
    check_use,
    invoice_document,
    invoice_view,
    stands,
)
from cauldron.domain.ledger import check_account, check_amount
from cauldron.domain.ledger_account import OfferExpired
from cauldron.domain.ledger_pricing import check_terms, terms_of
from cauldron.domain.ledger_sponsoring import NAMED
from cauldron.persistence.ledger_tables import INVOICES
from cauldron.ports.storage import Doc, Insert, Patch
from cauldron.services.invoice_tokens import InvoiceTokens
from cauldron.services.ledger import Ledger, Opened

TRIES = 20
START_MS = 600_000  # between the hold and the first commit of its run; then the hold is closed
MAX_KEY = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumed:
    """What an invoice came to: the hold that pays, the run, and the invoice itself."""

    opened: Opened
    invoice: Mapping[str, Any]

    @property
    def answer(self) -> dict[str, str]:
        """``{creditTxId, runId}``"""
        return {"creditTxId": self.opened.charge.hold_id, "runId": self.opened.run_id}


@dataclass(slots=True)
class Invoicing:
    """Issues and takes invoices."""

    ledger: Ledger
    tokens: InvoiceTokens
    life_ms: int = LIFE_MS

    async def issue(self, quote: Quote, *, key: str | None = None) -> dict[str, Any]:
        """An invoice for a quote: ``{invoiceId, costPts, capPts, expiry, …}``.

        The same ``key`` of the same account gives the same invoice; without a key the
        caller's open one for the same offer is given again, so a double click is harmless.

        Raises:
            IdempotencyMismatch: the key was used for another quote. Invalid: the quote makes no sense.
        """
        _check(quote)
        invoice = await self._keyed(quote, key) if key is not None else await self._offered(quote)
        return self._answer(invoice)

    def _answer(self, invoice: Doc) -> dict[str, Any]:
        issued = invoice["endsAt"] - self.life_ms
        token = self.tokens.issue(
            invoice["_id"], account=invoice["owner"], issued_at=issued, ends_at=invoice["endsAt"]
        )
        return invoice_view(invoice, token)

    async def _keyed(self, quote: Quote, key: str) -> Doc:
        if not 1 <= len(key) <= MAX_KEY:
            raise Invalid(f"an idempotency key has between 1 and {MAX_KEY} characters", path="key")
        invoice_id = content_hash(["key", quote.initiator, key])[:32]
        found = await self._insert(invoice_id, quote, serial=0)
        if found["offer"] != quote.offer:
            raise IdempotencyMismatch("this idempotency key was used for another quote")
        return found

    async def _offered(self, quote: Quote) -> Doc:
        for _ in range(TRIES):
            where, order = {"offer": quote.offer}, ("offer", "-serial")
            newest = await self.ledger.store.find(INVOICES, where, order=order, limit=1)
            if newest and stands(newest[0], self.ledger.clock()) and _same_price(newest[0], quote):
                return newest[0]
            serial = newest[0]["serial"] + 1 if newest else 1
            found = await self._insert(content_hash([quote.offer, serial])[:32], quote, serial=serial)
            if stands(found, self.ledger.clock()):
                return found
        raise Refused("this invoice was asked for too often at the same time")

    async def _insert(self, invoice_id: str, quote: Quote, *, serial: int) -> Doc:
        """The invoice of this id: a new one, or the one that is there."""
        fresh = invoice_document(
            invoice_id, quote, serial=serial, now=self.ledger.clock(), life_ms=self.life_ms
        )
        try:
            await self.ledger.store.commit([Insert(INVOICES, fresh)])
        except Duplicate:
            [there] = await self.ledger.store.get(INVOICES, [invoice_id])
            if there is None:
                raise
            return there
        return fresh

    async def read(
        self, token: str, *, account: str, slug: str, environment: str = "live"
    ) -> Mapping[str, Any]:
        """The invoice that a token names, whatever its state.

        Raises:
            InvoiceRejected: the token is not genuine, or not this account's, spell's or environment's.
        """
        claims = self.tokens.read(token, now=self.ledger.clock())
        [invoice] = await self.ledger.store.get(INVOICES, [claims.invoice])
        if invoice is not None and claims.account != invoice["owner"]:
            raise InvoiceRejected("this invoice is not yours")
        return check_use(invoice, account=account, slug=slug, environment=environment)

    async def consume(
        self,
        token: str,
        *,
        account: str,
        slug: str,
        environment: str = "live",
        sponsorship: Mapping[str, Any] | None = None,
    ) -> Consumed:
        """Set the points aside that an invoice allows; the same token again gives the same ids.

        ``sponsorship`` is what another account that pays has said.

        Raises:
            InvoiceRejected: see :meth:`read`. OfferExpired: it is over, and was not used in time.
            InsufficientPoints: the payer has not enough, or pays no more for this account; the invoice
            stays open.
        """
        invoice = await self.read(token, account=account, slug=slug, environment=environment)
        opened = await self.ledger.open(
            f"invoice:{invoice['_id']}",
            account=invoice["payer"],
            cap_milli=invoice["capMilli"],
            terms=terms_of(invoice["terms"]),
            actor=account,
            offer_ends_at=invoice["endsAt"],
            expires_at=invoice["endsAt"] + START_MS,
            environment=invoice["environment"],
            about={
                "slug": invoice["slug"],
                "version": invoice["version"],
                "invoice": invoice["_id"],
                "initiator": invoice["owner"],
                **({NAMED: sponsorship["sponsorship"]} if sponsorship else {}),
            },
            total_milli=sponsorship["totalMilli"] if sponsorship else None,
        )
        if not await self.ledger.is_open(opened.charge.hold_id) and not await self.ledger.is_begun(
            opened.run_id
        ):
            raise OfferExpired("this invoice was used, but its run did not begin in time: ask for a new one")
        used = {"state": "consumed", "creditTxId": opened.charge.hold_id, "runId": opened.run_id}
        await self.ledger.store.commit(
            [Patch(INVOICES, invoice["_id"], used, {"state": "open"})], atomic=False
        )
        return Consumed(opened=opened, invoice={**invoice, **used})


def _check(quote: Quote) -> None:
    check_account(quote.initiator)
    check_account(quote.payer)
    check_amount(quote.cost_milli, path="cost", least=0)
    check_amount(quote.cap_milli, path="cap", least=quote.cost_milli)
    check_terms(quote.terms)


def _same_price(invoice: Doc, quote: Quote) -> bool:
    """Whether an open invoice still says what is quoted now; a changed rate makes a new one."""
    wanted = (quote.cost_milli, quote.cap_milli, quote.terms.document())
    return (invoice["costMilli"], invoice["capMilli"], invoice["terms"]) == wanted
