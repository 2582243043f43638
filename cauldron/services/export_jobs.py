"""Exports as durable work: asked for over HTTP, carried out by whoever works, followed by their progress.

A job survives restarts: it is taken up by another worker, which keeps every file that
is there already. It goes to a folder of its account below the export root, by a name.
"""

import asyncio
import contextlib
import hashlib
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import orjson
import structlog

from cauldron.domain.errors import CauldronError, Duplicate, Invalid, NotFound, Refused
from cauldron.domain.export import ExportResult
from cauldron.domain.exportable import NotExportable
from cauldron.domain.times import iso
from cauldron.domain.zip_layout import ZipEntry, ZipLayout
from cauldron.persistence.jobs import JobStore
from cauldron.ports.blobs import BlobStore
from cauldron.ports.exporting import ExportTarget
from cauldron.ports.storage import Doc, Insert, Patch, Store
from cauldron.ports.system import Clock, NewId
from cauldron.services.casting import Caller

if TYPE_CHECKING:
    from cauldron.services.shipping import Shipping

log = structlog.get_logger("cauldron.exports")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
UNDER_WAY = ("queued", "waiting", "held", "running")
TELL_EVERY_S = 0.5
ATTEMPTS = 5
RECENT = 500


class Shelf(Protocol):
    """Where finished exports are read back from."""

    def folder(self, place: str) -> Path: ...
    async def index(self, place: str) -> list[ZipEntry]: ...
    def read(self, place: str, name: str, *, start: int, end: int) -> AsyncIterator[bytes]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """An export to make. ``name`` is the folder's, below the account's own; empty: the collection's slug."""

    name: str = ""
    format: str = "erc721"
    publish: bool = False
    partial: bool = False


@dataclass(slots=True)
class ExportJobs:
    """Takes export jobs in, shows and cancels them, and notes how they ended."""

    store: Store
    jobs: JobStore
    blobs: BlobStore
    shelf: Shelf
    clock: Clock
    new_id: NewId

    async def ask(self, cook: Doc, wish: Wish, *, caller: Caller, key: str | None = None) -> Doc:
        """Queue an export of a cook; the same ``key`` again is answered with the same job.

        Raises:
            Invalid: the name or the format. Refused: an export under that name is under way.
        """
        from cauldron.services.formats import format_named  # noqa: PLC0415 - schemas: only where it is used

        format_named(wish.format)
        name = wish.name or await self._slug(cook)
        if not NAME.fullmatch(name):
            raise Invalid("name: letters, digits, dots, dashes and underscores, at most 100", path="name")
        export_id = self.new_id() if key is None else _id_of(caller.account, key)
        [known] = await self.store.get(self.jobs.table, [export_id])
        if known is not None:
            return known
        for other in await self._recent(caller.account):
            if other["name"] == name and other["status"] in UNDER_WAY:
                raise Refused(f"an export under the name {name!r} is under way", export=other["_id"])
        job = self._job(export_id, cook, wish, name=name, caller=caller)
        with contextlib.suppress(Duplicate):  # the same request twice at once
            await self.store.commit([Insert(self.jobs.table, job)])
        return await self.get(export_id)

    async def _slug(self, cook: Doc) -> str:
        [collection] = await self.store.get("collections", [cook["collectionId"]])
        slug = str((collection or {}).get("slug", ""))
        return slug if NAME.fullmatch(slug) else "export"

    def _job(self, export_id: str, cook: Doc, wish: Wish, *, name: str, caller: Caller) -> Doc:
        now = self.clock()
        return {
            "_id": export_id,
            "status": "queued",
            "parent": export_id,
            "cookId": cook["_id"],
            "collectionId": cook["collectionId"],
            "owner": caller.account,
            "userId": caller.account,
            "actor": caller.actor,
            "environment": caller.environment,
            "name": name,
            "place": f"{folder_of(caller.account)}/{name}",
            "format": wish.format,
            "publish": wish.publish,
            "partial": wish.partial,
            "cancel": False,
            "written": 0,
            "total": 0,
            "outcome": None,
            "rank": now * 1000,
            "attempt": 1,
            "attempts": ATTEMPTS,
            "deliveries": 0,
            "createdAt": iso(now),
            "updatedAt": now,
        }

    async def _recent(self, account: str) -> list[Doc]:
        return await self.store.find(self.jobs.table, {"owner": account}, order=("-createdAt",), limit=RECENT)

    async def get(self, export_id: str) -> Doc:
        """A job. Raises NotFound."""
        found = await self.jobs.get(export_id)
        if found is None:
            raise NotFound(f"there is no export {export_id!r:.80}")
        return found

    async def cancel(self, export_id: str) -> Doc:
        """End an export: at once when nobody has begun it, else within a second or so.

        What is written stays, for an export under the same name to go on from.
        """
        asked = Patch(self.jobs.table, export_id, {"cancel": True}, {"status": (*UNDER_WAY, "settled")})
        await self.store.commit([asked], atomic=False)
        if await self.jobs.drop(export_id, now=self.clock()):
            ended = {"outcome": {"status": "cancelled"}}
            await self.store.commit([Patch(self.jobs.table, export_id, ended)])
        return await self.get(export_id)

    async def layout(self, job: Doc) -> tuple[ZipLayout, str]:
        """The archive of a finished export, and its digest.

        Raises:
            Refused: it is not finished, or a later export went to the same place.
        """
        outcome = job["outcome"] or {}
        if outcome.get("status") != "done":
            raise Refused("the export is not finished", status=status_of(job))
        for other in await self._recent(job["owner"]):
            later = other["createdAt"] > job["createdAt"] and other["place"] == job["place"]
            if later and (other["status"] != "queued" or other["written"]):
                raise Refused("a later export has taken its place", export=other["_id"])
        listed = orjson.loads(await self.blobs.get(outcome["archive"]))
        entries = [ZipEntry(name=name, size_bytes=size, crc=crc) for name, size, crc in listed]
        return ZipLayout(entries), outcome["archive"]

    async def run(self) -> None:
        """Note how exports ended, until cancelled."""
        bell = asyncio.Event()
        ring = asyncio.create_task(self._ring(bell))
        try:
            while True:
                bell.clear()
                try:
                    await self.fold_settled()
                except CauldronError as failure:
                    log.warning("exports not folded: trying again", code=failure.code)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(2.0):
                        await bell.wait()
        finally:
            ring.cancel()
            await asyncio.gather(ring, return_exceptions=True)

    async def _ring(self, bell: asyncio.Event) -> None:
        async for _ in self.store.watch(self.jobs.table):
            bell.set()

    async def fold_settled(self) -> int:
        """Give every settled job its end; returns how many."""
        table = self.jobs.table
        settled = await self.store.find(table, {"status": "settled"}, order=("parent",), limit=100)
        ops = []
        for job in settled:
            result = job["result"] or {}
            ok = result.get("status") == "success"
            outcome = result.get("outputs") if ok else _failure(result)
            ended = {"status": "done" if ok else "failed", "outcome": outcome, "result": None}
            ops.append(Patch(table, job["_id"], ended | {"updatedAt": self.clock()}, {"status": "settled"}))
        if ops:
            await self.store.commit(ops, atomic=False)
        return len(ops)


@dataclass(slots=True)
class ExportExecutor:
    """Carries out one export job; see ``services.working.Executor``."""

    store: Store
    table: str
    blobs: BlobStore
    shelf: Shelf
    shipping: "Callable[[], Shipping]"
    target: Callable[[Path], ExportTarget]
    clock: Clock
    tell_every_s: float = TELL_EVERY_S
    _seen: dict[str, tuple[int, int]] = field(default_factory=dict)

    async def run(self, job: Doc) -> Mapping[str, Any]:
        """Write the export, tell how far it is, stop when told to."""
        shipping = asyncio.create_task(self._ship(job))
        try:
            while not shipping.done():
                await asyncio.wait((shipping,), timeout=self.tell_every_s)
                if await self._tell(job):
                    return _failed("cancelled", "the export was cancelled")
            return shipping.result()
        except CauldronError as failure:
            again = not isinstance(failure, Invalid | NotFound | NotExportable)
            return _failed(failure.code, failure.message, retryable=again)
        finally:
            self._seen.pop(job["_id"], None)
            shipping.cancel()
            await asyncio.gather(shipping, return_exceptions=True)

    async def _tell(self, job: Doc) -> bool:
        """Write the progress down; whether the export is to stop."""
        written, total = self._seen.get(job["_id"], (0, 0))
        change = Patch(
            self.table, job["_id"], {"written": written, "total": total}, {"leaseId": job["leaseId"]}
        )
        [lost] = await self.store.commit([change], atomic=False)
        [now] = await self.store.get(self.table, [job["_id"]])
        return lost is not None or now is None or bool(now["cancel"])

    async def _ship(self, job: Doc) -> Mapping[str, Any]:
        from cauldron.services.shipping import Shipment  # noqa: PLC0415 - templates: only where it is used

        shipment = Shipment(
            cook_id=job["cookId"],
            format=job["format"],
            publish=job["publish"],
            partial=job["partial"],
            export_id=job["_id"],
            place=job["name"],
        )
        _, result = await self.shipping().ship(
            shipment,
            target=self.target(self.shelf.folder(job["place"])),
            actor=job["actor"],
            progress=lambda written, total: self._seen.__setitem__(job["_id"], (written, total)),
        )
        entries = await self.shelf.index(job["place"])
        listed = orjson.dumps([[e.name, e.size_bytes, e.crc] for e in entries])
        archive = await self.blobs.put(listed)
        outputs = _outcome(result) | {
            "archive": archive,
            "archiveBytes": ZipLayout(entries).size_bytes,
            "files": len(entries),
            "finishedAt": iso(self.clock()),
        }
        return {"status": "success", "outputs": outputs, "steps": [], "durationMs": 0}


def folder_of(account: str) -> str:
    """The folder of an account's exports; a hash when its id is no plain name."""
    if PLAIN.fullmatch(account):
        return account
    return f"account-{hashlib.sha256(account.encode()).hexdigest()[:32]}"


def status_of(job: Doc) -> str:
    """How a job stands, as people are told: queued, running, done, failed or cancelled."""
    outcome = job["outcome"] or {}
    if job["status"] in ("done", "failed"):
        return str(outcome.get("status", job["status"]))
    return "running" if job["status"] in ("running", "settled") else "queued"


def _id_of(account: str, key: str) -> str:
    return hashlib.sha256(orjson.dumps(["export", account, key])).hexdigest()[:32]


def _outcome(result: ExportResult) -> dict[str, Any]:
    skipped: Sequence[str] = [problem.message for problem in result.skipped]
    return {
        "status": "done",
        "pieces": result.pieces,
        "baseUri": result.base_uri,
        "provenance": result.provenance_hash,
        "merkleRoot": result.merkle_root,
        "manifest": result.manifest_sha256,
        "incomplete": result.partial,
        "skipped": list(skipped[:100]),
    }


def _failure(result: Mapping[str, Any]) -> dict[str, Any]:
    error = dict(result.get("error") or {"code": "error", "message": "it failed"})
    return {"status": "cancelled" if error.get("code") == "cancelled" else "failed", "error": error}


def _failed(code: str, message: str, *, retryable: bool = False) -> dict[str, Any]:
    error = {"code": code, "message": message}
    return {"status": "failed", "code": code, "error": error, "retryable": retryable, "steps": []}
