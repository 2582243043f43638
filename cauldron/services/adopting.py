"""What a guest has here becomes the account's that the guest signs in to: points, runs, pictures.

That it does is written down in the commit that ends the guest's session and opens the
new one; the rest follows from that record, under ids of its own, at once and by a loop
that finishes what a process that died left. Whoever has not the guest's session cannot
bring it about.
"""

import asyncio
from dataclasses import dataclass
from typing import Any

import structlog

from cauldron.domain.errors import Refused
from cauldron.domain.ledger import LedgerConflict
from cauldron.persistence.tables import ADOPTIONS, MEDIA_GRANTS
from cauldron.ports.storage import Compare, Doc, Insert, Op, Patch, Store
from cauldron.ports.system import Clock
from cauldron.services.adoptions import WATCHED_MS
from cauldron.services.casting import Casting
from cauldron.services.ledger import Ledger
from cauldron.services.ledger_moves import hand_over
from cauldron.services.media_grants import grant_id
from cauldron.services.outliving import outliving

log = structlog.get_logger("cauldron.adopting")
EVERY_S = 5.0
AT_ONCE = 50
PAGE = 200
LOOK_MS = 5_000


@dataclass(slots=True)
class Adopting:
    """Carries adoptions out; doing so twice, or at once, changes nothing more."""

    store: Store
    ledger: Ledger
    casting: Casting
    clock: Clock

    async def finish(self, guest: str) -> None:
        """Bring everything that a guest has to whom they became; nothing where that is not written down."""
        [said] = await self.store.get(ADOPTIONS, [guest])
        if said is None:
            return
        owner, actor = str(said["owner"]), str(said["actor"])
        await hand_over(self.ledger, guest, to=owner, actor=actor)
        await self._casts(guest, owner=owner, actor=actor)
        await self._uploads(guest, owner=owner)
        now = self.clock()
        more = {"watched": now < said["endsAt"], "lookAt": now + LOOK_MS}
        await self.store.commit([Patch(ADOPTIONS, guest, more)])

    async def _casts(self, guest: str, *, owner: str, actor: str) -> None:
        where, order = {"owner": guest, "cookId": None}, ("-startedAt",)
        while page := await self.store.find("casts", where, order=order, limit=PAGE):
            for doc in page:
                await self.casting.adopt(doc["_id"], owner=owner, actor=actor)

    async def _uploads(self, guest: str, *, owner: str) -> None:
        """Pictures that the guest brought, and the right to read whatever the guest might."""
        after: list[Any] | None = None
        while True:
            page = await self.store.find(
                MEDIA_GRANTS, {"owner": guest}, order=("owner",), limit=PAGE, after=after
            )
            ops: list[Op] = [Insert(MEDIA_GRANTS, _for(doc, owner)) for doc in page]
            if ops:
                await self.store.commit(ops, atomic=False)
            if len(page) < PAGE:
                break
            after = [guest, page[-1]["_id"]]
        mine = {"owner": guest}
        while page := await self.store.find("uploads", mine, order=("-createdAt",), limit=PAGE):
            await self.store.commit(
                [Patch("uploads", doc["_id"], {"owner": owner}, mine) for doc in page], atomic=False
            )

    async def round(self) -> int:
        """Go on with adoptions that are watched; returns how many."""
        due = {"watched": True, "lookAt": Compare("<=", self.clock())}
        found = await self.store.find(ADOPTIONS, due, order=("lookAt",), limit=AT_ONCE)
        for said in found:
            try:
                await self.finish(said["_id"])
            except (LedgerConflict, Refused) as wrong:  # the others are no worse for it
                log.error("a guest cannot be adopted", guest=said["_id"], code=wrong.code)
                later = {"lookAt": self.clock() + WATCHED_MS}
                await self.store.commit([Patch(ADOPTIONS, said["_id"], later)])
        return len(found)

    async def run(self) -> None:
        """Go on until cancelled."""
        while True:
            with outliving(log, "guests not adopted: trying again"):
                await self.round()
            await asyncio.sleep(EVERY_S)


def _for(grant: Doc, owner: str) -> Doc:
    """The same right to read, for another account."""
    digest = str(grant["_id"]).rpartition(":")[2]
    kept = {key: value for key, value in grant.items() if key != "_v"}
    return kept | {"_id": grant_id(owner, digest), "owner": owner}
