"""Filling a plan's rows: by weight, by exact counts, or by choosing what to leave out."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from cauldron.domain.conditional import UnderRules
from cauldron.domain.elimination import Network, TooWide
from cauldron.domain.enumeration import MAX_CELLS, TooLarge, Walker, rows_of
from cauldron.domain.quotas import Counts, Demand, sub_amounts
from cauldron.domain.repair import MAX_ROUNDS, Repair, first_come
from cauldron.domain.rows import Checker, Coder, Codes, Generator, Sampler, is_in, sizes_of, stream
from cauldron.domain.space import Column, Mask, Rows, Space
from cauldron.domain.weighted import Shortfall, WeightedDraw, top_keys, weighted_draw

CROWDED = 0.55  # share of the space above which the rows to leave out are planned instead
MAX_COMPLEMENT = 2_000_000  # pieces of a space whose complement is planned
FEW, FEW_ROUNDS = 10_000, 400  # pieces of a small space; rounds of repair there
MANY_BROKEN = 0.2  # share of rows above which columns without counts are drawn under the rules
FIT_ROUNDS = 100  # of exchanges that fit one column to the sub-collections
MAX_STRATA = 300  # options of a category that is filled option by option


def fill(space: Space, demand: Demand, *, forbidden: Codes, coder: Coder, seed: str) -> Rows:
    """[columns, amount] different valid rows with the counts of ``demand``.

    Serial columns are still 0. The rows are in the order of the slots.

    Raises:
        Shortfall: no such rows exist, or they were not found.
    """
    random = stream("fill", seed)
    exact = [c for c in demand.exact if c != space.sub]
    if not exact:
        draw = weighted_draw(space, random=random, taken=forbidden, coder=coder)
        try:
            return _shuffled(_by_weight(draw, demand), random)
        except Shortfall:
            if space.sub < 0:
                raise
            return repaired(space, demand, forbidden=forbidden, coder=coder, random=stream("again", seed))
    try:
        if _has_strata(space, exact, coder):
            rows = _in_strata(space, demand, exact[0], coder=coder, random=random, forbidden=forbidden)
            return arranged(_shuffled(rows, random), space)
        most = _all_but(space, demand, coder=coder, random=random, forbidden=forbidden)
        if most is not None:
            return arranged(_shuffled(most, random), space)
    except TooLarge:
        pass
    return repaired(space, demand, forbidden=forbidden, coder=coder, random=stream("repair", seed))


def _shuffled(rows: Rows, random: Generator) -> Rows:
    return rows[:, random.permutation(rows.shape[1])]


def _by_weight(draw: WeightedDraw, demand: Demand) -> Rows:
    """Every sub-collection in turn, the one with the least choice first."""
    amounts = sub_amounts(draw.space, amount=demand.amount)
    if draw.space.sub < 0:
        return draw.rows(demand.amount)
    walkers = [Walker(space=draw.space, coder=draw.coder, sub=sub) for sub in draw.space.subs]
    order = sorted(draw.space.subs, key=lambda sub: (-int(amounts[sub]) / max(1, walkers[sub].size), sub))
    parts = [draw.rows(int(amounts[sub]), sub=sub) for sub in order if amounts[sub]]
    return np.concatenate(parts, axis=1)


def _in_strata(
    space: Space, demand: Demand, column: int, *, coder: Coder, random: Generator, forbidden: Codes
) -> Rows:
    """One exact category: by weight inside each of its options, the exact law given the counts."""
    parts = [np.zeros(0, dtype=np.int64)]
    counts = demand.counts[column]
    law = _even_law(space, column)
    for option in np.flatnonzero(counts):
        only = np.arange(len(counts)) == option
        walker = Walker(space=law, coder=coder, only={column: only})
        codes = top_keys(walker, int(counts[option]), random=random, taken=forbidden)
        if len(codes) < counts[option]:
            raise Shortfall
        parts.append(codes)
    rows = rows_of(np.concatenate(parts), space, coder)
    draw = weighted_draw(space, random=random, taken=forbidden, coder=coder)
    return draw.redraw(rows, _uncompared(space), fresh=True)


def _has_strata(space: Space, exact: list[int], coder: Coder) -> bool:
    """Whether the one exact category cuts the space into a few parts that can be walked through."""
    if len(exact) != 1 or space.sub >= 0 or not space.columns[exact[0]].unique:
        return False
    few = space.columns[exact[0]].size <= MAX_STRATA
    return few and coder.exact and Walker(space=space, coder=coder, alike=True).size <= MAX_CELLS


def _even_law(space: Space, column: int) -> Space:
    """The space with the same chance for every living option of one column."""
    found = space.columns[column]
    law = found.alive.astype(np.float64)
    if found.absent >= 0:
        law[found.absent] = 0
    columns = list(space.columns)
    columns[column] = replace(found, laws=(law / max(1.0, law.sum()),))
    return replace(space, columns=tuple(columns))


def _uncompared(space: Space) -> list[int]:
    return [c for c in space.core if not space.columns[c].unique and c != space.sub]


def _all_but(
    space: Space, demand: Demand, *, coder: Coder, random: Generator, forbidden: Codes
) -> Rows | None:
    """Near the full space: plan the rows to leave out and keep all others. None: not that near.

    Raises:
        TooLarge: the space cannot be walked through.
        Shortfall: some option is wanted more often than there are rows with it.
    """
    plain = all(len(column.laws) == 1 for column in space.columns)
    tied = any(not space.columns[c].unique for c in space.linked)
    if tied or not plain or not coder.exact or sum(c.in_order for c in space.columns) > 1:
        return None
    try:
        total = Network(space=space, boxes=space.boxes).count() - len(forbidden)
    except TooWide:
        return None
    if total > MAX_COMPLEMENT or demand.amount < CROWDED * total:
        return None
    walker = Walker(space=space, coder=coder, alike=True)
    everything = np.concatenate([cells.codes for cells in walker.cells()] or [np.zeros(0, dtype=np.int64)])
    everything = everything[~is_in(everything, forbidden)]
    left = len(everything) - demand.amount
    if left < 0:
        raise Shortfall
    out = _left_out(space, demand, everything, coder=coder, random=random, forbidden=forbidden, left=left)
    rows = rows_of(everything[~is_in(everything, out)], space, coder)
    return _with_uncompared(space, demand, rows, random=random)


def _left_out(
    space: Space,
    demand: Demand,
    everything: Codes,
    *,
    coder: Coder,
    random: Generator,
    forbidden: Codes,
    left: int,
) -> Codes:
    """Sorted codes of ``left`` rows, such that the others have the counts wanted."""
    counts: dict[int, Counts] = {}
    columns: list[Column] = list(space.columns)
    for index in coder.columns:
        options = coder.options(everything, index)
        there = np.bincount(options, minlength=space.columns[index].size)
        if index in demand.counts:
            counts[index] = there - demand.counts[index]
            if (counts[index] < 0).any():
                raise Shortfall
        columns[index] = replace(columns[index], laws=(_leftover_law(space, demand, index, there),))
    if space.sub >= 0:  # which sub-collection nothing is left out of makes no difference
        counts[space.sub] = left * (np.arange(len(space.sub_sizes)) == 0)
    inverse = replace(space, columns=tuple(columns))
    opposite = Demand(amount=left, counts=counts)
    rows = repaired(inverse, opposite, forbidden=forbidden, coder=coder, random=random)
    return np.sort(coder.codes(rows))


def _leftover_law(space: Space, demand: Demand, index: int, there: Counts) -> npt.NDArray[np.float64]:
    """What a free column has left over once the plan has what its weights want."""
    column = space.columns[index]
    applies = there.sum() - (there[column.absent] if column.absent >= 0 else 0)
    wanted = space.law(index, 0) * demand.amount * (applies / max(1, there.sum()))
    over = np.maximum(there - wanted, 0) + 1e-3 * (there > 0)
    if column.absent >= 0:
        over[column.absent] = 0
    return np.asarray(over / max(over.sum(), 1e-9))


def _with_uncompared(space: Space, demand: Demand, rows: Rows, *, random: Generator) -> Rows:
    """Fill in the columns that are not compared: exact ones permuted, others by weight."""
    rows = _shuffled(rows, random)
    fresh = first_rows(space, demand, random=random, rows=rows, columns=_uncompared(space))
    if space.sub >= 0:
        fresh[space.sub] = _permuted(demand.counts[space.sub], random)
    apart = replace(
        space, columns=tuple(replace(column, unique=False) for column in space.columns)
    )  # the rows differ already: only boxes among the new columns are left to mend
    nothing = np.zeros(0, dtype=np.int64)
    mend = Repair(
        space=apart,
        demand=demand,
        coder=Coder((), sizes_of(space)),
        rows=fresh,
        random=random,
        forbidden=nothing,
        fixed=frozenset(space.unique),
    )
    if mend.run():
        raise Shortfall
    return mend.rows


def repaired(space: Space, demand: Demand, *, forbidden: Codes, coder: Coder, random: Generator) -> Rows:
    """Seeded permutations, then crossover repair. Raises Shortfall when rows stay bad."""
    rows = first_rows(space, demand, random=random)
    strict = _under_rules(space, rows, frozenset({*demand.counts, space.sub}))
    if strict is not None:
        rows = strict.rows(rows, random=random)
    repair = Repair(
        space=space,
        demand=demand,
        coder=coder,
        rows=rows,
        random=random,
        forbidden=forbidden,
        strict=strict,
    )
    few = coder.exact and coder.total <= FEW  # trying everything decides these sooner
    if repair.run(rounds=FEW_ROUNDS if few else MAX_ROUNDS):
        raise Shortfall
    return repair.rows


def _under_rules(space: Space, rows: Rows, exact: frozenset[int]) -> UnderRules | None:
    """A sampler for the columns without counts, where few rows drawn without the rules keep them."""
    broken = Checker(space.boxes, sizes_of(space)).broken(rows)
    if set(space.core) <= exact or np.count_nonzero(broken) <= MANY_BROKEN * len(broken):
        return None
    try:
        return UnderRules(space=space, fixed=exact)
    except TooWide:
        return None


def first_rows(
    space: Space,
    demand: Demand,
    *,
    random: Generator,
    rows: Rows | None = None,
    columns: list[int] | None = None,
) -> Rows:
    """[columns, amount] rows with exact counts where they are given, by weight elsewhere."""
    if rows is None:
        rows = np.zeros((len(space.columns), demand.amount), dtype=np.int32)
    sampler = Sampler(space=space)
    wanted = list(space.core) if columns is None else columns
    if space.sub in wanted:
        rows[space.sub] = _permuted(demand.counts[space.sub], random)
    subs = rows[space.sub] if space.sub >= 0 else np.zeros(rows.shape[1], dtype=np.int32)
    for index in wanted:
        column = space.columns[index]
        if index == space.sub:
            continue
        if index not in demand.counts:
            rows[index] = sampler.draw(index, rows, subs=subs, random=random)
        elif column.in_order:
            rows[index] = _in_order(demand.counts[index], column, random)
        else:
            rows[index] = _hung(demand.counts[index], column, rows, random)
            if len(column.laws) > 1 and column.parent < 0:
                _fit(rows[index], subs, column, random)
    return rows


def _fit(held: npt.NDArray[np.int32], subs: npt.NDArray[np.int32], column: Column, random: Generator) -> None:
    """Exchange options between rows, in place, until sub-collections hold few they leave out."""
    dead = np.array([law <= 0 for law in column.laws])
    for _ in range(FIT_ROUNDS):
        wrong = np.flatnonzero(dead[subs, held])
        if not len(wrong):
            return
        other = random.integers(0, len(held), len(wrong))
        fine = ~dead[subs[wrong], held[other]] & ~dead[subs[other], held[wrong]]
        pairs = np.flatnonzero(fine)
        pairs = pairs[first_come([wrong[pairs], other[pairs]])]
        held[wrong[pairs]], held[other[pairs]] = held[other[pairs]], held[wrong[pairs]]


def _permuted(counts: Counts, random: Generator) -> npt.NDArray[np.int32]:
    return random.permutation(np.repeat(np.arange(len(counts), dtype=np.int32), counts))


def _hung(counts: Counts, column: Column, rows: Rows, random: Generator) -> npt.NDArray[np.int32]:
    """A permutation of the counted options, over the rows in which the category applies."""
    if column.parent < 0:
        return _permuted(counts, random)
    applies = rows[column.parent] == column.host
    inside = counts.copy()
    inside[column.absent] = 0
    result = np.full(rows.shape[1], column.absent, dtype=np.int32)
    result[applies] = _permuted(inside, random)
    return result


def _in_order(counts: Counts, column: Column, random: Generator) -> npt.NDArray[np.int32]:
    """Images round by round: 0, 1, 2, …, 0, 1, 2, …; pieces without one in seeded places."""
    sequence = order_of(counts[: column.choices])
    total = int(counts.sum())
    result = np.full(total, column.none, dtype=np.int32)
    places = np.sort(random.permutation(total)[: len(sequence)])
    result[places] = sequence
    return result


def order_of(counts: Counts) -> npt.NDArray[np.int32]:
    """Option numbers, round by round; round r has the options with more than r pieces."""
    rounds = np.concatenate([np.arange(count) for count in counts] or [np.zeros(0, dtype=np.int64)])
    options = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    return options[np.lexsort((options, rounds))]


def arranged(rows: Rows, space: Space) -> Rows:
    """Reorder the rows so that the images of the (one) set in order come in order."""
    for index, column in enumerate(space.columns):
        if column.in_order:
            held = rows[index]
            places = np.flatnonzero(held < column.choices)
            counts = np.bincount(held[places], minlength=column.choices)
            sorted_places = places[np.argsort(held[places], kind="stable")]  # by option
            target = order_of(counts)
            by_option = np.argsort(target, kind="stable")
            source = np.empty(len(places), dtype=np.int64)
            source[by_option] = sorted_places
            rows = rows.copy()
            rows[:, places] = rows[:, source]
    return rows


def serial_values(space: Space, rows: Rows, *, taken: dict[int, Mask], seed: str) -> Rows:
    """Give every row a value of its own in the serial columns. Raises Shortfall."""
    for index, column in enumerate(space.columns):
        if not column.serial:
            continue
        random = stream("serial", seed, column.name)
        applies = np.ones(rows.shape[1], dtype=bool)
        if column.parent >= 0:
            applies = rows[column.parent] == column.host
        rows[index] = np.where(applies, rows[index], column.absent)
        needed = _with_number(space, index, applies, random)
        rows[index, applies] = column.none
        free = np.flatnonzero(~taken.get(index, np.zeros(column.choices, dtype=bool)))
        if len(free) < len(needed):
            raise Shortfall
        rows[index, needed] = random.permutation(free)[: len(needed)]
    return rows


def _with_number(space: Space, index: int, applies: Mask, random: Generator) -> npt.NDArray[np.int64]:
    """The rows that get a number: all to which the category applies, but for its share of none."""
    column = space.columns[index]
    category = space.collection.by_name[column.name]
    there = random.permutation(np.flatnonzero(applies))
    without = category.none_count
    if without is None:
        without = round(category.none * len(there))
    return np.sort(there[without:])
