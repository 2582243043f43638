"""What takes money: a checkout to pay at, events that hint, and the truth when it is asked for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from cauldron.domain.errors import Refused

Paid = Literal["open", "paid", "failed", "expired"]


class WebhookRejected(Refused):
    """An event is not genuine: its signature, its time or its form is wrong."""

    code = "webhook_rejected"


@dataclass(frozen=True, slots=True, kw_only=True)
class Purchase:
    """What is to be paid. ``money_minor`` is in the currency's smallest unit, such as cents."""

    payment_id: str  # ours; the rail gives it back in everything it says
    account: str
    title: str
    money_minor: int
    currency: str  # "usd"
    return_url: str
    ends_at: int  # ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """Where a person pays."""

    checkout_id: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RailEvent:
    """A genuine hint that something changed. Amounts in events are not looked at."""

    event_id: str
    kind: str
    live: bool
    payment_id: str = ""  # ours, where the event tells it
    charge_id: str = ""  # the rail's name of the money, where the event tells it


@dataclass(frozen=True, slots=True, kw_only=True)
class RailPayment:
    """What the rail says of a payment now. ``reversed_minor`` was given back or is disputed."""

    payment_id: str
    charge_id: str
    state: Paid
    currency: str
    money_minor: int
    reversed_minor: int
    live: bool


class PaymentRail(Protocol):
    """A provider of payments.

    Guarantees: (1) ``checkout`` with the same ``payment_id`` again gives the same
    checkout, or another one for the same payment; (2) ``verify`` only returns what
    the provider signed, not longer than five minutes ago; (3) ``fetch`` answers with
    what the provider knows at some instant after it was called.
    """

    async def checkout(self, purchase: Purchase) -> Checkout:
        """Open a checkout. Raises Unavailable, Refused."""
        ...

    def verify(self, body: bytes, headers: Mapping[str, str], *, now: int) -> RailEvent:
        """The event of a webhook's raw body; names of ``headers`` in lower case. Raises WebhookRejected."""
        ...

    async def fetch(self, *, checkout_id: str, charge_id: str) -> RailPayment:
        """The payment of a charge, or while none is known of a checkout. Raises Unavailable, NotFound."""
        ...
