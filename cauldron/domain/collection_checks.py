"""What must hold between the parts of a collection: names, labels, counts, sizes, placeholders."""

from collections.abc import Iterator, Sequence

from cauldron.domain.collection_parts import OneOfOne, SubCollection
from cauldron.domain.errors import Problem
from cauldron.domain.rules import Choice, Names
from cauldron.domain.traits import Category, Placed

MAX_COLUMNS, MAX_ALL_OPTIONS = 200, 200_000


def check_tree(placed: Sequence[Placed]) -> Iterator[Problem]:
    """Doubles, limits, and categories that could never have an option."""
    first: dict[str, str] = {}
    for p in placed:
        name = p.category.name
        if name and name in first:
            message = f'the category "{name}" is already at {first[name]}'
            yield Problem(path=f"{p.path}.name", code="duplicate", message=message)
        first.setdefault(name, p.path)
        yield from _check_category(p)
    if len(placed) > MAX_COLUMNS:
        message = f"there are {len(placed)} categories, {MAX_COLUMNS} allowed"
        yield Problem(path="categories", code="too_many", message=message)
    total = sum(len(p.category.choices) for p in placed)
    if total > MAX_ALL_OPTIONS:
        message = f"there are {total} options, {MAX_ALL_OPTIONS} allowed"
        yield Problem(path="categories", code="too_many", message=message)
    yield from _check_labels(placed)


def _check_category(p: Placed) -> Iterator[Problem]:
    category = p.category
    if category.in_order and p.parent:
        message = "images drawn in order cannot be nested in an option"
        yield Problem(path=f"{p.path}.images", code="nested_order", message=message)
    if category.seed and (category.none or category.none_count is not None):
        yield Problem(path=p.path, code="bad_kind", message="a seed is there for every piece; leave out none")
    possible = [o for o in category.choices if o.count != 0 and (o.count or o.weight > 0)]
    if category.choices and not possible and category.none < 1 and category.none_count is None:
        message = "no option can be chosen: every weight or count is 0"
        yield Problem(path=f"{p.path}.options", code="nothing_possible", message=message)


def _check_labels(placed: Sequence[Placed]) -> Iterator[Problem]:
    hosts = {p.category.name: (p.parent, p.host) for p in placed}
    seen: dict[str, list[str]] = {}
    for p in placed:
        category = p.category
        if not category.metadata or not category.name:
            continue
        for other in seen.get(category.label, []):
            if other != category.name and not _exclusive(category.name, other, hosts):
                message = f'the trait name "{category.label}" is already used by {other}'
                yield Problem(path=f"{p.path}.label", code="duplicate_label", message=message)
                break
        seen.setdefault(category.label, []).append(category.name)


def _exclusive(one: str, other: str, hosts: dict[str, tuple[str, str]]) -> bool:
    """Whether two categories hang below different options of one category."""
    lines: list[dict[str, str]] = []
    for name in (one, other):
        line: dict[str, str] = {}
        while hosts.get(name, ("", ""))[0] and hosts[name][0] not in line:
            name, host = hosts[name]  # noqa: PLW2901 - climbing up
            line[name] = host
        lines.append(line)
    return any(lines[1].get(name, host) != host for name, host in lines[0].items())


def check_counts(placed: Sequence[Placed], *, supply: int) -> Iterator[Problem]:
    """Counts above the supply, alone or added up."""
    for p in placed:
        category = p.category
        total = category.none_count or 0
        if total > supply:
            message = f"noneCount {total} is above the supply of {supply}"
            yield Problem(path=f"{p.path}.noneCount", code="count_above_supply", message=message)
            continue
        for index, option in enumerate(category.options):
            total += option.count or 0
            if (option.count or 0) > supply:
                where = f"{p.path}.options[{index}].count"
                message = f"count {option.count} is above the supply of {supply}"
                yield Problem(path=where, code="count_above_supply", message=message)
                break
        else:
            if total > supply:
                message = f"the counts add up to {total}, above the supply of {supply}"
                yield Problem(path=f"{p.path}.options", code="count_above_supply", message=message)


def check_one_of_ones(ones: Sequence[OneOfOne], names: Names, *, supply: int) -> Iterator[Problem]:
    """Unknown categories, seeds, and more hand-made pieces than pieces."""
    if len(ones) > supply:
        message = f"there are {len(ones)} one-of-ones in a supply of {supply}"
        yield Problem(path="oneOfOnes", code="count_above_supply", message=message)
    for index, one in enumerate(ones):
        for category in one.traits:
            where = f"oneOfOnes[{index}].traits.{category}"
            if (sentence := names.category_problem(category)) is not None:
                yield Problem(path=where, code="unknown_category", message=sentence)
            elif names.categories[category].seed:
                yield Problem(path=where, code="wrong_type", message="a seed cannot be chosen")


def check_sub_collections(
    subs: Sequence[SubCollection], names: Names, *, available: int
) -> Iterator[Problem]:
    """Unknown names, useless settings, and sizes that do not add up to ``available`` pieces."""
    for index, sub in enumerate(subs):
        path = f"subCollections[{index}]"
        for key, limits in (("only", sub.only), ("without", sub.without)):
            for category, choices in limits.items():
                yield from _check_limit(category, choices, names, path=f"{path}.{key}.{category}")
        for category in sub.none:
            yield from _check_share(category, names, path=f"{path}.none.{category}")
        for category, table in sub.weights.items():
            choices = tuple(table)
            yield from _check_limit(category, choices, names, path=f"{path}.weights.{category}")
            yield from _check_weights(category, choices, names, path=f"{path}.weights.{category}")
    sized = sum(sub.size or 0 for sub in subs)
    open_ended = sum(sub.size is None for sub in subs)
    if subs and (sized + open_ended > available or (not open_ended and sized != available)):
        message = f"the sizes add up to {sized}, but there are {available} pieces beside the one-of-ones"
        yield Problem(path="subCollections", code="sizes_do_not_add_up", message=message)


def _check_limit(category: str, choices: Sequence[Choice], names: Names, *, path: str) -> Iterator[Problem]:
    if (sentence := names.category_problem(category)) is not None:
        yield Problem(path=path, code="unknown_category", message=sentence)
        return
    found = names.categories[category]
    if found.seed or found.is_serial:
        message = f"{category} cannot be limited: every piece has its own value"
        yield Problem(path=path, code="not_in_rules", message=message)
        return
    for choice in choices:
        if choice is not None and (sentence := names.option_problem(category, choice)) is not None:
            yield Problem(path=path, code="unknown_option", message=sentence)


def _check_share(category: str, names: Names, *, path: str) -> Iterator[Problem]:
    if (sentence := names.category_problem(category)) is not None:
        yield Problem(path=path, code="unknown_category", message=sentence)
    elif names.categories[category].none_count is not None:
        message = f"{category} has an exact noneCount; a share here would not be used"
        yield Problem(path=path, code="ambiguous", message=message)
    elif names.categories[category].seed:
        yield Problem(path=path, code="not_in_rules", message="a seed is there for every piece")


def _check_weights(category: str, choices: Sequence[Choice], names: Names, *, path: str) -> Iterator[Problem]:
    found = names.categories.get(category)
    for option in _counted(found):
        if option in choices:
            message = f'"{option}" has an exact count; a weight here would not be used'
            yield Problem(path=f"{path}.{option}", code="ambiguous", message=message)
    if found is not None and (found.range is not None or found.in_order):
        message = f"{category} is not drawn by weight"
        yield Problem(path=path, code="ambiguous", message=message)


def _counted(category: Category | None) -> Iterator[str]:
    for option in category.options if category else ():
        if option.count is not None:
            yield option.name
