"""Drawing rows by weight that keep every rule, without drawing others first.

Columns are eliminated as in :mod:`cauldron.domain.elimination`, with chances instead of
counts, and drawn in the opposite order: each from its chances given the columns drawn
before. The result has the law of "draw until no rule is broken", exactly.
Source: forward filtering, backward sampling, on the elimination order.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from cauldron.domain.elimination import Factor, Network, TooWide
from cauldron.domain.rows import Generator
from cauldron.domain.space import Floats, Rows, Space

MAX_CELLS = 2_000_000  # of one table of chances


@dataclass(frozen=True, slots=True)
class _Step:
    """How one column is drawn: by the classes of ``given``, as cumulated chances [given cells, classes]."""

    column: int
    given: tuple[int, ...]
    shape: tuple[int, ...]
    cumulated: Floats


@dataclass(kw_only=True)
class ConditionalSampler:
    """Draws rows of one sub-collection, or only what ``fixed`` columns leave open in given rows.

    Raises:
        TooWide: on making it, when a table would pass two million cells or no row has a chance.
    """

    space: Space
    sub: int
    fixed: frozenset[int] = frozenset()
    _network: Network = field(init=False)
    _steps: list[_Step] = field(init=False)

    def __post_init__(self) -> None:
        self._network = Network(space=self.space, boxes=self.space.boxes_in(self.sub))
        self._steps = []
        if any(not box.cells for box in self._network.boxes):
            raise TooWide  # a rule that nothing keeps
        factors = [Factor(f.scope, f.table.astype(np.float64)) for f in self._network.factors]
        left = {column for factor in factors for column in factor.scope} - self.fixed
        while left:
            column = min(left, key=lambda c: (self._cost(c, factors), c))
            left.remove(column)
            factors = self._eliminate(column, factors)

    def _law(self, column: int) -> Floats:
        """Chances of the options; absence weighs as much as all others together."""
        law = self.space.law(column, self.sub).copy()
        absent = self.space.columns[column].absent
        if absent >= 0:
            law[absent] = 1.0
        return law

    def _cost(self, column: int, factors: Sequence[Factor]) -> float:
        scope = {c for factor in factors if column in factor.scope for c in factor.scope}
        return float(np.prod([len(self._network.members[c]) for c in scope], dtype=float))

    def _eliminate(self, column: int, factors: Sequence[Factor]) -> list[Factor]:
        near = [factor for factor in factors if column in factor.scope]
        rest = [factor for factor in factors if column not in factor.scope]
        given = tuple(sorted({c for factor in near for c in factor.scope} - {column}))
        scope = (*given, column)
        shape = tuple(len(self._network.members[c]) for c in scope)
        if np.prod(shape, dtype=float) > MAX_CELLS:
            raise TooWide
        classes = self._network.classes[column]
        alive = classes >= 0
        chances = np.bincount(classes[alive], weights=self._law(column)[alive], minlength=shape[-1])
        table: Floats = np.broadcast_to(chances, shape).astype(np.float64)
        for factor in near:
            table = table * _spread(factor, scope, shape)
        total: Floats = table.sum(axis=-1)
        largest = float(total.max())
        if largest <= 0:
            raise TooWide  # no row has a chance: whoever asked finds out by counting
        cumulated: Floats = np.cumsum(table, axis=-1).reshape(-1, shape[-1])
        cumulated = cumulated / np.where(cumulated[:, -1:] > 0, cumulated[:, -1:], 1.0)
        self._steps.append(_Step(column, given, shape[:-1], cumulated))
        return [*rest, Factor(given, total / largest)] if given else rest

    def rows(self, rows: Rows, *, random: Generator) -> Rows:
        """``rows`` with every column that is not fixed and that a box names drawn anew, in place.

        Rows whose fixed columns break a rule among themselves, or leave nothing open, stay broken.
        """
        count = rows.shape[1]
        known = self.fixed & set(self._network.columns)
        classes = {column: np.maximum(self._network.classes[column][rows[column]], 0) for column in known}
        for step in reversed(self._steps):
            cell = np.zeros(count, dtype=np.int64)
            for column, size in zip(step.given, step.shape, strict=True):
                cell = cell * size + classes[column]
            uniform = np.asarray(random.random(count))
            picked = np.minimum(
                (step.cumulated[cell] <= uniform[:, None]).sum(axis=1), step.cumulated.shape[1] - 1
            )
            classes[step.column] = picked
            rows[step.column] = self._options(step.column, picked, random)
        return rows

    def _options(
        self, column: int, picked: npt.NDArray[np.int64], random: Generator
    ) -> npt.NDArray[np.int32]:
        """One option of each class, by its chance within the class."""
        numbers, law = self._network.classes[column], self._law(column)
        options = np.zeros(len(picked), dtype=np.int32)
        for number in range(len(self._network.members[column])):
            here = np.flatnonzero(picked == number)
            members = np.flatnonzero(numbers == number)
            members = members[law[members] > 0]
            if len(here) and len(members):
                cumulated = np.cumsum(law[members])
                uniform = np.asarray(random.random(len(here))) * cumulated[-1]
                found = np.searchsorted(cumulated, uniform, side="right")
                options[here] = members[np.minimum(found, len(members) - 1)]
        return options


@dataclass(kw_only=True)
class UnderRules:
    """A :class:`ConditionalSampler` for every sub-collection, with the same columns fixed.

    Raises:
        TooWide: on making it, as those do.
    """

    space: Space
    fixed: frozenset[int]
    _samplers: list[ConditionalSampler] = field(init=False)

    def __post_init__(self) -> None:
        self._samplers = [
            ConditionalSampler(space=self.space, sub=sub, fixed=self.fixed) for sub in self.space.subs
        ]

    def rows(self, rows: Rows, *, random: Generator) -> Rows:
        """``rows`` with what is not fixed drawn anew under the rules of their sub-collections, in place."""
        if self.space.sub < 0:
            return self._samplers[0].rows(rows, random=random)
        for sub, sampler in enumerate(self._samplers):
            here = np.flatnonzero(rows[self.space.sub] == sub)
            rows[:, here] = sampler.rows(rows[:, here], random=random)
        return rows


def _spread(factor: Factor, scope: tuple[int, ...], shape: tuple[int, ...]) -> Floats:
    """The factor's table with an axis of length 1 for every column of ``scope`` it does not name."""
    order = sorted(range(len(factor.scope)), key=lambda axis: scope.index(factor.scope[axis]))
    sizes = [shape[i] if column in factor.scope else 1 for i, column in enumerate(scope)]
    return np.asarray(factor.table.transpose(order).reshape(sizes), dtype=np.float64)
