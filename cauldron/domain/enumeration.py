"""Walking through every valid piece of a space that is small enough, in chunks of bounded size.

Columns are added one after the other to a table of partial rows; a box is applied
as soon as all its columns are there, so that dead branches are never followed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from cauldron.domain.rows import Coder, Codes, sizes_of
from cauldron.domain.space import Box, Floats, Mask, Rows, Space

CHUNK = 1 << 18  # partial rows held at once
MAX_CELLS = 2 * 10**7  # largest space walked through
MAX_VISITED = 8 * 10**7
MAX_LOOSE = 4096  # combinations of columns that are not compared, per piece


class TooLarge(Exception):
    """The space has too many cells to walk through."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """A chunk of valid pieces: codes of the compared columns, and their log chance."""

    codes: Codes
    logs: Floats


@dataclass(frozen=True, slots=True)
class _Partial:
    codes: Codes
    logs: Floats
    live: Mapping[int, npt.NDArray[np.int32]]  # columns later boxes still look at


@dataclass(frozen=True, kw_only=True)
class Walker:
    """Walks the pieces of one sub-collection (or of a space without any).

    ``only`` narrows columns to some options; with ``alike`` every living option has
    the same chance, so that options known by their counts are found too.
    """

    space: Space
    coder: Coder
    sub: int = 0
    only: Mapping[int, Mask] | None = None
    alike: bool = False

    @cached_property
    def boxes(self) -> tuple[Box, ...]:
        """The boxes as they look inside the sub-collection."""
        return self.space.boxes_in(self.sub)

    @cached_property
    def order(self) -> list[int]:
        """Compared columns, the ones with rules first, parents before children; then the tied ones."""
        tied = {c for box in self.boxes for c in box.columns}
        wanted = [c for c in self.space.core if c in self.space.linked and c != self.space.sub]

        def rank(column: int) -> tuple[bool, bool, int]:
            return (not self.space.columns[column].unique, column not in tied, column)

        ordered: list[int] = []
        for column in sorted(wanted, key=rank):
            self._place(column, ordered)
        return ordered

    def _place(self, column: int, ordered: list[int]) -> None:
        parent = self.space.columns[column].parent
        if parent >= 0:
            self._place(parent, ordered)
        if column not in ordered:
            ordered.append(column)

    @cached_property
    def options(self) -> dict[int, npt.NDArray[np.int32]]:
        """The options of every column that have a chance here."""
        found = {}
        for index in self.order:
            column = self.space.columns[index]
            possible = column.alive.copy() if self.alike else self.space.law(index, self.sub) > 0
            if column.absent >= 0:
                possible[column.absent] = True
            if self.only and index in self.only:
                possible &= self.only[index]
            found[index] = np.flatnonzero(possible).astype(np.int32)
        return found

    @property
    def size(self) -> int:
        """Cells before any box is applied; nested categories count with their absence."""
        size = 1
        for column in self.order:
            size *= max(1, len(self.options[column]))
        return size

    def cells(self) -> Iterator[Cells]:
        """All valid pieces, in a fixed order.

        Raises:
            TooLarge: more than 2·10^7 cells, or codes that cannot be taken apart.
        """
        if not self.coder.exact or self.size > MAX_CELLS * 8:
            raise TooLarge
        loose = [c for c in self.order if not self.space.columns[c].unique]
        if np.prod([float(len(self.options[c])) for c in loose]) > MAX_LOOSE:
            raise TooLarge
        if any(not box.cells for box in self.boxes):
            return
        start = _Partial(np.zeros(1, dtype=np.int64), np.zeros(1), {})
        visited = [0]
        for partial in self._extend(start, 0, visited):
            yield _merged(partial) if loose else Cells(codes=partial.codes, logs=partial.logs)

    def _extend(self, partial: _Partial, depth: int, visited: list[int]) -> Iterator[_Partial]:
        if depth == len(self.order):
            yield partial
            return
        column = self.order[depth]
        options = self.options[column]
        count = len(partial.codes)
        compared = self.space.columns[column].unique
        if compared and count > 1 and count * len(options) > CHUNK:
            step = max(1, CHUNK // max(1, len(options)))
            for begin in range(0, count, step):
                yield from self._extend(_cut(partial, begin, begin + step), depth, visited)
            return
        visited[0] += count * len(options)
        if visited[0] > MAX_VISITED:
            raise TooLarge
        grown = self._grow(partial, column, depth)
        if len(grown.codes):
            yield from self._extend(grown, depth + 1, visited)

    def _grow(self, partial: _Partial, column: int, depth: int) -> _Partial:
        """Every partial row with every option of one more column, without those in a box."""
        options = self.options[column]
        shape = (len(partial.codes), len(options))
        step = self.coder.radix.get(column, 0)
        codes = partial.codes[:, None] + options.astype(np.int64) * step
        logs = partial.logs[:, None] + self._logs(column)
        kept = self._allowed(partial, column, depth)
        later = self._later(depth)
        live = {
            c: np.broadcast_to(values[:, None], shape) for c, values in partial.live.items() if c in later
        }
        if column in later:
            live[column] = np.broadcast_to(options, shape)
        if kept is None:
            return _Partial(codes.ravel(), logs.ravel(), {c: v.ravel() for c, v in live.items()})
        return _Partial(codes[kept], logs[kept], {c: v[kept] for c, v in live.items()})

    def _logs(self, column: int) -> Floats:
        options = self.options[column]
        if self.alike:
            return np.zeros(len(options))
        law = self.space.law(column, self.sub).copy()
        absent = self.space.columns[column].absent
        if absent >= 0:
            law[absent] = 1.0  # weighs as much as all options together: the parent's law is untouched
        return np.log(law[options])

    def _allowed(self, partial: _Partial, column: int, depth: int) -> Mask | None:
        there = set(self.order[: depth + 1])
        kept: Mask | None = None
        for box in self.boxes:
            if column not in box.columns or not box.columns <= there:
                continue
            inside = np.ones((len(partial.codes), 1), dtype=bool)
            for other, mask in box.cells:
                if other != column:
                    inside &= mask[partial.live[other]][:, None]
            bad = inside & dict(box.cells)[column][self.options[column]]
            kept = ~bad if kept is None else kept & ~bad
        return kept

    def _later(self, depth: int) -> set[int]:
        there = set(self.order[: depth + 1])
        return {c for box in self.boxes if not box.columns <= there for c in box.columns & there}


def _cut(partial: _Partial, begin: int, end: int) -> _Partial:
    live = {c: values[begin:end] for c, values in partial.live.items()}
    return _Partial(partial.codes[begin:end], partial.logs[begin:end], live)


def _merged(partial: _Partial) -> Cells:
    """Neighbours that differ only in columns that are not compared, as one piece."""
    starts = np.flatnonzero(np.r_[True, partial.codes[1:] != partial.codes[:-1]])
    return Cells(codes=partial.codes[starts], logs=np.logaddexp.reduceat(partial.logs, starts))


def rows_of(codes: Codes, space: Space, coder: Coder) -> Rows:
    """[columns, codes] rows with the compared columns filled in, the others 0."""
    rows = np.zeros((len(sizes_of(space)), len(codes)), dtype=np.int32)
    for column in coder.columns:
        rows[column] = coder.options(codes, column)
    return rows
