"""SpellStats: what runs of each tool and spell took, refreshed every quarter of an hour and on demand.

One process at a time refreshes, under a lease. It reads the latest runs of one tool or
spell after the other, so that memory is bounded by one window.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import structlog

from cauldron.domain.spell_stats import WINDOW, spell_stats, tool_stats
from cauldron.domain.times import iso
from cauldron.persistence.leases import Leases
from cauldron.ports.storage import Compare, Doc, Put, Store, Table
from cauldron.ports.system import Clock
from cauldron.services.outliving import outliving

log = structlog.get_logger("cauldron.stats")
STATS = "spell_stats"
TABLES: tuple[Table, ...] = (Table(name=STATS),)
LEASE = "spell-stats"
EVERY_MS = 15 * 60 * 1000
LOOK_S = 5.0  # between two looks whether it is time
CURSOR = "refreshed"  # the document that says when everything was refreshed last
READ = 2 * WINDOW  # runs read of one tool: cached ones among them do not count
AT_ONCE = 50  # documents written together


@dataclass(slots=True)
class SpellStats:
    """The statistics of one store."""

    store: Store
    leases: Leases
    clock: Clock
    environment: str = "live"  # runs of others do not count
    every_ms: int = EVERY_MS
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def run(self) -> None:
        """Refresh when it is time, whenever the lease can be had, until cancelled."""
        while True:
            with outliving(log, "statistics not refreshed: trying again"):
                if await self._is_due() and await self.leases.acquire(LEASE):
                    try:
                        await self.refresh()
                    finally:  # a store that is left must not look as if it were in use
                        await self.leases.release(LEASE)
            await asyncio.sleep(LOOK_S)

    async def _is_due(self) -> bool:
        [last] = await self.store.get(STATS, [CURSOR])
        return last is None or abs(self.clock() - last["at"]) >= self.every_ms

    async def refresh(self) -> int:
        """Work out everything anew; returns how many tools and spells."""
        started, count = self.clock(), 0
        async for docs in self._all():
            await self.store.commit([Put(STATS, doc, None) for doc in docs], atomic=False)
            count += len(docs)
            await self.leases.acquire(LEASE)
        await self.store.commit([Put(STATS, {"_id": CURSOR, "at": started, "documents": count}, None)])
        log.info("statistics refreshed", documents=count, duration_ms=self.clock() - started)
        return count

    async def _all(self) -> AsyncIterator[list[Doc]]:
        page: list[Doc] = []
        async for name in self._names("generationOutputs", "toolDisplayName", "-requestTimestamp"):
            page += await self._tools(name)
            if len(page) >= AT_ONCE:
                yield page
                page = []
        async for spell_id in self._names("casts", "spellId", "-startedAt"):
            page.append(await self._spell(spell_id))
            if len(page) >= AT_ONCE:
                yield page
                page = []
        if page:
            yield page

    async def _names(self, table: str, by: str, then: str) -> AsyncIterator[str]:
        """Every value of the first field of an index, by one look-up each."""
        after = ""
        while True:
            found = await self.store.find(table, {by: Compare(">", after)}, order=(by, then), limit=1)
            if not found or not isinstance(found[0][by], str):
                return
            after = found[0][by]
            yield after

    async def _tools(self, name: str) -> list[Doc]:
        """One document per version of the tools that are shown by this name."""
        where, order = {"toolDisplayName": name}, ("toolDisplayName", "-requestTimestamp")
        found = await self.store.find("generationOutputs", where, order=order, limit=READ)
        versions: dict[tuple[str, str], list[Doc]] = {}
        for output in found:
            if output.get("environment", "live") == self.environment:
                versions.setdefault((output["toolId"], output["toolVersion"]), []).append(output)
        return [
            self._document(
                f"tool:{tool}@{version}", {"toolId": tool, "toolVersion": version}, tool_stats(runs)
            )
            for (tool, version), runs in versions.items()
        ]

    async def _spell(self, spell_id: str) -> Doc:
        where, order = {"spellId": spell_id}, ("spellId", "-startedAt")
        found = await self.store.find("casts", where, order=order, limit=WINDOW)
        mine = [cast for cast in found if cast.get("environment", "live") == self.environment]
        return self._document(f"spell:{spell_id}", {"spellId": spell_id}, spell_stats(mine))

    def _document(self, doc_id: str, of: dict[str, str], stats: dict[str, Any]) -> Doc:
        return {"_id": doc_id, **of, **stats, "window": WINDOW, "statsAsOf": iso(self.clock())}

    async def invalidate(self, spell_id: str | None = None) -> int:
        """Work out one spell, or everything, now instead of later; returns how many were.

        For webhooks and people: the caller waits for fresh figures. Many who ask for everything
        at once share what begins after they asked.
        """
        if spell_id is None:
            asked = self.clock()
            async with self._turn:
                [last] = await self.store.get(STATS, [CURSOR])
                fresh = last is not None and last["at"] > asked
                return int(last["documents"]) if fresh and last else await self.refresh()
        await self.store.commit([Put(STATS, await self._spell(spell_id), None)])
        return 1

    async def spell(self, spell_id: str) -> Doc:
        """The statistics of a spell; worked out now if they never were. Cheap: one read by id."""
        [kept] = await self.store.get(STATS, [f"spell:{spell_id}"])
        if kept is None:
            await self.invalidate(spell_id)
            [kept] = await self.store.get(STATS, [f"spell:{spell_id}"])
        return {key: value for key, value in (kept or {}).items() if not key.startswith("_")}

    async def tool(self, tool_id: str, version: str) -> Doc | None:
        """The statistics of a tool version; None before its first run was counted."""
        [kept] = await self.store.get(STATS, [f"tool:{tool_id}@{version}"])
        return kept
