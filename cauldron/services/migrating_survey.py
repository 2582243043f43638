"""A first look at the earlier system's collections: what there is, and what others refer to."""

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from cauldron.domain.errors import Refused
from cauldron.domain.legacy.collections import changed_at, collection_id_of
from cauldron.domain.legacy.spells import spell_slug
from cauldron.domain.legacy.values import Doc, id_of, part, text_of
from cauldron.ports.legacy import Decode, LegacySource, Part, Unreadable
from cauldron.services.migrating_parents import Parents

KINDS: Mapping[str, str] = {
    "generationOutputs": "outputs",
    "studio": "studio",
    "casts": "casts",
    "spellCasts": "casts",
    "global_status": "global",
    "globalStatus": "global",
    "cooks": "cooks",
    "cookExecutions": "cooks",
    "spells": "spells",
    "collections": "collections",
    "cook_collections": "collections",
    "gallery": "gallery",
    "collectionExports": "exports",
    "collection_exports": "exports",
    "cook_events": "events",
    "cook_jobs": "jobs",
    "cook_status": "status",
    "collection_reviews": "reviews",
    "collectionReviews": "reviews",
    "tools": "tools",
    "spell_permissions": "permissions",
}
KEPT_RAW = {
    "jobs": ("never_run_again", "a row of the old queue: jobs are not run again"),
    "status": ("counted_anew", "counters were unreliable: they are counted from the executions"),
    "reviews": ("in_the_piece", "the decision is kept with the piece"),
    "tools": ("declared_elsewhere", "tools are declared in files here"),
    "permissions": ("no_counterpart", "licences of spells have no counterpart yet"),
}


@dataclass(slots=True)
class Survey:
    """What is known of the source as a whole."""

    source: LegacySource
    decode: Decode
    parts: dict[str, list[Part]] = field(default_factory=dict)  # kind -> collections
    not_read: list[dict[str, Any]] = field(default_factory=list)
    winners: dict[str, tuple[str, str]] = field(default_factory=dict)  # collection -> (changed, part)
    replaced: set[str] = field(default_factory=set)  # gallery numbers that were migrated before
    slugs: dict[str, str] = field(default_factory=dict)  # spell -> slug
    _seen: dict[str, set[str]] = field(default_factory=dict)  # kind -> ids, where parts may repeat one

    async def sort(self) -> None:
        """Find the collections and their kinds. Raises Refused when none is known."""
        for each in await self.source.parts():
            kind = KINDS.get(each.collection)
            if kind is None:
                reason = "not part of this migration: it stays where it is"
                self.not_read.append({"in": each.name, "bytes": each.size_bytes, "reason": reason})
            else:
                self.parts.setdefault(kind, []).append(each)
        if not self.parts:
            raise Refused("nothing of the earlier system is there: no collection has a name that is known")
        self._seen = {kind: set() for kind, found in self.parts.items() if len(found) > 1}

    def known(self) -> list[tuple[str, int]]:
        """(name, size) of every collection that is read, sorted: the identity of the source."""
        return sorted((each.name, each.size_bytes) for found in self.parts.values() for each in found)

    def of(self, kind: str) -> Iterator[Part]:
        """The collections of a kind."""
        yield from self.parts.get(kind, ())

    async def documents(self, kind: str) -> AsyncIterator[tuple[Part, Doc]]:
        """Every readable document of a kind."""
        for each in self.of(kind):
            async for block in self.source.blocks(each):
                for doc in self.decode(block):
                    if not isinstance(doc, Unreadable):
                        yield each, doc

    def again(self, kind: str, doc_id: str) -> bool:
        """Whether an earlier part had the same document; this one is remembered."""
        seen = self._seen.get(kind)
        if seen is None:
            return False
        if doc_id in seen:
            return True
        seen.add(doc_id)
        return False

    async def tool_names(self) -> dict[str, str]:
        """Display names of tools, by any id the source's own registry knows them by."""
        names: dict[str, str] = {}
        async for _, doc in self.documents("tools"):
            name = text_of(doc.get("displayName"), longest=200)
            if name:
                ids = (doc.get("toolId"), part(doc, "metadata").get("deploymentId"), doc.get("_id"))
                names |= {each: name for each in ids if isinstance(each, str)}
        return names

    async def look(self, parents: Parents) -> None:
        """Read what the rest refers to: spells, collections, and the queue and events of 2025."""
        async for _, doc in self.documents("spells"):
            spell_id = id_of(doc, "_id")
            if spell_id is not None:
                self.slugs[spell_id] = spell_slug(doc)
        for kind in ("collections", "gallery"):
            async for each, doc in self.documents(kind):
                self._note_collection(kind, each, doc)
        async for _, doc in self.documents("events"):
            parents.note_event(doc)
        for kind, note in (("jobs", parents.note_job), ("reviews", parents.note_review)):
            async for _, doc in self.documents(kind):
                note(doc)
                await parents.notebook.shed()

    def _note_collection(self, kind: str, each: Part, doc: Doc) -> None:
        key = collection_id_of(doc)
        older = id_of(part(doc, "metadata"), "legacyCollectionId")
        older = older or id_of(part(doc, "config"), "legacyCollectionId")
        if older is not None:
            self.replaced.add(older)
        changed = changed_at(doc)
        if key is not None and kind == "collections" and changed >= self.winners.get(key, ("", ""))[0]:
            self.winners[key] = (changed, each.name)
