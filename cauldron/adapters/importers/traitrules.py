"""Rules between options that other engines name by file: what excludes what, what comes with what."""

from collections.abc import Iterable, Iterator
from typing import Any

from cauldron.adapters.importers.findings import Notes, all_categories
from cauldron.adapters.importers.names import Distinct, slug

Called = dict[str, dict[str, list[str]]]  # name -> {category: [options]}


class RuleBook:
    """Collects rules with distinct ids; names that nothing answers to become notes."""

    def __init__(self, called: Called, *, notes: Notes) -> None:
        self._called = called
        self._notes = notes
        self._ids = Distinct()
        self.rules: list[dict[str, Any]] = []

    def excludes(self, name: str, others: Iterable[str], *, place: str) -> None:
        """No piece has both ``name`` and one of ``others`` (of another category)."""
        for key_category, keys in self._found(name, place).items():
            clashing: dict[str, list[str]] = {}
            for index, other in enumerate(others):
                for category, options in self._found(other, f"{place}[{index}]").items():
                    if category != key_category:
                        clashing.setdefault(category, []).extend(options)
            for category, options in clashing.items():
                pair = [{key_category: one_or_many(keys)}, {category: one_or_many(options)}]
                self._add(f"not-{name}-with-{category}", {"excludes": pair})

    def requires(
        self, name: str, others: Iterable[str], *, place: str
    ) -> Iterator[tuple[str, str, str, str]]:
        """Whatever has ``name`` has ``others`` too; yields (category, option) of both sides."""
        for index, other in enumerate(others):
            targets = self._found(other, f"{place}[{index}]")
            for key_category, keys in self._found(name, place).items():
                for category, options in targets.items():
                    if category == key_category:
                        continue
                    when, then = {key_category: one_or_many(keys)}, {category: one_or_many(options)}
                    self._add(f"{name}-needs-{other}", {"requires": {"when": when, "then": then}})
                    yield from ((key_category, key, category, option) for key in keys for option in options)

    def only_with(self, category: str, option: str, *, companions: dict[str, list[str]], place: str) -> None:
        """``option`` appears only beside one of the companions, which one category must hold."""
        if len(companions) > 1:
            categories = ", ".join(companions)
            self._notes.add(
                place, f"{option!r} has weight 0 and is forced from {categories}; it may appear alone"
            )
            return
        for other, names in companions.items():
            then = {other: one_or_many(names)}
            rule = {"requires": {"when": {category: option}, "then": then}}
            self._add(f"{option}-only-with-{other}", rule)

    def _found(self, name: str, place: str) -> dict[str, list[str]]:
        found = self._called.get(name.strip(), {})
        if not found:
            self._notes.add(place, f"no layer has anything called {name.strip()!r}")
        return found

    def _add(self, title: str, rule: dict[str, Any]) -> None:
        self.rules.append({"id": slug(self._ids.take(slug(title) or "rule")), **rule})


def one_or_many(names: list[str]) -> str | list[str]:
    """A single name as itself, several as a list."""
    distinct = list(dict.fromkeys(names))
    return distinct[0] if len(distinct) == 1 else distinct


def add_forced(
    book: RuleBook, forced: Iterable[tuple[str, list[str]]], categories: list[Any], *, place: str
) -> None:
    """Combinations that are forced; an option of weight 0 then appears only by force."""
    companions: dict[tuple[str, str], dict[str, list[str]]] = {}
    for name, others in forced:
        for key_category, key, category, option in book.requires(name, others, place=f"{place}.{name}"):
            companions.setdefault((category, option), {}).setdefault(key_category, []).append(key)
    for category_ in all_categories(categories):
        for option_ in category_["options"]:
            keys = companions.get((category_["name"], option_["name"]))
            if keys and option_["weight"] == 0:
                option_["weight"] = 1
                book.only_with(category_["name"], option_["name"], companions=keys, place=place)
