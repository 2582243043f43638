"""The worker: claims jobs under a lease, runs them, settles them in batches.

Each round settles what has ended and claims for what is free, in one write. A worker
writes only the jobs it holds. It beats once per lease third; when it dies its jobs go
back to the queue, and what it reports too late is refused.
"""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import structlog

from cauldron.domain.errors import CauldronError, Unavailable
from cauldron.persistence.jobs import JobStore, Lease
from cauldron.ports.storage import Delete, Doc, Put, Store
from cauldron.ports.system import Clock, NewId, Uniform

log = structlog.get_logger("cauldron.worker")
BACKOFF_FIRST_MS = 500
BACKOFF_MOST_MS = 60_000
MAX_BLOCKED = 5  # tries without room for the output, before the cook is paused
MOST_UNSETTLED = 4  # results waiting to be settled, per slot, before no more is claimed
KEPT_STEPS = 20  # of earlier attempts
GATHER_S = 0.005  # for more jobs to end before a round, while most slots are busy
QUIET_S = 0.05  # before a busy worker looks again into a queue that was empty


class Executor(Protocol):
    """Runs one job to its end; every failure is a result, never an exception."""

    async def run(self, job: Doc) -> Mapping[str, Any]:
        """``{status, steps, output?, outputs?, error?, retryable?, tries?, durationMs, costMicroUsd}``

        ``tries`` is how often the step that failed has been tried; without it the job's attempts count.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """How a worker behaves. ``slots`` jobs run at once."""

    slots: int = 8
    lease_ms: int = 15_000
    idle_poll_s: float = 1.0
    prefetch: int = 0  # jobs claimed beyond free slots


@dataclass(slots=True)
class Counters:
    """What this worker did since it started."""

    done: int = 0
    failed: int = 0
    retried: int = 0
    lost: int = 0


@dataclass(slots=True, eq=False)
class _Held:
    """A claimed job and the lease it is held under."""

    queue: JobStore
    job: Doc
    lease: Lease


_Ended = tuple[_Held, Mapping[str, Any]]


@dataclass(slots=True)
class Worker:
    """One worker session of one process."""

    store: Store
    queues: Sequence[JobStore]
    executor: Executor
    clock: Clock
    new_id: NewId
    uniform: Uniform
    options: WorkerOptions = field(default_factory=WorkerOptions)
    name: str = ""
    session: str = ""
    counters: Counters = field(default_factory=Counters)
    _running: dict[_Held, asyncio.Task[None]] = field(default_factory=dict)
    _finished: list[_Ended] = field(default_factory=list)
    _quiet: dict[str, float] = field(default_factory=dict)  # queue found empty -> when to look again (s)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _hungry: asyncio.Event = field(default_factory=asyncio.Event)  # slots are free, queues were empty
    _draining: bool = False
    _started_ms: int = 0
    _last_beat: tuple[int, int] = (0, 0)  # instant, and jobs ended until then
    _turn: int = 0

    async def run(self) -> None:
        """Work until :meth:`drain` is called and what is held has been settled.

        Raises:
            Exception: a part of the worker broke; what it held is taken back by a sweeper.
        """
        self.session, self._started_ms = self.new_id(), self.clock()
        await self._beat()
        rings = [self._ring(queue) for queue in self.queues]
        parts = [asyncio.create_task(part) for part in (self._heartbeat(), *rings)]
        working = asyncio.create_task(self._work())
        try:
            await asyncio.wait([working, *parts], return_when=asyncio.FIRST_COMPLETED)
            for part in (working, *parts):
                if part.done():
                    part.result()  # a part ends only when it breaks
        finally:
            tasks = [working, *parts, *self._running.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            with contextlib.suppress(CauldronError):
                await self._leave()

    async def _work(self) -> None:
        while not self._draining or self._running or self._finished:
            self._wake.clear()
            if not await self._round() and not self._finished:
                await self._rest()
            await self._gather()

    async def _round(self) -> int:
        """Settle and claim, side by side so that the store writes both at once; returns the jobs claimed."""
        batch, self._finished = self._finished, []
        if not batch:
            return await self._claim_some()
        claimed, _ = await asyncio.gather(self._claim_some(), self._end_all(batch))
        return claimed

    async def _rest(self) -> None:
        """Wait until a job ends, a bell rings or it is time to look again."""
        if self._free() > 0:
            self._hungry.set()
        try:
            async with asyncio.timeout(self.options.idle_poll_s):
                await self._wake.wait()
        except TimeoutError:
            self._quiet.clear()  # in case a bell was missed
        finally:
            self._hungry.clear()

    async def _gather(self) -> None:
        """Let some more jobs end, so that one write serves them all, while nobody waits for work."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GATHER_S):
                while self._finished and 2 * len(self._running) > self.options.slots:
                    self._wake.clear()
                    await self._wake.wait()

    def drain(self) -> None:
        """Claim nothing more; finish what is held."""
        self._draining = True
        self._wake.set()

    @property
    def running(self) -> list[str]:
        """Ids of the jobs being run."""
        return [held.job["_id"] for held in self._running]

    def _free(self) -> int:
        """Jobs to take now: none while results pile up that the store does not take."""
        room = self.options.slots + self.options.prefetch
        return 0 if len(self._finished) > MOST_UNSETTLED * room else room - len(self._running)

    async def _claim_some(self) -> int:
        claimed = 0
        if self._free() <= 0:
            return 0  # no turn is used up by it
        for queue in self._turns():
            free = self._free()
            if free <= 0 or self._draining:
                break
            self._quiet[queue.table] = _now_s() + QUIET_S  # a bell that rings from here on is heard
            lease = Lease(id=self.new_id(), worker=self.session)
            try:
                jobs = await queue.claim(lease, limit=free, now=self.clock())
            except Unavailable:
                self._quiet.pop(queue.table, None)
                await self._no_room("claim")
                return 0
            if len(jobs) == free:
                self._quiet.pop(queue.table, None)
            for job in jobs:
                held = _Held(queue, job, lease)
                self._running[held] = asyncio.create_task(self._run_one(held))
            claimed += len(jobs)
        return claimed

    def _turns(self) -> list[JobStore]:
        """Queues that may have something, each in front as often as the others."""
        self._turn = (self._turn + 1) % len(self.queues)
        order = [*self.queues[self._turn :], *self.queues[: self._turn]]
        now = _now_s()
        return [queue for queue in order if self._quiet.get(queue.table, now) <= now]

    async def _run_one(self, held: _Held) -> None:
        try:
            result = await self.executor.run(held.job)
        except Exception as crash:  # against its promise; the job must end all the same
            log.exception("execution crashed", job=held.job["_id"], cook_id=held.job.get("cookId"))
            result = _broken(f"{type(crash).__name__}: {crash}")
        self._finished.append((held, result))
        self._running.pop(held, None)
        self._wake.set()

    async def _end_all(self, batch: list[_Ended]) -> None:
        try:
            await self._end(batch)
        except Unavailable:
            self._finished = batch + self._finished
            await self._no_room("settle")
        except Exception:  # a result that cannot be stored must not take its neighbours along
            log.exception("settling one by one", jobs=len(batch))
            for ended in batch:
                await self._end_alone(ended)

    async def _end_alone(self, ended: _Ended) -> None:
        held, result = ended
        try:
            await self._end([ended])
        except Unavailable:
            self._finished.append(ended)
        except Exception as crash:
            await self._end([(held, _broken(f"its result cannot be stored: {crash}"))])
            log.exception("result cannot be stored", job=held.job["_id"], status=result.get("status"))

    async def _end(self, batch: Sequence[_Ended]) -> None:
        now = self.clock()
        ends: dict[JobStore, list[_Ended]] = {}
        for held, result in batch:
            if _may_retry(held.job, result):
                await self._retry(held, result, now)
            else:
                ends.setdefault(held.queue, []).append((held, result))
        for queue, ended in ends.items():
            results = [(held.job["_id"], held.lease, result) for held, result in ended]
            settled = set(await queue.settle_each(results, now=now))
            done = sum(job in settled and result["status"] == "success" for job, _, result in results)
            self.counters.done += done
            self.counters.failed += len(settled) - done
            self.counters.lost += len(results) - len(settled)

    async def _retry(self, held: _Held, result: Mapping[str, Any], now: int) -> None:
        job, full = held.job, result.get("code") == "storage_full"
        attempt = job["attempt"] + (not full)
        blocked = job.get("blocked", 0) + 1 if full else 0
        history = (job.get("history") or []) + list(result.get("steps", ()))
        until = now + backoff_ms(max(job["attempt"], blocked), self.uniform())
        changes = {"attempt": attempt, "blocked": blocked, "history": history[-KEPT_STEPS:]}
        kept = await held.queue.postpone(job, lease=held.lease, until=until, changes=changes, now=now)
        self.counters.retried += kept
        self.counters.lost += not kept
        log.info("job postponed", job=job["_id"], cook_id=job.get("cookId"), attempt=attempt, until=until)

    async def _heartbeat(self) -> None:
        while True:
            await asyncio.sleep(self.options.lease_ms / 3000)
            try:
                await self._beat()
            except CauldronError as failure:
                log.warning("heartbeat failed", code=failure.code)

    async def _beat(self) -> None:
        now = self.clock()
        ended = self.counters.done + self.counters.failed
        before, self._last_beat = self._last_beat, (now, ended)
        await self.store.commit(
            [
                Put(
                    "workers",
                    {
                        "_id": self.session,
                        "name": self.name,
                        "host": self.name.rpartition(":")[0],
                        "startedAt": self._started_ms,
                        "slots": self.options.slots,
                        "running": self.running[:100],
                        "done": self.counters.done,
                        "failed": self.counters.failed,
                        "rate": round(1000 * (ended - before[1]) / max(1, now - before[0]), 2),
                        "beatAt": now,
                        "until": now + self.options.lease_ms,
                    },
                )
            ]
        )

    async def _leave(self) -> None:
        """Close the session: what it still holds may be taken at once."""
        for queue in self.queues:
            await queue.reap(self.session, now=self.clock(), lost=False)
        await self.store.commit([Delete("workers", self.session)])

    async def _ring(self, queue: JobStore) -> None:
        async for _ in self.store.watch(queue.table):
            self._quiet.pop(queue.table, None)
            self._wake.set()
            await self._hungry.wait()  # a busy worker looks by itself when a slot is free
        await asyncio.Event().wait()  # the store has closed: no more bells, and nothing broke

    async def _no_room(self, doing: str) -> None:
        log.error("the store does not take writes: trying again", doing=doing)
        await asyncio.sleep(1.0)


def _now_s() -> float:
    return asyncio.get_running_loop().time()


def _may_retry(job: Doc, result: Mapping[str, Any]) -> bool:
    if result["status"] == "success" or not result.get("retryable"):
        return False
    if result.get("code") == "storage_full":
        return bool(job.get("blocked", 0) < MAX_BLOCKED)
    return bool(result.get("tries", job["attempt"]) < job.get("attempts", 1))


def _broken(message: str) -> dict[str, Any]:
    error = {"code": "internal_error", "message": message[:500]}
    return {"status": "failed", "code": error["code"], "error": error, "steps": [], "durationMs": 0}


def backoff_ms(attempt: int, uniform: float) -> int:
    """Full-jitter exponential back-off before the try after ``attempt``, in milliseconds.

    ``uniform`` is a random number in [0, 1). Source: Brooker, *Exponential
    Backoff and Jitter*, AWS Architecture Blog, 2015.
    """
    ceiling = min(BACKOFF_MOST_MS, BACKOFF_FIRST_MS * 2 ** (attempt - 1))
    return int(ceiling / 2 + uniform * ceiling / 2)
