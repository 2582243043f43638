"""What the SQLite writer does inside a group: the operations of one commit, or one claim.

Operations that follow one another and differ in little are done by one statement, 32 at a
time: most of a small statement's cost is asking for it.
"""

# ruff: noqa: S608 - names in SQL are checked against a pattern, values are parameters

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Protocol

from cauldron.adapters.sqlite_sql import ALIKE, Prepared
from cauldron.adapters.sqlite_terms import Params, decode, quoted
from cauldron.domain.errors import CauldronError, Duplicate, StaleVersion
from cauldron.ports.storage import Doc

Outcome = Any  # a result, or the exception to raise at the caller


class Work(Protocol):
    """Something to do inside a group."""

    @property
    def table_names(self) -> frozenset[str]: ...

    @property
    def statements(self) -> int: ...

    @property
    def undoes(self) -> bool:
        """May it fail after it has changed something?"""
        ...

    def run(self, db: sqlite3.Connection) -> Outcome:
        """Raises CauldronError when it must leave no effect."""
        ...


@dataclass(frozen=True, slots=True)
class CommitWork:
    """The operations of one ``commit``."""

    prepared: Sequence[Prepared]
    atomic: bool
    table_names: frozenset[str]

    @property
    def statements(self) -> int:
        return len(self.prepared)

    @property
    def undoes(self) -> bool:
        return self.atomic and len(self.prepared) > 1

    def run(self, db: sqlite3.Connection) -> list[Exception | None]:
        prepared, outcomes = self.prepared, list[Exception | None]()
        while len(outcomes) < len(prepared):
            at = len(outcomes)
            outcomes += _run_alike(db, prepared[at : at + ALIKE]) or [_run_single(db, prepared[at])]
            if self.atomic:
                for failure in outcomes[at:]:
                    if failure is not None:
                        raise failure
        return outcomes


def _run_alike(db: sqlite3.Connection, chunk: Sequence[Prepared]) -> list[Exception | None]:
    """The outcomes of operations that one statement can do; nothing done and none when it cannot."""
    many = chunk[0].many
    if many is None or len(chunk) < ALIKE or any(each.many != many for each in chunk):
        return []
    try:
        if many.varying is None:
            db.execute(many.sql, tuple(chain.from_iterable(each.params for each in chunk)))
            return [None] * ALIKE
        return _patch_alike(db, chunk, many.sql, many.varying)
    except sqlite3.IntegrityError:  # one of them is at fault: the statement is undone, each is tried
        return []


def _patch_alike(
    db: sqlite3.Connection, chunk: Sequence[Prepared], sql: str, at: int
) -> list[Exception | None]:
    first, ids = chunk[0].params, [each.params[at] for each in chunk]
    before, after = first[:at], first[at + 1 :]
    if any(each.params[:at] != before or each.params[at + 1 :] != after for each in chunk):
        return []
    if len(set(ids)) < ALIKE:
        return []
    done = {name for (name,) in db.execute(sql, (*before, *ids, *after)).fetchall()}
    pairs = zip(ids, chunk, strict=True)
    return [None if name in done else _why_nothing(db, each) for name, each in pairs]


def _run_single(db: sqlite3.Connection, each: Prepared) -> Exception | None:
    try:
        done = each.first is not None and db.execute(*each.first).rowcount > 0
        if not done and db.execute(each.sql, each.params).rowcount == 0 and each.on_nothing:
            return _why_nothing(db, each)
    except sqlite3.IntegrityError as exc:  # undoes its own statement, nothing else
        return _duplicate(each, exc)
    return None


def _duplicate(each: Prepared, exc: sqlite3.IntegrityError) -> CauldronError:
    op = each.op
    name = op.doc["_id"] if hasattr(op, "doc") else op.id
    by_id = str(exc).endswith(f"failed: {op.table}.id")
    what = "its id" if by_id else "a unique field of it"
    return Duplicate(f"{op.table}/{name}: {what} exists already", table=op.table, id=name, by_id=by_id)


def _why_nothing(db: sqlite3.Connection, each: Prepared) -> CauldronError | None:
    op = each.op
    name = op.doc["_id"] if hasattr(op, "doc") else op.id
    if each.on_nothing == "guard":  # removing what is absent is no error
        found = db.execute(f"SELECT 1 FROM {quoted(op.table)} WHERE id=?", (name,)).fetchone()
        if found is None:
            return None
    return StaleVersion(f"{op.table}/{name} is not as expected", table=op.table, id=name)


@dataclass(frozen=True, slots=True)
class ClaimWork:
    """One ``claim``: choose rows in order, change them, hand them out in that order."""

    table: str
    choose: str
    choose_params: Params
    change: str
    change_params: Params
    limit: int

    @property
    def table_names(self) -> frozenset[str]:
        return frozenset((self.table,))

    @property
    def statements(self) -> int:
        return 2 + self.limit

    @property
    def undoes(self) -> bool:
        return False

    def run(self, db: sqlite3.Connection) -> list[Doc]:
        chosen = [pos for (pos,) in db.execute(self.choose, (*self.choose_params, self.limit))]
        if not chosen:
            return []
        sql = (
            f"UPDATE {quoted(self.table)} SET {self.change}"
            " WHERE pos IN (SELECT value FROM json_each(?)) RETURNING pos,v,doc"
        )
        try:
            rows = db.execute(sql, (*self.change_params, str(chosen))).fetchall()
        except sqlite3.IntegrityError as exc:
            raise Duplicate(f"{self.table}: a claim would double a unique field", table=self.table) from exc
        by_pos = {row[0]: decode(row) for row in rows}
        return [by_pos[pos] for pos in chosen]
