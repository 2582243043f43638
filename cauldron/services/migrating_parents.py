"""Linking executions to their casts and cooks, and counting what they cost once."""

from collections.abc import AsyncIterator
from typing import Any

from cauldron.domain.legacy.cooks import fold_run, run_at
from cauldron.domain.legacy.mapping import OUTPUTS, PIECES, Facts, Mapped, Setting
from cauldron.domain.legacy.statuses import OUTCOME, word
from cauldron.domain.legacy.tallies import (
    Own,
    Tally,
    cast_cost,
    count_in_cast,
    count_in_cook,
    new_cast,
    new_cook,
)
from cauldron.domain.legacy.values import Doc, id_of, id_text, ms_of, whole_of
from cauldron.services.migrating_blocks import Entry
from cauldron.services.migrating_notebook import Notebook

Run = dict[str, Any]


class Parents:
    """What is known of casts and cooks while their executions pass."""

    def __init__(self, notebook: Notebook, setting: Setting) -> None:
        self.notebook = notebook
        self.cost_micro_usd = 0
        self.corrections: dict[str, int] = {}  # final -> its own cost, where a step came after it
        self._setting = setting
        self._runs: dict[tuple[str, str], list[Run]] = {}  # of 2025: (collection, user) -> cooks
        self.run_by_id: dict[str, Run] = {}
        self._before: dict[tuple[str, str], dict[str, Any]] = {}  # (collection, owner) -> its last cook
        self._reviews = False

    def note_event(self, doc: Doc) -> None:
        """An event of 2025, in the order of its instants per collection and user."""
        key = (id_of(doc, "collectionId") or "", id_text(doc.get("userId")) or "")
        runs = self._runs.setdefault(key, [])
        fold_run(runs, doc, self._setting)
        if runs:
            self.run_by_id[runs[-1]["id"]] = runs[-1]

    def note_job(self, doc: Doc) -> None:
        """A row of the queue of 2025: executions name it, it names collection, user and place."""
        job_id = id_of(doc, "_id")
        if job_id is not None:
            place = whole_of(doc.get("pieceIndex"))
            note = {"c": id_of(doc, "collectionId"), "u": id_text(doc.get("userId")), "i": place}
            self.notebook.put(f"job:{job_id}", note)

    def note_review(self, doc: Doc) -> None:
        """A decision of the review queue, for executions that do not say it themselves."""
        output_id, state = id_of(doc, "generationId"), OUTCOME.get(word(doc.get("status")))
        if output_id is not None and state not in (None, "generated"):
            self._reviews = True
            note = self.notebook.get(f"review:{output_id}") or {}
            self.notebook.put(
                f"review:{output_id}", note | {"cull" if doc.get("mode") == "cull" else "review": state}
            )

    def cook_of_event(self, doc: Doc) -> str | None:
        """The cook that an event of 2025 belongs to."""
        key = (id_of(doc, "collectionId") or "", id_text(doc.get("userId")) or "")
        return run_at(self._runs.get(key, []), ms_of(doc.get("ts")) or 0)

    async def fetch(self, entries: list[Entry]) -> None:
        """Make ready what :meth:`settle` looks at."""
        keys: list[str] = []
        for entry in entries:
            facts = entry.mapped.facts
            if facts is None:
                continue
            if facts.cast_id:
                keys.append(f"cast:{facts.cast_id}")
            if facts.job_id:
                keys.append(f"job:{facts.job_id}")
            if facts.cook_id:
                keys.append(f"cook:{facts.cook_id}")
            if self._reviews:
                keys.append(f"review:{entry.doc_id}")
        await self.notebook.fetch(keys)

    async def settle(self, entry: Entry) -> Entry:
        """An execution with its links, its own cost, and its piece's number; counted in its parents."""
        mapped = entry.mapped
        if mapped.facts is None:
            return entry
        facts, notes = await self._linked(mapped.facts, mapped.notes, entry.doc_id)
        own = self._in_cast(facts, entry.doc_id)
        self.cost_micro_usd += own
        number = await self._in_cook(facts, entry.doc_id, own)
        records = _settled(mapped, facts, own=own, number=number, cost=self._piece_cost(facts, own))
        if facts.state and not number:
            notes.append("link.cook_unknown")
        if own != (facts.micro_usd or 0):
            notes.append("cost.counted_once")
        return entry._replace(mapped=Mapped(records, notes, facts))

    async def _linked(self, facts: Facts, notes: list[str], doc_id: str) -> tuple[Facts, list[str]]:
        """Facts with the cook that only the queue or the events of 2025 knew, and the queue's decision."""
        if self._reviews and facts.state == "generated":
            note = self.notebook.get(f"review:{doc_id}") or {}
            state = str(note.get("review", facts.state))
            state = str(note.get("cull", state)) if state == "approved" else state
            if state != facts.state:
                notes = [*notes, "review.from_queue"]
                facts = facts._replace(state=state)
        if facts.cook_id is not None or not (facts.state or facts.job_id):
            return facts, notes
        row = self.notebook.get(f"job:{facts.job_id}") or {}
        collection, user = row.get("c") or facts.collection_id, row.get("u") or facts.owner
        cook_id = run_at(self._runs.get((collection or "", user), []), facts.at_ms)
        if cook_id is None:
            return facts, notes
        await self.notebook.fetch([f"cook:{cook_id}"])
        place = row.get("i") if facts.place is None else facts.place
        linked = facts._replace(cook_id=cook_id, collection_id=collection, place=place)
        return linked, [*notes, "link.cook_from_queue" if row else "link.cook_from_events"]

    def _in_cast(self, facts: Facts, doc_id: str) -> int:
        if not facts.cast_id:
            return facts.micro_usd or 0
        key = f"cast:{facts.cast_id}"
        tally = self.notebook.get(key)
        if tally is None:
            tally = new_cast()
            self.notebook.put(key, tally)
        before = cast_cost(tally)
        own: Own = count_in_cast(tally, facts, output_id=doc_id)
        if own.correction is not None:
            self.corrections[own.correction[0]] = own.correction[1]
            self.cost_micro_usd += cast_cost(tally) - before - own.micro_usd  # what the final has lost or won
        return own.micro_usd

    def _piece_cost(self, facts: Facts, own: int) -> int:
        """What a piece cost: all of its cast, where a cast made it."""
        tally = self.notebook.get(f"cast:{facts.cast_id}") if facts.cast_id else None
        return own if tally is None else cast_cost(tally)

    async def _in_cook(self, facts: Facts, doc_id: str, own: int) -> int:
        if not facts.cook_id:
            return 0
        key = f"cook:{facts.cook_id}"
        tally = self.notebook.get(key)
        if tally is None:
            tally = new_cook()
            self.notebook.put(key, tally)
        return count_in_cook(tally, facts, output_id=doc_id, own_micro_usd=own)

    def continued(self, doc: Doc, owner: str) -> dict[str, Any] | None:
        """The cook that this one went on with: the last of collection and owner, had it not ended."""
        cook_id = id_of(doc, "_id", "cookId") or ""
        key = (id_of(doc, "collectionId") or "", owner)
        before = self._before.get(key)
        open_before = before is not None and before["open"]
        run = before["run"] if before is not None and open_before else cook_id
        still_open = word(doc.get("status")) in ("", "running", "paused", "cooking", "active")
        self._before[key] = {"id": cook_id, "run": run, "open": still_open}
        return before if open_before else None

    async def leftovers(self, prefix: str) -> AsyncIterator[tuple[str, Tally]]:
        """Parents without a document of their own, by id."""
        async for key, note in self.notebook.rest(prefix):
            yield key.removeprefix(prefix), note


def _settled(mapped: Mapped, facts: Facts, *, own: int, number: int, cost: int) -> list[tuple[str, Doc]]:
    records = []
    for table, doc in mapped.records:
        if len(doc) <= 2:  # only outlined
            if table != PIECES or number:
                records.append((table, doc if table != PIECES else {**doc, "status": facts.state}))
        elif table == OUTPUTS:
            piece = f"piece-{doc['_id']}" if number else None
            changes = {"costUsd": own / 1_000_000, "cookId": facts.cook_id, "pieceId": piece}
            doc.update(changes, collectionId=doc["collectionId"] or facts.collection_id)
            records.append((table, doc))
        elif number:
            place = number - 1 if facts.place is None else facts.place
            doc.update(
                cookId=facts.cook_id, number=number, slot=place, state=facts.state, costUsd=cost / 1_000_000
            )
            doc["collectionId"] = doc["collectionId"] or facts.collection_id
            records.append((table, doc))
    return records
