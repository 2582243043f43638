"""What was cooking before 2025: the rest of each collection becomes a paused cook, to be resumed by hand.

The pieces that were made stay imported records. The rows that are left get a cook
of their own with a real stream, started and paused in one commit, so that nothing
ever runs by itself. Where no plan can be made of the collection the record says why.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cauldron.domain.collection import Collection, parse_collection
from cauldron.domain.commands import PauseCook, ReserveRows, StartCook
from cauldron.domain.cook_state import State
from cauldron.domain.errors import CauldronError, Refused, Unavailable
from cauldron.domain.legacy.early import studio_cook
from cauldron.domain.snapshot import Snapshot
from cauldron.ports.storage import Compare, Patch
from cauldron.services.collecting import StoredPlan
from cauldron.services.cooking import Cooking, check_pieces
from cauldron.services.projecting import stream_of
from cauldron.services.recipes import recipe_bytes

REASON, DETAIL = "paused_at_migration", "it was cooking when it was migrated; resume it by hand"
ACTOR = "migration"


def rest_cook(collection_id: str) -> str:
    """The id of the cook of what was left to make."""
    return f"rest-{collection_id}"


@dataclass(slots=True)
class Pausing:
    """Makes paused cooks; doing it again changes nothing."""

    cooking: Cooking

    async def keep(self, known: Mapping[str, Any], *, made: int) -> dict[str, Any]:
        """The paused cook of what is left of a collection, ``made`` pieces being there.

        Args:
            known: what :func:`cauldron.domain.legacy.early.paused_cook` tells.

        Returns:
            ``{collection, cook, left}``, or ``{collection, cook: None, reason}``.
        """
        collection_id = str(known["collection"])
        cook_id, left = rest_cook(collection_id), int(known["target"]) - made
        try:
            if left <= 0:
                raise Refused("all its pieces are made")
            await self._start(cook_id, known, made=made, left=left)
        except Unavailable:
            raise
        except CauldronError as refusal:
            reason = refusal.message
            await self._note(collection_id, f"no cook could be made of what was left: {reason}"[:500])
            return {"collection": collection_id, "cook": None, "reason": reason}
        await self._note(collection_id, f"what was left is the paused cook {cook_id}")
        return {"collection": collection_id, "cook": cook_id, "left": left}

    async def _note(self, collection_id: str, detail: str) -> None:
        """Say on the imported record what became of the rest."""
        guard = {"imported": True, "pauseDetail": Compare("!=", detail)}
        changes = {"pauseDetail": detail}
        note = Patch("cook_status", studio_cook(collection_id), changes, guard)
        await self.cooking.store.commit([note], atomic=False)

    async def _start(self, cook_id: str, known: Mapping[str, Any], *, made: int, left: int) -> None:
        """Raises Refused, NotFound, Infeasible, InvalidMany: no plan, or pieces that cannot be run."""
        cooks, stream = self.cooking.cooks, stream_of(cook_id)
        if (await cooks.load(stream)).state.state is not State.IDLE:
            return
        record = await self.cooking.collecting.get(str(known["collection"]))
        if record.get("draft"):
            raise Refused(f"the collection is a draft: {record['problems'][0]['message']}")
        collection = parse_collection(record["definition"])
        if collection.generator.kind != "tool":
            raise Refused("its spell is a draft and not published")
        snapshot = await self.cooking.collecting.snapshot(collection)
        stored = await self.cooking.collecting.plan(collection, seed=collection.seed)
        check_pieces(collection, stored, snapshot)
        slot_from = await self._reserve(cook_id, known, stored, collection=collection, made=made, left=left)
        start = await self._command(
            cook_id, known, stored, collection=collection, snapshot=snapshot, rows=(slot_from, left)
        )
        pause = PauseCook(key=f"pause:legacy:{cook_id}", reason=REASON, detail=DETAIL)
        await cooks.handle_many(stream, [start, pause], actor=ACTOR)
        at = (await cooks.load(stream)).seq
        await self.cooking.jobs.hold(cook_id, at=at, now=self.cooking.collecting.clock())
        await self.cooking.projector.catch_up(cook_id)

    async def _reserve(
        self,
        cook_id: str,
        known: Mapping[str, Any],
        stored: StoredPlan,
        *,
        collection: Collection,
        made: int,
        left: int,
    ) -> int:
        """Take the rows of what was made out of use, then those of what is left; returns their first."""
        key, before = str(known["collection"]), studio_cook(str(known["collection"]))
        wanted = [(before, made, None), (cook_id, left, before)]
        commands = [
            ReserveRows(
                key=f"reserve:legacy:{cook}",
                cook_id=cook,
                amount=amount,
                supply=collection.supply,
                plan_hash=stored.plan.plan_hash,
                ended=ended,
            )
            for cook, amount, ended in wanted
            if amount
        ]
        outcome = await self.cooking.rows.handle_many(f"collection:{key}", commands, actor=ACTOR)
        found = outcome.events[-1]
        if isinstance(found, CauldronError):
            raise found
        if not found:
            raise Refused("another cook of this collection is active")
        return int(found[0].data["slotFrom"])

    async def _command(
        self,
        cook_id: str,
        known: Mapping[str, Any],
        stored: StoredPlan,
        *,
        collection: Collection,
        snapshot: Snapshot,
        rows: tuple[int, int],
    ) -> StartCook:
        slot_from, left = rows
        record = await self.cooking.collecting.get(str(known["collection"]))
        return StartCook(
            key=f"start:{cook_id}",
            cook_id=cook_id,
            collection_id=str(known["collection"]),
            collection_version=collection.version_hash,
            owner=str(known["owner"]),
            amount=left,
            slot_from=slot_from,
            plan_hash=stored.plan.plan_hash,
            plan=stored.blob,
            config_hash=await self.cooking.blobs.put(recipe_bytes(snapshot, collection)),
            generator={"kind": "tool", "id": str(collection.generator.ref)},
            seed=collection.seed,
            attempts=collection.cook.attempts,
            failure_budget=max(3, round(collection.cook.failure_budget * left)),
            environment=record["environment"],
        )
