"""Which declared index serves a filter and an order: chosen alike on every engine.

A query that no declared index serves is refused instead of scanning.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from cauldron.domain.errors import Invalid
from cauldron.ports.storage import Compare, Index, Where

Rank = tuple[bool, int, int, int]  # serves at all; terms settled by equality; order; a range


class Built(Protocol):
    """An index as an engine builds it."""

    @property
    def fields(self) -> tuple[tuple[str, bool], ...]:
        """``(path, descending)``, without the closing ``_id``."""
        ...

    @property
    def declared(self) -> Index: ...

    @property
    def unique(self) -> bool: ...


AnyIndex = TypeVar("AnyIndex", bound=Built)


@dataclass(frozen=True, slots=True)
class Key:
    """One field of an order: where the next page begins when ``after`` is known."""

    path: str
    descending: bool


def is_equality(wanted: Any) -> bool:
    """Does a term fix one value?"""
    return not isinstance(wanted, tuple | list | Compare)


def narrows(wanted: Any) -> bool:
    """Does a term leave out nulls?"""
    if is_equality(wanted):
        return wanted is not None
    if isinstance(wanted, tuple):
        return None not in wanted
    each = wanted if isinstance(wanted, list) else [wanted]
    return any(isinstance(item, Compare) and item.op != "!=" for item in each)


def implied(declared: Index, where: Where) -> bool:
    """Does the filter say everything that a partial index demands?"""
    for path, admitted in declared.where.items():
        allowed = admitted if isinstance(admitted, tuple) else (admitted,)
        wanted = where.get(path, ...)
        if wanted is ... or isinstance(wanted, list | Compare):
            return False
        if not set(wanted if isinstance(wanted, tuple) else (wanted,)) <= set(allowed):
            return False
    return True


def check_declared(table: str, fields: frozenset[str], where: Where, order: Sequence[str]) -> None:
    """Raises Invalid when a filter or order names a path outside ``fields``."""
    for path in (*where, *(field.removeprefix("-") for field in order)):
        if path not in fields:
            raise Invalid(f"{table} has no index on {path!r}", table=table, path=path)


def keys_of(
    where: Where, order: Sequence[str], after: Sequence[Any] | None, *, scalar: Callable[..., Any]
) -> tuple[list[Key], list[Any] | None]:
    """The order without fields that the filter fixes, ended by ``_id``, and the values to go on after.

    Each value passes ``scalar(value, where=path)``, the engine's own check. Raises Invalid.
    """
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
    keep = [n for n, key in enumerate(named) if key.path not in where or not is_equality(where[key.path])]
    keep = keep or [len(named) - 1]
    return [named[n] for n in keep], None if values is None else [values[n] for n in keep]


def best_index(
    table: str, admitted: Iterable[AnyIndex], where: Where, keys: Sequence[Key]
) -> AnyIndex | None:
    """The best of the indexes that the filter admits; None is the ids'. Raises Invalid when none serves."""
    with_id, id_first = int("_id" in where), int(keys[0].path == "_id")
    choices: list[tuple[Rank, AnyIndex | None]] = [
        ((bool(with_id or (id_first and not where)), with_id, id_first, 0), None),
        *((_rank(index, where, keys), index) for index in admitted),
    ]
    (serves, *_), best = max(choices, key=lambda choice: choice[0])
    if serves:
        return best
    wanted = [("-" if key.descending else "") + key.path for key in keys]
    raise Invalid(f"{table}: no index serves filter {sorted(where)} with order {wanted}", table=table)


def _rank(index: Built, where: Where, keys: Sequence[Key]) -> Rank:
    """How well an index fits: more is better."""
    fields, declared = index.fields, index.declared
    if declared.multi:
        path = fields[0][0]
        usable = path in where and where[path] is not None
        return (usable, int(usable), int(keys[0].path == "_id"), 0)
    used, at = len(declared.where), 0
    while at < len(fields) and fields[at][0] in where:
        if not is_equality(where[fields[at][0]]):
            break
        used, at = used + 1, at + 1
    rest = fields[at:]
    ranged = int(bool(rest) and rest[0][0] in where and narrows(where[rest[0][0]]))
    ordered = int(_ordered(rest, keys, unique=index.unique))
    return (bool(used or ranged or (ordered and not where)), used, ordered, ranged)


def _ordered(rest: Sequence[tuple[str, bool]], keys: Sequence[Key], *, unique: bool) -> bool:
    """Do the index's remaining fields come in this order, forwards or backwards?"""
    fields = [*rest] if unique else [*rest, ("_id", False)]
    wanted = [key for key in keys if key.path != "_id"] or keys
    pairs = list(zip(fields, wanted, strict=False))
    if len(pairs) < len(wanted) or any(field[0] != key.path for field, key in pairs):
        return False
    return len({field[1] == key.descending for field, key in pairs}) == 1
