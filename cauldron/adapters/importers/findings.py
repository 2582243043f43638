"""What an import gives back: a collection document, and everything that could not be taken over."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MAX_NOTES = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """A collection document made from somebody else's project.

    ``categories`` and ``options`` count nested ones too; ``not_understood`` has one
    sentence per thing left out or changed, each beginning with its place;
    ``copies`` are files to be put beside the document: ``{path there: file}``.
    """

    document: dict[str, Any]
    categories: int
    options: int
    not_understood: list[str]
    copies: Mapping[str, Path] = field(default_factory=dict)
    text: str = ""  # the document as it is to be written; empty: as YAML


class Notes:
    """Collects what could not be taken over, each thing once, in the order found."""

    def __init__(self) -> None:
        self._said: dict[str, None] = {}
        self._left_off = 0

    def add(self, place: str, reason: str) -> None:
        """Note that what stands at ``place`` was left out or changed, and why."""
        if len(self._said) < MAX_NOTES:
            self._said[f"{place}: {reason}"] = None
        else:
            self._left_off += 1

    def lines(self) -> list[str]:
        """The notes as sentences."""
        more = [f"and {self._left_off} more things"] if self._left_off else []
        return [*self._said, *more]


def imported(document: dict[str, Any], notes: Notes, *, copies: Mapping[str, Path]) -> Imported:
    """The document with its counts and notes."""
    every = list(all_categories(document["categories"]))
    return Imported(
        document=document,
        categories=len(every),
        options=sum(len(category.get("options", ())) for category in every),
        not_understood=notes.lines(),
        copies=copies,
    )


def all_categories(categories: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Every category of a document, nested ones after the one that holds them."""
    for category in categories:
        yield category
        for option in category.get("options", ()):
            yield from all_categories(option.get("categories", ()))


def combinations(categories: Sequence[Mapping[str, Any]]) -> int:
    """How many selections the categories admit when no rule forbids any."""
    product = 1
    for category in categories:
        inside = sum(
            combinations(option.get("categories", ()))
            for option in category.get("options", ())
            if option.get("weight", 1) != 0
        )
        product *= max(1, inside + (category.get("none", 0) > 0))
    return product
