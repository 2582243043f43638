"""One piece with chosen traits, before anything is planned: what to look at while designing a collection."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cauldron.domain.boxes import build_space
from cauldron.domain.collection import Collection
from cauldron.domain.errors import InvalidMany, Problem
from cauldron.domain.plan import Plan, Selection
from cauldron.domain.rows import Checker, Generator, sizes_of, stream
from cauldron.domain.space import Column, Rows, Space
from cauldron.domain.traits import TraitValue

DRAWS = 512  # random pieces with the chosen traits, of which the first that keeps the rules is taken


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A selection; ``allowed`` says whether it keeps the rules."""

    selection: Selection
    allowed: bool


def try_traits(collection: Collection, traits: Mapping[str, TraitValue | None], *, seed: str) -> Tried:
    """A piece with the chosen ``traits`` (category → option, number, or None for none).

    Categories that are not chosen are drawn by weight; the same ``seed`` draws the same.
    When no draw keeps the rules the last one is given all the same, marked as not allowed.

    Raises:
        InvalidMany: a category or option that does not exist.
    """
    space = build_space(collection)
    chosen = _chosen(space, traits)
    random = stream("try", seed)
    rows = np.zeros((len(space.columns), DRAWS), dtype=np.int32)
    for index, column in enumerate(space.columns):
        rows[index] = _drawn(space, index, random)
        if index in chosen:
            rows[index] = chosen[index]
        if column.parent >= 0:
            rows[index, rows[column.parent] != column.host] = column.absent
    broken = Checker(space.boxes, sizes_of(space)).broken(rows)
    kept = np.flatnonzero(~broken)
    place = int(kept[0]) if len(kept) else DRAWS - 1
    plan = Plan(
        collection=collection,
        seed=seed,
        supply=1,
        columns=tuple(column.name for column in space.columns),
        rows=np.ascontiguousarray(rows[:, place : place + 1].T),
    )
    return Tried(selection=plan.selection(0), allowed=bool(len(kept)))


def _drawn(space: Space, index: int, random: Generator) -> Rows:
    column = space.columns[index]
    law = np.where(np.arange(column.size) == column.absent, 0.0, space.law(index, 0))
    total = law.sum()
    if total <= 0:
        return np.zeros(DRAWS, dtype=np.int32)
    return random.choice(column.size, size=DRAWS, p=law / total).astype(np.int32)


def _chosen(space: Space, traits: Mapping[str, TraitValue | None]) -> dict[int, int]:
    """Option index per column that was chosen, and of the hosts under which nested ones stand."""
    problems: list[Problem] = []
    found: dict[int, int] = {}
    for name, wanted in traits.items():
        index = space.index.get(name)
        option = _option(space, space.columns[index], wanted) if index is not None else None
        if index is None or option is None:
            what = "category" if index is None else "option"
            said = name if index is None else str(wanted)
            problems.append(
                Problem(path=f"traits.{name}", code=f"unknown_{what}", message=f"no such {what}: {said:.80}")
            )
            continue
        found[index] = option
    if problems:
        raise InvalidMany(problems)
    for index in list(found):
        column = space.columns[index]
        while column.parent >= 0:
            found.setdefault(column.parent, column.host)
            column = space.columns[column.parent]
    return found


def _option(space: Space, column: Column, wanted: TraitValue | None) -> int | None:
    if wanted is None:
        return column.none if column.none >= 0 else None
    category = space.collection.by_name.get(column.name)
    if category is None:  # the column of sub-collections
        names = [sub.name for sub in space.collection.sub_collections]
        return names.index(str(wanted)) if wanted in names else None
    if category.range is not None:
        return category.range.index(wanted)
    names = [option.name for option in category.choices]
    return names.index(str(wanted)) if str(wanted) in names else None
