"""Metrics of what happens in the store, whichever process does it: from the log, and a look at the queues."""

import asyncio
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from cauldron.domain import codec
from cauldron.persistence.jobs import JobStore
from cauldron.persistence.ledger_tables import LEDGER
from cauldron.persistence.streams import Commit
from cauldron.persistence.tables import CAST_EVENTS, COOK_EVENTS
from cauldron.ports.measuring import Metrics
from cauldron.ports.storage import Store
from cauldron.ports.system import Clock
from cauldron.services.outliving import outliving

log = structlog.get_logger("cauldron.measuring")
MOST_COUNTED = 10_000  # jobs per queue and status
PAGE = 1_000
KEPT_CASTS = 10_000  # whose start is remembered until they end
STATUSES: Mapping[str, str] = {"queued": "rank", "running": "worker", "waiting": "runAt", "held": "parent"}
CAST_ENDS = {"CastCompleted": "completed", "CastFailed": "failed", "CastCancelled": "cancelled"}
PIECE_ENDS = {"PieceGenerated": "generated", "GenerationFailed": "failed"}
FOLLOWED = (COOK_EVENTS, CAST_EVENTS, LEDGER)
OWN = "metrics"  # the name of this follower
CODE = re.compile(r"[a-z0-9_]{1,60}")
MOST_CODES = 50  # of errors that are told apart


@dataclass(slots=True, kw_only=True)
class Measuring:
    """Follows the logs of cooks and casts from now on, and looks around when somebody reads the metrics."""

    store: Store
    tables: Sequence[str]  # of events
    queues: Sequence[JobStore]
    metrics: Metrics
    clock: Clock
    lost: Callable[[], int]  # leases lost in this process, so far
    _heads: dict[str, int] = field(default_factory=dict)  # table -> instant of its newest commit
    _casts: OrderedDict[str, int] = field(default_factory=OrderedDict)  # stream -> start
    _codes: set[str] = field(default_factory=set)
    _lost: int = 0

    async def run(self) -> None:
        """Follow until cancelled."""
        async with asyncio.TaskGroup() as group:
            for table in self.tables:
                group.create_task(self._follow(table))

    async def _follow(self, table: str) -> None:
        while True:
            with outliving(log, "commits not counted: trying again", table=table):
                async for _, commit in self.store.watch(table):
                    if commit is not None:
                        self.absorb(table, codec.unpack(commit))
            await asyncio.sleep(1.0)

    def absorb(self, table: str, commit: Commit) -> None:
        """Count what a commit tells."""
        self._heads[table] = max(commit["ts"], self._heads.get(table, 0))
        self.metrics.set(
            "cauldron_follower_lag_seconds", max(0, self.clock() - commit["ts"]) / 1000, follower=OWN
        )
        for event in commit["events"]:
            kind, data = event["type"], event["data"]
            told = data.get("told", 0)  # the others were counted before
            for index, step in enumerate((data.get("steps") or ())[told:], told):
                self._count_step(step)
                if step["status"] != "success":
                    _tell_of_failure(step, commit["stream"], data, index)
            if table == LEDGER:
                self._count_entry(kind, data)
            if kind in PIECE_ENDS:
                self.metrics.add("cauldron_pieces_total", outcome=PIECE_ENDS[kind])
            elif kind == "CastStarted":
                self._casts[commit["stream"]] = commit["ts"]
                if len(self._casts) > KEPT_CASTS:
                    self._casts.popitem(last=False)
            elif kind in CAST_ENDS:
                self._count_cast(CAST_ENDS[kind], commit)
                if kind == "CastFailed":
                    self._count_error((data.get("error") or {}).get("code", ""))

    def _count_step(self, step: Mapping[str, Any]) -> None:
        outcome = "cached" if step.get("cached") else str(step["status"])
        tool = str(step["toolId"])
        self.metrics.add("cauldron_executions_total", tool=tool, outcome=outcome)
        self.metrics.add(
            "cauldron_cost_usd_total", step["costMicroUsd"] / 1e6, source=str(step["costSource"])
        )
        if outcome != "cached":
            self.metrics.observe(
                "cauldron_run_duration_seconds", max(0, step["endMs"] - step["startMs"]) / 1000, tool=tool
            )

    def _count_entry(self, kind: str, data: Mapping[str, Any]) -> None:
        moved = sum(milli for _, milli in data.get("legs") or () if milli > 0)
        self.metrics.add("cauldron_ledger_entries_total", kind=kind)
        self.metrics.add("cauldron_ledger_points_total", moved / 1000, kind=kind)

    def _count_cast(self, outcome: str, commit: Commit) -> None:
        self.metrics.add("cauldron_casts_total", outcome=outcome)
        start = self._casts.pop(commit["stream"], None)
        if start is not None:
            seconds = max(0, commit["ts"] - start) / 1000
            self.metrics.observe("cauldron_cast_duration_seconds", seconds, outcome=outcome)

    def _count_error(self, code: str) -> None:
        """By code, of which tools may invent any number."""
        if code not in self._codes and (len(self._codes) >= MOST_CODES or not CODE.fullmatch(code)):
            code = "other"
        self._codes.add(code)
        self.metrics.add("cauldron_cast_errors_total", code=code)

    async def look(self) -> None:
        """Bring the gauges up to date: queues, cooks, workers, followers."""
        lost = self.lost()
        self.metrics.add("cauldron_leases_lost_total", max(0, lost - self._lost))
        self._lost = max(lost, self._lost)
        for queue in self.queues:
            await self._look_at(queue)
        for state in ("Cooking", "Paused"):
            cooks = await self.store.find("cook_status", {"state": state}, order=("state",), limit=PAGE)
            self.metrics.set("cauldron_cooks", len(cooks), state=state)
        workers = await self.store.find("workers", {}, limit=PAGE)
        self.metrics.set("cauldron_workers", sum(row["until"] >= self.clock() for row in workers))
        await self._look_at_followers()

    async def _look_at(self, queue: JobStore) -> None:
        now = self.clock()
        oldest = now
        for status, order in STATUSES.items():
            count, after = 0, None
            while count < MOST_COUNTED:
                jobs = await self.store.find(
                    queue.table, {"status": status}, order=(order,), limit=PAGE, after=after
                )
                count += len(jobs)
                if status == "queued":
                    oldest = min([oldest, *(job["createdAt"] for job in jobs)])
                if len(jobs) < PAGE:
                    break
                after = (jobs[-1][order], jobs[-1]["_id"])
            self.metrics.set("cauldron_queue_jobs", count, queue=queue.table, status=status)
        self.metrics.set("cauldron_queue_oldest_seconds", (now - oldest) / 1000, queue=queue.table)

    async def _look_at_followers(self) -> None:
        """A follower's lag: from the newest commit it has handled to the newest there is."""
        for row in await self.store.find("cursors", {}, limit=PAGE):
            if "at" in row and "table" in row:
                behind = max(0, self._heads.get(row["table"], 0) - row["at"])
                self.metrics.set("cauldron_follower_lag_seconds", behind / 1000, follower=row["_id"])


def _tell_of_failure(step: Mapping[str, Any], stream: str, data: Mapping[str, Any], index: int) -> None:
    """One line for an execution that failed, under the ids of its records; never what it was given."""
    kind, _, name = stream.partition(":")
    piece, attempt = data.get("piece"), step.get("attempt", data.get("attempt", 1))
    ids = {"cook_id": name, "piece": piece} if kind == "cook" else {"cast_id": name}
    place = f"{name}.{piece}.{attempt}.{index}" if kind == "cook" else f"{name}.{attempt}.{index}"
    code = (step.get("error") or {}).get("code")
    log.info("generation failed", **ids, generation_id=place, tool=step["toolId"], code=code)
