"""Processes that take an invoice, carry the cast out and keep the books, and may be killed at any write.

Points are named by what is written: ``before:CastStepEnded``, ``after:PointsHeld`` … Words choose what
becomes of a cast: those of the ``doomed`` fail at their last but one step, the ``recalled`` are cancelled
in the middle of it.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cauldron.bootstrap import Studio
from cauldron.config import Settings
from cauldron.domain.ledger_pricing import Line, charge_of, charged_steps
from cauldron.persistence.jobs import JobStore
from cauldron.persistence.leases import Leases
from cauldron.persistence.tables import CAST_JOBS
from cauldron.ports.storage import Insert, Op, Patch
from cauldron.ports.tools import ToolCall, ToolResult
from cauldron.services.casting import Caller, Casting
from cauldron.services.following import Follower
from cauldron.services.ledger import Ledger
from cauldron.services.tools import ToolRegistry
from tests.flows.killable import Doom, Fate, lived
from tests.flows.killable_casts import (
    LEASE_MS,
    Near,
    Provider,
    Tap,
    carriers,
    diamond_document,
    nothing,
    tool,
)
from tests.kitchen import Tapped, new_id, wall_ms

ANN = Caller(account="ann")
SLUG = "diamond"
STEPS = ("begin", "left", "right", "join", "polish")
JOBS = {"settled": "settle", "done": "finish", "failed": "finish"}
HASTY = "captures before the event, without a key"
FORGETFUL = "captures by hand, after the event"


def diamond() -> dict[str, Any]:
    """The diamond, offered to everybody."""
    return diamond_document(slug=SLUG, visibility="public")


class Named(Tapped):
    """A store that tells what is written by the names of its events, else by its table."""

    async def commit(self, ops: Sequence[Op], *, atomic: bool = True) -> list[Exception | None]:
        points = points_of(ops)
        for point in points:
            await self.tap(f"before:{point}")
        outcome = await self.inner.commit(ops, atomic=atomic)
        for point in points:
            await self.tap(f"after:{point}")
        return outcome


def points_of(ops: Sequence[Op]) -> list[str]:
    """What these operations are called: the events of a commit, the move of a job, or the first table."""
    if not ops:
        return []
    first = ops[0]
    if isinstance(first, Insert) and "events" in first.doc:
        return list(dict.fromkeys(event["type"] for event in first.doc["events"]))
    if first.table == "cast_jobs":
        if isinstance(first, Insert):
            return ["enqueue"]
        status = first.set.get("status") if isinstance(first, Patch) else None
        return [JOBS.get(status or "", "extend")]
    return [first.table]


class Fickle(Provider):
    """A provider that cannot join what is doomed, and does not end what will be recalled."""

    async def poll(self, call: ToolCall) -> ToolResult:
        result = await super().poll(call)
        if call.tool.id != "test.join" or result.status != "success":
            return result
        if "doomed" in call.inputs["text"]:
            return ToolResult(status="failed", run_id=call.run_id, error_code="broke", error="it broke")
        if "recalled" in call.inputs["text"]:
            return ToolResult(status="dispatched", run_id=call.run_id, wake_after_s=0.01)
        return result


class Polisher(Near):
    """The immediate tool, with a point before and after its run."""

    def __init__(self, tap: Tap) -> None:
        self._tap = tap

    async def submit(self, call: ToolCall) -> ToolResult:
        await self._tap("before:run")
        result = await super().submit(call)
        await self._tap("after:run")
        return result


class Hasty(Casting):
    """The order broken on purpose: points are taken when a job has settled, under keys of the moment."""

    async def fold_settled(self) -> int:
        for job in await self.store.find(self.jobs.table, {"status": "settled"}, order=("parent",)):
            await take_points(self, job)
        return await Casting.fold_settled(self)


class Forgetful(Casting):
    """The order broken on purpose: points are taken after the event, by whoever appended it alone."""

    async def fold_settled(self) -> int:
        jobs = await self.store.find(self.jobs.table, {"status": "settled"}, order=("parent",))
        count = await Casting.fold_settled(self)
        for job in jobs:
            await take_points(self, job)
        return count


async def take_points(casting: Casting, job: Any) -> None:
    """What a job that succeeded is to be paid, under keys that nobody meets again."""
    if job["result"]["status"] != "success":
        return
    charge = charge_of((await casting.casts.load(f"cast:{job['castId']}")).state.started["charge"])
    steps = charged_steps(
        job["result"]["steps"], charge, left_milli=charge.cap_milli, piece=0, attempt=job["attempt"]
    )
    told = [(step, step["charge"]) for step in steps if step.get("charge", {}).get("takenMilli")]
    lines = [
        Line(f"{s['step']}:{new_id()}", 0, s["attempt"], c["takenMilli"], c["costMilli"]) for s, c in told
    ]
    ledger = Ledger(casting.store, clock=wall_ms, new_id=new_id)
    await ledger.capture_lines(charge.hold_id, number=new_id(), lines=lines)


class Closing(Ledger):
    """A ledger whose follower closes holds and takes nothing: others have a second to do so."""

    async def capture_lines(self, hold_id: str, **more: Any) -> None:
        return None

    async def close(self, hold_id: str, *, reason: str) -> None:
        for _ in range(50):
            if (await self.holds.load(f"hold:{hold_id}")).state.captured_milli:
                break
            await asyncio.sleep(0.02)
        await Ledger.close(self, hold_id, reason=reason)


def wired(home: Path, url: str, *, room: Path, tap: Tap = nothing, order: str = "") -> Studio:
    """A studio whose tools are those of the diamond, with leases that do not last; not yet open."""
    studio: Any = Studio(Settings(home=home, database_url=url, processes=1))
    studio.store = Named(studio.store, tap)
    studio.leases = Leases(studio.store, holder=new_id(), clock=wall_ms, ttl_ms=LEASE_MS)
    far = [tool(name) for name in ("begin", "left", "right", "join")]
    studio.tools = ToolRegistry([*far, tool("polish", adapter="local", deterministic=True)])
    studio.runners = {"far": Fickle(room, tap), "local": Polisher(tap)}
    if order:
        studio.workshop.ledger = Closing(studio.store, clock=wall_ms, new_id=new_id)
    studio.casting.jobs = JobStore(studio.store, CAST_JOBS, max_lost=1_000)  # short leases are lost at times
    if order:
        kind = {HASTY: Hasty, FORGETFUL: Forgetful}[order]
        plain = studio.casting
        studio.casting = kind(
            store=plain.store, casts=plain.casts, jobs=plain.jobs, blobs=plain.blobs,
            charging=plain.charging, leases=plain.leases, clock=plain.clock, new_id=plain.new_id,
        )  # fmt: skip
    return studio


def parts_of(studio: Studio) -> list[Any]:
    """What carries casts out and keeps the books."""
    books = [part for _, part in studio.workshop.ledger_loops()]
    for part in books:
        if isinstance(part, Follower):
            part.renew_every_s = 0.05
    return [*carriers(studio.store, studio.casting.jobs, studio.execution, studio.casting), *books]


def live(home: str, url: str, room: str, token: str, fate: Fate, order: str = "") -> None:
    """The whole life of a process: it answers the visitor, carries the cast out and keeps the books."""
    lived(Path(room), _live(home, url, room, token, fate, order))


async def _live(home: str, url: str, room: str, token: str, fate: Fate, order: str) -> None:
    studio = wired(Path(home), url, room=Path(room), tap=Doom(fate), order=order)
    await studio.open()
    word = Path(room).name
    async with asyncio.TaskGroup() as group:
        for part in parts_of(studio):
            group.create_task(part.run())
        started = await studio.workshop.paid_casting.cast(
            SLUG, token=token, context={"word": word}, caller=ANN
        )
        if "recalled" in word:
            await _recall(studio, started["runId"])


async def _recall(studio: Studio, cast_id: str) -> None:
    """Cancel a cast in the middle of its last but one step."""
    begun = Path(studio.runners["far"]._runs) / "begun"
    while "test.join" not in (begun.read_text() if begun.exists() else ""):
        await asyncio.sleep(0.005)
    with contextlib.suppress(Exception):
        await studio.casting.cancel(cast_id, actor="ann")
