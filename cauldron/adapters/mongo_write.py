"""Writes to MongoDB: operations as statements, gathered into few commands, each with its own outcome.

One document, one statement, no transaction. A statement whose guard fails is made
to fail aloud: it would insert (upsert), and what it would insert is not allowed, so
that the answer names it. Every write leaves a random token, by which a try whose
answer was lost is recognised afterwards.
"""

import asyncio
import random
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bson.timestamp import Timestamp
from pymongo import DeleteMany, DeleteOne, InsertOne, UpdateOne
from pymongo.errors import BulkWriteError, OperationFailure, PyMongoError

from cauldron.adapters.mongo_documents import (
    Checked,
    id_of,
    is_escaped,
    pick,
    refuse_nul,
    scalar,
    stored_path,
)
from cauldron.adapters.mongo_link import AGAIN, DUPLICATE, SLOW_S, Link, Patience, log
from cauldron.adapters.mongo_query import NO_ARRAY, Clause, MongoTable, clauses, conditions
from cauldron.domain.errors import CauldronError, Duplicate, Invalid, StaleVersion
from cauldron.ports.storage import Doc, Insert, Op, Patch, Put

Outcome = Exception | None
Statement = InsertOne[Doc] | UpdateOne | DeleteOne | DeleteMany

MAX_STATEMENTS = 1000  # in one command
MAX_COMMAND_BYTES = 8 * 1024 * 1024
ABSENT = {"$eq": [{"$type": "$_t"}, "missing"]}  # every stored document has a token
POISON = {"$add": ["$_id", 1]}  # no sum of a text and a number: the statement fails, named
# What poison answers, and a guard that no insert can satisfy.
GUARD_FAILED = frozenset({14, 16554, 54, 55})
NOW = Timestamp(0, 0)  # the server puts its own time here


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One operation ready to run."""

    table: str
    id: str
    token: int
    kind: str  # "insert", "update" or "delete": what one command may hold
    filter: Doc
    change: Any
    on_duplicate_id: type[CauldronError] = Duplicate
    size_bytes: int = 0

    def statement(self, *, doubted: bool) -> Statement:
        """The statement; when an earlier try may have succeeded, not to take effect twice."""
        if self.kind == "insert":
            return InsertOne(self.change)
        only = {**self.filter, "_t": {"$ne": self.token}} if doubted else self.filter
        return UpdateOne(only, self.change, upsert=True)

    def failed(self, error: Doc) -> CauldronError:
        """The outcome that a statement's error means."""
        name = f"{self.table}/{self.id}"
        if error["code"] != DUPLICATE:
            return StaleVersion(f"{name} is not as expected", table=self.table, id=self.id)
        by_id = _by_id(error)
        if by_id and self.on_duplicate_id is StaleVersion:
            return StaleVersion(f"{name} exists already", table=self.table, id=self.id)
        what = "its id" if by_id else "a unique field of it"
        return Duplicate(f"{name}: {what} exists already", table=self.table, id=self.id, by_id=by_id)


def prepare(table: MongoTable, op: Op) -> Write:
    """The statement for ``op``. Raises Invalid, before anything is written."""
    if table.feed and not isinstance(op, Insert):
        raise Invalid(f"{table.name} is append-only", table=table.name)
    if isinstance(op, Insert):
        return _insert(table, op.doc)
    if isinstance(op, Put):
        return _put(table, op)
    if isinstance(op, Patch):
        return _patch(table, op)
    guard = [clause for path, wanted in op.guard.items() for clause in clauses(path, wanted)]
    only = conditions([("_id", {"$eq": id_of(op.id, table.name)}), *guard])
    return Write(table=table.name, id=op.id, token=0, kind="delete", filter=only, change=bool(guard))


def _token() -> int:
    return random.getrandbits(63)


def _document(table: MongoTable, doc: Doc) -> tuple[str, Doc, Checked]:
    """The id and the fields of a document as they are stored, without our own."""
    name = id_of(doc.get("_id"), table.name)
    checked = Checked(f"{table.name}/{name}")
    stored = checked.mapping(doc)
    stored.pop("_v", None)
    checked.check_size(stored)
    if checked.nul:
        for path in table.fields:
            refuse_nul(path, pick(doc, path))
    for path in table.required:
        if pick(doc, path) is None:
            raise Invalid(f"{table.name}/{name}: {path} is missing", path=path)
    if checked.escaped:
        stored["_e"] = True
    return name, stored, checked


def _insert(table: MongoTable, doc: Doc, *, on_duplicate_id: type[CauldronError] = Duplicate) -> Write:
    name, stored, checked = _document(table, doc)
    token = _token()
    stored["_v"], stored["_t"] = 1, token
    if table.feed:
        stored["_ts"] = NOW
    return Write(
        table=table.name,
        id=name,
        token=token,
        kind="insert",
        filter={"_id": name},
        change=stored,
        on_duplicate_id=on_duplicate_id,
        size_bytes=checked.size_bytes,
    )


def _put(table: MongoTable, op: Put) -> Write:
    if op.expected == 0:
        return _insert(table, op.doc, on_duplicate_id=StaleVersion)
    name, stored, checked = _document(table, op.doc)
    token = _token()
    stored["_t"] = token
    if op.expected is None:
        only: Doc = {"_id": name}
        version: Doc = {"_v": {"$add": [{"$ifNull": ["$_v", 0]}, 1]}}
        body: Doc = {"$mergeObjects": [{"$literal": stored}, version]}
    else:
        expected = scalar(op.expected, where="expected")
        only = {"_id": name, "_v": expected}
        stored["_v"] = expected + 1
        body = {"$cond": [ABSENT, POISON, {"$literal": stored}]}
    return Write(
        table=table.name,
        id=name,
        token=token,
        kind="update",
        filter=only,
        change=[{"$replaceWith": body}],
        size_bytes=checked.size_bytes,
    )


def _patch(table: MongoTable, op: Patch) -> Write:
    name = id_of(op.id, table.name)
    fields, size_bytes = changes(table, op.set)
    token = _token()
    guard = [clause for path, wanted in op.guard.items() for clause in clauses(path, wanted)]
    guard += [clause for path in op.set for clause in reachable(path)]
    version = {"$cond": [ABSENT, POISON, {"$add": ["$_v", 1]}]}
    return Write(
        table=table.name,
        id=name,
        token=token,
        kind="update",
        filter=conditions([("_id", {"$eq": name}), *guard]),
        change=[{"$set": {**fields, "_t": token, "_v": version}}],
        size_bytes=size_bytes,
    )


def changes(table: MongoTable, fields: Mapping[str, Any], increment: Sequence[str] = ()) -> tuple[Doc, int]:
    """What a ``$set`` of a pipeline assigns, and its least size in bytes. Raises Invalid.

    A pipeline, because it keeps new fields in the order given; the plain operator sorts them.
    """
    checked = Checked(table.name)
    made: Doc = {}
    for path, value in fields.items():
        checked.where, checked.nul = path, False
        made[_settable(table, path)] = {"$literal": checked.value(value, 1)}
        if checked.nul and path in table.fields:
            refuse_nul(path, value)
    checked.check_size(made)
    for path in increment:
        stored = _settable(table, path)
        made[stored] = {"$add": [{"$ifNull": [f"${stored}", 0]}, 1]}
    for path in made:
        if any(path.startswith(f"{other}.") for other in made):
            raise Invalid(f"{table.name}: {path} is set twice", path=path)
    if checked.escaped or any(is_escaped(path) for path in (*fields, *increment)):
        made["_e"] = True
    return made, checked.size_bytes


def _settable(table: MongoTable, path: str) -> str:
    """The stored path of a field that may be set. Raises Invalid."""
    if path.split(".", 1)[0] in ("_id", "_v"):
        raise Invalid(f"{table.name}: {path} cannot be set", path=path)
    return stored_path(path)


def reachable(path: str) -> list[Clause]:
    """Terms that hold when a nested path can be set: what is above it is an object or absent."""
    stored = stored_path(path)
    parents = [stored[:at] for at in range(len(stored)) if stored[at] == "."]
    objects = {"$type": "object", **NO_ARRAY}
    return [("$or", [{parent: {"$exists": False}}, {parent: objects}]) for parent in parents]


@dataclass(slots=True)
class Request:
    """Writes of one caller for one command, and who waits for them."""

    writes: Sequence[Write]
    future: "asyncio.Future[list[Outcome]]"


@dataclass(slots=True)
class Lane:
    """Writes of one kind into one table: what arrives while a command is under way shares the next."""

    link: Link
    table: str
    in_flight: asyncio.Semaphore
    _waiting: deque[Request] = field(default_factory=deque)
    _pump: "asyncio.Task[None] | None" = None

    def submit(self, writes: Sequence[Write]) -> "asyncio.Future[list[Outcome]]":
        """Queue writes of one kind; the future gives one outcome each."""
        future: asyncio.Future[list[Outcome]] = asyncio.get_running_loop().create_future()
        self._waiting.append(Request(writes, future))
        if self._pump is None or self._pump.done():
            self._pump = asyncio.create_task(self._run())
        return future

    async def idle(self) -> None:
        """Wait until everything submitted has its outcome."""
        while self._pump is not None and not self._pump.done():
            await asyncio.wait([self._pump])

    async def _run(self) -> None:
        while self._waiting:
            async with self.in_flight:
                group = self._collect()
                await self._serve(group)

    def _collect(self) -> list[Request]:
        group = [self._waiting.popleft()]
        statements, size_bytes = len(group[0].writes), _bytes(group[0])
        while self._waiting:
            statements += len(self._waiting[0].writes)
            size_bytes += _bytes(self._waiting[0])
            if statements > MAX_STATEMENTS or size_bytes > MAX_COMMAND_BYTES:
                break
            group.append(self._waiting.popleft())
        return group

    async def _serve(self, group: list[Request]) -> None:
        writes = [write for request in group for write in request.writes]
        began = time.monotonic()
        try:
            outcomes = await run_writes(self.link, self.table, writes)
        except Exception as exc:  # every caller must hear of it; the lane must go on
            for request in group:
                if not request.future.done():
                    request.future.set_exception(self.link.translate(exc))
            return
        if (took_s := time.monotonic() - began) > SLOW_S:
            log.warning("store was slow to write", table=self.table, stalled_ms=round(took_s * 1000))
        at = 0
        for request in group:
            _answer(request, outcomes[at : at + len(request.writes)])
            at += len(request.writes)


def _bytes(request: Request) -> int:
    return sum(write.size_bytes for write in request.writes)


def _answer(request: Request, outcomes: list[Outcome]) -> None:
    if request.future.done():
        return
    broken = next(
        (each for each in outcomes if each and not isinstance(each, Duplicate | StaleVersion)), None
    )
    if broken is not None:
        request.future.set_exception(broken)
    else:
        request.future.set_result(outcomes)


async def run_writes(link: Link, table: str, writes: Sequence[Write]) -> list[Outcome]:
    """Carry out inserts or updates of one table, each by itself; one outcome each.

    Raises:
        Unavailable, StorageFull, CauldronError: no outcome could be had.
    """
    outcomes: list[Outcome] = [None] * len(writes)
    todo, doubted, patience = list(range(len(writes))), False, Patience(link)
    while todo:
        statements = [writes[n].statement(doubted=doubted) for n in todo]
        try:
            errors = await _bulk(link, table, statements)
        except PyMongoError as exc:
            await patience.wait(exc)
            doubted = True
            continue
        failed = {todo[at]: error for at, error in errors.items()}
        if doubted:
            for n in await _echoes(link, table, writes, failed):
                del failed[n]
        todo = sorted(n for n, error in failed.items() if _again(writes[n], error))
        for n in failed.keys() - set(todo):
            outcomes[n] = _outcome(link, writes[n], failed[n])
        if todo:
            doubted = True
            await patience.wait(OperationFailure("write conflict", 112))
    return outcomes


def _again(write: Write, error: Doc) -> bool:
    """Passing trouble; or two upserts of one id, of which the second finds the document the next time."""
    raced = write.kind == "update" and error["code"] == DUPLICATE and _by_id(error)
    return raced or error["code"] in AGAIN


def _by_id(error: Doc) -> bool:
    return list(error.get("keyPattern") or {}) == ["_id"]


def _outcome(link: Link, write: Write, error: Doc) -> Exception:
    if error["code"] in GUARD_FAILED or error["code"] == DUPLICATE:
        return write.failed(error)
    return _broken(link, error)


def _broken(link: Link, error: Doc) -> Exception:
    meant = link.translate(OperationFailure(error.get("errmsg", "refused"), error["code"]))
    return meant if isinstance(meant, Exception) else CauldronError(str(meant))


async def _bulk(link: Link, table: str, statements: Sequence[Any]) -> dict[int, Doc]:
    """Run statements in one command; the errors by position."""
    async with link.session() as session:
        try:
            await link.db[table].bulk_write(statements, ordered=False, session=session)
        except BulkWriteError as exc:
            concern = exc.details.get("writeConcernErrors")
            if concern:
                raise OperationFailure(concern[0].get("errmsg", ""), 64) from exc
            return {error["index"]: error for error in exc.details["writeErrors"]}
    return {}


async def _echoes(link: Link, table: str, writes: Sequence[Write], failed: Mapping[int, Doc]) -> list[int]:
    """Failures that are only the echo of an earlier try: its token is in the document."""
    if not failed:
        return []
    only = {"_id": {"$in": [writes[n].id for n in failed]}}
    found = await link.steadily(lambda: link.db[table].find(only, {"_t": 1}).to_list())
    tokens = {doc["_id"]: doc.get("_t") for doc in found}
    return [n for n in failed if tokens.get(writes[n].id) == writes[n].token]


async def run_deletes(link: Link, table: str, writes: Sequence[Write]) -> list[Outcome]:
    """Remove documents, together where no guard is in the way; one outcome each."""
    free = [write.id for write in writes if not write.change]
    if free:
        await link.steadily(lambda: link.db[table].delete_many({"_id": {"$in": free}}))
    outcomes: list[Outcome] = []
    for write in writes:
        outcomes.append(await _delete_guarded(link, table, write) if write.change else None)
    return outcomes


async def _delete_guarded(link: Link, table: str, write: Write) -> Outcome:
    done = await link.steadily(lambda: link.db[table].delete_one(write.filter))
    if done.deleted_count:
        return None
    there = await link.steadily(lambda: link.db[table].find_one({"_id": write.id}, {"_id": 1}))
    return write.failed({"code": 0}) if there else None


def runs(writes: Sequence[Write]) -> list[list[list[Write]]]:
    """Steps one after the other; a step holds lists for different tables, together.

    Inserts next to each other are grouped by table and may go together; anything else keeps its
    place, because it may concern what was written before it.
    """
    steps: list[dict[tuple[str, str], list[Write]]] = []
    for write in writes:
        key = (write.kind, write.table)
        last = steps[-1] if steps else {}
        joins = key in last if write.kind != "insert" else all(kind == "insert" for kind, _ in last)
        if last and joins:
            last.setdefault(key, []).append(write)
        else:
            steps.append({key: [write]})
    return [list(step.values()) for step in steps]
