"""A purchase of points: its price, and what follows from what its rail says of it.

Whatever an event claims, only what the rail answers when it is asked is judged here, and
a payment that does not say exactly what was asked for is put aside for a person.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from cauldron.domain.errors import Invalid, Refused
from cauldron.domain.ledger import check_amount, points
from cauldron.domain.times import iso

CURRENCY = "usd"
MICRO_PER_MINOR = 10_000  # micro-USD in a cent
LEAST_MINOR, MOST_MINOR = 50, 500_000  # of one payment; providers take no less
LIFE_MS = 24 * 3_600_000  # of a checkout
GRACE_MS = 3_600_000  # after its end
DAY_MS = 86_400_000
LOOK_MS = (60_000, 300_000, 1_800_000)  # between looks at a payment that is open
WATCHED_MS = 180 * DAY_MS  # chargebacks may come so long after a payment
SOON_MS = 60_000
NEVER = 0
COUNTED = ("paid", "part_reversed", "reversed")  # states in which its points were deposited
ENDED = ("failed", "expired")


class PaymentsOff(Refused):
    """Nothing takes money here."""

    code = "payments_off"


class Seen(NamedTuple):
    """What a rail says of a payment now."""

    payment_id: str
    charge_id: str
    state: str
    currency: str
    money_minor: int
    reversed_minor: int
    live: bool


def price_minor(points_milli: int, micro_usd_per_point: int) -> int:
    """Cents that points cost, rounded up; at least one."""
    return max(1, -(-points_milli * micro_usd_per_point // (1000 * MICRO_PER_MINOR)))


def check_purchase(points_milli: int, micro_usd_per_point: int) -> None:
    """Raises Invalid: too few or too many for one payment."""
    check_amount(points_milli)
    if not LEAST_MINOR <= price_minor(points_milli, micro_usd_per_point) <= MOST_MINOR:
        said = f"{LEAST_MINOR / 100:g} and {MOST_MINOR / 100:g} USD"
        each = f"{micro_usd_per_point / 1_000_000:g} USD"
        raise Invalid(f"points: a payment is between {said}, and a point costs {each}", path="points")


def opened(
    payment_id: str,
    *,
    owner: str,
    actor: str,
    rail: str,
    points_milli: int,
    rate_id: str,
    micro_usd_per_point: int,
    environment: str,
    now: int,
) -> dict[str, Any]:
    """A new payment, before its rail has heard of it."""
    minor = price_minor(points_milli, micro_usd_per_point)
    return {
        "_id": payment_id,
        "schemaVersion": 1,
        "owner": owner,
        "actor": actor,
        "environment": environment,
        "rail": rail,
        "state": "open",
        "pointsMilli": points_milli,
        "moneyMinor": minor,
        "moneyMicroUsd": minor * MICRO_PER_MINOR,
        "currency": CURRENCY,
        "rateId": rate_id,
        "checkoutId": "",
        "url": "",
        "charge": "",
        "chargeId": "",
        "reversedMinor": 0,
        "reversals": 0,
        "problem": "",
        "createdAt": iso(now),
        "updatedAt": iso(now),
        "openedMs": now,
        "endsAt": now + LIFE_MS,
        "looks": 0,
        "watched": True,
        "lookAt": now + LOOK_MS[0],
    }


def judged(payment: Mapping[str, Any], seen: Seen, *, now: int) -> dict[str, Any]:
    """What changes in a payment's record; nothing when the rail says what is known."""
    problem = _mismatch(payment, seen)
    if problem:
        return _changed(payment, {"problem": problem} | _review(payment), now=now)
    if seen.state == "paid":
        return _changed(payment, _paid(payment, seen), now=now)
    if payment["state"] in COUNTED:
        return {}  # money that came in does not become money that never came
    return _changed(
        payment, {"state": seen.state, "chargeId": seen.charge_id or payment["chargeId"]}, now=now
    )


def _review(payment: Mapping[str, Any]) -> dict[str, Any]:
    return {} if payment["state"] in COUNTED else {"state": "review"}


def _mismatch(payment: Mapping[str, Any], seen: Seen) -> str:
    if seen.payment_id != payment["_id"]:
        return "the rail says it is another payment"
    if seen.live != (payment["environment"] == "live"):
        return "test money for a live account, or the other way round"
    if seen.state != "paid":
        return ""
    if payment["chargeId"] and seen.charge_id != payment["chargeId"]:
        return "it was paid for a second time"
    if seen.currency.lower() != payment["currency"]:
        return f"it was paid in {seen.currency[:8]!r}"
    if seen.money_minor != payment["moneyMinor"]:
        return f"{seen.money_minor} were paid, not {payment['moneyMinor']}"
    if not 0 <= seen.reversed_minor <= seen.money_minor:
        return f"{seen.reversed_minor} of {seen.money_minor} were given back"
    return ""


def _paid(payment: Mapping[str, Any], seen: Seen) -> dict[str, Any]:
    back = seen.reversed_minor
    state = "paid" if not back else "reversed" if back == seen.money_minor else "part_reversed"
    wanted: dict[str, Any] = {"state": state, "chargeId": seen.charge_id, "problem": ""}
    wanted["charge"] = charge_name(payment["rail"], seen.charge_id)
    wanted["reversedMinor"] = back
    if back != payment["reversedMinor"]:
        wanted["reversals"] = payment["reversals"] + 1
    return wanted


def charge_name(rail: str, charge_id: str) -> str:
    """What a payment is found by when a rail speaks of its charge alone."""
    return f"{rail}:{charge_id}" if charge_id else ""


def _changed(payment: Mapping[str, Any], wanted: dict[str, Any], *, now: int) -> dict[str, Any]:
    fresh = {key: value for key, value in wanted.items() if payment[key] != value}
    return fresh | {"updatedAt": iso(now), "lookAt": now + SOON_MS, "watched": True} if fresh else {}


def next_look(payment: Mapping[str, Any], *, now: int) -> dict[str, Any]:
    """When the rail is asked again though it says nothing: soon while it is open, daily when it was paid."""
    looks = payment["looks"] + 1
    age = now - payment["openedMs"]
    if payment["state"] in COUNTED:
        watched, look_at = age < WATCHED_MS, now + DAY_MS
    elif payment["state"] in ENDED or payment["state"] == "review":
        watched, look_at = now < payment["endsAt"] + GRACE_MS, now + LOOK_MS[-1]
    else:
        watched = now < payment["endsAt"] + GRACE_MS
        look_at = now + LOOK_MS[min(looks, len(LOOK_MS) - 1)]
    return {"looks": looks, "watched": watched, "lookAt": look_at if watched else NEVER}


def shown(payment: Mapping[str, Any]) -> dict[str, Any]:
    """A payment as its owner sees it."""
    return {
        "paymentId": payment["_id"],
        "rail": payment["rail"],
        "state": payment["state"],
        "points": points(payment["pointsMilli"]),
        "money": payment["moneyMinor"] / 100,
        "currency": payment["currency"],
        "reversed": payment["reversedMinor"] / 100,
        "rateId": payment["rateId"],
        "problem": payment["problem"],
        "createdAt": payment["createdAt"],
        "updatedAt": payment["updatedAt"],
    }
