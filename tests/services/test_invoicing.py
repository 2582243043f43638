"""Invoices on both engines: one quote, one hold; what is forged, foreign, late or doubled moves nothing."""

import asyncio
import contextlib
from dataclasses import replace

import jwt
import pytest

from cauldron.adapters.signing_keys import FRESH_MS, FolderKeyring
from cauldron.domain.errors import Invalid
from cauldron.domain.invoice import LIFE_MS, IdempotencyMismatch, InvoiceRejected, Quote
from cauldron.domain.ledger import InsufficientPoints
from cauldron.domain.ledger_account import OfferExpired
from cauldron.services.invoice_tokens import AUDIENCE, InvoiceTokens
from cauldron.services.invoicing import START_MS, Invoicing
from cauldron.services.ledger_books import LedgerSweeper
from tests.contracts.conftest import STORES
from tests.ledger_world import ALL_TABLES, TERMS, LedgerWorld

QUOTE = Quote(
    initiator="ann",
    payer="ann",
    slug="lantern",
    spell_id="s1",
    version="3",
    asset="points",
    cost_milli=700,
    cap_milli=1_000,
    terms=TERMS,
)


@pytest.fixture(params=STORES)
def world(request, tmp_path, run):
    engine = STORES[request.param](tmp_path)
    world = LedgerWorld(run(engine.open(*ALL_TABLES)))
    world.keyring = FolderKeyring(tmp_path / "keys", world.clock)
    world.invoicing = Invoicing(world.ledger, InvoiceTokens(world.keyring))
    run(world.ledger.grant("ann", 5_000, actor="op"))
    yield world
    run(engine.close())


async def untouched(world, error, doing):
    """A refusal changes nothing in the books."""
    before = await world.sums()
    with pytest.raises(error):
        await doing
    assert await world.sums() == before


def test_one_invoice_is_one_hold_however_often_it_is_shown(world, run):
    async def story():
        invoice = await world.invoicing.issue(QUOTE)
        assert (invoice["costPts"], invoice["capPts"], invoice["spellVersion"]) == (0.7, 1, "3")
        used = [
            world.invoicing.consume(invoice["invoiceId"], account="ann", slug="lantern") for _ in range(5)
        ]
        answers = {tuple(sorted(c.answer.items())) for c in await asyncio.gather(*used)}
        assert len(answers) == 1
        assert (await world.ledger.balance("ann"))["heldPts"] == 1
        world.clock.pass_ms(LIFE_MS + 1)  # expiry governs the start only
        again = await world.invoicing.consume(invoice["invoiceId"], account="ann", slug="lantern")
        assert tuple(sorted(again.answer.items())) in answers
        assert (await world.check.verify()).problems == []

    run(story())


def test_a_double_click_and_a_repeated_key_give_the_same_invoice(world, run):
    async def story():
        issue = world.invoicing.issue
        first = await issue(QUOTE)
        both = await asyncio.gather(issue(QUOTE), issue(QUOTE))
        assert {i["expiry"] for i in (first, *both)} == {first["expiry"]}
        ids = {jwt.decode(i["invoiceId"], options={"verify_signature": False})["jti"] for i in (first, *both)}
        assert len(ids) == 1
        keyed = await issue(QUOTE, key="k")
        assert jwt.decode(keyed["invoiceId"], options={"verify_signature": False})["jti"] not in ids
        assert (await issue(QUOTE, key="k"))["invoiceId"] == keyed["invoiceId"]
        with pytest.raises(IdempotencyMismatch):
            await issue(replace(QUOTE, slug="other"), key="k")
        with pytest.raises(Invalid):
            await issue(QUOTE, key="x" * 256)
        await world.invoicing.consume(first["invoiceId"], account="ann", slug="lantern")
        fresh = await issue(QUOTE)  # the first one is used
        assert jwt.decode(fresh["invoiceId"], options={"verify_signature": False})["jti"] not in ids

    run(story())


def test_a_changed_price_is_another_invoice_and_the_open_one_keeps_its_own(world, run):
    async def story():
        old = await world.invoicing.issue(QUOTE)
        dearer = replace(QUOTE, cost_milli=900, cap_milli=1_200)
        new = await world.invoicing.issue(dearer)
        assert (new["costPts"], new["capPts"]) == (0.9, 1.2)
        other_rate = replace(QUOTE, terms=replace(TERMS, rate_id="later"))
        assert (await world.invoicing.issue(other_rate))["rateId"] == "later"
        used = await world.invoicing.consume(old["invoiceId"], account="ann", slug="lantern")
        assert used.opened.charge.cap_milli == 1_000
        assert used.opened.charge.terms == TERMS

    run(story())


def test_expired_foreign_and_wrong_invoices_start_nothing(world, run):
    async def story():
        token = (await world.invoicing.issue(QUOTE))["invoiceId"]
        consume = world.invoicing.consume
        await untouched(world, InvoiceRejected, consume(token, account="bob", slug="lantern"))
        await untouched(world, InvoiceRejected, consume(token, account="ann", slug="other"))
        await untouched(
            world, InvoiceRejected, consume(token, account="ann", slug="lantern", environment="test")
        )
        dear = await world.invoicing.issue(replace(QUOTE, cap_milli=9_000))
        await untouched(world, InsufficientPoints, consume(dear["invoiceId"], account="ann", slug="lantern"))
        await world.ledger.grant("ann", 9_000, actor="op")
        assert (await consume(dear["invoiceId"], account="ann", slug="lantern")).answer  # it stayed open
        world.clock.pass_ms(LIFE_MS)
        await untouched(world, OfferExpired, consume(token, account="ann", slug="lantern"))

    run(story())


def forged(world, **changes):
    key = world.keyring.newest()
    now = world.clock() // 1000
    claims = {"jti": "x", "sub": "ann", "aud": AUDIENCE, "iat": now, "exp": now + 600} | changes
    claims = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(claims, key.secret, algorithm="HS256", headers={"kid": key.name})


def test_forged_tokens_are_rejected(world, run):
    async def story():
        good = (await world.invoicing.issue(QUOTE))["invoiceId"]
        head, body, signature = good.split(".")
        key = world.keyring.newest()
        now = world.clock() // 1000
        claims = {"jti": "x", "sub": "ann", "aud": AUDIENCE, "iat": now, "exp": now + 600}
        bad = [
            "", "x", "a.b.c", "\x00", good[:-2], f"{head}.{body}.", f"{head}.{body}", good + "x" * 5_000,
            f"{head}.{body}.{'A' * len(signature)}",
            *(forged(world, **{name: None}) for name in claims),
            forged(world, aud="other"), forged(world, jti=""), forged(world, sub=7), forged(world, exp="x"),
            forged(world, iat=now + 3_600),
            jwt.encode(claims, None, algorithm="none", headers={"kid": key.name}),
            jwt.encode(claims, key.secret, algorithm="HS512", headers={"kid": key.name}),
            jwt.encode(claims, key.secret, algorithm="HS256"),
            jwt.encode(claims, b"k" * 48, algorithm="HS256", headers={"kid": "../" + key.name}),
            jwt.encode(claims, b"k" * 48, algorithm="HS256", headers={"kid": key.name}),
        ]  # fmt: skip
        genuine = forged(world)  # of an invoice that nobody knows
        for token in (*bad, genuine):
            with pytest.raises(InvoiceRejected):
                await world.invoicing.consume(token, account="ann", slug="lantern")
            with pytest.raises(InvoiceRejected) if token != genuine else contextlib.nullcontext():
                world.invoicing.tokens.read(token, now=world.clock())
        assert (await world.ledger.balance("ann"))["heldPts"] == 0

    run(story())


def test_keys_are_changed_and_the_last_ones_still_count(world, run, tmp_path):
    async def story():
        token = (await world.invoicing.issue(QUOTE))["invoiceId"]
        first = world.keyring.newest()
        assert len(first.secret) >= 32
        [file] = (tmp_path / "keys").iterdir()
        assert file.stat().st_mode & 0o077 == 0
        world.clock.pass_ms(FRESH_MS)
        assert world.keyring.newest().name != first.name
        assert world.invoicing.tokens.read(token, now=world.clock()).account == "ann"
        for _ in range(3):
            world.clock.pass_ms(FRESH_MS)
            world.keyring.newest()
        with pytest.raises(InvoiceRejected):
            world.invoicing.tokens.read(token, now=world.clock())

    run(story())


def test_somebody_else_may_pay_and_a_run_that_never_begins_is_given_back(world, run):
    async def story():
        invoice = await world.invoicing.issue(replace(QUOTE, initiator="guest"))
        await world.invoicing.consume(invoice["invoiceId"], account="guest", slug="lantern")
        await world.books.catch_up(await world.streams())
        assert (await world.ledger.balance("ann"))["heldPts"] == 1
        world.clock.pass_ms(LIFE_MS + START_MS)
        assert await LedgerSweeper(world.books).sweep() == 1
        assert (await world.ledger.balance("ann"))["availablePts"] == 5
        late = world.invoicing.consume(invoice["invoiceId"], account="guest", slug="lantern")
        await untouched(world, OfferExpired, late)  # what was given back pays for nothing
        assert (await world.check.verify()).problems == []

    run(story())
