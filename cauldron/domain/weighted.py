"""Drawing different rows by weight, without ever stalling.

The law is that of the well-known loop "draw by weights, drop what breaks a rule or
was there already, until there are enough": weighted sampling without replacement
over the valid rows. Where few of the possible rows are wanted, batches do just
that; where many are, the whole space is walked through and the rows with the
largest Gumbel keys are taken, which is the same law (Vieira, 2014; Efraimidis and
Spirakis, 2006). The second can go on where the first became slow.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from cauldron.domain.conditional import ConditionalSampler
from cauldron.domain.elimination import TooWide
from cauldron.domain.enumeration import MAX_CELLS, Cells, TooLarge, Walker, rows_of
from cauldron.domain.rows import Checker, Coder, Codes, Generator, Sampler, first_of_each, is_in, sizes_of
from cauldron.domain.space import Rows, Space

BATCH = 1 << 17  # rows drawn at once
CELL_COST = 0.25  # time of one walked cell against one drawn row of one column
MAX_DRAWS = 8 * 10**6  # rows drawn before giving up, and 50 more per row wanted
FEW_WHOLE = 0.1  # share of rows that break no rule below which rows are drawn under the rules
MAX_REDRAWS = 400


class Shortfall(Exception):
    """There were not enough different rows, or they could not be found."""


@dataclass(slots=True, kw_only=True)
class WeightedDraw:
    """Draws rows of ``space``; all rows drawn so far are remembered in ``taken``."""

    space: Space
    coder: Coder
    checker: Checker
    sampler: Sampler
    random: Generator
    taken: Codes = field(default_factory=lambda: np.zeros(0, dtype=np.int64))  # sorted

    def rows(self, amount: int, *, sub: int = 0) -> Rows:
        """[columns, amount] new rows of one sub-collection, in the order of the draw.

        Raises:
            Shortfall: fewer valid rows are left, or too few were found in 8·10^6 draws and more.
        """
        if not self.coder.columns:
            return self._any(amount, sub)
        walker = Walker(space=self.space, coder=self.coder, sub=sub)
        small = self.coder.exact and walker.size <= MAX_CELLS * 8
        if small and amount * 20 > walker.size:
            return self._walked(walker, amount)
        parts, missing = [], amount
        for part, dear in self._batches(amount, sub, cells=walker.size if small else None):
            parts.append(part)
            missing -= part.shape[1]
            if dear and missing:
                parts.append(self._walked(walker, missing))
                missing = 0
                break
        if missing:
            raise Shortfall
        return np.concatenate(parts, axis=1)

    def _any(self, amount: int, sub: int) -> Rows:
        """Rows of a space in which nothing is compared: only the boxes count."""
        rows = self._drawn(amount, sub)
        strict = self._strict(sub) if self.checker.broken(rows).mean() > 1 - FEW_WHOLE else None
        if strict is not None:
            return strict.rows(rows, random=self.random)
        return self.redraw(rows, self.space.core)

    def _drawn(self, count: int, sub: int) -> Rows:
        subs = np.full(count, sub, dtype=np.int32)
        return self.sampler.rows(count, subs=subs, random=self.random)

    def _batches(self, amount: int, sub: int, *, cells: int | None) -> Iterator[tuple[Rows, bool]]:
        """New rows, and whether walking through the space has become the cheaper way."""
        missing, drawn = amount, 0
        strict: ConditionalSampler | None = None
        while missing and drawn < MAX_DRAWS + 50 * amount:
            size = min(BATCH, int(1.3 * missing) + 1024)
            rows = self._drawn(size, sub)
            if strict is not None:
                rows = strict.rows(rows, random=self.random)
            drawn += size
            whole = ~self.checker.broken(rows)
            if drawn == size and whole.mean() < FEW_WHOLE:
                strict = self._strict(sub)
            rows = rows[:, whole]
            codes = self.coder.codes(rows)
            new = first_of_each(codes)
            new = new[~is_in(codes[new], self.taken)][:missing]
            self._take(codes[new])
            missing -= len(new)
            share = max(len(new) / size, 1e-9) if missing else 1.0
            dear = cells is not None and missing / share * len(self.coder.columns) > cells * CELL_COST
            yield rows[:, new], dear

    def _strict(self, sub: int) -> ConditionalSampler | None:
        """A sampler that knows the rules, for when few rows drawn without them keep them."""
        try:
            return ConditionalSampler(space=self.space, sub=sub)
        except TooWide:
            return None

    def _take(self, codes: Codes) -> None:
        self.taken = np.sort(np.concatenate([self.taken, codes]))

    def _walked(self, walker: Walker, amount: int) -> Rows:
        try:
            codes = top_keys(walker, amount, random=self.random, taken=self.taken)
        except TooLarge:
            raise Shortfall from None
        if len(codes) < amount:
            raise Shortfall
        self._take(codes)
        rows = rows_of(codes, self.space, self.coder)
        if self.space.sub >= 0:
            rows[self.space.sub] = walker.sub
        return self.redraw(rows, [c for c in self.space.core if not self.space.columns[c].unique], fresh=True)

    def redraw(self, rows: Rows, columns: "list[int] | tuple[int, ...]", *, fresh: bool = False) -> Rows:
        """Draw ``columns`` anew in every row that breaks a box (``fresh``: in all rows first).

        Raises:
            Shortfall: a row stayed broken 400 times.
        """
        free = [c for c in columns if c != self.space.sub]
        pending = np.arange(rows.shape[1]) if fresh else np.flatnonzero(self.checker.broken(rows))
        for _ in range(MAX_REDRAWS):
            if not len(pending):
                return rows
            part = rows[:, pending]
            subs = part[self.space.sub] if self.space.sub >= 0 else np.zeros(len(pending), dtype=np.int32)
            for column in free:
                part[column] = self.sampler.draw(column, part, subs=subs, random=self.random)
            rows[:, pending] = part
            pending = pending[self.checker.broken(part)]
        if len(pending):
            raise Shortfall
        return rows


def top_keys(walker: Walker, amount: int, *, random: Generator, taken: Codes) -> Codes:
    """Codes of ``amount`` pieces drawn by weight without replacement, in the order of the draw.

    Fewer when there are fewer. ``taken`` (sorted) are left out.
    Cost: O(cells), with memory for 2 × amount + one chunk.

    Raises:
        TooLarge: the space cannot be walked through.
    """
    keys, codes = np.zeros(0), np.zeros(0, dtype=np.int64)
    least = -np.inf
    for cells in walker.cells():
        chunk = _without(cells, taken)
        fresh = chunk.logs - np.log(random.standard_exponential(len(chunk.logs)))
        good = fresh > least
        keys, codes = np.concatenate([keys, fresh[good]]), np.concatenate([codes, chunk.codes[good]])
        if len(keys) > 2 * amount + 4096:
            best = np.argpartition(-keys, amount - 1)[:amount]
            keys, codes = keys[best], codes[best]
            least = float(keys.min())
    best = np.lexsort((codes, -keys))[:amount]
    return codes[best]


def _without(cells: Cells, taken: Codes) -> Cells:
    if not len(taken):
        return cells
    free = ~is_in(cells.codes, taken)
    return Cells(codes=cells.codes[free], logs=cells.logs[free])


def weighted_draw(space: Space, *, random: Generator, taken: Codes, coder: Coder) -> WeightedDraw:
    """A draw over ``space`` that starts with the sorted codes ``taken``."""
    checker = Checker(space.boxes, sizes_of(space))
    return WeightedDraw(
        space=space, coder=coder, checker=checker, sampler=Sampler(space=space), random=random, taken=taken
    )
