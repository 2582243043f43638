"""Summaries of cooks and casts: progress, cost with its source, time to go, reasons of failures."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cauldron.domain.cook_state import ENDED
from cauldron.domain.errors import CauldronError
from cauldron.domain.prediction import MOST_PAST, PastRun
from cauldron.domain.summary import cast_summary, cook_summary
from cauldron.ports.storage import Doc
from cauldron.services.cooking import Cooking
from cauldron.services.recipes import Recipes

SAMPLE = 200  # pieces looked at
LOOKED_AT = 100  # earlier cooks, of which those with the same generator count


@dataclass(slots=True)
class Summarizing:
    """Sums up what is read from the records of one store."""

    cooking: Cooking
    recipes: Recipes

    async def cook(self, cook_id: str, *, status: Doc | None = None) -> dict[str, Any]:
        """See :func:`cauldron.domain.summary.cook_summary`. Raises NotFound."""
        counted = status if status is not None else await self.cooking.status(cook_id)
        [parent] = await self.cooking.store.get("cooks", [cook_id])
        sources = await self._sources(parent["configHash"]) if parent and "configHash" in parent else []
        past = await self._past(parent) if parent and counted["queued"] + counted["running"] else []
        return cook_summary(counted, sources=sources, own=await self._own(cook_id), past=past)

    async def cast(self, record: Doc) -> dict[str, Any]:
        """See :func:`cauldron.domain.summary.cast_summary`."""
        digest = record.get("configHash") or ""
        sources = await self._sources(digest) if digest else []
        return cast_summary(record, sources=sources, steps=len(sources))

    async def _sources(self, config_hash: str) -> list[str]:
        """Where the costs of each step come from, as its tool declares; empty when the recipe is gone."""
        try:
            recipe = await self.recipes.recipe(config_hash)
        except CauldronError:
            return []
        return [step.tool.costing.source for step in recipe.steps]

    async def _own(self, cook_id: str) -> list[tuple[float, float]]:
        order = ("cookId", "number")
        pieces = await self.cooking.store.find("pieces", {"cookId": cook_id}, order=order, limit=SAMPLE)
        return [
            (piece["durationMs"] / 1000, piece["costUsd"])
            for piece in pieces
            if piece.get("durationMs") is not None and piece["state"] != "failed"
        ]

    async def _past(self, parent: Mapping[str, Any]) -> list[tuple[PastRun, PastRun]]:
        """Ended cooks of the owner with the same generator, newest first."""
        where, order = {"owner": parent["owner"]}, ("owner", "-startedAt")
        store = self.cooking.store
        earlier = await store.find("cooks", where, order=order, limit=LOOKED_AT)
        ids = [
            doc["_id"]
            for doc in earlier
            if doc["status"] in ENDED
            and doc.get("generator") == parent["generator"]
            and doc["generationCount"]
        ][:MOST_PAST]
        found = await store.get("cook_status", ids) if ids else []
        return [
            (
                PastRun(pieces=doc["generationCount"], total=doc["durationMs"] / 1000),
                PastRun(pieces=doc["generationCount"], total=doc["costUsd"]),
            )
            for doc in found
            if doc is not None and doc.get("generationCount")
        ]
