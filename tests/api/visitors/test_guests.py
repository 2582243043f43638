"""Who pays and who may look: guests, accounts that pay for others, creators with a margin."""

import asyncio
import io

import pytest
from PIL import Image

from cauldron.api.authentication import LOOPBACK_COOKIE
from cauldron.services.feed_standing import standing
from tests.api.visitors.market import code, running
from tests.services.identity_place import PASSWORD

OUTSIDE = "https://studio.example"


def test_a_guest_casts_what_is_offered_and_sees_what_came_of_it(market, run):
    async def story():
        await market.publish("free")
        browser, account = await market.guest()
        me = (await browser.get("/api/v1/me")).json()
        assert (me["role"], me["scopes"], me["account"]) == ("guest", ["read", "visit"], account)
        started = await market.started(browser, "free")
        done = await market.done(browser, started["runId"])
        assert (done["status"], done["pointsSpent"]) == ("completed", 0)
        assert done["initiatorAccountId"] == done["payerAccountId"] == account
        [step] = done["steps"]
        assert (step["initiatorAccountId"], step["payerAccountId"]) == (account, account)
        media = done["outputs"]["image"]["media"].removeprefix("sha256:")
        assert (await browser.get(f"/api/v1/media/{media}")).status_code == 200
        other, _ = await market.guest()
        for who in (other, market.bob, market.cora):
            assert code(await who.get(f"/api/v1/casts/{started['runId']}")) == (404, "not_found")
            assert (await who.get(f"/api/v1/media/{media}")).status_code == 404
            assert await market.stream(who, "free", f"creditTxId={started['creditTxId']}") == 404
        assert await market.stream(browser, "free", f"creditTxId={started['creditTxId']}") == 200

    run(story())


def test_a_guest_may_do_nothing_else(market, run):
    async def story():
        browser, account = await market.guest()
        spell = {"document": {"cauldronSpell": 1, "name": "x", "steps": []}}
        for method, path, body in (
            ("POST", "/api/v1/casts", {"tool": "text.card", "inputs": {"text": "x"}}),
            ("POST", "/api/v1/spells", spell),
            ("POST", "/api/v1/invitations", {"role": "reviewer"}),
            ("PUT", f"/api/v1/payments/sponsored/{account}", {"mostPts": 1}),
            ("GET", "/api/v1/users", None),
        ):
            assert code(await browser.request(method, path, json=body)) == (403, "forbidden"), path
        assert (await browser.post("/api/v1/keys", json={"label": "k"})).status_code == 409
        wrong = {"current": "x", "new": "a long pass phrase"}
        assert (await browser.post("/api/v1/me/password", json=wrong)).status_code == 404
        assert (await browser.get("/api/v1/spells")).json()["items"] == []

    run(story())


def test_a_guest_sees_and_buys_points(market, run):
    async def story():
        browser, account = await market.guest()
        await market.grant(account, 3)
        assert (await browser.get("/api/v1/points")).json()["availablePts"] == 3
        page = await browser.get("/points")
        assert page.status_code == 200 and 'class="sums"' in page.text
        bought = await browser.post("/api/v1/payments/checkout", json={"points": 500})
        assert bought.status_code != 403 and bought.json()["code"] != "forbidden"  # no rail is set up here

    run(story())


def test_a_guest_brings_pictures_but_not_without_end(market, run):
    async def story():
        browser, _ = await market.guest()
        picture = io.BytesIO()
        Image.new("RGB", (4, 4)).save(picture, "PNG")
        files = [("file", (f"{n}.png", picture.getvalue(), "image/png")) for n in range(20)]
        for _ in range(2):
            assert (await browser.post("/api/v1/uploads", files=files)).status_code == 201
        answer = await browser.post("/api/v1/uploads", files=files[:1])
        assert code(answer) == (409, "refused")
        assert len((await browser.get("/api/v1/uploads")).json()["items"]) == 40

    run(story())


def test_being_a_guest_is_asked_for_by_our_own_pages_only(market, run):
    async def story():
        crossing = market.client(origin="https://evil.example", sec_fetch_site="cross-site")
        assert code(await crossing.post("/api/v1/session/guest")) == (403, "cross_site_request")
        plain = market.client(base="http://studio.example", address="192.0.2.1")
        assert code(await plain.post("/api/v1/session/guest")) == (403, "https_needed")
        browser, account = await market.guest()
        again = await browser.post("/api/v1/session/guest", json={})
        assert (again.status_code, again.json()["account"]) == (201, account)  # stays who they are
        assert code(await market.bob.post("/api/v1/session/guest")) == (409, "refused")
        del browser.headers["x-csrf-token"]
        assert code(await browser.post("/api/v1/payments/invoice", json={"spellSlug": "free"})) == (
            403,
            "cross_site_request",
        )
        outside = market.browser(base=OUTSIDE, address="192.0.2.1")
        answer = await outside.post("/api/v1/session/guest")
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("__Host-cauldron=") and "Secure" in cookie and "HttpOnly" in cookie

    run(story())


def test_one_address_is_not_many_guests(market, run):
    async def story():
        crowd = market.client(address="192.0.2.77", base=OUTSIDE)
        for _ in range(70):
            answer = await crowd.post("/api/v1/session/guest")
            crowd.cookies.clear()
            if answer.status_code != 201:
                break
        assert code(answer) == (429, "too_many_attempts")
        assert int(answer.headers["retry-after"]) > 0
        signing = {"name": "ann", "password": PASSWORD}
        assert (await crowd.post("/api/v1/session", json=signing)).status_code == 201  # they are not shut out

    run(story())


def test_a_guest_who_signs_out_is_nobody(market, run):
    async def story():
        browser, _ = await market.guest()
        proofs = market.studio.identity.authenticator
        who = await proofs.session(browser.cookies[LOOPBACK_COOKIE])
        assert await standing(proofs, [who]) == [True]  # streams that are open go on
        assert (await browser.delete("/api/v1/session")).status_code == 204
        assert await standing(proofs, [who]) == [False]
        assert code(await browser.get("/api/v1/me")) == (401, "unauthenticated")

    run(story())


def test_a_studio_may_have_no_guests(home):
    with running("sqlite", home, guests=False) as (market, run):
        run(market.publish("free"))
        assert code(run(market.browser().post("/api/v1/session/guest"))) == (403, "forbidden")
        page = run(market.nobody.get("/spells/free")).text
        assert 'id="guest"' not in page and "/sign-in?next=/spells/free" in page


def test_another_account_pays_and_does_not_look(market, run):
    async def story():
        await market.publish("gift", dear=True)
        browser, guest = await market.guest()
        payer = market.account("bob")
        await market.grant(payer, 200)
        before = (await market.balance(payer))["availablePts"]
        asked = {"spellSlug": "gift", "asset": "points", "payerAccountId": payer}
        invoice = "/api/v1/payments/invoice"
        assert code(await browser.post(invoice, json=asked)) == (403, "not_sponsored")
        path = f"/api/v1/payments/sponsored/{guest}"
        assert (await market.bob.put(path, json={"mostPts": 40})).status_code == 200
        answer = await browser.post(invoice, json=asked)
        assert code(answer) == (403, "not_sponsored") and answer.json()["details"] == {"mostPts": 40}
        assert (await market.bob.put(path, json={"mostPts": 60})).json()["mostPts"] == 60
        quote = (await browser.post(invoice, json=asked)).json()
        assert quote["payerAccountId"] == payer
        assert code(await market.cast("bob", "gift", quote["invoiceId"])) == (403, "invoice_rejected")
        started = await market.cast(browser, "gift", quote["invoiceId"], words="a gift")
        assert started.status_code == 202, started.text
        done = await market.done(browser, started.json()["runId"])
        assert (done["initiatorAccountId"], done["payerAccountId"]) == (guest, payer)
        assert [(s["initiatorAccountId"], s["payerAccountId"]) for s in done["steps"]] == [(guest, payer)]
        assert code(await market.bob.get(f"/api/v1/casts/{done['castId']}")) == (404, "not_found")
        assert await market.stream("bob", "gift", f"creditTxId={started.json()['creditTxId']}") == 404
        assert (await market.balance(payer))["availablePts"] == before - 50
        assert (await market.balance(guest))["openHolds"] == 0
        hold = await market.studio.workshop.ledger.holds.load(f"hold:{started.json()['creditTxId']}")
        opened = hold.state.opened
        assert (opened["account"], opened["about"]["initiator"]) == (payer, guest)
        await market.verified()

    run(story())


def test_who_pays_no_more_is_not_charged_for_open_invoices(market, run):
    async def story():
        await market.publish("ended", dear=True)
        browser, guest = await market.guest()
        payer, path = market.account("bob"), f"/api/v1/payments/sponsored/{guest}"
        await market.bob.put(path, json={"mostPts": 60})
        assert guest in [
            each["accountId"] for each in (await market.bob.get("/api/v1/payments/sponsored")).json()["items"]
        ]
        token = (await market.quoted(browser, "ended", payerAccountId=payer))["invoiceId"]
        before = await market.balance(payer)
        assert (await market.bob.delete(path)).status_code == 204
        assert code(await market.cast(browser, "ended", token)) == (403, "not_sponsored")
        assert await market.balance(payer) == before
        assert code(await market.bob.delete(path)) == (404, "not_found")
        own = market.account("bob")
        answer = await market.bob.put(f"/api/v1/payments/sponsored/{own}", json={"mostPts": 1})
        assert code(answer)[0] == 422

    run(story())


def test_a_margin_is_the_creators_and_the_studios_and_sums_up_on_every_output(market, run):
    async def story():
        await market.publish("sold", dear=True)
        margin = {"percent": 25, "flatPts": 7.777}
        set_to = await market.cora.put("/api/v1/spells/sold/margin", json=margin)
        assert set_to.json() == {"percent": 25, "flatPts": 7.777}
        assert (await market.nobody.get("/api/v1/spells/sold/meta")).json()["margin"] == margin
        buyer, creator = market.account("bob"), market.account("cora")
        await market.grant(buyer, 500)
        before, earned = await market.balance(buyer), (await market.balance(creator))["earnedPts"]
        quote = await market.quoted("bob", "sold")
        assert quote["capPts"] >= quote["costPts"] >= 70.277  # 50 + 12.5 + 7.777
        started = (await market.cast("bob", "sold", quote["invoiceId"], words="bought")).json()
        done = await market.done("bob", started["runId"])
        assert done["pointsSpent"] == pytest.approx(70.277)
        for step in done["steps"]:
            parts = step["providerPoints"] + step["creatorPoints"] + step["protocolNetPoints"]
            assert step["pointsSpent"] == pytest.approx(parts)
        [paid] = [step for step in done["steps"] if step["pointsSpent"]]
        share = 18.249  # nine tenths of 20.277, rounded down to the milli-point
        assert (paid["providerPoints"], paid["creatorPoints"]) == pytest.approx((50, share))
        assert paid["protocolNetPoints"] == pytest.approx(20.277 - share)
        assert (await market.balance(creator))["earnedPts"] == pytest.approx(earned + share)
        left = (await market.balance(buyer))["availablePts"]
        assert left == pytest.approx(before["availablePts"] - 70.277)
        own = await market.quoted("cora", "sold")
        assert own["costPts"] == pytest.approx(50, abs=0.01)  # her own margin is not hers to pay
        await market.verified()

    run(story())


@pytest.mark.parametrize(
    "wrong", [{"percent": -1}, {"percent": 10_001}, {"flatPts": -0.1}, {"flatPts": 2e6}, {"flatPts": "1"}]
)
def test_a_margin_has_bounds_and_an_owner(market, run, wrong):
    run(market.publish("bounded"))
    path = "/api/v1/spells/bounded/margin"
    assert run(market.cora.put(path, json=wrong)).status_code == 422
    assert code(run(market.bob.put(path, json={"percent": 1}))) == (404, "not_found")


def test_what_is_paid_for_somebody_in_all_has_a_bound_that_casts_at_once_do_not_pass(market, run):
    async def story():
        await market.publish("bounded-in-all", dear=True)
        browser, guest = await market.guest()
        payer, path = market.account("bob"), f"/api/v1/payments/sponsored/{guest}"
        await market.grant(payer, 1_000)
        said = (await market.bob.put(path, json={"mostPts": 60, "totalPts": 170})).json()
        assert (said["totalPts"], said["usedPts"]) == (170, 0)
        asked = {"spellSlug": "bounded-in-all", "payerAccountId": payer}
        invoice, tokens = "/api/v1/payments/invoice", []
        for number in range(6):
            key = {"idempotency-key": f"in all {number}"}
            tokens.append((await browser.post(invoice, json=asked, headers=key)).json()["invoiceId"])
        casts = (
            market.cast(browser, "bounded-in-all", token, words=f"{n}") for n, token in enumerate(tokens)
        )
        answers = await asyncio.gather(*casts)
        assert sorted(answer.status_code for answer in answers) == [202] * 3 + [402] * 3
        refused = [answer.json() for answer in answers if answer.status_code == 402]
        assert {answer["code"] for answer in refused} == {"sponsorship_exhausted"}
        missing = [answer["details"]["missingPts"] for answer in refused]
        assert missing == pytest.approx([30] * 3, abs=0.01)  # 3 × 50 are set aside of 170
        ids = [answer.json() for answer in answers if answer.status_code == 202]
        for begun in ids:
            await market.done(browser, begun["runId"])
        again = await market.cast(browser, "bounded-in-all", tokens[answers.index(first(answers, 202))])
        assert again.json() in ids  # what was begun is answered the same
        [shown] = [
            each
            for each in (await market.bob.get("/api/v1/payments/sponsored")).json()["items"]
            if each["accountId"] == guest
        ]
        assert (shown["totalPts"], shown["usedPts"]) == (170, 150)  # what was not spent came back
        late = await browser.post(invoice, json=asked, headers={"idempotency-key": "late"})
        assert code(late) == (402, "sponsorship_exhausted")  # told before anything is filled in
        assert late.json()["details"]["usedPts"] == 150
        await market.bob.put(path, json={"mostPts": 60, "totalPts": 210})
        open_still = await market.cast(browser, "bounded-in-all", tokens[answers.index(first(answers, 402))])
        assert open_still.status_code == 202  # the bound is that of now, and counts from the beginning
        await market.done(browser, open_still.json()["runId"])
        assert (await market.bob.delete(path)).status_code == 204
        assert (await market.bob.put(path, json={"mostPts": 60, "totalPts": 60})).json()["usedPts"] == 0
        assert (await market.bob.put(path, json={"mostPts": 60})).json()["totalPts"] is None
        assert (await market.bob.put(path, json={"mostPts": 1, "totalPts": -1})).status_code == 422
        await market.verified()

    run(story())


def first(answers, status):
    return next(answer for answer in answers if answer.status_code == status)
