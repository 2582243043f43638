"""Rebuilding read models from the event log, and checking them against it."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cauldron.domain import status
from cauldron.domain.cook_state import Cook, fold_commits
from cauldron.domain.generation import DELIVERED
from cauldron.persistence.streams import Commit, Streams
from cauldron.ports.storage import Delete, Doc, Insert, Op, Patch, Put, Store
from cauldron.services.projecting import Projector, stream_of

CHECKED = 500  # documents compared at a time
MOST_FINDINGS = 100
COUNTED = (("pieces", ("cookId", "number")), ("generationOutputs", ("cookId",)))  # with their orders


@dataclass(slots=True)
class Findings:
    """What a rebuild found or did."""

    cooks: int = 0
    documents: int = 0  # compared or written
    differing: int = 0
    examples: list[dict[str, str]] = field(default_factory=list)

    def note(self, table: str, doc_id: str, reason: str) -> None:
        """One document that is not what the log says."""
        self.differing += 1
        if len(self.examples) < MOST_FINDINGS:
            self.examples.append({"table": table, "id": doc_id, "reason": reason})


@dataclass(slots=True)
class Rebuilding:
    """Folds whole streams again; the same functions as the live projections."""

    store: Store
    streams: Streams
    projector: Projector

    async def check(self, cook_id: str, findings: Findings) -> None:
        """Compare every stored read model of a cook with a fresh fold of its stream.

        A cook may go on meanwhile: it is compared as of the commit it was projected up to.
        """
        if await self._imported(cook_id):
            return
        upto = (await self.projector.catch_up(cook_id)).seq
        known: dict[str, set[str]] = {table: set() for table, _ in COUNTED}
        async for docs in self._documents(cook_id, upto=upto):
            for table, doc in docs:
                if table in known:
                    known[table].add(doc["_id"])
            await self._compare(docs, findings, upto=upto)
        async for table, doc in self._extra(cook_id, known, upto=upto):
            findings.note(table, doc["_id"], "is not in the log")
        findings.cooks += 1

    async def rewrite(self, cook_id: str, findings: Findings) -> None:
        """Replace every read model of a cook by a fresh fold of its stream."""
        if await self._imported(cook_id):
            return
        upto = (await self.projector.catch_up(cook_id)).seq
        known: dict[str, set[str]] = {table: set() for table, _ in COUNTED}
        async with _Writing(self.store) as writing:
            async for docs in self._documents(cook_id, upto=upto):
                for table, doc in docs:
                    if table in known:
                        known[table].add(doc["_id"])
                await writing.add([op for table, doc in docs for op in _replacing(table, doc)])
                findings.documents += len(docs)
        async for table, doc in self._extra(cook_id, known, upto=upto):
            await self.store.commit([Delete(table, doc["_id"], {"seq": doc["seq"]})], atomic=False)
        await self.projector.catch_up(cook_id)
        findings.cooks += 1

    async def _imported(self, cook_id: str) -> bool:
        """Whether a cook came from an earlier system: no stream stands behind its records."""
        [record] = await self.store.get("cooks", [cook_id])
        return record is not None and record.get("imported") is True

    async def _extra(
        self, cook_id: str, known: Mapping[str, set[str]], *, upto: int
    ) -> AsyncIterator[tuple[str, Doc]]:
        """Documents that no event of the stream accounts for."""
        for table, order in COUNTED:
            after: tuple[Any, ...] | None = None
            while True:
                where = {"cookId": cook_id}
                page = await self.store.find(table, where, order=order, limit=CHECKED, after=after)
                for doc in page:
                    if doc["_id"] not in known[table] and doc["seq"] <= upto:
                        yield table, doc
                if len(page) < CHECKED:
                    break
                after = (*(page[-1][field] for field in order), page[-1]["_id"])

    async def _documents(self, cook_id: str, *, upto: int) -> AsyncIterator[list[tuple[str, Doc]]]:
        """Pages of (table, document) as the log has them up to a ``seq``; the counters come last."""
        stream = stream_of(cook_id)
        cook = Cook()
        reviews: dict[int, dict[str, Any]] = {}
        async for page in self._until(stream, upto, whole=False):
            fold_commits(cook, page)
            _note_reviews(page, reviews)
        first: list[str] = []
        async for page in self._until(stream, upto, whole=True):
            for commit in page:
                traits = await self.projector.selections(cook, commit)
                found = [
                    (op.table, _reviewed(op.table, op.doc, reviews))
                    for op in self.projector.documents(cook, commit, traits, first_outputs=first)
                ]
                if found:
                    yield found
        yield [
            ("cooks", status.cook_document(cook, seq=upto, first_outputs=first)),
            ("cook_status", status.status_document(cook, seq=upto)),
        ]

    async def _until(self, stream: str, upto: int, *, whole: bool) -> AsyncIterator[list[Commit]]:
        async for page in self.streams.read(stream, whole=whole):
            yield [commit for commit in page if commit["seq"] <= upto]
            if page[-1]["seq"] >= upto:
                return

    async def _compare(self, docs: list[tuple[str, Doc]], findings: Findings, *, upto: int) -> None:
        by_table: dict[str, list[Doc]] = {}
        for table, doc in docs:
            by_table.setdefault(table, []).append(doc)
        for table, wanted in by_table.items():
            for start in range(0, len(wanted), CHECKED):
                part = wanted[start : start + CHECKED]
                stored = await self.store.get(table, [doc["_id"] for doc in part])
                for doc, there in zip(part, stored, strict=True):
                    if there is None or there["seq"] <= upto:  # else it has changed since
                        _judge(table, doc, there, findings)
        findings.documents += len(docs)


class _Writing:
    """Writes in pages, while the next page is being made."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._ops: list[Op] = []
        self._under_way: asyncio.Task[object] | None = None

    async def __aenter__(self) -> "_Writing":
        return self

    async def __aexit__(self, *failure: object) -> None:
        try:
            if failure[0] is None:
                await self._write()
        finally:
            under_way, self._under_way = self._under_way, None
            if under_way is not None:
                await under_way

    async def add(self, ops: Sequence[Op]) -> None:
        """Write these when they fill a page; raises what an earlier page ran into."""
        self._ops += ops
        if len(self._ops) >= CHECKED:
            await self._write()

    async def _write(self) -> None:
        if self._under_way is not None:
            await self._under_way
        ops, self._ops = self._ops, []
        self._under_way = asyncio.create_task(self._store.commit(ops, atomic=False))


def _judge(table: str, wanted: Doc, there: Doc | None, findings: Findings) -> None:
    if there is None:
        findings.note(table, wanted["_id"], "missing")
        return
    different = sorted(k for k in wanted if there.get(k) != wanted[k] and k not in DELIVERED)
    if different:
        findings.note(table, wanted["_id"], f"differs in {', '.join(different)}")


def _replacing(table: str, doc: Doc) -> list[Op]:
    """Put the document there; of an output that is there, what delivery wrote is left alone."""
    if table != "generationOutputs" or doc["notificationPlatform"] == "none":
        return [Put(table, doc, None)]
    kept = {key: value for key, value in doc.items() if key not in DELIVERED and key != "_id"}
    return [Insert(table, doc), Patch(table, doc["_id"], kept)]


def _note_reviews(page: list[Commit], last: dict[int, dict[str, Any]]) -> None:
    """For every piece that was decided on, keep what the latest decision set."""
    for commit in page:
        for event in commit["events"]:
            if event["type"] != "PiecesReviewed":
                continue
            changes = status.review_changes(
                event["data"], actor=commit["actor"], ts=commit["ts"], seq=commit["seq"]
            )
            for low, high in event["data"]["pieces"]:
                last.update(dict.fromkeys(range(low, high + 1), changes))


def _reviewed(table: str, doc: Doc, reviews: dict[int, dict[str, Any]]) -> Doc:
    changes = reviews.get(doc["number"]) if table == "pieces" else None
    return doc | changes if changes else doc
