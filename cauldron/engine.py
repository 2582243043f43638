"""The loops that make progress in one process: who starts them, who notices that one died, how they end."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import structlog

from cauldron.domain.errors import Unavailable
from cauldron.services.casting import Casting
from cauldron.services.owning import Owner
from cauldron.services.sweeping import Sweeper
from cauldron.services.working import Worker

log = structlog.get_logger("cauldron.engine")


class Loop(Protocol):
    """Something that runs until it is cancelled."""

    async def run(self) -> None: ...


@dataclass(slots=True, kw_only=True)
class Engine:
    """A worker, an owner of cooks, a folder of casts, a sweeper, and what else follows the log."""

    worker: Worker | None
    owner: Owner
    casting: Casting
    sweeper: Sweeper
    beside: list[tuple[str, Loop]] = field(default_factory=list)
    patience_s: float = 10.0  # for the end of a loop, before it is cancelled again
    broken: str = ""  # which loop ended before its time, and why
    stopping: bool = False
    _tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _death: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def loops(self) -> dict[str, bool]:
        """Every loop by name, and whether it runs."""
        return {name: not task.done() for name, task in self._tasks.items()}

    @property
    def leases_lost(self) -> int:
        """Jobs taken back from silent workers, and results that came too late, in this process."""
        late = self.worker.counters.lost if self.worker is not None else 0
        return self.sweeper.taken_back + late

    def start(self) -> None:
        """Set every loop going."""
        gc.set_threshold(50_000, 20, 20)  # folding makes many objects and no cycles: a seventh of its time
        parts: list[tuple[str, Loop]] = [
            ("owner", self.owner),
            ("casting", self.casting),
            ("sweeper", self.sweeper),
            *self.beside,
        ]
        if self.worker is not None:
            parts.append(("worker", self.worker))
        for name, part in parts:
            task = asyncio.create_task(part.run(), name=f"engine:{name}")
            task.add_done_callback(partial(self._died, name))
            self._tasks[name] = task

    def _died(self, name: str, task: "asyncio.Task[None]") -> None:
        if self.stopping:
            return
        failure = None if task.cancelled() else task.exception()
        reason = f"{type(failure).__name__}: {failure}" if failure is not None else "it ended"
        self.broken = self.broken or f"the {name} stopped working ({reason})"
        log.error("a loop of the engine died", loop=name, exc_info=failure)
        self._death.set()

    async def death(self) -> str:
        """Wait until a loop ends before its time; returns which and why."""
        await self._death.wait()
        return self.broken

    async def stop(self, *, drain_s: float | None = None) -> bool:
        """Let the worker finish what it holds, at most for ``drain_s``; end every loop.

        Returns:
            Whether everything that was held has been finished; what was not goes back to the queue.
        """
        self.stopping = True
        finished = True
        working = self._tasks.get("worker")
        if self.worker is not None and working is not None:
            self.worker.drain()
            _, late = await asyncio.wait([working], timeout=drain_s)
            finished = not late
        left = set(self._tasks.values())
        while left:  # a cancellation that arrives together with a driver's answer may be swallowed
            for task in left:
                task.cancel()
            _, left = await asyncio.wait(left, timeout=self.patience_s)
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        return finished

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator["Engine"]:
        """Running while the block runs; a loop that dies ends the block.

        Raises:
            Unavailable: a loop of the engine died; the log says more.
        """
        body = asyncio.current_task()
        self.start()
        watch = asyncio.create_task(self._end_with(body))
        try:
            yield self
        except asyncio.CancelledError:
            if not self.broken or body is None or body.uncancel() > 0:
                raise
            raise Unavailable(f"{self.broken}: see the log, and start again") from None
        finally:
            watch.cancel()
            await self.stop()

    async def _end_with(self, body: "asyncio.Task[object] | None") -> None:
        await self.death()
        if body is not None:
            body.cancel()
