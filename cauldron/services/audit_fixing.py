"""What an audit can put right by itself: each rule apart, counted before it is done."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cauldron.domain.audit import BY_NAME, Tally, delivery_stuck, lingering_cast, lingering_output
from cauldron.domain.codec import commit_id
from cauldron.domain.commands import EndCast
from cauldron.domain.errors import Invalid
from cauldron.domain.times import iso
from cauldron.persistence.tables import CAST_EVENTS
from cauldron.ports.storage import Doc, Patch, Store
from cauldron.ports.system import Clock
from cauldron.services.audit_streams import CastCheck, differing_cooks
from cauldron.services.auditing import pages
from cauldron.services.casting import Casting, stream_of
from cauldron.services.rebuilding import Findings, Rebuilding

ACTOR = "system"
ALIVE = frozenset({"queued", "running", "waiting", "settled", "held"})  # jobs that still end by themselves
LOST = {"code": "timeout", "message": "no end was recorded within a day"}
Strays = Callable[..., Awaitable[int]]  # (apply=…) -> records


@dataclass(slots=True)
class Fixing:
    """Repairs of one store. ``strays`` removes the records of tests."""

    store: Store
    rebuilding: Rebuilding
    casting: Casting
    clock: Clock
    strays: Strays

    async def plan(self, rule: str) -> dict[str, Any]:
        """What would be done: ``{rule, action, records, done: False}``. Raises Invalid."""
        return await self._run(rule, apply=False)

    async def carry_out(self, rule: str) -> dict[str, Any]:
        """Do it; ``records`` is how many were put right. Doing it twice does no more."""
        return await self._run(rule, apply=True)

    async def _run(self, rule: str, *, apply: bool) -> dict[str, Any]:
        steps: Mapping[str, Callable[[bool], Awaitable[int]]] = {
            "lingering-outputs": self._outputs,
            "lingering-casts": self._casts,
            "deliveries-stuck": self._deliveries,
            "projections": self._projections,
            "test-records": self._strays,
        }
        if rule not in steps:
            known = "has no repair" if rule in BY_NAME else "is no rule"
            raise Invalid(f"{rule!r} {known}; there are repairs for {', '.join(steps)}", path="fix")
        records = await steps[rule](apply)
        return {"rule": rule, "action": ACTIONS[rule], "records": records, "done": apply}

    async def _outputs(self, apply: bool) -> int:
        """Executions that never ended become time-outs; nothing is run again."""
        now, found = self.clock(), 0
        async for page in pages(self.store, "generationOutputs"):
            lost = [doc for doc in page if lingering_output(doc, now)]
            ops = [
                Patch(
                    "generationOutputs",
                    doc["_id"],
                    {"status": "timeout", "statusReason": LOST["code"], "error": LOST},
                    {"status": doc["status"]},
                )
                for doc in lost
            ]
            found += await self._commit(ops) if apply else len(ops)
        return found

    async def _casts(self, apply: bool) -> int:
        """Casts that nobody works on any more fail, by the command that ends every cast."""
        found = 0
        async for page in pages(self.store, "casts"):
            for doc in page:
                if lingering_cast(doc, self.clock()) and await self._is_lost(doc):
                    found += 1
                    if apply:
                        await self._end(doc)
        return found

    async def _is_lost(self, doc: Doc) -> bool:
        [first] = await self.store.get(CAST_EVENTS, [commit_id(stream_of(doc["_id"]), 1)])
        job = await self.casting.jobs.get(doc["_id"])
        return first is not None and (job is None or job["status"] not in ALIVE)

    async def _end(self, doc: Doc) -> None:
        end = EndCast(key=f"end:{doc['_id']}", status="failed", steps=[], outputs={}, error=LOST)
        await self.casting.casts.handle(stream_of(doc["_id"]), end, actor=ACTOR)
        await self.casting.project(doc["_id"])

    async def _deliveries(self, apply: bool) -> int:
        """What was owed for more than a day is dropped, never sent late; what nobody is owed is skipped."""
        now, found = self.clock(), 0
        async for page in pages(self.store, "generationOutputs"):
            ops = [
                Patch("generationOutputs", doc["_id"], _undelivered(doc, now), {"deliveryStatus": "pending"})
                for doc in page
                if delivery_stuck(doc, now)
            ]
            found += await self._commit(ops) if apply else len(ops)
        return found

    async def _projections(self, apply: bool) -> int:
        """Read models that differ are written anew from their streams."""
        tally = Tally(BY_NAME["projections"])
        async for cook_id, findings in differing_cooks(self.store, self.rebuilding, tally):
            if findings.differing and apply:
                await self.rebuilding.rewrite(cook_id, Findings())
        casts = CastCheck(self.store, self.clock())
        async for differing in casts.run(tally):
            for table, doc in differing if apply else ():
                await casts.put(table, doc)
        return tally.found

    async def _strays(self, apply: bool) -> int:
        return await self.strays(apply=apply)

    async def _commit(self, ops: list[Patch]) -> int:
        return sum(outcome is None for outcome in await self.store.commit(ops, atomic=False)) if ops else 0


ACTIONS: Mapping[str, str] = {
    "lingering-outputs": "record as timed out; nothing is run again",
    "lingering-casts": "end as failed those that no job works on",
    "deliveries-stuck": "drop what is owed for more than a day, skip what nobody is owed",
    "projections": "write the read models anew from the event log",
    "test-records": "remove records and streams of tests",
}


def _undelivered(doc: Doc, now: int) -> dict[str, Any]:
    if doc["notificationPlatform"] == "none":
        return {"deliveryStatus": "skipped"}
    error = f"dropped by the audit of {iso(now)}: pending for more than a day"
    return {"deliveryStatus": "dropped", "deliveryError": error}
