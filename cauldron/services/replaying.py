"""First answers to requests with an ``Idempotency-Key``, kept for a day and given again.

A key is taken before its request is carried out and holds the answer afterwards. Who
dies in between leaves a lease that ends: the next request with the key is carried out
again, which is safe because commands carry the key, too.
"""

import asyncio
import contextlib
from dataclasses import dataclass
from hashlib import sha256

import structlog

from cauldron.domain.errors import CauldronError, Duplicate, Invalid, Refused, StaleVersion
from cauldron.ports.storage import Compare, Delete, Doc, Index, Op, Patch, Put, Store, Table
from cauldron.ports.system import Clock, NewId

log = structlog.get_logger("cauldron.replaying")
TABLE = "answers"
TABLES = (Table(name=TABLE, indexes=(Index(fields=("expiresAt",)),)),)
KEPT_MS = 24 * 3600 * 1000
LEASE_MS = 30_000
MAX_BODY_BYTES = 256 * 1024
TRIES = 5
FORGET_EVERY_S = 600.0
FORGOTTEN = 500  # at a time


class KeyReused(Invalid):
    """The Idempotency-Key was used for another request."""

    code = "idempotency_key_reused"


class InFlight(Refused):
    """The first request with this Idempotency-Key is still being carried out."""

    code = "idempotency_in_flight"


class AnswerWithheld(Refused):
    """The request was carried out; its answer held a secret and was given once only."""

    code = "idempotency_answer_withheld"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """An answer as it was given."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """The right to carry out the request of a key, while its lease lasts."""

    id: str
    lease: str


class Replays:
    """The keys of one store."""

    def __init__(self, store: Store, *, clock: Clock, new_id: NewId, lease_ms: int = LEASE_MS) -> None:
        self._store = store
        self._clock = clock
        self._new_id = new_id
        self._lease_ms = lease_ms

    async def begin(self, account: str, key: str, *, fingerprint: str) -> Ticket | Kept:
        """Take a key, or get the answer that was given to it.

        Raises:
            KeyReused, InFlight, AnswerWithheld: see there.
        """
        name = sha256(f"{account}\0{key}".encode()).hexdigest()
        for _ in range(TRIES):
            [doc] = await self._store.get(TABLE, [name])
            now = self._clock()
            if doc is not None and doc["expiresAt"] > now:
                known = _known(doc, fingerprint, now=now)
                if known is not None:
                    return known
            ticket = Ticket(id=name, lease=self._new_id())
            body = {
                "_id": name,
                "owner": account,
                "fingerprint": fingerprint,
                "state": "running",
                "lease": ticket.lease,
                "until": now + self._lease_ms,
                "expiresAt": now + KEPT_MS,
            }
            with contextlib.suppress(Duplicate, StaleVersion):  # another one was faster: look again
                await self._store.commit([Put(TABLE, body, doc["_v"] if doc else 0)])
                return ticket
        raise InFlight("another request with this Idempotency-Key is being carried out")

    async def keep(self, ticket: Ticket, answer: Kept) -> None:
        """Keep the answer for whoever asks again."""
        headers = [list(pair) for pair in answer.headers]
        await self._end(
            ticket, {"state": "done", "status": answer.status, "headers": headers, "body": answer.body}
        )

    async def withhold(self, ticket: Ticket) -> None:
        """The request was carried out; its answer is not for keeping."""
        await self._end(ticket, {"state": "withheld"})

    async def free(self, ticket: Ticket) -> None:
        """Let the next request with the key be carried out."""
        await self._end(ticket, {"until": 0})

    async def renew(self, ticket: Ticket) -> None:
        """Hold on to a key, until cancelled, for as long as its request takes."""
        while True:
            await asyncio.sleep(self._lease_ms / 3000)
            with contextlib.suppress(CauldronError):
                await self._end(ticket, {"until": self._clock() + self._lease_ms})

    async def _end(self, ticket: Ticket, changes: Doc) -> None:
        """Change the key's record if it is still ours; if not, somebody else answers for it."""
        op = Patch(TABLE, ticket.id, changes, {"lease": ticket.lease, "state": "running"})
        await self._store.commit([op], atomic=False)

    async def run(self) -> None:
        """Forget what is older than a day, until cancelled."""
        while True:
            try:
                while await self.forget() == FORGOTTEN:
                    await asyncio.sleep(0)
            except CauldronError as failure:
                log.warning("old answers not forgotten: trying again", code=failure.code)
            await asyncio.sleep(FORGET_EVERY_S)

    async def forget(self) -> int:
        """Remove expired keys, at most 500; returns how many."""
        where = {"expiresAt": Compare("<=", self._clock())}
        old = await self._store.find(TABLE, where, order=("expiresAt",), limit=FORGOTTEN)
        ops: list[Op] = [Delete(TABLE, doc["_id"], {"expiresAt": doc["expiresAt"]}) for doc in old]
        if ops:
            await self._store.commit(ops, atomic=False)
        return len(ops)


def _known(doc: Doc, fingerprint: str, *, now: int) -> Kept | None:
    """The answer that a record holds; None when its request may be carried out (again)."""
    if doc["fingerprint"] != fingerprint:
        raise KeyReused("this Idempotency-Key was used for another request")
    if doc["state"] == "done":
        headers = tuple((name, value) for name, value in doc["headers"])
        return Kept(status=doc["status"], headers=headers, body=doc["body"])
    if doc["state"] == "withheld":
        raise AnswerWithheld("this was done already; its answer held a secret and is not given again")
    if now < doc["until"] <= now + 10 * LEASE_MS:
        raise InFlight("the first request with this Idempotency-Key is still being carried out")
    return None
