"""The space of pieces: one column per category, and the boxes that no piece may lie in.

A row holds one option index per column. Option indices run over the category's
options, then "none" (where a piece may have none), then "absent" (nested
categories only: the option they belong to was not chosen). Sub-collections are
one more column, the last. A *box* is a forbidden partial assignment: a row breaks
it when every column it names holds one of the listed options.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from cauldron.domain.collection import Collection
from cauldron.domain.errors import Invalid
from cauldron.domain.traits import Category, Placed

SUB = "$sub"  # name of the column of sub-collections; no category can be called so

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int32]  # [columns, rows]: column-major, as the planner works on it


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One category of the space (or the sub-collections)."""

    name: str
    size: int  # options, with none and absent
    choices: int  # options alone: indices 0 … choices − 1
    none: int = -1  # index of "none"; −1: a piece cannot be without
    absent: int = -1  # index of "absent"; −1: not nested
    parent: int = -1  # column of the category it is nested in
    host: int = -1  # option of the parent under which it is rolled
    unique: bool = True  # part of what is compared
    serial: bool = False  # unique values: filled in last, outside rules
    in_order: bool = False  # images handed out in the order of the rows
    alive: Mask  # [size] options some piece may have
    laws: tuple[Floats, ...]  # per sub-collection (or one): [size] chances where it applies


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A forbidden partial assignment: ``cells`` are (column, mask of options), columns distinct."""

    cells: tuple[tuple[int, Mask], ...]
    origin: str = ""  # id of the rule, "sub:<name>" for limits of a sub-collection, "" for the tree

    @property
    def columns(self) -> frozenset[int]:
        """The columns it names."""
        return frozenset(column for column, _ in self.cells)


@dataclass(frozen=True, kw_only=True)
class Space:
    """A collection compiled for planning. Nothing in it depends on supply or seed."""

    collection: Collection
    columns: tuple[Column, ...]
    boxes: tuple[Box, ...]  # rules come in through :func:`cauldron.domain.boxes.build_space`
    sub_sizes: tuple[int | None, ...] = ()

    @cached_property
    def index(self) -> dict[str, int]:
        """Column number by category name."""
        return {column.name: i for i, column in enumerate(self.columns)}

    @property
    def sub(self) -> int:
        """The column of sub-collections, or −1."""
        return self.index.get(SUB, -1)

    @property
    def subs(self) -> range:
        """The numbers of the sub-collections; one where there are none."""
        return range(max(1, len(self.sub_sizes)))

    def law(self, column: int, sub: int) -> Floats:
        """Chances of the options of a column in a sub-collection, given that it applies."""
        laws = self.columns[column].laws
        return laws[sub] if len(laws) > 1 else laws[0]

    def boxes_in(self, sub: int) -> tuple[Box, ...]:
        """The boxes as they look inside one sub-collection."""
        inside = []
        for box in self.boxes:
            cells = dict(box.cells)
            here = cells.pop(self.sub, None)
            if here is None or here[sub]:
                inside.append(Box(cells=tuple(cells.items()), origin=box.origin))
        return tuple(inside)

    @cached_property
    def core(self) -> tuple[int, ...]:
        """The columns planned together: all but the serial ones."""
        return tuple(i for i, column in enumerate(self.columns) if not column.serial)

    @cached_property
    def unique(self) -> tuple[int, ...]:
        """The columns that are compared."""
        return tuple(i for i, column in enumerate(self.columns) if column.unique)

    @cached_property
    def linked(self) -> frozenset[int]:
        """Columns that are compared, and those that boxes tie to them, directly or not."""
        reached = set(self.unique)
        scopes = [box.columns for box in self.boxes]
        grown = True
        while grown:
            near = {c for scope in scopes if scope & reached for c in scope}
            grown = not near <= reached
            reached |= near
        return frozenset(reached)


def columns_of(collection: Collection) -> tuple[Column, ...]:
    """The columns of a collection, in layer order, sub-collections last.

    Raises:
        Invalid: an image set whose folder has not been read.
    """
    columns: list[Column] = []
    number: dict[str, int] = {}
    for placed in collection.placed:
        if not placed.category.seed:
            number[placed.category.name] = len(columns)
            columns.append(_column(placed, collection, columns, number))
    if collection.sub_collections:
        count = len(collection.sub_collections)
        alive, law = np.ones(count, dtype=bool), np.full(count, 1 / count)
        columns.append(Column(name=SUB, size=count, choices=count, unique=False, alive=alive, laws=(law,)))
    return tuple(columns)


def _column(
    placed: Placed, collection: Collection, columns: Sequence[Column], number: dict[str, int]
) -> Column:
    category = placed.category
    if category.images is not None and not category.images.items:
        raise Invalid(f"{category.name}: its folder of images has not been read", category=category.name)
    choices = category.range.size if category.range else len(category.choices)
    shares = [category.none, *(sub.none.get(category.name, 0.0) for sub in collection.sub_collections)]
    has_none = bool(max(shares) or category.none_count)
    size = choices + has_none + bool(placed.parent)
    none = choices if has_none else -1
    parent = number.get(placed.parent, -1)
    unique = category.unique and not category.is_serial
    host = -1
    if parent >= 0:
        host = [option.name for option in collection.by_name[placed.parent].options].index(placed.host)
        unique = unique and columns[parent].unique
    laws = _laws(category, collection, size=size, none=none)
    alive = np.zeros(size, dtype=bool)
    for law in laws:
        alive |= law > 0
    _count_alive(category, alive, none=none)
    if parent >= 0:
        alive[size - 1] = True
    return Column(
        name=category.name,
        size=size,
        choices=choices,
        none=none,
        absent=size - 1 if parent >= 0 else -1,
        parent=parent,
        host=host,
        unique=unique,
        serial=category.is_serial,
        in_order=category.in_order,
        alive=alive,
        laws=laws,
    )


def _count_alive(category: Category, alive: Mask, *, none: int) -> None:
    """Options with an exact count live by their count, not by their chance."""
    for index, option in enumerate(category.options):
        if option.count is not None:
            alive[index] = option.count > 0
    if category.none_count is not None and none >= 0:
        alive[none] = category.none_count > 0


def _laws(category: Category, collection: Collection, *, size: int, none: int) -> tuple[Floats, ...]:
    """One law per sub-collection, or a single one where they do not differ."""
    base = _weights(category)
    subs = collection.sub_collections
    if not any(
        category.name in settings
        for sub in subs
        for settings in (sub.only, sub.without, sub.none, sub.weights)
    ):
        return (_law(base, share=category.none, size=size, none=none),)
    laws = []
    for sub in subs:
        weights = base.copy()
        for name, weight in sub.weights.get(category.name, {}).items():
            weights[_index(category, name)] = weight
        if category.name in sub.only:
            allowed = [_index(category, choice) for choice in sub.only[category.name] if choice is not None]
            kept = np.zeros(len(weights), dtype=bool)
            kept[allowed] = True
            weights[~kept] = 0
        for choice in sub.without.get(category.name, ()):
            if choice is not None:
                weights[_index(category, choice)] = 0
        share = sub.none.get(category.name, category.none)
        if None in sub.without.get(category.name, ()):
            share = 0.0
        laws.append(_law(weights, share=share, size=size, none=none))
    return tuple(laws)


def _index(category: Category, choice: str | int | float) -> int:
    if category.range is not None:
        index = category.range.index(choice)
        return -1 if index is None else index
    return [option.name for option in category.choices].index(str(choice))


def _weights(category: Category) -> Floats:
    """Weights of the options; one with an exact count weighs 1 if it is used at all."""
    if category.range is not None:
        return np.ones(category.range.size)
    used = (float(o.count > 0) if o.count is not None else o.weight for o in category.choices)
    return np.fromiter(used, dtype=np.float64, count=len(category.choices))


def _law(weights: Floats, *, share: float, size: int, none: int) -> Floats:
    law = np.zeros(size)
    total = weights.sum()
    if total > 0:
        law[: len(weights)] = weights / total * (1 - share)
    if none >= 0:
        law[none] = share if total > 0 or share == 0 else 1.0
    return law
