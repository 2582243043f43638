"""The worker: claims jobs under a lease, runs them, settles them in batches.

A worker writes only the jobs it holds. It beats once per lease third; when it
dies its jobs go back to the queue, and what it reports too late is refused.
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


class Executor(Protocol):
    """Runs one job to its end; every failure is a result, never an exception."""

    async def run(self, job: Doc) -> Mapping[str, Any]:
        """``{status, steps, output?, outputs?, error?, retryable?, durationMs, costMicroUsd}``"""
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


@dataclass(slots=True)
class _Held:
    """A claimed job and the lease it is held under."""

    queue: JobStore
    job: Doc
    lease: Lease


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
    _running: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _finished: list[tuple[_Held, Mapping[str, Any]]] = field(default_factory=list)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _settle: asyncio.Event = field(default_factory=asyncio.Event)
    _draining: bool = False

    async def run(self) -> None:
        """Work until :meth:`drain` is called and what is held has been settled."""
        self.session = self.new_id()
        await self._beat()
        loops = [asyncio.create_task(loop) for loop in (self._heartbeat(), self._listen(), self._settling())]
        try:
            await self._claiming()
            while self._running or self._finished:
                await asyncio.sleep(0.01)
        finally:
            for task in [*loops, *self._running.values()]:
                task.cancel()
            await asyncio.gather(*loops, *self._running.values(), return_exceptions=True)
            with contextlib.suppress(CauldronError):
                await self._leave()

    def drain(self) -> None:
        """Claim nothing more; finish what is held."""
        self._draining = True
        self._wake.set()

    @property
    def running(self) -> list[str]:
        """Ids of the jobs being run."""
        return list(self._running)

    async def _claiming(self) -> None:
        while not self._draining:
            self._wake.clear()
            claimed = await self._claim_some() if self._free() > 0 else 0
            if claimed == 0:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), self.options.idle_poll_s)

    def _free(self) -> int:
        return self.options.slots + self.options.prefetch - len(self._running)

    async def _claim_some(self) -> int:
        claimed = 0
        for queue in self.queues:
            free = self._free()
            if free <= 0:
                break
            lease = Lease(id=self.new_id(), worker=self.session)
            try:
                jobs = await queue.claim(lease, limit=free, now=self.clock())
            except Unavailable:
                await self._no_room("claim")
                return 0
            for job in jobs:
                held = _Held(queue, job, lease)
                self._running[job["_id"]] = asyncio.create_task(self._run_one(held))
            claimed += len(jobs)
        return claimed

    async def _run_one(self, held: _Held) -> None:
        result = await self.executor.run(held.job)
        self._finished.append((held, result))
        self._running.pop(held.job["_id"], None)
        self._settle.set()
        self._wake.set()

    async def _settling(self) -> None:
        while True:
            await self._settle.wait()
            self._settle.clear()
            batch, self._finished = self._finished, []
            try:
                await self._end(batch)
            except Unavailable:
                self._finished = batch + self._finished
                await self._no_room("settle")
                self._settle.set()

    async def _end(self, batch: Sequence[tuple[_Held, Mapping[str, Any]]]) -> None:
        now = self.clock()
        groups: dict[tuple[int, str], tuple[_Held, dict[str, Mapping[str, Any]]]] = {}
        for held, result in batch:
            if _may_retry(held.job, result):
                await self._retry(held, result, now)
                continue
            key = (id(held.queue), held.lease.id)
            groups.setdefault(key, (held, {}))[1][held.job["_id"]] = result
        for held, results in groups.values():
            settled = await held.queue.settle(results, lease=held.lease, now=now)
            failed = sum(results[job]["status"] != "success" for job in settled)
            self.counters.failed += failed
            self.counters.done += len(settled) - failed
            self.counters.lost += len(results) - len(settled)

    async def _retry(self, held: _Held, result: Mapping[str, Any], now: int) -> None:
        job = held.job
        attempt = job["attempt"] + (0 if result.get("code") == "storage_full" else 1)
        history = (job.get("history") or []) + list(result.get("steps", ()))
        until = now + backoff_ms(job["attempt"], self.uniform())
        changes = {"attempt": attempt, "history": history[-20:]}
        kept = await held.queue.postpone(job, lease=held.lease, until=until, changes=changes, now=now)
        self.counters.retried += kept
        self.counters.lost += not kept
        log.info("job postponed", job=job["_id"], attempt=attempt, until=until)

    async def _heartbeat(self) -> None:
        while True:
            await asyncio.sleep(self.options.lease_ms / 3000)
            try:
                await self._beat()
            except CauldronError as failure:
                log.warning("heartbeat failed", code=failure.code)

    async def _beat(self) -> None:
        now = self.clock()
        await self.store.commit(
            [
                Put(
                    "workers",
                    {
                        "_id": self.session,
                        "name": self.name,
                        "slots": self.options.slots,
                        "running": self.running[:100],
                        "done": self.counters.done,
                        "failed": self.counters.failed,
                        "beatAt": now,
                        "until": now + self.options.lease_ms,
                    },
                )
            ]
        )

    async def _leave(self) -> None:
        """Close the session: what it still holds may be taken at once."""
        for queue in self.queues:
            await queue.reap(self.session, now=self.clock())
        await self.store.commit([Delete("workers", self.session)])

    async def _listen(self) -> None:
        async with asyncio.TaskGroup() as group:
            for queue in self.queues:
                group.create_task(self._ring(queue))

    async def _ring(self, queue: JobStore) -> None:
        async for _ in self.store.watch(queue.table):
            self._wake.set()

    async def _no_room(self, doing: str) -> None:
        log.error("the store does not take writes: trying again", doing=doing)
        await asyncio.sleep(1.0)


def _may_retry(job: Doc, result: Mapping[str, Any]) -> bool:
    if result["status"] == "success" or not result.get("retryable"):
        return False
    return result.get("code") == "storage_full" or job["attempt"] < job.get("attempts", 1)


def backoff_ms(attempt: int, uniform: float) -> int:
    """Full-jitter exponential back-off before the try after ``attempt``, in milliseconds.

    ``uniform`` is a random number in [0, 1). Source: Brooker, *Exponential
    Backoff and Jitter*, AWS Architecture Blog, 2015.
    """
    ceiling = min(BACKOFF_MOST_MS, BACKOFF_FIRST_MS * 2 ** (attempt - 1))
    return int(ceiling / 2 + uniform * ceiling / 2)
