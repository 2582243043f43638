"""Claims on MongoDB: one document in one round trip, several in two, and keeping out of others' way."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from types import NoneType
from typing import Any, TypeVar

from pymongo import ReturnDocument
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import OperationFailure, PyMongoError
from pymongo.read_concern import ReadConcern

from cauldron.adapters import mongo_query
from cauldron.adapters.mongo_documents import decode
from cauldron.adapters.mongo_link import DUPLICATE, Link, Patience
from cauldron.adapters.mongo_query import MongoTable, Query
from cauldron.adapters.mongo_statements import changes
from cauldron.domain.errors import Duplicate
from cauldron.ports.storage import Claim, Doc

TRIES = 4  # while others take what was chosen
MOST_SPREAD = 8.0
WIDE = 1.5  # from here on only what is chosen is read whole
WON_AGAIN = 0.9  # how fast a claimer goes back to the very first documents
PLAIN = (str, int, float, bool, NoneType)

T = TypeVar("T")


@dataclass(slots=True)
class Claims:
    """The claims of one handle on one table, one after the other.

    Where others claim from the same end, each looks further ahead and takes some of
    what it sees, instead of all grasping for the same first documents.
    """

    link: Link
    table: MongoTable
    in_flight: asyncio.Semaphore
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _spread: float = 1.0

    def take(self, claim: Claim) -> Coroutine[Any, Any, list[Doc]]:
        """The claimed documents, in order. Raises Invalid at once when the claim is malformed."""
        (query,) = mongo_query.select(self.table, claim.where, claim.order)
        change, _ = changes(self.table, claim.set, claim.increment)
        return self._take(claim, query, change)

    async def _take(self, claim: Claim, query: Query, change: Doc) -> list[Doc]:
        async with self._turn, self.in_flight:
            if claim.limit == 1:
                return await self._take_one(query, change)
            for _ in range(TRIES):
                chosen = await self._choose(query, claim.limit)
                taken = await self._take_chosen(claim, query, change, chosen) if chosen else []
                if taken or not chosen:
                    return taken
            return []

    @property
    def _collection(self) -> AsyncCollection[Doc]:
        """For reading what is newest, even if it were to be undone: the write that follows decides."""
        return self.link.db[self.table.name].with_options(read_concern=ReadConcern("local"))

    async def _take_one(self, query: Query, change: Doc) -> list[Doc]:
        token = random.getrandbits(63)

        async def find_and_update() -> Doc | None:
            async with self.link.session() as session:
                found: Doc | None = await self._collection.find_one_and_update(
                    query.filter,
                    [_tokened(change, token)],
                    sort=query.sort,
                    hint=query.hint,
                    return_document=ReturnDocument.AFTER,
                    session=session,
                )
                return found

        async def find_taken() -> Doc | None:  # scans; only after an answer was lost twice
            found = await self._collection.find_one({"_t": token})
            if found is not None:  # changes nothing, but waits until all before it is durable
                await self._collection.update_one({"_id": found["_id"], "_t": token}, {"$set": {"_t": token}})
            return found

        taken, _ = await self._patiently(find_and_update, unless=find_taken)
        return [decode(taken)] if taken else []

    async def _choose(self, query: Query, limit: int) -> list[Doc]:
        """Some of the first documents, in order: the very first unless others take those too."""
        seen = round(limit * self._spread)
        options: Doc = {"sort": query.sort, "hint": query.hint, "limit": seen, "batch_size": seen}
        if self._spread > WIDE:
            options["projection"] = {"_t": 1}
        found = await self.link.steadily(lambda: self._collection.find(query.filter, **options).to_list())
        if len(found) <= limit:
            return found
        return [found[n] for n in sorted(random.sample(range(len(found)), limit))]

    async def _take_chosen(self, claim: Claim, query: Query, change: Doc, chosen: Sequence[Doc]) -> list[Doc]:
        """Those of ``chosen`` that nobody changed since they were read, as they are now."""
        token, ids = random.getrandbits(63), [doc["_id"] for doc in chosen]
        known = self._spread <= WIDE and _is_flat(claim)
        unchanged = {"_id": {"$in": ids}, "_t": {"$in": [doc["_t"] for doc in chosen]}}
        only = {"$and": [unchanged, query.filter]}

        async def update() -> int:
            async with self.link.session() as session:
                done = await self._collection.update_many(only, [_tokened(change, token)], session=session)
                return done.modified_count

        taken, doubted = await self._patiently(update)
        if not doubted:
            self._learn(lost=taken < len(chosen))
            if taken == len(chosen) and known:
                return [_claimed(doc, claim) for doc in chosen]
            if taken == 0:
                return []
        mine = {"_id": {"$in": ids}, "_t": token}
        found = await self.link.steadily(lambda: self._collection.find(mine, batch_size=len(ids)).to_list())
        by_id = {doc["_id"]: decode(doc) for doc in found}
        return [by_id[name] for name in ids if name in by_id]

    def _learn(self, *, lost: bool) -> None:
        self._spread = min(MOST_SPREAD, self._spread * 2) if lost else max(1.0, self._spread * WON_AGAIN)

    async def _patiently(
        self, write: Callable[[], Awaitable[T]], *, unless: Callable[[], Awaitable[T]] | None = None
    ) -> tuple[T, bool]:
        """The answer of ``write``, and whether an earlier try without an answer may have counted.

        It is asked again with the token it leaves, so that nothing is taken twice;
        ``unless`` finds what an earlier try took.
        """
        patience, doubted = Patience(self.link), False
        while True:
            try:
                if doubted and unless is not None and (taken := await unless()):
                    return taken, True
                return await write(), doubted
            except PyMongoError as exc:
                if isinstance(exc, OperationFailure) and exc.code == DUPLICATE:
                    name = self.table.name
                    raise Duplicate(f"{name}: a claim would double a unique field", table=name) from exc
                await patience.wait(exc)
                doubted = True


def _tokened(change: Doc, token: int) -> dict[str, Any]:
    return {"$set": {**change, "_t": token, "_v": {"$add": ["$_v", 1]}}}


def _is_flat(claim: Claim) -> bool:
    """Is what the claim changes plain fields and values, so that the outcome is known without reading?"""
    paths = (*claim.set, *claim.increment)
    return all("." not in path for path in paths) and all(type(v) in PLAIN for v in claim.set.values())


def _claimed(stored: Doc, claim: Claim) -> Doc:
    """A document after a flat claim, without reading it again."""
    doc = decode(stored)
    version = doc.pop("_v")
    doc.update(claim.set)
    for path in claim.increment:
        doc[path] = (doc.get(path) or 0) + 1
    doc["_v"] = version + 1
    return doc
