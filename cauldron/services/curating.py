"""Collections of an account as people edit them: made, changed, cloned, taken away."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cauldron.domain.collection import Collection, media_paths, parse_collection
from cauldron.domain.errors import Duplicate, InvalidMany, Problem, Refused, StaleVersion
from cauldron.domain.hashing import content_hash
from cauldron.domain.media import digest_of, is_media
from cauldron.domain.times import iso
from cauldron.ports.storage import Delete, Doc, Insert, Patch
from cauldron.services.casting import Caller
from cauldron.services.cooking import Cooking
from cauldron.services.media_access import MediaAccess
from cauldron.services.owned import owned
from cauldron.services.pages import Listing, Page

TABLE = "collections"
MAX_PROBLEMS = 100
CLONES = 50  # names tried


@dataclass(slots=True)
class Curating:
    """Keeps the collections of one store; each call is for one caller's account."""

    cooking: Cooking

    async def get(self, collection_id: str, *, caller: Caller) -> Doc:
        """A collection of the caller. Raises NotFound."""
        return await owned(self.cooking.store, TABLE, collection_id, caller=caller, noun="collection")

    async def page(self, *, caller: Caller, limit: int, after: Sequence[Any] | None = None) -> Page:
        """The caller's collections, latest change first."""
        listing = Listing(
            table=TABLE,
            where={"owner": caller.account},
            order=("owner", "-updatedAt"),
            admits=lambda doc: bool(doc["environment"] == caller.environment),
        )
        return await listing.page(self.cooking.store, limit=limit, after=after)

    async def check(
        self, document: Mapping[str, Any], *, caller: Caller, before: Mapping[str, Any] | None = None
    ) -> Collection:
        """The collection that a document describes, its media stored and the caller's to use.

        Args:
            before: an earlier definition of the caller's; its media may be used again.

        Raises:
            InvalidMany: everything that is wrong with it.
        """
        collection = parse_collection(document)
        problems = [
            Problem(path=path, code="not_stored", message="names a file: upload it, and refer to the upload")
            for path, _ in media_paths(document)
        ]
        problems += await self._missing(document)
        access = MediaAccess(self.cooking.store)
        if before is not None:
            await access.grant(before, caller=caller, at=iso(self.cooking.collecting.clock()))
        try:
            await access.check(document, caller=caller, path="definition")
        except InvalidMany as foreign:
            problems += [] if problems else foreign.problems
        if problems:
            raise InvalidMany(problems[:MAX_PROBLEMS])
        return collection

    async def _missing(self, document: Mapping[str, Any]) -> list[Problem]:
        digests = dict(_media(document, "definition"))
        known: dict[str, bool] = {}
        problems = []
        for path, digest in digests.items():
            if digest not in known:
                known[digest] = await self.cooking.blobs.size(digest) is not None
            if not known[digest]:
                problems.append(Problem(path=path, code="media_missing", message="no such upload"))
        return problems

    async def create(
        self,
        document: Mapping[str, Any],
        *,
        caller: Caller,
        new_id: str,
        before: Mapping[str, Any] | None = None,
    ) -> Doc:
        """Keep a new collection; the same ``new_id`` again answers with what it made.

        Raises:
            InvalidMany: it is not valid. Duplicate: the account has one with its slug.
        """
        collection = await self.check(document, caller=caller, before=before)
        now = iso(self.cooking.collecting.clock())
        doc = _content(document, collection, now=now) | {
            "_id": new_id,
            "schemaVersion": 2,
            "owner": caller.account,
            "visibility": caller.visibility,
            "environment": caller.environment,
            "actor": caller.actor,
            "createdAt": now,
        }
        try:
            await self.cooking.store.commit([Insert(TABLE, doc)])
        except Duplicate:
            [found] = await self.cooking.store.get(TABLE, [new_id])
            if found is not None and found["owner"] == caller.account:
                return found
            slug = collection.slug
            raise Duplicate(f"another collection has the slug {slug!r}", slug=slug) from None
        return doc | {"_v": 1}

    async def replace(
        self, collection_id: str, document: Mapping[str, Any], *, version: int, caller: Caller
    ) -> Doc:
        """Change a collection that is at ``version``; cooks that run keep what they started with.

        Raises:
            NotFound: there is none. InvalidMany: it is not valid.
            StaleVersion: it has changed since. Duplicate: another one has its slug.
        """
        found = await self.get(collection_id, caller=caller)
        collection = await self.check(document, caller=caller, before=found["definition"])
        if found["_v"] != version:
            raise StaleVersion("the collection was changed meanwhile", version=found["_v"])
        changes = _content(document, collection, now=iso(self.cooking.collecting.clock()))
        changes["actor"] = caller.actor
        guard = {"updatedAt": found["updatedAt"], "contentHash": found["contentHash"]}
        try:
            await self.cooking.store.commit([Patch(TABLE, collection_id, changes, guard)])
        except Duplicate:
            slug = collection.slug
            raise Duplicate(f"another collection has the slug {slug!r}", slug=slug) from None
        return await self.get(collection_id, caller=caller)

    async def remove(self, collection_id: str, *, caller: Caller, version: int | None = None) -> None:
        """Take a collection away; its cooks and pieces stay.

        Raises:
            NotFound: there is none. StaleVersion: it is not at ``version``.
            Refused: a cook of it is active.
        """
        found = await self.get(collection_id, caller=caller)
        if version is not None and found["_v"] != version:
            raise StaleVersion("the collection was changed meanwhile", version=found["_v"])
        active = await self.cooking.active(collection_id)
        if active:
            raise Refused(f"cook {active} of this collection is active: stop it first", active=active)
        guard = {"updatedAt": found["updatedAt"]}
        await self.cooking.store.commit([Delete(TABLE, collection_id, guard)])

    async def clone(self, collection_id: str, *, caller: Caller, new_id: str, name: str | None = None) -> Doc:
        """Another collection with the same definition, under a name that is free.

        Raises:
            NotFound: there is none. InvalidMany: the name is not valid.
        """
        found = await self.get(collection_id, caller=caller)
        base = name or f"{found['name'][:70]} copy"
        for number in range(1, CLONES):
            title = base if number == 1 else f"{base[:75]} {number}"
            definition = {key: value for key, value in found["definition"].items() if key != "slug"}
            try:
                return await self.create(
                    definition | {"name": title}, caller=caller, new_id=new_id, before=found["definition"]
                )
            except Duplicate:
                continue
        raise Refused(f"too many collections are named like {base!r}")


def _content(document: Mapping[str, Any], collection: Collection, *, now: str) -> dict[str, Any]:
    return {
        "slug": collection.slug,
        "name": collection.name,
        "supply": collection.supply,
        "version": collection.version_hash,
        "contentHash": content_hash(collection.document()),
        "definition": dict(document),
        "updatedAt": now,
    }


def _media(value: Any, path: str) -> list[tuple[str, str]]:
    """Every stored medium of a document: where, and its digest."""
    if is_media(value):
        return [(path, digest_of(value))]
    if isinstance(value, Mapping):
        return [found for key, item in value.items() for found in _media(item, f"{path}.{key}")]
    if isinstance(value, list):
        return [found for i, item in enumerate(value) for found in _media(item, f"{path}[{i}]")]
    return []
