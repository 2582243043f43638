"""A cook of 100,000 pieces from its stream: folding, readiness after start-up, rewriting what is read.

The stream is written the way an owner writes it, live projections included, with selections of a real
plan; then a fresh process folds it, and every piece and output is written anew and compared.

    python -m benchmarks.rebuild [--pieces 100000] [--per-commit 64]
"""

import argparse
import asyncio
import gc
import json
import subprocess
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path
from typing import Any

from benchmarks import harness
from benchmarks.cartoon_layers import CATEGORIES, WEIGHTS
from benchmarks.noop_cooks import BLOB, DECIDER, GC_THRESHOLDS, start_command
from cauldron.adapters.sqlite import SqliteStore
from cauldron.bootstrap import clock
from cauldron.domain.collection import parse_collection
from cauldron.domain.commands import RecordPiece
from cauldron.domain.cook_state import Cook
from cauldron.domain.plan import Plan
from cauldron.domain.planning import make_plan
from cauldron.persistence.streams import Streams
from cauldron.persistence.tables import COOK_EVENTS, TABLES
from cauldron.services.dispatch import Dispatcher
from cauldron.services.projecting import Projector, stream_of
from cauldron.services.rebuilding import Findings, Rebuilding

COOK = "benchmark"
MOST, LEAST = "must be at most", "must be at least"


class Planned:
    """Traits from one plan."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    async def load(self, plan: str) -> None:
        """It is there."""

    def traits(self, plan: str, slot: int) -> Any:
        """The traits of a row."""
        return self._plan.traits(slot)


def plan_of(pieces: int) -> Plan:
    """7 categories of 10 weighted options, without pictures."""
    categories = [
        {
            "name": category,
            "options": [{"name": f"{category} {n}", "weight": weight} for n, weight in enumerate(WEIGHTS)],
        }
        for category in CATEGORIES
    ]
    generator = {"tool": "text.template", "inputs": {"template": "[[Body]]"}}
    document = {"cauldron": 1, "name": "Benchmark", "slug": "benchmark", "supply": pieces}
    return make_plan(parse_collection(document | {"generator": generator, "categories": categories}))


def report(piece: int, now: int) -> RecordPiece:
    """The end of a piece made by one execution."""
    step: Any = {
        **{"step": "tool", "toolId": "layers.compose", "toolVersion": "1.0.0", "toolDisplayName": "Layers"},
        **{"status": "success", "startMs": now, "endMs": now + 2, "attempt": 1, "cacheKey": f"{piece:064x}"},
        **{"inputs": {"width": 1024, "height": 1024, "layers": [BLOB] * 7}, "outputs": {"image": BLOB}},
        **{"costMicroUsd": 0, "costSource": "tariff"},
    }
    return RecordPiece(
        key=f"gen:{COOK}.{piece}",
        piece=piece,
        attempt=1,
        steps=[step],
        output=BLOB,
        error=None,
        duration_ms=2,
        cost_micro_usd=0,
    )


async def write(file: Path, plan: Plan, *, pieces: int, per_commit: int) -> float:
    """Record and project the whole cook; pieces per second."""
    store = SqliteStore(file)
    await store.open(TABLES)
    dispatcher = Dispatcher(Streams(store, COOK_EVENTS), DECIDER, clock=clock)
    projector = Projector(store, dispatcher, Planned(plan))
    stream = stream_of(COOK)
    await dispatcher.handle(stream, start_command(COOK, pieces), actor="o")
    cursor, began = await projector.catch_up(COOK), time.perf_counter()
    for first in range(1, pieces + 1, per_commit):
        last = min(pieces, first + per_commit - 1)
        commands = [report(n, clock()) for n in range(first, last + 1)]
        outcome = await dispatcher.handle_many(stream, commands, actor="system")
        assert outcome.commit is not None
        folded = await dispatcher.load(stream, fresh=False)
        await projector.write(folded, [outcome.commit], cursor=cursor)
    took_s = time.perf_counter() - began
    await projector.save_status(await dispatcher.load(stream), cursor=cursor)
    await store.close()
    return pieces / took_s


async def rewrite(file: Path, plan: Plan, *, pieces: int) -> tuple[float, float]:
    """Compare everything, write it anew, compare again; pieces per second of writing and comparing.

    Raises:
        RuntimeError: live and rebuilt read models differ.
    """
    store = SqliteStore(file)
    await store.open(TABLES)
    streams = Streams(store, COOK_EVENTS)
    projector = Projector(store, Dispatcher(streams, DECIDER, clock=clock), Planned(plan))
    rebuilding = Rebuilding(store, streams, projector)
    rates: list[float] = []
    for work in (rebuilding.check, rebuilding.rewrite, rebuilding.check):
        findings, began = Findings(), time.perf_counter()
        await work(COOK, findings)
        rates.append(pieces / (time.perf_counter() - began))
        if findings.differing or findings.documents != 2 * pieces + 2:
            raise RuntimeError(f"live and rebuilt differ: {findings}")
    await store.close()
    return rates[1], rates[0]


async def ready(file: Path) -> dict[str, float]:
    """In a fresh process: seconds until the cook's state is there, and events folded per second."""
    gc.set_threshold(*GC_THRESHOLDS)
    began = time.perf_counter()
    store = SqliteStore(file)
    await store.open(TABLES)
    dispatcher = Dispatcher(Streams(store, COOK_EVENTS), DECIDER, clock=clock)
    opened_s = time.perf_counter() - began
    folded = await dispatcher.load(stream_of(COOK))
    ready_s = time.perf_counter() - began
    pieces = folded.state.made
    await store.close()
    return {
        "readyS": ready_s,
        "eventsPerS": (pieces + 3) / (ready_s - opened_s),
        "memoryMb": harness.memory_mb(),
    }


async def state_mb(file: Path) -> float:
    """What the folded state holds, as Python's allocator sees it."""
    store = SqliteStore(file)
    await store.open(TABLES)
    streams, cook = Streams(store, COOK_EVENTS), Cook()
    tracemalloc.start()
    fold = DECIDER.fold
    assert fold is not None
    before, _ = tracemalloc.get_traced_memory()
    async for page in streams.read(stream_of(COOK), whole=False):
        fold(cook, page)
        page.clear()
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    await store.close()
    assert cook.made
    return (after - before) / 1e6


def rows(measured: dict[str, float], *, pieces: int) -> list[harness.Row]:
    """The figures that must be kept."""
    bounds = (
        ("read and fold a stream", "eventsPerS", 300_000.0, LEAST, "events/s"),
        ("rewrite pieces and generationOutputs, equal to live", "rewritePerS", 30_000.0, LEAST, "pieces/s"),
        (f"state of a {pieces:,}-piece cook ready after start-up", "readyS", 1.0, MOST, "s"),
        (f"state of a {pieces:,}-piece cook", "stateMb", 5.0, MOST, "MB"),
    )
    return [
        harness.Row(name=name, ours=measured[key], peer=bound, peer_name=kind, unit=unit)
        for name, key, bound, kind, unit in bounds
    ]


def in_fresh_process(*args: str) -> dict[str, float]:
    """The JSON that this module prints when run with ``args``."""
    command = [sys.executable, "-m", "benchmarks.rebuild", *args]
    said = subprocess.run(command, cwd=Path(__file__).parents[1], check=True, stdout=subprocess.PIPE).stdout
    answer: dict[str, float] = json.loads(said)
    return answer


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pieces", type=int, default=100_000)
    parser.add_argument("--per-commit", type=int, default=64)
    parser.add_argument("--alone", action="store_true", help="nothing is recorded")
    parser.add_argument("--ready", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.ready:
        print(json.dumps(asyncio.run(ready(args.ready))))
        return
    gc.set_threshold(*GC_THRESHOLDS)
    plan = plan_of(args.pieces)
    with tempfile.TemporaryDirectory(prefix="rebuild-") as name:
        file = Path(name) / "cook.db"
        live = asyncio.run(write(file, plan, pieces=args.pieces, per_commit=args.per_commit))
        runs = [in_fresh_process("--ready", str(file)) for _ in range(3)]
        measured = {"readyS": min(run["readyS"] for run in runs)}
        measured["eventsPerS"] = max(run["eventsPerS"] for run in runs)
        measured["stateMb"] = asyncio.run(state_mb(file))
        measured["rewritePerS"], measured["checkPerS"] = asyncio.run(rewrite(file, plan, pieces=args.pieces))
    measured["livePerS"], measured["memoryMb"] = live, runs[0]["memoryMb"]
    print({key: round(value, 2) for key, value in measured.items()}, file=sys.stderr)
    if args.alone:
        for row in rows(measured, pieces=args.pieces):
            print(harness.line(row))
        return
    harness.record("rebuild", rows(measured, pieces=args.pieces), notes={"measured": measured})


if __name__ == "__main__":
    main()
