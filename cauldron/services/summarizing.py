"""Summaries of cooks and casts: progress, cost with its source, time to go, reasons of failures."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cauldron.domain.errors import CauldronError
from cauldron.domain.estimate import Run
from cauldron.domain.summary import cast_summary, cook_summary
from cauldron.ports.storage import Doc
from cauldron.services.cooking import Cooking
from cauldron.services.past_cooks import past_cooks
from cauldron.services.recipes import Recipes

SAMPLE = 200  # pieces looked at


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

    async def _past(self, parent: Mapping[str, Any]) -> list[tuple[Run, Run]]:
        """Ended cooks of the owner with the same generator, newest first."""
        store, generator = self.cooking.store, parent["generator"]
        found = await past_cooks(store, owner=parent["owner"], generator=generator)
        return [(each.seconds, each.usd) for each in found]
