"""Buying points over HTTP: from the checkout through lying webhooks to the statement."""

import asyncio
import csv
import io

import pytest

from tests.hostile_rail import HostileRail, event, sign

CHECKOUT = "/api/v1/payments/checkout"
HOOK = "/api/v1/payments/webhooks/fake"


@pytest.fixture
def till(place, run):
    place.rail = HostileRail()
    place.studio.workshop.rails["fake"] = place.rail
    run(place.studio.workshop.ledger.set_rate(100_000, actor="t", rate_id="dime"))
    return place


def code(answer):
    return answer.status_code, answer.json().get("code")


async def tell(town, body, *, at=None):
    return await town.nobody.post(
        HOOK, content=body, headers=sign(body, town.studio.clock() if at is None else at)
    )


async def buy(town, points=50, who="ann", **headers):
    answer = await town.clients[who].post(CHECKOUT, json={"points": points}, headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_two_hundred_copies_of_a_webhook_are_one_deposit(till, run):
    async def story():
        bought = await buy(till)
        assert (bought["money"], bought["currency"], bought["state"]) == (5.0, "usd", "open")
        assert till.rail.opened[0].return_url == "http://localhost:8420/points"
        payment = bought["paymentId"]
        till.rail.pays(payment)
        body = event(1, payment=payment)
        async with till.studio.running():
            answers = await asyncio.gather(*(tell(till, body) for _ in range(200)))
            assert {answer.status_code for answer in answers} == {200}
            assert sum(answer.json()["fresh"] for answer in answers) == 1
            path = f"/api/v1/payments/{payment}"
            await till.until("ann", path, lambda p: p["state"] == "paid")
            await till.until("ann", "/api/v1/points", lambda p: p["availablePts"] > 0)
        points = (await till.ann.get("/api/v1/points")).json()
        assert (points["availablePts"], points["owedPts"]) == (50, 0)
        [row] = (await till.ann.get("/api/v1/points/statement")).json()["items"]
        assert (row["points"], row["says"], row["group"]) == (50, "Bought", f"dep:fake:ch_{payment}")
        assert (await till.studio.workshop.ledger_check.verify()).problems == []
        assert code(await till.bob.get(path)) == (404, "not_found")
        assert (await till.bob.get("/api/v1/payments")).json()["items"] == []
        assert [p["paymentId"] for p in (await till.ann.get("/api/v1/payments")).json()["items"]] == [payment]

    run(story())


def test_what_is_not_genuine_is_refused_and_not_written_down(till, run):
    async def story():
        payment = (await buy(till))["paymentId"]
        till.rail.pays(payment)
        now, body = till.studio.clock(), event(1, payment=payment)
        for content, headers in (
            (body, {"content-type": "application/json"}),
            (body, sign(body, now, b"another")),
            (body + b" ", sign(body, now)),
            (body, sign(body, now - 400_000)),
            (body, sign(body, now + 400_000)),
            (b"{}", sign(b"{}", now)),
        ):
            answer = await till.nobody.post(HOOK, content=content, headers=headers)
            assert code(answer) == (400, "webhook_rejected")
        large = event(2, payment=payment, more="x" * 300_000)
        assert code(await tell(till, large)) == (413, "body_too_large")
        huge = event(3, payment=payment, more="x" * 1_200_000)
        assert code(await tell(till, huge)) == (413, "body_too_large")
        other = await till.nobody.post(HOOK.replace("fake", "other"), content=body, headers=sign(body, now))
        assert code(other) == (404, "not_found")
        assert await till.studio.store.find("payment_events", {}, limit=5) == []

    run(story())


def test_bad_purchases_are_refused_and_a_key_is_one_purchase(till, run):
    async def story():
        for points in (0, -5, 4.9, 1e9, "50", None, 0.0001):
            assert (await till.ann.post(CHECKOUT, json={"points": points})).status_code == 422, points
        wrong = await till.ann.post(CHECKOUT, json={"points": 50, "rail": "gold"})
        assert wrong.status_code == 422
        assert code(await till.otto.post(CHECKOUT, json={"points": 50})) == (403, "forbidden")
        assert (await till.nobody.post(CHECKOUT, json={"points": 50})).status_code == 401
        key = {"idempotency-key": "once"}
        both = [await buy(till, **key) for _ in range(2)]
        assert both[0]["paymentId"] == both[1]["paymentId"]
        assert len(till.rail.opened) == 1
        till.studio.workshop.rails.clear()
        assert code(await till.ann.post(CHECKOUT, json={"points": 50})) == (409, "payments_off")

    run(story())


def test_a_chargeback_locks_what_costs_and_says_what_is_owed(till, run):
    async def story():
        payments, ledger = till.studio.workshop.payments, till.studio.workshop.ledger
        payment = (await buy(till))["paymentId"]
        till.rail.pays(payment)
        await payments.settle(payment)
        account = till.users["ann"]["account"]
        hold = (
            await ledger.open(
                "run:1", account=account, cap_milli=30_000, terms=await ledger.terms(), actor="t", run_id="r1"
            )
        ).charge.hold_id
        till.rail.now(payment, reversed_minor=500)
        await payments.settle(payment)
        shown = (await till.ann.get("/api/v1/points")).json()
        assert (shown["availablePts"], shown["owedPts"], shown["heldPts"]) == (0, 30, 30)
        assert [(h["hold"], h["run"], h["leftPts"]) for h in shown["holds"]] == [(hold, "r1", 30)]
        rows = (await till.ann.get("/api/v1/points/statement")).json()["items"]
        assert [(r["says"], r["points"], r["run"]) for r in rows] == [
            ("Payment taken back", -20, None), ("Set aside for a run", -30, "r1"), ("Bought", 50, None),
        ]  # fmt: skip

    run(story())


def test_a_statement_is_paged_and_written_as_csv(till, run):
    async def story():
        account, ledger = till.users["ann"]["account"], till.studio.workshop.ledger
        for number in range(7):
            note = "=SUM(A1)" if number == 3 else ""
            await ledger.grant(account, 1000 + number, actor="t", grant_id=f"g{number}", note=note)
        path, seen, cursor = "/api/v1/points/statement", [], None
        while True:
            more = {"cursor": cursor} if cursor else {}
            page = (await till.ann.get(path, params={"limit": 3, **more})).json()
            seen += [row["group"] for row in page["items"]]
            cursor = page["next"]
            if cursor is None:
                break
        assert sorted(seen) == [f"grant:g{n}" for n in range(7)]
        answer = await till.ann.get(f"{path}.csv")
        assert answer.headers["content-type"].startswith("text/csv")
        rows = list(csv.DictReader(io.StringIO(answer.text)))
        assert len(rows) == 7
        assert [row["note"] for row in rows if row["note"]] == ["'=SUM(A1)"]
        assert round(sum(float(row["points"]) for row in rows), 3) == 7.021
        first = (await till.ann.get(path, params={"limit": 3})).json()["next"]
        assert (await till.bob.get(path, params={"cursor": first})).status_code == 422
        assert (await till.ann.get(path, params={"of": "platform"})).status_code == 422
        assert (await till.bob.get(path)).json()["items"] == []

    run(story())
