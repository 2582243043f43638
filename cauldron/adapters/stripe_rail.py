"""Payments by card through Stripe's hosted checkout, with the official SDK.

Amounts are never taken from events: a payment is what its PaymentIntent and its latest
charge say when they are asked for.
"""

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import orjson
import stripe
import structlog

from cauldron.domain.errors import CauldronError, NotFound, Refused, Unavailable
from cauldron.ports.payments import Checkout, Paid, Purchase, RailEvent, RailPayment, WebhookRejected

log = structlog.get_logger("cauldron.stripe")
T = TypeVar("T")
TOLERANCE_MS = 300_000
TIMEOUT_S = 20.0
RETRIES = 2
KEY = "payment"  # of metadata: our id
SIGNED_AT = re.compile(r"(?:^|,)\s*t=(\d{1,12})(?:,|$)")
EVENT_ID = re.compile(r"[A-Za-z0-9_]{1,120}")
OURS = re.compile(r"[A-Za-z0-9_.@:/-]{1,200}")
NOT_DISPUTED = frozenset(
    ("won", "prevented", "warning_needs_response", "warning_under_review", "warning_closed")
)
PATIENT = (stripe.APIConnectionError, stripe.RateLimitError, stripe.APIError)


class StripeRail:
    """A PaymentRail. ``secrets`` sign webhooks; several while they are changed."""

    def __init__(self, key: str, *, secrets: Sequence[str], api_url: str = "") -> None:
        client = stripe.RequestsClient(timeout=TIMEOUT_S)
        self._client = stripe.StripeClient(
            key,
            base_addresses={"api": api_url} if api_url else None,
            max_network_retries=RETRIES,
            http_client=client,
        )
        self._secrets = tuple(secrets)

    async def checkout(self, purchase: Purchase) -> Checkout:
        """See the port."""
        ours = {KEY: purchase.payment_id, "account": purchase.account[:500]}
        item = {
            "quantity": 1,
            "price_data": {
                "currency": purchase.currency,
                "unit_amount": purchase.money_minor,
                "product_data": {"name": purchase.title},
            },
        }
        params: Any = {
            "mode": "payment",
            "client_reference_id": purchase.payment_id,
            "metadata": ours,
            "payment_intent_data": {"metadata": ours},
            "line_items": [item],
            "success_url": purchase.return_url,
            "cancel_url": purchase.return_url,
        }
        options: Any = {"idempotency_key": f"checkout-{purchase.payment_id}"}
        create = self._client.v1.checkout.sessions.create
        session = (await _asked(lambda: create(params, options))).to_dict()
        return Checkout(checkout_id=str(session["id"]), url=str(session["url"]))

    def verify(self, body: bytes, headers: Mapping[str, str], *, now: int) -> RailEvent:
        """See the port."""
        signature = headers.get("stripe-signature", "")
        if not any(_is_signed(body, signature, secret) for secret in self._secrets):
            raise WebhookRejected("the signature is not genuine")
        told = SIGNED_AT.search(signature)
        if told is None or abs(now - int(told[1]) * 1000) > TOLERANCE_MS:
            raise WebhookRejected("it was signed too long ago, or in the future")
        try:
            event = orjson.loads(body)
            return _event(event, event["data"]["object"])
        except (ValueError, KeyError, TypeError, AttributeError):
            raise WebhookRejected("it is no event") from None

    async def fetch(self, *, checkout_id: str, charge_id: str) -> RailPayment:
        """See the port. A charge here is a PaymentIntent, of which a checkout makes one."""
        if charge_id:
            return await self._intent(charge_id)
        if not checkout_id:
            raise NotFound("the checkout was never opened")
        retrieve = self._client.v1.checkout.sessions.retrieve
        session = (await _asked(lambda: retrieve(checkout_id))).to_dict()
        intent = session.get("payment_intent")
        if intent:
            found = await self._intent(str(intent))
            if found.state == "paid" or session.get("status") != "expired":
                return found
        return RailPayment(
            payment_id=str(session.get("client_reference_id") or ""),
            charge_id=str(intent or ""),
            state="expired" if session.get("status") == "expired" else "open",
            currency=str(session.get("currency") or ""),
            money_minor=int(session.get("amount_total") or 0),
            reversed_minor=0,
            live=bool(session.get("livemode")),
        )

    async def _intent(self, intent_id: str) -> RailPayment:
        params: Any = {"expand": ["latest_charge"]}
        retrieve = self._client.v1.payment_intents.retrieve
        intent = (await _asked(lambda: retrieve(intent_id, params))).to_dict()
        charge: dict[str, Any] = intent.get("latest_charge") or {}
        captured = int(
            charge.get("amount_captured", charge.get("amount", 0) if charge.get("captured") else 0)
        )
        return RailPayment(
            payment_id=str((intent.get("metadata") or {}).get(KEY, "")),
            charge_id=intent_id,
            state=_state(str(intent["status"])),
            currency=str(intent["currency"]),
            money_minor=captured if intent["status"] == "succeeded" else int(intent["amount"]),
            reversed_minor=await self._reversed(charge, captured),
            live=bool(intent.get("livemode")),
        )

    async def _reversed(self, charge: Mapping[str, Any], captured: int) -> int:
        refunded = int(charge.get("amount_refunded") or 0)
        if not charge.get("disputed"):
            return min(refunded, captured)
        params: Any = {"charge": charge["id"], "limit": 100}
        listed = (await _asked(lambda: self._client.v1.disputes.list(params))).to_dict()
        disputed = sum(int(d["amount"]) for d in listed["data"] if d["status"] not in NOT_DISPUTED)
        return min(refunded + disputed, captured)


def _state(status: str) -> Paid:
    return "paid" if status == "succeeded" else "failed" if status == "canceled" else "open"


def _is_signed(body: bytes, signature: str, secret: str) -> bool:
    try:
        stripe.WebhookSignature.verify_header(body, signature, secret)
    except (stripe.SignatureVerificationError, ValueError):
        return False
    return True


def _event(event: Mapping[str, Any], thing: Mapping[str, Any]) -> RailEvent:
    """Whose money an event is about: by our id, or by the PaymentIntent that its object names."""
    kind, event_id = str(thing.get("object", "")), str(event["id"])
    if not EVENT_ID.fullmatch(event_id):
        raise ValueError(event_id)
    ours = thing.get("client_reference_id") if kind == "checkout.session" else None
    ours = ours or (thing.get("metadata") or {}).get(KEY) or ""
    charge = thing.get("id") if kind == "payment_intent" else thing.get("payment_intent")
    return RailEvent(
        event_id=event_id,
        kind=str(event["type"])[:100],
        live=bool(event.get("livemode")),
        payment_id=ours if isinstance(ours, str) and OURS.fullmatch(ours) else "",
        charge_id=charge if isinstance(charge, str) and EVENT_ID.fullmatch(charge) else "",
    )


async def _asked(ask: Callable[[], T]) -> T:
    """What the provider answers, asked on a thread. Nothing that it says is repeated: it may hold secrets."""
    try:
        return await asyncio.to_thread(ask)
    except stripe.InvalidRequestError as wrong:
        raise _refusal(wrong) from wrong
    except PATIENT as failure:
        raise Unavailable("Stripe did not answer: try again later") from failure
    except stripe.StripeError as wrong:
        log.error("stripe refused", kind=type(wrong).__name__, status=wrong.http_status, code=wrong.code)
        raise Refused("Stripe refused: see the log of the server") from wrong


def _refusal(wrong: stripe.InvalidRequestError) -> CauldronError:
    if wrong.http_status == 404:
        return NotFound("Stripe knows no such payment")
    log.error("stripe refused", param=wrong.param, status=wrong.http_status, code=wrong.code)
    return Refused("Stripe refused: see the log of the server")
