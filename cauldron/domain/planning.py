"""Making a plan: one-of-ones get their slots, the other rows are filled, numbered and hashed."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cauldron.domain.boxes import build_space
from cauldron.domain.collection import MAX_SUPPLY, Collection
from cauldron.domain.collection_parts import OneOfOne
from cauldron.domain.errors import Infeasible, Invalid
from cauldron.domain.explaining import check_exhaustively, check_feasible, not_found
from cauldron.domain.filling import fill, serial_values
from cauldron.domain.plan import NO_OPTION, Plan
from cauldron.domain.quotas import Demand, make_demand
from cauldron.domain.rows import Coder, Codes, fixed_codes, sizes_of, stream
from cauldron.domain.rules import Names
from cauldron.domain.space import Mask, Rows, Space
from cauldron.domain.weighted import Shortfall


def make_plan(collection: Collection, *, supply: int | None = None, seed: str | None = None) -> Plan:
    """The plan of ``collection``: the same for equal collection, supply and seed.

    Args:
        supply: pieces, one-of-ones included; None: what the collection says.
        seed: any text; None: what the collection says.

    Raises:
        Invalid: a supply out of bounds, or images that have not been read.
        Infeasible: the settings admit no plan; ``reasons`` are sentences.

    Cost: see docs/explanation/plan.md.
    """
    supply = collection.supply if supply is None else supply
    seed = collection.seed if seed is None else seed
    if isinstance(supply, bool) or not 1 <= supply <= MAX_SUPPLY:
        raise Invalid(f"the supply must be from 1 to {MAX_SUPPLY}, not {supply}", supply=supply)
    ground = Ground(collection=collection)
    amount = supply - len(ground.ones)
    if amount < 0:
        reason = f"{supply} pieces are wanted, but there are {len(ground.ones)} one-of-ones"
        raise Infeasible(f"{reason}.", reasons=[reason])
    demand = make_demand(ground.space, amount=amount, used=ground.used)
    rows = _filled(ground, demand, seed=seed)
    return _put_together(ground, rows, supply=supply, seed=seed)


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What planning and re-rolling of one collection have in common."""

    collection: Collection

    @cached_property
    def space(self) -> Space:
        """The compiled collection."""
        return build_space(self.collection)

    @cached_property
    def coder(self) -> Coder:
        """Codes of the compared columns."""
        return Coder(self.space.unique, sizes_of(self.space))

    @cached_property
    def ones(self) -> list[dict[int, int]]:
        """The one-of-ones as options by column; what no option has is left out."""
        names = Names.of(self.collection.placed)
        return [self._row_of(one, names) for one in self.collection.one_of_ones]

    def _row_of(self, one: OneOfOne, names: Names) -> dict[int, int]:
        row: dict[int, int] = {}
        for index, column in enumerate(self.space.columns):
            if index == self.space.sub:
                continue
            hosted = column.parent < 0 or row.get(column.parent) == column.host
            if column.name in one.traits:
                found = names.option_index(column.name, one.traits[column.name])
            else:
                found = column.none if hosted else column.absent
            if found is not None and found >= 0:
                row[index] = found
        return row

    @cached_property
    def forbidden(self) -> Codes:
        """Sorted codes of one-of-ones: no other piece may equal one."""
        return fixed_codes(self.coder, self.ones)

    @cached_property
    def used(self) -> Mapping[tuple[int, int], int]:
        """Per (column, option) how many one-of-ones have it."""
        used: dict[tuple[int, int], int] = {}
        for row in self.ones:
            for item in row.items():
                used[item] = used.get(item, 0) + 1
        return used

    @cached_property
    def serial_taken(self) -> dict[int, Mask]:
        """Per serial column the numbers one-of-ones hold."""
        taken = {}
        for index, column in enumerate(self.space.columns):
            if column.serial:
                taken[index] = np.zeros(column.choices, dtype=bool)
                held = [row[index] for row in self.ones if 0 <= row.get(index, -1) < column.choices]
                taken[index][held] = True
        return taken


def distinct_pieces(plan: Plan) -> int:
    """How many pieces of a plan differ in what is compared; each one-of-one is its own.

    Counted from the plan's own rows, independently of how they were found. Where
    nothing is compared every piece counts.
    """
    space = build_space(plan.collection)
    if not space.unique:
        return plan.supply
    others = np.ones(plan.supply, dtype=bool)
    others[list(plan.ones)] = False
    rows = plan.rows[others][:, list(space.unique)]
    return len(np.unique(rows, axis=0)) + len(plan.ones)


def _filled(ground: Ground, demand: Demand, *, seed: str) -> Rows:
    space = ground.space
    if demand.amount == 0:
        return np.zeros((len(space.columns), 0), dtype=np.int32)
    crowded = ground.coder.exact and ground.coder.total < 1000 * demand.amount
    if crowded or len(demand.exact) > 0:
        check_feasible(space, demand, blocked=len(ground.forbidden))
    try:
        rows = fill(space, demand, forbidden=ground.forbidden, coder=ground.coder, seed=seed)
    except Shortfall:
        check_feasible(space, demand, blocked=len(ground.forbidden))
        check_exhaustively(space, demand)
        raise not_found(space, demand) from None
    try:
        return serial_values(space, rows, taken=ground.serial_taken, seed=seed)
    except Shortfall:
        raise _too_few_numbers(space, demand) from None


def _too_few_numbers(space: Space, demand: Demand) -> Infeasible:
    reasons = [
        f"{column.name} has {column.choices:,} numbers, each used once, for {demand.amount:,} pieces"
        for column in space.columns
        if column.serial and column.choices < demand.amount
    ]
    return Infeasible("There are not enough different numbers.", reasons=reasons)


def _put_together(ground: Ground, rows: Rows, *, supply: int, seed: str) -> Plan:
    """One-of-ones in seeded slots, the other rows in order around them."""
    space = ground.space
    random = stream("slots", seed)
    slots = random.permutation(supply)[: len(ground.ones)].tolist()
    table = np.full((supply, len(space.columns)), NO_OPTION, dtype=np.int32)
    others = np.ones(supply, dtype=bool)
    others[slots] = False
    table[others] = rows.T
    for slot, row in zip(slots, ground.ones, strict=True):
        for column, option in row.items():
            table[slot, column] = option
    return Plan(
        collection=ground.collection,
        seed=seed,
        supply=supply,
        columns=tuple(column.name for column in space.columns),
        rows=table,
        ones={slot: index for index, slot in enumerate(slots)},
        retired=np.zeros((0, len(space.columns)), dtype=np.int32),
    )
