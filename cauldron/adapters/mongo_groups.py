"""Patches that are alike as one MongoDB statement: one guard for many documents.

A statement costs the server more than the change of a document does. So patches of one
call that set the same fields under the same guard share one; what they set may be the same
or each its own. The statement leaves its token in every document it changes (``_g``), by
which it is told which of them it reached when their number is not as expected; the token
of the last write (``_t``) differs from document to document, as claims rely on.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from cauldron.adapters.mongo_documents import id_of, refuse_nul, size_bytes_of, stored_path, stored_value
from cauldron.adapters.mongo_query import MongoTable, clauses, conditions
from cauldron.adapters.mongo_statements import Write, prepare
from cauldron.domain.errors import StaleVersion
from cauldron.ports.storage import Doc, Op, Patch

FEWEST = 3  # patches, before a shared statement is the cheaper one
MOST = 250  # documents in one statement
MOST_OWN = 64  # where each has values of its own, which are looked up one after the other
MOST_BYTES = 1024 * 1024
PLAIN = (str, int, float, bool, type(None))
Signature = tuple[Any, ...]


class Partly(Exception):
    """What became of a group that did not change all its documents: the failures, by id."""

    def __init__(self, failures: Mapping[str, Exception]) -> None:
        super().__init__(f"{len(failures)} of a group failed")
        self.failures = failures


@dataclass(frozen=True, slots=True, kw_only=True)
class Group(Write):
    """Alike patches ready to run. ``id`` and the rest of a single write say nothing here."""

    ids: tuple[str, ...]
    query: Doc
    alone: Callable[[str], Write]  # the same patch of one document, by itself

    def outcomes(self, outcome: Exception | None) -> list[Exception | None]:
        """The outcome of each patch."""
        if isinstance(outcome, Partly):
            return [outcome.failures.get(name) for name in self.ids]
        return [outcome] * len(self.ids)

    def stale(self, name: str) -> StaleVersion:
        """The outcome of a patch whose document is absent, or not as its guard demands."""
        return StaleVersion(f"{self.table}/{name} is not as expected", table=self.table, id=name)

    def statement(self, *, doubted: bool) -> Any:
        """One update of many documents; when an earlier try may have reached some, not those again."""
        query = {"$and": [self.query, {"_g": {"$ne": self.token}}]} if doubted else self.query
        return {"q": query, "u": [{"$set": self.change}], "multi": True, "hint": "_id_"}


Unit = tuple[Write, tuple[int, ...]]  # and the places of its operations in the call


def units(table_of: Callable[[str], MongoTable], ops: Sequence[Op]) -> list[Unit]:
    """Operations as writes, alike patches together; their order is kept where it matters. Raises Invalid."""
    made: list[Unit] = []
    numbered = list(enumerate(ops))
    for (_, name), some in groupby(numbered, key=lambda each: (type(each[1]), each[1].table)):
        run, table = list(some), table_of(name)
        patches = [(n, op) for n, op in run if isinstance(op, Patch)]
        apart = len({op.id for _, op in patches}) == len(run)
        if apart and not table.feed and len(run) >= FEWEST:
            made += _patches(table, patches)
        else:
            made += [(prepare(table, op), (n,)) for n, op in run]
    return made


def _patches(table: MongoTable, run: Sequence[tuple[int, Patch]]) -> Iterator[Unit]:
    """Patches of different documents of one table: their order does not matter."""
    alike: dict[Signature, list[tuple[int, Patch]]] = {}
    for n, op in run:
        alike.setdefault(_signature(op), []).append((n, op))
    for signature, some in alike.items():
        groups = _grouped(table, some) if signature and len(some) >= FEWEST else None
        if groups is None:
            yield from ((prepare(table, op), (n,)) for n, op in some)
        else:
            yield from groups


def _signature(op: Patch) -> Signature:
    """What alike patches share; empty for one that must go alone."""
    if any("." in path or path in ("_id", "_v") for path in op.set):
        return ()
    signature = (tuple(op.guard.items()), tuple(op.set))
    try:
        hash(signature)
    except TypeError:
        return ()
    return signature


def _grouped(table: MongoTable, some: Sequence[tuple[int, Patch]]) -> list[Unit] | None:
    """Groups of alike patches, none too big; None when something in them needs the long way."""
    first = some[0][1]
    shared = {path for path in first.set if _is_same([op.set[path] for _, op in some])}
    most = MOST if len(shared) == len(first.set) else MOST_OWN
    made: list[Unit] = []
    for start in range(0, len(some), most):
        part = some[start : start + most]
        group = _group(table, [op for _, op in part], shared)
        if group is None:
            return None
        made.append((group, tuple(n for n, _ in part)))
    return made


def _is_same(values: Sequence[Any]) -> bool:
    first, kind = values[0], type(values[0])
    return kind in PLAIN and all(type(value) is kind and value == first for value in values)


def _group(table: MongoTable, ops: Sequence[Patch], shared: set[str]) -> Group | None:
    ids = tuple(id_of(op.id, table.name) for op in ops)
    token = random.getrandbits(62)  # and room above it
    change: Doc = {}
    size_bytes = 0
    at = {"$indexOfArray": [{"$literal": list(ids)}, "$_id"]}
    for path in ops[0].set:
        values = [op.set[path] for op in (ops[:1] if path in shared else ops)]
        stored = _stored(table, path, values)
        if stored is None or stored_path(path) != path:
            return None
        size_bytes += sum(map(size_bytes_of, stored))
        own = {"$arrayElemAt": [{"$literal": stored}, at]}
        change[path] = {"$literal": stored[0]} if path in shared else own
    if size_bytes > MOST_BYTES:
        return None
    guard = [clause for path, wanted in ops[0].guard.items() for clause in clauses(path, wanted)]
    by_id: Mapping[str, Patch] = {op.id: op for op in ops}
    return Group(
        table=table.name,
        id="",
        token=token,
        kind="update",
        change={**change, "_t": {"$add": [token, at]}, "_g": token, "_v": {"$add": ["$_v", 1]}},
        size_bytes=size_bytes,
        ids=ids,
        query=conditions([("_id", {"$in": list(ids)}), *guard]),
        alone=lambda name: prepare(table, by_id[name]),
    )


def _stored(table: MongoTable, path: str, values: Sequence[Any]) -> list[Any] | None:
    """Values as they are stored; None where a key in one is escaped. Raises Invalid."""
    made = []
    for value in values:
        stored, checked = stored_value(value, where=path)
        if checked.nul and path in table.fields:
            refuse_nul(path, value)
        if checked.escaped:
            return None
        made.append(stored)
    return made
