"""Agenda on MongoDB as a peer of the durable path: run unchanged from ``AGENDA_DIR`` on the same mongod.

``AGENDA_DIR`` is a folder in which ``npm install agenda @agendajs/mongo-backend mongodb`` was run. Nothing is
written to it: the run happens in a temporary folder that links to its packages and holds one script of ours.
One producer, worker processes with ten jobs at once each, change streams as the doorbell, the driver's own
write concern (majority), a 200-byte payload.

    python -m benchmarks.agenda [JOBS] [WORKERS]
"""

import argparse
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.collection import Collection

from benchmarks.harness import MissingPeer
from tests.mongod import ReplicaSet, database, single

SCRIPT = Path(__file__).with_name("agenda_peer.mjs")
PACKAGES = ("agenda", "@agendajs/mongo-backend", "mongodb")
JOBS = "agendaJobs"
UP_S, DEADLINE_S = 30.0, 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AgendaRates:
    """What Agenda did in one run."""

    version: str
    workers: int
    jobs: int
    live_per_s: float  # first enqueue to last end, producer and workers at once
    drain_per_s: float  # ends on a backlog


def packages_folder() -> Path:
    """The folder from ``AGENDA_DIR``.

    Raises:
        MissingPeer: it is not set, its packages are not installed, or there is no node.
    """
    name = os.environ.get("AGENDA_DIR")
    if not name:
        raise MissingPeer("set AGENDA_DIR to a folder with Agenda's packages (see benchmarks/README.md)")
    folder = Path(name).resolve()
    for package in PACKAGES:
        if not (folder / "node_modules" / package / "package.json").exists():
            raise MissingPeer(f"AGENDA_DIR has no node_modules/{package}")
    if shutil.which("node") is None:
        raise MissingPeer("node is not installed")
    return folder


def measure_agenda(nodes: ReplicaSet, *, jobs: int = 1000, workers: int = 2) -> AgendaRates:
    """``jobs`` live, then ``jobs`` from a backlog, each on a database of its own.

    Raises:
        MissingPeer: Agenda is not there.
        RuntimeError: a job was lost, or the run took longer than five minutes.
    """
    folder = packages_folder()
    manifest = folder / "node_modules" / "agenda" / "package.json"
    with tempfile.TemporaryDirectory(prefix="agenda-") as name:
        place = Path(name)
        (place / "node_modules").symlink_to(folder / "node_modules")
        shutil.copy(SCRIPT, place / SCRIPT.name)
        return AgendaRates(
            version=str(json.loads(manifest.read_text())["version"]),
            workers=workers,
            jobs=jobs,
            live_per_s=_live(place, nodes, jobs=jobs, workers=workers),
            drain_per_s=_drain(place, nodes, jobs=jobs, workers=workers),
        )


def _live(place: Path, nodes: ReplicaSet, *, jobs: int, workers: int) -> float:
    with database(nodes) as url, _workers(place, url, workers):
        began = _produce(place, url, jobs)
        return jobs / (_last_end(url, jobs) - began)


def _drain(place: Path, nodes: ReplicaSet, *, jobs: int, workers: int) -> float:
    with database(nodes) as url:
        _produce(place, url, jobs)
        with _workers(place, url, workers):
            last = _last_end(url, jobs)
            return jobs / (last - _instant(url, "lastRunAt", first=True))


def _command(what: str, url: str, count: int = 0) -> list[str]:
    return ["node", SCRIPT.name, what, url, str(count)]


def _produce(place: Path, url: str, jobs: int) -> float:
    """Enqueue one by one; the instant before the first, in seconds since 1970."""
    command = _command("produce", url, jobs)
    done = subprocess.run(
        command, cwd=place, stdout=subprocess.PIPE, text=True, check=True, timeout=DEADLINE_S
    )
    return int(done.stdout) / 1000


@contextmanager
def _workers(place: Path, url: str, count: int) -> Iterator[None]:
    """Worker processes that have said that they are up."""
    made = [
        subprocess.Popen(_command("work", url), cwd=place, stdout=subprocess.PIPE, text=True)
        for _ in range(count)
    ]
    try:
        for process in made:
            assert process.stdout is not None
            if process.stdout.readline().strip() != "up":
                raise RuntimeError("a worker of Agenda did not start")
        yield
    finally:
        for process in made:
            process.terminate()
        for process in made:
            try:
                process.wait(timeout=UP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _last_end(url: str, jobs: int) -> float:
    """Wait until every job has ended; the instant of the last end in seconds since 1970."""
    until = time.monotonic() + DEADLINE_S
    with MongoClient[dict[str, Any]](url, tz_aware=True) as client:
        found: Collection[dict[str, Any]] = client.get_default_database()[JOBS]
        ended = {"lastFinishedAt": {"$ne": None}}
        while (count := found.count_documents(ended)) < jobs:
            if time.monotonic() > until:
                raise RuntimeError(f"Agenda ended {count} of {jobs} jobs in {DEADLINE_S:.0f} s")
            time.sleep(0.25)
    return _instant(url, "lastFinishedAt", first=False)


def _instant(url: str, field: str, *, first: bool) -> float:
    """The first or last instant in a field of the jobs, in seconds since 1970."""
    with MongoClient[dict[str, Any]](url, tz_aware=True) as client:
        found = client.get_default_database()[JOBS].find({}, {field: 1}).sort(field, 1 if first else -1)
        return float(found[0][field].timestamp())


def main() -> None:
    """Measure Agenda alone and print the figures."""
    parser = argparse.ArgumentParser(description="Agenda on MongoDB, woken by change streams.")
    parser.add_argument("jobs", type=int, nargs="?", default=1000)
    parser.add_argument("workers", type=int, nargs="?", default=2)
    args = parser.parse_args()
    packages_folder()
    print(measure_agenda(single(), jobs=args.jobs, workers=args.workers))


if __name__ == "__main__":
    main()
