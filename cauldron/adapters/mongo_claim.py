"""Claims on MongoDB: one document in one round trip, several in two, and keeping out of others' way."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from types import NoneType
from typing import Any, TypeVar

from pymongo import ASCENDING
from pymongo.errors import OperationFailure, PyMongoError

from cauldron.adapters import mongo_query
from cauldron.adapters.mongo_documents import decode
from cauldron.adapters.mongo_link import DUPLICATE, Link, Patience
from cauldron.adapters.mongo_query import MongoTable, Query
from cauldron.adapters.mongo_statements import changes
from cauldron.domain.errors import Duplicate
from cauldron.ports.storage import Claim, Doc

TRIES = 4  # while others take what was chosen
MOST_WINDOWS = 16.0
WON_AGAIN = 0.97  # how fast a claimer goes back to the very first documents
FULL_S = 0.5  # between two looks from the very beginning, at least
FULL_SHARE = 0.02  # of the time, for looking from there
MOST_TRAILS = 16
PLAIN = (str, int, float, bool, NoneType)

T = TypeVar("T")


@dataclass(slots=True)
class Trail:
    """Where the claims of one kind have come to.

    What was claimed stays at the head of the server's index for minutes, and whoever looks
    from there steps over it all. So a look begins where the last one ended; only now and then,
    or when there is too little, at the very beginning, which then may take a share of the time.
    """

    _at: Any = None
    _until_s: float = 0.0
    _full_s: float = FULL_S

    def apply(self, query: Query) -> Query | None:
        """The query from there on; None when it is time to look from the beginning."""
        if self._at is None or time.monotonic() > self._until_s:
            return None
        return replace(query, filter={"$and": [query.filter, {query.sort[0][0]: {"$gte": self._at}}]})

    def looked_everywhere(self, took_s: float) -> None:
        """From the beginning, that is."""
        self._full_s = max(FULL_S, took_s / FULL_SHARE)
        self._until_s = time.monotonic() + self._full_s

    def ended(self, doc: Doc, query: Query) -> None:
        """At this document; orders that do not ascend by a whole number leave no trail."""
        path, direction = query.sort[0]
        value = doc.get(path)
        self._at = value if isinstance(value, int) and direction == ASCENDING else None

    def lose(self) -> None:
        """Begin at the beginning."""
        self._at = None


@dataclass(slots=True)
class Claims:
    """The claims of one handle on one table, one after the other.

    Where others claim from the same end, each keeps to a window of its own further on,
    instead of all grasping for the same first documents: who loses draws another window,
    who wins goes on from there, and comes back to the first by and by.
    """

    link: Link
    table: MongoTable
    in_flight: asyncio.Semaphore
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _windows: float = 1.0  # as many as claimers seem to be about
    _window: int = 0
    _trails: dict[str, Trail] = field(default_factory=dict)  # by query

    def take(self, claim: Claim) -> Coroutine[Any, Any, list[Doc]]:
        """The claimed documents, in order. Raises Invalid at once when the claim is malformed."""
        (query,) = mongo_query.select(self.table, claim.where, claim.order)
        change, _ = changes(self.table, claim.set, claim.increment)
        return self._take(claim, query, change)

    async def _take(self, claim: Claim, query: Query, change: Doc) -> list[Doc]:
        async with self._turn, self.in_flight:
            trail = self._trail(query)
            if claim.limit == 1:
                return await self._take_one(query, change, trail)
            for _ in range(TRIES):
                chosen = await self._choose(query, claim.limit, trail)
                taken = await self._take_chosen(claim, change, query, chosen) if chosen else []
                if len(taken) < len(chosen):
                    trail.lose()
                if taken or not chosen:
                    return taken
            return []

    async def _take_one(self, query: Query, change: Doc, trail: Trail) -> list[Doc]:
        onwards = trail.apply(query)
        taken = await self._find_and_take(onwards, change) if onwards is not None else None
        if taken is None:
            began = time.monotonic()
            taken = await self._find_and_take(query, change)
            trail.looked_everywhere(time.monotonic() - began)
        if taken is None:
            return []
        trail.ended(taken, query)
        return [decode(taken)]

    async def _find_and_take(self, query: Query, change: Doc) -> Doc | None:
        token = random.getrandbits(63)
        command: Doc = {
            "findAndModify": self.table.name,
            "query": query.filter,
            "sort": dict(query.sort),
            "hint": query.hint,
            "update": [_tokened(change, token)],
            "new": True,
        }

        async def find_and_update() -> Doc | None:
            found: Doc | None = (await self.link.write(command))["value"]
            return found

        async def find_taken() -> Doc | None:  # scans; only after an answer was lost
            found = await self._find({"_t": token})
            if found:  # changes nothing, but waits until all before it is durable
                await self._update({"_id": found[0]["_id"], "_t": token}, [{"$set": {"_t": token}}])
            return found[0] if found else None

        taken, _ = await self._patiently(find_and_update, unless=find_taken)
        return taken

    async def _find(self, only: Doc, **options: Any) -> list[Doc]:
        """What is newest, even if it were to be undone: the write that follows decides."""
        command = {"find": self.table.name, "filter": only, **options, "readConcern": {"level": "local"}}
        return await self.link.documents(command)

    async def _update(self, only: Doc, change: Sequence[Doc]) -> int:
        """How many documents were changed."""
        one = {"q": only, "u": list(change), "multi": True}
        answer = await self.link.write({"update": self.table.name, "updates": [one]})
        for error in answer.get("writeErrors", ()):
            raise OperationFailure(error.get("errmsg", "refused"), error["code"])
        return int(answer["nModified"])

    def _trail(self, query: Query) -> Trail:
        key = repr(query.filter)
        if key not in self._trails and len(self._trails) >= MOST_TRAILS:
            self._trails.clear()
        return self._trails.setdefault(key, Trail())

    async def _choose(self, query: Query, limit: int, trail: Trail) -> list[Doc]:
        """The next documents on the trail; else those of our window, or the very first, in order."""
        onwards = trail.apply(query)
        if onwards is not None:
            found = await self._look(onwards, limit, skip=0)
            if len(found) == limit:
                trail.ended(found[-1], query)
            else:
                trail.lose()  # there may be some before it: the next look tells
            if found:
                return found
        began = time.monotonic()
        found = await self._look(query, limit, skip=self._window * limit)
        if len(found) < limit and self._window:
            self._window, self._windows = 0, 1.0
            found = await self._look(query, limit, skip=0)
        trail.looked_everywhere(time.monotonic() - began)
        if found:
            trail.ended(found[-1], query)
        return found

    async def _look(self, query: Query, limit: int, *, skip: int) -> list[Doc]:
        options: Doc = {"sort": dict(query.sort), "hint": query.hint, "skip": skip, "limit": limit}
        return await self.link.steadily(lambda: self._find(query.filter, **options))

    async def _take_chosen(self, claim: Claim, change: Doc, query: Query, chosen: Sequence[Doc]) -> list[Doc]:
        """Those of ``chosen`` that nobody changed since they were read, as they are now."""
        token, ids = random.getrandbits(63), [doc["_id"] for doc in chosen]
        unchanged = {"_id": {"$in": ids}, "_t": {"$in": [doc["_t"] for doc in chosen]}}
        only = {"$and": [unchanged, query.filter]}

        taken, doubted = await self._patiently(lambda: self._update(only, [_tokened(change, token)]))
        if not doubted:
            self._learn(lost=taken < len(chosen))
            if taken == len(chosen) and _is_flat(claim):
                return [_claimed(doc, claim) for doc in chosen]
            if taken == 0:
                return []
        mine = {"_id": {"$in": ids}, "_t": token}
        found = await self.link.steadily(lambda: self._find(mine))
        by_id = {doc["_id"]: decode(doc) for doc in found}
        return [by_id[name] for name in ids if name in by_id]

    def _learn(self, *, lost: bool) -> None:
        if lost:
            self._windows = min(MOST_WINDOWS, self._windows * 2)
            self._window = random.randrange(round(self._windows))
        else:
            self._windows = max(1.0, self._windows * WON_AGAIN)
            self._window = min(self._window, round(self._windows) - 1)

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
