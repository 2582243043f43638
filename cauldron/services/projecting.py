"""Read models of cooks: pieces, generation outputs, casts and counters, from commits.

Whoever appended a commit projects it; doing it twice, or from two processes at
once, gives the same documents. ``cook_status.seq`` is the cursor: it moves only
after everything up to it has been written.
"""

import asyncio
import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from cauldron.domain import status
from cauldron.domain.cook_state import Cook
from cauldron.domain.errors import CauldronError, NotFound, StaleVersion
from cauldron.persistence.streams import Commit
from cauldron.ports.storage import Compare, Doc, Insert, Op, Patch, Put, Store
from cauldron.services.dispatch import Command, Dispatcher, Folded, Outcome

BATCH = 500  # operations per write, so that no neighbour waits long for the store
TRIES = 20
Selections = dict[int, Mapping[str, Any]]  # piece number -> traits


class TraitSource(Protocol):
    """Where a piece's traits come from: the plan that its selection was drawn from."""

    async def load(self, plan: str) -> None:
        """Make ``traits`` ready for a plan blob."""
        ...

    def traits(self, plan: str, slot: int) -> Mapping[str, Any]: ...


@dataclass(slots=True)
class Cursor:
    """How far a cook's projections are written, as this process knows."""

    seq: int = 0
    version: int = 0  # of the cook_status document
    parent_version: int = 0  # of the cooks document
    first_outputs: list[str] = field(default_factory=list)


def _table(op: Op) -> str:
    return op.table


def stream_of(cook_id: str) -> str:
    """The event stream of a cook."""
    return f"cook:{cook_id}"


class Projector:
    """Writes the read models of cooks."""

    def __init__(self, store: Store, cooks: Dispatcher[Cook], traits: TraitSource) -> None:
        self._store = store
        self._cooks = cooks
        self._traits = traits

    async def cursor(self, cook_id: str) -> Cursor:
        """Where the stored projections of a cook stand: the further behind of its two records."""
        [doc] = await self._store.get("cook_status", [cook_id])
        [parent] = await self._store.get("cooks", [cook_id])
        cursor = Cursor()
        if doc is not None:
            cursor.version = doc["_v"]
        if parent is not None:
            cursor.parent_version = parent["_v"]
            cursor.first_outputs = list(parent["generationIds"])
        if doc is not None and parent is not None:
            cursor.seq = min(doc["seq"], parent["seq"])
        return cursor

    async def catch_up(self, cook_id: str, *, cursor: Cursor | None = None) -> Cursor:
        """Project every commit that the stored read models have not seen.

        Raises:
            NotFound: there is no such cook.
        """
        stream = stream_of(cook_id)
        for _ in range(TRIES):
            at = cursor or await self.cursor(cook_id)
            cursor = None  # a second look starts from what is stored
            folded = await self._cooks.load(stream)
            if folded.seq == 0:
                raise NotFound(f"there is no cook {cook_id}", cook=cook_id)
            if at.version and at.parent_version and at.seq >= folded.seq:
                return at
            try:
                await self._pages(folded, at)  # the long part, while others go on
                async with self._cooks.holding(stream):
                    await self._pages(folded, at)
                    await self._save(folded, at)
            except StaleVersion:
                continue  # another process is projecting too
            return at
        raise StaleVersion(f"the projections of {cook_id} are contended")

    async def carry_out(self, cook_id: str, commands: Sequence[Command], *, actor: str) -> Outcome:
        """Carry out commands on a cook in one commit, and project it; see :meth:`Dispatcher.handle_many`.

        When others project at the same time they will do this, too.
        """
        doing = self._cooks.handle_many(stream_of(cook_id), commands, actor=actor)
        outcome, cursor = await asyncio.gather(doing, self.cursor(cook_id))
        if all(isinstance(answer, CauldronError) for answer in outcome.events):
            return outcome
        with contextlib.suppress(StaleVersion):
            if outcome.commit is None or not await self._add(cook_id, outcome.commit, cursor):
                await self.catch_up(cook_id)
        return outcome

    async def _add(self, cook_id: str, commit: Commit, cursor: Cursor) -> bool:
        """Project a commit of decisions that was just made, in one write.

        False when more than it is missing, it ended pieces, too, or others were faster.
        """
        folded = await self._cooks.load(stream_of(cook_id), fresh=False)
        stored = bool(cursor.version and cursor.parent_version)
        ends = any(event["type"] in _ENDS for event in commit["events"])
        if ends or not stored or not cursor.seq + 1 == commit["seq"] == folded.seq:
            return False
        cursor.seq = commit["seq"]
        try:
            async with folded.lock:
                docs = self._status(folded, cursor)
            await self._put(docs, cursor, first=_reviews(folded.state, commit))
        except StaleVersion:
            return False
        return True

    async def _pages(self, folded: Folded[Cook], at: Cursor) -> None:
        async for page in self._cooks.streams.read(stream_of(folded.state.started["cookId"]), after=at.seq):
            within = [commit for commit in page if commit["seq"] <= folded.seq]
            await self.write(folded, within, cursor=at)
            if len(within) < len(page):
                return

    async def write(self, folded: Folded[Cook], commits: Sequence[Commit], *, cursor: Cursor) -> None:
        """Write pieces, outputs, casts and reviews of ``commits``; moves ``cursor`` in memory.

        The cursor never passes what is not durable, so that a write that fails is done again.
        """
        cook, ops, first = folded.state, list[Op](), list(cursor.first_outputs)
        for commit in commits:
            if commit["seq"] <= cursor.seq:
                continue
            traits = await self.selections(cook, commit)
            ops.extend(self.documents(cook, commit, traits, first_outputs=first))
            reviews = _reviews(cook, commit)
            if reviews or len(ops) >= BATCH or commit is commits[-1]:
                await self._flush(ops)
                await self._flush(reviews)  # they change documents that must be there first
                cursor.seq, cursor.first_outputs, ops = commit["seq"], list(first), []

    async def _flush(self, ops: Sequence[Op]) -> None:
        for start in range(0, len(ops), BATCH):
            alike = sorted(ops[start : start + BATCH], key=_table, reverse=True)  # written together
            await self._store.commit(alike, atomic=False)

    async def selections(self, cook: Cook, commit: Commit) -> Selections:
        """The traits of the pieces that a commit ends, by piece number."""
        found: Selections = {}
        loaded = ""
        for event in commit["events"]:
            if event["type"] in _ENDS:
                data = event["data"]
                plan = cook.plan_of(data["piece"])[0]
                if plan != loaded:
                    await self._traits.load(plan)
                    loaded = plan  # and nothing is awaited before it is looked into
                found[data["piece"]] = self._traits.traits(plan, data["slot"])
        return found

    def documents(
        self, cook: Cook, commit: Commit, selections: Selections, *, first_outputs: list[str]
    ) -> Iterator[Insert]:
        """New documents of a commit: pieces with their outputs and inner casts."""
        ts, seq = commit["ts"], commit["seq"]
        for event in commit["events"]:
            state = _ENDS.get(event["type"])
            if state is None:
                continue
            data = event["data"]
            traits = selections[data["piece"]]
            yield Insert(
                "pieces",
                status.piece_document(cook, data, traits=traits, state=state, ts=ts, seq=seq),
            )
            for output in status.output_documents(cook, data, seq=seq):
                if len(first_outputs) < status.FIRST_PAGE and output["_id"] not in first_outputs:
                    first_outputs.append(output["_id"])
                yield Insert("generationOutputs", output)
            for cast in status.inner_cast_documents(cook, data, ts=ts, seq=seq):
                yield Insert("casts", cast)

    async def save_status(self, folded: Folded[Cook], *, cursor: Cursor) -> None:
        """Write the counters as of ``cursor.seq``.

        Raises:
            StaleVersion: another process has written them since, or the stream has moved on.
        """
        async with folded.lock:
            docs = self._status(folded, cursor)
        await self._put(docs, cursor)

    async def _save(self, folded: Folded[Cook], cursor: Cursor) -> None:
        await self._put(self._status(folded, cursor), cursor)

    def _status(self, folded: Folded[Cook], cursor: Cursor) -> tuple[Doc, Doc]:
        if folded.seq != cursor.seq or folded.ahead:
            raise StaleVersion("the stream has moved on")
        first = cursor.first_outputs
        parent = status.cook_document(folded.state, seq=cursor.seq, first_outputs=first)
        return parent, status.status_document(folded.state, seq=cursor.seq)

    async def _put(self, docs: tuple[Doc, Doc], cursor: Cursor, *, first: Sequence[Op] = ()) -> None:
        """The operations ``first``, then the parent record: the status is the cursor, and moves last."""
        parent, counters = docs
        puts = (Put("cooks", parent, cursor.parent_version), Put("cook_status", counters, cursor.version))
        outcomes = await self._store.commit([*first, *puts], atomic=False)
        if any(outcomes[len(first) :]):
            raise StaleVersion("the projections were written by another process")
        cursor.version += 1
        cursor.parent_version += 1


_ENDS: Mapping[str, str] = {"PieceGenerated": "generated", "GenerationFailed": "failed"}


def _reviews(cook: Cook, commit: Commit) -> list[Op]:
    """The patches of a commit's decisions; one applied already changes nothing."""
    cook_id, seq = cook.started["cookId"], commit["seq"]
    changes: dict[int, dict[str, Any]] = {}  # the last decision of the commit on each piece
    for event in commit["events"]:
        if event["type"] == "PiecesReviewed":
            body = status.review_changes(event["data"], actor=commit["actor"], ts=commit["ts"], seq=seq)
            for low, high in event["data"]["pieces"]:
                changes.update(dict.fromkeys(range(low, high + 1), body))
    guard = {"seq": Compare("<=", seq)}
    return [Patch("pieces", status.piece_id(cook_id, n), body, guard) for n, body in changes.items()]
