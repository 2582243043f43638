"""Carrying out one call: at once where the tool runs here, noted and polled where a provider runs it."""

import asyncio
import contextlib
from dataclasses import dataclass, replace

from cauldron.ports.tools import ToolCall, ToolResult, ToolRunner
from cauldron.services.journals import Gone, Journal

IMMEDIATE = frozenset({"local"})  # adapters whose runs end before ``submit`` returns, on their own clock
LEAST_WAIT_S, MOST_WAIT_S = 0.01, 30.0  # between two polls
CHECK_S = 0.5  # between two looks whether the run has been cancelled


@dataclass(frozen=True, slots=True)
class Submission:
    """A call of a step; ``known`` says that an earlier holder of the job may have submitted it."""

    runner: ToolRunner
    call: ToolCall
    step: str
    journal: Journal
    known: bool = False


async def carry_out(submission: Submission, *, grace_s: float) -> ToolResult:
    """The end of a call, whoever carries it out.

    A provider's run is noted before it is submitted and again once its id is known, so
    that whoever takes the job over goes on with it.

    Raises:
        Gone: the run was cancelled (the provider is told), or belongs to another worker.
    """
    call = submission.call
    if call.tool.adapter in IMMEDIATE:
        return await submission.runner.submit(call)
    if not submission.known:
        await submission.journal.submitted(submission.step, "")
    limit_s = call.tool.timeout_s + grace_s
    attached = _Attached(submission)
    try:
        async with asyncio.timeout(limit_s):
            return await attached.end()
    except TimeoutError:
        await attached.cancel()
        message = f"no answer within {call.tool.timeout_s:g} s"
        return ToolResult(status="timeout", error_code="timeout", error=message, retryable=True)
    except Gone:
        await attached.cancel()
        raise


class _Attached:
    """A call and the run of the provider that it is attached to."""

    def __init__(self, submission: Submission) -> None:
        self._of = submission
        self._call = submission.call

    async def end(self) -> ToolResult:
        result = await self._of.runner.submit(self._call)
        while result.status == "dispatched":
            if result.run_id and result.run_id != self._call.run_id:
                self._call = replace(self._call, run_id=result.run_id)
                await self._of.journal.submitted(self._of.step, result.run_id)
            await self._wait(result.wake_after_s)
            result = await self._of.runner.poll(self._call)
        return result if result.run_id else replace(result, run_id=self._call.run_id)

    async def _wait(self, wake_after_s: float) -> None:
        left_s = min(MOST_WAIT_S, max(LEAST_WAIT_S, wake_after_s))
        while left_s > 0:
            await self._of.journal.check()
            await asyncio.sleep(min(CHECK_S, left_s))
            left_s -= CHECK_S

    async def cancel(self) -> None:
        """Tell the provider that nobody waits any more; what it answers changes nothing."""
        if self._call.run_id is None:
            return
        with contextlib.suppress(Exception):  # it is a courtesy
            async with asyncio.timeout(CHECK_S):
                await self._of.runner.cancel(self._call)
