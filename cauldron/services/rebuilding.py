"""Rebuilding read models from the event log, and checking them against it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from cauldron.domain import status
from cauldron.domain.cook_state import Cook, fold_commits
from cauldron.domain.errors import NotFound
from cauldron.persistence.streams import Commit, Streams
from cauldron.ports.storage import Doc, Put, Store
from cauldron.services.projecting import Projector, stream_of

CHECKED = 500  # documents compared at a time
MOST_FINDINGS = 100


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
        """Compare every stored read model of a cook with a fresh fold of its stream."""
        async for docs in self._documents(cook_id):
            await self._compare(docs, findings)
        findings.cooks += 1

    async def rewrite(self, cook_id: str, findings: Findings) -> None:
        """Replace every read model of a cook by a fresh fold of its stream."""
        async for docs in self._documents(cook_id):
            await self.store.commit([Put(table, doc, None) for table, doc in docs], atomic=False)
            findings.documents += len(docs)
        findings.cooks += 1

    async def _documents(self, cook_id: str) -> AsyncIterator[list[tuple[str, Doc]]]:
        """Pages of (table, document) as the log has them; the counters come last."""
        stream = stream_of(cook_id)
        cook, seq = Cook(), 0
        reviews: dict[int, dict[str, Any]] = {}
        async for page in self.streams.read(stream, whole=False):
            seq = fold_commits(cook, page)
            _note_reviews(page, reviews)
        if not seq:
            raise NotFound(f"there is no cook {cook_id}", cook=cook_id)
        first: list[str] = []
        async for page in self.streams.read(stream):
            await self.projector.ready(cook, page)
            for commit in page:
                found = [
                    (op.table, _reviewed(op.table, op.doc, reviews))
                    for op in self.projector.documents(cook, commit, first_outputs=first)
                ]
                if found:
                    yield found
        yield [
            ("cook_status", status.status_document(cook, seq=seq)),
            ("cooks", status.cook_document(cook, seq=seq, first_outputs=first)),
        ]

    async def _compare(self, docs: list[tuple[str, Doc]], findings: Findings) -> None:
        by_table: dict[str, list[Doc]] = {}
        for table, doc in docs:
            by_table.setdefault(table, []).append(doc)
        for table, wanted in by_table.items():
            for start in range(0, len(wanted), CHECKED):
                part = wanted[start : start + CHECKED]
                stored = await self.store.get(table, [doc["_id"] for doc in part])
                for doc, there in zip(part, stored, strict=True):
                    _judge(table, doc, there, findings)
        findings.documents += len(docs)


def _judge(table: str, wanted: Doc, there: Doc | None, findings: Findings) -> None:
    if there is None:
        findings.note(table, wanted["_id"], "missing")
        return
    different = sorted(k for k in wanted if there.get(k) != wanted[k] and k not in DELIVERED)
    if different:
        findings.note(table, wanted["_id"], f"differs in {', '.join(different)}")


DELIVERED = frozenset(
    {"deliveryStatus", "deliveryTimestamp", "deliveryAttempts", "deliveryError"}
)  # written by delivery, not folded from the cook's stream


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
    return doc | reviews.get(doc["number"], {}) if table == "pieces" else doc
