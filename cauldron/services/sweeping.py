"""The sweeper: wakes what is due and takes back what lost workers held.

Every process runs one, all the time; its operations are guarded, so that any
number of sweepers do no more than one.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from cauldron.domain.errors import Unavailable
from cauldron.persistence.jobs import JobStore
from cauldron.ports.storage import Delete, Store
from cauldron.ports.system import Clock

log = structlog.get_logger("cauldron.sweeper")


@dataclass(slots=True)
class Sweeper:
    """Looks after every queue of one store."""

    store: Store
    queues: Sequence[JobStore]
    clock: Clock
    every_s: float = 0.25
    reap_every_s: float = 1.0

    async def run(self) -> None:
        """Sweep until cancelled."""
        since_reap = self.reap_every_s
        while True:
            try:
                await self.wake()
                if since_reap >= self.reap_every_s:
                    await self.reap()
                    since_reap = 0.0
            except Unavailable as failure:
                log.warning("sweep failed", code=failure.code)
            await asyncio.sleep(self.every_s)
            since_reap += self.every_s

    async def wake(self) -> int:
        """Queue the jobs whose instant has come; returns how many."""
        return sum([await queue.wake_due(now=self.clock()) for queue in self.queues])

    async def reap(self) -> int:
        """Take back the jobs of workers that no longer beat; returns how many."""
        taken = 0
        for queue in self.queues:
            for worker in await self._lost(queue):
                count = await queue.reap(worker, now=self.clock())
                log.warning("worker lost", worker=worker, jobs=count)
                taken += count
        await self._forget()
        return taken

    async def _lost(self, queue: JobStore) -> list[str]:
        running = await self.store.find(queue.table, {"status": "running"}, order=("worker",), limit=5000)
        names = sorted({job["worker"] for job in running})
        rows = await self.store.get("workers", names)
        now = self.clock()
        return [n for n, row in zip(names, rows, strict=True) if row is None or row["until"] < now]

    async def _forget(self) -> None:
        """Remove the rows of workers long gone; what they held has been taken back above."""
        old = [w for w in await self.store.find("workers", {}) if w["until"] < self.clock() - 60_000]
        if old:
            await self.store.commit(
                [Delete("workers", w["_id"], {"until": w["until"]}) for w in old], atomic=False
            )
