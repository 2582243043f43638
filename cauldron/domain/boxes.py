"""Turning the tree, the rules and the limits of sub-collections into boxes no row may lie in.

Every term of a rule is a small disjunction of assignments; a rule becomes the
products of its terms and of the negations of its terms. Rules commute, so their
order in the document means nothing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np

from cauldron.domain.collection import Collection
from cauldron.domain.errors import Invalid
from cauldron.domain.rules import Choice, Rule, Term, Terms
from cauldron.domain.space import SUB, Box, Column, Mask, Space, columns_of

MAX_BOXES_PER_RULE = 20_000

Assignment = dict[int, Mask]  # column -> the options it holds one of


def build_space(collection: Collection) -> Space:
    """The space of a collection.

    Raises:
        Invalid: an image set that has not been read, or a rule that is too wide.
    """
    columns = columns_of(collection)
    builder = _Builder(collection=collection, columns=columns)
    boxes = [*builder.tree(), *builder.limits()]
    for rule in collection.rules:
        boxes += builder.rule(rule)
    sizes = tuple(sub.size for sub in collection.sub_collections)
    return Space(collection=collection, columns=columns, boxes=tuple(boxes), sub_sizes=sizes)


@dataclass(slots=True, kw_only=True)
class _Builder:
    collection: Collection
    columns: Sequence[Column]
    number: dict[str, int] = field(default_factory=dict)
    options: dict[str, dict[str, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.number = {column.name: i for i, column in enumerate(self.columns)}
        self.options = {
            name: {option.name: i for i, option in enumerate(category.choices)}
            for name, category in self.collection.by_name.items()
        }

    def tree(self) -> Iterator[Box]:
        """A nested category is present exactly where its option was chosen."""
        for index, column in enumerate(self.columns):
            if column.parent < 0 or column.serial:
                continue
            host = np.zeros(self.columns[column.parent].size, dtype=bool)
            host[column.host] = True
            absent = np.zeros(column.size, dtype=bool)
            absent[column.absent] = True
            yield from self.box({column.parent: host, index: absent}, "")
            yield from self.box({column.parent: ~host, index: ~absent}, "")

    def limits(self) -> Iterator[Box]:
        """An option without a chance in a sub-collection never appears there."""
        for index, column in enumerate(self.columns):
            if len(column.laws) == 1 or column.serial:
                continue
            for sub, law in enumerate(column.laws):
                dead = (law <= 0) & column.alive
                if column.absent >= 0:
                    dead[column.absent] = False
                where = self.only_in([sub])
                name = self.collection.sub_collections[sub].name
                yield from self.box({index: dead, self.number[SUB]: where}, f"sub:{name}")

    def only_in(self, subs: Sequence[int]) -> Mask:
        mask = np.zeros(len(self.collection.sub_collections), dtype=bool)
        mask[list(subs)] = True
        return mask

    def rule(self, rule: Rule) -> list[Box]:
        """The boxes of one rule."""
        forbidden: list[list[list[Assignment]]] = []  # per box family: factors to multiply
        if rule.kind == "excludes":
            forbidden.append([self.holds(terms) for terms in rule.terms])
        elif rule.kind == "requires":
            forbidden.append([self.holds(rule.terms[0]), self.fails(rule.then)])
        else:
            pairs = [(a, b) for a in rule.terms for b in rule.terms if a is not b]
            forbidden += [[self.holds(a), self.fails(b)] for a, b in pairs]
        names = [sub.name for sub in self.collection.sub_collections]
        place: Assignment = {}
        if rule.within:
            place = {self.number[SUB]: self.only_in([names.index(sub) for sub in rule.within])}
        boxes: list[Box] = []
        for factors in forbidden:
            if np.prod([float(len(factor)) for factor in factors]) > MAX_BOXES_PER_RULE:
                raise Invalid(f"rule {rule.id}: its tags reach too many categories", rule=rule.id)
            for combination in product(*factors):
                assignment = _both([place, *combination])
                boxes += [] if assignment is None else self.box(assignment, rule.id)
        return boxes

    def holds(self, terms: Terms) -> list[Assignment]:
        """Assignments one of which a row has when all of ``terms`` hold."""
        found = (_both(list(parts)) for parts in product(*(self.term(term) for term in terms)))
        return [assignment for assignment in found if assignment is not None]

    def fails(self, terms: Terms) -> list[Assignment]:
        """Assignments one of which a row has when not all of ``terms`` hold."""
        return [
            {column: ~mask for part in self.term(term) for column, mask in part.items()} for term in terms
        ]

    def term(self, term: Term) -> list[Assignment]:
        if not term.tag:
            column = self.number[term.category]
            return [{column: self.mask(column, term.options)}]
        tagged = []
        for name, category in self.collection.by_name.items():
            carriers = [i for i, option in enumerate(category.options) if term.tag in option.tags]
            if carriers:
                mask = np.zeros(self.columns[self.number[name]].size, dtype=bool)
                mask[carriers] = True
                tagged.append({self.number[name]: mask})
        return tagged

    def mask(self, column: int, choices: Sequence[Choice]) -> Mask:
        """The options named; None also stands for a nested category that does not apply."""
        found = self.columns[column]
        mask = np.zeros(found.size, dtype=bool)
        numbers = self.collection.by_name[found.name].range
        for choice in choices:
            if choice is None:
                mask[[i for i in (found.none, found.absent) if i >= 0]] = True
            elif numbers is not None:
                index = numbers.index(choice)
                mask[[index] if index is not None else []] = True
            else:
                mask[self.options[found.name][str(choice)]] = True
        return mask

    def box(self, assignment: Assignment, origin: str) -> Iterator[Box]:
        """The box, without cells that say nothing; none when no row can lie in it."""
        cells = []
        for column, mask in sorted(assignment.items()):
            alive = self.columns[column].alive
            if not (mask & alive).any():
                return
            if not (mask | ~alive).all():
                cells.append((column, mask & alive))
        yield Box(cells=tuple(cells), origin=origin)


def _both(parts: Sequence[Assignment]) -> Assignment | None:
    """All assignments at once; None when they contradict one another."""
    merged: Assignment = {}
    for part in parts:
        for column, mask in part.items():
            merged[column] = merged[column] & mask if column in merged else mask
            if not merged[column].any():
                return None
    return merged
