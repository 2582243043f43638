"""The owner of a cook: keeps its queue filled and folds what workers settled.

One process at a time owns a cook, under a lease. Losing the lease costs delay,
never truth: the stream's unique ``seq`` fences appends, command keys make a
second report harmless, and jobs have ids that cannot be queued twice.
"""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from cauldron.domain.codec import MAX_BYTES, MAX_COMMANDS
from cauldron.domain.commands import FailCook, PauseCook, RecordPiece
from cauldron.domain.cook_state import QUEUED, Cook, State
from cauldron.domain.errors import CauldronError, NotFound, Refused, StaleVersion, Unavailable
from cauldron.domain.status import piece_id
from cauldron.persistence.jobs import JobStore
from cauldron.persistence.leases import Leases
from cauldron.ports.storage import Doc, Store
from cauldron.ports.system import Clock
from cauldron.services.dispatch import Dispatcher, Folded, Outcome
from cauldron.services.projecting import Cursor, Projector, stream_of

log = structlog.get_logger("cauldron.owner")
ACTOR = "system"
STATUS_EVERY_MS = 100
ACTIVE = ("Cooking", "Paused", "Stopped")
BYTES_PER_JOB_GUESS = 2_000


@dataclass(slots=True)
class Tended:
    """What the owner remembers of one cook while it owns it."""

    cook_id: str
    cursor: Cursor
    enqueued: int = 0  # pieces up to this number have had their job inserted
    saved_ms: int = 0
    renewed_ms: int = 0
    held: bool = False
    dirty: bool = False


@dataclass(slots=True)
class Owner:
    """Tends every active cook whose lease this process can get."""

    store: Store
    jobs: JobStore
    cooks: Dispatcher[Cook]
    projector: Projector
    leases: Leases
    clock: Clock
    window: int = 1000
    lease_ms: int = 5_000
    _tended: dict[str, Tended] = field(default_factory=dict)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Tend cooks until cancelled."""
        rings = [asyncio.create_task(self._ring(table)) for table in (self.jobs.table, "cook_events")]
        try:
            while True:
                self._wake.clear()
                try:
                    busy = await self.round()
                except Unavailable as failure:
                    log.error("the store does not take writes: trying again", code=failure.code)
                    busy = False
                    await asyncio.sleep(1.0)
                if not busy:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._wake.wait(), 0.5)
        finally:
            for ring in rings:
                ring.cancel()
            await asyncio.gather(*rings, return_exceptions=True)
            await self._let_go()

    async def _ring(self, table: str) -> None:
        after = None
        async for _ in self.store.watch(table, after=after):
            self._wake.set()

    async def _let_go(self) -> None:
        for tended in list(self._tended.values()):
            with contextlib.suppress(CauldronError):
                await self._save(tended, force=True)
                await self.leases.release(stream_of(tended.cook_id))

    async def round(self) -> bool:
        """Look after every cook once; True when there was something to do."""
        busy = False
        for cook_id in await self._mine():
            try:
                busy |= await self._tend(self._tended[cook_id])
            except (StaleVersion, NotFound) as lost:
                log.info("cook changed under its owner", cook_id=cook_id, code=lost.code)
                self._tended.pop(cook_id, None)
                busy = True
        return busy

    async def _mine(self) -> list[str]:
        active = await self.store.find("cook_status", {"state": ACTIVE}, order=("state",))
        now = self.clock()
        for doc in active:
            cook_id, tended = doc["_id"], self._tended.get(doc["_id"])
            if tended is not None and now - tended.renewed_ms < self.lease_ms / 3:
                continue
            if not await self.leases.acquire(stream_of(cook_id)):
                self._tended.pop(cook_id, None)
            elif tended is None:
                cursor = await self.projector.catch_up(cook_id)
                self._tended[cook_id] = Tended(cook_id, cursor, renewed_ms=now)
            else:
                tended.renewed_ms = now
        return list(self._tended)

    async def _tend(self, tended: Tended) -> bool:
        stream = stream_of(tended.cook_id)
        folded = await self.cooks.load(stream)
        await self._follow(tended, folded)
        recorded = await self._fold_settled(tended, folded)
        queued = await self._fill(tended, folded.state)
        await self._obey(tended, folded.state)
        await self._save(tended, force=folded.state.state is not State.COOKING)
        if folded.state.state in (State.COMPLETED, State.EXPORTED, State.FAILED):
            await self._finish(tended)
        return recorded or queued

    async def _follow(self, tended: Tended, folded: Folded[Cook]) -> None:
        """Project what other processes appended (reviews, pauses, refills)."""
        if folded.seq > tended.cursor.seq:
            tended.cursor = await self.projector.catch_up(tended.cook_id, cursor=tended.cursor)

    async def _fold_settled(self, tended: Tended, folded: Folded[Cook]) -> bool:
        settled = await self.jobs.settled(tended.cook_id, limit=MAX_COMMANDS)
        if not settled:
            return False
        batch = _within(settled)
        commands = [record_of(job) for job in batch]
        outcome = await self.cooks.handle_many(stream_of(tended.cook_id), commands, actor=ACTOR)
        await self._project(tended, folded, outcome)
        await self.jobs.finish(_ends(batch), now=self.clock())
        self._report(batch, outcome)
        await self._react(tended, batch)
        return True

    async def _project(self, tended: Tended, folded: Folded[Cook], outcome: Outcome) -> None:
        if outcome.commit is None:
            return
        if outcome.commit["seq"] == tended.cursor.seq + 1:
            await self.projector.write(folded, [outcome.commit], cursor=tended.cursor)
            tended.dirty = True
        else:
            tended.cursor = await self.projector.catch_up(tended.cook_id)

    def _report(self, batch: Sequence[Doc], outcome: Outcome) -> None:
        for job, events in zip(batch, outcome.events, strict=True):
            if isinstance(events, CauldronError):
                log.warning("report set aside", job=job["_id"], code=events.code)

    async def _react(self, tended: Tended, batch: Sequence[Doc]) -> None:
        """Pause or fail a cook whose pieces cannot be made at all."""
        for job in batch:
            error = (job["result"] or {}).get("error") or {}
            command = _reaction(tended.cook_id, job["_id"], error)
            if command is not None:
                with contextlib.suppress(Refused):
                    await self.cooks.handle(stream_of(tended.cook_id), command, actor=ACTOR)

    async def _fill(self, tended: Tended, cook: Cook) -> bool:
        """Keep a bounded window of jobs in the queue, from the pieces not yet made."""
        if cook.state is not State.COOKING or tended.enqueued >= cook.pieces:
            return False
        ahead = _unmade_below(cook, tended.enqueued)
        if ahead > self.window // 2:
            return False
        wanted = _next_pieces(cook, tended.enqueued, self.window - ahead)
        if wanted:
            base = await self._virtual_time()
            now = self.clock()
            jobs = [job_document(cook, n, rank=base + i, now=now) for i, n in enumerate(wanted)]
            await self.jobs.enqueue(jobs)
        tended.enqueued = wanted[-1] if wanted else cook.pieces
        return bool(wanted)

    async def _virtual_time(self) -> int:
        """The rank at the head of the queue: a newcomer starts there, so cooks take turns."""
        head = await self.store.find(self.jobs.table, {"status": "queued"}, order=("rank",), limit=1)
        return int(head[0]["rank"]) if head else self.clock() * 1000

    async def _obey(self, tended: Tended, cook: Cook) -> None:
        """Hold the queue while the cook rests; let it go when it cooks."""
        if cook.state is State.COOKING:
            if tended.held:
                await self.jobs.unhold(tended.cook_id, now=self.clock())
                tended.held = False
        else:
            await self.jobs.hold(tended.cook_id, now=self.clock())
            tended.held = True

    async def _save(self, tended: Tended, *, force: bool) -> None:
        now = self.clock()
        if not tended.dirty or (now - tended.saved_ms < STATUS_EVERY_MS and not force):
            return
        folded = await self.cooks.load(stream_of(tended.cook_id))
        if folded.seq == tended.cursor.seq:
            await self.projector.save_status(folded, cursor=tended.cursor)
        else:
            tended.cursor = await self.projector.catch_up(tended.cook_id)
        tended.saved_ms, tended.dirty = now, False

    async def _finish(self, tended: Tended) -> None:
        await self._save(tended, force=True)
        self._tended.pop(tended.cook_id, None)
        await self.leases.release(stream_of(tended.cook_id))


def record_of(job: Doc) -> RecordPiece:
    """The command that reports a settled job; its key is the job's, whatever the attempt."""
    result: Mapping[str, Any] = job["result"]
    ok = result["status"] == "success"
    steps = list(job.get("history") or ()) + list(result.get("steps") or ())
    return RecordPiece(
        key=f"gen:{job['_id']}",
        piece=job["piece"],
        attempt=job["attempt"],
        steps=steps,
        output=result.get("output") if ok else None,
        error=None if ok else result.get("error") or {"code": "error", "message": "it failed"},
        duration_ms=result.get("durationMs", 0),
        cost_micro_usd=sum(step["costMicroUsd"] for step in steps),
    )


def job_document(cook: Cook, number: int, *, rank: int, now: int) -> Doc:
    """The job that makes piece ``number``: it names plan and snapshot, and holds no copy of them."""
    started, slot = cook.started, cook.slot_of[number - 1]
    plan, plan_hash = cook.plan_of(number)
    return {
        "_id": piece_id(started["cookId"], number),
        "status": "queued",
        "parent": started["cookId"],
        "cookId": started["cookId"],
        "collectionId": started["collectionId"],
        "userId": started["owner"],
        "environment": started["environment"],
        "spellIdOrToolId": started["generator"]["id"],
        "configHash": started["configHash"],
        "traitSelection": {"plan": plan, "planHash": plan_hash, "slot": slot},
        "userContext": {"notificationPlatform": started["notificationPlatform"]},
        "piece": number,
        "rank": rank,
        "attempt": 1,
        "attempts": cook.attempts,
        "deliveries": 0,
        "createdAt": now,
        "updatedAt": now,
    }


def _within(settled: Sequence[Doc]) -> list[Doc]:
    """As many jobs as fit one commit by size; at least one."""
    size, batch = 0, list[Doc]()
    for job in settled:
        steps = (job["result"] or {}).get("steps") or ()
        size += BYTES_PER_JOB_GUESS if len(steps) <= 1 else 1_000 * (len(steps) + 1)
        if batch and size > MAX_BYTES:
            break
        batch.append(job)
    return batch


def _ends(batch: Sequence[Doc]) -> list[tuple[str, bool]]:
    return [(job["_id"], job["result"]["status"] == "success") for job in batch]


def _reaction(cook_id: str, job_id: str, error: Mapping[str, Any]) -> PauseCook | FailCook | None:
    code, message = error.get("code"), str(error.get("message", ""))
    if code == "tool_unavailable":
        return PauseCook(key=f"pause:{job_id}", reason="tool_unavailable", detail=message)
    if code == "snapshot_missing":
        return FailCook(key=f"fail:{job_id}", reason="snapshot_missing", detail=message)
    return None


def _unmade_below(cook: Cook, number: int) -> int:
    return cook.piece_state.count(QUEUED, 0, number)


def _next_pieces(cook: Cook, after: int, limit: int) -> list[int]:
    found: list[int] = []
    position = cook.piece_state.find(QUEUED, after)
    while position >= 0 and len(found) < limit:
        found.append(position + 1)
        position = cook.piece_state.find(QUEUED, position + 1)
    return found
