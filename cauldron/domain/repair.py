"""Exact counts, rules and uniqueness at once: crossover repair of seeded permutations.

The counts are right from the first row on and never change, because rows only ever
exchange options. A row is good when it lies in no box and no other good or forbidden
row equals it. A round proposes, for each bad row b, a partner p and a set of columns
to exchange. It is taken when b becomes good and p stays so; and also when b merely
changes and p stays good, which lets bad rows wander until an exchange helps. After a while good rows are
moved about too, from one good place to another.
Columns without exact counts may also be drawn anew. Exchanging single columns gets
stuck; exchanging several at once does not.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from cauldron.domain.conditional import UnderRules
from cauldron.domain.quotas import Demand
from cauldron.domain.rows import Checker, Coder, Codes, Generator, Sampler, first_of_each, is_in, sizes_of
from cauldron.domain.space import Mask, Rows, Space

MAX_ROUNDS = 3_000
MANY_BAD = 2_000  # above: one proposal per bad row
PROPOSALS = 20_000  # per round, below
FIRST_PER_ROW, MAX_PER_ROW = 8, 512  # proposals for one bad row in one round
SHARES = np.array([0.15, 0.3, 0.5])  # of the columns exchanged in one proposal
PATIENCE = 30  # rounds before columns without counts are drawn evenly instead of by weight

Places = npt.NDArray[np.int64]


@dataclass(slots=True, kw_only=True)
class Side:
    """New contents for some rows; ``good`` says which of them would be good."""

    places: Places
    rows: Rows
    codes: Codes
    good: Mask

    def at(self, kept: Places) -> "Side":
        """The part of it at the positions ``kept``."""
        return Side(
            places=self.places[kept],
            rows=self.rows[:, kept],
            codes=self.codes[kept],
            good=self.good[kept],
        )


@dataclass(kw_only=True)
class Repair:
    """Makes ``rows`` good in place.

    ``forbidden`` are sorted codes no row may have; a row that is to be renewed is one
    whose code is forbidden. Rows in ``frozen`` are never touched.
    """

    space: Space
    demand: Demand
    coder: Coder
    rows: Rows  # [columns, rows]
    random: Generator
    forbidden: Codes
    frozen: Mask | None = None
    fixed: frozenset[int] = frozenset()  # columns that are never touched
    strict: UnderRules | None = None  # draws columns without counts under the rules, where that pays
    alone: int = 0  # rounds in which bad rows are only drawn anew, before others exchange with them
    checker: Checker = field(init=False)
    codes: Codes = field(init=False)
    good: Mask = field(init=False)
    held: Codes = field(init=False)  # sorted: codes of good rows, and the forbidden ones

    def __post_init__(self) -> None:
        self.checker = Checker(self.space.boxes, sizes_of(self.space))
        self.codes = self.coder.codes(self.rows)
        count = self.rows.shape[1]
        self.good = np.zeros(count, dtype=bool) if self.frozen is None else self.frozen.copy()
        self.held = np.union1d(self.codes[self.good], self.forbidden)
        self._settle(np.flatnonzero(~self.good))

    @cached_property
    def partners(self) -> Places:
        """Rows that may be exchanged with."""
        if self.frozen is None:
            return np.arange(self.rows.shape[1])
        return np.flatnonzero(~self.frozen)

    @cached_property
    def moving(self) -> list[int]:
        """Columns that are exchanged: all but serial ones and images in order."""
        columns = self.space.columns
        return [c for c in self.space.core if not columns[c].in_order and c not in self.fixed]

    @cached_property
    def free(self) -> list[int]:
        """Columns without exact counts."""
        return [c for c in self.moving if c not in self.demand.counts]

    @cached_property
    def samplers(self) -> tuple[Sampler, Sampler]:
        """By weight, and evenly."""
        return Sampler(space=self.space), Sampler(space=self.space, flat=True)

    def run(self, *, rounds: int = MAX_ROUNDS) -> int:
        """Repair; the number of rows still bad afterwards, 0 when all is well."""
        bad = np.flatnonzero(~self.good)
        for turn in range(rounds):
            if not len(bad):
                return 0
            several = self._several(bad, turn)
            if turn > PATIENCE and turn % 5 < 2:
                several = self._well_placed()
            if self.free and (turn % 2 == 0 or turn < self.alone):
                self._apply(self._redrawn(several, turn), None)
            else:
                self._apply(*self._crossed(several))
            self._settle(np.flatnonzero(~self.good))
            bad = np.flatnonzero(~self.good)
        return len(bad)

    def _settle(self, bad: Places) -> None:
        """Bad rows that nothing is wrong with any more become good."""
        side = self._judged(bad, self.rows[:, bad])
        kept = np.flatnonzero(side.good)
        if self.coder.columns:
            kept = kept[first_of_each(side.codes[kept])]
        self.good[bad[kept]] = True
        self._hold(np.zeros(0, dtype=np.int64), side.codes[kept])

    def _judged(self, places: Places, rows: Rows) -> Side:
        codes = self.coder.codes(rows)
        good = ~self.checker.broken(rows)
        if self.coder.columns:
            good &= ~is_in(codes, self.held)
        return Side(places=places, rows=rows, codes=codes, good=good)

    def _hold(self, gone: Codes, come: Codes) -> None:
        """Keep ``held`` sorted while some codes go (each is in it once) and others come."""
        if not self.coder.columns:
            return
        kept = np.delete(self.held, np.searchsorted(self.held, np.sort(gone)))
        fresh = np.sort(come)
        self.held = np.insert(kept, np.searchsorted(kept, fresh), fresh)

    def _well_placed(self) -> Places:
        """Some good rows: moving them to other good places makes room where bad rows are stuck."""
        movable = np.flatnonzero(self.good if self.frozen is None else self.good & ~self.frozen)
        if not len(movable):
            return movable
        return movable[self.random.integers(0, len(movable), min(len(movable), MANY_BAD))]

    @staticmethod
    def _several(bad: Places, turn: int) -> Places:
        """Each bad row as often as it gets a proposal this round: the later, the more often."""
        if len(bad) > MANY_BAD:
            return bad
        patient = min(MAX_PER_ROW, FIRST_PER_ROW << min(turn // 3, 16))
        return np.repeat(bad, min(patient, PROPOSALS // len(bad)))

    def _exchanged(self, count: int) -> Mask:
        """[columns, count] which columns each proposal exchanges; children go with their parent."""
        share = SHARES[self.random.integers(0, len(SHARES), count)]
        mask = np.zeros((len(self.space.columns), count), dtype=bool)
        for column in self.moving:
            mask[column] = self.random.random(count) < share
            parent = self.space.columns[column].parent
            if parent >= 0:
                mask[column] |= mask[parent]
        return mask

    def _crossed(self, first: Places) -> tuple[Side, Side | None]:
        """Bad rows and random partners with some columns exchanged."""
        second = self.partners[self.random.integers(0, len(self.partners), len(first))]
        apart = first != second
        first, second = first[apart], second[apart]
        mask = self._exchanged(len(first))
        mine, theirs = self.rows[:, first], self.rows[:, second]
        new_first = self._judged(first, np.where(mask, theirs, mine))
        return new_first, self._judged(second, np.where(mask, mine, theirs))

    def _redrawn(self, first: Places, turn: int) -> Side:
        """Bad rows with all or some of their free columns drawn anew."""
        if self.strict is not None and turn % 4 == 0:
            return self._judged(first, self.strict.rows(self.rows[:, first], random=self.random))
        sampler = self.samplers[turn > PATIENCE and turn % 4 == 0]
        mask = self._exchanged(len(first))
        mask[:, self.random.random(len(first)) < 0.5] = True
        new = self.rows[:, first]
        sub = self.space.sub
        subs = new[sub] if sub >= 0 else np.zeros(len(first), dtype=np.int32)
        for column in self.free:
            drawn = sampler.draw(column, new, subs=subs, random=self.random)
            found = self.space.columns[column]
            again = mask[column]
            if found.parent >= 0:  # a parent that came or went takes its child along
                again = again | ((new[found.parent] == found.host) == (new[column] == found.absent))
            new[column] = np.where(again, drawn, new[column])
        return self._judged(first, new)

    def _apply(self, first: Side, second: Side | None) -> None:
        """Take the proposals that do no harm and do not meet one another, helpful ones first."""
        harmless = first.good | ~self.good[first.places]
        if second is not None:
            harmless &= second.good | (first.good & ~self.good[second.places])
        kept = np.flatnonzero(harmless)
        kept = kept[np.argsort(~first.good[kept], kind="stable")]
        sides = [first] if second is None else [first, second]
        kept = kept[first_come([side.places[kept] for side in sides])]
        if self.coder.columns:
            kept = kept[first_come([_own_codes(side.at(kept)) for side in sides])]
        self._put([side.at(kept) for side in sides])

    def _put(self, sides: list[Side]) -> None:
        gone = [self.codes[side.places[self.good[side.places]]] for side in sides]
        self._hold(np.concatenate(gone), np.concatenate([side.codes[side.good] for side in sides]))
        for side in sides:
            self.rows[:, side.places] = side.rows
            self.codes[side.places] = side.codes
            self.good[side.places] = side.good


def _own_codes(side: Side) -> Codes:
    """Codes of good rows; each bad row gets a number of its own that no code equals."""
    lowest = np.iinfo(np.int64).min
    return np.where(side.good, side.codes, lowest + side.places)


def first_come(keys: list[npt.NDArray[np.int64]]) -> Places:
    """Positions whose keys no earlier position has, in any of the lists."""
    count = len(keys[0])
    everything = np.concatenate(keys)
    position = np.tile(np.arange(count), len(keys))
    order = np.lexsort((position, everything))
    ranked = everything[order]
    head = np.r_[True, ranked[1:] != ranked[:-1]] if count else np.zeros(0, dtype=bool)
    winner = np.empty(len(everything), dtype=np.int64)
    winner[order] = np.maximum.accumulate(np.where(head, np.arange(len(order)), 0))
    best = position[order][winner]
    return np.flatnonzero((best.reshape(len(keys), count) == np.arange(count)).all(axis=0))
