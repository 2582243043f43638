"""Processes that make a cook's pieces within its budget and may be killed around the marks of that budget.

Points are counted from a mark: the append that tells it is 0 before and 1 after; then come the writes
that follow, before and after each.
"""

import asyncio
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cauldron.domain.cook_state import Cook
from cauldron.domain.events import Event
from cauldron.ports.storage import Doc, Insert, Op
from cauldron.services.dispatch import Decider
from tests.flows.killable import FORKS, LEASE_MS, lived
from tests.kitchen import COOKS, Kitchen, Tapped, kitchen, step, success

TOLD = ("BudgetReached", "BudgetExhausted")
PIECE_MICRO_USD = 100
MARKS = HALF, MOST, ALL = 50, 80, 100


@dataclass(frozen=True)
class Doomed:
    """Where a process dies: at the ``nth`` point from the mark of ``percent`` on; never at 0 percent."""

    percent: int = 0
    nth: int = 0


class Around(Tapped):
    """A store that kills its process at a point counted from a mark."""

    def __init__(self, inner: Any, fate: Doomed) -> None:
        super().__init__(inner, self._pass)
        self._fate = fate
        self._passed = -1  # points since the mark; -1: it is not reached

    async def commit(self, ops: Sequence[Op], *, atomic: bool = True) -> list[Exception | None]:
        reached = self._passed >= 0 or any(self._fate.percent in marks_in(op) for op in ops)
        if not (ops and reached and self._fate.percent):
            return await self.inner.commit(ops, atomic=atomic)
        await self._pass("before")
        outcome = await self.inner.commit(ops, atomic=atomic)
        await self._pass("after")
        return outcome

    async def _pass(self, point: str) -> None:
        if point not in ("before", "after"):  # claims and the like
            return
        self._passed += 1
        if self._passed == self._fate.nth:
            os.kill(os.getpid(), signal.SIGKILL)


def marks_in(op: Op) -> list[int]:
    """The marks that a commit of a cook tells."""
    events = op.doc.get("events", ()) if isinstance(op, Insert) else ()
    return [mark_of(event) for event in events if event["type"] in TOLD]


def mark_of(event: Any) -> int:
    """The percent that an event tells."""
    return ALL if event["type"] == "BudgetExhausted" else int(event["data"]["percent"])


class Costly:
    """An executor whose every piece costs the same."""

    async def run(self, job: Doc) -> dict[str, Any]:
        return success(job) | {"steps": [step(job, costMicroUsd=PIECE_MICRO_USD)]}


def forgetful() -> Decider[Cook]:
    """The rule broken on purpose: what was told is remembered by the process, not read from the stream."""
    told: set[int] = set()

    def decide(cook: Cook, command: Any) -> list[Event]:
        if cook.spending is None:
            return COOKS.decide(cook, command)
        known, cook.spending.told = cook.spending.told, set(told)
        try:
            events = COOKS.decide(cook, command)
        finally:
            cook.spending.told = known
        told.update(mark_of(event._asdict()) for event in events if event.type in TOLD)
        return events

    return replace(COOKS, decide=decide)


def live(folder: str, fate: Doomed, forgets: bool) -> None:
    """The whole life of a process: it owns the cook and makes its pieces."""
    lived(Path(folder), _live(Path(folder), fate, forgets=forgets))


async def _live(folder: Path, fate: Doomed, *, forgets: bool) -> None:
    async with kitchen(folder) as plain:
        k = Kitchen(Around(plain.store, fate), folder / "blobs")
        if forgets:
            k.cooks._decider = forgetful()  # an instance of this test's own
        worker = k.worker(Costly(), slots=2, lease_ms=LEASE_MS)
        async with asyncio.TaskGroup() as group:
            for part in (k.owner(window=6, lease_ms=LEASE_MS), worker, k.sweeper()):
                group.create_task(part.run())


def begin(folder: Path, fate: Doomed, *, forgets: bool = False) -> Any:
    """Start such a process."""
    process = FORKS.Process(target=live, args=(str(folder), fate, forgets), daemon=True)
    process.start()
    return process


def preload() -> None:
    """Have the server of forks import everything once."""
    FORKS.set_forkserver_preload(["tests.flows.killable_budget"])
