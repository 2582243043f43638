"""Invoices over HTTP: what is forged, foreign, over or doubled starts nothing, and says why."""

import asyncio

import jwt
import pytest

from cauldron.domain.invoice import LIFE_MS
from tests.api.visitors.market import code

REJECTED = (403, "invoice_rejected")
STRANGE_KEY = b"k" * 48


@pytest.fixture
def good(market, run):
    """A genuine open invoice of bob's for a spell of its own."""
    run(market.publish("tokens", dear=True))
    run(market.publish("other"))
    return run(market.quoted("bob", "tokens"))["invoiceId"]


def signing(market):
    return market.studio.workshop.paid_casting.invoicing.tokens.keyring.newest()


def signed(market, good, *, key=None, algorithm="HS256", header=None, without=(), **changes):
    """The token of the good one with something wrong, signed with the studio's own key."""
    claims = jwt.decode(good, options={"verify_signature": False}) | changes
    claims = {name: value for name, value in claims.items() if name not in without}
    own = signing(market)
    kid = {"kid": own.name} if header is None else header
    return jwt.encode(claims, own.secret if key is None else key, algorithm=algorithm, headers=kid)


def parts(token):
    return token.split(".")


FORGED = {
    "not a token": lambda m, t: "x",
    "empty parts": lambda m, t: "a.b.c",
    "no signature": lambda m, t: ".".join([*parts(t)[:2], ""]),
    "signature of another body": lambda m, t: ".".join([*parts(signed(m, t, jti="x"))[:2], parts(t)[2]]),
    "signature reversed": lambda m, t: ".".join([*parts(t)[:2], parts(t)[2][::-1]]),
    "signed with a strange key": lambda m, t: signed(m, t, key=STRANGE_KEY),
    "alg none": lambda m, t: signed(m, t, key="", algorithm="none"),
    "alg none, signature kept": lambda m, t: signed(m, t, key="", algorithm="none") + parts(t)[2],
    "alg HS512": lambda m, t: signed(m, t, algorithm="HS512"),
    "alg HS384": lambda m, t: signed(m, t, algorithm="HS384"),
    "no key named": lambda m, t: signed(m, t, header={}),
    "an unknown key named": lambda m, t: signed(m, t, header={"kid": "nobody"}),
    "a path as key": lambda m, t: signed(m, t, header={"kid": "../" + signing(m).name}),
    "wrong audience": lambda m, t: signed(m, t, aud="cauldron:stream"),
    "two audiences, neither ours": lambda m, t: signed(m, t, aud=["a", "b"]),
    "from the future": lambda m, t: signed(m, t, iat=10**10),
    "an instant that is text": lambda m, t: signed(m, t, exp="soon"),
    "an instant that is true": lambda m, t: signed(m, t, iat=True),
    "another subject": lambda m, t: signed(m, t, sub="mallory"),
    "no subject's name": lambda m, t: signed(m, t, sub=""),
    "an invoice that is not there": lambda m, t: signed(m, t, jti="0" * 32),
    **{f"without {name}": (lambda n: lambda m, t: signed(m, t, without=(n,)))(name)
       for name in ("exp", "iat", "jti", "aud", "sub")},
}  # fmt: skip


async def nothing_happened(market, who="bob"):
    """No run, nothing set aside."""
    runs = (await market.clients[who].get("/api/v1/casts")).json()["items"]
    assert not [each for each in runs if each["status"] == "running"]
    assert (await market.balance(market.account(who)))["heldPts"] == 0


@pytest.mark.parametrize("wrong", FORGED)
def test_a_forged_token_is_rejected(market, run, good, wrong):
    token = FORGED[wrong](market, good)
    assert code(run(market.cast("bob", "tokens", token))) == REJECTED
    run(nothing_happened(market))


def test_a_foreign_token_and_one_for_another_spell_are_rejected(market, run, good):
    assert code(run(market.cast("cora", "tokens", good))) == REJECTED
    assert code(run(market.cast("bob", "other", good))) == REJECTED
    assert code(run(market.cast("nobody", "tokens", good))) == (401, "unauthenticated")
    run(nothing_happened(market))
    run(nothing_happened(market, "cora"))


def test_a_token_that_is_too_long_is_not_looked_at(market, run, good):
    assert code(run(market.cast("bob", "tokens", good + "A" * 4096))) == (422, "invalid_request")


def test_a_token_that_is_over_starts_nothing_and_a_fresh_quote_does(market, run, good):
    async def story():
        market.studio.ahead_ms += LIFE_MS
        await market.grant(market.account("bob"), 100)
        assert code(await market.cast("bob", "tokens", good)) == (409, "invoice_expired")
        await nothing_happened(market)
        fresh = (await market.quoted("bob", "tokens"))["invoiceId"]
        assert fresh != good
        started = await market.cast("bob", "tokens", fresh, words="fresh")
        assert started.status_code == 202
        await market.done("bob", started.json()["runId"])
        await market.verified()

    run(story())


def test_twenty_casts_with_one_token_are_one_run_one_hold_and_one_charge(market, run):
    async def story():
        await market.publish("doubled", dear=True)
        before = await market.balance(market.account("bob"))
        await market.grant(market.account("bob"), 500)  # enough for nine
        token = (await market.quoted("bob", "doubled"))["invoiceId"]
        answers = await asyncio.gather(
            *(market.cast("bob", "doubled", token, words="once") for _ in range(20))
        )
        assert {answer.status_code for answer in answers} == {202}
        assert len({answer.text for answer in answers}) == 1
        ids = answers[0].json()
        held = (await market.balance(market.account("bob")))["heldPts"]
        assert 50 <= held <= 50.01
        runs = (await market.bob.get("/api/v1/casts")).json()["items"]
        assert [each["castId"] for each in runs if each["status"] == "running"] == [ids["runId"]]
        assert (await market.done("bob", ids["runId"]))["pointsSpent"] == 50
        market.studio.ahead_ms += LIFE_MS  # expiry governs the start only
        assert (await market.cast("bob", "doubled", token, words="other")).json() == ids
        after = await market.balance(market.account("bob"))
        assert after["availablePts"] == before["availablePts"] + 450
        await market.verified()

    run(story())


def test_inputs_out_of_bounds_are_told_before_points_are_counted(market, run):
    async def story():
        await market.publish("bounds", dear=True)
        browser, account = await market.guest()
        token = (await market.quoted(browser, "bounds"))["invoiceId"]
        for wrong, path in (
            ({"words": "x" * 41}, "bounds.words"),
            ({"words": 7}, "bounds.words"),
            ({"more": 1}, "bounds.more"),
        ):
            answer = await market.cast(browser, "bounds", token, **wrong)
            assert answer.status_code == 422, answer.text
            assert path in [problem["path"] for problem in answer.json()["problems"]]
        answer = await market.cast(browser, "bounds", token)
        assert code(answer) == (402, "insufficient_points")
        assert 50 <= answer.json()["details"]["missingPts"] <= 50.01
        assert (await market.balance(account))["openHolds"] == 0
        await market.grant(account, 60)
        started = await market.cast(browser, "bounds", token, words="paid now")  # it stayed open
        assert started.status_code == 202
        await market.done(browser, started.json()["runId"])

    run(story())


@pytest.mark.parametrize("how", ["unpublish", "retire", "delete"])
def test_a_spell_that_is_taken_back_after_the_quote_is_not_cast(market, run, how):
    async def story():
        slug = f"gone-{how}"
        await market.publish(slug, dear=True)
        await market.grant(market.account("bob"), 60)
        before = await market.balance(market.account("bob"))
        token = (await market.quoted("bob", slug))["invoiceId"]
        now, versions = market.studio.clock(), market.versions()
        if how == "retire":
            await versions.retire(slug, now_ms=now)
        else:
            await getattr(versions.book, how)(slug, now_ms=now)
        assert code(await market.cast("bob", slug, token)) == (409, "spell_retired")
        assert await market.balance(market.account("bob")) == before

    run(story())


def test_rate_margin_and_version_of_the_quote_are_pinned(market, run):
    async def story():
        await market.publish("pinned", dear=True)
        await market.versions().set_margin("pinned", markup_bps=2_000, flat_milli=0, now_ms=0)
        account, ledger = market.account("bob"), market.studio.workshop.ledger
        await market.grant(account, 1_000)
        before = (await market.balance(account))["availablePts"]
        old = await market.quoted("bob", "pinned")
        await ledger.set_rate(500, actor="t")  # a point is worth half as much
        try:
            await market.versions().set_margin("pinned", markup_bps=10_000, flat_milli=5_000, now_ms=0)
            await market.publish("pinned", dear=True, description="Another one.")
            new = await market.quoted("bob", "pinned")
            assert (old["costPts"], new["costPts"]) == pytest.approx((60, 205), abs=0.01)
            assert (old["spellVersion"], new["spellVersion"]) == ("1", "2")
            assert old["rateId"] != new["rateId"]
            started = (await market.cast("bob", "pinned", old["invoiceId"], words="old")).json()
            done = await market.done("bob", started["runId"])
            assert (done["pointsSpent"], done["version"]) == (60, "1")
            started = (await market.cast("bob", "pinned", new["invoiceId"], words="new")).json()
            done = await market.done("bob", started["runId"])
            assert (done["pointsSpent"], done["version"]) == (205, "2")
        finally:
            await ledger.set_rate(1_000, actor="t")
        assert (await market.balance(account))["availablePts"] == pytest.approx(before - 265)
        await market.verified()

    run(story())
