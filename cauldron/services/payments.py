"""Points for money: checkouts are opened, events are taken as hints, and what the rail says is posted.

An event is checked, written down under its own id and answered at once. A loop then asks
the rail how the payment stands, keeps that in the payment's record under its version, and
posts what follows from it under ids that are the charge's: however often, late or out of
order events come, and whatever they claim, one charge is one deposit.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog

from cauldron.domain.errors import CauldronError, Duplicate, Invalid, NotFound, Refused, StaleVersion
from cauldron.domain.ledger import check_account, check_reference
from cauldron.domain.ledger_commands import ReverseDeposit
from cauldron.domain.payment import (
    COUNTED,
    LIFE_MS,
    MICRO_PER_MINOR,
    PaymentsOff,
    Seen,
    charge_name,
    check_purchase,
    judged,
    next_look,
    opened,
    shown,
)
from cauldron.domain.times import iso
from cauldron.persistence.leases import Leases
from cauldron.persistence.ledger_tables import PAYMENT_EVENTS, PAYMENTS
from cauldron.ports.payments import PaymentRail, Purchase
from cauldron.ports.storage import Compare, Doc, Insert, Patch, Put
from cauldron.services.ledger import Ledger

log = structlog.get_logger("cauldron.payments")
LEASE = "payments"
LOOK_S = 1.0
AT_ONCE = 50
TRIES = 20
PATIENCE_MS = (1_000, 5_000, 30_000, 300_000)  # before an event that could not be looked into is, again
MOST_TRIES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """An event that was written down; ``fresh`` is False when it had come before."""

    event_id: str
    fresh: bool


@dataclass(slots=True)
class Payments:
    """Payments of one store. ``rails`` by name."""

    ledger: Ledger
    leases: Leases
    rails: Mapping[str, PaymentRail]
    environment: str = "live"
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    def rail(self, name: str) -> PaymentRail:
        """Raises NotFound."""
        found = self.rails.get(name)
        if found is None:
            raise NotFound(f"there is no payment rail {name!r:.40}")
        return found

    def _chosen(self, name: str | None) -> str:
        """Raises PaymentsOff, Invalid."""
        if not self.rails:
            raise PaymentsOff("nothing takes money here: points are granted by whoever runs the studio")
        wanted = name or next(iter(self.rails))
        if wanted not in self.rails:
            raise Invalid(f"rail must be one of {', '.join(self.rails)}, not {wanted!r:.40}", path="rail")
        return wanted

    async def checkout(
        self,
        account: str,
        points_milli: int,
        *,
        actor: str,
        return_url: str,
        rail: str | None = None,
        payment_id: str | None = None,
    ) -> dict[str, Any]:
        """Somewhere to pay for points; the same ``payment_id`` again is the same purchase.

        Raises:
            PaymentsOff, Invalid. Refused: the id was used for another purchase. Unavailable: the rail.
        """
        name = self._chosen(rail)
        rate = await self.ledger.rate()
        check_purchase(points_milli, rate.micro_usd_per_point)
        fresh = opened(
            check_reference(payment_id or self.ledger.new_id(), path="payment"),
            owner=check_account(account),
            actor=actor,
            rail=name,
            points_milli=points_milli,
            rate_id=rate.rate_id,
            micro_usd_per_point=rate.micro_usd_per_point,
            environment=self.environment,
            now=self.ledger.clock(),
        )
        payment = await self._insert(fresh)
        if not payment["url"]:
            payment = await self._open_at(payment, return_url=return_url)
        more = {"checkoutUrl": payment["url"], "expiry": iso(payment["endsAt"])}
        return shown(payment) | more

    async def _insert(self, fresh: Doc) -> Doc:
        store = self.ledger.store
        with contextlib.suppress(Duplicate):
            await store.commit([Insert(PAYMENTS, fresh)])
        [payment] = await store.get(PAYMENTS, [fresh["_id"]])
        same = ("owner", "rail", "pointsMilli")
        if payment is None or any(payment[key] != fresh[key] for key in same):
            raise Refused("this idempotency key was used for another purchase")
        return payment

    async def _open_at(self, payment: Doc, *, return_url: str) -> Doc:
        purchase = Purchase(
            payment_id=payment["_id"],
            account=payment["owner"],
            title=f"{payment['pointsMilli'] / 1000:g} points",
            money_minor=payment["moneyMinor"],
            currency=payment["currency"],
            return_url=return_url,
            ends_at=payment["openedMs"] + LIFE_MS,
        )
        checkout = await self.rails[payment["rail"]].checkout(purchase)
        said = {"checkoutId": checkout.checkout_id, "url": checkout.url}
        await self.ledger.store.commit([Patch(PAYMENTS, payment["_id"], said)])
        return payment | said

    # Events.

    async def receive(self, rail: str, body: bytes, headers: Mapping[str, str]) -> Received:
        """Write a genuine event down, once; what it says is looked into afterwards.

        Raises:
            NotFound: there is no such rail. WebhookRejected: it is not genuine.
        """
        event = self.rail(rail).verify(body, headers, now=self.ledger.clock())
        row = {
            "_id": f"{rail}:{event.event_id}",
            "rail": rail,
            "kind": event.kind,
            "paymentId": event.payment_id,
            "chargeId": event.charge_id,
            "live": event.live,
            "status": "pending",
            "says": "",
            "tries": 0,
            "runAt": self.ledger.clock(),
            "receivedAt": iso(self.ledger.clock()),
        }
        try:
            await self.ledger.store.commit([Insert(PAYMENT_EVENTS, row)])
        except Duplicate:
            return Received(event_id=event.event_id, fresh=False)
        self._wake.set()
        return Received(event_id=event.event_id, fresh=True)

    async def run(self) -> None:
        """Look into events and payments, whenever the lease can be had, until cancelled."""
        while True:
            self._wake.clear()
            try:
                if await self.leases.acquire(LEASE):
                    await self.round()
            except CauldronError as failure:
                log.warning("payments not looked into: trying again", code=failure.code)
            except Exception:
                log.exception("payments not looked into: trying again")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._wake.wait()

    async def round(self) -> int:
        """What is due; returns how many events and payments were looked into."""
        store, now, done = self.ledger.store, self.ledger.clock(), 0
        due = {"status": "pending", "runAt": Compare("<=", now)}
        for row in await store.find(PAYMENT_EVENTS, due, order=("runAt",), limit=AT_ONCE):
            await self._look_into(row)
            done += 1
        quiet = {"watched": True, "lookAt": Compare("<=", now)}
        for payment in await store.find(PAYMENTS, quiet, order=("lookAt",), limit=AT_ONCE):
            with contextlib.suppress(CauldronError):
                await self._settled(payment["_id"])
            await self._look_later(payment["_id"])
            done += 1
        return done

    async def _look_into(self, row: Doc) -> None:
        try:
            says = await self._concern(row)
            changes: dict[str, Any] = {"status": "done", "says": says}
        except (NotFound, Invalid, Refused) as wrong:
            if isinstance(wrong, StaleVersion):
                changes = self._again(row, wrong)
            else:
                log.warning("payment event ignored", told=row["_id"], code=wrong.code)
                changes = {"status": "ignored", "says": wrong.message[:200]}
        except CauldronError as failure:
            changes = self._again(row, failure)
        await self.ledger.store.commit([Patch(PAYMENT_EVENTS, row["_id"], changes)])

    def _again(self, row: Doc, failure: CauldronError) -> dict[str, Any]:
        tries = row["tries"] + 1
        log.warning("payment event not looked into", told=row["_id"], code=failure.code, tries=tries)
        if tries >= MOST_TRIES:
            return {"status": "ignored", "says": failure.message[:200], "tries": tries}
        wait = PATIENCE_MS[min(tries - 1, len(PATIENCE_MS) - 1)]
        return {"tries": tries, "runAt": self.ledger.clock() + wait}

    async def _concern(self, row: Doc) -> str:
        """Settle the payment that an event is about. Raises NotFound: it is none of ours."""
        if row["live"] != (self.environment == "live"):
            raise Refused("test money for a live studio, or the other way round")
        payment_id = row["paymentId"] or await self._payment_of(row["rail"], row["chargeId"])
        return str((await self._settled(payment_id, rail=row["rail"], hint=row["chargeId"]))["state"])

    async def _payment_of(self, rail: str, charge_id: str) -> str:
        if not charge_id:
            raise NotFound("it names no payment")
        where = {"charge": charge_name(rail, charge_id)}
        found = await self.ledger.store.find(PAYMENTS, where, order=("charge",), limit=1)
        if found:
            return str(found[0]["_id"])
        return (await self.rails[rail].fetch(checkout_id="", charge_id=charge_id)).payment_id

    # What is posted.

    async def settle(self, payment_id: str) -> dict[str, Any]:
        """Ask the rail how a payment stands and post what follows. Raises NotFound, Unavailable."""
        return shown(await self._settled(payment_id))

    async def _settled(self, payment_id: str, *, rail: str | None = None, hint: str = "") -> Doc:
        """``hint`` is a charge to ask for where the payment knows neither checkout nor charge."""
        store = self.ledger.store
        for _ in range(TRIES):
            [payment] = await store.get(PAYMENTS, [payment_id])
            if payment is None or (rail is not None and payment["rail"] != rail):
                raise NotFound(f"there is no payment {payment_id!r:.80}")
            changes = judged(payment, await self._ask(payment, hint), now=self.ledger.clock())
            fresh = {key: value for key, value in payment.items() if key != "_v"} | changes
            if changes:
                try:  # under the version that was read before the rail was asked: a later answer wins
                    await store.commit([Put(PAYMENTS, fresh, payment["_v"])])
                except StaleVersion:
                    continue
            await self._post(fresh)
            return fresh
        raise StaleVersion(f"payment {payment_id} is contended", attempts=TRIES)

    async def _ask(self, payment: Doc, hint: str) -> Seen:
        rail, checkout = self.rail(payment["rail"]), payment["checkoutId"]
        charge = payment["chargeId"] or ("" if checkout else hint)
        found = await rail.fetch(checkout_id=checkout, charge_id=charge)
        return Seen(
            found.payment_id, found.charge_id, found.state, found.currency, found.money_minor,
            found.reversed_minor, found.live,
        )  # fmt: skip

    async def _post(self, payment: Doc) -> None:
        """The deposit, and what went back of it; posted already, nothing happens."""
        if payment["problem"]:
            log.error("a payment needs a person", payment=payment["_id"], problem=payment["problem"])
        if payment["state"] not in COUNTED:
            return
        await self.ledger.deposit(
            payment["owner"],
            payment["pointsMilli"],
            provider=payment["rail"],
            charge_id=payment["chargeId"],
            money_micro_usd=payment["moneyMicroUsd"],
            rate_id=payment["rateId"],
        )
        if payment["reversals"]:
            command = ReverseDeposit(
                account=payment["owner"],
                provider=payment["rail"],
                charge_id=payment["chargeId"],
                number=payment["reversals"],
                reversed_micro_usd=payment["reversedMinor"] * MICRO_PER_MINOR,
                now=self.ledger.clock(),
                reason=f"payment {payment['_id']}",
            )
            await self.ledger.reverse_deposit(command)

    async def _look_later(self, payment_id: str) -> None:
        [payment] = await self.ledger.store.get(PAYMENTS, [payment_id])
        if payment is not None:
            later = next_look(payment, now=self.ledger.clock())
            await self.ledger.store.commit([Patch(PAYMENTS, payment_id, later)])

    async def get(self, payment_id: str, *, account: str) -> dict[str, Any]:
        """A payment of an account. Raises NotFound."""
        [found] = await self.ledger.store.get(PAYMENTS, [payment_id])
        if found is None or found["owner"] != account or found["environment"] != self.environment:
            raise NotFound(f"there is no payment {payment_id!r:.80}")
        return shown(found)

    async def listing(
        self, account: str, *, limit: int, after: list[Any] | None = None
    ) -> tuple[list[dict[str, Any]], list[Any] | None]:
        """Payments of an account, newest first, and where the next page begins."""
        order = ("owner", "-createdAt")
        docs = await self.ledger.store.find(
            PAYMENTS, {"owner": account}, order=order, limit=limit, after=after
        )
        last = docs[-1] if len(docs) == limit else None
        return [shown(doc) for doc in docs], [last["owner"], last["createdAt"], last["_id"]] if last else None
