"""People's commands on cooks: start, pause, resume, stop, refill; and what a cook is doing."""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from cauldron.domain import piece_checks, reservation
from cauldron.domain.budget import check_budget
from cauldron.domain.collection import Collection, parse_collection
from cauldron.domain.commands import (
    ActivateCook,
    CookCommand,
    PauseCook,
    RefillSlots,
    ReserveRows,
    ResumeCook,
    SetBudget,
    StartCook,
    StopCook,
)
from cauldron.domain.cook_state import ENDED, RESTING, Cook, State
from cauldron.domain.errors import NotFound, Refused, StaleVersion
from cauldron.domain.reservation import Rows
from cauldron.domain.snapshot import Snapshot
from cauldron.domain.spell import slug_of
from cauldron.domain.status import status_document
from cauldron.persistence.jobs import JobStore
from cauldron.ports.blobs import BlobStore
from cauldron.ports.storage import Doc, Store
from cauldron.ports.system import NewId
from cauldron.services.casting import Caller
from cauldron.services.collecting import Collecting, StoredPlan
from cauldron.services.dispatch import Decider, Dispatcher, Outcome
from cauldron.services.funding import CookFunding
from cauldron.services.projecting import Projector, stream_of
from cauldron.services.recipes import recipe_bytes

ROWS: Decider[Rows] = Decider(Rows, reservation.decide, reservation.evolve)
LOOKS, LOOK_S = 50, 0.02  # at a reserved cook, before its place is taken


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A cook to start. ``amount`` None is the rest of the supply; ``seed`` None the collection's."""

    collection_id: str
    amount: int | None = None
    seed: str | None = None
    key: str | None = None
    generator: Mapping[str, Any] | None = None  # in place of the collection's, for this cook
    budget: Mapping[str, Any] | None = None  # see domain.budget.BudgetDocument
    estimate: Mapping[str, Any] | None = None  # what was shown before it began, kept to be checked
    pay: bool = False  # with points, of which the budget must cap how many


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The cook that runs now; ``fresh`` is False when it was active already."""

    cook_id: str
    fresh: bool


@dataclass(slots=True)
class Cooking:
    """Starts and steers cooks."""

    store: Store
    cooks: Dispatcher[Cook]
    rows: Dispatcher[Rows]
    projector: Projector
    jobs: JobStore
    blobs: BlobStore
    collecting: Collecting
    new_id: NewId
    funding: CookFunding | None = None  # what pays for cooks

    async def start(self, wanted: Wanted, *, caller: Caller) -> Started:
        """Start a cook of a collection, or answer with the one that is active.

        Raises:
            NotFound: no such collection. Refused: no unused rows are left.
            Infeasible: the settings admit no plan. InvalidMany: a piece's inputs do
            not fit the generator.
        """
        record = await self.collecting.get(wanted.collection_id)
        if record["owner"] != caller.account:
            raise NotFound(f"there is no collection {wanted.collection_id!r:.80}")
        if wanted.budget is not None:
            check_budget(wanted.budget)
        definition = dict(record["definition"])
        if wanted.generator is not None:
            definition["generator"] = dict(wanted.generator)
        collection = parse_collection(definition)
        seed = wanted.seed if wanted.seed is not None else collection.seed
        snapshot = await self.collecting.snapshot(collection, caller=caller)
        stored = await self.collecting.plan(collection, seed=seed)
        check_pieces(collection, stored, snapshot)
        config = await self.blobs.put(recipe_bytes(snapshot, collection))
        reserved = await self._reserve(wanted, stored, supply=collection.supply, caller=caller)
        charge = await self._pay(wanted, reserved, caller=caller) if wanted.pay else None
        command = StartCook(
            key=f"start:{reserved['cookId']}",
            cook_id=reserved["cookId"],
            collection_id=wanted.collection_id,
            collection_version=collection.version_hash,
            owner=caller.account,
            amount=reserved["amount"],
            slot_from=reserved["slotFrom"],
            plan_hash=stored.plan.plan_hash,
            plan=stored.blob,
            config_hash=config,
            generator=generator_of(snapshot),
            seed=seed,
            attempts=collection.cook.attempts,
            failure_budget=max(3, round(collection.cook.failure_budget * reserved["amount"])),
            visibility=caller.visibility,
            environment=caller.environment,
            notification_platform=caller.platform,
            callback_url=caller.callback_url,
            budget=wanted.budget,
            estimate=wanted.estimate,
            charge=charge,
        )
        fresh = await self._begin(command, actor=caller.actor)
        await self._give_back(command.cook_id, charge)
        other = await self.give_way(command.cook_id, actor=caller.actor)
        if not fresh and not other:  # who joined a cook that has given way meanwhile
            other = await self._other_active(command.cook_id)
        return Started(cook_id=other or command.cook_id, fresh=fresh and not other)

    async def _pay(
        self, wanted: Wanted, reserved: Mapping[str, Any], *, caller: Caller
    ) -> Mapping[str, Any] | None:
        """The charge of a cook that has not begun. Raises InsufficientPoints, BudgetNeeded."""
        if (await self.cooks.load(stream_of(reserved["cookId"]))).state.state is not State.IDLE:
            return None
        if self.funding is None:
            raise Refused("nothing can be paid with points here")
        return await self.funding.first(
            reserved["cookId"],
            account=caller.account,
            budget=wanted.budget or {},
            amount=reserved["amount"],
            environment=caller.environment,
        )

    async def charged(self, cook_id: str, command: RefillSlots, *, actor: str) -> Outcome:
        """The same as :meth:`command`, with new points set aside where an ended cook is charged."""
        charge = await self.funding.again(cook_id) if self.funding is not None else None
        try:
            return await self.command(cook_id, replace(command, charge=charge or {}), actor=actor)
        finally:
            await self._give_back(cook_id, charge)

    async def _give_back(self, cook_id: str, charge: Mapping[str, Any] | None) -> None:
        """Close a hold that was opened for a cook which is not charged to it."""
        if charge is not None and self.funding is not None:
            await self.funding.drop(cook_id, charge)

    async def _begin(self, command: StartCook, *, actor: str) -> bool:
        stream = stream_of(command.cook_id)
        folded = await self.cooks.load(stream)
        if folded.state.state is not State.IDLE:
            return False
        outcome = await self.cooks.handle(stream, command, actor=actor)
        await self.project(command.cook_id)
        return not outcome.replayed

    async def _reserve(
        self, wanted: Wanted, stored: StoredPlan, *, supply: int, caller: Caller
    ) -> Mapping[str, Any]:
        """The RowsReserved of this start, or of the cook that is active or has made everything."""
        stream, plan_hash = f"collection:{wanted.collection_id}", stored.plan.plan_hash
        for _ in range(3):
            rows = (await self.rows.load(stream)).state
            ended = rows.active if rows.active and await self._is_over(rows, plan_hash) else None
            if rows.active and ended is None:
                return rows.reserved[rows.active]
            if wanted.amount is None and rows.used.get(plan_hash, 0) >= supply:
                return newest(rows, plan_hash)  # asked again after the end: all of it is there
            cook_id = self.new_id()
            command = ReserveRows(
                key=f"reserve:{caller.account}:{wanted.key or cook_id}",  # a caller's key meets its own only
                cook_id=cook_id,
                amount=wanted.amount,
                supply=supply,
                plan_hash=plan_hash,
                ended=ended,
            )
            outcome = await self.rows.handle(stream, command, actor=caller.actor)
            if ended:
                await self._end_late(ended, actor=caller.actor)
            events = outcome.events[0]
            if isinstance(events, list) and events:
                data: Mapping[str, Any] = events[0].data
                return data
        raise Refused("another cook of this collection was started at the same time")

    async def _is_over(self, rows: Rows, plan_hash: str = "") -> bool:
        """Whether the active cook has ended, or was reserved with another plan and is not begun."""
        state = await self._state(rows.active)
        if state is not State.IDLE or not plan_hash or rows.reserved[rows.active]["planHash"] == plan_hash:
            return state in ENDED
        for _ in range(LOOKS):  # whoever reserved it may be about to begin it
            await asyncio.sleep(LOOK_S)
            if (state := await self._state(rows.active)) is not State.IDLE:
                return state in ENDED
        return True

    async def _state(self, cook_id: str) -> State:
        return (await self.cooks.load(stream_of(cook_id))).state.state

    async def _end_late(self, cook_id: str, *, actor: str) -> None:
        """Stop a cook that began while another one took its place; one that begins after this gives way."""
        if await self._state(cook_id) not in (State.IDLE, *ENDED):
            await self.stop(cook_id, actor=actor, reason="another cook was started at the same time")

    async def active(self, collection_id: str) -> str:
        """The cook of a collection that has not ended; empty when there is none."""
        rows = (await self.rows.load(f"collection:{collection_id}")).state
        return rows.active if rows.active and not await self._is_over(rows) else ""

    async def command(self, cook_id: str, command: CookCommand, *, actor: str) -> Outcome:
        """Carry out one command on a cook and bring its read models up to date."""
        outcome = await self.cooks.handle(stream_of(cook_id), command, actor=actor)
        await self.project(cook_id)
        return outcome

    async def project(self, cook_id: str) -> None:
        """Project what was done; when others do so at the same time they will do this, too."""
        with contextlib.suppress(StaleVersion):
            await self.projector.catch_up(cook_id)

    def _key(self, verb: str, cook_id: str, key: str | None) -> str:
        """A command's natural key; a caller's own key meets the same command on the same cook only."""
        return f"{verb}:{cook_id}:{key}" if key else f"{verb}:{self.new_id()}"

    async def _obey(self, cook_id: str) -> None:
        """Close or open the gate of the cook's queue, as its stream says now."""
        folded = await self.cooks.load(stream_of(cook_id))
        turn = self.jobs.hold if folded.state.state in RESTING else self.jobs.unhold
        await turn(cook_id, at=folded.seq, now=self.collecting.clock())

    async def pause(self, cook_id: str, *, actor: str, reason: str = "", key: str | None = None) -> None:
        """No further piece starts once this returns; pieces in flight finish."""
        command = PauseCook(key=self._key("pause", cook_id, key), reason="asked", detail=reason)
        await self.command(cook_id, command, actor=actor)
        await self._obey(cook_id)

    async def stop(self, cook_id: str, *, actor: str, reason: str = "", key: str | None = None) -> None:
        """End the cook; pieces in flight finish, the others stay unmade."""
        command = StopCook(key=self._key("stop", cook_id, key), reason=reason)
        await self.command(cook_id, command, actor=actor)
        await self._obey(cook_id)

    async def resume(
        self,
        cook_id: str,
        *,
        actor: str,
        reason: str = "",
        key: str | None = None,
        budget: Mapping[str, Any] | None = None,
        charge: Mapping[str, Any] | None = None,
    ) -> None:
        """Go on from a pause or from an end that left pieces to make, with another budget if one is given.

        A cook that is charged gets new points set aside after its end, and when they ran out.

        Raises:
            Refused: nothing is left, or another cook of the collection is active.
            InsufficientPoints: there are not enough to go on.
        """
        await self.activate(cook_id, actor=actor)
        if charge is None and self.funding is not None:
            charge = await self.funding.again(cook_id, budget=budget)
        command = ResumeCook(
            key=self._key("resume", cook_id, key), reason=reason, budget=budget, charge=charge
        )
        try:
            await self.command(cook_id, command, actor=actor)
        finally:
            await self._give_back(cook_id, charge)
        await self._obey(cook_id)
        if other := await self.give_way(cook_id, actor=actor):
            raise Refused(f"cook {other} of the same collection is active", active=other)

    async def set_budget(
        self, cook_id: str, budget: Mapping[str, Any] | None, *, actor: str, key: str | None = None
    ) -> None:
        """Another budget for a cook under way, or none. Raises Invalid, Refused."""
        command = SetBudget(key=self._key("budget", cook_id, key), budget=budget)
        await self.command(cook_id, command, actor=actor)

    async def give_way(self, cook_id: str, *, actor: str) -> str:
        """Stop a cook when another of its collection became the active one meanwhile; returns that one.

        The collection's stream says which is active, so of two that began at once exactly one goes on.
        """
        if await self._state(cook_id) in ENDED:
            return ""
        if active := await self._other_active(cook_id):
            await self.stop(cook_id, actor=actor, reason=f"cook {active} was started at the same time")
        return active

    async def _other_active(self, cook_id: str) -> str:
        """The active cook of the same collection, if it is another one that has not ended."""
        started = (await self.cooks.load(stream_of(cook_id))).state.started
        active = await self.active(started["collectionId"])
        return active if active != cook_id else ""

    async def activate(self, cook_id: str, *, actor: str) -> None:
        """Make an ended cook its collection's active one, if no other is.

        Raises:
            Refused: another cook of the collection is active.
        """
        cook = (await self.cooks.load(stream_of(cook_id))).state
        if cook.state is State.IDLE:
            raise NotFound(f"there is no cook {cook_id}", cook=cook_id)
        stream = f"collection:{cook.started['collectionId']}"
        rows = (await self.rows.load(stream)).state
        if not rows.active or rows.active == cook_id:
            return
        if not await self._is_over(rows):
            raise Refused(f"cook {rows.active} of the same collection is active", active=rows.active)
        command = ActivateCook(key=f"activate:{self.new_id()}", cook_id=cook_id, ended=rows.active)
        await self.rows.handle(stream, command, actor=actor)

    async def status(self, cook_id: str) -> Doc:
        """The exact counters now: the stored projection if it is current, else the fold.

        ``running`` counts jobs under a lease and is part of ``queued`` in the stream;
        here ``queued`` are only those that wait.
        """
        doc = await self._counters(cook_id)
        running = await self._running(cook_id) if doc["queued"] else 0
        return doc | {"running": running, "queued": max(0, doc["queued"] - running)}

    async def _counters(self, cook_id: str) -> Doc:
        """The stored projection, or the fold while it cooks: writing would disturb the cook's owner.

        Whoever hears that a cook rests finds its pieces written.
        """
        stream = stream_of(cook_id)
        if self.cooks.seen(stream):  # kept folded here: its tail alone says whether it still cooks
            hot = await self.cooks.load(stream)
            if hot.state.state is State.COOKING:
                return status_document(hot.state, seq=hot.seq)
        [doc] = await self.store.get("cook_status", [cook_id])
        newest = await self.store.find(self.cooks.streams.table, {"stream": stream}, order=("-seq",), limit=1)
        if doc is not None and doc.get("imported"):
            return doc  # of an earlier system: no stream stands behind it
        if not newest:
            raise NotFound(f"there is no cook {cook_id}", cook=cook_id)
        if doc is not None and doc["seq"] >= newest[0]["seq"]:
            return doc
        folded = await self.cooks.load(stream)
        counted = status_document(folded.state, seq=folded.seq)
        if counted["state"] != State.COOKING:
            await self.project(cook_id)
        return counted

    async def _running(self, cook_id: str) -> int:
        where = {"status": "running"}
        jobs = await self.store.find(self.jobs.table, where, order=("worker",), limit=10_000)
        return sum(job["parent"] == cook_id for job in jobs)

    async def listing(self, *, owner: str, limit: int = 100) -> list[Doc]:
        """The owner's cooks, newest first."""
        return await self.store.find(
            "cook_status", {"owner": owner}, order=("owner", "-startedAt"), limit=limit
        )


def newest(rows: Rows, plan_hash: str) -> Mapping[str, Any]:
    """The latest reservation of rows of this plan."""
    return next(r for r in reversed(rows.reserved.values()) if r["planHash"] == plan_hash)


def check_pieces(collection: Collection, stored: StoredPlan, snapshot: Snapshot) -> None:
    """Check what pieces of the plan would be made from.

    Raises:
        InvalidMany: a value does not fit the generator's input, or a layer its canvas.
    """
    piece_checks.check_pieces(collection, stored.plan, snapshot)


def generator_of(snapshot: Snapshot) -> dict[str, str]:
    """What makes the pieces: a tool when the spell is one wrapped step of the same name."""
    spell = snapshot.spell
    if snapshot.spell_id is None and len(spell.steps) == 1 and spell.slug == slug_of(spell.steps[0].tool):
        return {"kind": "tool", "id": spell.steps[0].tool}
    return {"kind": "spell", "id": snapshot.spell_id or spell.slug}
