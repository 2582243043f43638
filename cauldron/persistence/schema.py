"""Versions of stored documents: raised when they are read, and for good by ``migrate up``.

A record says its ``schemaVersion``; one that says nothing is of version 1. Raising is
pure, a step at a time: ``up(document)`` gives the changes to the next version. What
is read is always of the newest version; what is stored is raised by a backfill that
guards every change with the version it came from, so writers at work are safe.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from cauldron.domain.times import from_iso, iso
from cauldron.ports.storage import Claim, Doc, Op, Patch, Put, Store, Table, Where
from cauldron.ports.system import Clock

Up = Callable[[Doc], Mapping[str, Any]]
Ups = Mapping[str, Mapping[int, Up]]  # table -> version -> changes that make the next one
MIGRATIONS = "migrations"
TABLES: tuple[Table, ...] = (Table(name=MIGRATIONS),)
FIELD = "schemaVersion"
PAGE = 500
CHECKPOINT = 20  # pages


def _output_2(doc: Doc) -> Mapping[str, Any]:
    """Generation outputs of version 1: duration, points and delivery were not always there.

    An old delivery is never owed: nobody wants to be told of last year's picture.
    """
    changes: dict[str, Any] = {
        name: 0 for name in ("pointsSpent", "protocolNetPoints") if doc.get(name) is None
    }
    if doc.get("status") == "completed":
        changes["status"] = "success"
    if doc.get("durationMs") is None:
        changes["durationMs"] = _duration(doc)
    if doc.get("costSource") is None:
        changes["costSource"] = "unknown" if doc.get("costUsd") is None else "reported"
    if doc.get("deliveryStatus") is None:
        changes["notificationPlatform"] = doc.get("notificationPlatform") or "none"
        changes["deliveryStatus"] = "skipped"
    return changes


def _duration(doc: Doc) -> int | None:
    try:
        lasted = from_iso(doc["responseTimestamp"]) - from_iso(doc["requestTimestamp"])
    except (KeyError, TypeError, ValueError):
        return None
    return lasted if lasted >= 0 else None


UPS: Ups = {"generationOutputs": {1: _output_2}}


def version_of(doc: Mapping[str, Any]) -> int:
    """The version a document says; 1 when it says none."""
    said = doc.get(FIELD)
    return said if isinstance(said, int) and not isinstance(said, bool) else 1


def newest(table: str, ups: Ups = UPS) -> int:
    """The version that documents of a table are read as."""
    return max(ups.get(table, {}), default=0) + 1 if table in ups else 2


def changes_for(table: str, doc: Doc, ups: Ups = UPS) -> dict[str, Any]:
    """Everything that raising a document to the newest version sets; empty when it is there."""
    steps = ups.get(table, {})
    version, changes = version_of(doc), dict[str, Any]()
    while (up := steps.get(version)) is not None:
        changes |= up({**doc, **changes})
        version += 1
        changes[FIELD] = version
    return changes


def raised(table: str, doc: Doc, ups: Ups = UPS) -> Doc:
    """The document as of the newest version; the same object when it is that already."""
    if version_of(doc) not in ups.get(table, {}):
        return doc
    return {**doc, **changes_for(table, doc, ups)}


class Counted(Store, Protocol):
    """An engine, which knows how much each table holds."""

    async def tables_info(self) -> dict[str, tuple[int, int]]:
        """Table to its documents and their bytes."""
        ...


class Upcasting:
    """A store that hands out every document in its newest version; implements the ``Store`` port."""

    def __init__(self, store: Counted, ups: Ups = UPS) -> None:
        self.store = store
        self._ups = ups

    async def open(self, tables: Sequence[Table]) -> None:
        """See the port."""
        await self.store.open(tables)

    async def get(self, table: str, ids: Sequence[str]) -> list[Doc | None]:
        """See the port; documents are raised."""
        found = await self.store.get(table, ids)
        if table not in self._ups:
            return found
        return [None if doc is None else raised(table, doc, self._ups) for doc in found]

    async def find(
        self,
        table: str,
        where: Where,
        *,
        order: tuple[str, ...] = ("_id",),
        limit: int = 1000,
        after: Sequence[Any] | None = None,
    ) -> list[Doc]:
        """See the port; documents are raised, filters see what is stored."""
        found = await self.store.find(table, where, order=order, limit=limit, after=after)
        return [raised(table, doc, self._ups) for doc in found] if table in self._ups else found

    async def commit(self, ops: Sequence[Op], *, atomic: bool = True) -> list[Exception | None]:
        """See the port."""
        return await self.store.commit(ops, atomic=atomic)

    async def claim(self, claim: Claim) -> list[Doc]:
        """See the port; documents are raised."""
        return [raised(claim.table, doc, self._ups) for doc in await self.store.claim(claim)]

    def watch(self, table: str, *, after: str | None = None) -> AsyncIterator[tuple[str, Doc | None]]:
        """See the port; events have upcasters of their own (:mod:`cauldron.domain.codec`)."""
        return self.store.watch(table, after=after)

    async def close(self) -> None:
        """See the port."""
        await self.store.close()

    async def tables_info(self) -> dict[str, tuple[int, int]]:
        """See the engine."""
        return await self.store.tables_info()


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a table stands. ``behind`` are documents stored in an earlier version."""

    table: str
    version: int
    documents: int
    behind: int
    done: bool


def _name(table: str, version: int) -> str:
    return f"schema:{table}:{version}"


async def standing(store: Store, table: str, ups: Ups = UPS) -> Standing:
    """Count what is behind; reads every document unless a backfill has said that none is."""
    version = newest(table, ups)
    [record] = await store.get(MIGRATIONS, [_name(table, version)])
    if record is not None and record["status"] == "done":
        return Standing(table=table, version=version, documents=record["documents"], behind=0, done=True)
    documents = behind = 0
    async for page in _pages(store, table, after=None):
        documents += len(page)
        behind += sum(bool(changes_for(table, doc, ups)) for doc in page)
    return Standing(table=table, version=version, documents=documents, behind=behind, done=False)


async def backfill(store: Store, table: str, *, clock: Clock, apply: bool, ups: Ups = UPS) -> dict[str, Any]:
    """Raise every stored document of a table to its newest version, from the last checkpoint on.

    Returns:
        ``{table, version, documents, raised, fields}``; without ``apply`` what would be.
    """
    version, name = newest(table, ups), _name(table, newest(table, ups))
    [record] = await store.get(MIGRATIONS, [name])
    going_on = record is not None and record["status"] == "running" and apply
    state: Doc = {
        "_id": name,
        "schemaVersion": 2,
        "kind": "schema",
        "status": "running",
        "startedAt": iso(clock()),
        "after": record["after"] if going_on and record else None,
        "documents": record["documents"] if going_on and record else 0,
        "raised": record["raised"] if going_on and record else 0,
    }
    fields: dict[str, int] = {}
    pages = 0
    async for page in _pages(store, table, after=state["after"]):
        changed = [(doc, changes_for(table, doc, ups)) for doc in page]
        ops = [_raising(table, doc, changes) for doc, changes in changed if changes]
        state["documents"] += len(page)
        state["raised"] += len(ops)
        for _, changes in changed:
            for each in changes:
                fields[each] = fields.get(each, 0) + 1
        if apply and ops:
            await store.commit(ops, atomic=False)  # one that was raised meanwhile is refused, and well
        state["after"], pages = page[-1]["_id"], pages + 1
        if apply and pages % CHECKPOINT == 0:
            await store.commit([Put(MIGRATIONS, state)])
    if apply:
        await store.commit([Put(MIGRATIONS, state | {"status": "done", "finishedAt": iso(clock())})])
    told = ("documents", "raised")
    return {"table": table, "version": version, **{key: state[key] for key in told}, "fields": fields}


def _raising(table: str, doc: Doc, changes: Mapping[str, Any]) -> Op:
    return Patch(table, doc["_id"], changes, {FIELD: doc.get(FIELD)})


async def _pages(store: Store, table: str, *, after: str | None) -> AsyncIterator[list[Doc]]:
    last = [after] if after is not None else None
    while page := await store.find(table, {}, limit=PAGE, after=last):
        yield page
        last = [page[-1]["_id"]]
