"""Pages of a cook's pieces, by state, number and traits.

Without traits an index serves the page. With traits the plan does: which rows show a
value is one comparison of a column, and which pieces were made for those rows the
folded cook knows; only the page itself is read from the store.
"""

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from cauldron.domain.cook_state import PIECE_STATES, QUEUED, Cook, State
from cauldron.domain.errors import Invalid
from cauldron.domain.plan import Plan
from cauldron.domain.status import piece_id
from cauldron.ports.storage import Compare, Doc, Store
from cauldron.services.dispatch import Dispatcher
from cauldron.services.pages import Listing, Page
from cauldron.services.projecting import stream_of
from cauldron.services.recipes import Recipes

ENDED_STATES = tuple(state for code, state in enumerate(PIECE_STATES) if code != QUEUED)
MOST_NUMBER = 2**31


@dataclass(frozen=True, slots=True, kw_only=True)
class PieceQuery:
    """Which pieces are wanted. Numbers are inclusive; all ``traits`` (label → value) must be shown."""

    cook_id: str
    state: str | None = None
    first: int = 1
    last: int = MOST_NUMBER
    traits: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class PieceListing:
    """Reads pages of pieces that have been made, in the order of their numbers."""

    store: Store
    cooks: Dispatcher[Cook]
    recipes: Recipes

    async def page(self, query: PieceQuery, *, limit: int, after: tuple[int, str] | None = None) -> Page:
        """At most ``limit`` pieces after the place ``(number, id)``. Raises Invalid."""
        if query.state is not None and query.state not in ENDED_STATES:
            raise Invalid(f"state must be one of {', '.join(ENDED_STATES)}", path="state")
        if query.traits:
            folded = await self.cooks.load(stream_of(query.cook_id))
            if folded.state.state is not State.IDLE:
                return await self._by_plan(query, Made.of(folded.state), limit=limit, after=after)
        return await self._by_index(query, limit=limit, after=after)

    async def _by_index(self, query: PieceQuery, *, limit: int, after: tuple[int, str] | None) -> Page:
        """What an index gives; traits, of imported cooks, by looking at each piece."""
        first = max(query.first, after[0]) if after else query.first  # where an index may begin to read
        bounds = [Compare(">=", first), Compare("<=", query.last)]
        where = {"cookId": query.cook_id, "number": bounds}
        if query.state is not None:
            where["state"] = query.state
        wanted = dict(query.traits)
        listing = Listing(
            table="pieces",
            where=where,
            order=("number",),
            admits=(lambda doc: _shows(doc, wanted)) if wanted else None,
        )
        return await listing.page(self.store, limit=limit, after=after)

    async def _by_plan(
        self, query: PieceQuery, made: "Made", *, limit: int, after: tuple[int, str] | None
    ) -> Page:
        first = max(query.first, after[0] + 1 if after else 1)
        numbers = await self._numbers(query, made)
        numbers = numbers[(numbers >= first) & (numbers <= query.last)][: limit + 1].tolist()
        ids = [piece_id(query.cook_id, number) for number in numbers[:limit]]
        docs = await self.store.get("pieces", ids) if ids else []
        more = (numbers[limit - 1], ids[-1]) if len(numbers) > limit else None
        items = [doc for doc in docs if doc is not None and query.state in (None, doc["state"])]
        return Page(items=items, next=more)

    async def _numbers(self, query: PieceQuery, made: "Made") -> npt.NDArray[np.int64]:
        """Numbers of the pieces in the state wanted whose rows show all traits, ascending."""
        found: list[npt.NDArray[np.int64]] = []
        for index, (start, blob) in enumerate(made.plans):
            end = made.plans[index + 1][0] if index + 1 < len(made.plans) else len(made.states) + 1
            plan = await self.recipes.plan(blob)
            states, slots = made.states[start - 1 : end - 1], made.slots[start - 1 : end - 1]
            fits = _showing(plan, query.traits)[slots] & (states != QUEUED)
            if query.state is not None:
                fits &= states == PIECE_STATES.index(query.state)
            found.append(np.flatnonzero(fits) + start)
        return np.concatenate(found) if found else np.zeros(0, dtype=np.int64)


def _showing(plan: Plan, traits: Mapping[str, str]) -> npt.NDArray[np.bool_]:
    found = np.ones(plan.supply, dtype=np.bool_)
    for label, value in traits.items():
        found &= plan.slots_with(label, value)
    return found


def _shows(doc: Doc, traits: Mapping[str, str]) -> bool:
    shown = doc.get("traits") or {}
    return all(label in shown and str(shown[label]) == value for label, value in traits.items())


@dataclass(frozen=True, slots=True)
class Made:
    """A copy of what a cook has made: it may go on while plans are read."""

    states: npt.NDArray[np.uint8]
    slots: npt.NDArray[np.uint32]
    plans: Sequence[tuple[int, str]]  # first piece, plan blob

    @classmethod
    def of(cls, cook: Cook) -> "Made":
        states = np.frombuffer(bytes(cook.piece_state), dtype=np.uint8)
        slots = np.frombuffer(array("I", cook.slot_of).tobytes(), dtype=np.uint32)
        return cls(states, slots, [(first, blob) for first, blob, _ in cook.plans])
