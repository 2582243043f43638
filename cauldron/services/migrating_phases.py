"""The phases of a migration: executions first, so that their parents know what they cost and made."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from cauldron.domain.hashing import content_hash
from cauldron.domain.legacy.casts import cast_from_outputs, map_cast
from cauldron.domain.legacy.collections import changed_at, collection_id_of, map_collection
from cauldron.domain.legacy.cooks import RESTING, Known, cook_from_outputs, cook_records, map_cook, map_event
from cauldron.domain.legacy.early import cooking_entries, gallery_collection, paused_cook
from cauldron.domain.legacy.mapping import OUTPUTS, Mapped, SetAside, Setting
from cauldron.domain.legacy.tallies import new_cook
from cauldron.domain.legacy.values import Doc, first, id_of
from cauldron.ports.legacy import Part, Unreadable
from cauldron.services.migrating_blocks import Blocks, Entry, aside_entry, entry_of
from cauldron.services.migrating_parents import Parents
from cauldron.services.migrating_report import Report
from cauldron.services.migrating_survey import KEPT_RAW, KINDS, Survey
from cauldron.services.migrating_writing import Writer

PAUSED = RESTING["paused"]
SMALL = 64  # documents mapped between two looks at the notes
TOLD_EVERY = 5_000  # documents
NONE = Mapped([], [])
Tell = Callable[[int], object]


class Tallied(Protocol):
    """A mapper that is told what was counted of the parts."""

    def __call__(self, doc: Doc, *, tally: Doc | None) -> Mapped: ...


@dataclass(slots=True)
class Phases:
    """The phases of one run, in their order."""

    survey: Survey
    report: Report
    tell: Tell
    parents: Parents
    writer: Writer | None
    setting: Setting
    blocks: Blocks
    paused: list[tuple[Doc, int]] = field(default_factory=list)  # what was cooking, and how much it made

    async def _out(self, place: str, entry: Entry) -> None:
        """One document's records and remarks."""
        self.report.add(place, entry)
        if self.writer is not None:
            await self.writer.add(entry.mapped.records)
        if self.report.documents % TOLD_EVERY == 0:
            self.tell(self.report.documents)

    async def executions(self) -> None:
        """Generation outputs and studio pieces, settled in their order."""
        for kind in ("outputs", "studio"):
            for each in self.survey.of(kind):
                mapped = self.blocks.mapped(kind, each, self.survey.source.blocks(each))
                async for entries in mapped:
                    await self.parents.fetch(entries)
                    for entry in entries:
                        again = self.survey.again(kind, entry.doc_id)
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
        async for cast_id, tally in self.parents.leftovers("cast:"):
            await self._made("casts", cast_id, cast_from_outputs(cast_id, tally, self.setting))

    async def cooks(self) -> None:
        """What was cooking before 2025, cooks with documents, then those that only others name."""
        async for each, doc in self.survey.documents("global"):
            await self._global(each, doc)
        await self._with_tallies("cooks", "cook:", self._cook)
        async for cook_id, tally in self.parents.leftovers("cook:"):
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
        for each in self.survey.of(kind):
            async for block in self.survey.source.blocks(each):
                docs = list(self.survey.decode(block))
                for start in range(0, len(docs), SMALL):
                    some = docs[start : start + SMALL]
                    keys = [f"{prefix}{_id(doc)}" for doc in some]
                    tallies = await self.parents.notebook.take(keys)
                    for place, (key, doc) in enumerate(zip(keys, some, strict=True), block.first + start):
                        entry = self._tallied(each, doc, f"#{place}", partial(make, tally=tallies.get(key)))
                        await self._out(each.name, entry)

    def _tallied(self, each: Part, doc: Doc | Unreadable, place: str, make: Callable[[Doc], Mapped]) -> Entry:
        if not isinstance(doc, Unreadable) and self.survey.again(KINDS[each.collection], _id(doc)):
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
            cook = Known(
                cook_id=known["id"],
                owner=known["owner"],
                collection_id=known["collection"],
                state="Stopped",
                reason=PAUSED[0],
                detail=PAUSED[1],
                started_ms=known["at"],
                ended_ms=known["end"],
                target=known["target"],
            )
            records = cook_records(cook, tally or new_cook(), self.setting)
            records[0][1]["legacy"] = {"generationCount": known["made"]}
            self.paused.append((known, max(known["made"], (tally or new_cook())["made"])))
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
            for each in self.survey.of(kind):
                async for entries in self.blocks.mapped(kind, each, self.survey.source.blocks(each)):
                    for entry in entries:
                        again = self.survey.again(kind, entry.doc_id)
                        await self._out(each.name, _doubled(entry.doc_id) if again else entry)
        for kind in ("collections", "gallery"):
            for each in self.survey.of(kind):
                async for block in self.survey.source.blocks(each):
                    for place, doc in enumerate(self.survey.decode(block), block.first):
                        entry = entry_of(doc, f"#{place}", source=each.name, make=self._collection_of(each))
                        await self._out(each.name, entry)

    def _collection_of(self, each: Part) -> Callable[[Doc], Mapped]:
        def make(doc: Doc) -> Mapped:
            key = collection_id_of(doc)
            if KINDS[each.collection] == "gallery":
                doc = gallery_collection(doc)
                if key in self.survey.replaced or key in self.survey.winners:
                    raise SetAside(
                        "superseded", "it was migrated within the earlier system; that copy is kept"
                    )
            elif key is not None:
                changed, place = self.survey.winners.get(key, ("", ""))
                if (changed_at(doc), each.name) != (changed, place):
                    raise SetAside("superseded", "another copy of the same collection is newer")
            return map_collection(doc, self.setting, spells=self.survey.slugs)

        return make

    async def history(self) -> None:
        """Events as history, and what has no counterpart, kept as it was."""
        async for each, doc in self.survey.documents("events"):
            cook_id = self.parents.cook_of_event(doc)
            make = self._event_of(cook_id)
            await self._out(each.name, entry_of(doc, "#", source=each.name, make=make))
        for kind, (reason, detail) in KEPT_RAW.items():
            async for each, doc in self.survey.documents(kind):
                name = id_of(doc, "_id") or content_hash(doc)[:24]
                aside = SetAside(reason, detail)
                await self._out(each.name, aside_entry(doc, name, aside, source=each.name))

    def _event_of(self, cook_id: str | None) -> Callable[[Doc], Mapped]:
        return lambda doc: map_event(doc, self.setting, cook_id=cook_id)


def _id(doc: Doc | Unreadable) -> str:
    return "" if isinstance(doc, Unreadable) else id_of(doc, "_id") or ""


def _doubled(doc_id: str) -> Entry:
    return Entry(doc_id, "doubled", "another database has the same document", NONE)
