"""The Stripe adapter: against localstripe where that works, against a hand-made server for checkouts.

Nothing here was proven against Stripe itself.
"""

import asyncio
import contextlib
import json
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from cauldron.domain.errors import NotFound, Refused, Unavailable
from cauldron.persistence.leases import Leases
from cauldron.ports.payments import Purchase, WebhookRejected
from cauldron.services.payments import Payments
from tests.contracts.conftest import STORES
from tests.kitchen import wall_ms
from tests.ledger_world import ALL_TABLES, LedgerWorld

stripe = pytest.importorskip("stripe")
pytest.importorskip("localstripe")

from cauldron.adapters.stripe_rail import StripeRail  # noqa: E402 - after what it needs

KEY, SECRET, OLD = "sk_test_of_nobody", "whsec_new", "whsec_old"
ROOT = Path(__file__).parents[2]
PURCHASE = Purchase(
    payment_id="pay1", account="ann", title="50 points", money_minor=500, currency="usd",
    return_url="https://studio.test/points", ends_at=0,
)  # fmt: skip


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.fixture(scope="module")
def localstripe(tmp_path_factory):
    """The address of a localstripe."""
    port = free_port()
    log = (tmp_path_factory.mktemp("localstripe") / "log").open("wb")
    command = [sys.executable, "-m", "tests.localstripe_server", str(port)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    for _ in range(600):
        with contextlib.suppress(httpx2.HTTPError):
            httpx2.get(f"{address}/v1/customers", headers={"authorization": f"Bearer {KEY}"})
            break
        assert process.poll() is None
        threading.Event().wait(0.05)
    yield address
    process.kill()
    process.wait()
    log.close()


class Served:
    """A plain server that answers with what ``answers`` says and keeps what it was asked."""

    def __init__(self, answers=None):
        self.asked = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                outer.asked.append((self.command, self.path, dict(self.headers), body))
                status, said = (answers or {}).get((self.command, urlsplit(self.path).path), (200, {}))
                content = json.dumps(said).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def rail_at(address):
    return StripeRail(KEY, secrets=[SECRET, OLD], api_url=address)


def paid_intent(address, *, amount=500, payment="pay1", currency="usd"):
    """What a hosted checkout leaves behind: a PaymentIntent that a card has paid."""
    client = stripe.StripeClient(KEY, base_addresses={"api": address})
    method = client.v1.payment_methods.create(
        {
            "type": "card",
            "card": {"number": "4242424242424242", "exp_month": "12", "exp_year": "2030", "cvc": "123"},
        }
    )
    return client.v1.payment_intents.create(
        {
            "amount": amount,
            "currency": currency,
            "payment_method": method.id,
            "confirm": True,
            "metadata": {"payment": payment},
        }
    )


def test_a_card_payment_at_localstripe_becomes_points_and_its_refund_takes_them_back(
    localstripe, tmp_path, run
):
    """The official SDK on both sides; the webhook is localstripe's own, signed by it."""

    async def story():
        engine = STORES["sqlite"](tmp_path)
        world = LedgerWorld(await engine.open(*ALL_TABLES), clock=wall_ms)
        await world.ledger.set_rate(100_000, actor="t", rate_id="dime")
        rail = rail_at(localstripe)
        leases = Leases(world.store, holder="h", clock=wall_ms)
        payments = Payments(world.ledger, leases, {"stripe": rail}, "test")
        rail.checkout = no_checkout  # localstripe has no checkout sessions
        bought = await payments.checkout("ann", 50_000, actor="ann", return_url="https://x.test/")
        with Served() as hook:
            await asyncio.to_thread(
                httpx2.post,
                f"{localstripe}/_config/webhooks/ours",
                json={
                    "url": f"{hook.address}/hook",
                    "secret": SECRET,
                    "events": ["payment_intent.succeeded"],
                },
                headers={"authorization": f"Bearer {KEY}"},
            )
            intent = await asyncio.to_thread(paid_intent, localstripe, payment=bought["paymentId"])
            async with asyncio.timeout(30):
                while not hook.asked:
                    await asyncio.sleep(0.05)
        _, _, headers, body = hook.asked[0]
        low = {name.lower(): value for name, value in headers.items()}
        for _ in range(3):
            await payments.receive("stripe", body, low)
            await payments.round()
        assert (await world.ledger.balance("ann"))["availablePts"] == 50
        assert (await payments.get(bought["paymentId"], account="ann"))["state"] == "paid"
        client = stripe.StripeClient(KEY, base_addresses={"api": localstripe})
        await asyncio.to_thread(client.v1.refunds.create, {"payment_intent": intent.id, "amount": 200})
        assert (await payments.settle(bought["paymentId"]))["state"] == "part_reversed"
        assert (await world.ledger.balance("ann"))["availablePts"] == 30
        assert (await world.check.verify()).problems == []
        with pytest.raises(WebhookRejected):
            await payments.receive("stripe", body + b" ", low)
        await engine.close()

    run(story())


async def no_checkout(purchase):
    from cauldron.ports.payments import Checkout

    return Checkout(checkout_id="", url="https://pay.test/")


def test_what_localstripe_does_not_know_is_not_found(localstripe, run):
    rail = rail_at(localstripe)
    with pytest.raises(NotFound):
        run(rail.fetch(checkout_id="", charge_id="pi_unknown"))
    with pytest.raises(NotFound):
        run(rail.fetch(checkout_id="", charge_id=""))


def test_a_checkout_is_asked_for_with_our_id_and_one_key(run):
    """The request as documented; the answers are ours."""
    made = {"id": "cs_1", "object": "checkout.session", "url": "https://checkout.test/cs_1"}
    with Served({("POST", "/v1/checkout/sessions"): (200, made)}) as server:
        found = [run(rail_at(server.address).checkout(PURCHASE)) for _ in range(2)]
    assert {(c.checkout_id, c.url) for c in found} == {("cs_1", "https://checkout.test/cs_1")}
    [first, second] = server.asked
    form = {key: value[0] for key, value in parse_qs(first[3].decode()).items()}
    assert form["client_reference_id"] == form["metadata[payment]"] == "pay1"
    assert form["payment_intent_data[metadata][payment]"] == "pay1"
    assert form["line_items[0][price_data][unit_amount]"] == "500"
    assert form["line_items[0][price_data][currency]"] == "usd"
    assert form["mode"] == "payment"
    keys = {{n.lower(): v for n, v in asked[2].items()}["idempotency-key"] for asked in (first, second)}
    assert keys == {"checkout-pay1"}


def intent(**more):
    charge = {"id": "ch_1", "amount": 500, "amount_captured": 500, "amount_refunded": 100, "captured": True}
    found = {"id": "pi_1", "object": "payment_intent", "status": "succeeded", "amount": 500}
    found |= {"currency": "usd", "livemode": True, "metadata": {"payment": "pay1"}}
    return found | {"latest_charge": charge | more}


@pytest.mark.parametrize(
    ("disputes", "reversed_minor"),
    [
        ([], 100), ([("needs_response", 300)], 400), ([("won", 300)], 100), ([("lost", 500)], 500),
        ([("warning_needs_response", 300), ("under_review", 50)], 150),
    ],
)  # fmt: skip
def test_refunds_and_open_or_lost_disputes_count_as_given_back(run, disputes, reversed_minor):
    listed = [{"id": f"dp_{n}", "status": s, "amount": a} for n, (s, a) in enumerate(disputes)]
    session = {"id": "cs_1", "client_reference_id": "pay1", "payment_intent": "pi_1", "status": "complete"}
    answers = {
        ("GET", "/v1/payment_intents/pi_1"): (200, intent(disputed=bool(disputes))),
        ("GET", "/v1/disputes"): (200, {"object": "list", "data": listed}),
        ("GET", "/v1/checkout/sessions/cs_1"): (200, session),
    }
    with Served(answers) as server:
        rail = rail_at(server.address)
        found = run(rail.fetch(checkout_id="cs_1", charge_id=""))
        assert run(rail.fetch(checkout_id="", charge_id="pi_1")) == found
    assert (found.payment_id, found.charge_id, found.state, found.live) == ("pay1", "pi_1", "paid", True)
    assert (found.money_minor, found.reversed_minor) == (500, reversed_minor)


def test_failures_of_the_provider_are_named_and_repeat_no_secret(run):
    refused = {"error": {"type": "invalid_request_error", "message": f"bad key {KEY}", "param": "mode"}}
    with Served({("POST", "/v1/checkout/sessions"): (400, refused)}) as server:
        with pytest.raises(Refused) as failure:
            run(rail_at(server.address).checkout(PURCHASE))
        assert KEY not in failure.value.message
    with Served({("POST", "/v1/checkout/sessions"): (401, refused)}) as server, pytest.raises(Refused):
        run(rail_at(server.address).checkout(PURCHASE))
    with pytest.raises(Unavailable):
        run(rail_at(f"http://127.0.0.1:{free_port()}").checkout(PURCHASE))


SESSION = {"object": "checkout.session", "client_reference_id": "pay1", "payment_intent": "pi_1"}


def body_of(kind, thing, **more):
    event = {"id": "evt_1", "object": "event", "type": kind, "livemode": True, "data": {"object": thing}}
    return json.dumps(event | more).encode()


def headers_of(body, *, secret=SECRET, at=None):
    at = wall_ms() // 1000 if at is None else at
    return {"stripe-signature": stripe.WebhookSignature.generate_signature_header(body.decode(), secret, at)}


@pytest.mark.parametrize(
    ("thing", "ours", "charge"),
    [
        (SESSION, "pay1", "pi_1"),
        ({"object": "payment_intent", "id": "pi_1", "metadata": {"payment": "pay1"}}, "pay1", "pi_1"),
        ({"object": "charge", "id": "ch_1", "payment_intent": "pi_1", "metadata": {}}, "", "pi_1"),
        ({"object": "dispute", "id": "dp_1", "payment_intent": "pi_1"}, "", "pi_1"),
        ({"object": "customer", "id": "cus_1"}, "", ""),
        ({"object": "dispute", "payment_intent": "pi 1;--", "metadata": {"payment": "x y"}}, "", ""),
        ({"object": "dispute", "payment_intent": 7, "metadata": {"payment": ["x"]}}, "", ""),
    ],
)  # fmt: skip
def test_events_name_whose_money_they_are_about(thing, ours, charge):
    body = body_of("a.kind", thing)
    for secret in (SECRET, OLD):
        event = rail_at("").verify(body, headers_of(body, secret=secret), now=wall_ms())
        assert (event.event_id, event.payment_id, event.charge_id, event.live) == (
            "evt_1",
            ours,
            charge,
            True,
        )


def test_signatures_times_and_forms_that_are_wrong_are_refused():
    body, now = body_of("a.kind", {"object": "charge"}), wall_ms()
    rail, good = rail_at(""), headers_of(body)
    rail.verify(body, good, now=now)
    stamp, mac = good["stripe-signature"].split(",")
    wrong = [
        {}, {"stripe-signature": ""}, {"stripe-signature": "t=1"}, {"stripe-signature": mac},
        {"stripe-signature": f"{stamp},v0={mac[3:]}"}, {"stripe-signature": f"t=1,{stamp},{mac}"},
        {"stripe-signature": "t=x,v1=y"}, headers_of(body, secret="whsec_other"),
        headers_of(body, at=now // 1000 - 301), headers_of(body, at=now // 1000 + 302),
        headers_of(body + b" "),
    ]  # fmt: skip
    for headers in wrong:
        with pytest.raises(WebhookRejected):
            rail.verify(body, headers, now=now)
    for malformed in (
        b"",
        b"[]",
        b"{}",
        b"nul",
        body_of("k", None),
        body_of("k", {}, id="e v t"),
        b"\xff\xfe",
    ):
        with pytest.raises(WebhookRejected):
            signed = headers_of(malformed) if malformed != b"\xff\xfe" else good
            rail.verify(malformed, signed, now=now)
