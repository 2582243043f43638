"""Processes that carry out casts and may be killed, and a provider whose runs outlive them.

The provider is a folder: a run is a file named by the key it was submitted under, so
that what was begun twice can be counted however many processes have died.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cauldron.adapters.fs import FsBlobs
from cauldron.adapters.mongo import MongoStore
from cauldron.adapters.sqlite import SqliteStore
from cauldron.bootstrap import TABLES
from cauldron.domain.registry import ToolSet
from cauldron.domain.snapshot import Snapshot, take_snapshot
from cauldron.domain.spell_graph import check_document
from cauldron.domain.tool import Costing, Kind, Port, Tool
from cauldron.persistence.jobs import JobStore
from cauldron.persistence.leases import Leases
from cauldron.persistence.streams import Streams
from cauldron.persistence.tables import CAST_EVENTS, CAST_JOBS, COOK_JOBS
from cauldron.ports.storage import Store
from cauldron.ports.tools import ToolCall, ToolResult
from cauldron.services.casting import DECIDER, Casting
from cauldron.services.dispatch import Dispatcher
from cauldron.services.execution import ExecutionClient
from cauldron.services.journals import Journals
from cauldron.services.ledger import Ledger
from cauldron.services.recipes import Recipes
from cauldron.services.sweeping import Sweeper
from cauldron.services.working import Worker, WorkerOptions
from tests.flows.killable import Doom, Fate, lived
from tests.kitchen import Tapped, new_id, wall_ms

LEASE_MS = 150
Tap = Callable[[str], Awaitable[None]]


def tool(name: str, *, adapter: str = "far", deterministic: bool = False, **more: Any) -> Tool:
    """A tool of text inputs and one output; a provider takes a thousandth of a USD for a run."""
    return Tool(
        id=f"test.{name}",
        version="1.0.0",
        display_name=name.title(),
        description="",
        adapter=adapter,
        deterministic=deterministic,
        costing=Costing(amount_micro_usd=1000 if adapter == "far" else 0),
        inputs=(Port(name="text", kind=Kind.TEXT, required=True), Port(name="also", kind=Kind.TEXT)),
        outputs=(Port(name="text", kind=Kind.TEXT),),
        **more,
    )


def far_from(step: str) -> dict[str, str]:
    return {"step": step, "output": "text"}


def diamond_document(**more: Any) -> dict[str, Any]:
    """One step, two beside each other, one that joins them, and an immediate one at the end."""
    return {
        "cauldronSpell": 1,
        "name": "Diamond",
        "inputs": [{"name": "word", "kind": "text", "required": True}],
        "steps": [
            {"id": "begin", "tool": "test.begin", "inputs": {"text": {"input": "word"}}},
            {"id": "left", "tool": "test.left", "inputs": {"text": far_from("begin")}},
            {"id": "right", "tool": "test.right", "inputs": {"text": far_from("begin")}},
            {
                "id": "join",
                "tool": "test.join",
                "inputs": {"text": far_from("left"), "also": far_from("right")},
            },
            {"id": "polish", "tool": "test.polish", "inputs": {"text": far_from("join")}},
        ],
        "output": {"step": "polish", "output": "text"},
    } | more


def diamond(*, near: bool = True, **more: Any) -> Snapshot:
    """The diamond as it is run; its last step is far away too unless ``near``."""
    tools = {name: tool(name, **more) for name in ("begin", "left", "right", "join")}
    tools["polish"] = tool("polish", adapter="local" if near else "far", deterministic=near)
    return take_snapshot(check_document(diamond_document(), ToolSet(tools.values()), source="test"))


async def nothing(point: str) -> None:
    """A tap that lets everything pass."""


class Near:
    """Immediate tools, done here."""

    async def submit(self, call: ToolCall) -> ToolResult:
        return ToolResult(status="success", outputs={"text": call.inputs["text"] + "!"})

    async def poll(self, call: ToolCall) -> ToolResult:
        return await self.submit(call)

    async def cancel(self, call: ToolCall) -> None:
        return None

    def parse_webhook(self, headers: Any, body: bytes) -> dict[str, Any]:
        return {}

    def estimate(self, call: ToolCall) -> int:
        return 0

    async def close(self) -> None:
        return None


class Provider(Near):
    """Runs tools elsewhere: ``submit`` begins a run once per key, ``poll`` tells how it goes."""

    def __init__(self, folder: Path, tap: Tap = nothing, *, polls: int = 1) -> None:
        self._runs, self._tap, self._polls = folder / "runs", tap, polls
        self._runs.mkdir(exist_ok=True)
        self._asked: dict[str, int] = {}
        self.fails: dict[str, int] = {}  # tool -> tries that fail
        self.for_good: set[str] = set()  # tools that fail whatever is tried
        self.hangs: set[str] = set()

    async def submit(self, call: ToolCall) -> ToolResult:
        await self._tap("before:submit")
        run_id = call.run_id or hashlib.sha256(call.key.encode()).hexdigest()[:12]
        if call.run_id is None:
            with (self._runs / "asked").open("a") as file:
                file.write(f"{call.key}\n")
            if not (self._runs / run_id).exists():
                with (self._runs / "begun").open("a") as file:
                    file.write(f"{call.tool.id}\n")
            (self._runs / run_id).write_text(str(call.inputs["text"]))
        await self._tap("after:submit")
        return ToolResult(status="dispatched", run_id=run_id, wake_after_s=0.005)

    async def poll(self, call: ToolCall) -> ToolResult:
        await self._tap("before:poll")
        run_id = call.run_id or ""
        self._asked[run_id] = self._asked.get(run_id, 0) + 1
        if call.tool.id in self.hangs or self._asked[run_id] < self._polls:
            return ToolResult(status="dispatched", run_id=run_id, wake_after_s=0.005)
        await self._tap("after:poll")
        if call.tool.id in self.for_good or self.fails.get(call.tool.id, 0) > 0:
            self.fails[call.tool.id] = self.fails.get(call.tool.id, 0) - 1
            retryable = call.tool.id not in self.for_good
            return ToolResult(
                status="failed", run_id=run_id, error_code="broke", error="it broke", retryable=retryable
            )
        text = (self._runs / run_id).read_text()
        joined = "+".join(filter(None, [text, call.inputs.get("also")]))
        return ToolResult(
            status="success",
            run_id=run_id,
            outputs={"text": f"{call.tool.id.removeprefix('test.')}({joined})"},
        )

    async def cancel(self, call: ToolCall) -> None:
        with (self._runs / "cancelled").open("a") as file:
            file.write(f"{call.tool.id}\n")

    def told(self, what: str) -> list[str]:
        """Lines of ``begun``, ``asked`` or ``cancelled``."""
        path = self._runs / what
        return path.read_text().splitlines() if path.exists() else []


@dataclass
class Stage:
    """One process's view of a store with casts."""

    store: Store
    folder: Path
    tap: Tap = nothing
    grace_s: float = 5.0  # to be set before it is at work
    lease_ms: int = LEASE_MS  # long where nobody dies: a loaded machine must not lose one

    def __post_init__(self) -> None:
        self.blobs = FsBlobs(self.folder / "blobs")
        self.jobs = JobStore(self.store, CAST_JOBS, max_lost=1_000)
        self.provider = Provider(self.folder, self.tap)
        self.near = Near()
        self.casting = Casting(
            store=self.store,
            casts=Dispatcher(Streams(self.store, CAST_EVENTS), DECIDER, clock=wall_ms),
            jobs=self.jobs,
            blobs=self.blobs,
            charging=Ledger(self.store, clock=wall_ms, new_id=new_id),
            leases=Leases(self.store, holder=new_id(), clock=wall_ms, ttl_ms=LEASE_MS),
            clock=wall_ms,
            new_id=new_id,
        )

    def parts(self, *, slots: int = 4) -> list[Any]:
        """What carries casts out."""
        client = ExecutionClient(
            store=self.store,
            recipes=Recipes(self.blobs),
            runners={"far": self.provider, "local": self.near},
            blobs=self.blobs,
            clock=wall_ms,
            grace_s=self.grace_s,
            journal_of=Journals(self.casting, JobStore(self.store, COOK_JOBS)).of,
        )
        return carriers(self.store, self.jobs, client, self.casting, slots=slots, lease_ms=self.lease_ms)

    @asynccontextmanager
    async def at_work(self) -> Any:
        """Everything at work while the block runs."""
        tasks = [asyncio.create_task(part.run()) for part in self.parts()]
        try:
            yield self
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def ended(self, cast_id: str, *, within_s: float = 20.0) -> dict[str, Any]:
        """The record of a cast once it has ended."""
        async with asyncio.timeout(within_s):
            while (record := await self.casting.get(cast_id))["status"] == "running":
                await asyncio.sleep(0.01)
        return record


def carriers(
    store: Store,
    queue: JobStore,
    client: Any,
    casting: Casting,
    *,
    slots: int = 4,
    lease_ms: int = LEASE_MS,
) -> list[Any]:
    """A worker, the owner of casts and a sweeper, none of whom waits for long."""
    worker = Worker(
        store=store,
        queues=[queue],
        executor=client,
        clock=wall_ms,
        new_id=new_id,
        uniform=lambda: 0.0,
        options=WorkerOptions(slots=slots, lease_ms=lease_ms, idle_poll_s=0.05),
    )
    return [worker, casting, Sweeper(store, [queue], wall_ms, 0.02, 0.05, 0.2)]


def store_at(url: str) -> Store:
    """The engine that a place names."""
    return MongoStore(url) if url.startswith("mongodb:") else SqliteStore(Path(url))


def live(url: str, folder: str, fate: Fate) -> None:
    """The whole life of a process that carries out casts."""
    lived(Path(folder), _live(url, Path(folder), fate))


async def _live(url: str, folder: Path, fate: Fate) -> None:
    doom = Doom(fate)
    store: Any = store_at(url)
    await store.open(TABLES)
    stage = Stage(Tapped(store, doom), folder, doom)
    async with asyncio.TaskGroup() as group:
        for part in stage.parts():
            group.create_task(part.run())
