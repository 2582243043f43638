"""Plans of filtered, ordered, paged reads on SQLite.

The index is chosen from the declared ones alone and named in the SQL with INDEXED BY.
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
from cauldron.persistence.index_choice import Key, best_index, check_declared, implied, is_equality, keys_of
from cauldron.ports.storage import Where

Query = tuple[str, Params]


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
    check_declared(table.name, table.fields, where, order)
    keys, values = keys_of(where, order, after, scalar=scalar)
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
    admitted = (index for index in table.indexes if implied(index.declared, where))
    best = best_index(table.name, admitted, where, keys)
    if best is None:
        return Source(quoted(table.name), hot=table.hot)
    if best.declared.multi:
        return _multi_source(table, best, where)
    same = frozenset(path for path, value in best.declared.where.items() if not isinstance(value, tuple))
    return Source(
        f"{quoted(table.name)} INDEXED BY {quoted(best.name)}", best.predicate, served=same, hot=table.hot
    )


def _multi_source(table: TableSql, index: IndexSql, where: Where) -> Source:
    """Rows through the side table of an index over an array."""
    path = index.fields[0][0]
    side, wanted = quoted(index.name), where[path]
    sql, params = condition(path, wanted)
    sql = sql.replace(column(path), "key")
    served = frozenset((path,))
    if is_equality(wanted):
        clause = f"{side} CROSS JOIN {quoted(table.name)} ON id=ref"
        return Source(clause, f" AND {sql}{index.predicate}", params, id="ref", served=served, hot=table.hot)
    terms = f" AND id IN (SELECT ref FROM {side} WHERE {sql}){index.predicate}"
    return Source(quoted(table.name), terms, params, served=served, hot=table.hot)
