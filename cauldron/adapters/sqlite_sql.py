"""SQL of the SQLite engine: documents to rows, tables and indexes, one statement per operation.

A table keeps a document as JSON text beside its id and version; its declared
indexes are expression indexes over ``json_extract``, an index over an array is a
side table kept by triggers. Everything here is text and data: nothing runs.
"""

# ruff: noqa: S608 - names in SQL are checked against a pattern, values are parameters

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import orjson

from cauldron.domain.errors import Invalid
from cauldron.ports.storage import Compare, Doc, Index, Insert, Op, Patch, Put, Table

MAX_DOC_BYTES = 16 * 1024 * 1024  # the least of all engines
MAX_SHAPES = 1024  # statements remembered per table
SCALARS = (str, int, float, bool, type(None))

_ENCODE = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")
_BAD_IN_SEGMENT = re.compile(r'["\\\x00-\x1f\ud800-\udfff]')
_COMPARISONS = {"<": "<", "<=": "<=", ">": ">", ">=": ">=", "!=": "IS NOT"}

Params = tuple[Any, ...]


def quoted(name: str) -> str:
    """An SQL identifier."""
    return f'"{name}"'


@lru_cache(maxsize=4096)
def json_path(path: str) -> str:
    """The JSON path of a dotted path, as an SQL literal. Raises Invalid."""
    segments = path.split(".")
    if any(not part or _BAD_IN_SEGMENT.search(part) for part in segments):
        raise Invalid(f"{path!r} is not a field path", path=path)
    inside = "".join(f'."{part}"' for part in segments).replace("'", "''")
    return f"'${inside}'"


@lru_cache(maxsize=4096)
def column(path: str) -> str:
    """The SQL expression for a field; exactly the text that index definitions use."""
    if path == "_id":
        return "id"
    if path == "_v":
        return "v"
    return f"json_extract(doc,{json_path(path)})"


def scalar(value: Any, *, where: str) -> Any:
    """``value`` when filters can compare it: text, 64-bit integer, finite float, bool or null."""
    if not isinstance(value, SCALARS):
        raise Invalid(f"{where}: cannot compare with a {type(value).__name__}", path=where)
    if isinstance(value, str) and "\0" in value:
        raise Invalid(f"{where}: an indexed text cannot hold NUL", path=where)
    if isinstance(value, float) and not math.isfinite(value):
        raise Invalid(f"{where}: {value} is not a JSON number", path=where)
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise Invalid(f"{where}: integers have 64 bits", path=where)
    return value


def operand(value: Any) -> tuple[str, Any]:
    """A placeholder and its parameter.

    A float travels as JSON text, so that SQLite reads it by the same routine as
    the stored one: its reading may differ from Python's in the last bit.
    """
    if isinstance(value, float):
        return "json_extract(?,'$')", orjson.dumps(value).decode()
    return "?", value


def condition(path: str, wanted: Any) -> tuple[str, Params]:
    """One term of a filter or guard as SQL. Raises Invalid."""
    field = column(path)
    if isinstance(wanted, tuple):
        return _any_of(field, [scalar(value, where=path) for value in wanted])
    if isinstance(wanted, Compare):
        return _compared(field, wanted, path=path)
    if isinstance(wanted, list):
        if not all(isinstance(each, Compare) for each in wanted):
            raise Invalid(f"{path}: a list in a filter holds comparisons", path=path)
        terms = [_compared(field, each, path=path) for each in wanted]
        sql = " AND ".join(term for term, _ in terms) or "1"
        return sql, tuple(value for _, values in terms for value in values)
    if scalar(wanted, where=path) is None:
        return f"{field} IS NULL", ()
    mark, value = operand(wanted)
    return f"{field} = {mark}", (value,)


def _any_of(field: str, values: list[Any]) -> tuple[str, Params]:
    present = orjson.dumps([value for value in values if value is not None]).decode()
    sql = f"{field} IN (SELECT value FROM json_each(?))"
    return (f"({sql} OR {field} IS NULL)" if None in values else sql), (present,)


def _compared(field: str, wanted: Compare, *, path: str) -> tuple[str, Params]:
    """A comparison within one type: numbers never compare with texts, as on every engine."""
    if wanted.op not in _COMPARISONS:
        raise Invalid(f"{path}: unknown comparison {wanted.op!r}", path=path)
    value = scalar(wanted.value, where=path)
    if value is None and wanted.op != "!=":
        raise Invalid(f"{path}: null has no order", path=path)
    mark, param = operand(value)
    sql = f"{field} {_COMPARISONS[wanted.op]} {mark}"
    if isinstance(value, str) and wanted.op in ("<", "<="):
        sql += f" AND {field} >= ''"
    elif not isinstance(value, str) and wanted.op in (">", ">="):
        sql += f" AND {field} < ''"
    return sql, (param,)


def conditions(terms: Mapping[str, Any]) -> tuple[str, Params]:
    """All ``terms`` together, each preceded by AND."""
    if not terms:
        return "", ()
    made = [condition(path, wanted) for path, wanted in terms.items()]
    return "".join(f" AND {sql}" for sql, _ in made), tuple(p for _, params in made for p in params)


def literal(value: Any) -> str:
    """A constant as SQL, for the predicates of partial indexes."""
    if value is None:
        return "NULL"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return orjson.dumps(int(value) if isinstance(value, bool) else value).decode()


def encode(value: Any, *, where: str) -> str:
    """``value`` as JSON text.

    Raises:
        Invalid: it holds something JSON has no name for (NaN, a 65-bit integer,
            a lone surrogate, a key that is no text), or it is over 16 MiB.
    """
    try:
        data = orjson.dumps(value, option=_ENCODE)
    except (orjson.JSONEncodeError, RecursionError) as exc:
        raise Invalid(f"{where}: {exc}", path=where) from exc
    if len(data) > MAX_DOC_BYTES:
        raise Invalid(f"{where}: {len(data)} bytes, at most {MAX_DOC_BYTES}", path=where)
    if b"null" in data and value is not None and _hides_nan(value, data):
        raise Invalid(f"{where}: NaN and infinities are not JSON", path=where)
    return data.decode()


def _hides_nan(value: Any, data: bytes) -> bool:
    """Is one of the nulls in ``data`` a NaN or infinity, which orjson writes so?"""
    if isinstance(value, str):
        return False
    if isinstance(value, dict) and data.count(b"null") == list(value.values()).count(None):
        return False  # each one is accounted for at the top
    todo = [value]
    while todo:
        item = todo.pop()
        if isinstance(item, float):
            if not math.isfinite(item):
                return True
        elif isinstance(item, dict):
            todo.extend(item.values())
        elif isinstance(item, list | tuple):
            todo.extend(item)
    return False


def decode(row: tuple[Any, ...]) -> Doc:
    """The document of a row ``(…, v, doc)``, its version as ``_v``."""
    doc: Doc = orjson.loads(row[-1])
    doc["_v"] = row[-2]
    return doc


def _pick(doc: Any, path: str) -> Any:
    for part in path.split("."):
        doc = doc.get(part) if isinstance(doc, dict) else None
    return doc


@dataclass(frozen=True, slots=True)
class IndexSql:
    """A declared index: its name, its fields in order, and the SQL that makes it."""

    name: str
    declared: Index
    fields: tuple[tuple[str, bool], ...]  # (path, descending)
    predicate: str  # "" or SQL terms, each preceded by AND

    @classmethod
    def of(cls, table: str, declared: Index) -> "IndexSql":
        """Raises Invalid when the declaration makes no sense."""
        fields = tuple((f.removeprefix("-"), f.startswith("-")) for f in declared.fields)
        if not fields or (declared.multi and len(fields) != 1):
            raise Invalid(f"table {table}: an index names fields; a multi index exactly one", table=table)
        where = {path: _predicate_values(path, value) for path, value in declared.where.items()}
        predicate = "".join(f" AND {_predicate(path, values)}" for path, values in sorted(where.items()))
        text = repr((fields, declared.unique, declared.multi, predicate))
        kind = "mx" if declared.multi else "ix"
        name = f"{kind}_{table}_{hashlib.sha256(text.encode()).hexdigest()[:10]}"
        return cls(name=name, declared=declared, fields=fields, predicate=predicate)

    def statements(self, table: str) -> list[str]:
        """DDL, in order; every statement may be run again."""
        if self.declared.multi:
            return self._multi_statements(table)
        parts = [column(path) + (" DESC" if descending else "") for path, descending in self.fields]
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


def _predicate(path: str, values: tuple[Any, ...]) -> str:
    if len(values) == 1:
        return f"{column(path)} {'IS' if values[0] is None else '='} {literal(values[0])}"
    if None in values:
        raise Invalid(f"{path}: a partial index over several values cannot admit null", path=path)
    return f"{column(path)} IN ({','.join(literal(value) for value in values)})"


class Prepared(NamedTuple):
    """One operation ready to run: the statement, and what no effect means."""

    sql: str
    params: Params
    op: Op
    on_nothing: str | None  # "stale", or None when no effect is fine


class TableSql:
    """The statements of one table."""

    def __init__(self, table: Table) -> None:
        if not _NAME.fullmatch(table.name):
            raise Invalid(f"{table.name!r} is not a table name", table=table.name)
        self.name = table.name
        self.feed = table.feed
        self.indexes = tuple(IndexSql.of(table.name, index) for index in table.indexes)
        self._changes: dict[tuple[str, ...], str] = {}
        self._patches: dict[tuple[tuple[str, ...], str], str] = {}
        here = quoted(table.name)
        self._insert = f"INSERT INTO {here}(id,v,doc) VALUES(?,1,?)"
        self._add = f"{self._insert} ON CONFLICT(id) DO NOTHING"
        self._upsert = f"{self._insert} ON CONFLICT(id) DO UPDATE SET doc=excluded.doc, v=v+1"
        self._replace = f"UPDATE {here} SET doc=?, v=v+1 WHERE id=? AND v=?"
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
            " id TEXT NOT NULL UNIQUE, v INTEGER NOT NULL, doc TEXT NOT NULL)"
        ]

    def prepare(self, op: Op) -> Prepared:
        """The statement for ``op``. Raises Invalid, before anything is written."""
        if self.feed and not isinstance(op, Insert):
            raise Invalid(f"{self.name} is append-only", table=self.name)
        if isinstance(op, Insert):
            return Prepared(self._insert, self._row(op.doc), op, None)
        if isinstance(op, Put):
            return self._put(op)
        if isinstance(op, Patch):
            return self._patch(op)
        where, params = conditions(op.guard)
        sql = f"DELETE FROM {quoted(self.name)} WHERE id=?{where}"
        return Prepared(sql, (_id(op.id, self.name), *params), op, "guard" if op.guard else None)

    def _put(self, op: Put) -> Prepared:
        row = self._row(op.doc)
        if op.expected is None:
            return Prepared(self._upsert, row, op, None)
        if op.expected == 0:
            return Prepared(self._add, row, op, "stale")
        return Prepared(self._replace, (row[1], row[0], scalar(op.expected, where="expected")), op, "stale")

    def _patch(self, op: Patch) -> Prepared:
        where, params = conditions(op.guard)
        shape = (tuple(op.set), where)
        sql = self._patches.get(shape)
        change, values = self.change(op.set)
        if sql is None:
            sql = f"UPDATE {quoted(self.name)} SET {change} WHERE id=?{where}{_reachable(op.set)}"
            if len(self._patches) < MAX_SHAPES:
                self._patches[shape] = sql
        return Prepared(sql, (*values, _id(op.id, self.name), *params), op, "stale")

    def change(self, fields: Mapping[str, Any], increment: Sequence[str] = ()) -> tuple[str, Params]:
        """The SET clause that assigns ``fields`` and adds one to ``increment``."""
        shape = (*fields, "+", *increment)
        sql = self._changes.get(shape)
        if sql is None:
            sql = _change_sql(fields, increment, table=self.name)
            if len(self._changes) < MAX_SHAPES:
                self._changes[shape] = sql
        values = [encode(value, where=path) for path, value in fields.items()]
        for path, text in zip(fields, values, strict=True):
            if "\\u0000" in text and path in self.fields:
                _refuse_nul(path, fields[path])
        return sql, tuple(values)

    def _row(self, doc: Doc) -> tuple[str, str]:
        name = _id(doc.get("_id"), self.name)
        if "_v" in doc:
            doc = {key: value for key, value in doc.items() if key != "_v"}
        text = encode(doc, where=f"{self.name}/{name}")
        if "\\u0000" in text:
            for path in self.fields:
                _refuse_nul(path, _pick(doc, path))
        return name, text


def _refuse_nul(path: str, value: Any) -> None:
    """SQLite's JSON functions cut a text at NUL, so an index would lie."""
    for item in value if isinstance(value, list | tuple) else [value]:
        if isinstance(item, str) and "\0" in item:
            raise Invalid(f"{path}: an indexed text cannot hold NUL", path=path)


def _id(value: Any, table: str) -> str:
    if not isinstance(value, str) or not value or "\0" in value:
        raise Invalid(f"{table}: _id must be a text, not {value!r}", table=table)
    return value


def _change_sql(fields: Mapping[str, Any], increment: Sequence[str], *, table: str) -> str:
    for path in (*fields, *increment):
        if path.split(".", 1)[0] in ("_id", "_v"):
            raise Invalid(f"{table}: {path} cannot be set", path=path)
    parts = [f"{json_path(path)},json(?)" for path in fields]
    parts += [f"{json_path(path)},coalesce({column(path)},0)+1" for path in increment]
    return f"doc=json_set(doc,{','.join(parts)}), v=v+1" if parts else "v=v+1"


def _reachable(fields: Mapping[str, Any]) -> str:
    """Terms that hold when every nested path can be set: json_set skips a path through a scalar."""
    parents = {path[:at] for path in fields for at in range(len(path)) if path[at] == "."}
    terms = [f"coalesce(json_type(doc,{json_path(p)}),'object')='object'" for p in sorted(parents)]
    return "".join(f" AND {term}" for term in terms)
