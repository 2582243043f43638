"""What is refused leaves every table as it was, to the byte (L20): each refusal there is, on both engines."""

import json
from dataclasses import replace
from typing import Any

import pytest

from cauldron.adapters.signing_keys import FolderKeyring
from cauldron.domain.errors import CauldronError, Invalid, NotFound, Refused
from cauldron.domain.invoice import LIFE_MS, IdempotencyMismatch, InvoiceRejected
from cauldron.domain.ledger import InsufficientPoints, LedgerConflict
from cauldron.domain.ledger_account import OfferExpired
from cauldron.domain.ledger_pricing import Terms
from cauldron.services.invoice_tokens import InvoiceTokens
from cauldron.services.invoicing import Invoicing
from tests.contracts.conftest import STORES
from tests.ledger_world import ALL_TABLES, LedgerWorld
from tests.services.test_invoicing import QUOTE

WRONG = (
    "more than there is", "an offer that is over", "terms that make no sense", "the key with another cap",
    "a hold that is not there", "a group with other lines", "closing nothing", "too early",
    "a refund of nothing", "a refund while it runs", "a refund of no line", "paying out too much",
    "paying out nothing", "the same payout with another amount", "the grant with another amount",
    "a grant of nothing", "a name that is none", "a charge with another amount", "a rate of nothing",
    "the rate with another worth", "an invoice of somebody else", "an invoice for another spell",
    "an invoice of another environment", "a forged invoice", "an invoice that is too dear",
    "an invoice that is over", "a key for another quote", "a key that is too long",
)  # fmt: skip


class Town:
    """Books with something of everything in them."""

    def __init__(self, world: LedgerWorld, keys: Any) -> None:
        self.world, self.ledger = world, world.ledger
        self.invoicing = Invoicing(world.ledger, InvoiceTokens(FolderKeyring(keys, world.clock)))

    async def settle(self) -> None:
        world, ledger = self.world, self.ledger
        await ledger.grant("ann", 5_000, actor="op", grant_id="g")
        await ledger.deposit("ann", 1_000, provider="pay", charge_id="c", money_micro_usd=1_000)
        await ledger.set_rate(1_000, actor="op", rate_id="r")
        self.over = await world.open("over", cap=1_000)
        await world.capture(self.over, "1", ("a", 0, 400, 100), ("b", 0, 100, 100))
        await ledger.release(self.over)
        await ledger.refund(f"cap:{self.over}:1", actor="op", line="0/b")
        await ledger.withdraw("cora", 10, actor="cora", withdrawal="w")
        ends = world.clock() + LIFE_MS
        self.open = await world.open("open", cap=1_000, expires_at=ends)
        await world.capture(self.open, "1", ("a", 0, 400, 100))
        self.token = (await self.invoicing.issue(QUOTE))["invoiceId"]
        self.late = (await self.invoicing.issue(QUOTE, key="late"))["invoiceId"]
        self.dear = (await self.invoicing.issue(replace(QUOTE, cap_milli=10**9), key="dear"))["invoiceId"]
        await world.books.catch_up(await world.streams())

    def use(self, token: str, **more: Any) -> Any:
        return self.invoicing.consume(token, **({"account": "ann", "slug": "lantern"} | more))

    async def begin_late(self) -> Any:
        self.world.clock.pass_ms(LIFE_MS)
        return await self.use(self.late)

    def attempts(self) -> list[tuple[type[CauldronError], Any]]:
        """What is refused, in the order of :data:`WRONG`, and how."""
        world, ledger, now = self.world, self.ledger, self.world.clock()
        senseless = Terms(rate_id="r", micro_usd_per_point=0)
        return [
            (InsufficientPoints, lambda: world.open("x", cap=10**9)),
            (OfferExpired, lambda: world.open("x", offer_ends_at=now)),
            (Invalid, lambda: world.open("x", terms=senseless)),
            (LedgerConflict, lambda: world.open("open", cap=999)),
            (NotFound, lambda: world.capture("none", "1", ("a", 0, 1, 1))),
            (LedgerConflict, lambda: world.capture(self.open, "1", ("z", 0, 7, 7))),
            (NotFound, lambda: ledger.close("none", reason="finished")),
            (Refused, lambda: ledger.close(self.open, reason="expired")),
            (NotFound, lambda: ledger.refund("cap:none:1", actor="op")),
            (Refused, lambda: ledger.refund(f"cap:{self.open}:1", actor="op")),
            (NotFound, lambda: ledger.refund(f"cap:{self.over}:1", actor="op", line="0/none")),
            (InsufficientPoints, lambda: ledger.withdraw("cora", 10**9, actor="cora")),
            (Invalid, lambda: ledger.withdraw("cora", 0, actor="cora")),
            (LedgerConflict, lambda: ledger.withdraw("cora", 11, actor="cora", withdrawal="w")),
            (LedgerConflict, lambda: ledger.grant("ann", 5_001, actor="op", grant_id="g")),
            (Invalid, lambda: ledger.grant("ann", 0, actor="op")),
            (Invalid, lambda: ledger.grant("user:ann", 1, actor="op")),
            (LedgerConflict, lambda: charge(ledger, 1_001)),
            (Invalid, lambda: ledger.set_rate(0, actor="op")),
            (LedgerConflict, lambda: ledger.set_rate(2_000, actor="op", rate_id="r")),
            (InvoiceRejected, lambda: self.use(self.token, account="bob")),
            (InvoiceRejected, lambda: self.use(self.token, slug="other")),
            (InvoiceRejected, lambda: self.use(self.token, environment="test")),
            (InvoiceRejected, lambda: self.use(self.token[:-4] + "AAAA")),
            (InsufficientPoints, lambda: self.use(self.dear)),
            (OfferExpired, self.begin_late),
            (IdempotencyMismatch, lambda: self.invoicing.issue(replace(QUOTE, slug="other"), key="late")),
            (Invalid, lambda: self.invoicing.issue(QUOTE, key="x" * 256)),
        ]


def charge(ledger: Any, milli: int) -> Any:
    return ledger.deposit("ann", milli, provider="pay", charge_id="c", money_micro_usd=1_000)


async def everything(store: Any) -> str:
    """All documents of all tables, as text."""
    found = {}
    for table in ALL_TABLES:
        docs, after = [], None
        while page := await store.find(table.name, {}, limit=500, after=after):
            docs += page
            after = [page[-1]["_id"]]
        found[table.name] = docs
    return json.dumps(found, sort_keys=True, default=str)


@pytest.mark.parametrize("engine", STORES)
def test_what_is_refused_leaves_every_table_as_it_was(run, tmp_path, engine):
    opened = STORES[engine](tmp_path)

    async def story():
        town = Town(LedgerWorld(await opened.open(*ALL_TABLES)), tmp_path / "keys")
        await town.settle()
        attempts = town.attempts()
        assert len(attempts) == len(WRONG)
        before = await everything(town.world.store)
        assert len(before) > 10_000
        for wrong, (kind, attempt) in zip(WRONG, attempts, strict=True):
            with pytest.raises(kind):
                await attempt()
            assert await everything(town.world.store) == before, wrong
        found = await town.world.check.verify()
        assert found.problems == []
        await opened.close()

    run(story())
