"""Processes that work on a cook and may be killed: forked from a server that has imported everything.

Where a process dies is decided here, by the store that it is given: the product
knows nothing of it.
"""

import asyncio
import multiprocessing
import os
import random
import signal
import sys
import traceback
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Self

import structlog

from cauldron.domain.errors import Duplicate, StaleVersion
from cauldron.persistence.jobs import JobStore
from cauldron.persistence.leases import Leases
from cauldron.ports.storage import Doc
from cauldron.services.piece_jobs import ends_of
from tests.kitchen import Kitchen, failure, kitchen, new_id, step, success, wall_ms

LEASE_MS = 400
SLEEPY_S = 0.5  # long enough to be stopped in
FORKS = multiprocessing.get_context("forkserver")
WORKER_POINTS = tuple(
    f"{when}:{what}" for what in ("claim", "run", "settle", "waiting", "beat") for when in ("before", "after")
)
OWNER_POINTS = tuple(
    f"{when}:{what}"
    for what in ("append", "project", "status", "finish", "enqueue", "lease", "queued")
    for when in ("before", "after")
)


@dataclass(frozen=True)
class Fate:
    """Where a process dies: at the ``nth`` passing of ``point``; never when it is empty."""

    point: str = ""
    nth: int = 1


@dataclass
class Doom:
    """A tap that kills its own process as fate has it."""

    fate: Fate
    passed: int = 0

    async def __call__(self, point: str) -> None:
        if point == self.fate.point:
            self.passed += 1
            if self.passed == self.fate.nth:
                os.kill(os.getpid(), signal.SIGKILL)


class Mortal:
    """An executor with points before and after a run; some pieces fail at first, some for good."""

    def __init__(self, tap: Callable[[str], Awaitable[None]], folder: Path, *, takes_s: float = 0.0) -> None:
        self._tap = tap
        self._starts = (folder / "starts").open("a", buffering=1)
        self._takes_s = takes_s

    async def run(self, job: Doc) -> dict[str, Any]:
        self._starts.write(f"{job['_id']}\n")
        await self._tap("before:run")
        if self._takes_s:
            await asyncio.sleep(self._takes_s)
        piece = job["piece"]
        if self._takes_s >= SLEEPY_S:
            return success(job) | {"steps": [step(job, inputs={"by": os.getpid()})]}
        if piece % 40 == 0:
            return failure(job)
        result = failure(job, retryable=True) if piece % 9 == 0 and job["attempt"] == 1 else success(job)
        await self._tap("after:run")
        return result


class Hasty(JobStore):
    """A queue with the commit order broken on purpose: jobs are done before their events are appended."""

    async def settled(self, parent: str, *, limit: int) -> list[Doc]:
        jobs = await super().settled(parent, limit=limit)
        if jobs:
            await self.finish(ends_of(jobs), now=wall_ms())
        return jobs


class Obstinate(Leases):
    """Leases that are never lost in the eyes of their holder."""

    async def acquire(self, name: str) -> bool:
        return True

    async def release(self, name: str) -> None:
        return None


def parts_of(role: str, k: Kitchen, tap: Callable[[str], Awaitable[None]]) -> list[Any]:
    """What a process of this role runs."""
    if role == "worker":
        return [k.worker(Mortal(tap, k.blobs.parent), slots=4, lease_ms=LEASE_MS)]
    if role == "sleepy worker":
        return [k.worker(Mortal(tap, k.blobs.parent, takes_s=SLEEPY_S), slots=4, lease_ms=LEASE_MS)]
    if role == "slow worker":
        return [k.worker(Mortal(tap, k.blobs.parent, takes_s=0.002), slots=8, lease_ms=15_000)]
    owner = k.owner(window=60, lease_ms=LEASE_MS)
    if role == "hasty owner":
        owner.jobs = Hasty(k.store, k.jobs.table, max_lost=1_000)
    if role == "obstinate owner":
        owner.leases = Obstinate(k.store, holder=new_id(), clock=wall_ms)
        count_refusals(k)
    return [owner, k.sweeper()]


def count_refusals(k: Kitchen) -> None:
    """Note every refused append in a file beside the store."""
    append, path = k.streams.append, k.blobs.parent / "refused"

    async def counted(commit: dict[str, Any]) -> None:
        try:
            await append(commit)
        except (StaleVersion, Duplicate):
            with path.open("a") as file:
                file.write(f"{commit['_id']}\n")
            raise

    k.streams.append = counted  # an instance of this test's own


def lived(folder: Path, life: Coroutine[Any, Any, None]) -> None:
    """The whole life of a process; what it says and what it dies of goes to a log in ``folder``."""
    log = (folder / "log").open("a", buffering=1)
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(log))
    os.dup2(log.fileno(), 2)
    try:
        asyncio.run(life)
    except BaseException:
        traceback.print_exc(file=log)
        sys.exit(3)


def live(role: str, folder: str, fate: Fate) -> None:
    """The whole life of a process of this role."""
    lived(Path(folder), _live(role, Path(folder), fate))


async def _live(role: str, folder: Path, fate: Fate) -> None:
    doom = Doom(fate)
    async with kitchen(folder, tap=doom) as k:
        parts = parts_of(role, k, doom)
        async with asyncio.TaskGroup() as group:
            for part in parts:
                group.create_task(part.run())
            with (folder / "up").open("a") as file:
                file.write(f"{os.getpid()}\n")


@dataclass
class Crew:
    """Processes of one store; those that die are counted and replaced."""

    folder: Path
    roles: dict[str, str]  # name -> role
    rng: random.Random
    fates: Callable[["Crew", str], Fate]
    kills: int = 0
    by_point: dict[str, int] = field(default_factory=dict)
    _alive: dict[str, tuple[BaseProcess, Fate]] = field(default_factory=dict)

    def __enter__(self) -> Self:
        for name in self.roles:
            self._spawn(name)
        return self

    def __exit__(self, *failure: object) -> None:
        for process, _ in self._alive.values():
            process.kill()
        for process, _ in self._alive.values():
            process.join()

    def _spawn(self, name: str, fate: Fate | None = None) -> None:
        fate = fate if fate is not None else self.fates(self, name)
        process = FORKS.Process(target=live, args=(self.roles[name], str(self.folder), fate), daemon=True)
        process.start()
        self._alive[name] = (process, fate)

    def add(self, name: str, role: str) -> None:
        """One more."""
        self.roles[name] = role
        self._spawn(name)

    def pid(self, name: str) -> int:
        pid = self._alive[name][0].pid
        assert pid is not None
        return pid

    def is_up(self, name: str) -> bool:
        """Whether its parts run."""
        path = self.folder / "up"
        return path.exists() and str(self.pid(name)) in path.read_text().split()

    def look(self) -> None:
        """Count the dead and replace them. Whoever ended otherwise than by SIGKILL is a failure."""
        for name, (process, fate) in list(self._alive.items()):
            if process.exitcode is None:
                continue
            ended = f"{name} ended with {process.exitcode}:\n"
            assert process.exitcode == -signal.SIGKILL, ended + self.log()[-4000:]
            self._count(fate.point or "at random")
            process.join()
            self._spawn(name)

    def kill(self, name: str) -> None:
        """SIGKILL a process wherever it is."""
        self._alive[name][0].kill()

    def _count(self, point: str) -> None:
        self.kills += 1
        self.by_point[point] = self.by_point.get(point, 0) + 1

    def spare(self) -> None:
        """From here on nobody is doomed: the dead and the doomed are replaced by those who live."""
        self.fates = lambda crew, name: Fate()
        for name, (process, fate) in list(self._alive.items()):
            if fate.point or process.exitcode is not None:
                process.kill()
                process.join()
                self._spawn(name)

    def log(self, name: str = "log") -> str:
        """What the processes wrote down: ``log``, ``starts`` of jobs, ``refused`` appends."""
        path = self.folder / name
        return path.read_text() if path.exists() else ""


def at_named_points(crew: Crew, name: str) -> Fate:
    """The point of that role that has been died at least, some passings from now; or anywhere."""
    points = WORKER_POINTS if "worker" in crew.roles[name] else OWNER_POINTS
    if crew.rng.random() < 0.15:
        return Fate()
    least = min(crew.by_point.get(point, 0) for point in points)
    rarest = [point for point in points if crew.by_point.get(point, 0) == least]
    point = crew.rng.choice(rarest if crew.rng.random() < 0.5 else list(points))
    return Fate(point, crew.rng.randint(1, 4))


def preload() -> None:
    """Have the server of forks import everything once."""
    FORKS.set_forkserver_preload(["tests.flows.killable"])
