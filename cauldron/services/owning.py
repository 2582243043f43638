"""The owner of a cook: keeps its queue filled and folds what workers settled.

One process at a time owns a cook, under a lease. Losing the lease costs delay,
never truth: the stream's unique ``seq`` fences appends, command keys make a
second report harmless, and jobs have ids that cannot be queued twice.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog

from cauldron.domain.codec import MAX_COMMANDS
from cauldron.domain.commands import ExhaustBudget, RecordPiece
from cauldron.domain.cook_charge import price_wanted
from cauldron.domain.cook_state import RESTING, Cook, State
from cauldron.domain.errors import CauldronError, NotFound, Refused, StaleVersion, Unavailable
from cauldron.persistence.jobs import JobStore
from cauldron.persistence.leases import Leases
from cauldron.ports.storage import Doc, Store
from cauldron.ports.system import Clock
from cauldron.services.dispatch import Dispatcher, Folded, Outcome
from cauldron.services.funding import CookFunding
from cauldron.services.piece_jobs import (
    BLOCKING,
    affordable,
    ends_of,
    error_code,
    job_document,
    next_pieces,
    reaction,
    record_of,
    unmade_below,
    within_one_commit,
)
from cauldron.services.projecting import Cursor, Projector, stream_of

log = structlog.get_logger("cauldron.owner")
ACTOR = "system"
STATUS_EVERY_MS = 100
LOOK_EVERY_S = 0.2  # when nothing rings
GATHER_S = 0.02  # after a round that found something, so that the next commit holds more
LATE_EVERY_MS = 150  # between two looks for pieces that ended while their cook rested
RESTING_EVERY_MS = 2_000  # between two looks for cooks that rest while their queue is open
FEW, MANY = 16, 10_000  # cooks read at a time: as many as cost next to nothing, and more
AFTER_FAULT_MS = 5_000  # a cook that cannot be tended is left alone for so long


@dataclass(slots=True)
class Tended:
    """What the owner remembers of one cook while it owns it."""

    cook_id: str
    cursor: Cursor
    renewed_ms: int
    enqueued: int = 0  # pieces up to this number have had their job inserted
    next_rank: int = 0  # after the ranks of those
    saved_ms: int = 0
    turns: int = 0  # changes of state that the queue was told of
    dirty: bool = False


@dataclass(slots=True)
class Owner:
    """Tends every cook with something to do whose lease this process can get."""

    store: Store
    jobs: JobStore
    cooks: Dispatcher[Cook]
    projector: Projector
    leases: Leases
    clock: Clock
    window: int = 1000
    lease_ms: int = 5_000
    funding: CookFunding | None = None  # what pays for cooks
    _tended: dict[str, Tended] = field(default_factory=dict)
    _left_alone: dict[str, int] = field(default_factory=dict)  # cook -> since (ms)
    _at_rest: dict[str, int] = field(default_factory=dict)  # cook -> seq at which nothing was left to do
    _looked_ms: dict[str, int] = field(default_factory=dict)
    _cooking: Counter[str] = field(default_factory=Counter)  # account -> its cooks that are cooking
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _listening: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Tend cooks until cancelled."""
        rings = [asyncio.create_task(self._ring(table)) for table in (self.jobs.table, "cook_status")]
        try:
            while True:
                self._wake.clear()
                if await self._round():
                    await asyncio.sleep(GATHER_S)
                else:
                    await self._wait()
        finally:
            for ring in rings:
                ring.cancel()
            await asyncio.gather(*rings, return_exceptions=True)
            for tended in list(self._tended.values()):
                with contextlib.suppress(CauldronError):
                    await self._let_go(tended)

    async def _round(self) -> bool:
        try:
            return await self.round()
        except Unavailable as failure:
            log.error("the store does not take writes: trying again", code=failure.code)
        except Exception:
            log.exception("round failed: trying again")
        await asyncio.sleep(1.0)
        return False

    async def _wait(self) -> None:
        self._listening.set()
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):  # wait_for may swallow a cancellation
                    await self._wake.wait()
        finally:
            self._listening.clear()

    async def _ring(self, table: str) -> None:
        async for _ in self.store.watch(table):
            self._wake.set()
            await self._listening.wait()  # while there is work the store need not ring

    async def round(self) -> bool:
        """Look after every cook once; True when there was something to do.

        Raises:
            Unavailable: the store does not answer or has no room. Nothing is lost by it.
        """
        busy = False
        for cook_id in await self._mine():
            try:
                busy |= await self._tend(self._tended[cook_id])
            except StaleVersion as lost:
                log.info("cook changed under its owner", cook_id=cook_id, code=lost.code)
                self._tended.pop(cook_id, None)
                busy = True
            except Unavailable:
                self._tended.pop(cook_id, None)  # what was written is looked up again
                raise
            except Exception:  # the trouble of one cook must not stop the others
                log.exception("cook left alone for a while", cook_id=cook_id)
                self._tended.pop(cook_id, None)
                self._left_alone[cook_id] = self.clock()
        return busy

    async def _mine(self) -> list[str]:
        where = {"state": State.COOKING.value}
        cooking = await self.store.find("cook_status", where, order=("state",), limit=FEW)
        if len(cooking) == FEW:
            cooking = await self.store.find("cook_status", where, order=("state",), limit=MANY)
        self._cooking = Counter(doc["owner"] for doc in cooking)
        wanted = [doc["_id"] for doc in cooking]
        if self._is_time("late", LATE_EVERY_MS):
            wanted += await self.jobs.parents_settled()
        if self._is_time("resting", RESTING_EVERY_MS):
            wanted += await self._resting()
        for cook_id in [*wanted, *self._tended.keys() - wanted]:
            await self._take(cook_id)
        return list(self._tended)

    def _is_time(self, what: str, every_ms: int) -> bool:
        now = self.clock()
        if abs(now - self._looked_ms.get(what, -every_ms)) < every_ms:
            return False
        self._looked_ms[what] = now
        return True

    async def _resting(self) -> list[str]:
        """Cooks at rest that this process has not looked after since their last commit."""
        found: list[str] = []
        for state in RESTING:
            where = {"state": state.value}
            docs = await self.store.find("cook_status", where, order=("state",), limit=MANY)
            found += [doc["_id"] for doc in docs if self._at_rest.get(doc["_id"]) != doc["seq"]]
        return found

    async def _take(self, cook_id: str) -> None:
        """Get or renew the lease of a cook."""
        now, tended = self.clock(), self._tended.get(cook_id)
        if abs(now - self._left_alone.get(cook_id, -AFTER_FAULT_MS)) < AFTER_FAULT_MS:
            return
        if tended is not None and abs(now - tended.renewed_ms) < self.lease_ms / 3:
            return
        if not await self.leases.acquire(stream_of(cook_id)):
            self._tended.pop(cook_id, None)
        elif tended is not None:
            tended.renewed_ms = now
        else:
            try:
                cursor = await self.projector.catch_up(cook_id)
            except (NotFound, StaleVersion) as failure:
                log.error("cook cannot be projected", cook_id=cook_id, reason=failure.message)
                self._left_alone[cook_id] = now
                return
            self._tended[cook_id] = Tended(cook_id, cursor, renewed_ms=now)

    async def _tend(self, tended: Tended) -> bool:
        folded = await self.cooks.load(stream_of(tended.cook_id))
        await self._follow(tended, folded)
        recorded = await self._fold_settled(tended, folded)
        await self._obey(tended)
        queued = await self._fill(tended)
        rests = (await self._state(tended)).state is not State.COOKING
        await self._save(tended, force=rests)
        if rests and not recorded:
            await self._let_go(tended)
            self._at_rest[tended.cook_id] = tended.cursor.seq
        return recorded or queued

    async def _state(self, tended: Tended) -> Cook:
        """The state between commands; to be read before the next ``await``."""
        return (await self.cooks.load(stream_of(tended.cook_id), fresh=False)).state

    async def _follow(self, tended: Tended, folded: Folded[Cook]) -> None:
        """Project what other processes appended (reviews, pauses, refills)."""
        if folded.seq > tended.cursor.seq:
            tended.cursor = await self.projector.catch_up(tended.cook_id, cursor=tended.cursor)

    async def _fold_settled(self, tended: Tended, folded: Folded[Cook]) -> bool:
        settled = await self.jobs.settled(tended.cook_id, limit=MAX_COMMANDS)
        if not settled:
            return False
        batch = within_one_commit(settled)
        ended = [job for job in batch if error_code(job) not in BLOCKING]
        if ended:
            commands = [record_of(job) for job in ended]
            await self._fund(tended, commands)
            outcome = await self.cooks.handle_many(stream_of(tended.cook_id), commands, actor=ACTOR)
            self._report(ended, outcome)
            finish = self.jobs.finish(ends_of(ended), now=self.clock())
            project = self._project(tended, folded, outcome)
            for failure in await asyncio.gather(project, finish, return_exceptions=True):  # one write
                if failure is not None:
                    raise failure
        if len(ended) < len(batch):
            await self._set_aside(tended, [job for job in batch if error_code(job) in BLOCKING])
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

    async def _set_aside(self, tended: Tended, blocked: Sequence[Doc]) -> None:
        """Pause or fail a cook whose pieces cannot be made now; these are made when it goes on."""
        for command in {error_code(job): reaction(job) for job in blocked}.values():
            with contextlib.suppress(Refused):
                await self.cooks.handle(stream_of(tended.cook_id), command, actor=ACTOR)
        await self._obey(tended)
        await self.jobs.put_back(blocked, now=self.clock())

    async def _obey(self, tended: Tended) -> None:
        """Close the gate of a cook that rests, open it when it cooks: at every change of its state."""
        folded = await self.cooks.load(stream_of(tended.cook_id), fresh=False)
        turns, at, rests = folded.state.turns, folded.seq, folded.state.state in RESTING
        if turns == tended.turns:
            return
        if rests:
            await self.jobs.hold(tended.cook_id, at=at, now=self.clock())
        else:
            await self.jobs.unhold(tended.cook_id, at=at, now=self.clock())
        tended.turns = turns

    async def _fill(self, tended: Tended) -> bool:
        """Keep a bounded window of jobs in the queue, from the pieces not yet made."""
        cook = await self._state(tended)
        if cook.state is not State.COOKING or tended.enqueued >= cook.pieces:
            return False
        if unmade_below(cook, tended.enqueued) > self.window // 2:
            return False
        await self._fund(tended)
        base = max(await self._virtual_time(), tended.next_rank)
        cook = await self._state(tended)
        in_flight = unmade_below(cook, tended.enqueued)
        paid_for = affordable(cook, in_flight)
        wanted = next_pieces(cook, tended.enqueued, min(self.window - in_flight, paid_for))
        if not wanted and paid_for <= 0:
            return not in_flight and await self._rest(tended)
        upto = wanted[-1] if wanted else cook.pieces
        step = max(1, self._cooking[cook.started["owner"]])  # an account's cooks share its turns
        now = self.clock()
        jobs = [job_document(cook, n, rank=base + i * step, now=now) for i, n in enumerate(wanted)]
        if jobs:
            await self.jobs.enqueue(jobs)
        tended.enqueued, tended.next_rank = upto, base + len(jobs) * step
        return bool(jobs)

    async def _fund(self, tended: Tended, records: Sequence[RecordPiece] = ()) -> None:
        """Have another hold take the place of one that runs short, before ``records`` are charged to it."""
        cook = await self._state(tended)
        if self.funding is None or not cook.charge or cook.state is not State.COOKING:
            return
        least = sum(price_wanted(cook, each) for each in records if each.error is None)
        in_flight = unmade_below(cook, tended.enqueued)
        command = await self.funding.more(cook, in_flight=in_flight, least_milli=least)
        if command is None:
            return
        try:
            await self.cooks.handle(stream_of(tended.cook_id), command, actor=ACTOR)
        finally:
            await self.funding.drop(tended.cook_id, command.charge)

    async def _rest(self, tended: Tended) -> bool:
        """Pause a cook whose budget has no room for a further piece."""
        seq = (await self.cooks.load(stream_of(tended.cook_id))).seq
        command = ExhaustBudget(key=f"budget:{tended.cook_id}:{seq}")
        outcome = await self.cooks.handle(stream_of(tended.cook_id), command, actor=ACTOR)
        if outcome.commit is None:
            return False
        tended.cursor = await self.projector.catch_up(tended.cook_id, cursor=tended.cursor)
        await self._obey(tended)
        return True

    async def _virtual_time(self) -> int:
        """The rank at the head of the queue: a newcomer starts there, so cooks take turns."""
        head = await self.store.find(self.jobs.table, {"status": "queued"}, order=("rank",), limit=1)
        return int(head[0]["rank"]) if head else self.clock() * 1000

    async def _save(self, tended: Tended, *, force: bool) -> None:
        now = self.clock()
        if not tended.dirty or (abs(now - tended.saved_ms) < STATUS_EVERY_MS and not force):
            return
        folded = await self.cooks.load(stream_of(tended.cook_id))
        try:
            await self.projector.save_status(folded, cursor=tended.cursor)
        except StaleVersion:  # somebody gave a command, and projected it
            tended.cursor = await self.projector.catch_up(tended.cook_id)
        tended.saved_ms, tended.dirty = now, False

    async def _let_go(self, tended: Tended) -> None:
        await self._save(tended, force=True)
        self._tended.pop(tended.cook_id, None)
        await self.leases.release(stream_of(tended.cook_id))
