"""SQL of the SQLite engine: documents to rows, tables and indexes, one statement per operation.

A table keeps a document as JSON text beside its id and version. Fields that were
declared as indexed when the table was made are *hot*: columns of their own, filled
here, because taking them out of the JSON again for every index at every change
costs three times the change. Indexes declared later are over ``json_extract``; an
index over an array is a side table kept by triggers. Everything here is text and
data: nothing runs.
"""

# ruff: noqa: S608 - names in SQL are checked against a pattern, values are parameters

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from cauldron.adapters.sqlite_terms import (
    NOTHING_HOT,
    Hot,
    Params,
    column,
    conditions,
    encode,
    json_path,
    literal,
    pick,
    quoted,
    scalar,
)
from cauldron.domain.errors import Invalid
from cauldron.ports.storage import Doc, Expunge, Index, Insert, Op, Patch, Put, Redact, Table, Where

ALIKE = 32  # operations of the same shape that one statement does
MAX_SHAPES = 1024  # statements remembered per table
MOST_PLAIN = 1_000  # characters of a text that is handed over as it is
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")


@dataclass(frozen=True, slots=True)
class IndexSql:
    """A declared index: its name, its fields in order, and the SQL that makes it."""

    name: str
    declared: Index
    fields: tuple[tuple[str, bool], ...]  # (path, descending)
    predicate: str  # "" or SQL terms, each preceded by AND
    hot: Hot

    @classmethod
    def of(cls, table: str, declared: Index, hot: Hot) -> "IndexSql":
        """Raises Invalid when the declaration makes no sense."""
        fields = tuple((f.removeprefix("-"), f.startswith("-")) for f in declared.fields)
        if not fields or (declared.multi and len(fields) != 1):
            raise Invalid(f"table {table}: an index names fields; a multi index exactly one", table=table)
        where = {path: _predicate_values(path, value) for path, value in declared.where.items()}
        if declared.multi:
            hot = NOTHING_HOT  # its triggers look into the document
        predicate = "".join(f" AND {_predicate(path, values, hot)}" for path, values in sorted(where.items()))
        columns = [column(path, hot) for path, _ in fields]
        text = repr((fields, columns, declared.unique, declared.multi, predicate))
        kind = "mx" if declared.multi else "ix"
        name = f"{kind}_{table}_{hashlib.sha256(text.encode()).hexdigest()[:10]}"
        return cls(name=name, declared=declared, fields=fields, predicate=predicate, hot=hot)

    @property
    def unique(self) -> bool:
        """Whether two documents may not share it."""
        return self.declared.unique

    def statements(self, table: str) -> list[str]:
        """DDL, in order; every statement may be run again."""
        if self.declared.multi:
            return self._multi_statements(table)
        parts = [column(path, self.hot) + (" DESC" if descending else "") for path, descending in self.fields]
        if not self.declared.unique and self.fields[-1][0] != "_id":
            parts.append("id")
        unique = "UNIQUE " if self.declared.unique else ""
        where = f" WHERE {self.predicate.removeprefix(' AND ')}" if self.predicate else ""
        head = f"CREATE {unique}INDEX IF NOT EXISTS {quoted(self.name)} ON {quoted(table)}"
        return [f"{head}({','.join(parts)}){where}"]

    def _multi_statements(self, table: str) -> list[str]:
        side, path = quoted(self.name), json_path(self.fields[0][0])
        key = "key" if self.declared.unique else "key,ref"
        rows = (
            "SELECT DISTINCT e.value, {row}.id FROM json_each({row}.doc," + path + ") AS e"
            " WHERE e.type NOT IN ('null','array','object')"
            " AND json_type({row}.doc," + path + ") IS NOT 'object'"
        )
        when = self.predicate.replace("json_extract(doc,", "json_extract({row}.doc,")
        rows += when
        new = f"INSERT INTO {side}(key,ref) {rows.format(row='new')};"
        old = f"DELETE FROM {side} WHERE ref = old.id;"
        trigger = (
            "CREATE TRIGGER IF NOT EXISTS {name} AFTER {event} ON " + quoted(table) + " BEGIN {body} END"
        )
        fill = f"INSERT INTO {side}(key,ref) {rows.format(row='t')}".replace(
            "FROM json_each", f"FROM {quoted(table)} AS t, json_each"
        )
        return [
            f"CREATE TABLE {side}(key NOT NULL, ref TEXT NOT NULL, PRIMARY KEY({key})) WITHOUT ROWID",
            f"CREATE INDEX {quoted(self.name + '_ref')} ON {side}(ref)",
            fill,
            trigger.format(name=quoted(self.name + "_i"), event="INSERT", body=new),
            trigger.format(name=quoted(self.name + "_u"), event="UPDATE OF doc", body=old + new),
            trigger.format(name=quoted(self.name + "_d"), event="DELETE", body=old),
        ]


def _predicate_values(path: str, value: Any) -> tuple[Any, ...]:
    values = value if isinstance(value, tuple) else (value,)
    return tuple(scalar(each, where=path) for each in values)


def _predicate(path: str, values: tuple[Any, ...], hot: Hot) -> str:
    if len(values) == 1:
        return f"{column(path, hot)} {'IS' if values[0] is None else '='} {literal(values[0])}"
    if None in values:
        raise Invalid(f"{path}: a partial index over several values cannot admit null", path=path)
    return f"{column(path, hot)} IN ({','.join(literal(value) for value in values)})"


class Many(NamedTuple):
    """A statement that does :data:`ALIKE` operations at once."""

    sql: str
    varying: int | None  # the only parameter that may differ between them; None: all of them


class Prepared(NamedTuple):
    """One operation ready to run: the statement, and what no effect means."""

    sql: str
    params: Params
    op: Op
    on_nothing: str | None  # "stale", or None when no effect is fine
    first: tuple[str, Params] | None = None  # cheaper; when it has an effect the statement is not run
    many: Many | None = None  # for several of the same shape in a row


class TableSql:
    """The statements of one table."""

    def __init__(self, table: Table, *, hot: Sequence[str] | None = None) -> None:
        """``hot`` are the columns an existing table has; None: it is to be made."""
        if not _NAME.fullmatch(table.name):
            raise Invalid(f"{table.name!r} is not a table name", table=table.name)
        self.name = table.name
        self.feed = table.feed
        self.hot_paths = tuple(_hot_paths(table) if hot is None else hot)
        self.hot = frozenset(self.hot_paths)
        self.indexes = tuple(IndexSql.of(table.name, index, self.hot) for index in table.indexes)
        self._hot_places = tuple((path, "." in path) for path in self.hot_paths)
        self._changes: dict[tuple[Any, ...], tuple[str, list[tuple[str, str]]]] = {}
        self._patches: dict[tuple[str, str], tuple[str, Many]] = {}
        self._guards: dict[tuple[str, ...], str] = {}
        here = quoted(table.name)
        hot_columns = [column(path, self.hot) for path in self.hot_paths]
        names, marks = "".join(f",{c}" for c in hot_columns), ",?" * len(hot_columns)
        again = "".join(f",{c}=excluded.{c}" for c in hot_columns)
        self._insert = f"INSERT INTO {here}(id,v,doc{names}) VALUES(?,1,?{marks})"
        self._inserts = Many(self._insert + f",(?,1,?{marks})" * (ALIKE - 1), None)
        self._add = f"{self._insert} ON CONFLICT(id) DO NOTHING"
        self._upsert = f"{self._insert} ON CONFLICT(id) DO UPDATE SET doc=excluded.doc,v=v+1{again}"
        filled = "".join(f",{c}=?" for c in hot_columns)
        equal = "".join(f" AND {c} IS ?" for c in hot_columns)
        self._same = f"UPDATE {here} SET doc=?,v=v+1 WHERE id=?{equal}"  # leaves the indexes alone
        self._replace = f"UPDATE {here} SET doc=?{filled},v=v+1 WHERE id=? AND v=?"
        self.by_id = f"SELECT id,v,doc FROM {here} WHERE id=?"
        self.by_ids = f"SELECT id,v,doc FROM {here} WHERE id IN (SELECT value FROM json_each(?))"
        self.tail = f"SELECT pos,v,doc FROM {here} WHERE pos>? ORDER BY pos LIMIT ?"
        self.last = f"SELECT max(pos) FROM {here}"

    @cached_property
    def fields(self) -> frozenset[str]:
        """Every path that a filter or order may name."""
        named = {path for index in self.indexes for path, _ in index.fields}
        return frozenset(named | {path for index in self.indexes for path in index.declared.where} | {"_id"})

    def statements(self) -> list[str]:
        """DDL of the table itself."""
        grows = " AUTOINCREMENT" if self.feed else ""
        return [
            f"CREATE TABLE IF NOT EXISTS {quoted(self.name)}(pos INTEGER PRIMARY KEY{grows},"
            " id TEXT NOT NULL UNIQUE, v INTEGER NOT NULL, doc TEXT NOT NULL"
            + "".join(f", {column(path, self.hot)}" for path in self.hot_paths)
            + ")"
        ]

    def prepare(self, op: Op) -> Prepared:
        """The statement for ``op``. Raises Invalid, before anything is written."""
        if self.feed and not isinstance(op, Insert | Redact | Expunge):
            raise Invalid(f"{self.name} is append-only", table=self.name)
        if isinstance(op, Insert):
            return Prepared(self._insert, self._row(op.doc), op, None, many=self._inserts)
        if isinstance(op, Put):
            return self._put(op)
        if isinstance(op, Patch):
            return self._patch(op)
        where, params = conditions(op.guard, self.hot)
        sql = f"DELETE FROM {quoted(self.name)} WHERE id=?{where}"
        return Prepared(sql, (_id(op.id, self.name), *params), op, "guard" if op.guard else None)

    def _put(self, op: Put) -> Prepared:
        row = self._row(op.doc)
        if op.expected is None:
            same = (self._same, (row[1], row[0], *row[2:])) if self.hot else None
            return Prepared(self._upsert, row, op, None, same)
        if op.expected == 0:
            return Prepared(self._add, row, op, "stale")
        version = scalar(op.expected, where="expected")
        return Prepared(self._replace, (*row[1:], row[0], version), op, "stale")

    def _patch(self, op: Patch) -> Prepared:
        where, params = self._guard(op.guard)
        change, values = self.change(op.set)
        known = self._patches.get((change, where))
        if known is None:
            head, tail = f"UPDATE {quoted(self.name)} SET {change} WHERE id", f"{where}{_reachable(op.set)}"
            several = f"{head} IN (?{',?' * (ALIKE - 1)}){tail} RETURNING id"
            known = f"{head}=?{tail}", Many(several, len(values))
            if len(self._patches) < MAX_SHAPES:
                self._patches[change, where] = known
        sql, many = known
        return Prepared(sql, (*values, _id(op.id, self.name), *params), op, "stale", many=many)

    def _guard(self, guard: Where) -> tuple[str, Params]:
        """:func:`conditions`, remembered for guards of texts alone: nearly all are."""
        if not all(type(value) is str and "\0" not in value for value in guard.values()):
            return conditions(guard, self.hot)
        paths = tuple(guard)
        sql = self._guards.get(paths)
        if sql is None:
            sql = conditions(guard, self.hot)[0]
            if len(self._guards) < MAX_SHAPES:
                self._guards[paths] = sql
        return sql, tuple(guard.values())

    def change(self, fields: Mapping[str, Any], increment: Sequence[str] = ()) -> tuple[str, Params]:
        """The SET clause that assigns ``fields`` and adds one to ``increment``."""
        marks = tuple("?" if _is_plain(value) else "json(?)" for value in fields.values())
        shape = (*fields, "+", *increment, marks)
        known = self._changes.get(shape)
        if known is None:
            known = _change_sql(fields, increment, self.hot_paths, table=self.name, marks=marks)
            if len(self._changes) < MAX_SHAPES:
                self._changes[shape] = known
        sql, hot_from = known
        values: list[Any] = []
        for mark, (path, value) in zip(marks, fields.items(), strict=True):
            text = value if mark == "?" else encode(value, where=path)
            if mark != "?" and "\\u0000" in text and path in self.fields:
                _refuse_nul(path, value)
            values.append(text)
        values += [_hot_value(_inside(fields[source], rest)) for source, rest in hot_from]
        return sql, tuple(values)

    def _row(self, doc: Doc) -> Params:
        name = _id(doc.get("_id"), self.name)
        if "_v" in doc:
            doc = {key: value for key, value in doc.items() if key != "_v"}
        text = encode(doc, where=f"{self.name}/{name}")
        if "\\u0000" in text:
            for path in self.fields:
                _refuse_nul(path, pick(doc, path))
        found = [pick(doc, path) if nested else doc.get(path) for path, nested in self._hot_places]
        return (name, text, *[v if v is None or type(v) is str else _hot_value(v) for v in found])


def _is_plain(value: Any) -> bool:
    """Whether SQLite makes the same JSON of ``value`` as we do; then it need not read our text."""
    kind = type(value)
    if kind is str:
        return len(value) < MOST_PLAIN and value.isascii() and "\0" not in value
    return value is None or (kind is int and -(2**63) <= value < 2**63)


def _refuse_nul(path: str, value: Any) -> None:
    """SQLite's JSON functions cut a text at NUL, so an index would lie."""
    for item in value if isinstance(value, list | tuple) else [value]:
        if isinstance(item, str) and "\0" in item:
            raise Invalid(f"{path}: an indexed text cannot hold NUL", path=path)


def _id(value: Any, table: str) -> str:
    if not isinstance(value, str) or not value or "\0" in value:
        raise Invalid(f"{table}: _id must be a text, not {value!r}", table=table)
    return value


def _hot_paths(table: Table) -> list[str]:
    """The fields of a new table that get columns: all of its indexes over single values."""
    singles = [index for index in table.indexes if not index.multi]
    named = {field.removeprefix("-") for index in singles for field in index.fields}
    return sorted((named | {path for index in singles for path in index.where}) - {"_id", "_v"})


def _hot_value(value: Any) -> Any:
    """What ``json_extract`` would give for ``value``."""
    if isinstance(value, dict | list | tuple):
        return encode(value, where="field")
    return float(value) if isinstance(value, int) and not -(2**63) <= value < 2**63 else value


def _inside(value: Any, rest: str) -> Any:
    return pick(value, rest) if rest else value


def _change_sql(
    fields: Mapping[str, Any],
    increment: Sequence[str],
    hot_paths: Sequence[str],
    *,
    table: str,
    marks: Sequence[str],
) -> tuple[str, list[tuple[str, str]]]:
    """The SET clause, and where the values of its hot columns come from: (field set, path inside it)."""
    for path in (*fields, *increment):
        if path.split(".", 1)[0] in ("_id", "_v"):
            raise Invalid(f"{table}: {path} cannot be set", path=path)
    hot = frozenset(hot_paths)
    parts = [f"{json_path(path)},{mark}" for path, mark in zip(fields, marks, strict=True)]
    parts += [f"{json_path(path)},coalesce({column(path, hot)},0)+1" for path in increment]
    if not parts:
        return "v=v+1", []
    clause, sources = f"doc=json_set(doc,{','.join(parts)}), v=v+1", list[tuple[str, str]]()
    for path in hot_paths:
        source = next((f for f in reversed(list(fields)) if path == f or path.startswith(f"{f}.")), None)
        if source is not None:
            clause += f",{column(path, hot)}=?"
            sources.append((source, path.removeprefix(source).removeprefix(".")))
        elif path in increment:
            clause += f",{column(path, hot)}=coalesce({column(path, hot)},0)+1"
        elif any(each.startswith(f"{path}.") for each in (*fields, *increment)):
            raise Invalid(f"{table}: {path} is indexed; set it as a whole", path=path)
    return clause, sources


def _reachable(fields: Mapping[str, Any]) -> str:
    """Terms that hold when every nested path can be set: json_set skips a path through a scalar."""
    parents = {path[:at] for path in fields for at in range(len(path)) if path[at] == "."}
    terms = [f"coalesce(json_type(doc,{json_path(p)}),'object')='object'" for p in sorted(parents)]
    return "".join(f" AND {term}" for term in terms)
