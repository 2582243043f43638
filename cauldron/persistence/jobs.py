"""The job queue over the kernel: claims, leases, settling; a job ends in one way only.

A job is ``queued``, ``running`` under a lease, ``waiting`` for an instant or a
remote run, ``held`` while its parent is paused, ``settled`` with its result until
the parent's owner has folded it, then ``done`` or ``failed``. Instants are
milliseconds since 1970 UTC.

A paused parent has a closed *gate*. Whatever puts a job back into the queue (a
retry, a lost worker, a late owner), a claim looks at the gate after it has taken
the job and before anybody runs it: behind a closed gate nothing starts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cauldron.domain.errors import StaleVersion
from cauldron.persistence.tables import GATES, NOT_STARTED
from cauldron.ports.storage import Claim, Compare, Doc, Insert, Op, Patch, Store

MAX_LOST = 3  # leases that a job may lose before it is given up as poison
MOVED = 5_000  # jobs moved at a time
Outcome = Exception | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to work on what was claimed under it, until a worker stops beating."""

    id: str  # 128 random bits: never reissued, so a late holder is always recognised
    worker: str  # session of the worker process


class JobStore:
    """One queue."""

    def __init__(self, store: Store, table: str, *, max_lost: int = MAX_LOST) -> None:
        self.store = store
        self.table = table
        self._max_lost = max_lost

    async def enqueue(self, jobs: Sequence[Doc]) -> None:
        """Add jobs; those whose ``_id`` exists already are left as they are."""
        await self.store.commit([Insert(self.table, job) for job in jobs], atomic=False)

    async def claim(self, lease: Lease, *, limit: int, now: int) -> list[Doc]:
        """Take up to ``limit`` queued jobs, lowest ``rank`` first; none behind a closed gate."""
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
        return await self._admitted(await self.store.claim(claim), lease, now)

    async def _admitted(self, jobs: list[Doc], lease: Lease, now: int) -> list[Doc]:
        """The claimed jobs whose gates are open; the others are held again, not run."""
        parents = sorted({job["parent"] for job in jobs})
        closed = await self._closed(parents)
        if not closed:
            return jobs
        body = {"status": "held", "leaseId": None, "worker": None, "updatedAt": now}
        back = [job["_id"] for job in jobs if job["parent"] in closed]
        await self.store.commit([self._fenced(job, lease, body) for job in back], atomic=False)
        for parent in closed - await self._closed(sorted(closed)):  # opened since: nobody else saw these
            await self._move(parent, ("held",), "queued", now=now)
        return [job for job in jobs if job["parent"] not in closed]

    async def _closed(self, parents: Sequence[str]) -> set[str]:
        gates = await self.store.get(GATES, parents) if parents else []
        return {gate["_id"] for gate in gates if gate is not None and gate["closed"]}

    async def settle(self, results: Mapping[str, Mapping[str, Any]], *, lease: Lease, now: int) -> list[str]:
        """End jobs held under ``lease``: ``{job id: result}``; returns the ids that were settled.

        An id that is missing from the answer had passed to another holder.
        """
        return await self.settle_each([(job, lease, result) for job, result in results.items()], now=now)

    async def settle_each(
        self, ends: Sequence[tuple[str, Lease, Mapping[str, Any]]], *, now: int
    ) -> list[str]:
        """The same for ``(job id, lease it is held under, result)``, in one write."""
        ops = [
            self._fenced(job, lease, {"status": "settled", "result": result, "updatedAt": now})
            for job, lease, result in ends
        ]
        return _done([job for job, _, _ in ends], await self.store.commit(ops, atomic=False))

    async def postpone(
        self, job: Doc, *, lease: Lease, until: int, changes: Mapping[str, Any], now: int
    ) -> bool:
        """Give a job back to run again at ``until`` (a retry, or a remote run to poll)."""
        body = {"status": "waiting", "runAt": until, "leaseId": None, "worker": None, "updatedAt": now}
        op = self._fenced(job["_id"], lease, body | dict(changes))
        return (await self.store.commit([op], atomic=False))[0] is None

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

    async def hold(self, parent: str, *, at: int, now: int) -> int:
        """Close a parent's gate: once this returns, none of its jobs starts.

        ``at`` is the ``seq`` of the parent's stream that says so. Gates move
        forward only: who speaks of an earlier ``seq`` changes nothing.
        """
        gate = {"_id": parent, "closed": True, "at": at}
        if await self._turn(gate, [Insert(GATES, gate)]):
            return await self._move(parent, ("queued", "waiting"), "held", now=now)
        return 0

    async def unhold(self, parent: str, *, at: int, now: int) -> int:
        """Open a parent's gate as of its ``seq`` ``at``; returns how many jobs may be claimed again."""
        if await self._turn({"_id": parent, "closed": False, "at": at}, []):
            return await self._move(parent, ("held",), "queued", now=now)
        return 0

    async def _turn(self, gate: Doc, first: list[Op]) -> bool:
        """Whether the gate stands as wanted now."""
        changes = {"closed": gate["closed"], "at": gate["at"]}
        turn = Patch(GATES, gate["_id"], changes, {"at": Compare("<", gate["at"])})
        await self.store.commit([*first, turn], atomic=False)
        return (gate["_id"] in await self._closed([gate["_id"]])) is gate["closed"]

    async def free_stray(self, *, now: int) -> int:
        """Queue what is still held behind an open gate, because its holder died or was late."""
        freed, parent = 0, ""
        while True:
            where = {"status": "held", "parent": Compare(">", parent)}
            found = await self.store.find(self.table, where, order=("parent",), limit=1)
            if not found:
                return freed
            parent = found[0]["parent"]
            if not await self._closed([parent]):
                freed += await self._move(parent, ("held",), "queued", now=now)

    async def parents_settled(self, *, after: str = "") -> list[str]:
        """Parents that have settled jobs to fold."""
        parents: list[str] = []
        while True:
            where = {"status": "settled", "parent": Compare(">", after)}
            found = await self.store.find(self.table, where, order=("parent",), limit=1)
            if not found:
                return parents
            after = found[0]["parent"]
            parents.append(after)

    async def _move(self, parent: str, states: Sequence[str], to: str, *, now: int) -> int:
        moved, after = 0, None
        scope: str | tuple[str, ...] = "held" if states == ("held",) else NOT_STARTED
        where, body = {"status": scope, "parent": parent}, {"status": to, "updatedAt": now}
        while True:
            found = await self.store.find(self.table, where, order=("parent",), limit=MOVED, after=after)
            ops = [
                Patch(self.table, job["_id"], body, {"status": job["status"]})
                for job in found
                if job["status"] in states
            ]
            if ops:
                moved += sum(o is None for o in await self.store.commit(ops, atomic=False))
            if len(found) < MOVED:
                return moved
            after = (parent, found[-1]["_id"])

    async def put_back(self, jobs: Sequence[Doc], *, now: int) -> None:
        """Hold settled jobs that were not at fault, behind the gate that their parent has closed.

        What they did so far becomes history.
        """
        ops = [
            Patch(
                self.table,
                job["_id"],
                {
                    "status": "held",
                    "result": None,
                    "history": [*(job.get("history") or ()), *(job["result"].get("steps") or ())][-20:],
                    "blocked": 0,
                    "updatedAt": now,
                },
                {"status": "settled"},
            )
            for job in jobs
        ]
        await self.store.commit(ops, atomic=False)

    async def drop(self, job: str, *, now: int) -> bool:
        """End a job that nobody has begun; False when it runs or has ended."""
        op = Patch(self.table, job, {"status": "done", "updatedAt": now}, {"status": NOT_STARTED})
        return (await self.store.commit([op], atomic=False))[0] is None

    async def wake_due(self, *, now: int, limit: int = 500) -> int:
        """Put waiting jobs whose instant has come back into the queue."""
        due = await self.store.find(
            self.table, {"status": "waiting", "runAt": Compare("<=", now)}, order=("runAt",), limit=limit
        )
        ops = [
            Patch(
                self.table,
                job["_id"],
                {"status": "queued", "updatedAt": now},
                {"status": "waiting", "runAt": job["runAt"]},
            )
            for job in due
        ]
        return sum(o is None for o in await self.store.commit(ops, atomic=False)) if ops else 0

    async def reap(self, worker: str, *, now: int, lost: bool = True) -> int:
        """Take back what a worker held. A ``lost`` one died with it: jobs lost too often end as poison."""
        held = await self.store.find(
            self.table, {"status": "running", "worker": worker}, order=("worker",), limit=MOVED
        )
        ops = [
            Patch(self.table, job["_id"], self._taken_back(job, now, lost), _same_lease(job)) for job in held
        ]
        return sum(o is None for o in await self.store.commit(ops, atomic=False)) if ops else 0

    def _taken_back(self, job: Doc, now: int, lost: bool) -> dict[str, Any]:
        times = job.get("lost", 0) + lost
        body = {"leaseId": None, "worker": None, "lost": times, "updatedAt": now}
        if not lost or times < self._max_lost:
            return body | {"status": "queued"}
        error = {"code": "worker_lost", "message": f"the worker died {times} times while it made this"}
        return body | {"status": "settled", "result": {"status": "failed", "error": error, "steps": []}}

    async def get(self, job: str) -> Doc | None:
        """A job by id."""
        return (await self.store.get(self.table, [job]))[0]

    async def extend(self, job: Doc, *, lease: Lease, changes: Mapping[str, Any]) -> bool:
        """Write a checkpoint (a remote run id, progress) into a job still held.

        Returns False when the lease is lost.
        """
        outcome = await self.store.commit([self._fenced(job["_id"], lease, changes)], atomic=False)
        return not isinstance(outcome[0], StaleVersion)


def _same_lease(job: Doc) -> dict[str, Any]:
    return {"status": "running", "leaseId": job["leaseId"]}


def _done(ids: Sequence[str], outcomes: Sequence[Outcome]) -> list[str]:
    return [job for job, outcome in zip(ids, outcomes, strict=True) if outcome is None]
