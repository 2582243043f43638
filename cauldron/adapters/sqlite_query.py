"""Plans of filtered, ordered, paged reads on SQLite.

The index is chosen here, from the declared ones alone, and named in the SQL with
INDEXED BY: a query that no declared index serves is refused instead of scanning.
"""

# ruff: noqa: S608 - names in SQL are checked against a pattern, values are parameters

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cauldron.adapters.sqlite_sql import IndexSql, TableSql
from cauldron.adapters.sqlite_terms import (
    NOTHING_HOT,
    Hot,
    Params,
    column,
    condition,
    operand,
    quoted,
    scalar,
)
from cauldron.domain.errors import Invalid
from cauldron.ports.storage import Compare, Where

Query = tuple[str, Params]
Rank = tuple[bool, int, int, int]  # serves at all; terms settled by equality; order; a range


@dataclass(frozen=True, slots=True)
class Key:
    """One field of an order: where the next page begins when ``after`` is known."""

    path: str
    descending: bool


@dataclass(frozen=True, slots=True)
class Source:
    """Where rows come from: FROM clause, extra terms, the expression that gives the id."""

    clause: str
    terms: str = ""
    params: Params = ()
    id: str = "id"
    served: frozenset[str] = frozenset()  # paths that ``terms`` settle already
    hot: Hot = NOTHING_HOT


def select(
    table: TableSql,
    where: Where,
    order: Sequence[str],
    *,
    after: Sequence[Any] | None = None,
    columns: str = "id,v,doc",
) -> list[Query]:
    """Queries that give the matching rows in order, one after the other, each taking a limit last.

    Without ``after`` there is one. With it there is one for each prefix of the
    order that stays equal: each is a single range of the index, where one query
    with OR would scan from the start of the index.

    Raises:
        Invalid: a field is not declared, no index serves the filter, or ``after`` does not fit.
    """
    _check_declared(table, where, order)
    keys, values = _keys(where, order, after)
    source = _source(table, where, keys)
    rest = [condition(path, wanted, table.hot) for path, wanted in where.items() if path not in source.served]
    terms = source.terms + "".join(f" AND {sql}" for sql, _ in rest)
    params = source.params + tuple(p for _, each in rest for p in each)
    head = f"SELECT {columns} FROM {source.clause} WHERE 1{terms}"
    if values is None:
        return [(f"{head}{_sorted(keys, source)}", params)]
    return [(f"{head}{sql}", params + extra) for sql, extra in _pages(keys, values, source)]


def _sorted(keys: Sequence[Key], source: Source) -> str:
    sort = ",".join(_expression(k.path, source) + (" DESC" if k.descending else "") for k in keys)
    return f" ORDER BY {sort} LIMIT ?"


def _check_declared(table: TableSql, where: Where, order: Sequence[str]) -> None:
    for path in (*where, *(field.removeprefix("-") for field in order)):
        if path not in table.fields:
            raise Invalid(f"{table.name} has no index on {path!r}", table=table.name, path=path)


def _is_equality(wanted: Any) -> bool:
    return not isinstance(wanted, tuple | list | Compare)


def _keys(
    where: Where, order: Sequence[str], after: Sequence[Any] | None
) -> tuple[list[Key], list[Any] | None]:
    """The order without fields that the filter fixes, ended by ``_id``, and the values to go on after."""
    named = [Key(field.removeprefix("-"), field.startswith("-")) for field in order]
    if not any(key.path == "_id" for key in named):
        named.append(Key("_id", False))
    values = None if after is None else list(after)
    if values is not None:
        if len(values) == len(order) + 1 and len(named) == len(order):
            values.pop()  # the order ends with _id itself, which was given twice
        if len(values) != len(named):
            raise Invalid(f"after takes {len(named)} values, not {len(values)}", path="after")
        values = [scalar(value, where=f"after.{k.path}") for k, value in zip(named, values, strict=True)]
    keep = [n for n, key in enumerate(named) if key.path not in where or not _is_equality(where[key.path])]
    keys = [named[n] for n in keep]
    if not keys:
        keys, keep = [named[-1]], [len(named) - 1]
    return keys, None if values is None else [values[n] for n in keep]


def _expression(path: str, source: Source) -> str:
    return source.id if path == "_id" else column(path, source.hot)


def _pages(keys: list[Key], values: list[Any], source: Source) -> list[Query]:
    """Rows after ``values``: equal on ever shorter prefixes, then beyond. Nulls sort first."""
    pages: list[Query] = []
    for at in range(len(keys) - 1, -1, -1):
        equal: str = ""
        params: Params = ()
        for key, value in zip(keys[:at], values[:at], strict=True):
            sql, param = _against(key.path, source, ("IS NULL", "="), value)
            equal, params = f"{equal} AND {sql}", params + param
        field, value, end = _expression(keys[at].path, source), values[at], _sorted(keys[at:], source)
        if not keys[at].descending:
            sql, param = _against(keys[at].path, source, ("IS NOT NULL", ">"), value)
            pages.append((f"{equal} AND {sql}{end}", params + param))
        elif value is not None:
            sql, param = _against(keys[at].path, source, ("", "<"), value)
            pages.append((f"{equal} AND {sql}{end}", params + param))
            if keys[at].path != "_id":
                end = _sorted(keys[at + 1 :], source)
                pages.append((f"{equal} AND {field} IS NULL{end}", params))
    return pages


def _against(path: str, source: Source, signs: tuple[str, str], value: Any) -> Query:
    """A comparison of a field with null (the first sign) or a value (the second)."""
    field, (null, sign) = _expression(path, source), signs
    if value is None:
        return f"{field} {null}", ()
    mark, param = operand(value, hot=path in source.hot)
    return f"{field} {sign} {mark}", (param,)


def _source(table: TableSql, where: Where, keys: list[Key]) -> Source:
    """The best declared index for this filter and order. Raises Invalid when none serves it."""
    with_id, id_first = int("_id" in where), int(keys[0].path == "_id")
    choices: list[tuple[Rank, IndexSql | None]] = [
        ((bool(with_id or (id_first and not where)), with_id, id_first, 0), None),
        *((_rank(index, where, keys), index) for index in table.indexes if _implied(index, where)),
    ]
    (serves, *_), best = max(choices, key=lambda choice: choice[0])
    if not serves:
        wanted = [("-" if key.descending else "") + key.path for key in keys]
        raise Invalid(
            f"{table.name}: no index serves filter {sorted(where)} with order {wanted}", table=table.name
        )
    if best is None:
        return Source(quoted(table.name), hot=table.hot)
    if best.declared.multi:
        return _multi_source(table, best, where)
    same = frozenset(path for path, value in best.declared.where.items() if not isinstance(value, tuple))
    return Source(
        f"{quoted(table.name)} INDEXED BY {quoted(best.name)}", best.predicate, served=same, hot=table.hot
    )


def _implied(index: IndexSql, where: Where) -> bool:
    """Does the filter say everything that the partial index demands?"""
    for path, admitted in index.declared.where.items():
        allowed = admitted if isinstance(admitted, tuple) else (admitted,)
        wanted = where.get(path, ...)
        if wanted is ... or isinstance(wanted, list | Compare):
            return False
        if not set(wanted if isinstance(wanted, tuple) else (wanted,)) <= set(allowed):
            return False
    return True


def _rank(index: IndexSql, where: Where, keys: list[Key]) -> Rank:
    """How well an index fits: more is better."""
    if index.declared.multi:
        path = index.fields[0][0]
        usable = path in where and where[path] is not None
        return (usable, int(usable), int(keys[0].path == "_id"), 0)
    used, at = len(index.declared.where), 0
    while at < len(index.fields) and index.fields[at][0] in where:
        if not _is_equality(where[index.fields[at][0]]):
            break
        used, at = used + 1, at + 1
    rest = index.fields[at:]
    ranged = int(bool(rest) and rest[0][0] in where and _narrows(where[rest[0][0]]))
    ordered = int(_ordered(rest, keys, unique=index.declared.unique))
    return (bool(used or ranged or (ordered and not where)), used, ordered, ranged)


def _narrows(wanted: Any) -> bool:
    if isinstance(wanted, tuple):
        return None not in wanted
    each = wanted if isinstance(wanted, list) else [wanted]
    return any(isinstance(item, Compare) and item.op != "!=" for item in each)


def _ordered(rest: Sequence[tuple[str, bool]], keys: list[Key], *, unique: bool) -> bool:
    """Do the index's remaining fields come in this order, forwards or backwards?"""
    fields = [*rest] if unique else [*rest, ("_id", False)]
    wanted = [key for key in keys if key.path != "_id"] or keys
    pairs = list(zip(fields, wanted, strict=False))
    if len(pairs) < len(wanted) or any(field[0] != key.path for field, key in pairs):
        return False
    return len({field[1] == key.descending for field, key in pairs}) == 1


def _multi_source(table: TableSql, index: IndexSql, where: Where) -> Source:
    """Rows through the side table of an index over an array."""
    path = index.fields[0][0]
    side, wanted = quoted(index.name), where[path]
    sql, params = condition(path, wanted)
    sql = sql.replace(column(path), "key")
    served = frozenset((path,))
    if _is_equality(wanted):
        clause = f"{side} CROSS JOIN {quoted(table.name)} ON id=ref"
        return Source(clause, f" AND {sql}{index.predicate}", params, id="ref", served=served, hot=table.hot)
    terms = f" AND id IN (SELECT ref FROM {side} WHERE {sql}){index.predicate}"
    return Source(quoted(table.name), terms, params, served=served, hot=table.hot)
