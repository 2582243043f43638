"""Bringing the earlier system's records over: parents know their parts, and money is counted once.

The order is always the same: a run that was killed maps again what it had written,
without writing it, and goes on from its checkpoint.
"""

import gc
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cauldron.domain.hashing import content_hash
from cauldron.domain.legacy.mapping import Setting
from cauldron.domain.legacy.values import Doc
from cauldron.domain.times import iso
from cauldron.persistence.schema import MIGRATIONS
from cauldron.ports.legacy import Decode, LegacySource
from cauldron.ports.storage import Store
from cauldron.ports.system import Clock
from cauldron.services.migrating_blocks import QUIET_GC, Blocks
from cauldron.services.migrating_notebook import Notebook
from cauldron.services.migrating_parents import Parents
from cauldron.services.migrating_paused import Pausing
from cauldron.services.migrating_phases import Phases, Tell
from cauldron.services.migrating_report import Report
from cauldron.services.migrating_survey import Survey
from cauldron.services.migrating_writing import CHECKPOINT, Writer, Written


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """How to migrate. ``cutoff_ms`` None: deliveries are owed by nothing that is there now."""

    apply: bool = False
    cutoff_ms: int | None = None
    environment: str = "live"
    accounts: Mapping[str, str] = field(default_factory=dict)
    tools: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    processes: int = 0


@dataclass(slots=True)
class Migrating:
    """One migration, or its rehearsal."""

    source: LegacySource
    decode: Decode
    store: Store
    scratch: Store
    clock: Clock
    report: Report
    tell: Tell = lambda documents: None
    notes: int = 8_000  # parents whose notes stay in memory
    checkpoint_every: int = CHECKPOINT  # documents
    pausing: Pausing | None = None  # without it what was cooking stays a record

    async def run(self, wanted: Wanted) -> dict[str, Any]:
        """Map everything; with ``apply`` write it.

        Returns:
            Counts per rule, samples, totals, and what was written.

        Raises:
            Refused: the source holds nothing of the earlier system.
            Unavailable, StorageFull: stopped half-way; the same call goes on.
        """
        survey = Survey(self.source, self.decode)
        await survey.sort()
        self.report.not_read = survey.not_read
        checkpoint, careful = await self._checkpoint(survey, wanted)
        setting = await _setting(checkpoint, survey, wanted)
        parents = Parents(Notebook(self.scratch, most=self.notes), setting)
        await survey.look(parents)
        writer = None
        if wanted.apply:
            writer = Writer(self.store, checkpoint, careful=careful, every=self.checkpoint_every)
        blocks = Blocks(self.decode, setting, processes=wanted.processes, records=wanted.apply)
        phases = Phases(survey, self.report, self.tell, parents, writer, setting, blocks)
        thresholds = gc.get_threshold()
        gc.set_threshold(*QUIET_GC)
        try:
            for phase in (phases.executions, phases.casts, phases.cooks, phases.definitions, phases.history):
                await phase()
        finally:
            gc.set_threshold(*thresholds)
            blocks.close()
        self.report.cost_micro_usd = parents.cost_micro_usd
        summary = self.report.summary(list(self.source.faults))
        if writer is None:
            return {"applied": False, **summary}
        await writer.save()
        summary["paused"] = await self._paused(phases)
        await writer.finish(_short(summary, writer.written), now=iso(self.clock()))
        return {"applied": True, "written": _written(writer.written), **summary}

    async def _paused(self, phases: Phases) -> list[dict[str, Any]]:
        """Paused cooks of what was cooking, once the collections are there."""
        if self.pausing is None:
            return []
        return [await self.pausing.keep(known, made=made) for known, made in phases.paused]

    async def _checkpoint(self, survey: Survey, wanted: Wanted) -> tuple[Doc, bool]:
        """The migration's record, and whether some of it may have been written before."""
        known = survey.known()
        renamed = [dict(each) for each in (wanted.accounts, wanted.tools, wanted.inputs)]
        name = f"legacy:{content_hash([known, *renamed])[:16]}"
        now = self.clock()
        fresh: Doc = {
            "_id": name,
            "schemaVersion": 2,
            "kind": "legacy",
            "status": "running",
            "documents": 0,
            "nowMs": now,
            "cutoffMs": now if wanted.cutoff_ms is None else wanted.cutoff_ms,
            "environment": wanted.environment,
            "parts": [each for each, _ in known],
            "startedAt": iso(now),
        }
        if not wanted.apply:
            return fresh, False
        [earlier] = await self.store.get(MIGRATIONS, [name])
        others = await self.store.find(MIGRATIONS, {}, limit=1)
        if earlier is None or earlier["status"] == "done":
            return fresh, bool(others)
        earlier.pop("_v")
        return earlier, True


async def _setting(checkpoint: Doc, survey: Survey, wanted: Wanted) -> Setting:
    """What the mappers are told."""
    return Setting(
        now_ms=checkpoint["nowMs"],
        cutoff_ms=checkpoint["cutoffMs"],
        environment=checkpoint["environment"],
        accounts=dict(wanted.accounts),
        tool_names=await survey.tool_names(),
        tool_ids=dict(wanted.tools),
        inputs=dict(wanted.inputs),
    )


def _written(written: Written) -> dict[str, Any]:
    return {
        "inserted": written.inserted,
        "existed": written.existed,
        "corrected": written.corrected,
        "refused": written.refused,
        "refusedCount": written.refused_count,
    }


def _short(summary: dict[str, Any], written: Written) -> dict[str, Any]:
    """What stays in the migration's record."""
    kept = ("documents", "records", "setAside", "totals")
    return {key: summary[key] for key in kept} | {"written": _written(written)}
