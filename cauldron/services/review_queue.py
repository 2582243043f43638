"""The queue of unreviewed pieces: handed out under leases, so that two reviewers never see the same one.

A lease is a record of its own beside the piece; whoever adds it has it. It only says
who is looking: a decision is taken whether or not its maker holds one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cauldron.domain.cook_state import GENERATED, Cook
from cauldron.domain.status import piece_id
from cauldron.ports.storage import Compare, Delete, Doc, Insert, Op, Put, Store
from cauldron.ports.system import Clock
from cauldron.services.dispatch import Dispatcher
from cauldron.services.projecting import stream_of

TABLE = "review_leases"
LEASE_MS = 10 * 60_000
PAGE = 250
WINDOW = 500  # leases looked up at a time
MOST_LOOKED_AT = 10_000  # pieces, for one answer: as many as a hundred reviewers hold


@dataclass(frozen=True, slots=True, kw_only=True)
class Handed:
    """Pieces given to a reviewer, and until when (ms since 1970) they are kept from others."""

    pieces: list[Doc]
    until_ms: int


@dataclass(slots=True)
class ReviewQueue:
    """Hands out generated pieces of a cook."""

    store: Store
    cooks: Dispatcher[Cook]
    clock: Clock
    lease_ms: int = LEASE_MS

    async def pop(self, cook: Doc, *, reviewer: str, limit: int, again: bool = False) -> Handed:
        """Up to ``limit`` generated pieces that nobody else is looking at, lowest numbers first.

        With ``again`` what this reviewer holds already comes first, its time renewed.
        ``cook`` is the cook's status or parent record.
        """
        await self._clear(cook["_id"])
        held = await self._renewed(cook, reviewer, limit) if again else []
        handed = await self._unreviewed(held)
        numbers = await self._generated(cook["_id"])
        for start in range(0, min(len(numbers), MOST_LOOKED_AT), WINDOW):
            if len(handed) >= limit:
                break
            window = numbers[start : start + WINDOW].tolist()
            handed += await self._taken(cook, window, reviewer=reviewer, limit=limit - len(handed))
        return Handed(pieces=handed, until_ms=self.clock() + self.lease_ms)

    async def _generated(self, cook_id: str) -> npt.NDArray[np.int64]:
        """Numbers of the pieces that wait for review, ascending."""
        folded = await self.cooks.load(stream_of(cook_id))
        return np.flatnonzero(np.frombuffer(bytes(folded.state.piece_state), np.uint8) == GENERATED) + 1

    async def _clear(self, cook_id: str) -> None:
        """Remove leases that are over."""
        where = {"cookId": cook_id, "until": Compare("<=", self.clock())}
        over = await self.store.find(TABLE, where, order=("until",), limit=PAGE)
        ops: list[Op] = [Delete(TABLE, doc["_id"], {"until": doc["until"]}) for doc in over]
        if ops:
            await self.store.commit(ops, atomic=False)

    async def _renewed(self, cook: Doc, reviewer: str, limit: int) -> list[str]:
        where = {"cookId": cook["_id"], "reviewer": reviewer}
        mine = await self.store.find(TABLE, where, order=("number",), limit=limit)
        ops = [Put(TABLE, self._lease(cook, doc, reviewer), doc["_v"]) for doc in mine]
        outcomes = await self.store.commit(ops, atomic=False) if ops else []
        return [doc["_id"] for doc, failed in zip(mine, outcomes, strict=True) if failed is None]

    async def _taken(self, cook: Doc, numbers: Sequence[int], *, reviewer: str, limit: int) -> list[Doc]:
        """Lease what is free among pieces."""
        ids = [piece_id(cook["_id"], number) for number in numbers]
        leases = await self.store.get(TABLE, ids)
        found = zip(numbers, ids, leases, strict=True)
        free = [(number, piece, at) for number, piece, at in found if at is None or self._is_over(at)]
        ops: list[Op] = []
        for number, piece, lease in free[:limit]:
            wanted = self._lease(cook, {"_id": piece, "number": number}, reviewer)
            ops.append(Insert(TABLE, wanted) if lease is None else Put(TABLE, wanted, lease["_v"]))
        outcomes = await self.store.commit(ops, atomic=False) if ops else []
        got = [piece for (_, piece, _), failed in zip(free, outcomes, strict=False) if failed is None]
        handed = await self._unreviewed(got)
        there = {doc["_id"] for doc in handed}
        await self.decided([piece for piece in got if piece not in there])  # or not written down yet
        return handed

    def _lease(self, cook: Doc, doc: Doc, reviewer: str) -> Doc:
        return {
            "_id": doc["_id"],
            "cookId": cook["_id"],
            "number": doc["number"],
            "owner": cook["owner"],
            "environment": cook["environment"],
            "reviewer": reviewer,
            "until": self.clock() + self.lease_ms,
        }

    def _is_over(self, lease: Doc) -> bool:
        """One that outlasts its length dates from before the clock was set back."""
        now = self.clock()
        return not now < lease["until"] <= now + self.lease_ms

    async def _unreviewed(self, ids: Sequence[str]) -> list[Doc]:
        docs = await self.store.get("pieces", ids) if ids else []
        return [doc for doc in docs if doc is not None and doc["state"] == "generated"]

    async def release(self, cook_id: str, *, reviewer: str, pieces: Sequence[str] | None) -> int:
        """Give pieces back (None: all that this reviewer holds of the cook); returns how many."""
        if pieces is None:
            where = {"cookId": cook_id, "reviewer": reviewer}
            found = await self.store.find(TABLE, where, order=("number",), limit=MOST_LOOKED_AT)
        else:
            known = await self.store.get(TABLE, list(dict.fromkeys(pieces))) if pieces else []
            found = [doc for doc in known if doc is not None]
        mine = [d for d in found if d["reviewer"] == reviewer and d["cookId"] == cook_id]
        guard = {"reviewer": reviewer}
        ops: list[Op] = [Delete(TABLE, doc["_id"], guard) for doc in mine]
        outcomes = await self.store.commit(ops, atomic=False) if ops else []
        return sum(failed is None for failed in outcomes)

    async def decided(self, pieces: Sequence[str]) -> None:
        """Forget the leases of pieces that have been decided on; most have none, and cost a look only."""
        known = await self.store.get(TABLE, list(dict.fromkeys(pieces))) if pieces else []
        ops: list[Op] = [Delete(TABLE, doc["_id"]) for doc in known if doc is not None]
        if ops:
            await self.store.commit(ops, atomic=False)
