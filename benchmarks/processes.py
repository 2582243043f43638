"""Commands run by a benchmark, with the time, processor time and memory of everything they start."""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.harness import memory_mb

ROOT = Path(__file__).parents[1]
SAMPLE_S = 0.25


@dataclass(slots=True, kw_only=True)
class Ran:
    """One command that has ended."""

    answer: Mapping[str, Any]  # the JSON it printed
    wall_s: float
    cpu_s: float  # user and system, its children included
    core_mb: list[float] = field(default_factory=list)  # PSS of the process itself, sampled
    all_mb: list[float] = field(default_factory=list)  # of it and everything it started, sampled


def cauldron(*args: str, home: Path) -> Ran:
    """Run ``cauldron ARGS --json`` with its data in ``home``.

    Raises:
        RuntimeError: it failed; what it said is in the message.
    """
    command = [sys.executable, "-c", "from cauldron.cli.app import main; main()", *args, "--json"]
    env = os.environ | {"CAULDRON_HOME": str(home), "PYTHONPATH": str(ROOT)}
    before, start = os.times(), time.perf_counter()
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as talk:
        process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=said, stderr=talk)
        sampler = _Sampler(process.pid)
        status = process.wait()
        core_mb, all_mb = sampler.end()
        wall_s, after = time.perf_counter() - start, os.times()
        said.seek(0)
        talk.seek(0)
        if status:
            raise RuntimeError(f"cauldron {' '.join(args)}: {talk.read().decode()[-2000:]}")
        answer = json.loads(said.read() or b"{}")
    cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
    return Ran(answer=answer, wall_s=wall_s, cpu_s=cpu_s, core_mb=core_mb, all_mb=all_mb)


class _Sampler:
    """Looks at a process and its descendants until told to end."""

    def __init__(self, pid: int) -> None:
        self._pid, self._ended = pid, threading.Event()
        self._core_mb: list[float] = []
        self._all_mb: list[float] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._ended.wait(SAMPLE_S):
            try:
                core = memory_mb(self._pid)
            except (OSError, StopIteration):
                continue
            self._core_mb.append(core)
            self._all_mb.append(core + sum(_alive_mb(pid) for pid in descendants(self._pid)))

    def end(self) -> tuple[list[float], list[float]]:
        self._ended.set()
        self._thread.join()
        return self._core_mb, self._all_mb


def _alive_mb(pid: int) -> float:
    try:
        return memory_mb(pid)
    except (OSError, StopIteration):
        return 0.0  # it has ended meanwhile


def descendants(pid: int) -> Sequence[int]:
    """Processes that ``pid`` started, and theirs (Linux)."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = [int(word) for word in task.read_text().split()]
        except OSError:
            continue
        for child in children:
            found += [child, *descendants(child)]
    return found
