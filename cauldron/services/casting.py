"""Casts: one run of one spell version, on a stream of its own."""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog

from cauldron.domain import cast as casts
from cauldron.domain.cast import Cast, CastState
from cauldron.domain.commands import AdoptCast, EndCast, NoteParent, StartCast
from cauldron.domain.errors import CauldronError, Invalid, NotFound, Refused, StaleVersion
from cauldron.domain.generation import DELIVERED, Parents, output_document
from cauldron.domain.snapshot import Snapshot, check_exposed
from cauldron.domain.status import FIRST_PAGE
from cauldron.domain.times import iso
from cauldron.persistence.jobs import JobStore
from cauldron.persistence.leases import Leases
from cauldron.persistence.streams import Commit
from cauldron.ports.blobs import BlobStore
from cauldron.ports.charging import Charging
from cauldron.ports.storage import Compare, Doc, Insert, Op, Patch, Store
from cauldron.ports.system import Clock, NewId
from cauldron.services.dispatch import Decider, Dispatcher
from cauldron.services.following import Follower
from cauldron.services.ledger import Opened
from cauldron.services.media_grants import grants, media_in
from cauldron.services.recipes import recipe_bytes

log = structlog.get_logger("cauldron.casting")
DECIDER: Decider[Cast] = Decider(Cast, casts.decide, casts.evolve)


def stream_of(cast_id: str) -> str:
    """The event stream of a cast."""
    return f"cast:{cast_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks, and in which environment the records are kept."""

    account: str
    environment: str = "live"
    visibility: str = "private"
    platform: str = "none"
    user: str = ""  # who of the account; empty: the account itself
    callback_url: str = ""  # where to tell how the run ended; checked; empty: nowhere

    @property
    def actor(self) -> str:
        """Whom events name."""
        return self.user or self.account


@dataclass(slots=True)
class Casting:
    """Starts casts and folds their ends."""

    store: Store
    casts: Dispatcher[Cast]
    jobs: JobStore
    blobs: BlobStore
    charging: Charging
    leases: Leases
    clock: Clock
    new_id: NewId
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    async def start(
        self,
        snapshot: Snapshot,
        inputs: Mapping[str, Any],
        *,
        caller: Caller,
        key: str | None = None,
        paid: Opened | None = None,
    ) -> dict[str, str]:
        """Start a cast; the same ``key`` again answers with the same run.

        ``paid`` is the hold that its steps are charged to, and says its run id; without
        one the cast is free of charge.

        Returns:
            ``{runId, creditTxId}``

        Raises:
            InvalidMany: an input is unknown, missing or does not fit.
        """
        checked = check_exposed(snapshot, inputs)
        config_hash = await self.blobs.put(recipe_bytes(snapshot, None))
        cast_id = paid.run_id if paid else self.new_id()
        key = f"cast:{caller.account}:{key or cast_id}"  # a caller's key meets its own only
        earlier = await self.casts.streams.find_command(key)
        if earlier is not None:
            return _answer(earlier["events"][0]["data"])
        credit = (
            paid.charge.hold_id
            if paid
            else await self.charging.hold(key, account=caller.account, cap_milli=0)
        )
        command = StartCast(
            key=key,
            cast_id=cast_id,
            spell_id=snapshot.spell_id or snapshot.spell.slug,
            spell_name=snapshot.spell.name,
            spell_version=str(snapshot.spell_version or 0),
            config_hash=config_hash,
            owner=caller.account,
            payer_account_id=paid.charge.account if paid else caller.account,
            charge=paid.charge.document() if paid else None,
            inputs=checked,
            credit_tx_id=credit,
            visibility=caller.visibility,
            environment=caller.environment,
            notification_platform=caller.platform,
            callback_url=caller.callback_url,
        )
        outcome = await self.casts.handle(stream_of(cast_id), command, actor=caller.actor)
        events = outcome.events[0]
        data = events[0].data if isinstance(events, list) else {}
        await self._enqueue(data)
        await self.project(data["castId"])
        return _answer(data)

    async def _enqueue(self, data: Mapping[str, Any]) -> None:
        now = self.clock()
        job = {
            "_id": data["castId"],
            "status": "queued",
            "parent": data["castId"],
            "castId": data["castId"],
            "userId": data["owner"],
            "environment": data["environment"],
            "spellIdOrToolId": data["spellId"],
            "configHash": data["configHash"],
            "inputs": data["inputs"],
            "rank": now * 1000,
            "attempt": 1,
            "attempts": 3,
            "deliveries": 0,
            "createdAt": now,
            "updatedAt": now,
        }
        await self.jobs.enqueue([job])

    async def get(self, cast_id: str) -> Doc:
        """The ``casts`` record. Raises NotFound."""
        [doc] = await self.store.get("casts", [cast_id])
        if doc is None:
            raise NotFound(f"there is no cast {cast_id}", cast=cast_id)
        return doc

    async def cancel(self, cast_id: str, *, actor: str) -> None:
        """End a running cast without an output; what it started still finishes, unused."""
        end = EndCast(key=f"cancel:{cast_id}", status="cancelled", steps=[], outputs={})
        await self.casts.handle(stream_of(cast_id), end, actor=actor)
        await self.jobs.drop(cast_id, now=self.clock())
        await self.project(cast_id)

    async def adopt(self, cast_id: str, *, owner: str, actor: str) -> None:
        """Make a guest's cast the account's that the guest became; once. Raises NotFound."""
        command = AdoptCast(key=f"adopt:{cast_id}", owner=owner)
        await self.casts.handle(stream_of(cast_id), command, actor=actor)
        await self.project(cast_id)

    async def note(self, cast_id: str, note: NoteParent, *, actor: str) -> None:
        """Keep what another service told of a cast, apart from what is folded. Raises NotFound."""
        await self.casts.handle(stream_of(cast_id), note, actor=actor)
        await self.project(cast_id)

    async def run(self) -> None:
        """Fold settled casts until cancelled."""
        beside = [asyncio.create_task(loop) for loop in (self._ring(), self._follower().run())]
        try:
            while True:
                self._wake.clear()
                try:
                    await self.fold_settled()
                except CauldronError as failure:
                    log.warning("casts not folded: trying again", code=failure.code)
                    await asyncio.sleep(0.5)
                except Exception:
                    log.exception("casts not folded: trying again")
                    await asyncio.sleep(1)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(1.0):  # wait_for may swallow a cancellation
                        await self._wake.wait()
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)

    def _follower(self) -> Follower:
        return Follower(
            name="casts",
            table=self.casts.streams.table,
            store=self.store,
            leases=self.leases,
            clock=self.clock,
            handle=self._absorb,
        )

    async def _absorb(self, commit: Commit) -> None:
        """Queue and project what its starter may have died before queueing."""
        for event in commit["events"]:
            if event["type"] == "CastStarted":
                await self._enqueue(event["data"])
                await self.project(event["data"]["castId"])

    async def _ring(self) -> None:
        async for _ in self.store.watch(self.jobs.table):
            self._wake.set()

    async def fold_settled(self) -> int:
        """Bring every settled cast job to its stream; returns how many."""
        where = {"status": "settled"}
        jobs = await self.store.find(self.jobs.table, where, order=("parent",), limit=100)
        for job in jobs:
            result = job["result"]
            ok = result["status"] == "success"
            end = EndCast(
                key=f"end:{job['_id']}",
                status="success" if ok else "failed",
                steps=list(job.get("history") or ()) + list(result.get("steps") or ()),
                outputs=result.get("outputs") or {},
                error=None if ok else result.get("error"),
            )
            await self.allow(job, [end.outputs, [step["outputs"] for step in end.steps]])
            try:
                await self.casts.handle(stream_of(job["castId"]), end, actor="system")
                await self.project(job["castId"])
            except StaleVersion:
                continue  # others are faster: next time
            except (NotFound, Refused, Invalid) as refusal:  # it will not be accepted later either
                log.warning("report set aside", job=job["_id"], code=refusal.code)
            await self.jobs.finish([(job["_id"], ok)], now=self.clock())
        return len(jobs)

    async def allow(self, job: Doc, made: Any) -> None:
        """Let the owner of a cast read media that it is about to tell of; nobody hears of them before."""
        if next(media_in(made), None) is None:
            return
        cast = (await self.casts.load(stream_of(job["castId"]))).state
        found = grants(
            made,
            account=job["userId"] if cast.state is CastState.NONE else cast.owner,
            environment=job["environment"],
            at=iso(self.clock()),
            cast_id=job["castId"],
        )
        await self.store.commit(found, atomic=False)

    async def project(self, cast_id: str) -> None:
        """Write the ``casts`` record and its generation outputs from the stream."""
        folded = await self.casts.load(stream_of(cast_id))
        cast = folded.state
        if cast.state is CastState.NONE:
            raise NotFound(f"there is no cast {cast_id}", cast=cast_id)
        outputs = cast_outputs(cast, seq=folded.seq)
        ops: list[Op] = [Insert("generationOutputs", output) for output in outputs]
        written = outputs if cast.adopted_by else outputs[: len(cast.recorded)]  # before, as they were then
        ops += [_raised(output) for output in written]
        record = cast_document(cast, seq=folded.seq)
        changes = {key: value for key, value in record.items() if key != "_id"}
        newer = Patch("casts", cast_id, changes, {"seq": Compare("<", folded.seq)})  # never backwards
        started = cast.started
        named = [started["inputs"], record["outputs"], [output["outputs"] for output in outputs]]
        allowed = grants(
            named,
            account=cast.owner,
            environment=started["environment"],
            at=record["startedAt"],
            cast_id=cast_id,
        )
        await self.store.commit([*ops, *allowed, Insert("casts", record), newer], atomic=False)


def _answer(data: Mapping[str, Any]) -> dict[str, str]:
    return {"runId": data["castId"], "creditTxId": data["creditTxId"]}


def cast_outputs(cast: Cast, *, seq: int) -> list[dict[str, Any]]:
    """The ``generationOutputs`` documents of the steps of a cast that have ended."""
    started = cast.started
    parents = Parents(
        owner=cast.owner,
        initiator=started["owner"],
        visibility=started["visibility"],
        environment=started["environment"],
        notification_platform=started["notificationPlatform"],
        cast_id=started["castId"],
        spell_id=started["spellId"],
        payer=started["payerAccountId"],
    )
    return [
        output_document(f"{started['castId']}.{step.get('attempt', 1)}.{i}", step, parents, seq=seq)
        for i, step in enumerate(cast.steps)
    ]


def _raised(output: Doc) -> Patch:
    """What was written when the step ended, as its stream has it now; what delivery wrote stays."""
    kept = {key: value for key, value in output.items() if key not in DELIVERED and key != "_id"}
    return Patch("generationOutputs", output["_id"], kept, {"seq": Compare("<", output["seq"])})


def cast_document(cast: Cast, *, seq: int) -> dict[str, Any]:
    """The ``casts`` record."""
    started, steps = cast.started, cast.steps
    ids = [f"{started['castId']}.{s.get('attempt', 1)}.{i}" for i, s in enumerate(steps)]
    return {
        "_id": started["castId"],
        "schemaVersion": 2,
        "spellId": started["spellId"],
        "spellName": started["spellName"],
        "version": started["spellVersion"],
        "configHash": started["configHash"],
        "initiatorAccountId": started["owner"],
        "payerAccountId": started["payerAccountId"],
        "owner": cast.owner,
        "visibility": started["visibility"],
        "environment": started["environment"],
        "cookId": None,
        "pieceId": None,
        "status": cast.state.value,
        "startedAt": iso(cast.started_ms),
        "completedAt": iso(cast.ended_ms) if cast.ended_ms else None,
        "generationIds": ids[:FIRST_PAGE],
        "generationCount": len(ids),
        "outputs": dict(cast.ended.get("outputs", {})),
        "error": cast.ended.get("error"),
        "costUsd": sum(s["costMicroUsd"] for s in steps) / 1_000_000,
        "pointsSpent": cast.ended.get("pointsMilli", 0) / 1000,
        "creditTxId": started["creditTxId"],
        "seq": seq,
    } | cast.noted.document()
