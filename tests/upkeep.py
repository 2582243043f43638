"""A small, sound world for audits, clean-ups and erasure: a cook and a cast made for real, with blobs."""

import contextlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cauldron.adapters.fs import FsBlobs
from cauldron.bootstrap import TABLES
from cauldron.domain.collection import parse_collection
from cauldron.domain.commands import ReviewPieces
from cauldron.domain.errors import NotFound
from cauldron.domain.planning import make_plan
from cauldron.domain.snapshot import snapshot_of_tool
from cauldron.domain.times import iso
from cauldron.persistence.jobs import JobStore, Lease
from cauldron.persistence.leases import Leases
from cauldron.persistence.streams import Streams
from cauldron.persistence.tables import CAST_EVENTS, CAST_JOBS
from cauldron.ports.storage import Doc, Expunge, Insert, Put, Redact, Store
from cauldron.services.auditing import Auditing
from cauldron.services.casting import DECIDER, Caller, Casting
from cauldron.services.cleaning import LEASE_MS, Cleaning, Limits
from cauldron.services.dispatch import Dispatcher
from cauldron.services.erasing import Erasing
from cauldron.services.ledger import Ledger
from cauldron.services.marking import Sweeping
from cauldron.services.migrating_writing import TABLES as MIGRATION_TABLES
from cauldron.services.projecting import Projector
from cauldron.services.rebuilding import Rebuilding
from cauldron.services.recipes import Recipes
from tests.kitchen import Kitchen, Scripted, new_id, step, wall_ms
from tests.services.test_execution import PAINT

ALL_TABLES = (*TABLES, *MIGRATION_TABLES)
NAMES = frozenset(table.name for table in ALL_TABLES)
DAY_MS, HOUR_MS = 86_400_000, 3_600_000
SECRET = "the-prompt-of-ann"  # stands wherever something personal may stand


def ref(digest: str) -> dict[str, Any]:
    return {"media": f"sha256:{digest}", "mime": "image/png", "sizeBytes": 9}


@dataclass
class World:
    """One store with its blobs, and the services that look after them; ``ahead_ms`` is on their clock."""

    store: Store
    folder: Path
    environment: str = "live"
    ahead_ms: int = 0
    media: dict[str, str] = field(default_factory=dict)  # what it is -> digest
    casts: dict[str, str] = field(default_factory=dict)  # name -> id of its stand-alone cast
    _before: list[tuple[str, str, Doc | None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.k = Kitchen(self.store, self.folder / "blobs", clock=self.clock)
        self.blobs = FsBlobs(self.folder / "blobs")
        self.k.projector = self.k.cooking.projector = Projector(self.store, self.k.cooks, Recipes(self.blobs))
        self.casting = Casting(
            store=self.store,
            casts=Dispatcher(Streams(self.store, CAST_EVENTS), DECIDER, clock=self.clock),
            jobs=JobStore(self.store, CAST_JOBS),
            blobs=self.blobs,
            charging=Ledger(self.store, clock=self.clock, new_id=new_id),
            leases=Leases(self.store, holder=new_id(), clock=self.clock),
            clock=self.clock,
            new_id=new_id,
        )

    def clock(self) -> int:
        return wall_ms() + self.ahead_ms

    @property
    def rebuilding(self) -> Rebuilding:
        return Rebuilding(self.store, self.k.streams, self.k.projector)

    @property
    def auditing(self) -> Auditing:
        return Auditing(
            store=self.store,
            blobs=self.blobs,
            tables=NAMES,
            rebuilding=self.rebuilding,
            clock=self.clock,
            environment=self.environment,
            engine=type(self.store).__name__,
        )

    @property
    def sweeping(self) -> Sweeping:
        return Sweeping(self.store, self.blobs, NAMES)

    def cleaning(
        self, *, idle: bool = True, holder: str | None = None, batch: int = 500, **limits: int
    ) -> Cleaning:
        async def is_idle() -> bool:
            return idle

        return Cleaning(
            store=self.store,
            tables=NAMES,
            sweeping=self.sweeping,
            leases=Leases(self.store, holder=holder or new_id(), clock=self.clock, ttl_ms=LEASE_MS),
            clock=self.clock,
            environment=self.environment,
            is_idle=is_idle,
            limits=Limits(**limits),
            batch=batch,
        )

    def erasing(self, *, idle: bool = True, grace_ms: int = 0) -> Erasing:
        async def is_idle() -> bool:
            return idle

        return Erasing(
            store=self.store,
            tables=NAMES,
            rebuilding=self.rebuilding,
            sweeping=self.sweeping,
            clock=self.clock,
            is_idle=is_idle,
            grace_ms=grace_ms,
        )

    async def put(self, name: str, content: bytes | None = None) -> str:
        """Store a blob and remember its digest by name."""
        self.media[name] = await self.blobs.put(f"bytes of {name}".encode() if content is None else content)
        return self.media[name]

    async def stored(self) -> set[str]:
        """Names of the blobs of this world that are still stored."""
        there = {digest async for digest, _ in self.blobs.list()}
        return {name for name, digest in self.media.items() if digest in there}

    async def audit(self, *rules: str) -> dict[str, Any]:
        """The report, its rules by name."""
        report = await self.auditing.run(rules=rules)
        return report | {"rules": {rule["rule"]: rule for rule in report["rules"]}}

    async def faults(self, *rules: str) -> dict[str, int]:
        """Rules with findings, and how many."""
        report = await self.audit(*rules)
        return {name: rule["found"] for name, rule in report["rules"].items() if rule["found"]}

    async def plant(self, table: str, doc_id: str, **fields: Any) -> None:
        """Set fields of a document, which is made when it is not there; :meth:`mend` takes it back."""
        [doc] = await self.store.get(table, [doc_id])
        self._before.append((table, doc_id, doc))
        wanted = {key: value for key, value in ((doc or {}) | fields).items() if value is not ...}
        await self._write(table, wanted | {"_id": doc_id})

    async def remove(self, table: str, doc_id: str) -> None:
        """Take a document away; :meth:`mend` puts it back."""
        [doc] = await self.store.get(table, [doc_id])
        assert doc is not None
        self._before.append((table, doc_id, doc))
        await self.store.commit([Expunge(table, doc_id)])

    async def mend(self) -> None:
        """Undo everything planted and removed, last first."""
        while self._before:
            table, doc_id, doc = self._before.pop()
            if doc is None:
                await self.store.commit([Expunge(table, doc_id)])
            else:
                await self._write(table, doc)

    async def _write(self, table: str, doc: Doc) -> None:
        [there] = await self.store.get(table, [doc["_id"]])
        bare = {key: value for key, value in doc.items() if key != "_v"}
        op = Redact(table, bare, there["_v"]) if there else Insert(table, bare)
        await self.store.commit([op])

    async def everything(self) -> list[Doc]:
        """Every document of every table."""
        return [doc for name in sorted(NAMES) for doc in await self.store.find(name, {}, limit=10_000)]


async def cook_and_cast(
    world: World, *, name: str = "a", environment: str = "live", owner: str = "ann"
) -> None:
    """A collection with a finished, partly reviewed cook ``c-<name>``, an export, and a finished cast."""
    version = await only_collection(world, name, environment=environment, owner=owner)
    k, cook_id = world.k, f"c-{name}"
    outputs = [await world.put(f"{name}-piece-{n}") for n in (1, 2, 3)]

    def script(job: Doc) -> dict[str, Any]:
        made = ref(outputs[job["piece"] - 1])
        done = step(job, inputs={"prompt": SECRET}, outputs={"image": made})
        return {"status": "success", "steps": [done], "output": made, "durationMs": 1}

    await k.start(
        3,
        cook_id=cook_id,
        collection_id=f"k-{name}",
        owner=owner,
        environment=environment,
        collection_version=version,
        plan=world.media[f"{name}-plan"],
        config_hash=world.media[f"{name}-recipe"],
    )
    async with k.running(k.owner(), k.worker(Scripted(script))):
        await k.until_state("Completed", cook_id=cook_id)
        await _settled(k, cook_id)
    command = ReviewPieces(key=f"review:{cook_id}:1", decision="reject", pieces=[2], reason=SECRET)
    await k.give(command, cook_id=cook_id, actor=owner)
    await _export(world, name, environment=environment, owner=owner)
    world.casts[name] = await _cast(world, name, environment=environment, owner=owner)


async def _settled(k: Kitchen, cook_id: str) -> None:
    async def folded() -> bool:
        return set((await k.job_statuses(cook_id)).values()) <= {"done", "failed"}

    await k.until(folded)


async def only_collection(world: World, name: str, *, environment: str, owner: str) -> str:
    """A collection with its plan, and a snapshot, as blobs; its version."""
    layer = await world.put(f"{name}-layer")
    recipe = json.dumps({"snapshot": {}, "collection": {"v": name, "layer": ref(layer)}}).encode()
    await world.put(f"{name}-recipe", recipe)
    hats = [
        {"name": "One", "value": ref(await world.put(f"{name}-option"))},
        {"name": "Two"},
        {"name": SECRET},
    ]
    inputs = {"prompt": SECRET, "layer": ref(await world.put(f"{name}-definition")), "hat": "[[Hat]]"}
    definition = {
        "cauldron": 1,
        "name": SECRET,
        "slug": name,
        "supply": 3,
        "generator": {"tool": "test.noop", "inputs": inputs},
        "categories": [{"name": "Hat", "options": hats}],
    }
    collection = parse_collection(definition)
    made = make_plan(collection, seed=name)
    await world.put(f"{name}-plan", made.to_bytes())
    now = iso(world.clock())
    doc = {
        "_id": f"k-{name}",
        "schemaVersion": 2,
        "slug": name,
        "name": SECRET,
        "owner": owner,
        "visibility": "private",
        "environment": environment,
        "supply": 3,
        "version": collection.version_hash,
        "contentHash": "x",
        "definition": definition,
        "createdAt": now,
        "updatedAt": now,
    }
    plan = {
        "_id": f"p-{name}",
        "blob": world.media[f"{name}-plan"],
        "planHash": made.plan_hash,
        "createdAt": now,
    }
    await world.store.commit([Put("collections", doc, 0), Put("plans", plan, None)], atomic=False)
    return collection.version_hash


async def _export(world: World, name: str, *, environment: str, owner: str) -> None:
    doc = {
        "_id": f"x-{name}",
        "schemaVersion": 2,
        "cookId": f"c-{name}",
        "collectionId": f"k-{name}",
        "owner": owner,
        "visibility": "private",
        "environment": environment,
        "format": "erc721",
        "to": SECRET,
        "status": "done",
        "pieces": 2,
        "partial": False,
        "published": False,
        "baseUri": SECRET,
        "provenance": "00",
        "merkleRoot": "00",
        "manifest": "00",
        "skipped": [SECRET],
        "createdAt": iso(world.clock()),
    }
    await world.store.commit([Insert("exports", doc)])


async def _cast(world: World, name: str, *, environment: str, owner: str) -> str:
    casting, made = world.casting, ref(await world.put(f"{name}-cast-image"))
    caller = Caller(account=owner, environment=environment)
    answer = await casting.start(snapshot_of_tool(PAINT), {"text": SECRET}, caller=caller)
    lease = Lease(id=new_id(), worker="w")
    [job] = await casting.jobs.claim(lease, limit=9, now=world.clock())
    done = step(job, inputs={"text": SECRET}, outputs={"image": made, "note": SECRET})
    result = {"status": "success", "steps": [done], "outputs": {"image": made, "note": SECRET}}
    await casting.jobs.settle({job["_id"]: result}, lease=lease, now=world.clock())
    await casting.fold_settled()
    return str(answer["runId"])


def old(world: World, *names: str, hours: float = 48) -> None:
    """Make blobs look as if they had been used last so long ago."""
    then = wall_ms() / 1000 - hours * 3600
    for name in names or tuple(world.media):
        with contextlib.suppress(NotFound):
            os.utime(world.blobs.files.path(world.media[name]), (then, then))
