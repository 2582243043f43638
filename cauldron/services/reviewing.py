"""Review and re-roll: decisions on pieces, and new pieces for slots that were turned down."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cauldron.domain import cook as cooks
from cauldron.domain.commands import RefillSlots, ReviewPieces
from cauldron.domain.cook_state import FAILED, REJECTED, Cook
from cauldron.domain.errors import CauldronError, Invalid, Refused, StaleVersion
from cauldron.domain.events import Event
from cauldron.domain.hashing import content_hash
from cauldron.domain.plan import Plan
from cauldron.domain.rerolling import reroll, with_rows_of
from cauldron.ports.blobs import BlobStore
from cauldron.ports.system import NewId
from cauldron.services.cooking import Cooking
from cauldron.services.projecting import stream_of
from cauldron.services.recipes import Recipes

MOST_DECISIONS = 50  # taken in one commit, one by one
TRIES = 5  # at revising a plan that others revise, too


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A decision on one piece, by its number."""

    piece: int
    decision: str
    reason: str = ""


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
            key=f"review:{cook_id}:{key or self.new_id()}", decision=decision, pieces=pieces, reason=reason
        )
        outcome = await self.cooking.command(cook_id, command, actor=actor)
        events = outcome.events[0]
        return _changed(events) if isinstance(events, list) else 0

    async def decide(
        self, cook_id: str, decisions: Sequence[Decision], *, actor: str, key: str | None = None
    ) -> list[int | CauldronError]:
        """Take several decisions in one commit, each on its own: one that is refused stops no other.

        Returns:
            Per decision how many pieces changed (0: it was so already), or why it was refused.

        Raises:
            Invalid: more than :data:`MOST_DECISIONS`.
        """
        if len(decisions) > MOST_DECISIONS:
            raise Invalid(f"at most {MOST_DECISIONS} decisions at a time, not {len(decisions)}")
        batch = key or self.new_id()
        commands = [
            ReviewPieces(
                key=f"review:{cook_id}:{batch}:{index}",
                decision=each.decision,
                pieces=[each.piece],
                reason=each.reason,
            )
            for index, each in enumerate(decisions)
        ]
        outcome = await self.cooking.projector.carry_out(cook_id, commands, actor=actor)
        return [each if isinstance(each, CauldronError) else _changed(each) for each in outcome.events]

    async def refill(
        self, cook_id: str, *, pieces: Sequence[int] | None, actor: str, same: bool = False
    ) -> int:
        """Make new pieces for rejected and failed ones; returns how many.

        With ``same`` the selection stays (another try at it); else the slots are
        re-rolled: rules and counts hold, every other row is left alone.

        Raises:
            Refused: nothing is rejected or failed. Infeasible: no other selection fits.
        """
        for _ in range(TRIES):
            command, slots = await self._refill(cook_id, pieces, same=same)
            await self.cooking.activate(cook_id, actor=actor)  # from here on no other cook re-rolls
            if slots:
                command = await self._rerolled(command, cook_id, slots=slots)
            with contextlib.suppress(StaleVersion):  # somebody else re-rolled meanwhile: from their plan
                outcome = await self.cooking.charged(cook_id, command, actor=actor)
                if other := await self.cooking.give_way(cook_id, actor=actor):
                    raise Refused(f"cook {other} of the same collection is active", active=other)
                events = outcome.events[0]
                return sum(_queued(event) for event in events) if isinstance(events, list) else 0
        raise Refused("the plan is being revised by others: try again", cook=cook_id)

    async def _refill(
        self, cook_id: str, pieces: Sequence[int] | None, *, same: bool
    ) -> tuple[RefillSlots, list[int]]:
        """The command with the plan as it is, and the slots that are to get other selections first."""
        cook = (await self.cooking.cooks.load(stream_of(cook_id))).state
        wanted = list(pieces) if pieces is not None else to_refill(cook)
        if not wanted and cook.pieces:
            raise Refused("no piece is rejected or failed: there is nothing to refill")
        command = RefillSlots(
            key=f"refill:{cook_id}:{content_hash([sorted(wanted), cook.pieces])[:32]}",
            pieces=wanted,
            plan=cook.plans[-1][1] if cook.plans else "",
            plan_hash=cook.plans[-1][2] if cook.plans else "",
            base=cook.plans[-1][2] if cook.plans else "",
            reason="regenerate" if same else "reroll",
        )
        queued = cooks.decide(cook, command)  # refuses what cannot be refilled before work is put into it
        slots = [slot for event in queued if event.type == "PiecesQueued" for slot in event.data["slots"]]
        return command, [] if same else slots

    async def _rerolled(self, command: RefillSlots, cook_id: str, *, slots: Sequence[int]) -> RefillSlots:
        """The same refill from a revised plan; a one-of-one is tried again as it is."""
        cook = (await self.cooking.cooks.load(stream_of(cook_id))).state
        started, turn = cook.started, cook.pieces
        recipe = await self.recipes.recipe(started["configHash"])
        if recipe.collection is None:
            raise Refused("this cook has no collection to re-roll from")
        plan = with_rows_of(await self.recipes.plan(command.plan), await self._revised_by_others(started))
        changing = sorted(slot for slot in slots if slot not in plan.ones)
        taken = set(changing)
        frozen = [row for row in range(len(plan.rows)) if row not in taken]
        revised = await asyncio.to_thread(
            reroll,
            recipe.collection,
            plan,
            slots=changing,
            frozen=frozen,
            seed=f"{started['seed']}/reroll/{turn}",
        )
        data = await asyncio.to_thread(revised.to_bytes)
        return replace(command, plan=await self.blobs.put(data), plan_hash=revised.plan_hash)

    async def _revised_by_others(self, started: Mapping[str, Any]) -> list[tuple[Plan, range]]:
        """Plans that other cooks of the same rows have revised, and the slots that are theirs."""
        rows = (await self.cooking.rows.load(f"collection:{started['collectionId']}")).state
        revised: list[tuple[Plan, range]] = []
        for other, reserved in list(rows.reserved.items()):
            if other == started["cookId"] or reserved["planHash"] != started["planHash"]:
                continue
            plans = (await self.cooking.cooks.load(stream_of(other))).state.plans
            if len(plans) > 1:
                first = reserved["slotFrom"]
                own = range(first, first + reserved["amount"])
                revised.append((await self.recipes.plan(plans[-1][1]), own))
        return revised


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
