"""Walking a graph of steps: each once what it needs is there, side by side where they can be."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from cauldron.domain.events import StepRecord
from cauldron.domain.snapshot import PlannedStep

Carry = Callable[[PlannedStep], Awaitable[StepRecord]]


class StepFailed(Exception):
    """A step of the graph did not succeed; what needs it is not run."""

    def __init__(self, step: PlannedStep, record: StepRecord, *, tries: int) -> None:
        error = record.get("error") or {"code": record["status"], "message": "no reason given"}
        super().__init__(error["message"])
        message = f"{step.label}: {error['message']}"
        self.result: dict[str, Any] = {
            "status": "failed",
            "code": error["code"],
            "error": {"code": error["code"], "message": message, "step": step.id},
            "retryable": error.get("retryable") == "yes",
            "tries": tries,
        }


async def walk(
    plan: Sequence[PlannedStep],
    carry: Carry,
    *,
    results: dict[str, Mapping[str, Any]],
    steps: list[StepRecord],
    tries: Mapping[str, int],
) -> None:
    """Carry out every step that ``results`` does not hold yet, and add its outputs there.

    After a failure nothing more begins; what is under way still ends and is recorded
    in ``steps``, because it costs what it costs.

    Args:
        plan: each step after those it needs.
        steps: gets a record per step, in the order in which they end.
        tries: how often steps have failed before.

    Raises:
        StepFailed: of the steps that failed the one that comes first in the plan.
    """
    walking = _Walking(plan, carry, results, steps)
    try:
        await walking.run()
    finally:
        await walking.abandon()
    if walking.failed:
        failed = min(walking.failed, key=lambda each: plan.index(each[0]))
        raise StepFailed(*failed, tries=tries.get(failed[0].id, 0) + 1)


class _Walking:
    def __init__(
        self,
        plan: Sequence[PlannedStep],
        carry: Carry,
        results: dict[str, Mapping[str, Any]],
        steps: list[StepRecord],
    ) -> None:
        self.failed: list[tuple[PlannedStep, StepRecord]] = []
        self._waiting = [step for step in plan if step.id not in results]
        self._carry, self._results, self._steps = carry, results, steps
        self._running: dict[asyncio.Task[StepRecord], PlannedStep] = {}
        self._broken: BaseException | None = None

    async def run(self) -> None:
        while True:
            ready = self._take_ready()
            if len(ready) == 1 and not self._running:  # nothing goes on beside it: no task is needed
                self._note(ready[0], await self._carry(ready[0]))
                continue
            for step in ready:
                self._running[asyncio.ensure_future(self._carry(step))] = step
            if not self._running:
                break
            await self._one_ends()
        if self._broken is not None:
            raise self._broken

    def _take_ready(self) -> list[PlannedStep]:
        if self.failed or self._broken is not None:
            return []
        ready = [step for step in self._waiting if all(need in self._results for need in step.needs)]
        self._waiting = [step for step in self._waiting if step not in ready]
        return ready

    async def _one_ends(self) -> None:
        ended, _ = await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
        for task in ended:
            step = self._running.pop(task)
            failure = task.exception()
            if failure is not None:
                self._broken = self._broken or failure
            else:
                self._note(step, task.result())

    def _note(self, step: PlannedStep, record: StepRecord) -> None:
        if not any(record is each for each in self._steps):
            self._steps.append(record)
        if record["status"] == "success":
            self._results[step.id] = record["outputs"]
        else:
            self.failed.append((step, record))

    async def abandon(self) -> None:
        """Leave what still runs: this worker ends, another one goes on."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
