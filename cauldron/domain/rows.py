"""Rows of a space in bulk: which break a box, what their code is, and drawing them by weight."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from cauldron.domain.hashing import seed_from
from cauldron.domain.space import Box, Floats, Rows, Space

Codes = npt.NDArray[np.int64]
Generator = np.random.Generator
LARGEST_CODE = 2**62
WORD = 64  # boxes checked at once


def stream(*parts: str | int) -> Generator:
    """A random generator of its own for ``parts``; equal parts, equal numbers."""
    return np.random.Generator(np.random.PCG64(seed_from("cauldron plan", *parts)))


class Checker:
    """Finds rows that lie in a box.

    For every 64 boxes each column has a table from option to a word of bits: bit b
    is set when the option does not save the row from box b. The conjunction of a
    row's words is zero exactly when the row breaks none of them.
    """

    def __init__(self, boxes: Sequence[Box], sizes: Sequence[int]) -> None:
        self._blocks: list[list[tuple[int, npt.NDArray[np.uint64]]]] = []
        ordered = sorted(boxes, key=lambda box: sorted(box.columns))  # few columns per word
        for start in range(0, len(ordered), WORD):
            self._blocks.append(self._tables(ordered[start : start + WORD], sizes))

    @staticmethod
    def _tables(boxes: Sequence[Box], sizes: Sequence[int]) -> list[tuple[int, npt.NDArray[np.uint64]]]:
        full = np.uint64(2 ** len(boxes) - 1)
        tables: dict[int, npt.NDArray[np.uint64]] = {}
        for bit, box in enumerate(boxes):
            for column, mask in box.cells:
                table = tables.setdefault(column, np.full(sizes[column], full, dtype=np.uint64))
                table[~mask] &= ~np.uint64(2**bit)
        return sorted(tables.items()) or [(0, np.full(sizes[0], full, dtype=np.uint64))]

    def broken(self, rows: Rows) -> npt.NDArray[np.bool_]:
        """[rows] whether each row breaks a box. Cost: O(rows × columns × boxes / 64)."""
        broken = np.zeros(rows.shape[1], dtype=bool)
        for tables in self._blocks:
            column, table = tables[0]
            words = table[rows[column]]
            for column, table in tables[1:]:
                words &= table[rows[column]]
            broken |= words != 0
        return broken


class Coder:
    """Gives rows 64-bit codes: equal codes for equal rows of the compared columns.

    Below 2^62 combinations the code is the row in mixed radix, so that different rows
    have different codes. Beyond, it is a sum of 64-bit hashes of (column, option):
    two different rows may then share a code (chance 2^-64 a pair), which costs a
    redraw and can never let two equal rows pass.
    """

    def __init__(self, columns: Iterable[int], sizes: Sequence[int]) -> None:
        self.columns = tuple(columns)
        self.total = 1
        for column in self.columns:
            self.total *= sizes[column]
        self.exact = self.total < LARGEST_CODE
        self.radix: dict[int, int] = {}
        self._tables: dict[int, Codes] = {}
        step = 1
        for column in reversed(self.columns):
            if self.exact:
                self.radix[column] = step
                self._tables[column] = np.arange(sizes[column], dtype=np.int64) * step
                step *= sizes[column]
            else:
                random = stream("codes", column)
                self._tables[column] = random.integers(-(2**63), 2**63 - 1, sizes[column], dtype=np.int64)
        self._sizes = sizes

    def codes(self, rows: Rows) -> Codes:
        """[rows] the code of each row."""
        codes = np.zeros(rows.shape[1], dtype=np.int64)
        for column in self.columns:
            codes += self._tables[column][rows[column]]
        return codes

    def options(self, codes: Codes, column: int) -> npt.NDArray[np.int32]:
        """[codes] the option in ``column``; only for exact codes."""
        return (codes // self.radix[column] % self._sizes[column]).astype(np.int32)


@dataclass(frozen=True, kw_only=True)
class Sampler:
    """Draws rows by the laws of the categories, nested ones only under their option."""

    space: Space
    flat: bool = False  # every option that has a chance alike: for getting out of dead ends

    @cached_property
    def _cumulated(self) -> dict[tuple[int, int], Floats]:
        return {}

    def cumulated(self, column: int, sub: int) -> Floats:
        """[size] cumulated chances, exactly 1 from the last possible option on."""
        key = (column, sub)
        if key not in self._cumulated:
            law = self.space.law(column, sub)
            if self.flat:
                law = (law > 0) / max(1, int((law > 0).sum()))
            cumulated = np.cumsum(law)
            last = int(np.flatnonzero(law > 0)[-1]) if law.any() else 0
            cumulated[last:] = 1.0
            self._cumulated[key] = cumulated
        return self._cumulated[key]

    def options(self, column: int, sub: int, *, count: int, random: Generator) -> npt.NDArray[np.int32]:
        """[count] options of one column, by inverting its distribution (Devroye, 1986)."""
        uniform: Floats = random.random(count)
        return np.searchsorted(self.cumulated(column, sub), uniform, side="right").astype(np.int32)

    def draw(
        self, column: int, rows: Rows, *, subs: npt.NDArray[np.int32], random: Generator
    ) -> npt.NDArray[np.int32]:
        """[rows] options of ``column`` for rows whose parent column is already there."""
        found = self.space.columns[column]
        count = rows.shape[1]
        if len(found.laws) == 1:
            drawn = self.options(column, 0, count=count, random=random)
        else:
            uniform = np.asarray(random.random(count))
            drawn = np.zeros(count, dtype=np.int32)
            for sub in self.space.subs:
                here = subs == sub
                table = self.cumulated(column, sub)
                drawn[here] = np.searchsorted(table, uniform[here], side="right")
        if found.parent >= 0:
            drawn[rows[found.parent] != found.host] = found.absent
        return drawn

    def rows(self, count: int, *, subs: npt.NDArray[np.int32], random: Generator) -> Rows:
        """[columns, count] whole rows; serial columns stay 0 until they are filled in."""
        rows = np.zeros((len(self.space.columns), count), dtype=np.int32)
        if self.space.sub >= 0:
            rows[self.space.sub] = subs
        for column in self.space.core:
            if column != self.space.sub:
                rows[column] = self.draw(column, rows, subs=subs, random=random)
        return rows


def is_in(codes: Codes, known: Codes) -> npt.NDArray[np.bool_]:
    """[codes] whether each is among ``known`` (sorted). O(n log m)."""
    if not len(known):
        return np.zeros(len(codes), dtype=bool)
    places = np.searchsorted(known, codes)
    places[places == len(known)] = 0
    return np.asarray(known[places] == codes)


def first_of_each(codes: Codes) -> npt.NDArray[np.int64]:
    """Positions of the first occurrence of every code, ascending."""
    return np.sort(np.unique(codes, return_index=True)[1])


def sizes_of(space: Space) -> list[int]:
    """The number of options of every column."""
    return [column.size for column in space.columns]


def fixed_codes(coder: Coder, rows: Sequence[Mapping[int, int]]) -> Codes:
    """Sorted codes of rows given by column; rows that lack a compared column have none."""
    whole = [row for row in rows if all(row.get(column, -1) >= 0 for column in coder.columns)]
    if not whole or not coder.columns:
        return np.zeros(0, dtype=np.int64)
    table = np.zeros((max(coder.columns) + 1, len(whole)), dtype=np.int32)
    for index, row in enumerate(whole):
        for column in coder.columns:
            table[column, index] = row[column]
    return np.unique(coder.codes(table))
