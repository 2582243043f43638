"""What a run has done before: steps that ended and runs handed to providers, kept so that nothing is redone.

A piece's steps are noted in its job, under the lease; those of a stand-alone cast in
its stream, by command. Immediate deterministic steps are noted by neither: doing them
again gives the same, and noting them costs more than doing them.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from cauldron.domain.cast import Cast, CastState, place_of
from cauldron.domain.commands import RecordStep, SubmitStep
from cauldron.domain.errors import Refused
from cauldron.domain.events import Event, StepRecord
from cauldron.persistence.jobs import JobStore, Lease
from cauldron.ports.storage import Doc
from cauldron.services.casting import Casting, stream_of

FLUSH_S = 0.25  # between two notes of steps that need none, for those who watch
LOOK_S = 0.5  # between two looks whether a cast has been cancelled


class Gone(Refused):
    """The run belongs to another worker now, or has been ended from outside."""

    code = "run_ended"


@dataclass(slots=True)
class Past:
    """What is known of a job's steps when a worker begins it."""

    ended: dict[str, StepRecord] = field(default_factory=dict)  # step -> the record that counts
    tries: dict[str, int] = field(default_factory=dict)  # step -> times it failed
    submitted: dict[str, str] = field(default_factory=dict)  # step -> run id, "" when not known
    noted: list[StepRecord] = field(default_factory=list)  # records that the job's history has not


class Journal(Protocol):
    """Where the steps of one run are noted."""

    async def past(self) -> Past: ...

    async def submitted(self, step: str, run_id: str) -> None:
        """Note a step before it is handed to a provider, and again with the run id. Raises Gone."""
        ...

    async def ended(self, record: StepRecord, *, redo: bool) -> StepRecord:
        """Note the end of a step; the first note of a try counts, and is returned.

        ``redo`` says that it may as well be done again. Raises Gone.
        """
        ...

    async def check(self) -> None:
        """Raises Gone when the run has been cancelled."""
        ...


class NoJournal:
    """Notes nothing: everything is done again."""

    def __init__(self, job: Doc) -> None:
        self._job = job

    async def past(self) -> Past:
        """What earlier attempts left in the job."""
        return past_of(self._job, ())

    async def submitted(self, step: str, run_id: str) -> None:
        """Nothing."""

    async def ended(self, record: StepRecord, *, redo: bool) -> StepRecord:
        """The record itself."""
        return record

    async def check(self) -> None:
        """Nothing."""


class JobJournal(NoJournal):
    """Notes in the job document, fenced by the lease."""

    def __init__(self, job: Doc, jobs: JobStore) -> None:
        super().__init__(job)
        self._jobs = jobs
        kept = job.get("progress") or {}
        self._steps: list[StepRecord] = list(kept.get("steps") or ())
        self._runs: dict[str, dict[str, Any]] = dict(kept.get("runs") or {})

    async def past(self) -> Past:
        """What earlier attempts and earlier holders left in the job."""
        past = past_of(self._job, self._steps)
        attempt = self._job["attempt"]
        past.submitted = {s: run["runId"] for s, run in self._runs.items() if run["attempt"] == attempt}
        return past

    async def submitted(self, step: str, run_id: str) -> None:
        """Before the submit, and with the run id."""
        self._runs[step] = {"attempt": self._job["attempt"], "runId": run_id}
        await self._write()

    async def ended(self, record: StepRecord, *, redo: bool) -> StepRecord:
        """After the end of a step that must not be done twice."""
        if not redo:
            self._steps.append(record)
            await self._write()
        return record

    async def _write(self) -> None:
        lease = Lease(id=self._job["leaseId"], worker=self._job["worker"])
        progress = {"steps": list(self._steps), "runs": dict(self._runs)}
        if not await self._jobs.extend(self._job, lease=lease, changes={"progress": progress}):
            raise Gone("another worker holds this job now")


class CastJournal(NoJournal):
    """Notes in the stream of a stand-alone cast; its records follow at once."""

    def __init__(self, job: Doc, casting: Casting) -> None:
        super().__init__(job)
        self._casting = casting
        self._cast_id = str(job["castId"])
        self._waiting: list[StepRecord] = []  # ended, not noted, because they may be redone
        self._noted_s = self._looked_s = _now_s()

    async def past(self) -> Past:
        """What the stream holds. Raises Gone: the cast has ended."""
        cast = await self._cast()
        past = past_of(self._job, cast.recorded)
        attempt = self._job["attempt"]
        past.submitted = {step: run for (step, at), run in cast.submitted.items() if at == attempt}
        return past

    async def submitted(self, step: str, run_id: str) -> None:
        """Before the submit, and with the run id."""
        attempt = self._job["attempt"]
        key = f"submit:{self._cast_id}:{step}:{attempt}:{run_id}"
        command = SubmitStep(key=key, step=step, attempt=attempt, run_id=run_id)
        await self._tell([*self._told(), command])

    async def ended(self, record: StepRecord, *, redo: bool) -> StepRecord:
        """At once, unless it may be redone; then at most four times a second."""
        self._waiting.append(record)
        if redo and _now_s() - self._noted_s < FLUSH_S:
            return record
        return await self._tell(self._told()) or record

    def _told(self) -> list[RecordStep]:
        records, self._waiting = self._waiting, []
        return [RecordStep(key=_key(self._cast_id, record), record=record) for record in records]

    async def _tell(self, commands: Sequence[RecordStep | SubmitStep]) -> StepRecord | None:
        """Append; returns the record that counts for the last step told of."""
        stream = stream_of(self._cast_id)
        records = [command.record for command in commands if isinstance(command, RecordStep)]
        await self._casting.allow(self._job, [record["outputs"] for record in records])
        outcome = await self._casting.casts.handle_many(stream, commands, actor="system")
        self._noted_s = _now_s()
        await self.check(now=True)
        await self._casting.project(self._cast_id)
        return _record_in(outcome.events[-1]) if commands else None

    async def check(self, *, now: bool = False) -> None:
        """Look into the stream, twice a second at most."""
        if now or _now_s() - self._looked_s >= LOOK_S:
            await self._cast()

    async def _cast(self) -> Cast:
        self._looked_s = _now_s()
        cast = (await self._casting.casts.load(stream_of(self._cast_id))).state
        if cast.state is not CastState.RUNNING:
            raise Gone(f"the cast is {cast.state.value}")
        return cast


@dataclass(slots=True)
class Journals:
    """The journal of each job that a worker may get."""

    casting: Casting
    cook_jobs: JobStore

    def of(self, job: Doc) -> Journal:
        """By what the job makes: a piece, or a cast of its own."""
        if job.get("castId") and job.get("parent") == job["castId"]:
            return CastJournal(job, self.casting)
        if "leaseId" in job:
            return JobJournal(job, self.cook_jobs)
        return NoJournal(job)


def past_of(job: Doc, noted: Iterable[StepRecord]) -> Past:
    """The past of a job: successes count whatever the attempt, failures that were not tried again, too."""
    past = Past()
    history: list[StepRecord] = list(job.get("history") or ())
    known = {place_of(record) for record in history}
    past.noted = [record for record in noted if place_of(record) not in known]
    for record in past.noted:
        if record.get("attempt", 1) == job["attempt"]:
            past.ended[record["step"]] = record
    for record in [*history, *past.noted]:
        if record["status"] == "success":
            past.ended[record["step"]] = record
        else:
            past.tries[record["step"]] = past.tries.get(record["step"], 0) + 1
    return past


def _key(cast_id: str, record: StepRecord) -> str:
    step, attempt = place_of(record)
    return f"step:{cast_id}:{step}:{attempt}"


def _record_in(result: list[Event] | Exception) -> StepRecord | None:
    if isinstance(result, list) and result and result[0].type == "CastStepEnded":
        record: StepRecord = result[0].data["steps"][0]
        return record
    return None


def _now_s() -> float:
    return asyncio.get_running_loop().time()
