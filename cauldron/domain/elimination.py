"""Exact counting of valid rows by variable elimination, in whole numbers.

Options that no box tells apart are merged into one class that remembers how many
it stands for; then columns are summed out one after the other, cheapest first.
Source: bucket elimination (Dechter, 1999); columns left out of uniqueness are
eliminated first and by "there is one" instead of by a sum.
"""

from collections.abc import Collection as Items
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from cauldron.domain.space import Box, Space

MAX_CELLS, MAX_OBJECT_CELLS = 4_000_000, 200_000  # of one table
SAFE_TOTAL = 2**62  # sums below stay exact in 64-bit integers

Table = npt.NDArray[Any]  # int64, or Python integers where the total may pass 2^62


class TooWide(Exception):
    """Eliminating would need a table beyond the limit."""


@dataclass(frozen=True, slots=True)
class Factor:
    """A non-negative table over some columns, one axis per column in ``scope``."""

    scope: tuple[int, ...]
    table: Table


@dataclass(frozen=True, kw_only=True)
class Network:
    """The valid rows of ``space`` under ``boxes``, ready to be counted.

    ``columns`` are those that take part; options that are not alive never count.
    """

    space: Space
    boxes: Sequence[Box]

    @cached_property
    def columns(self) -> tuple[int, ...]:
        """The columns that take part: those compared, and those boxes name."""
        named = {column for box in self.boxes for column in box.columns}
        return tuple(sorted(named | set(self.space.unique)))

    @cached_property
    def classes(self) -> dict[int, npt.NDArray[np.int64]]:
        """Per column: [size] the class of every option, −1 where it is not alive."""
        masks: dict[int, list[npt.NDArray[np.bool_]]] = {c: [] for c in self.columns}
        for box in self.boxes:
            for column, mask in box.cells:
                masks[column].append(mask)
        classes = {}
        for column, found in masks.items():
            alive = self.space.columns[column].alive
            numbers = np.zeros(len(alive), dtype=np.int64)
            for mask in found:
                numbers = np.unique(numbers * 2 + mask, return_inverse=True)[1]
            numbers[alive] = np.unique(numbers[alive], return_inverse=True)[1]
            numbers[~alive] = -1
            classes[column] = numbers
        return classes

    @cached_property
    def members(self) -> dict[int, npt.NDArray[np.int64]]:
        """Per column: [classes] how many options each class stands for."""
        return {column: np.bincount(numbers[numbers >= 0]) for column, numbers in self.classes.items()}

    @cached_property
    def factors(self) -> list[Factor]:
        """One 0/1 table per set of columns that boxes name together.

        Raises:
            TooWide: a box names so many columns that its table passes the limit.
        """
        tables: dict[tuple[int, ...], Table] = {}
        for box in self.boxes:
            scope = tuple(column for column, _ in box.cells)
            shape = tuple(len(self.members[column]) for column in scope)
            if np.prod(shape, dtype=float) > MAX_CELLS:
                raise TooWide
            table = tables.setdefault(scope, np.ones(shape, dtype=np.int64))
            inside = [self._class_mask(column, mask) for column, mask in box.cells]
            table[np.ix_(*inside)] = 0
        return [Factor(scope, table) for scope, table in tables.items()]

    def _class_mask(self, column: int, mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        classes = self.classes[column][mask]
        return np.unique(classes[classes >= 0])

    @cached_property
    def exact_type(self) -> Any:
        """``int64`` where no sum can pass 2^62, Python integers otherwise."""
        total = 1
        for column in self.columns:
            total *= int(self.members[column].sum())
        return np.dtype(np.int64) if total < SAFE_TOTAL else np.dtype(object)

    def count(self) -> int:
        """How many different pieces are valid. Raises TooWide."""
        return int(self.table(()).item())

    def table(self, keep: Items[int]) -> Table:
        """Valid pieces by the classes of the columns ``keep``, per single option of them.

        Returns:
            One axis per kept column, ascending. A cell counts the pieces that carry
            one particular option of the class (not all of its options together).

        Raises:
            TooWide: some table would pass the limit.
        """
        factors = list(self.factors)
        unique = set(self.space.unique)
        loose = [c for c in self.columns if c not in unique and c not in keep]
        summed = [c for c in self.columns if c in unique and c not in keep]
        for columns, exists in ((loose, True), (summed, False)):
            left = set(columns)
            while left:
                column = min(left, key=lambda c: (self._cost(c, factors), c))
                left.remove(column)
                factors = self._without(column, factors, exists=exists)
        order = tuple(sorted(keep))
        return self._product(factors, order)

    def _cost(self, column: int, factors: Sequence[Factor]) -> float:
        scope = {c for factor in factors if column in factor.scope for c in factor.scope} | {column}
        return float(np.prod([len(self.members[c]) for c in scope], dtype=float))

    def _without(self, column: int, factors: Sequence[Factor], *, exists: bool) -> list[Factor]:
        near = [factor for factor in factors if column in factor.scope]
        rest = [factor for factor in factors if column not in factor.scope]
        scope = tuple(sorted({c for factor in near for c in factor.scope} | {column}))
        table = self._product(near, scope)
        axis = scope.index(column)
        if exists:
            table = np.asarray((table > 0).any(axis=axis)).astype(np.int64)
        else:
            shape = [-1 if c == column else 1 for c in scope]
            many = self.members[column].astype(self.exact_type).reshape(shape)
            table = np.asarray((table * many).sum(axis=axis), dtype=self.exact_type)
        return [*rest, Factor(scope[:axis] + scope[axis + 1 :], table)]

    def _product(self, factors: Sequence[Factor], scope: tuple[int, ...]) -> Table:
        shape = tuple(len(self.members[c]) for c in scope)
        limit = MAX_CELLS if self.exact_type.kind != "O" else MAX_OBJECT_CELLS
        if np.prod(shape, dtype=float) > limit:
            raise TooWide
        start: Table = np.ones(shape, dtype=self.exact_type)
        for factor in factors:  # the type is kept on purpose: 0-dimensional results decay to small integers
            start = np.asarray(start * self._spread(factor, scope), dtype=self.exact_type)
        return start

    def _spread(self, factor: Factor, scope: tuple[int, ...]) -> Table:
        """The factor's table with an axis of length 1 for every column it does not name."""
        order = sorted(range(len(factor.scope)), key=lambda axis: factor.scope[axis])
        sizes = {c: len(self.members[c]) for c in factor.scope}
        table = factor.table.transpose(order) if factor.scope else factor.table
        return table.reshape([sizes.get(c, 1) for c in scope])
