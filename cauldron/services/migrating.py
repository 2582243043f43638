"""Bringing the earlier system's records over: parents know their parts, and money is counted once.

Executions are read first, so that casts and cooks, read after them, know what they
cost and made. The order is always the same: a run that was killed maps again what
it had written, without writing it, and goes on from its checkpoint.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from cauldron.domain.errors import Refused
from cauldron.domain.hashing import content_hash
from cauldron.domain.legacy.casts import cast_from_outputs, map_cast
from cauldron.domain.legacy.collections import changed_at, collection_id_of, map_collection
from cauldron.domain.legacy.cooks import RESTING, cook_from_outputs, cook_records, map_cook, map_event
from cauldron.domain.legacy.early import cooking_entries, gallery_collection, paused_cook
from cauldron.domain.legacy.mapping import OUTPUTS, Mapped, SetAside, Setting
from cauldron.domain.legacy.spells import spell_slug
from cauldron.domain.legacy.tallies import new_cook
from cauldron.domain.legacy.values import Doc, first, id_of, part, text_of
from cauldron.domain.times import iso
from cauldron.persistence.schema import MIGRATIONS
from cauldron.ports.legacy import Decode, LegacySource, Part, Unreadable
from cauldron.ports.storage import Store
from cauldron.ports.system import Clock
from cauldron.services.migrating_blocks import Blocks, Entry, aside_entry, entry_of
from cauldron.services.migrating_notebook import Notebook
from cauldron.services.migrating_parents import Parents
from cauldron.services.migrating_report import Report
from cauldron.services.migrating_writing import Writer, Written

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
PAUSED = RESTING["paused"]
SMALL = 64  # documents mapped between two looks at the notes
Tell = Callable[[int], object]


class Tallied(Protocol):
    """A mapper that is told what was counted of the parts."""

    def __call__(self, doc: Doc, *, tally: Doc | None) -> Mapped: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """How to migrate. ``cutoff_ms`` None: deliveries are owed by nothing that is there now."""

    apply: bool = False
    cutoff_ms: int | None = None
    environment: str = "live"
    accounts: Mapping[str, str] = field(default_factory=dict)
    tools: Mapping[str, str] = field(default_factory=dict)
    processes: int = 0


@dataclass(slots=True)
class Migrating:
    """One migration, or its rehearsal."""

    source: LegacySource
    decode: Decode
    store: Store
    scratch: Store
    clock: Clock
    report: Report
    tell: Tell = lambda documents: None
    _parts: dict[str, list[Part]] = field(default_factory=dict)
    _winners: dict[str, tuple[str, str]] = field(default_factory=dict)  # collection -> (changed, part)
    _replaced: set[str] = field(default_factory=set)  # gallery numbers that were migrated before
    _slugs: dict[str, str] = field(default_factory=dict)  # spell -> slug
    _seen: dict[str, set[str]] = field(
        default_factory=dict
    )  # kind -> ids, where several parts may repeat one

    async def run(self, wanted: Wanted) -> dict[str, Any]:
        """Map everything; with ``apply`` write it.

        Returns:
            Counts per rule, samples, totals, and what was written.

        Raises:
            Refused: the source holds nothing of the earlier system.
            Unavailable, StorageFull: stopped half-way; the same call goes on.
        """
        parts = await self.source.parts()
        self._sort(parts)
        checkpoint, careful = await self._checkpoint(parts, wanted)
        setting = await self._setting(checkpoint, wanted)
        notebook = Notebook(self.scratch)
        parents = Parents(notebook, setting)
        await self._prelude(parents)
        writer = Writer(self.store, checkpoint, careful=careful) if wanted.apply else None
        blocks = Blocks(self.decode, setting, processes=wanted.processes, records=wanted.apply)
        sink = _Sink(self, parents, writer, setting, blocks)
        try:
            for phase in (sink.executions, sink.casts, sink.cooks, sink.definitions, sink.history):
                await phase()
        finally:
            blocks.close()
        self.report.cost_micro_usd = parents.cost_micro_usd
        summary = self.report.summary(list(self.source.faults))
        if writer is None:
            return {"applied": False, **summary}
        await writer.finish(_short(summary, writer.written), now=iso(self.clock()))
        return {"applied": True, "written": _written(writer.written), **summary}

    def _sort(self, parts: list[Part]) -> None:
        for each in parts:
            kind = KINDS.get(each.collection)
            if kind is None:
                reason = "not part of this migration: it stays where it is"
                self.report.not_read.append({"in": each.name, "bytes": each.size_bytes, "reason": reason})
            else:
                self._parts.setdefault(kind, []).append(each)
        if not self._parts:
            raise Refused("nothing of the earlier system is there: no collection has a name that is known")
        self._seen = {kind: set() for kind, found in self._parts.items() if len(found) > 1}

    async def _checkpoint(self, parts: list[Part], wanted: Wanted) -> tuple[Doc, bool]:
        """The migration's record, and whether some of it may have been written before."""
        known = sorted((each.name, each.size_bytes) for found in self._parts.values() for each in found)
        name = f"legacy:{content_hash([known, dict(wanted.accounts), dict(wanted.tools)])[:16]}"
        now = self.clock()
        fresh: Doc = {
            "_id": name,
            "schemaVersion": 2,
            "kind": "legacy",
            "status": "running",
            "documents": 0,
            "nowMs": now,
            "cutoffMs": now if wanted.cutoff_ms is None else wanted.cutoff_ms,
            "environment": wanted.environment,
            "parts": [each for each, _ in known],
            "startedAt": iso(now),
        }
        if not wanted.apply:
            return fresh, False
        [earlier] = await self.store.get(MIGRATIONS, [name])
        others = await self.store.find(MIGRATIONS, {}, limit=1)
        if earlier is None or earlier["status"] == "done":
            return fresh, bool(others)
        earlier.pop("_v")
        return earlier, True

    async def _setting(self, checkpoint: Doc, wanted: Wanted) -> Setting:
        """What the mappers are told; names of tools come from the source's own registry."""
        names: dict[str, str] = {}
        async for _, doc in self._documents("tools"):
            name = text_of(doc.get("displayName"), longest=200)
            if name:
                ids = (doc.get("toolId"), part(doc, "metadata").get("deploymentId"), doc.get("_id"))
                names |= {each: name for each in ids if isinstance(each, str)}
        return Setting(
            now_ms=checkpoint["nowMs"],
            cutoff_ms=checkpoint["cutoffMs"],
            environment=checkpoint["environment"],
            accounts=dict(wanted.accounts),
            tool_names=names,
            tool_ids=dict(wanted.tools),
        )

    async def _documents(self, kind: str) -> AsyncIterator[tuple[Part, Doc]]:
        """Every readable document of a kind."""
        for each in self._parts.get(kind, ()):
            async for block in self.source.blocks(each):
                for doc in self.decode(block):
                    if not isinstance(doc, Unreadable):
                        yield each, doc

    async def _prelude(self, parents: Parents) -> None:
        """A first look at what others refer to."""
        async for _, doc in self._documents("spells"):
            spell_id = id_of(doc, "_id")
            if spell_id is not None:
                self._slugs[spell_id] = spell_slug(doc)
        for kind in ("collections", "gallery"):
            async for each, doc in self._documents(kind):
                self._note_collection(kind, each, doc)
        async for _, doc in self._documents("events"):
            parents.note_event(doc)
        for kind, note in (("jobs", parents.note_job), ("reviews", parents.note_review)):
            async for _, doc in self._documents(kind):
                note(doc)
                await parents.notebook.shed()

    def _note_collection(self, kind: str, each: Part, doc: Doc) -> None:
        key = collection_id_of(doc)
        older = id_of(part(doc, "metadata"), "legacyCollectionId") or id_of(
            part(doc, "config"), "legacyCollectionId"
        )
        if older is not None:
            self._replaced.add(older)
        changed = changed_at(doc)
        if key is not None and kind == "collections" and changed >= self._winners.get(key, ("", ""))[0]:
            self._winners[key] = (changed, each.name)


@dataclass(slots=True)
class _Sink:
    """The phases of one run, in their order."""

    run: Migrating
    parents: Parents
    writer: Writer | None
    setting: Setting
    blocks: Blocks

    async def _out(self, place: str, entry: Entry) -> None:
        """One document's records and remarks."""
        self.run.report.add(place, entry)
        if self.writer is not None:
            await self.writer.add(entry.mapped.records)
        if self.run.report.documents % 5_000 == 0:
            self.run.tell(self.run.report.documents)

    def _again(self, kind: str, doc_id: str) -> bool:
        """Whether an earlier part had the same document."""
        seen = self.run._seen.get(kind)
        if seen is None:
            return False
        if doc_id in seen:
            return True
        seen.add(doc_id)
        return False

    async def executions(self) -> None:
        """Generation outputs and studio pieces, settled in their order."""
        for kind in ("outputs", "studio"):
            for each in self.run._parts.get(kind, ()):
                mapped = self.blocks.mapped(kind, each, self.run.source.blocks(each))
                async for entries in mapped:
                    await self.parents.fetch(entries)
                    for entry in entries:
                        again = self._again(kind, entry.doc_id)
                        settled = _doubled(entry.doc_id) if again else await self.parents.settle(entry)
                        await self._out(each.name, settled)
                    await self.parents.notebook.shed()
        await self._correct()

    async def _correct(self) -> None:
        if self.writer is not None and self.parents.corrections:
            await self.writer.save()
            for final, micro_usd in sorted(self.parents.corrections.items()):
                await self.writer.correct(OUTPUTS, final, "costUsd", micro_usd / 1_000_000)

    async def casts(self) -> None:
        """Casts with documents, then those that only executions name."""
        await self._with_tallies("casts", "cast:", self._cast)
        for cast_id, tally in await self.parents.leftovers("cast:"):
            await self._made("casts", cast_id, cast_from_outputs(cast_id, tally, self.setting))

    async def cooks(self) -> None:
        """What was cooking before 2025, cooks with documents, then those that only others name."""
        async for each, doc in self.run._documents("global"):
            await self._global(each, doc)
        await self._with_tallies("cooks", "cook:", self._cook)
        for cook_id, tally in await self.parents.leftovers("cook:"):
            run = self.parents.run_by_id.pop(cook_id, None)
            await self._made("cooks", cook_id, cook_from_outputs(cook_id, tally, self.setting, ends=run))
        for cook_id, run in sorted(self.parents.run_by_id.items()):
            mapped = cook_from_outputs(cook_id, new_cook(), self.setting, ends=run)
            await self._made("cooks", cook_id, mapped)

    def _cast(self, doc: Doc, *, tally: Doc | None) -> Mapped:
        return map_cast(doc, tally, self.setting)

    def _cook(self, doc: Doc, *, tally: Doc | None) -> Mapped:
        owner = self.setting.owner(first(doc, "initiatorAccountId", "userId"))
        self.parents.run_by_id.pop(id_of(doc, "_id", "cookId") or "", None)
        return map_cook(doc, tally, self.setting, before=self.parents.continued(doc, owner))

    async def _with_tallies(self, kind: str, prefix: str, make: Tallied) -> None:
        """Documents that are mapped with what was counted of their parts."""
        for each in self.run._parts.get(kind, ()):
            async for block in self.run.source.blocks(each):
                docs = list(self.run.decode(block))
                for start in range(0, len(docs), SMALL):
                    some = docs[start : start + SMALL]
                    keys = [f"{prefix}{_id(doc)}" for doc in some]
                    tallies = await self.parents.notebook.take(keys)
                    for place, (key, doc) in enumerate(zip(keys, some, strict=True), block.first + start):
                        entry = self._tallied(each, doc, f"#{place}", partial(make, tally=tallies.get(key)))
                        await self._out(each.name, entry)

    def _tallied(self, each: Part, doc: Doc | Unreadable, place: str, make: Callable[[Doc], Mapped]) -> Entry:
        if not isinstance(doc, Unreadable) and self._again(KINDS[each.collection], _id(doc)):
            return _doubled(_id(doc))
        return entry_of(doc, place, source=each.name, make=make)

    async def _made(self, place: str, doc_id: str, mapped: Mapped) -> None:
        """A record that no document stands for."""
        await self._out(f"({place} made)", Entry(doc_id, "mapped", "", mapped))

    async def _global(self, each: Part, doc: Doc) -> None:
        """The one status row of before 2025: every cook in it ends up paused, none goes on by itself."""
        for number, entry in enumerate(cooking_entries(doc)):
            place = f"{id_of(doc, '_id') or 'global'}/{number}"
            try:
                known = paused_cook(entry, self.setting)
            except SetAside as unusable:
                await self._out(each.name, aside_entry(entry, place, unusable, source=each.name))
                continue
            tally = (await self.parents.notebook.take([f"cook:{known['id']}"])).get(f"cook:{known['id']}")
            records = cook_records(
                known["id"],
                self.setting,
                owner=known["owner"],
                collection_id=known["collection"],
                state="Stopped",
                reason=PAUSED[0],
                detail=PAUSED[1],
                started_ms=known["at"],
                ended_ms=known["end"],
                tally=tally or new_cook(),
                target=known["target"],
            )
            records[0][1]["legacy"] = {"generationCount": known["made"]}
            await self._out(each.name, Entry(place, "mapped", "", Mapped(records, ["cook.paused"])))
        rest = {key: value for key, value in doc.items() if key != "cooking"}
        if len(rest) > 1:
            aside = SetAside("no_counterpart", "trainings and purchases of the old status row")
            await self._out(
                each.name, aside_entry(rest, id_of(doc, "_id") or "global", aside, source=each.name)
            )

    async def definitions(self) -> None:
        """Spells, collections (the newest copy of each), galleries, exports."""
        for kind in ("spells", "exports"):
            for each in self.run._parts.get(kind, ()):
                async for entries in self.blocks.mapped(kind, each, self.run.source.blocks(each)):
                    for entry in entries:
                        again = self._again(kind, entry.doc_id)
                        await self._out(each.name, _doubled(entry.doc_id) if again else entry)
        for kind in ("collections", "gallery"):
            for each in self.run._parts.get(kind, ()):
                async for block in self.run.source.blocks(each):
                    for place, doc in enumerate(self.run.decode(block), block.first):
                        entry = entry_of(doc, f"#{place}", source=each.name, make=self._collection_of(each))
                        await self._out(each.name, entry)

    def _collection_of(self, each: Part) -> Callable[[Doc], Mapped]:
        def make(doc: Doc) -> Mapped:
            key = collection_id_of(doc)
            if KINDS[each.collection] == "gallery":
                doc = gallery_collection(doc)
                if key in self.run._replaced or key in self.run._winners:
                    raise SetAside(
                        "superseded", "it was migrated within the earlier system; that copy is kept"
                    )
            elif key is not None:
                changed, place = self.run._winners.get(key, ("", ""))
                if (changed_at(doc), each.name) != (changed, place):
                    raise SetAside("superseded", "another copy of the same collection is newer")
            return map_collection(doc, self.setting, spells=self.run._slugs)

        return make

    async def history(self) -> None:
        """Events as history, and what has no counterpart, kept as it was."""
        async for each, doc in self.run._documents("events"):
            cook_id = self.parents.cook_of_event(doc)
            make = self._event_of(cook_id)
            await self._out(each.name, entry_of(doc, "#", source=each.name, make=make))
        for kind, (reason, detail) in KEPT_RAW.items():
            async for each, doc in self.run._documents(kind):
                name = id_of(doc, "_id") or content_hash(doc)[:24]
                aside = SetAside(reason, detail)
                await self._out(each.name, aside_entry(doc, name, aside, source=each.name))

    def _event_of(self, cook_id: str | None) -> Callable[[Doc], Mapped]:
        return lambda doc: map_event(doc, self.setting, cook_id=cook_id)


NONE = Mapped([], [])


def _id(doc: Doc | Unreadable) -> str:
    return "" if isinstance(doc, Unreadable) else id_of(doc, "_id") or ""


def _doubled(doc_id: str) -> Entry:
    return Entry(doc_id, "doubled", "another database has the same document", NONE)


def _written(written: Written) -> dict[str, Any]:
    return {
        "inserted": written.inserted,
        "existed": written.existed,
        "corrected": written.corrected,
        "refused": written.refused[:100],
        "refusedCount": len(written.refused),
    }


def _short(summary: dict[str, Any], written: Written) -> dict[str, Any]:
    """What stays in the migration's record."""
    kept = ("documents", "records", "setAside", "totals")
    return {key: summary[key] for key in kept} | {"written": _written(written)}
