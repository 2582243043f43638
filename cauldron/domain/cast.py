"""The decider of a stand-alone cast: started once, ended once, whatever arrives later."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from cauldron.domain.commands import EndCast, NoteParent, StartCast
from cauldron.domain.cook import noted
from cauldron.domain.cook_state import Noted
from cauldron.domain.errors import NotFound, Refused
from cauldron.domain.events import Event
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


@dataclass(slots=True)
class Cast:
    """The folded state of one cast."""

    state: CastState = CastState.NONE
    started: Mapping[str, Any] = field(default_factory=dict)  # data of CastStarted
    ended: Mapping[str, Any] = field(default_factory=dict)  # data of the ending event
    started_ms: int = 0
    ended_ms: int = 0
    noted: Noted = field(default_factory=Noted)


def decide(cast: Cast, command: StartCast | EndCast | NoteParent) -> list[Event]:
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
    if cast.state is not CastState.RUNNING:
        return []  # terminal is terminal: a late end changes nothing
    body: dict[str, Any] = {"steps": list(command.steps), "outputs": dict(command.outputs)}
    body |= _charged(cast, command)
    if command.error is not None:
        body["error"] = dict(command.error)
    return [Event(ENDS[command.status][0], body)]


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
    return [Event("CastStarted", body)]


def evolve(cast: Cast, event: Event, *, ts: int) -> None:
    """Fold one event, in place."""
    if event.type == "CastStarted":
        cast.state, cast.started, cast.started_ms = CastState.RUNNING, event.data, ts
    elif event.type == "ParentNoted":
        cast.noted.add(event.data)
    elif event.type in _STATE_OF and cast.state is CastState.RUNNING:
        cast.state, cast.ended, cast.ended_ms = _STATE_OF[event.type], event.data, ts
