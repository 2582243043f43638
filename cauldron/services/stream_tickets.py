"""Stream tickets: the right to open the stream of one run, once, within a minute.

For clients that can send no header with a stream (a browser's ``EventSource``): no token
that is worth anything afterwards stands in an address. Only a ticket's hash is kept.
"""

import hashlib
import re
import secrets
from dataclasses import dataclass
from typing import Any

from cauldron.domain.errors import StaleVersion
from cauldron.domain.identity import Principal, Unauthenticated
from cauldron.domain.times import iso
from cauldron.persistence.tables import TICKETS
from cauldron.ports.storage import Compare, Delete, Doc, Insert, Patch, Store
from cauldron.ports.system import Clock

LIFE_MS = 60_000
SECRET_BYTES = 32
TICKET = re.compile(r"st_[A-Za-z0-9_-]{43}")
SWEPT = 50  # tickets that are over and go when one is issued
REFUSED = "the ticket was used, is over, or is for another run: ask for another one"


@dataclass(frozen=True, slots=True)
class StreamTickets:
    """Issues and takes tickets."""

    store: Store
    clock: Clock

    async def issue(self, who: Principal, *, credit_tx_id: str) -> dict[str, str]:
        """A ticket for who may read a run: ``{ticket, expiry}``."""
        now = self.clock()
        over = {"endsAt": Compare("<=", now)}
        old = await self.store.find(TICKETS, over, order=("endsAt",), limit=SWEPT)
        ticket = f"st_{secrets.token_urlsafe(SECRET_BYTES)}"
        doc: Doc = {
            "_id": _digest(ticket),
            "creditTxId": credit_tx_id,
            "account": who.account,
            "user": who.user,
            "via": who.via,
            "credential": who.credential,
            "endsAt": now + LIFE_MS,
            "usedAt": None,
        }
        sweeping = [Delete(TICKETS, each["_id"]) for each in old]
        await self.store.commit([Insert(TICKETS, doc), *sweeping], atomic=False)
        return {"ticket": ticket, "expiry": iso(now + LIFE_MS)}

    async def take(self, ticket: str, *, credit_tx_id: str) -> Principal:
        """Whom a ticket was issued to, reading as they could; of two at once, one gets it.

        Raises:
            Unauthenticated: it was used, is over, is for another run, or never was.
        """
        name = _digest(ticket)
        [doc] = await self.store.get(TICKETS, [name]) if TICKET.fullmatch(ticket) else [None]
        now = self.clock()
        if doc is None or doc["creditTxId"] != credit_tx_id or now >= doc["endsAt"] or doc["usedAt"]:
            raise Unauthenticated(REFUSED)
        try:
            await self.store.commit([Patch(TICKETS, name, {"usedAt": now}, {"usedAt": None})])
        except StaleVersion as other:
            raise Unauthenticated(REFUSED) from other
        return _reader(doc)


def _reader(doc: Doc) -> Principal:
    said: Any = doc["via"]
    return Principal(
        account=doc["account"],
        user=doc["user"],
        scopes=frozenset(("read",)),
        via=said,
        credential=doc["credential"],
    )


def _digest(ticket: str) -> str:
    return hashlib.sha256(ticket.encode(errors="replace")).hexdigest()
