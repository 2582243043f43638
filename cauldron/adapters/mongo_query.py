"""Indexes, filters and pages on MongoDB.

The index is chosen from the declared ones alone and named in a hint.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from cauldron.adapters.mongo_documents import scalar, stored_path
from cauldron.domain.errors import Invalid
from cauldron.persistence.index_choice import (
    Key,
    best_index,
    check_declared,
    implied,
    is_equality,
    keys_of,
    narrows,
)
from cauldron.ports.storage import Compare, Doc, Index, Table, Where

SCALARS = ["string", "number", "bool"]  # what an index over unique or several values holds
NO_ARRAY = {"$not": {"$type": "array"}}
ASCENDING, DESCENDING = 1, -1
LOWEST = float("-inf")

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")
_COMPARISONS = {"<": "$lt", "<=": "$lte", ">": "$gt", ">=": "$gte", "!=": "$ne"}

Clause = tuple[str, Doc]  # stored path, operators


def clauses(path: str, wanted: Any) -> list[Clause]:
    """One term of a filter or guard. Arrays equal nothing but themselves. Raises Invalid."""
    stored = stored_path(path)
    made = [(stored, operators) for operators in _operators(path, wanted)]
    if path not in ("_id", "_v"):
        parents = [stored[:at] for at in range(len(stored)) if stored[at] == "."]
        made += [(parent, NO_ARRAY) for parent in parents]
        if not isinstance(wanted, Compare) or wanted.op != "!=":
            made.append((stored, NO_ARRAY))
    return made


def _operators(path: str, wanted: Any) -> list[Doc]:
    if isinstance(wanted, tuple):
        return [{"$in": [scalar(value, where=path) for value in wanted]}]
    if isinstance(wanted, Compare):
        return [_compared(path, wanted)]
    if isinstance(wanted, list):
        if not all(isinstance(each, Compare) for each in wanted):
            raise Invalid(f"{path}: a list in a filter holds comparisons", path=path)
        return [_compared(path, each) for each in wanted]
    return [{"$eq": scalar(wanted, where=path)}]


def _compared(path: str, wanted: Compare) -> Doc:
    """A comparison within one type, as MongoDB compares by itself."""
    if wanted.op not in _COMPARISONS:
        raise Invalid(f"{path}: unknown comparison {wanted.op!r}", path=path)
    value = scalar(wanted.value, where=path)
    if value is None and wanted.op != "!=":
        raise Invalid(f"{path}: null has no order", path=path)
    return {_COMPARISONS[wanted.op]: value}


def expressions(path: str, wanted: Any) -> list[Doc]:
    """One term of a guard, as expressions that are true or false. Raises Invalid."""
    return [_expression(path, operators) for operators in _operators(path, wanted)]


def _expression(path: str, operators: Doc) -> Doc:
    ((operator, value),) = operators.items()
    found = f"${stored_path(path)}"
    if operator in ("$eq", "$ne") and value is not None:
        return {operator: [found, {"$literal": value}]}
    if operator in ("$eq", "$ne", "$in"):  # what is absent is null
        return {operator: [{"$ifNull": [found, None]}, {"$literal": value}]}
    return {"$and": [{operator: [found, {"$literal": value}]}, _same_type(found, value)]}


def _same_type(found: str, value: Any) -> Doc:
    if isinstance(value, bool | str):
        return {"$eq": [{"$type": found}, "bool" if isinstance(value, bool) else "string"]}
    return {"$isNumber": found}


def _elements(path: str, wanted: Any) -> list[Clause]:
    """A term over the elements of an array. Raises Invalid."""
    if isinstance(wanted, list) or (isinstance(wanted, Compare) and wanted.op == "!="):
        raise Invalid(f"{path}: an index over an array compares one way at a time", path=path)
    return [(stored_path(path), operators) for operators in _operators(path, wanted)]


def conditions(terms: Sequence[Clause]) -> Doc:
    """All terms together, as one filter."""
    merged: Doc = {}
    rest: list[Doc] = []
    for path, operators in terms:
        there = merged.get(path, {})
        if there.keys() & operators.keys():
            rest.append({path: operators})
        else:
            merged[path] = {**there, **operators}
    return {"$and": [merged, *rest]} if rest else merged


@dataclass(frozen=True, slots=True, kw_only=True)
class MongoIndex:
    """One index as it is built; a declared one may need two."""

    name: str
    fields: tuple[tuple[str, bool], ...]  # (path, descending), without the closing _id
    declared: Index
    unique: bool
    typed: bool  # holds only documents whose fields are scalars: nulls are never duplicates

    @property
    def keys(self) -> list[tuple[str, int]]:
        """The key pattern."""
        keys = [(stored_path(path), DESCENDING if down else ASCENDING) for path, down in self.fields]
        return keys if self.unique or keys[-1][0] == "_id" else [*keys, ("_id", ASCENDING)]

    @property
    def implied(self) -> list[Clause]:
        """Terms that a query must repeat for the index to be admitted."""
        return [(stored_path(path), {"$type": SCALARS}) for path, _ in self.fields] if self.typed else []

    @property
    def options(self) -> Doc:
        """The rest of the index's definition."""
        where = [
            (stored_path(path), {"$in": list(value)} if isinstance(value, tuple) else {"$eq": value})
            for path, value in sorted(self.declared.where.items())
        ]
        partial = conditions(where + self.implied)
        made: Doc = {"name": self.name, "unique": True} if self.unique else {"name": self.name}
        return {**made, "partialFilterExpression": partial} if partial else made


def _indexes(table: Table, declared: Index) -> list[MongoIndex]:
    """What is built for a declared index. Raises Invalid when the declaration makes no sense."""
    fields = tuple((f.removeprefix("-"), f.startswith("-")) for f in declared.fields)
    if not fields or (declared.multi and len(fields) != 1):
        raise Invalid(
            f"table {table.name}: an index names fields; a multi index exactly one", table=table.name
        )
    for path, value in declared.where.items():
        values = value if isinstance(value, tuple) else (value,)
        for each in values:
            scalar(each, where=path)
        if None in values and len(values) > 1:
            raise Invalid(f"{path}: a partial index over several values cannot admit null", path=path)
    typed = declared.unique and (declared.multi or not table.feed)
    made = [_index(table, declared, fields, unique=declared.unique, typed=typed)]
    if typed and not declared.multi:  # the same without gaps, for orders and nulls
        made.append(_index(table, declared, fields, unique=False, typed=False))
    return made


def _index(
    table: Table, declared: Index, fields: tuple[tuple[str, bool], ...], *, unique: bool, typed: bool
) -> MongoIndex:
    paths = [stored_path(path) for path, _ in fields]
    where = sorted((path, repr(value)) for path, value in declared.where.items())
    text = repr((fields, unique, typed, declared.multi, where))
    kind = "mx" if declared.multi else "ux" if unique else "ix"
    name = f"{kind}_{'_'.join(paths)[:60]}_{hashlib.sha256(text.encode()).hexdigest()[:10]}"
    return MongoIndex(name=name, fields=fields, declared=declared, unique=unique, typed=typed)


class MongoTable:
    """A table and its indexes."""

    def __init__(self, table: Table) -> None:
        if not _NAME.fullmatch(table.name):
            raise Invalid(f"{table.name!r} is not a table name", table=table.name)
        self.name = table.name
        self.feed = table.feed
        self.declared = table.indexes
        self.indexes = tuple(made for index in table.indexes for made in _indexes(table, index))

    @cached_property
    def fields(self) -> frozenset[str]:
        """Every path that a filter or order may name."""
        named = {path for index in self.indexes for path, _ in index.fields}
        return frozenset(named | {path for index in self.declared for path in index.where} | {"_id"})

    @cached_property
    def required(self) -> frozenset[str]:
        """Fields that every document of a feed has, because they are unique together."""
        return frozenset(
            path
            for index in self.indexes
            if self.feed and index.unique and not index.typed and not index.declared.where
            for path, _ in index.fields
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One range of an index."""

    filter: Doc
    sort: list[tuple[str, int]]
    hint: str


def select(
    table: MongoTable, where: Where, order: Sequence[str], *, after: Sequence[Any] | None = None
) -> list[Query]:
    """Queries that give the matching documents in order, one after the other.

    Without ``after`` there is one; with it one for each prefix of the order that
    stays equal, each a single range of the index.

    Raises:
        Invalid: a field is not declared, no index serves the filter, or ``after`` does not fit.
    """
    check_declared(table.name, table.fields, where, order)
    keys, values = keys_of(where, order, after, scalar=scalar)
    admitted = (index for index in table.indexes if _admits(index, where))
    index = best_index(table.name, admitted, where, keys)
    terms = _terms(index, where)
    hint = index.name if index else "_id_"
    if index is not None and _settles_ties(index, where, keys):
        keys, values = keys[:-1], None if values is None else values[:-1]
    if values is None:
        return [Query(filter=conditions(terms), sort=_sort(keys), hint=hint)]
    pages = _pages(keys, values)
    return [Query(filter=conditions(terms + more), sort=_sort(rest), hint=hint) for more, rest in pages]


def _sort(keys: Sequence[Key]) -> list[tuple[str, int]]:
    return [(stored_path(key.path), DESCENDING if key.descending else ASCENDING) for key in keys]


def _settles_ties(index: MongoIndex, where: Where, keys: list[Key]) -> bool:
    """No two matches share the other keys: the closing ``_id`` would only cost a sort."""
    fixed = {path for path, wanted in where.items() if is_equality(wanted)} | {key.path for key in keys[:-1]}
    last = keys[-1].path == "_id" and len(keys) > 1
    return index.unique and not index.declared.multi and last and {path for path, _ in index.fields} <= fixed


def _pages(keys: list[Key], values: list[Any]) -> list[tuple[list[Clause], list[Key]]]:
    """Ranges after ``values``: equal on ever shorter prefixes, then beyond."""
    pages: list[tuple[list[Clause], list[Key]]] = []
    for at in range(len(keys) - 1, -1, -1):
        equal = [(stored_path(k.path), {"$eq": v}) for k, v in zip(keys[:at], values[:at], strict=True)]
        field = stored_path(keys[at].path)
        for beyond in (_below if keys[at].descending else _above)(values[at], is_id=keys[at].path == "_id"):
            null = "$eq" in beyond and at + 1 < len(keys)
            pages.append(([*equal, (field, beyond)], keys[at + 1 :] if null else keys[at:]))
    return pages


def _above(value: Any, *, is_id: bool) -> list[Doc]:
    """What sorts after a value: nulls, numbers, texts, truth values, in this order."""
    if value is None:
        return [{"$ne": None}]
    if isinstance(value, bool) or is_id:
        return [{"$gt": value}]
    if isinstance(value, str):
        return [{"$gt": value}, {"$gte": False}]
    return [{"$not": {"$lte": value}, "$ne": None}]


def _below(value: Any, *, is_id: bool) -> list[Doc]:
    if value is None:
        return []
    if is_id:
        return [{"$lt": value}]
    below: list[Doc] = [{"$lt": value}]
    if isinstance(value, bool):
        below.append({"$gte": ""})
    if isinstance(value, bool | str):
        below.append({"$gte": LOWEST})
    return [*below, {"$eq": None}]


def _terms(index: MongoIndex | None, where: Where) -> list[Clause]:
    multi = index.fields[0][0] if index is not None and index.declared.multi else None
    made = [
        clause
        for path, wanted in where.items()
        for clause in (_elements(path, wanted) if path == multi else clauses(path, wanted))
    ]
    return made + (index.implied if index else [])


def _admits(index: MongoIndex, where: Where) -> bool:
    """Does the filter leave out what the index does not hold?"""
    if index.typed and not all(path in where and narrows(where[path]) for path, _ in index.fields):
        return False
    return implied(index.declared, where)
