"""Tests that prove settings infeasible, each over a chosen part of the settings.

Necessary conditions: there are as many valid pieces as wanted; no option is
wanted more often than valid pieces carry it; and for every two exact categories
(or one and the whole) a table of joint counts exists whose cells stay within the
number of valid pieces. They are sound (what they refuse cannot be planned) but not
complete: with three or more interlocking exact categories only a filled plan proves
that there is one. For small spaces a last condition tries everything.
"""

from collections.abc import Collection as Items
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from cauldron.domain.elimination import Network, TooWide
from cauldron.domain.exhaustion import can_be_met
from cauldron.domain.flows import largest_flow
from cauldron.domain.quotas import Demand
from cauldron.domain.space import Space

SUPPLY = ("supply", 0, 0)  # that ``amount`` pieces are wanted
Item = tuple[str, int, int]  # ("supply", 0, 0) | ("origin", number, 0) | ("count", column, option)
CROWDED = 10_000  # pieces of the space per piece wanted
MAX_PAIR_CELLS = 40_000  # classes of two columns in one joint table


@dataclass(frozen=True, slots=True)
class Test:
    """Which condition: the columns whose joint table is looked at, or everything by trial."""

    columns: tuple[int, ...]
    everything: bool = False


@dataclass(kw_only=True)
class Conflicts:
    """The conditions over one space and demand; ``blocked`` valid pieces are not to be had."""

    space: Space
    demand: Demand
    blocked: int = 0
    _tables: dict[Any, Any] = field(default_factory=dict)
    _networks: dict[frozenset[int], Network] = field(default_factory=dict)

    @cached_property
    def origins(self) -> list[str]:
        """Rules and limits of sub-collections, in the order of the document."""
        return list(dict.fromkeys(box.origin for box in self.space.boxes if box.origin))

    @property
    def _exact(self) -> tuple[int, ...]:
        """Exact columns that are compared or tied to anything; the others can always be met."""
        tied = {c for box in self.space.boxes for c in box.columns} | self.space.linked
        return tuple(c for c in self.demand.exact if c in tied)

    def tests(self) -> Iterator[Test]:
        """The conditions, cheapest first; none where nothing is compared, as rows may then repeat."""
        if not self.space.unique:
            return
        yield Test(())
        exact = self._exact
        for column in exact:
            yield Test((column,))
        scopes = [box.columns for box in self.space.boxes]
        for i, a in enumerate(exact):
            for b in exact[i + 1 :]:
                if self._crowded or any({a, b} <= scope for scope in scopes):
                    yield Test((a, b))

    @property
    def _crowded(self) -> bool:
        """Whether so much of the space is wanted that even untied categories get in each other's way."""
        total = 1
        for column in self.space.unique:
            total *= self.space.columns[column].size
        return total < CROWDED * self.demand.amount

    def items(self, test: Test) -> list[Item]:
        """The settings a condition can blame, those people can do least about first."""
        rules: list[Item] = [("origin", number, 0) for number in range(len(self.origins))]
        counts: list[Item] = [
            ("count", column, int(option))
            for column in test.columns
            for option in range(len(self.demand.counts[column]))
            if self.space.columns[column].alive[option] or self.demand.counts[column][option]
        ]
        derived = [item for item in counts if item[1:] not in self.demand.given]
        given = [item for item in counts if item[1:] in self.demand.given]
        return [*derived, *rules, *given, SUPPLY]

    def fails(self, test: Test, items: Items[Item]) -> bool:
        """Whether the condition cannot hold under ``items`` alone (the tree always holds).

        Raises:
            TooWide: the pieces cannot be counted.
        """
        supply = SUPPLY in items
        if test.everything:
            return self._exhausted(test, items)
        network = self._network(items)
        if not test.columns:
            return supply and self.room(items) < self.demand.amount
        wanted = {c: self._wanted(c, items) for c in test.columns}
        table = self._table(network, items, test.columns)
        if len(test.columns) == 1:
            return self._single_fails(network, test.columns[0], wanted, table, supply=supply)
        return self._pair_fails(network, test.columns, wanted, table, supply=supply)

    def whole(self) -> Test:
        """The condition that all exact counts can be met at once, decided by trying everything."""
        return Test(self._exact, everything=True)

    def _exhausted(self, test: Test, items: Items[Item]) -> bool:
        counts = {(c, o): n for c in test.columns for o, n in self._wanted(c, items).items()}
        amount = self.demand.amount if SUPPLY in items else None
        boxes = self._network(items).boxes
        return can_be_met(self.space, boxes, counts, amount=amount) is False

    def room(self, items: Items[Item]) -> int:
        """Different valid pieces to be had under ``items``. Raises TooWide."""
        return int(self._table(self._network(items), items, ()).item()) - self.blocked

    def room_of(self, column: int, option: int, items: Items[Item]) -> int:
        """Valid pieces that carry one option under ``items``. Raises TooWide."""
        network = self._network(items)
        if column not in network.columns:
            return self.room(items)
        number = network.classes[column][option]
        return int(self._table(network, items, (column,))[number]) if number >= 0 else 0

    def _network(self, items: Items[Item]) -> Network:
        numbers = frozenset(number for kind, number, _ in items if kind == "origin")
        if numbers not in self._networks:
            kept = {self.origins[number] for number in numbers}
            boxes = [box for box in self.space.boxes if not box.origin or box.origin in kept]
            self._networks[numbers] = Network(space=self.space, boxes=boxes)
        return self._networks[numbers]

    def _table(self, network: Network, items: Items[Item], keep: tuple[int, ...]) -> Any:
        rules = tuple(sorted(number for kind, number, _ in items if kind == "origin"))
        key = (rules, keep)
        if key not in self._tables:
            known = [c for c in keep if c in network.columns]
            self._tables[key] = network.table(known)
        return self._tables[key]

    def _wanted(self, column: int, items: Items[Item]) -> dict[int, int]:
        counts = self.demand.counts[column]
        return {option: int(counts[option]) for kind, c, option in items if kind == "count" and c == column}

    def _single_fails(
        self, network: Network, column: int, wanted: dict[int, dict[int, int]], table: Any, *, supply: bool
    ) -> bool:
        counts = wanted[column]
        if supply and sum(counts.values()) > self.demand.amount:
            return True
        if column not in network.columns:
            return False
        classes = network.classes[column]
        for option, count in counts.items():
            room = int(table[classes[option]]) if classes[option] >= 0 else 0
            if count > room:
                return True
        rest = self.demand.amount - sum(counts.values())
        others = [o for o in range(len(classes)) if o not in counts and classes[o] >= 0]
        return supply and rest > sum(int(table[classes[o]]) for o in others)

    def _pair_fails(
        self,
        network: Network,
        pair: tuple[int, ...],
        wanted: dict[int, dict[int, int]],
        table: Any,
        *,
        supply: bool,
    ) -> bool:
        """The joint table of two columns, by classes; settings left out leave their sums open."""
        if any(column not in network.columns for column in pair):
            return False
        if table.size > MAX_PAIR_CELLS:
            return False
        a, b = (self._groups(network, column, wanted[column]) for column in pair)
        bounds = [[_room(table, i, j) for j in b] for i in a]
        rows = [group.wanted for group in a]
        columns = [group.wanted for group in b]
        amount = self.demand.amount
        if supply:
            rows[-1], columns[-1] = amount - sum(rows[:-1]), amount - sum(columns[:-1])
            if rows[-1] < 0 or columns[-1] < 0:
                return True
            return largest_flow(rows, columns, bounds) < amount
        need_rows, need_columns = sum(rows[:-1]), sum(columns[:-1])
        rows[-1], columns[-1] = need_columns, need_rows
        if largest_flow(rows[:-1], columns, bounds[:-1]) < need_rows:
            return True
        narrow = [bound[:-1] for bound in bounds]
        return largest_flow(rows, columns[:-1], narrow) < need_columns

    def _groups(self, network: Network, column: int, counts: dict[int, int]) -> "list[_Group]":
        """Counted options of one class together; the last group is everything not counted."""
        classes = network.classes[column]
        groups: dict[int, _Group] = {}
        open_ended = _Group(members={}, wanted=0)
        dead = _Group(members={}, wanted=0)
        for option, number in enumerate(classes):
            if option not in counts:
                if number >= 0:
                    open_ended.members[int(number)] = open_ended.members.get(int(number), 0) + 1
                continue
            group = groups.setdefault(int(number), _Group(members={}, wanted=0)) if number >= 0 else dead
            if number >= 0:
                group.members[int(number)] = group.members.get(int(number), 0) + 1
            group.wanted += counts[option]
        return [*groups.values(), *([dead] if dead.wanted else []), open_ended]


@dataclass(slots=True, kw_only=True)
class _Group:
    members: dict[int, int]  # class -> options of it
    wanted: int


def _room(table: Any, a: _Group, b: _Group) -> int:
    """Valid pieces with an option of each group."""
    return sum(
        int(table[i, j]) * count_a * count_b
        for i, count_a in a.members.items()
        for j, count_b in b.members.items()
    )


def minimal(test: Test, items: Sequence[Item], conflicts: Conflicts) -> list[Item]:
    """A part of ``items`` that fails the test, from which nothing can be taken.

    Deletion filter: drop every item in turn, and keep it dropped when the rest still
    fails. Counts that follow from weights are tried together first, as people set none
    of them; then halves, so that most items go together.
    """
    kept = [item for item in items if item[0] != "count" or item[1:] in conflicts.demand.given]
    if len(kept) == len(items) or not conflicts.fails(test, kept):
        kept = list(items)
    size = (len(kept) + 1) // 2
    while True:
        start = 0
        while start < len(kept):
            trial = kept[:start] + kept[start + size :]
            if conflicts.fails(test, trial):
                kept = trial
            else:
                start += size
        if size <= 1:  # fewer settings never clash more, so one pass over single ones is enough
            return kept
        size = (size + 1) // 2


def first_conflict(conflicts: Conflicts, *, tests: Iterable[Test] = ()) -> tuple[Test, list[Item]] | None:
    """The first condition that fails with everything in place, and a minimal part that fails it."""
    for test in tests or conflicts.tests():
        try:
            items = conflicts.items(test)
            if conflicts.fails(test, items):
                return test, minimal(test, items, conflicts)
        except TooWide:
            continue
    return None
