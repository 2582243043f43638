"""Collections as records: definitions whose media are in the blob store, and their plans."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from cauldron.domain.collection import Collection, parse_collection
from cauldron.domain.errors import NotFound
from cauldron.domain.hashing import content_hash
from cauldron.domain.plan import Plan
from cauldron.domain.planning import make_plan
from cauldron.domain.snapshot import Snapshot, generator_snapshot
from cauldron.domain.spell_graph import Tools
from cauldron.domain.times import iso
from cauldron.ports.blobs import BlobStore
from cauldron.ports.storage import Doc, Put, Store
from cauldron.ports.system import Clock, NewId
from cauldron.services.casting import Caller
from cauldron.services.media_access import MediaAccess
from cauldron.services.spells import Spellbook


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPlan:
    """A plan, and the digest of the blob that holds it."""

    plan: Plan
    blob: str


@dataclass(slots=True)
class Collecting:
    """Keeps collections and works out their plans and snapshots."""

    store: Store
    blobs: BlobStore
    tools: Tools
    spells: Spellbook
    clock: Clock
    new_id: NewId

    async def save(self, document: Mapping[str, Any], *, caller: Caller) -> Doc:
        """Store a loaded collection document; the same slug of the same owner is updated.

        Raises:
            InvalidMany: the document is not a valid collection.
        """
        collection = parse_collection(document)
        where = {"owner": caller.account, "slug": collection.slug}
        found = await self.store.find("collections", where, order=("owner", "slug"), limit=1)
        now = iso(self.clock())
        content = content_hash(collection.document())
        if found and found[0]["contentHash"] == content:
            return found[0]
        doc = {
            "_id": found[0]["_id"] if found else self.new_id(),
            "schemaVersion": 2,
            "slug": collection.slug,
            "name": collection.name,
            "owner": caller.account,
            "visibility": caller.visibility,
            "environment": caller.environment,
            "supply": collection.supply,
            "version": collection.version_hash,
            "contentHash": content,
            "definition": dict(document),
            "createdAt": found[0]["createdAt"] if found else now,
            "updatedAt": now,
        }
        await self.store.commit([Put("collections", doc, found[0]["_v"] if found else 0)])
        await MediaAccess(self.store).grant(document, caller=caller, at=now)
        return doc

    async def get(self, collection_id: str) -> Doc:
        """A collection's record. Raises NotFound."""
        [doc] = await self.store.get("collections", [collection_id])
        if doc is None:
            raise NotFound(f"there is no collection {collection_id}", collection=collection_id)
        return doc

    async def find(self, name: str, *, caller: Caller) -> Doc | None:
        """A collection of the caller by id or slug."""
        [doc] = await self.store.get("collections", [name])
        if doc is not None and doc["owner"] == caller.account:
            return doc
        where = {"owner": caller.account, "slug": name}
        found = await self.store.find("collections", where, order=("owner", "slug"), limit=1)
        return found[0] if found else None

    async def plan(self, collection: Collection, *, seed: str) -> StoredPlan:
        """The plan of a collection version and seed, computed once.

        Raises:
            Infeasible: the settings admit no plan.
        """
        key = content_hash([collection.version_hash, seed, collection.supply])
        [known] = await self.store.get("plans", [key])
        if known is not None:
            return StoredPlan(plan=Plan.from_bytes(await self.blobs.get(known["blob"])), blob=known["blob"])
        plan = await asyncio.to_thread(make_plan, collection, seed=seed)
        blob = await self.blobs.put(await asyncio.to_thread(plan.to_bytes))
        record = {"_id": key, "blob": blob, "planHash": plan.plan_hash, "createdAt": iso(self.clock())}
        await self.store.commit([Put("plans", record, None)])
        return StoredPlan(plan=plan, blob=blob)

    def book(self, caller: Caller) -> Spellbook:
        """The spells of the caller's account."""
        return replace(self.spells, owner=caller.account, actor=caller.actor, environment=caller.environment)

    async def snapshot(self, collection: Collection, *, caller: Caller | None = None) -> Snapshot:
        """The execution snapshot of the collection's generator: exact versions, checked.

        Raises:
            NotFound: the tool or spell does not exist. InvalidMany: its graph is broken.
        """
        book = self.book(caller) if caller is not None else self.spells
        generator = collection.generator
        if generator.kind == "tool" or isinstance(generator.ref, Mapping):
            return generator_snapshot(generator, self.tools)
        version = int(generator.version) if generator.version else None
        return await book.snapshot(str(generator.ref), version=version)
