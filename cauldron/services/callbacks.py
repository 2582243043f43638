"""Callbacks: telling an address that a run has ended, signed, tried again, and accounted for.

One follower per log writes a delivery for every end that somebody wants to hear of; it
is no part of the path that runs casts and cooks. Any process sends what is due. A
message may arrive twice, always under the same id.
"""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from cauldron.domain import codec
from cauldron.domain.errors import CauldronError, Invalid, NotFound, Refused
from cauldron.domain.events import Event
from cauldron.domain.times import iso
from cauldron.domain.webhooks import (
    CASTS,
    COOKS,
    GONE,
    cast_message,
    cook_message,
    retry_after_ms,
    signature,
)
from cauldron.persistence.leases import Leases
from cauldron.persistence.streams import Commit
from cauldron.persistence.tables import CAST_EVENTS, COOK_EVENTS, DELIVERIES
from cauldron.ports.storage import Claim, Compare, Doc, Insert, Op, Patch, Store
from cauldron.ports.system import Clock, NewId, Uniform
from cauldron.ports.webhooks import WebhookSender
from cauldron.services.following import Follower
from cauldron.services.outliving import outliving
from cauldron.services.webhook_gate import Gate
from cauldron.services.webhook_secrets import TABLE as SECRETS
from cauldron.services.webhook_secrets import WebhookSecrets

log = structlog.get_logger("cauldron.callbacks")
PLATFORM = "webhook"  # what outputs call it
AT_ONCE = 8
LEASE_MS = 60_000  # longer than a try may take
LOOK_EVERY_S = 1.0
PAGE = 500
SHOWN_ERROR = 300  # characters


@dataclass(slots=True)
class Callbacks:
    """Writes deliveries, sends them, and notes how they ended."""

    store: Store
    sender: Callable[[], WebhookSender]  # made when the first message is due
    gate: Gate
    secrets: WebhookSecrets
    leases: Leases
    clock: Clock
    new_id: NewId
    uniform: Uniform
    count: Callable[[str], None] = lambda outcome: None  # told how each try ended
    look_every_s: float = LOOK_EVERY_S
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Follow and send until cancelled; who never asks to be told pays nothing."""
        while not await self._is_wanted():
            await asyncio.sleep(self.look_every_s)
        loops = (
            self._follower("callbacks:casts", CAST_EVENTS, whole=True).run(),
            self._follower("callbacks:cooks", COOK_EVENTS, whole=False).run(),
            self._sending(),
        )
        async with asyncio.TaskGroup() as group:
            for loop in loops:
                group.create_task(loop)

    async def _is_wanted(self) -> bool:
        """Whether somebody has asked to be told: then there is a secret, made before the run began."""
        try:
            return bool(await self.store.find(SECRETS, {}, limit=1))
        except CauldronError as failure:
            log.warning("callbacks wait for the store", code=failure.code)
            return False

    def _follower(self, name: str, table: str, *, whole: bool) -> Follower:
        return Follower(
            name=name,
            table=table,
            store=self.store,
            leases=self.leases,
            clock=self.clock,
            handle=self.absorb,
            whole=whole,
        )

    async def absorb(self, commit: Commit) -> None:
        """Write a delivery for every end in a commit that is to be told; doing it twice is harmless."""
        kinds = [CASTS.get(e["type"]) or COOKS.get(e["type"]) for e in commit["events"]]
        if not any(kinds):
            return
        started = await self._started(commit["stream"])
        if started is None or not started.get("callbackUrl"):
            return
        ops: list[Op] = [
            Insert(DELIVERIES, self._delivery(commit, index, kind=kind, started=started))
            for index, kind in enumerate(kinds)
            if kind is not None
        ]
        await self.store.commit(ops, atomic=False)
        self._wake.set()

    async def _started(self, stream: str) -> dict[str, Any] | None:
        """The data of the event that a stream began with."""
        table = CAST_EVENTS if stream.startswith("cast:") else COOK_EVENTS
        first = await self.store.find(table, {"stream": stream, "seq": 1}, order=("seq",), limit=1)
        if not first:
            return None
        events: Sequence[Event] = [Event(e["type"], e["data"]) for e in codec.upcast(first[0])["events"]]
        return dict(events[0].data) if events else None

    def _delivery(self, commit: Commit, index: int, *, kind: str, started: dict[str, Any]) -> Doc:
        data, at = commit["events"][index]["data"], iso(commit["ts"])
        is_cast = kind.startswith("cast.")
        message = cast_message if is_cast else cook_message
        name = f"{commit['stream']}:{commit['seq']}:{index}"
        now = self.clock()
        return {
            "_id": f"msg_{hashlib.sha256(name.encode()).hexdigest()[:32]}",
            "status": "pending",
            "runId": started["castId"] if is_cast else started["cookId"],
            "castId": started["castId"] if is_cast else None,
            "cookId": None if is_cast else started["cookId"],
            "kind": "cast" if is_cast else "cook",
            "type": kind,
            "owner": started["owner"],
            "environment": started["environment"],
            "url": started["callbackUrl"],
            "body": message(kind, started, data, at=at).decode(),
            "attempts": 0,
            "answer": None,  # status of the last answer
            "error": None,
            "runAt": now,
            "leaseId": None,
            "leaseUntil": 0,
            "deliveredAt": None,
            "createdAt": iso(now),
        }

    async def _sending(self) -> None:
        while True:
            self._wake.clear()
            busy = 0
            with outliving(log, "deliveries not sent: trying again"):  # the next one may be fine
                busy = await self.send_due()
            if not busy:
                await self._rest()

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(self.look_every_s):
                await self._wake.wait()
        except TimeoutError:
            return

    async def send_due(self) -> int:
        """Try everything that is due, a few at a time; returns how many were tried."""
        now = self.clock()
        await self._take_back(now)
        claim = Claim(
            table=DELIVERIES,
            where={"status": "pending", "runAt": Compare("<=", now)},
            order=("runAt",),
            set={"status": "sending", "leaseId": self.new_id(), "leaseUntil": now + LEASE_MS},
            limit=AT_ONCE,
            increment=("attempts",),
        )
        due = await self.store.claim(claim)
        await asyncio.gather(*map(self._try, due))
        return len(due)

    async def _take_back(self, now: int) -> None:
        """What a process that died was sending is due again."""
        where = {"status": "sending", "leaseUntil": Compare("<", now)}
        lost = await self.store.find(DELIVERIES, where, order=("leaseUntil",), limit=PAGE)
        ops: list[Op] = [
            Patch(DELIVERIES, d["_id"], {"status": "pending", "runAt": now}, {"leaseId": d["leaseId"]})
            for d in lost
        ]
        if ops:
            await self.store.commit(ops, atomic=False)

    async def _try(self, doc: Doc) -> None:
        answer, error = await self._send(doc)
        changes: dict[str, Any] = {"answer": answer, "error": error}
        now = self.clock()
        if error is None:
            changes |= {"status": "sent", "deliveredAt": iso(now)}
        else:
            permanent = answer == GONE or error.startswith("refused:")
            wait_ms = None if permanent else retry_after_ms(doc["attempts"], self.uniform())
            again = (
                {"status": "dropped"} if wait_ms is None else {"status": "pending", "runAt": now + wait_ms}
            )
            changes |= again
            log.info("callback not delivered", delivery=doc["_id"], attempts=doc["attempts"], answer=answer)
        self.count(changes["status"])
        if changes["status"] in ("sent", "dropped"):
            await self._mark_outputs(doc, changes)
        held = {"status": "sending", "leaseId": doc["leaseId"]}
        await self.store.commit([Patch(DELIVERIES, doc["_id"], changes, held)], atomic=False)

    async def _send(self, doc: Doc) -> tuple[int | None, str | None]:
        """(status of the answer, what went wrong)."""
        try:
            target = self.gate.target(doc["url"])
            keys = await self.secrets.current(doc["owner"])
            body, at_s = doc["body"].encode(), self.clock() // 1000
            headers = {
                "content-type": "application/json",
                "user-agent": "Cauldron",
                "webhook-id": doc["_id"],
                "webhook-timestamp": str(at_s),
                "webhook-signature": signature(keys, message_id=doc["_id"], at_s=at_s, body=body),
            }
            answer = await self.sender().send(target, headers=headers, body=body)
        except Invalid as refused:
            return None, f"refused: {refused.message}"[:SHOWN_ERROR]
        except CauldronError as failed:
            return None, failed.message[:SHOWN_ERROR]
        return (answer, None) if 200 <= answer < 300 else (answer, f"answered with {answer}")

    async def _mark_outputs(self, doc: Doc, changes: dict[str, Any]) -> None:
        """Tell the run's generation outputs how their delivery ended, a page at a time."""
        key = "castId" if doc["kind"] == "cast" else "cookId"
        told = {
            "deliveryStatus": changes["status"],
            "deliveryTimestamp": changes.get("deliveredAt"),
            "deliveryAttempts": doc["attempts"],
            "deliveryError": changes["error"],
        }
        after: tuple[Any, ...] | None = None
        while True:
            page = await self.store.find(
                "generationOutputs", {key: doc["runId"]}, order=(key,), limit=PAGE, after=after
            )
            ops: list[Op] = [
                Patch("generationOutputs", output["_id"], told, {"deliveryStatus": "pending"})
                for output in page
                if output["notificationPlatform"] == PLATFORM and output["deliveryStatus"] == "pending"
            ]
            if ops:
                await self.store.commit(ops, atomic=False)
                await self._renew(doc)
            if len(page) < PAGE:
                return
            after = (doc["runId"], page[-1]["_id"])

    async def _renew(self, doc: Doc) -> None:
        lease = {"leaseUntil": self.clock() + LEASE_MS}
        await self.store.commit(
            [Patch(DELIVERIES, doc["_id"], lease, {"leaseId": doc["leaseId"]})], atomic=False
        )

    async def retry(self, delivery_id: str) -> None:
        """Send a dropped delivery once more, and as often as a new one.

        Raises:
            NotFound: there is none. Refused: it is under way or has been sent.
        """
        again = {"status": "pending", "attempts": 0, "runAt": self.clock()}
        [failed] = await self.store.commit(
            [Patch(DELIVERIES, delivery_id, again, {"status": "dropped"})], atomic=False
        )
        if failed is not None:
            [doc] = await self.store.get(DELIVERIES, [delivery_id])
            if doc is None:
                raise NotFound(f"there is no delivery {delivery_id!r:.80}")
            raise Refused(f"only what was dropped is sent again; this is {doc['status']}")
        self._wake.set()
