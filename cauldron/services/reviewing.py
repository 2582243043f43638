"""Review and re-roll: decisions on pieces, and new pieces for slots that were turned down."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from cauldron.domain.commands import RefillSlots, ReviewPieces
from cauldron.domain.cook_state import FAILED, REJECTED, Cook
from cauldron.domain.errors import Refused
from cauldron.domain.events import Event
from cauldron.domain.hashing import content_hash
from cauldron.domain.rerolling import reroll
from cauldron.ports.blobs import BlobStore
from cauldron.ports.system import NewId
from cauldron.services.cooking import Cooking
from cauldron.services.projecting import stream_of
from cauldron.services.recipes import Recipes


@dataclass(slots=True)
class Reviewing:
    """Carries out reviews and refills."""

    cooking: Cooking
    recipes: Recipes
    blobs: BlobStore
    new_id: NewId

    async def review(
        self,
        cook_id: str,
        decision: str,
        *,
        pieces: Sequence[int] | None,
        actor: str,
        reason: str = "",
        key: str | None = None,
    ) -> int:
        """Decide on pieces by number (None: all that wait for the decision); returns how many changed.

        Raises:
            NotFound: no such cook or piece. Refused: a piece named is not in a state
            for this decision; nothing is changed then.
        """
        command = ReviewPieces(
            key=key or f"review:{self.new_id()}", decision=decision, pieces=pieces, reason=reason
        )
        outcome = await self.cooking.command(cook_id, command, actor=actor)
        events = outcome.events[0]
        return _changed(events) if isinstance(events, list) else 0

    async def refill(
        self, cook_id: str, *, pieces: Sequence[int] | None, actor: str, same: bool = False
    ) -> int:
        """Make new pieces for rejected and failed ones; returns how many.

        With ``same`` the selection stays (another try at it); else the slots are
        re-rolled: rules and counts hold, every other row is left alone.

        Raises:
            Refused: nothing is rejected or failed. Infeasible: no other selection fits.
        """
        cook = (await self.cooking.cooks.load(stream_of(cook_id))).state
        wanted = list(pieces) if pieces is not None else to_refill(cook)
        if not wanted:
            raise Refused("no piece is rejected or failed: there is nothing to refill")
        plan_blob, plan_hash = cook.plans[-1][1], cook.plans[-1][2]
        if not same:
            plan_blob, plan_hash = await self._rerolled(cook, wanted)
        command = RefillSlots(
            key=f"refill:{cook_id}:{content_hash([sorted(wanted), cook.pieces])[:32]}",
            pieces=wanted,
            plan=plan_blob,
            plan_hash=plan_hash,
            reason="regenerate" if same else "reroll",
        )
        await self.cooking.activate(cook_id, actor=actor)
        outcome = await self.cooking.command(cook_id, command, actor=actor)
        events = outcome.events[0]
        return sum(_queued(event) for event in events) if isinstance(events, list) else 0

    async def _rerolled(self, cook: Cook, pieces: Sequence[int]) -> tuple[str, str]:
        recipe = await self.recipes.recipe(cook.started["configHash"])
        plan = await self.recipes.plan(cook.plans[-1][1])
        if recipe.collection is None:
            raise Refused("this cook has no collection to re-roll from")
        slots = sorted({cook.slot_of[n - 1] for n in pieces})
        taken = set(slots)
        frozen = [row for row in range(len(plan.rows)) if row not in taken]
        seed = f"{cook.started['seed']}/reroll/{cook.pieces}"
        revised = await asyncio.to_thread(
            reroll, recipe.collection, plan, slots=slots, frozen=frozen, seed=seed
        )
        return await self.blobs.put(revised.to_bytes()), revised.plan_hash


def to_refill(cook: Cook) -> list[int]:
    """Numbers of the rejected and failed pieces that no newer piece has replaced."""
    return [n for n in cook.in_state(REJECTED, FAILED) if cook.is_current(n)]


def _changed(events: Sequence[Event]) -> int:
    return sum(
        high - low + 1
        for event in events
        if event.type == "PiecesReviewed"
        for low, high in event.data["pieces"]
    )


def _queued(event: Event) -> int:
    return event.data["to"] - event.data["from"] + 1 if event.type == "PiecesQueued" else 0
