"""Huey on SQLite as a peer of the durable path: WAL, fsync at every commit, real consumers.

The job is a no-op with a 200-byte payload whose result is stored. Consumers are separate
processes with one worker thread each, polling every 20–100 ms (its default is 100 ms – 10 s,
which would only be slower). Rates come from the instants at which jobs started.

    python -m benchmarks.queue_peers [JOBS] [WORKERS]
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness import MissingPeer

PAYLOAD = "x" * 200
POLL_S, POLL_MAX_S = 0.02, 0.1
DEADLINE_S = 120.0

Start = tuple[float, float, int]  # instants asked and started (s, monotonic), process


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueRates:
    """What one engine did in one run."""

    engine: str
    workers: int
    jobs: int
    enqueue_per_s: float  # one by one, no worker up
    drain_per_s: float  # starts on that backlog
    live_per_s: float  # first enqueue to last result, producer and workers at once
    p50_ms: float  # enqueue to start, jobs paced at 25/s
    p99_ms: float

    @property
    def best_per_s(self) -> float:
        """The figure most favourable to the engine: what ours is put beside."""
        return max(self.drain_per_s, self.live_per_s)


def huey_rate(n: int, workers: int = 2, *, folder: Path | None = None) -> float:
    """Jobs per second of Huey with SQLite and fsync: the better of its drain and live figures."""
    return measure_huey(n, workers=workers, folder=folder).best_per_s


def measure_huey(n: int, *, workers: int = 2, folder: Path | None = None, paced: int = 100) -> QueueRates:
    """Enqueue and drain ``n`` jobs, then ``n`` more live, then ``paced`` at low load.

    ``folder`` is where the database is made (the disk to be measured); a temporary one by default.

    Raises:
        MissingPeer: Huey is not installed (``make setup-bench`` installs it).
        RuntimeError: a job was lost or the run took longer than two minutes.
    """
    with tempfile.TemporaryDirectory(dir=folder, prefix="huey-") as name:
        file = Path(name) / "huey.db"
        queue, noop = _queue(file)
        enqueue_s = _enqueue(noop, n)
        with _consumers(file, workers):
            drained = _results(queue, n)
        with _consumers(file, workers):
            _warm_up(queue, noop, workers)
            began = time.monotonic()
            _enqueue(noop, n)
            live = _results(queue, n)
            waits = sorted(_paced(queue, noop, paced)) if paced else [0.0]
    return QueueRates(
        engine=f"Huey {_version()} (SQLite WAL, fsync)",
        workers=workers,
        jobs=n,
        enqueue_per_s=n / enqueue_s,
        drain_per_s=_rate(drained),
        live_per_s=n / (max(started for _, started, _ in live) - began),
        p50_ms=waits[len(waits) // 2] * 1e3,
        p99_ms=waits[min(len(waits) - 1, len(waits) * 99 // 100)] * 1e3,
    )


def _queue(file: Path) -> tuple[Any, Any]:
    try:
        from huey import SqliteHuey
    except ImportError:
        raise MissingPeer("huey is not installed; run `make setup-bench`") from None
    queue = SqliteHuey("peer", filename=str(file), fsync=True, journal_mode="wal", timeout=60)

    def noop(payload: str, asked: float) -> Start:
        return asked, time.monotonic(), os.getpid()

    noop.__module__ = "queue_peers"  # its name in the queue, also where this file is the program
    return queue, queue.task(name="noop")(noop)


def _version() -> str:
    import huey

    return str(huey.__version__)


def _enqueue(noop: Any, n: int) -> float:
    start = time.monotonic()
    for _ in range(n):
        noop(PAYLOAD, time.monotonic())
    return time.monotonic() - start


def _rate(starts: Sequence[Start]) -> float:
    """Starts per second from the moment the last worker had joined."""
    first: dict[int, float] = {}
    for _, started, pid in starts:
        first[pid] = min(started, first.get(pid, started))
    joined, end = max(first.values()), max(started for _, started, _ in starts)
    return sum(started > joined for _, started, _ in starts) / (end - joined)


def _results(queue: Any, n: int) -> list[Start]:
    """Wait for ``n`` stored results and take them out."""
    end = time.monotonic() + DEADLINE_S
    while (stored := queue.storage.result_store_size()) < n:
        if time.monotonic() > end:
            raise RuntimeError(f"Huey stored {stored} of {n} results in {DEADLINE_S:.0f} s")
        time.sleep(0.02)
    raw = queue.storage.result_items().values()
    found = [tuple(queue.serializer.deserialize(value)) for value in raw]
    queue.storage.flush_results()
    if len(found) != n:
        raise RuntimeError(f"Huey stored {len(found)} results for {n} jobs")
    return found


def _warm_up(queue: Any, noop: Any, workers: int) -> None:
    _enqueue(noop, 50 * workers)
    _results(queue, 50 * workers)


def _paced(queue: Any, noop: Any, jobs: int) -> list[float]:
    for _ in range(jobs):
        noop(PAYLOAD, time.monotonic())
        time.sleep(0.04)
    return [started - asked for asked, started, _ in _results(queue, jobs)]


@contextmanager
def _consumers(file: Path, workers: int) -> Iterator[Sequence[subprocess.Popen[bytes]]]:
    command = [sys.executable, "-m", "benchmarks.queue_peers", "--consume", str(file)]
    root = Path(__file__).parents[1]
    running = [subprocess.Popen(command, cwd=root, stderr=subprocess.DEVNULL) for _ in range(workers)]
    try:
        yield running
    finally:
        for process in running:
            process.send_signal(signal.SIGTERM)
        for process in running:
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _consume(file: Path) -> None:
    queue, _ = _queue(file)
    queue.create_consumer(
        workers=1, periodic=False, initial_delay=POLL_S, max_delay=POLL_MAX_S, backoff=1.15
    ).run()


def main() -> None:
    """Measure Huey alone and print the figures."""
    parser = argparse.ArgumentParser(description="Huey on SQLite with fsync.")
    parser.add_argument("jobs", type=int, nargs="?", default=5000)
    parser.add_argument("workers", type=int, nargs="?", default=2)
    parser.add_argument("--consume", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.consume:
        _consume(args.consume)
    else:
        print(measure_huey(args.jobs, workers=args.workers))


if __name__ == "__main__":
    main()
