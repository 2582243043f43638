"""Exact counts: how many pieces get each option, where that is settled before anything is drawn.

A category is exact when one of its options has a count, when it has a noneCount,
when its images are handed out in order, and when a category nested in it is exact.
Options with weights share what the counts leave, by largest remainder.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from cauldron.domain.errors import Infeasible
from cauldron.domain.space import SUB, Column, Floats, Space
from cauldron.domain.traits import Category

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What a plan has to fulfil beside the boxes."""

    amount: int  # rows to fill, without one-of-ones
    counts: Mapping[int, Counts]  # exact columns: [size] rows per option
    given: frozenset[tuple[int, int]] = frozenset()  # (column, option) whose count the document gives

    @property
    def exact(self) -> tuple[int, ...]:
        """The exact columns, ascending."""
        return tuple(sorted(self.counts))


def largest_remainder(targets: Floats, *, total: int, least: Counts | None = None) -> Counts:
    """Whole numbers near ``targets`` that add up to ``total``, none below ``least``.

    Args:
        targets: [n] wanted amounts; only their proportions matter.
        least: [n] lower bounds whose sum is at most ``total``; 0 when absent.

    Ties go to the earlier entry. Source: the Hare–Niemeyer method.
    """
    floor = np.zeros(len(targets), dtype=np.int64) if least is None else least.astype(np.int64)
    pinned = np.zeros(len(targets), dtype=bool)
    while True:
        rest = total - int(floor[pinned].sum())
        weight = float(targets[~pinned].sum())
        scaled = np.where(pinned, 0.0, targets * (rest / weight) if weight > 0 else 0.0)
        low = ~pinned & (scaled < floor)
        if not low.any():
            break
        pinned |= low
    result = np.where(pinned, floor, np.floor(scaled + 1e-9).astype(np.int64))
    missing = total - int(result.sum())
    order = np.argsort(-(np.where(pinned | (targets <= 0), -1.0, scaled - result)), kind="stable")
    if missing < 0:  # rounding noise in ``scaled``
        result[np.argsort(scaled - result, kind="stable")[:-missing]] -= 1
        return result
    result[order[:missing]] += 1
    return result


@dataclass(slots=True, kw_only=True)
class _Planner:
    space: Space
    amount: int
    used: Mapping[tuple[int, int], int]  # (column, option) -> pieces that one-of-ones use up
    subs: Counts  # [subs] rows per sub-collection
    counts: dict[int, Counts] = field(default_factory=dict)
    given: set[tuple[int, int]] = field(default_factory=set)

    def exact_columns(self) -> list[int]:
        """Exact columns and everything above them, parents first."""
        exact: set[int] = set()
        for index, column in enumerate(self.space.columns):
            if column.name != SUB and not column.serial and self._is_counted(column):
                while index >= 0:
                    exact.add(index)
                    index = self.space.columns[index].parent  # noqa: PLW2901 - climbing up
        return sorted(exact)

    def _category(self, column: Column) -> Category:
        return self.space.collection.by_name[column.name]

    def _is_counted(self, column: Column) -> bool:
        category = self._category(column)
        counted = any(option.count is not None for option in category.options)
        return counted or category.none_count is not None or category.in_order

    def given_counts(self, index: int) -> dict[int, int]:
        """The counts the document gives for options of a column, one-of-ones taken off."""
        column = self.space.columns[index]
        category = self._category(column)
        given = {i: o.count for i, o in enumerate(category.options) if o.count is not None}
        if category.images is not None and category.images.times is not None:
            given = dict.fromkeys(range(column.choices), category.images.times)
        if category.none_count is not None and column.none >= 0:
            given[column.none] = category.none_count
        for option, count in given.items():
            given[option] = count - self.used.get((index, option), 0)
            if given[option] < 0:
                name = option_name(self.space, index, option)
                spent = self.used[index, option]
                reason = f"{name} must appear {count} times, and one-of-ones alone use it {spent} times"
                raise Infeasible(f"{reason}.", reasons=[reason])
        return given

    def needs(self, index: int, exact: Sequence[int]) -> dict[int, tuple[int, bool]]:
        """Per option of a column: pieces that nested exact categories need, and whether just so many."""
        needs: dict[int, tuple[int, bool]] = {}
        for child in exact:
            column = self.space.columns[child]
            if column.parent != index:
                continue
            given = self.given_counts(child)
            inner = self.needs(child, exact)
            total = sum(given.values()) + sum(n for o, (n, _) in inner.items() if o not in given)
            whole = self._whole(column, given, inner)
            before = needs.get(column.host, (0, False))
            fixed = max(total, before[0])
            needs[column.host] = (fixed, whole or before[1])
        return needs

    def _whole(self, column: Column, given: Mapping[int, int], inner: Mapping[int, tuple[int, bool]]) -> bool:
        """Whether every living option of a column has a count, so that its total is settled."""
        options = set(np.flatnonzero(column.alive).tolist()) - {column.absent}
        return options <= {*given, *(o for o, (_, fixed) in inner.items() if fixed)}

    def settle(self, index: int, exact: Sequence[int]) -> None:
        """Fill in ``counts[index]``; parents are there already."""
        column = self.space.columns[index]
        total = self.amount
        if column.parent >= 0:
            total = int(self.counts[column.parent][column.host])
        given = self.given_counts(index)
        needs = self.needs(index, exact)
        for option, (count, fixed) in needs.items():
            if fixed and option not in given:
                given[option] = count
        counts = np.zeros(column.size, dtype=np.int64)
        for option, count in given.items():
            counts[option] = count
            self.given.add((index, option))
        left = total - int(counts.sum())
        targets, least = self._targets(index, given, needs, total=total)
        if left < int(least.sum()) or (left and not targets.any()):
            reason = self._sum_reason(index, counts, given, total=total)
            raise Infeasible(f"{column.name} cannot be filled: {reason}.", reasons=[reason])
        if left:
            counts += largest_remainder(targets, total=left, least=least)
        if column.absent >= 0:
            counts[column.absent] = self.amount - total
        self.counts[index] = counts

    def _targets(
        self, index: int, given: Mapping[int, int], needs: Mapping[int, tuple[int, bool]], *, total: int
    ) -> tuple[Floats, Counts]:
        """What options without a count should get, and the least they must get."""
        column = self.space.columns[index]
        targets = np.zeros(column.size)
        for sub, size in enumerate(self.subs):
            targets += self.space.law(index, sub) * (size / max(1, self.amount))
        least = np.zeros(column.size, dtype=np.int64)
        for option, (count, _) in needs.items():
            least[option] = 0 if option in given else count
        none_share = float(targets[column.none]) if column.none >= 0 and column.none not in given else 0.0
        targets[list(given)] = 0
        options = targets.copy()
        if column.none >= 0:
            options[column.none] = 0
        left = total - sum(given.values())
        wanted_none = none_share * total
        if none_share and options.any():
            rest = max(left - wanted_none, 0.0)
            targets = options * (rest / options.sum())
            targets[column.none] = min(wanted_none, left)
        elif none_share and abs(wanted_none - left) >= 1:
            targets[:] = 0  # only counts and a share of none that does not fit them
        return targets, least

    def _sum_reason(self, index: int, counts: Counts, given: Mapping[int, int], *, total: int) -> str:
        column = self.space.columns[index]
        listed = [f"{option_name(self.space, index, o, short=True)} {counts[o]}" for o in sorted(given)]
        names = ", ".join(listed[:6] + ["…"] * (len(listed) > 6))
        where = "there are"
        if column.parent >= 0:
            where = f"{option_name(self.space, column.parent, column.host)} appears on"
        reason = (
            f"the counts of {column.name} ({names}) add up to {int(counts.sum())}, but {where} {total} pieces"
        )
        category = self._category(column)
        if column.none >= 0 and column.none not in given and category.none:
            reason += f", {category.none:g} of them without one"
        return reason + ("; give an option a weight to take the rest" if counts.sum() < total else "")


def option_name(space: Space, column: int, option: int, *, short: bool = False) -> str:
    """How a person knows an option: ``Hat "Crown"``, ``no Hat``, ``sub-collection "Night"``."""
    found = space.columns[column]
    if found.name == SUB:
        text = f'"{space.collection.sub_collections[option].name}"'
        return text if short else f"sub-collection {text}"
    if option in (found.none, found.absent):
        return "none" if short else f"no {found.name}"
    category = space.collection.by_name[found.name]
    name = category.range.text(option) if category.range else category.choices[option].name
    return name if short else f'{found.name} "{name}"'


def sub_amounts(space: Space, *, amount: int) -> Counts:
    """[subs] rows of each sub-collection; those without a size share what is left evenly.

    Raises:
        Infeasible: the sizes do not add up to ``amount``.
    """
    if not space.sub_sizes:
        return np.array([amount], dtype=np.int64)
    sizes = np.array([size or 0 for size in space.sub_sizes], dtype=np.int64)
    open_ended = np.array([size is None for size in space.sub_sizes])
    left = amount - int(sizes.sum())
    if left < 0 or (left and not open_ended.any()):
        reason = (
            f"the sizes of the sub-collections add up to {int(sizes.sum())}, "
            f"but there are {amount} pieces beside the one-of-ones"
        )
        raise Infeasible(f"{reason}.", reasons=[reason])
    if left:
        sizes += largest_remainder(open_ended.astype(float), total=left)
    return sizes


def make_demand(space: Space, *, amount: int, used: Mapping[tuple[int, int], int]) -> Demand:
    """The exact counts of a plan of ``amount`` rows.

    Args:
        used: per (column, option) how many one-of-ones have it.

    Raises:
        Infeasible: counts that do not add up, with the sum as the reason.
    """
    subs = sub_amounts(space, amount=amount)
    planner = _Planner(space=space, amount=amount, used=used, subs=subs)
    exact = planner.exact_columns()
    for index in exact:
        planner.settle(index, exact)
    if space.sub >= 0:
        planner.counts[space.sub] = subs
        planner.given |= {(space.sub, i) for i, size in enumerate(space.sub_sizes) if size is not None}
    return Demand(amount=amount, counts=planner.counts, given=frozenset(planner.given))
