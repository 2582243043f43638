"""Live streams: thousands of clients of one server process, events from a log that another process writes.

Every client reads one of 100 cooks, ten events a second each, from their commit to the SQLite file to the
client's socket. The peer follows the same log with a queue per client (sse-starlette).
"""

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import orjson

from benchmarks import harness
from cauldron.bootstrap import Studio
from cauldron.config import Settings
from cauldron.domain.commands import StartCook

CLIENTS = int(os.environ.get("SSE_CLIENTS", "5000"))
TOPICS = 100
PER_S = 10.0
SECONDS = 10.0
FEW, STALLED, PAIRS = 500, 20, 3
WARM_S = 3.0
START = StartCook(
    key="", cook_id="", collection_id="k", collection_version="v", owner="local", amount=1000, slot_from=0,
    plan_hash="h", plan="p", config_hash="c", generator={"kind": "tool", "id": "test.noop"}, seed="s",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One run of one server."""

    per_second: float
    p50_ms: float
    p99_ms: float
    memory_mb: float
    connected_s: float
    core: float  # of one processor, while events were delivered
    dropped: int


async def prepare(home: Path) -> None:
    """Cooks to follow, with an empty log."""
    studio = Studio(Settings(home=home, processes=1))
    await studio.open()
    for n in range(TOPICS):
        command = replace(START, key=f"start:c{n}", cook_id=f"c{n}")
        await studio.cooking.command(f"c{n}", command, actor="bench")
    await studio.close()


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


@contextmanager
def process(module: str, *words: object, core: int | None = None) -> Iterator[subprocess.Popen[str]]:
    """A process of ours that ends with the block."""
    command = [sys.executable, "-m", module, *map(str, words)]
    # A server tells of every request: a pipe would fill.
    said = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the process
    running = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=said,
        text=True,
        preexec_fn=_die_with_parent,
    )
    running.stderr = said
    if core is not None and hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(running.pid, {cores[core % len(cores)]})
    try:
        yield running
    finally:
        running.kill()
        running.wait()


def _line(running: subprocess.Popen[str]) -> str:
    assert running.stdout is not None
    text = running.stdout.readline()
    if not text:
        running.wait(timeout=10)
        raise SystemExit(f"a process of the benchmark ended: {errors_of(running)[-2000:]}")
    return text


def errors_of(running: subprocess.Popen[str]) -> str:
    """What a process has said on stderr so far."""
    assert running.stderr is not None
    running.stderr.seek(0)
    return running.stderr.read()


def _json(running: subprocess.Popen[str]) -> dict[str, Any]:
    return dict(orjson.loads(_line(running)))


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(kind: str, *, clients: int = CLIENTS, stalled: int = 0) -> Measured:
    """Serve, connect, write, count."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        asyncio.run(prepare(Path(folder)))
        server = stack.enter_context(process("benchmarks.sse_servers", kind, folder, core=0))
        port = int(_line(server))
        length_s = WARM_S + SECONDS + 2
        with (
            process("benchmarks.sse_clients", "read", port, clients, TOPICS, SECONDS, core=1) as readers,
            process("benchmarks.sse_clients", "write", folder, TOPICS, PER_S, length_s, core=1) as writer,
        ):
            connected = _json(readers)
            if connected["open"] < clients:
                raise SystemExit(f"{kind}: only {connected['open']} of {clients} clients connected")
            _line(writer)
            if stalled:
                _line(stack.enter_context(process("benchmarks.sse_clients", "stall", port, stalled, 60)))
            _go(writer)
            time.sleep(WARM_S)
            before, began = _cpu_s(server.pid), time.monotonic()
            _go(readers)
            time.sleep(SECONDS / 3)
            memory = harness.memory_mb(server.pid)  # while those that stall are still there
            told = _json(readers)
            core = (_cpu_s(server.pid) - before) / (time.monotonic() - began)
        server.terminate()
        server.wait(timeout=20)
        dropped = errors_of(server).count("dropped: stalled")
    return Measured(
        per_second=told["perSecond"],
        p50_ms=told["p50Ms"],
        p99_ms=told["p99Ms"],
        memory_mb=memory,
        connected_s=connected["connectedS"],
        core=core,
        dropped=dropped,
    )


def _go(running: subprocess.Popen[str]) -> None:
    assert running.stdin is not None
    running.stdin.write("go\n")
    running.stdin.flush()


def main() -> None:
    """Ours, the peer, and ours beside a client that does not read."""
    if find_spec("sse_starlette") is None:
        raise harness.MissingPeer("sse-starlette: install the bench requirements")
    ours, peer = measure("ours"), measure("queues")
    few, beside = zip(*(_pair() for _ in range(PAIRS)), strict=True)
    print(ours, peer, *few, *beside, sep="\n", file=sys.stderr)
    who = "sse-starlette, a queue per client"
    rows = [
        _row(f"events delivered to {CLIENTS} clients", ours.per_second, peer.per_second, who, "events/s"),
        _row("p99 from commit to client", ours.p99_ms, peer.p99_ms, who, "ms"),
        _row(f"memory with {CLIENTS} clients", ours.memory_mb, peer.memory_mb, who, "MB"),
        _row("events delivered, bound", ours.per_second, 45_000, "must be at least", "events/s"),
        _row("p99, bound", ours.p99_ms, 50, "must be at most", "ms"),
        _row("memory, bound", ours.memory_mb, 200, "must be at most", "MB"),
        _row(
            f"p99 of {FEW} beside {STALLED} clients that do not read",
            median(run.p99_ms for run in beside),
            median(run.p99_ms for run in few) * 1.2,
            f"1.2 × without them; medians of {PAIRS} runs in turn",
            "ms",
        ),
        _row(
            "memory of a client that does not read, until it is dropped",
            max(0.001, median(b.memory_mb - f.memory_mb for b, f in zip(beside, few, strict=True)) / STALLED),
            1,
            "must be at most",
            "MB",
        ),
    ]
    notes = {"clients": CLIENTS, "topics": TOPICS, "eventsPerSecondAndTopic": PER_S, "seconds": SECONDS}
    harness.record("sse", rows, notes=notes | {"core": round(ours.core, 2), "peerCore": round(peer.core, 2)})


def _pair() -> tuple[Measured, Measured]:
    """A run without clients that do not read, and one with them."""
    few = measure("ours", clients=FEW)
    beside = measure("ours", clients=FEW, stalled=STALLED)
    if beside.dropped != STALLED:
        raise SystemExit(f"{beside.dropped} of {STALLED} clients that do not read were dropped")
    return few, beside


def _row(name: str, ours: float, peer: float, peer_name: str, unit: str) -> harness.Row:
    return harness.Row(name=name, ours=ours, peer=peer, peer_name=peer_name, unit=unit)


if __name__ == "__main__":
    main()
