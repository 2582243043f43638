"""A pool of member processes that run CPU tools; a member that hangs or dies is replaced.

Frames are a four-byte big-endian length and that many bytes of JSON, on the
member's stdin and stdout. A member leaves when its stdin ends, so none outlives
the process that started it.
"""

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
import structlog

log = structlog.get_logger("cauldron.pool")
DEPTH = 2  # calls handed to a member at once, so that it never waits for the next one
FRAME_LIMIT = 64 * 1024 * 1024  # bytes
AFTER_FAULT_S = 1.0  # before a member that could not be started is tried again


@dataclass(slots=True)
class _Call:
    body: bytes
    timeout_s: float
    answer: asyncio.Future[Mapping[str, Any]]


@dataclass(slots=True)
class Pool:
    """``size`` member processes, started when first needed."""

    command: Sequence[str]  # how a member is started
    size: int
    _waiting: deque[_Call] = field(default_factory=deque)
    _more: asyncio.Condition = field(default_factory=asyncio.Condition)
    _idle: int = 0
    _members: list[asyncio.Task[None]] = field(default_factory=list)
    _processes: set[asyncio.subprocess.Process] = field(default_factory=set)
    _endings: set[asyncio.Task[None]] = field(default_factory=set)

    async def call(self, request: Mapping[str, Any], *, timeout_s: float) -> Mapping[str, Any]:
        """Have a member answer ``request``.

        Returns:
            The member's answer, or ``{"failure": "timeout" | "crashed"}`` when it
            did not live to give one. ``timeout_s`` counts from the start of the work.
        """
        answer: asyncio.Future[Mapping[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Call(orjson.dumps(request), timeout_s, answer))
        self._start_members()
        await self._ring()
        return await answer

    async def close(self) -> None:
        """End every member; calls without an answer are told that theirs crashed."""
        members, self._members = self._members, []
        for task in members:
            task.cancel()
        await asyncio.gather(*members, return_exceptions=True)
        await asyncio.gather(*self._endings, return_exceptions=True)
        while self._waiting:
            _answer(self._waiting.popleft(), {"failure": "crashed"})

    @property
    def pids(self) -> list[int]:
        """Process ids of the living members."""
        return [p.pid for p in self._processes if p.returncode is None]

    def _start_members(self) -> None:
        self._members = [task for task in self._members if not task.done()]
        wanted = min(self.size, len(self._members) + len(self._waiting))
        while len(self._members) < wanted:
            self._members.append(asyncio.create_task(self._member()))

    async def _member(self) -> None:
        while True:
            await self._some_call()
            try:
                process = await self._spawn()
            except OSError as failure:  # no memory, no process to be had: the first in line hears of it
                log.error("pool member cannot be started", reason=str(failure))
                if self._waiting:
                    _answer(self._waiting.popleft(), {"failure": "crashed"})
                await asyncio.sleep(AFTER_FAULT_S)
                continue
            try:
                await self._serve(process)
            finally:
                ending = asyncio.create_task(self._end(process))
                self._endings.add(ending)
                ending.add_done_callback(self._endings.discard)
                await asyncio.shield(ending)

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        """Kill a member and wait until nothing is left of it: no zombie, no open pipe."""
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        with contextlib.suppress(TimeoutError):  # something it started may keep its pipes open
            async with asyncio.timeout(AFTER_FAULT_S):
                await process.communicate()
        await process.wait()
        self._processes.discard(process)

    async def _some_call(self) -> None:
        """Wait until there is a call that somebody still waits for."""
        self._idle += 1
        try:
            async with self._more:
                await self._more.wait_for(self._is_wanted)
        finally:
            self._idle -= 1

    def _is_wanted(self) -> bool:
        while self._waiting and self._waiting[0].answer.done():
            self._waiting.popleft()  # its caller has gone
        return bool(self._waiting)

    async def _spawn(self) -> asyncio.subprocess.Process:
        env = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        process = await asyncio.create_subprocess_exec(
            *self.command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=env,
            limit=FRAME_LIMIT,
        )
        self._processes.add(process)
        return process

    async def _serve(self, process: asyncio.subprocess.Process) -> None:
        """Hand calls to a member until it fails one or is found dead between two."""
        given: deque[_Call] = deque()
        try:
            while True:
                if not given:
                    await self._some_call()
                    if process.returncode is not None:
                        log.warning("pool member had died", pid=process.pid, status=process.returncode)
                        return
                self._hand_over(process, given)
                if not given:
                    continue
                reply = await _reply(process, given[0].timeout_s)
                _answer(given.popleft(), reply)
                if "failure" in reply:
                    log.warning("pool member replaced", pid=process.pid, failure=reply["failure"])
                    return
        finally:
            self._waiting.extendleft(reversed(given))
            await self._ring()

    def _hand_over(self, process: asyncio.subprocess.Process, given: deque[_Call]) -> None:
        writer = process.stdin
        while writer is not None and len(given) < DEPTH and self._is_wanted():
            if given and len(self._waiting) <= self._idle:
                return  # others have nothing to do
            call = self._waiting.popleft()
            given.append(call)
            with contextlib.suppress(ConnectionError):
                writer.write(len(call.body).to_bytes(4, "big") + call.body)

    async def _ring(self) -> None:
        async with self._more:
            self._more.notify_all()


def _answer(call: _Call, reply: Mapping[str, Any]) -> None:
    if not call.answer.done():
        call.answer.set_result(reply)


async def _reply(process: asyncio.subprocess.Process, timeout_s: float) -> Mapping[str, Any]:
    reader = process.stdout
    try:
        async with asyncio.timeout(timeout_s):
            if reader is None:
                return {"failure": "crashed"}
            size = int.from_bytes(await reader.readexactly(4), "big")
            if size > FRAME_LIMIT:
                return {"failure": "crashed"}
            body: Mapping[str, Any] = orjson.loads(await reader.readexactly(size))
            return body
    except TimeoutError:
        return {"failure": "timeout"}
    except (asyncio.IncompleteReadError, ConnectionError, ValueError):
        return {"failure": "crashed"}
