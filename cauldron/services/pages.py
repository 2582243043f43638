"""Pages of records with conditions that no index settles: bounded work, whatever is found."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cauldron.ports.storage import Doc, Store, Where

Place = tuple[Any, ...]
MOST_READ = 4_000  # documents read for one page


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some records, and the place after which the next page begins; None: that was all.

    A page may hold fewer than asked for, even none, though more follow.
    """

    items: list[Doc]
    next: Place | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What is listed: ``where`` and ``order`` by index, ``admits`` by looking at each."""

    table: str
    where: Where
    order: tuple[str, ...]
    admits: Callable[[Doc], bool] | None = None

    async def page(self, store: Store, *, limit: int, after: Sequence[Any] | None = None) -> Page:
        """At most ``limit`` records after the place ``after``."""
        items: list[Doc] = []
        place, read = tuple(after) if after is not None else None, 0
        while read < MOST_READ:
            wanted = limit + 1 - len(items) if self.admits is None else 500
            found = await store.find(
                self.table, self.where, order=self.order, limit=min(wanted, 500), after=place
            )
            for doc in found:
                if len(items) == limit:
                    return Page(items=items, next=place)
                place = self.place(doc)
                if self.admits is None or self.admits(doc):
                    items.append(doc)
            read += len(found)
            if len(found) < min(wanted, 500):
                return Page(items=items, next=None)
        return Page(items=items, next=place)

    def place(self, doc: Doc) -> Place:
        """Where a record stands in the order."""
        fields = [field.removeprefix("-") for field in self.order]
        return (*(doc.get(field) for field in fields), doc["_id"])
