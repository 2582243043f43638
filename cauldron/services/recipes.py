"""What a worker reads to make a piece: the execution snapshot and the plan, by content hash."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson

from cauldron.domain.binding import resolve_inputs
from cauldron.domain.collection import Collection, parse_collection
from cauldron.domain.errors import NotFound
from cauldron.domain.plan import Plan
from cauldron.domain.snapshot import PlannedStep, Snapshot, execution_plan
from cauldron.ports.blobs import BlobStore

KEPT = 8
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Recipe:
    """A snapshot ready to execute, and the collection whose traits drive it (None for a cast)."""

    snapshot: Snapshot
    steps: tuple[PlannedStep, ...]
    collection: Collection | None


class Recipes:
    """Snapshots and plans from the blob store, the latest few kept."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs
        self._recipes: OrderedDict[str, Recipe] = OrderedDict()
        self._plans: OrderedDict[str, Plan] = OrderedDict()
        self._reading = asyncio.Lock()

    async def recipe(self, config_hash: str) -> Recipe:
        """The recipe with this configHash. Raises NotFound when its blob is gone."""
        return await self._kept(self._recipes, config_hash, recipe_from)

    async def plan(self, digest: str) -> Plan:
        """The plan with this blob digest. Raises NotFound when its blob is gone."""
        return await self._kept(self._plans, digest, Plan.from_bytes)

    async def _kept(self, kept: OrderedDict[str, T], digest: str, read: Callable[[bytes], T]) -> T:
        if not digest:
            raise NotFound("what this was made from has been erased")
        if digest not in kept:
            async with self._reading:  # many jobs of one cook begin at once: read for the first only
                if digest not in kept:
                    kept[digest] = read(await self._blobs.get(digest))
        found = kept[digest]
        kept.move_to_end(digest)
        while len(kept) > KEPT:
            kept.popitem(last=False)
        return found

    async def load(self, plan: str) -> None:
        """Make :meth:`traits` ready for a plan."""
        if plan:  # else it was erased
            await self.plan(plan)

    def traits(self, plan: str, slot: int) -> Mapping[str, Any]:
        """``{category: option}`` of a row of a loaded plan; nothing when it was erased."""
        return self._plans[plan].traits(slot) if plan else {}

    async def piece_inputs(self, recipe: Recipe, plan: str, slot: int) -> dict[str, Any]:
        """The generator's inputs for one slot."""
        collection = recipe.collection
        if collection is None:
            return {}
        return resolve_inputs(collection, (await self.plan(plan)).selection(slot))


def recipe_bytes(snapshot: Snapshot, collection: Collection | None) -> bytes:
    """The blob that configHash names: canonical JSON of snapshot and collection."""
    body = {
        "snapshot": snapshot.to_dict(),
        "collection": collection.document() if collection is not None else None,
    }
    return orjson.dumps(body, option=orjson.OPT_SORT_KEYS)


def recipe_from(data: bytes) -> Recipe:
    """The recipe that :func:`recipe_bytes` wrote."""
    raw = orjson.loads(data)
    snapshot = Snapshot.from_dict(raw["snapshot"])
    collection = parse_collection(raw["collection"]) if raw["collection"] else None
    return Recipe(snapshot, execution_plan(snapshot), collection)
