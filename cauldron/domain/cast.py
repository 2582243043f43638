"""The decider of a stand-alone cast: started once, its steps recorded once, ended once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from cauldron.domain.commands import AdoptCast, EndCast, NoteParent, RecordStep, StartCast, SubmitStep
from cauldron.domain.cook import noted
from cauldron.domain.cook_state import Noted
from cauldron.domain.errors import NotFound, Refused
from cauldron.domain.events import Event, StepRecord
from cauldron.domain.ledger_pricing import charge_of, charged_steps, taken_of


class CastState(StrEnum):
    """Where a cast is. ``none`` is before its first commit."""

    NONE = "none"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDS = {
    "success": ("CastCompleted", CastState.COMPLETED),
    "failed": ("CastFailed", CastState.FAILED),
    "cancelled": ("CastCancelled", CastState.CANCELLED),
}
_STATE_OF = dict(ENDS.values())
CastCommand = StartCast | SubmitStep | RecordStep | EndCast | NoteParent | AdoptCast


@dataclass(slots=True)
class Cast:
    """The folded state of one cast."""

    state: CastState = CastState.NONE
    started: Mapping[str, Any] = field(default_factory=dict)  # data of CastStarted
    ended: Mapping[str, Any] = field(default_factory=dict)  # data of the ending event
    started_ms: int = 0
    ended_ms: int = 0
    noted: Noted = field(default_factory=Noted)
    recorded: list[StepRecord] = field(default_factory=list)  # steps that ended while it ran
    submitted: dict[tuple[str, int], str] = field(default_factory=dict)  # (step, attempt) -> run id or ""
    adopted_by: str = ""

    @property
    def owner(self) -> str:
        """Whose it is now: who began it, or who they became."""
        return self.adopted_by or str(self.started["owner"])

    @property
    def steps(self) -> list[StepRecord]:
        """The steps that have ended, in the order of their records."""
        return list(self.ended["steps"]) if "steps" in self.ended else list(self.recorded)


def decide(cast: Cast, command: CastCommand) -> list[Event]:
    """The events that ``command`` causes.

    Raises:
        NotFound: the cast was never started. Refused: it was started already.
    """
    if isinstance(command, StartCast):
        return _start(cast, command)
    if cast.state is CastState.NONE:
        raise NotFound("there is no such cast")
    if isinstance(command, NoteParent):
        return [noted(command)]
    if isinstance(command, AdoptCast):
        return [] if command.owner == cast.owner else [Event("CastAdopted", {"owner": command.owner})]
    if cast.state is not CastState.RUNNING:
        return []  # terminal is terminal: a late end changes nothing
    if isinstance(command, SubmitStep):
        return _submitted(cast, command)
    if isinstance(command, RecordStep):
        return _recorded(cast, command)
    command = replace(command, steps=_in_order(cast, command.steps))
    body: dict[str, Any] = {"steps": list(command.steps), "outputs": dict(command.outputs)}
    body |= _charged(cast, command)
    if cast.recorded:
        body["told"] = len(cast.recorded)
    if command.error is not None:
        body["error"] = dict(command.error)
    return [Event(ENDS[command.status][0], body)]


def place_of(step: StepRecord) -> tuple[str, int]:
    """Which try of which step a record is of."""
    return step["step"], step.get("attempt", 1)


def _submitted(cast: Cast, c: SubmitStep) -> list[Event]:
    if cast.submitted.get((c.step, c.attempt)) == c.run_id:
        return []
    body: dict[str, Any] = {"step": c.step, "attempt": c.attempt}
    return [Event("CastStepSubmitted", body | ({"runId": c.run_id} if c.run_id else {}))]


def _recorded(cast: Cast, c: RecordStep) -> list[Event]:
    """The first report of a try of a step counts."""
    if any(place_of(step) == place_of(c.record) for step in cast.recorded):
        return []
    return [Event("CastStepEnded", {"index": len(cast.recorded), "steps": [c.record]})]


def _in_order(cast: Cast, steps: Sequence[StepRecord]) -> list[StepRecord]:
    """Every step once, those recorded before first: their places name their records."""
    known = {place_of(step) for step in cast.recorded}
    return [*cast.recorded, *(step for step in steps if place_of(step) not in known)]


def _charged(cast: Cast, command: EndCast) -> dict[str, Any]:
    """What the end of a cast that is paid for says besides; only a success is charged."""
    if "charge" not in cast.started:
        return {}
    charge = charge_of(cast.started["charge"])
    body: dict[str, Any] = {"pointsMilli": 0, "hold": charge.hold_id, "closes": charge.hold_id}
    if command.status == "success":
        last = max((step.get("attempt", 1) for step in command.steps), default=1)
        steps = charged_steps(command.steps, charge, left_milli=charge.cap_milli, piece=0, attempt=last)
        body |= {"steps": steps, "pointsMilli": taken_of(steps)}
    return body


def _start(cast: Cast, c: StartCast) -> list[Event]:
    if cast.state is not CastState.NONE:
        raise Refused(f"this cast has started already and is {cast.state}", state=cast.state.value)
    body: dict[str, Any] = {
        "castId": c.cast_id,
        "spellId": c.spell_id,
        "spellName": c.spell_name,
        "spellVersion": c.spell_version,
        "configHash": c.config_hash,
        "owner": c.owner,
        "visibility": c.visibility,
        "environment": c.environment,
        "payerAccountId": c.payer_account_id,
        "inputs": dict(c.inputs),
        "creditTxId": c.credit_tx_id,
        "notificationPlatform": c.notification_platform,
    }
    if c.callback_url:
        body["callbackUrl"] = c.callback_url
    if c.charge is not None:
        body["charge"] = dict(c.charge)
    return [Event("CastStarted", body)]


def evolve(cast: Cast, event: Event, *, ts: int) -> None:
    """Fold one event, in place."""
    if event.type == "CastStarted":
        cast.state, cast.started, cast.started_ms = CastState.RUNNING, event.data, ts
    elif event.type == "CastStepSubmitted":
        cast.submitted[event.data["step"], event.data["attempt"]] = event.data.get("runId", "")
    elif event.type == "CastStepEnded":
        cast.recorded += event.data["steps"]
    elif event.type == "ParentNoted":
        cast.noted.add(event.data)
    elif event.type == "CastAdopted":
        cast.adopted_by = event.data["owner"]
    elif event.type in _STATE_OF and cast.state is CastState.RUNNING:
        cast.state, cast.ended, cast.ended_ms = _STATE_OF[event.type], event.data, ts
