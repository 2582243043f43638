"""What a plan will look like: realised counts against wanted ones, and how rare its pieces are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from cauldron.domain.collection import Collection
from cauldron.domain.plan import Plan
from cauldron.domain.planning import Ground, make_plan
from cauldron.domain.quotas import make_demand, sub_amounts
from cauldron.domain.rarity import open_rarity
from cauldron.domain.space import Floats, Space

_Wish: TypeAlias = tuple[Floats, bool]  # per option: pieces wanted; whether they are exact

HISTOGRAM_BINS = 20
MAX_SCORED = 200_000  # pieces; rarity of larger plans is left out


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionForecast:
    """One option: what weights or counts want, and what the plan has. Pieces."""

    option: str | None  # None: pieces without one
    wanted: float
    count: int
    exact: bool  # the document settles the number

    @property
    def deviation(self) -> float:
        """Pieces above (or below) what is wanted."""
        return self.count - self.wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoryForecast:
    """One category; ranges are summed up in ``numbers`` instead of options."""

    category: str
    options: tuple[OptionForecast, ...] = ()
    numbers: int | None = None  # different numbers of a range that appear


@dataclass(frozen=True, slots=True, kw_only=True)
class RarityForecast:
    """OpenRarity over the whole plan, before anything is made."""

    scores: tuple[float, ...]  # per slot
    ranks: tuple[int, ...]  # per slot, 1 is the rarest
    least: float
    median: float
    greatest: float
    histogram: tuple[int, ...]  # pieces per bin, from least to greatest, equal widths


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """All of it. ``rarity`` is None for plans of more than 200,000 pieces."""

    pieces: int
    one_of_ones: int
    categories: tuple[CategoryForecast, ...]
    sub_collections: tuple[tuple[str, int], ...]
    rarity: RarityForecast | None

    @property
    def largest_deviation(self) -> float:
        """The largest difference between count and wish, in pieces."""
        return max((abs(o.deviation) for c in self.categories for o in c.options), default=0.0)


def forecast(subject: Plan | Collection, *, with_rarity: bool = True) -> Forecast:
    """The forecast of a plan, or of a collection planned with its own supply and seed.

    Wanted counts of weights take one-of-ones off and nested categories only where they
    apply; rules and uniqueness are what makes the realised counts differ from them.

    Raises:
        Infeasible: a collection that admits no plan.
    """
    plan = subject if isinstance(subject, Plan) else make_plan(subject)
    ground = Ground(collection=plan.collection)
    wishes = _wishes(ground, plan)
    categories = []
    counts = plan.counts()
    ones = list(zip(ground.ones, plan.collection.one_of_ones, strict=True))
    for index, name in enumerate(plan.columns):
        category = plan.collection.by_name.get(name)
        if category is None:
            continue
        if category.range is not None:
            held = plan.rows[:, index]
            numbers = len(np.unique(held[(held >= 0) & (held < category.range.size)]))
            categories.append(CategoryForecast(category=name, numbers=numbers))
        else:
            without = sum(index not in row and name not in one.traits for row, one in ones)
            options = _options(ground.space, index, counts[name], wishes[index], without=without)
            categories.append(CategoryForecast(category=name, options=options))
    return Forecast(
        pieces=plan.supply,
        one_of_ones=len(plan.ones),
        categories=tuple(categories),
        sub_collections=_sub_sizes(ground.space, plan),
        rarity=_rarity(plan) if with_rarity and plan.supply <= MAX_SCORED else None,
    )


def _wishes(ground: Ground, plan: Plan) -> dict[int, _Wish]:
    """Per column: [size] pieces wanted of every option, and whether they are exact."""
    space = ground.space
    amount = plan.supply - len(plan.ones)
    demand = make_demand(space, amount=amount, used=ground.used)
    subs = sub_amounts(space, amount=amount)
    wishes: dict[int, _Wish] = {}
    share: dict[int, Floats] = {}  # [subs] pieces to which a column applies
    for index, column in enumerate(space.columns):
        if index == space.sub:
            continue
        applies = subs.astype(float)
        if column.parent >= 0:
            chances = [space.law(column.parent, sub)[column.host] for sub in space.subs]
            applies = share[column.parent] * np.array(chances)
            if column.parent in demand.counts:
                total = demand.counts[column.parent][column.host]
                applies = applies * (total / max(1e-9, applies.sum()))
        share[index] = applies
        if index in demand.counts:
            wishes[index] = (demand.counts[index].astype(float), True)
        else:
            laws = [space.law(index, sub) * applies[sub] for sub in space.subs]
            wishes[index] = (np.sum(laws, axis=0), False)
        for (used_column, option), number in ground.used.items():
            if used_column == index:
                wishes[index][0][option] += number
    return wishes


def _options(
    space: Space,
    index: int,
    counts: dict[str | None, int],
    wish: _Wish,
    *,
    without: float,
) -> tuple[OptionForecast, ...]:
    column = space.columns[index]
    category = space.collection.by_name[column.name]
    wanted, exact = wish
    names: list[str | None] = [option.name for option in category.choices]
    rows = [
        OptionForecast(option=name, wanted=float(wanted[i]), count=counts[name], exact=exact)
        for i, name in enumerate(names)
    ]
    for name in counts.keys() - {*names, None}:  # values of one-of-ones that no option has
        rows.append(OptionForecast(option=name, wanted=float(counts[name]), count=counts[name], exact=True))
    without += sum(float(wanted[i]) for i in (column.none, column.absent) if i >= 0)
    if counts.get(None) or without:
        if column.absent >= 0 and not exact:  # the rest of the pieces, to which it does not apply
            without = sum(counts.values()) - sum(row.wanted for row in rows)
        rows.append(OptionForecast(option=None, wanted=without, count=counts.get(None, 0), exact=exact))
    return tuple(rows)


def _sub_sizes(space: Space, plan: Plan) -> tuple[tuple[str, int], ...]:
    if space.sub < 0:
        return ()
    held = plan.rows[:, space.sub]
    sizes = np.bincount(held[held >= 0], minlength=len(space.sub_sizes)).tolist()
    return tuple((sub.name, size) for sub, size in zip(plan.collection.sub_collections, sizes, strict=True))


def _rarity(plan: Plan) -> RarityForecast:
    rarity = open_rarity([dict(selection.traits) for selection in plan.selections()])
    scores = np.array(rarity.scores)
    return RarityForecast(
        scores=rarity.scores,
        ranks=rarity.ranks,
        least=float(scores.min()),
        median=float(np.median(scores)),
        greatest=float(scores.max()),
        histogram=_histogram(rarity.scores),
    )


def _histogram(scores: Sequence[float]) -> tuple[int, ...]:
    return tuple(np.histogram(np.array(scores), bins=HISTOGRAM_BINS)[0].tolist())
