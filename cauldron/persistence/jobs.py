"""The job queue over the kernel: claims, leases, settling; a job ends in one way only.

A job is ``queued``, ``running`` under a lease, ``waiting`` for an instant or a
remote run, ``held`` while its parent is paused, ``settled`` with its result until
the parent's owner has folded it, then ``done`` or ``failed``. Instants are
milliseconds since 1970 UTC.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cauldron.domain.errors import StaleVersion
from cauldron.persistence.tables import NOT_STARTED
from cauldron.ports.storage import Claim, Compare, Doc, Insert, Op, Patch, Store

MAX_DELIVERIES = 3  # leases that may be lost before a job is given up as poison
Outcome = Exception | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to work on what was claimed under it, until a worker stops beating."""

    id: str  # 128 random bits: never reissued, so a late holder is always recognised
    worker: str  # session of the worker process


class JobStore:
    """One queue."""

    def __init__(self, store: Store, table: str) -> None:
        self.store = store
        self.table = table

    async def enqueue(self, jobs: Sequence[Doc]) -> None:
        """Add jobs; those whose ``_id`` exists already are left as they are."""
        await self.store.commit([Insert(self.table, job) for job in jobs], atomic=False)

    async def claim(self, lease: Lease, *, limit: int, now: int) -> list[Doc]:
        """Take up to ``limit`` queued jobs, lowest ``rank`` first."""
        taken = {
            "status": "running",
            "leaseId": lease.id,
            "worker": lease.worker,
            "startedAt": now,
            "updatedAt": now,
        }
        claim = Claim(
            table=self.table,
            where={"status": "queued"},
            order=("rank",),
            set=taken,
            limit=limit,
            increment=("deliveries",),
        )
        return await self.store.claim(claim)

    async def settle(self, results: Mapping[str, Mapping[str, Any]], *, lease: Lease, now: int) -> list[str]:
        """End jobs held under ``lease``: ``{job id: result}``; returns the ids that were settled.

        An id that is missing from the answer had passed to another holder.
        """
        ops = [
            self._fenced(job, lease, {"status": "settled", "result": result, "updatedAt": now})
            for job, result in results.items()
        ]
        return _done(list(results), await self.store.commit(ops, atomic=False))

    async def postpone(
        self, job: Doc, *, lease: Lease, until: int, changes: Mapping[str, Any], now: int
    ) -> bool:
        """Give a job back to run again at ``until`` (a retry, or a remote run to poll)."""
        body = {"status": "waiting", "runAt": until, "leaseId": None, "worker": None, "updatedAt": now}
        op = self._fenced(job["_id"], lease, body | dict(changes))
        return (await self.store.commit([op], atomic=False))[0] is None

    async def give_back(self, jobs: Sequence[str], *, lease: Lease, now: int) -> None:
        """Return unstarted jobs to the queue, as when a worker drains."""
        body = {"status": "queued", "leaseId": None, "worker": None, "updatedAt": now}
        ops: list[Op] = [self._fenced(job, lease, body) for job in jobs]
        await self.store.commit(ops, atomic=False)

    def _fenced(self, job: str, lease: Lease, changes: Mapping[str, Any]) -> Patch:
        return Patch(self.table, job, changes, {"status": "running", "leaseId": lease.id})

    async def settled(self, parent: str, *, limit: int) -> list[Doc]:
        """Settled jobs of a parent that wait to be folded, by id."""
        return await self.store.find(
            self.table, {"status": "settled", "parent": parent}, order=("parent",), limit=limit
        )

    async def finish(self, jobs: Sequence[tuple[str, bool]], *, now: int) -> None:
        """After folding: ``(id, succeeded)`` become done or failed (dead letters); results go."""
        ops = [
            Patch(
                self.table,
                job,
                {"status": "done" if ok else "failed", "result": None, "updatedAt": now},
                {"status": "settled"},
            )
            for job, ok in jobs
        ]
        await self.store.commit(ops, atomic=False)

    async def hold(self, parent: str, *, now: int) -> int:
        """Keep a paused parent's jobs out of every claim."""
        return await self._move(parent, ("queued", "waiting"), {"status": "held", "updatedAt": now})

    async def unhold(self, parent: str, *, now: int) -> int:
        """Let a resumed parent's jobs be claimed again."""
        return await self._move(parent, ("held",), {"status": "queued", "updatedAt": now})

    async def _move(self, parent: str, states: Sequence[str], changes: Mapping[str, Any]) -> int:
        moved = 0
        while True:
            where = {"status": NOT_STARTED, "parent": parent}
            found = await self.store.find(self.table, where, order=("parent",), limit=5000)
            ops = [
                Patch(self.table, job["_id"], changes, {"status": job["status"]})
                for job in found
                if job["status"] in states
            ]
            if not ops:
                return moved
            moved += sum(o is None for o in await self.store.commit(ops, atomic=False))

    async def wake_due(self, *, now: int, limit: int = 500) -> int:
        """Put waiting jobs whose instant has come back into the queue."""
        due = await self.store.find(
            self.table, {"status": "waiting", "runAt": Compare("<=", now)}, order=("runAt",), limit=limit
        )
        ops = [
            Patch(self.table, job["_id"], {"status": "queued", "updatedAt": now}, {"status": "waiting"})
            for job in due
        ]
        return sum(o is None for o in await self.store.commit(ops, atomic=False)) if ops else 0

    async def reap(self, worker: str, *, now: int) -> int:
        """Take back what a lost worker held; jobs lost too often end as poison."""
        held = await self.store.find(
            self.table, {"status": "running", "worker": worker}, order=("worker",), limit=5000
        )
        ops = [Patch(self.table, job["_id"], _taken_back(job, now), _same_lease(job)) for job in held]
        return sum(o is None for o in await self.store.commit(ops, atomic=False)) if ops else 0

    async def get(self, job: str) -> Doc | None:
        """A job by id."""
        return (await self.store.get(self.table, [job]))[0]

    async def extend(self, job: Doc, *, lease: Lease, changes: Mapping[str, Any]) -> bool:
        """Write a checkpoint (a remote run id, progress) into a job still held.

        Returns False when the lease is lost.
        """
        outcome = await self.store.commit([self._fenced(job["_id"], lease, changes)], atomic=False)
        return not isinstance(outcome[0], StaleVersion)


def _taken_back(job: Doc, now: int) -> dict[str, Any]:
    body: dict[str, Any] = {"leaseId": None, "worker": None, "updatedAt": now}
    if job.get("deliveries", 0) < MAX_DELIVERIES:
        return body | {"status": "queued"}
    error = {
        "code": "worker_lost",
        "message": f"the worker died {job['deliveries']} times while making this piece",
    }
    history = job.get("history") or []
    return body | {"status": "settled", "result": {"status": "failed", "error": error, "steps": history}}


def _same_lease(job: Doc) -> dict[str, Any]:
    return {"status": "running", "leaseId": job["leaseId"]}


def _done(ids: Sequence[str], outcomes: Sequence[Outcome]) -> list[str]:
    return [job for job, outcome in zip(ids, outcomes, strict=True) if outcome is None]
