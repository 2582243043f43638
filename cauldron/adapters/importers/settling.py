"""Last touches that let every imported document pass the checks of a collection."""

from collections.abc import Mapping
from typing import Any

from cauldron.adapters.importers.findings import Notes, all_categories
from cauldron.domain.collection import check_collection

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
