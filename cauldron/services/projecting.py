"""Read models of cooks: pieces, generation outputs, casts and counters, from commits.

Whoever appended a commit projects it; doing it twice, or from two processes at
once, gives the same documents. ``cook_status.seq`` is the cursor: it moves only
after everything up to it has been written.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from cauldron.domain import status
from cauldron.domain.cook_state import Cook
from cauldron.domain.errors import NotFound, StaleVersion
from cauldron.persistence.streams import Commit
from cauldron.ports.storage import Compare, Doc, Insert, Op, Patch, Put, Store
from cauldron.services.dispatch import Dispatcher, Folded

BATCH = 1000  # operations per write


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
        """Where the stored projections of a cook stand."""
        [doc] = await self._store.get("cook_status", [cook_id])
        [parent] = await self._store.get("cooks", [cook_id])
        cursor = Cursor()
        if doc is not None:
            cursor.seq, cursor.version = doc["seq"], doc["_v"]
        if parent is not None:
            cursor.parent_version = parent["_v"]
            cursor.first_outputs = list(parent["generationIds"])
        return cursor

    async def catch_up(self, cook_id: str, *, cursor: Cursor | None = None) -> Cursor:
        """Project every commit that the stored read models have not seen.

        Raises:
            NotFound: there is no such cook.
        """
        for _ in range(20):
            at = cursor or await self.cursor(cook_id)
            folded = await self._cooks.load(stream_of(cook_id))
            if folded.seq == 0:
                raise NotFound(f"there is no cook {cook_id}", cook=cook_id)
            if at.version and at.seq >= folded.seq:
                return at
            try:
                async for page in self._cooks.streams.read(stream_of(cook_id), after=at.seq):
                    await self.write(folded, page, cursor=at)
                await self.save_status(folded, cursor=at)
            except StaleVersion:
                cursor = None  # somebody else is projecting too: look again
                continue
            return at
        raise StaleVersion(f"the projections of {cook_id} are contended")

    async def write(self, folded: Folded[Cook], commits: Sequence[Commit], *, cursor: Cursor) -> None:
        """Write pieces, outputs, casts and reviews of ``commits``; moves ``cursor`` in memory."""
        await self.ready(folded.state, commits)
        ops: list[Op] = []
        for commit in commits:
            if commit["seq"] <= cursor.seq:
                continue
            ops.extend(self.documents(folded.state, commit, first_outputs=cursor.first_outputs))
            reviews = _reviews(folded.state, commit)
            if reviews:  # they change documents that must be there first
                await self._flush(ops)
                await self._flush(reviews)
                ops = []
            cursor.seq = commit["seq"]
            if len(ops) >= BATCH:
                await self._flush(ops)
                ops = []
        await self._flush(ops)

    async def _flush(self, ops: Sequence[Op]) -> None:
        for start in range(0, len(ops), BATCH):
            await self._store.commit(ops[start : start + BATCH], atomic=False)

    async def ready(self, cook: Cook, commits: Sequence[Commit]) -> None:
        """Load the plans that :meth:`documents` of these commits will look into."""
        plans = {
            cook.plan_of(event["data"]["piece"])[0]
            for commit in commits
            for event in commit["events"]
            if event["type"] in _ENDS
        }
        for plan in plans:
            await self._traits.load(plan)

    def documents(self, cook: Cook, commit: Commit, *, first_outputs: list[str]) -> Iterator[Insert]:
        """New documents of a commit: pieces with their outputs and inner casts."""
        ts, seq = commit["ts"], commit["seq"]
        for event in commit["events"]:
            state = _ENDS.get(event["type"])
            if state is None:
                continue
            data = event["data"]
            traits = self._traits.traits(cook.plan_of(data["piece"])[0], data["slot"])
            yield Insert(
                "pieces",
                status.piece_document(cook, data, traits=traits, state=state, ts=ts, seq=seq),
            )
            for output in status.output_documents(cook, data, seq=seq):
                if len(first_outputs) < status.FIRST_PAGE:
                    first_outputs.append(output["_id"])
                yield Insert("generationOutputs", output)
            cast = status.inner_cast_document(cook, data, ts=ts, seq=seq)
            if cast is not None:
                yield Insert("casts", cast)

    async def save_status(self, folded: Folded[Cook], *, cursor: Cursor) -> Doc:
        """Write the counters as of ``cursor.seq``.

        Raises:
            StaleVersion: another process has written them since.
        """
        async with folded.lock:
            if folded.seq != cursor.seq:
                raise StaleVersion("the stream has moved on")
            doc = status.status_document(folded.state, seq=cursor.seq)
            parent = status.cook_document(folded.state, seq=cursor.seq, first_outputs=cursor.first_outputs)
        outcomes = await self._store.commit(
            [
                Put("cook_status", doc, cursor.version),
                Put("cooks", parent, cursor.parent_version),
            ],
            atomic=False,
        )
        for outcome in outcomes:
            if outcome is not None:
                raise StaleVersion("the projections were written by another process")
        cursor.version += 1
        cursor.parent_version += 1
        return doc


_ENDS: Mapping[str, str] = {"PieceGenerated": "generated", "GenerationFailed": "failed"}


def _reviews(cook: Cook, commit: Commit) -> list[Op]:
    """The patches of a commit's decisions; one applied already changes nothing."""
    cook_id, seq = cook.started["cookId"], commit["seq"]
    ops: list[Op] = []
    for event in commit["events"]:
        if event["type"] == "PiecesReviewed":
            changes = status.review_changes(event["data"], actor=commit["actor"], ts=commit["ts"], seq=seq)
            guard = {"seq": Compare("<", seq)}
            ops += [
                Patch("pieces", status.piece_id(cook_id, number), changes, guard)
                for low, high in event["data"]["pieces"]
                for number in range(low, high + 1)
            ]
    return ops
