"""What every benchmark shares: the machine beside the figures, and one file of results each.

A row is ``{name, ours, peer, peerName, ratio, unit, machine}``. ``ratio`` is how many times
better ours is: peer ÷ ours where less is better (``ms``, ``s``, ``MB``), ours ÷ peer where more is
(units that end in ``/s``). Rows of one file come from one run, so ratios inside it are safe.
"""

import json
import os
import platform
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
BLOCK_BYTES = 4096


class MissingPeer(SystemExit):
    """What we are measured against is not there: an error, never a skip (exit 2)."""

    def __init__(self, message: str) -> None:
        print(f"missing peer: {message}", file=sys.stderr)
        super().__init__(2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure: ours beside a peer's, or beside a bound that must be kept.

    Without a peer ``peer`` is the bound itself and ``peer_name`` says so ("must be at most").
    """

    name: str
    ours: float
    peer: float | None
    peer_name: str
    unit: str  # "ms/piece", "pieces/s", "MB"

    @property
    def ratio(self) -> float | None:
        """How many times better ours is, or None without a peer."""
        if not self.peer or not self.ours:
            return None
        return self.ours / self.peer if self.unit.endswith("/s") else self.peer / self.ours


def machine(folder: Path | None = None) -> dict[str, Any]:
    """The machine the figures were taken on, with its raw fsync rate just now."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memoryMb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1_000_000,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "loadAverage": [round(load, 2) for load in os.getloadavg()],
        "fsync": fsync_rate(folder),
    }


def _cpu_model() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.processor() or "unknown"
    names = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"


def fsync_rate(folder: Path | None = None, *, seconds: float = 1.0) -> dict[str, float]:
    """Overwrite one 4 KiB block and ``fdatasync`` it, for ``seconds``: rate, p50 and p99 in µs.

    ``folder`` should lie on the disk that the benchmark writes to.
    """
    sync = getattr(os, "fdatasync", os.fsync)
    block, took = os.urandom(BLOCK_BYTES), []
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(block)
        file.flush()
        sync(file.fileno())
        end = time.perf_counter() + seconds
        while (start := time.perf_counter()) < end:
            os.pwrite(file.fileno(), block, 0)
            sync(file.fileno())
            took.append(time.perf_counter() - start)
    cuts = statistics.quantiles(took, n=100) if len(took) > 1 else took * 99
    return {
        "perSecond": round(len(took) / sum(took)),
        "p50Us": round(cuts[49] * 1e6),
        "p99Us": round(cuts[98] * 1e6),
    }


def record(name: str, rows: Sequence[Row], *, notes: dict[str, Any] | None = None) -> Path:
    """Write ``results/<name>.json`` and print a line per row; returns the file's path."""
    where = machine() | (notes or {})
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    body = [_public(row, where) for row in rows]
    path.write_text(json.dumps(body, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    for row in rows:
        print(line(row))
    return path


def _public(row: Row, where: dict[str, Any]) -> dict[str, Any]:
    fields = asdict(row)
    ratio = None if row.ratio is None else round(row.ratio, 2)
    return {
        "name": row.name,
        "ours": _rounded(row.ours),
        "peer": _rounded(row.peer),
        "peerName": fields["peer_name"],
        "ratio": ratio,
        "unit": row.unit,
        "machine": where,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.5g}")


def plain_json(value: object) -> bytes:
    """A document as JSON text."""
    return json.dumps(value, ensure_ascii=False).encode()


def line(row: Row) -> str:
    """A row to be read by a person."""
    peer = "" if row.peer is None else f" · {row.peer_name} {row.peer:,.4g}"
    ratio = "" if row.ratio is None else f" · {row.ratio:.2f}×"
    return f"{row.name}: {row.ours:,.4g} {row.unit}{peer}{ratio}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """The best and the median of several runs, wall and CPU of this process, in seconds."""

    best_s: float
    median_s: float
    best_cpu_s: float


def timed(work: Callable[[], object], *, runs: int = 3) -> Timing:
    """Run ``work`` several times; the best run is the one least disturbed by neighbours."""
    walls, cpus = [], []
    for _ in range(runs):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return Timing(best_s=min(walls), median_s=statistics.median(walls), best_cpu_s=min(cpus))


def memory_mb(pid: int | None = None) -> float:
    """Proportional set size of one process in MB (Linux), shared pages counted by share."""
    text = Path(f"/proc/{pid or os.getpid()}/smaps_rollup").read_text()
    kilobytes = next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
    return kilobytes * 1024 / 1e6
