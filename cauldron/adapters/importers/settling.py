"""Last touches that let every imported document pass the checks of a collection."""

from collections.abc import Mapping
from typing import Any

from cauldron.adapters.importers.findings import Notes, all_categories
from cauldron.domain.collection import Collection, check_collection, parse_collection
from cauldron.domain.errors import Infeasible
from cauldron.domain.planning import make_plan

MAX_ROUNDS = 50


def settle(document: dict[str, Any], notes: Notes) -> None:
    """Make trait names distinct, give dead categories a weight; note each change.

    What no rule here mends stays as it is and is noted with the sentence that
    ``cauldron collection validate`` gives.
    """
    for category in all_categories(document["categories"]):
        _revive(category, notes)
    for _ in range(MAX_ROUNDS):
        doubles = [p for p in check_collection(document) if p.code == "duplicate_label"]
        if not doubles:
            break
        for problem in doubles:
            _rename(document, problem.path.removesuffix(".label"), notes)
    for problem in check_collection(document):
        notes.add(f"in the collection made of it: {problem.path}", problem.message)


def usable_supply(document: dict[str, Any], *, at_most: int) -> int:
    """The largest supply up to ``at_most`` that the document's rules leave room for; at least 1.

    Cost: one plan where ``at_most`` is possible, else about log₂ of it.
    """
    if check_collection(document):
        return at_most
    collection = parse_collection(document)
    if _can_plan(collection, at_most):
        return at_most
    low, high = 1, at_most  # low is taken for possible, high is not
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _can_plan(collection, middle) else (low, middle)
    return low


def _can_plan(collection: Collection, supply: int) -> bool:
    try:
        make_plan(collection, supply=supply)
    except Infeasible:
        return False
    return True


def _revive(category: Mapping[str, Any], notes: Notes) -> None:
    """Options that are all of weight 0 get a weight of 1: something must be drawn."""
    options = category.get("options", [])
    if options and not any(option.get("weight", 1) for option in options) and category.get("none", 0) < 1:
        notes.add(str(category["name"]), "every weight is 0; 1 is used for each")
        for option in options:
            option["weight"] = 1


def _rename(document: dict[str, Any], path: str, notes: Notes) -> None:
    category = _at(document, path)
    taken = {c.get("label", c["name"]) for c in all_categories(document["categories"])}
    old, number = category.get("label", category["name"]), 2
    while (new := f"{old[:72]} {number}") in taken:
        number += 1
    category["label"] = new
    notes.add(str(category["name"]), f"another layer has the trait name {old!r}; this one is called {new!r}")


def _at(document: Any, path: str) -> dict[str, Any]:
    """What stands at a path like ``categories[2].options[0].categories[1]``."""
    value = document
    for part in path.split("."):
        key, _, index = part.rstrip("]").partition("[")
        value = value[key][int(index)]
    found: dict[str, Any] = value
    return found
