"""Operations as MongoDB statements: one document, one statement, no transaction.

An update finds its document by id alone, the cheapest way there is, and checks its
guard while it computes the change: a guard that fails makes the statement fail, so
that the answer names it; so does an absent document, which it would insert (upsert).
Every write leaves a random token, by which a try whose answer was lost is recognised.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from bson.raw_bson import RawBSONDocument
from bson.timestamp import Timestamp

from cauldron.adapters.mongo_documents import (
    id_of,
    pick,
    refuse_nul,
    scalar,
    size_bytes_of,
    stored_document,
    stored_path,
    stored_value,
)
from cauldron.adapters.mongo_link import DUPLICATE
from cauldron.adapters.mongo_query import MongoTable, clauses, conditions, expressions
from cauldron.domain.errors import CauldronError, Duplicate, Invalid, StaleVersion
from cauldron.ports.storage import Doc, Expunge, Insert, Op, Patch, Put, Redact

EXISTS = {"$gt": ["$_v", 0]}
POISON = {"$add": ["$_id", 1]}  # no sum of a text and a number: the statement fails, named
GUARD_FAILED = frozenset({14, 16554})  # what poison answers, by version of the server
NOW = Timestamp(0, 0)  # the server puts its own time here


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One operation ready to run."""

    table: str
    id: str
    token: int = 0
    kind: str  # "insert", "update" or "delete": what one command may hold
    guard: Sequence[Doc] = ()  # expressions of an update
    change: Any = None  # a document to insert, the stage of an update, the filter of a delete
    on_duplicate_id: type[CauldronError] = Duplicate
    size_bytes: int = 0

    def statement(self, *, doubted: bool) -> Any:
        """A document to insert or an update; when an earlier try may have succeeded, not to count twice."""
        if self.kind == "insert":
            return self.change
        guard = [*self.guard, {"$ne": ["$_t", self.token]}] if doubted else self.guard
        return {"q": {"_id": self.id}, "u": [self.change(guard)], "upsert": True}

    def failed(self, error: Doc) -> CauldronError:
        """The outcome that a statement's error means."""
        name = f"{self.table}/{self.id}"
        if error["code"] != DUPLICATE:
            return StaleVersion(f"{name} is not as expected", table=self.table, id=self.id)
        same_id = by_id(error)
        if same_id and self.on_duplicate_id is StaleVersion:
            return StaleVersion(f"{name} exists already", table=self.table, id=self.id)
        what = "its id" if same_id else "a unique field of it"
        return Duplicate(f"{name}: {what} exists already", table=self.table, id=self.id, by_id=same_id)


def command_of(table: str, writes: Sequence[Write], *, doubted: bool = False) -> Doc:
    """Inserts or updates of one table as one command.

    As the server takes it, because the driver's own bulk objects cost more than the rest of a
    write; its retries are not missed: the tokens make ours exact.
    """
    statements = [write.statement(doubted=doubted) for write in writes]
    if writes[0].kind == "insert":
        return {"insert": table, "documents": statements}
    return {"update": table, "updates": statements}


def by_id(error: Doc) -> bool:
    """Is it the id that exists already, not another unique field?"""
    return list(error.get("keyPattern") or {}) == ["_id"]


def prepare(table: MongoTable, op: Op) -> Write:
    """The statement for ``op``. Raises Invalid, before anything is written."""
    if table.feed and not isinstance(op, Insert | Redact | Expunge):
        raise Invalid(f"{table.name} is append-only", table=table.name)
    if isinstance(op, Insert):
        return _insert(table, op.doc)
    if isinstance(op, Put):
        return _put(table, op)
    if isinstance(op, Patch):
        return _patch(table, op)
    guard = [clause for path, wanted in op.guard.items() for clause in clauses(path, wanted)]
    only = conditions([("_id", {"$eq": id_of(op.id, table.name)}), *guard])
    return Write(table=table.name, id=op.id, kind="delete", guard=[only] if guard else [], change=only)


def _token() -> int:
    return random.getrandbits(63)


def _document(table: MongoTable, doc: Doc, own: Doc) -> tuple[str, RawBSONDocument]:
    """The id and the stored form of a document. Raises Invalid."""
    name = id_of(doc.get("_id"), table.name)
    stored, has_nul = stored_document(doc, where=f"{table.name}/{name}", own=own)
    if has_nul:
        for path in table.fields:
            refuse_nul(path, pick(doc, path))
    for path in table.required:
        if pick(doc, path) is None:
            raise Invalid(f"{table.name}/{name}: {path} is missing", path=path)
    return name, stored


def _insert(table: MongoTable, doc: Doc, *, on_duplicate_id: type[CauldronError] = Duplicate) -> Write:
    token = _token()
    own: Doc = {"_v": 1, "_t": token, "_ts": NOW} if table.feed else {"_v": 1, "_t": token}
    name, stored = _document(table, doc, own)
    return Write(
        table=table.name,
        id=name,
        token=token,
        kind="insert",
        change=stored,
        on_duplicate_id=on_duplicate_id,
        size_bytes=len(stored.raw),
    )


def _put(table: MongoTable, op: Put) -> Write:
    if op.expected == 0:
        return _insert(table, op.doc, on_duplicate_id=StaleVersion)
    token = _token()
    name, stored = _document(table, op.doc, {"_t": token})
    guard: list[Doc] = []
    version: Any = {"$add": [{"$ifNull": ["$_v", 0]}, 1]}
    if op.expected is not None:
        expected = scalar(op.expected, where="expected")
        guard, version = [{"$eq": ["$_v", expected]}], expected + 1
    kept = {"_ts": "$_ts"} if table.feed else {}  # its place in the order of insertion
    body = {"$mergeObjects": [{"$literal": stored}, {"_v": version, **kept}]}
    return Write(
        table=table.name,
        id=name,
        token=token,
        kind="update",
        guard=guard,
        change=lambda guard: {"$replaceWith": _unless(guard, body)},
        size_bytes=len(stored.raw),
    )


def _unless(guard: Sequence[Doc], value: Any) -> Any:
    """``value`` where every guard holds, else a failure."""
    return {"$cond": [{"$and": list(guard)}, value, POISON]} if guard else value


def _patch(table: MongoTable, op: Patch) -> Write:
    name = id_of(op.id, table.name)
    fields, size_bytes = changes(table, op.set)
    token = _token()
    guard = [EXISTS]
    guard += [term for path, wanted in op.guard.items() for term in expressions(path, wanted)]
    guard += _shape(tuple(op.set)).reachable
    grown = {"$add": ["$_v", 1]}
    return Write(
        table=table.name,
        id=name,
        token=token,
        kind="update",
        guard=guard,
        change=lambda guard: {"$set": {**fields, "_t": token, "_v": _unless(guard, grown)}},
        size_bytes=size_bytes,
    )


def changes(table: MongoTable, fields: Mapping[str, Any], increment: Sequence[str] = ()) -> tuple[Doc, int]:
    """What a ``$set`` of a pipeline assigns, and about its size in bytes. Raises Invalid.

    A pipeline, because it keeps new fields in the order given; the plain operator sorts them.
    """
    shape = _shape(tuple(fields), tuple(increment))
    made: Doc = {}
    size_bytes, escaped = 0, shape.escaped
    for (path, value), name in zip(fields.items(), shape.names, strict=False):
        stored, checked = stored_value(value, where=path)
        made[name] = {"$literal": stored}
        if checked.nul and path in table.fields:
            refuse_nul(path, value)
        escaped |= checked.escaped
        size_bytes += size_bytes_of(stored)
    for name in shape.names[len(fields) :]:
        made[name] = {"$add": [{"$ifNull": [f"${name}", 0]}, 1]}
    if escaped:
        made["_e"] = True
    return made, size_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    """What is the same for all changes of the same fields."""

    names: tuple[str, ...]  # stored paths, those that grow at the end
    escaped: bool
    reachable: list[Doc]  # true when what is above each path is an object or absent


@lru_cache(maxsize=1024)
def _shape(paths: tuple[str, ...], increment: tuple[str, ...] = ()) -> _Shape:
    """Raises Invalid for a path that cannot be set, or is set twice."""
    every = (*paths, *increment)
    for path in every:
        if path.split(".", 1)[0] in ("_id", "_v"):
            raise Invalid(f"{path} cannot be set", path=path)
        if any(path == other or path.startswith(f"{other}.") for other in every if other is not path):
            raise Invalid(f"{path} is set twice", path=path)
    names = tuple(stored_path(path) for path in every)
    parents = [name[:at] for name in names[: len(paths)] for at in range(len(name)) if name[at] == "."]
    return _Shape(
        names=names,
        escaped=names != every,
        reachable=[{"$in": [{"$type": f"${parent}"}, ["missing", "object"]]} for parent in parents],
    )


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
