"""The sweeper: wakes what is due and takes back what lost workers held.

Every process runs one, all the time; its operations are guarded, so that any
number of sweepers do no more than one.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import structlog

from cauldron.persistence.jobs import JobStore
from cauldron.ports.storage import Delete, Doc, Store
from cauldron.ports.system import Clock
from cauldron.services.outliving import outliving

log = structlog.get_logger("cauldron.sweeper")


@dataclass(slots=True)
class Sweeper:
    """Looks after every queue of one store."""

    store: Store
    queues: Sequence[JobStore]
    clock: Clock
    every_s: float = 0.25
    reap_every_s: float = 1.0
    stray_every_s: float = 5.0
    taken_back: int = 0  # jobs whose worker fell silent, since the start
    _beats: dict[str, tuple[int, float]] = field(default_factory=dict)  # worker -> its beat, seen first

    async def run(self) -> None:
        """Sweep until cancelled."""
        jobs = ((self.wake, self.every_s), (self.reap, self.reap_every_s), (self.free, self.stray_every_s))
        due = [0.0] * len(jobs)
        while True:
            now = asyncio.get_running_loop().time()
            for index, (job, every_s) in enumerate(jobs):
                if now >= due[index]:
                    due[index] = now + every_s
                    await self._once(job)
            await asyncio.sleep(self.every_s)

    async def _once(self, job: Callable[[], Awaitable[int]]) -> None:
        with outliving(log, "sweep failed"):  # sweeping must go on whatever happens
            await job()

    async def wake(self) -> int:
        """Queue the jobs whose instant has come; returns how many."""
        return sum([await queue.wake_due(now=self.clock()) for queue in self.queues])

    async def free(self) -> int:
        """Queue jobs left behind by somebody who opened or closed a gate and died; returns how many."""
        return sum([await queue.free_stray(now=self.clock()) for queue in self.queues])

    async def reap(self) -> int:
        """Take back the jobs of workers that no longer beat; returns how many."""
        taken = 0
        for queue in self.queues:
            for worker in await self._lost(queue):
                count = await queue.reap(worker, now=self.clock())
                log.warning("worker lost", worker=worker, jobs=count)
                taken += count
        self.taken_back += taken
        await self._forget()
        return taken

    async def _lost(self, queue: JobStore) -> list[str]:
        running = await self.store.find(queue.table, {"status": "running"}, order=("worker",), limit=5000)
        names = sorted({job["worker"] for job in running})
        rows = await self.store.get("workers", names)
        return [n for n, row in zip(names, rows, strict=True) if row is None or self._is_silent(row)]

    def _is_silent(self, row: Doc) -> bool:
        """Whether a worker's lease is over: by the clock, or because its beat has stood still as long.

        The second holds when the clock was set back, and its lease seems to last for hours.
        """
        now = asyncio.get_running_loop().time()
        beat, since = self._beats.get(row["_id"], (None, now))
        if beat != row["beatAt"]:
            since = now
        self._beats[row["_id"]] = (row["beatAt"], since)
        lease_ms = row["until"] - row["beatAt"]
        return bool(row["until"] < self.clock()) or (now - since) * 1000 > lease_ms

    async def _forget(self) -> None:
        """Remove the rows of workers long gone; what they held has been taken back above."""
        old = [w for w in await self.store.find("workers", {}) if w["until"] < self.clock() - 60_000]
        if old:
            await self.store.commit(
                [Delete("workers", w["_id"], {"until": w["until"]}) for w in old], atomic=False
            )
        for worker in old:
            self._beats.pop(worker["_id"], None)
