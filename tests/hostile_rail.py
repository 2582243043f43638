"""A payment rail that lies, repeats itself, comes late and in the wrong order; the truth is in ``money``."""

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cauldron.domain.errors import NotFound, Unavailable
from cauldron.ports.payments import Checkout, Purchase, RailEvent, RailPayment, WebhookRejected

SECRET = b"a secret of the fake rail"
TOLERANCE_MS = 300_000


def sign(body: bytes, at_ms: int, secret: bytes = SECRET) -> dict[str, str]:
    """Headers of a webhook."""
    mac = hmac.new(secret, b"%d." % at_ms + body, hashlib.sha256).hexdigest()
    return {"x-rail-signature": f"{at_ms}:{mac}", "content-type": "application/json"}


@dataclass
class HostileRail:
    """See the module. ``live`` is what kind of money it takes."""

    live: bool = True
    money: dict[str, RailPayment] = field(default_factory=dict)  # by our id
    opened: list[Purchase] = field(default_factory=list)
    fetched: int = 0
    down: bool = False

    async def checkout(self, purchase: Purchase) -> Checkout:
        if self.down:
            raise Unavailable("down")
        self.opened.append(purchase)
        self.money.setdefault(
            purchase.payment_id,
            RailPayment(
                payment_id=purchase.payment_id, charge_id="", state="open", currency=purchase.currency,
                money_minor=purchase.money_minor, reversed_minor=0, live=self.live,
            ),
        )  # fmt: skip
        return Checkout(
            checkout_id=f"co_{purchase.payment_id}", url=f"https://pay.test/{purchase.payment_id}"
        )

    def verify(self, body: bytes, headers: Mapping[str, str], *, now: int) -> RailEvent:
        at, _, mac = headers.get("x-rail-signature", "").partition(":")
        if not at.isdigit() or sign(body, int(at))["x-rail-signature"] != f"{at}:{mac}":
            raise WebhookRejected("the signature is not genuine")
        if abs(now - int(at)) > TOLERANCE_MS:
            raise WebhookRejected("it was signed too long ago, or in the future")
        try:
            told = json.loads(body)
            return RailEvent(
                event_id=told["id"], kind=told["type"], live=told["live"],
                payment_id=told.get("payment", ""), charge_id=told.get("charge", ""),
            )  # fmt: skip
        except (ValueError, KeyError, TypeError):
            raise WebhookRejected("it is no event") from None

    async def fetch(self, *, checkout_id: str, charge_id: str) -> RailPayment:
        self.fetched += 1
        if self.down:
            raise Unavailable("down")
        ours = checkout_id.removeprefix("co_")
        if not charge_id and ours in self.money:
            return self.money[ours]
        found = [each for each in self.money.values() if charge_id and each.charge_id == charge_id]
        if not found:
            raise NotFound("no such charge")
        return found[0]

    def now(self, payment_id: str, /, **changes: Any) -> None:
        """What is true from now on."""
        self.money[payment_id] = replace(self.money[payment_id], **changes)

    def pays(self, payment_id: str, /, **changes: Any) -> str:
        """Somebody pays; the charge's id."""
        self.now(payment_id, **({"state": "paid", "charge_id": f"ch_{payment_id}"} | changes))
        return self.money[payment_id].charge_id


def event(number: int, kind: str = "paid", **told: Any) -> bytes:
    """A webhook's body, which may claim whatever it likes."""
    return json.dumps({"id": f"ev{number}", "type": kind, "live": True} | told).encode()
