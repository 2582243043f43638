"""Erasing collections, casts and accounts: personal data go, the books stay (docs/adr/0013).

The order makes it safe to be killed and done again: first the event log is redacted,
then the read models are folded from it anew, then plans and records without a stream,
media last. What a killed run left of the media, the next clean-up takes.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from cauldron.domain import cast as casts
from cauldron.domain import codec, erasure
from cauldron.domain.blob_marks import is_document, references
from cauldron.domain.cast import Cast
from cauldron.domain.cook_state import ENDED
from cauldron.domain.errors import Invalid, NotFound, Refused
from cauldron.domain.events import Event
from cauldron.domain.times import iso
from cauldron.persistence.streams import Commit
from cauldron.persistence.tables import CAST_EVENTS, CAST_JOBS, COOK_EVENTS, COOK_JOBS, RESOURCES
from cauldron.ports.storage import Delete, Doc, Op, Patch, Put, Redact, Store
from cauldron.ports.system import Clock
from cauldron.services.auditing import pages
from cauldron.services.casting import cast_document, cast_outputs
from cauldron.services.cleaning import LEAST_GRACE_MS
from cauldron.services.identity_records import INVITATIONS, KEYS, SESSIONS, USERS
from cauldron.services.marking import Sweeping
from cauldron.services.rebuilding import Findings, Rebuilding

KINDS = ("collection", "cast", "account")
PAGE = 200
BOOKS = ("pieces", "generationOutputs", "casts", "cooks", "cook_status", "exports")  # redacted, not removed
SET_ASIDE = "legacy_set_aside"
PEOPLE = (USERS, KEYS, SESSIONS, INVITATIONS)  # an account's users go with it
REMOVED = (
    *(COOK_JOBS, CAST_JOBS, "spells", "spell_versions", "legacy_events", SET_ASIDE, *PEOPLE),
    *(table.name for table in RESOURCES),
)
DOCUMENT_FIELDS = ("plan", "configHash")  # of events: digests of blobs that name others


@dataclass(slots=True)
class Scope:
    """What is erased: an account with all it owns, a collection with its cooks, or a cast."""

    kind: str
    id: str
    collections: list[Doc] = field(default_factory=list)
    cooks: set[str] = field(default_factory=set)
    casts: set[str] = field(default_factory=set)  # stand-alone ones
    versions: set[str] = field(default_factory=set)  # of the collections, as plans name them

    def holds(self, table: str, doc: Doc) -> bool:
        """Whether a record belongs to what is erased."""
        if self.kind == "account" and self.id in (doc.get("owner"), doc.get("userId"), doc.get("account")):
            return True
        if table == SET_ASIDE:  # kept as it was: whatever names what is erased
            return self.id.encode() in orjson.dumps(doc)
        if table in ("spells", "spell_versions", *PEOPLE):
            return False
        if self.kind == "collection" and doc.get("collectionId") == self.id:
            return True
        parents = (doc.get("cookId"), doc["_id"] if table in ("cooks", "cook_status") else None)
        runs = (doc.get("castId"), doc["_id"] if table == "casts" else None)
        return not self.cooks.isdisjoint(parents) or not self.casts.isdisjoint(runs)


@dataclass(slots=True)
class Erased:
    """What was, or would be, erased."""

    commits: int = 0
    records: dict[str, int] = field(default_factory=dict)
    blobs: int = 0
    size_bytes: int = 0
    blobs_young: int = 0  # left to the next clean-up
    media: set[str] = field(default_factory=set)  # digests that were named

    def count(self, table: str, records: int = 1) -> None:
        """Records of a table."""
        if records:
            self.records[table] = self.records.get(table, 0) + records

    def name(self, value: Any) -> None:
        """Remember every blob that a document names."""
        for digests in references(orjson.dumps(value)):
            self.media |= digests


@dataclass(slots=True)
class Erasing:
    """Erases from one store. ``tables`` are the names of those it has; without ``sweeping`` media stay."""

    store: Store
    tables: Collection[str]
    rebuilding: Rebuilding
    sweeping: Sweeping | None
    clock: Clock
    is_idle: Callable[[], Awaitable[bool]]
    grace_ms: int = LEAST_GRACE_MS

    async def run(self, kind: str, erased_id: str, *, apply: bool) -> dict[str, Any]:
        """Erase, or with ``apply`` False only count.

        Returns:
            ``{kind, id, done, commits, records: {table: n}, blobs, sizeBytes, blobsYoung}``

        Raises:
            Invalid: the kind is unknown. NotFound: there is nothing of it.
            Refused: a cook or cast of it is not over.
        """
        if self.grace_ms < LEAST_GRACE_MS and apply and not await self.is_idle():
            raise Invalid("young media can be erased only while nothing is at work", path="grace_hours")
        scope = await self._scope(kind, erased_id)
        found = Erased()
        for collection in scope.collections:
            found.name(collection)
        await self._streams(scope, found, apply=apply)
        await self._plans(scope, found, apply=apply)  # found by what the collections still say
        await self._records(scope, found, apply=apply)
        await self._media(found, apply=apply)
        return {
            "kind": kind,
            "id": erased_id,
            "done": apply,
            "commits": found.commits,
            "records": found.records,
            "blobs": found.blobs,
            "sizeBytes": found.size_bytes,
            "blobsYoung": found.blobs_young,
        }

    async def _scope(self, kind: str, erased_id: str) -> Scope:
        if kind not in KINDS:
            raise Invalid(f"{kind!r} cannot be erased: {', '.join(KINDS)}", path="kind")
        scope = Scope(kind, erased_id)
        if kind == "cast":
            await self._one_cast(scope)
        else:
            await self._parents(scope)
        if not (scope.collections or scope.cooks or scope.casts) and not await self._owns_something(scope):
            raise NotFound(f"there is no {kind} {erased_id!r:.80}", id=erased_id)
        return scope

    async def _one_cast(self, scope: Scope) -> None:
        [doc] = await self.store.get("casts", [scope.id])
        if doc is None:
            return
        if doc["cookId"] is not None:
            raise Refused(
                f"the cast is part of cook {doc['cookId']}: erase its collection", cook=doc["cookId"]
            )
        self._check_over(doc)
        scope.casts.add(scope.id)

    def _check_over(self, cast: Doc) -> None:
        if cast["status"] == "running":
            raise Refused(f"cast {cast['_id']} is running: cancel it first", cast=cast["_id"])

    async def _parents(self, scope: Scope) -> None:
        """The collections, cooks and stand-alone casts of a collection or an account."""
        async for page in pages(self.store, "collections"):
            mine = "_id" if scope.kind == "collection" else "owner"
            scope.collections += [doc for doc in page if doc[mine] == scope.id]
        async for page in pages(self.store, "cook_status"):
            for doc in page:
                if scope.holds("cook_status", doc):
                    if doc["state"] not in ENDED:
                        raise Refused(f"cook {doc['_id']} is {doc['state']}: stop it first", cook=doc["_id"])
                    scope.cooks.add(doc["_id"])
        async for page in pages(self.store, "cooks"):
            for doc in (doc for doc in page if scope.holds("cooks", doc)):
                scope.cooks.add(doc["_id"])
                scope.versions |= {doc["collectionVersion"]} if doc["collectionVersion"] else set()
        scope.versions |= {doc["version"] for doc in scope.collections if doc["version"]}
        async for page in pages(self.store, "casts"):
            for doc in (d for d in page if d["cookId"] is None and scope.holds("casts", d)):
                self._check_over(doc)
                scope.casts.add(doc["_id"])

    async def _owns_something(self, scope: Scope) -> bool:
        if scope.kind != "account":
            return False
        for table in (t for t in (*BOOKS, *REMOVED) if t in self.tables):
            async for page in pages(self.store, table):
                if any(scope.holds(table, doc) for doc in page):
                    return True
        return False

    async def _streams(self, scope: Scope, found: Erased, *, apply: bool) -> None:
        """Redact the commits; then fold the read models anew from what is left."""
        for cook_id in sorted(scope.cooks):
            commits = await self._redact(COOK_EVENTS, f"cook:{cook_id}", found, apply=apply)
            if commits and apply:
                await self.rebuilding.rewrite(cook_id, Findings())
        for cast_id in sorted(scope.casts):
            commits = await self._redact(CAST_EVENTS, f"cast:{cast_id}", found, apply=apply)
            if commits and apply:
                await self._refold(cast_id)

    async def _redact(self, table: str, stream: str, found: Erased, *, apply: bool) -> int:
        """Redact a stream; how many commits it has. Those done before are left as they are."""
        total = 0
        async for page in self._commits(table, stream):
            total += len(page)
            todo = [commit for commit in page if "erasedAt" not in commit]
            found.commits += len(todo)
            for commit in todo:
                found.name(commit)
                await self._name_documents(commit, found)
            if apply and todo:
                now = self.clock()
                ops = [Redact(table, erasure.redacted_commit(c, at=now), c["_v"]) for c in todo]
                await self.store.commit(ops)
        return total

    async def _commits(self, table: str, stream: str) -> AsyncIterator[list[Commit]]:
        after: list[Any] | None = None
        while True:
            where = {"stream": stream}
            page = await self.store.find(table, where, order=("seq",), limit=PAGE, after=after)
            if page:
                yield page
            if len(page) < PAGE:
                return
            after = [page[-1]["seq"], page[-1]["_id"]]

    async def _name_documents(self, commit: Commit, found: Erased) -> None:
        """What the plans and snapshots of a commit name: layers, pictures of options."""
        for event in commit["events"]:
            for name in DOCUMENT_FIELDS:
                digest = event["data"].get(name)
                if digest:
                    found.media |= references(await self._document(digest))[0]

    async def _document(self, digest: str) -> bytes:
        if self.sweeping is None:
            return b""
        try:
            content = await self.sweeping.blobs.get(digest)
        except NotFound:
            return b""
        return content if is_document(content) else b""

    async def _refold(self, cast_id: str) -> None:
        """Write the records of a stand-alone cast from its stream."""
        cast, seq = Cast(), 0
        async for page in self._commits(CAST_EVENTS, f"cast:{cast_id}"):
            for stored in page:
                commit = codec.upcast(codec.unpack(stored))
                seq = commit["seq"]
                for event in commit["events"]:
                    casts.evolve(cast, Event(event["type"], event["data"]), ts=commit["ts"])
        ops: list[Op] = [Put("casts", cast_document(cast, seq=seq), None)]
        for output in cast_outputs(cast, seq=seq):
            changes = {key: value for key, value in output.items() if key not in KEPT_OF_DELIVERY}
            ops.append(Patch("generationOutputs", output["_id"], changes))
        await self.store.commit(ops, atomic=False)

    async def _records(self, scope: Scope, found: Erased, *, apply: bool) -> None:
        """Redact what no stream stands behind, remove what is no book, leave tombstones."""
        for table in (t for t in (*BOOKS, *REMOVED) if t in self.tables):
            async for page in pages(self.store, table):
                mine = [doc for doc in page if scope.holds(table, doc)]
                found.count(table, len(mine))
                ops: list[Op] = []
                for doc in mine:
                    found.name(doc)
                    ops += _redaction(table, doc) if table in BOOKS else [Delete(table, doc["_id"])]
                await self._commit(ops, apply=apply)
        at = iso(self.clock())
        found.count("collections", len(scope.collections))
        stones = [erasure.collection_tombstone(doc, at=at) for doc in scope.collections]
        await self._commit([Put("collections", stone, None) for stone in stones], apply=apply)

    async def _plans(self, scope: Scope, found: Erased, *, apply: bool) -> None:
        """Forget where plans of the collections are kept, cooked or only looked at."""
        if self.sweeping is None or not scope.versions:
            return
        names = [version.encode() for version in scope.versions]
        async for page in pages(self.store, "plans"):
            mine = []
            for doc in page:
                content = await self._document(doc["blob"])
                if any(name in content for name in names):
                    mine.append(doc)
                    found.media |= {doc["blob"], *references(content)[0]}
            found.count("plans", len(mine))
            await self._commit([Delete("plans", doc["_id"]) for doc in mine], apply=apply)

    async def _media(self, found: Erased, *, apply: bool) -> None:
        """Take the blobs that only what was erased referred to; young ones are left to the clean-up."""
        if self.sweeping is None:
            return
        listed = self.sweeping.blobs.list()  # asking for their sizes would make them young
        sizes = {digest: size_bytes async for digest, size_bytes in listed if digest in found.media}
        if not apply:
            found.blobs, found.size_bytes = len(sizes), sum(sizes.values())
            return
        before = self.clock() - self.grace_ms
        marks = await self.sweeping.mark(touched_before_ms=before)
        for digest, size_bytes in sorted(sizes.items()):
            if await self.sweeping.take(marks, digest, touched_before_ms=before):
                found.blobs += 1
                found.size_bytes += size_bytes
            else:
                found.blobs_young += marks.is_unreferenced(digest)

    async def _commit(self, ops: list[Op], *, apply: bool) -> None:
        if apply and ops:
            await self.store.commit(ops, atomic=False)


KEPT_OF_DELIVERY = frozenset({
    "_id", "deliveryStatus", "deliveryTimestamp", "deliveryAttempts",
})  # fmt: skip


def _redaction(table: str, doc: Doc) -> list[Op]:
    """What erases one record of the books; those folded from a stream have been written by now."""
    if table == "exports" or doc.get("imported"):
        return [Put(table, erasure.redacted_record(table, doc), None)]
    if table == "generationOutputs" and doc["deliveryError"] is not None:
        changes: Mapping[str, Any] = {"deliveryError": None}
        return [Patch(table, doc["_id"], changes)]
    return []
