"""Writing what a migration made: inserts only, in bulk, with a checkpoint to go on from."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from cauldron.domain.errors import CauldronError, Duplicate, Invalid, StaleVersion, Unavailable
from cauldron.domain.legacy.mapping import COLLECTIONS, EVENTS, SET_ASIDE, SPELLS
from cauldron.persistence import schema
from cauldron.persistence.schema import MIGRATIONS
from cauldron.ports.storage import Compare, Doc, Index, Insert, Patch, Put, Store, Table

TABLES: tuple[Table, ...] = (
    *schema.TABLES,
    Table(name=SET_ASIDE, indexes=(Index(fields=("reason",)), Index(fields=("legacyId",)))),
    Table(name=EVENTS, indexes=(Index(fields=("cookId", "at")), Index(fields=("collectionId", "at")))),
)
BATCH = 800  # operations per commit
IN_FLIGHT = 3
MOST_TOLD = 100  # refused records
CHECKPOINT = 10_000  # documents
NAMED = (COLLECTIONS, SPELLS)  # their slugs may be taken
Record = tuple[str, Doc]
Progress = Callable[[int, int], None]  # documents, records written


@dataclass(slots=True)
class Written:
    """What became of the records."""

    inserted: int = 0
    existed: int = 0
    corrected: int = 0
    refused_count: int = 0
    refused: list[dict[str, str]] = field(default_factory=list)  # the first of them

    def refuse(self, table: str, doc_id: str, reason: str) -> None:
        """A record that no store would keep."""
        self.refused_count += 1
        if len(self.refused) < MOST_TOLD:
            self.refused.append({"table": table, "id": doc_id, "reason": reason})


class Writer:
    """Takes the records of documents in their order; those before the checkpoint were written before."""

    def __init__(self, store: Store, checkpoint: Doc, *, careful: bool, every: int = CHECKPOINT) -> None:
        """``checkpoint`` is the migration's record, saved ``every`` so many documents.

        ``careful`` looks before it inserts.
        """
        self.store = store
        self.written = Written()
        self._checkpoint = checkpoint
        self._careful, self._every = careful, every
        self._skip = int(checkpoint["documents"])
        self._seen = self._saved = 0
        self._records: list[Record] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def add(self, records: Sequence[Record]) -> None:
        """The records of one document."""
        self._seen += 1
        if self._seen <= self._skip:
            return
        for record in records:
            if record[0] in NAMED:
                await self._insert_named(*record)
            else:
                self._records.append(record)
        if len(self._records) >= BATCH:
            await self._send()
        if self._seen - self._saved >= self._every:
            await self.save()

    async def correct(self, table: str, doc_id: str, field_name: str, value: float) -> None:
        """Set a field of an imported record that is not so yet."""
        guard = {"imported": True, field_name: Compare("!=", value)}
        outcome = (await self.store.commit([Patch(table, doc_id, {field_name: value}, guard)], atomic=False))[
            0
        ]
        if outcome is None:
            self.written.corrected += 1
        elif not isinstance(outcome, StaleVersion):
            raise outcome

    async def _send(self) -> None:
        while len(self._tasks) >= IN_FLIGHT:
            await self._settle(asyncio.FIRST_COMPLETED)
        records, self._records = self._records, []
        self._tasks.add(asyncio.create_task(self._insert(records)))

    async def _settle(self, when: str) -> None:
        if self._tasks:
            done, self._tasks = await asyncio.wait(self._tasks, return_when=when)
            for task in done:
                task.result()

    async def _insert(self, records: list[Record]) -> None:
        if self._careful:
            records = await self._absent(records)
        if not records:
            return
        try:
            outcomes = await self.store.commit([Insert(*record) for record in records], atomic=False)
        except Invalid:
            for record in records:
                await self._insert_alone(record)
            return
        for record, outcome in zip(records, outcomes, strict=True):
            self._count(record, outcome)

    async def _absent(self, records: list[Record]) -> list[Record]:
        by_table: dict[str, list[str]] = {}
        for table, doc in records:
            by_table.setdefault(table, []).append(doc["_id"])
        there: set[tuple[str, str]] = set()
        for table, ids in by_table.items():
            found = await self.store.get(table, ids)
            there |= {(table, doc["_id"]) for doc in found if doc is not None}
        self.written.existed += len(there)
        return [record for record in records if (record[0], record[1]["_id"]) not in there]

    async def _insert_alone(self, record: Record) -> None:
        """One record of a batch that holds something no store can keep."""
        try:
            outcome: Exception | None = (await self.store.commit([Insert(*record)], atomic=False))[0]
        except Unavailable:
            raise
        except CauldronError as refusal:
            outcome = refusal
        self._count(record, outcome)

    def _count(self, record: Record, outcome: Exception | None) -> None:
        if outcome is None:
            self.written.inserted += 1
        elif isinstance(outcome, Duplicate):
            self.written.existed += 1
        elif isinstance(outcome, CauldronError) and not isinstance(outcome, Unavailable):
            self.written.refuse(record[0], record[1]["_id"], outcome.message)
        else:
            raise outcome

    async def _insert_named(self, table: str, doc: Doc) -> None:
        """A record with a slug: when another has taken it, some of its id makes it one of its own."""
        if (await self.store.get(table, [doc["_id"]]))[0] is not None:
            self.written.existed += 1
            return
        short = doc["_id"].replace("-", "")
        for ending in ("", f"-{short[-6:]}", f"-{short}"):
            try:
                await self.store.commit([Insert(table, _with_slug(table, doc, doc["slug"][:60] + ending))])
            except Duplicate:
                continue
            self.written.inserted += 1
            return
        self.written.refuse(table, doc["_id"], "its slug is taken")

    async def save(self) -> None:
        """Wait until all is durable, then move the checkpoint."""
        if self._records:
            await self._send()
        await self._settle(asyncio.ALL_COMPLETED)
        self._saved = self._seen
        if self._seen > self._skip:
            self._checkpoint["documents"] = self._seen
            await self.store.commit([Put(MIGRATIONS, self._checkpoint)])

    async def finish(self, summary: dict[str, Any], *, now: str) -> None:
        """Everything is written: say so."""
        await self.save()
        self._checkpoint |= {"status": "done", "finishedAt": now, "summary": summary, "documents": self._seen}
        await self.store.commit([Put(MIGRATIONS, self._checkpoint)])


def _with_slug(table: str, doc: Doc, slug: str) -> Doc:
    if slug == doc["slug"]:
        return doc
    inner = "definition" if table == COLLECTIONS else "draft"
    return doc | {"slug": slug, inner: {**doc[inner], "slug": slug}}
