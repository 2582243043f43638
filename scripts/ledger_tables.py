"""The state machine of a hold as the code has it: every command is tried in every state."""

from collections.abc import Mapping

from cauldron.domain import ledger_hold
from cauldron.domain.errors import CauldronError
from cauldron.domain.ledger_commands import CaptureLines, CloseHold, HoldCommand, OpenHold, RefundLines
from cauldron.domain.ledger_hold import Hold, HoldState
from cauldron.domain.ledger_pricing import Line, Terms

TERMS = Terms(rate_id="r", micro_usd_per_point=1_000).document()
OPEN = OpenHold(
    hold_id="h",
    account="a",
    run_id="run",
    cap_milli=1_000,
    terms=TERMS,
    expires_at=5,
    environment="live",
)
CAPTURE = CaptureLines(hold_id="h", number="1", lines=[Line("draw", 1, 1, 100, 50)])
LATER = CaptureLines(hold_id="h", number="2", lines=[Line("draw", 2, 1, 100, 50)])
CLOSE = CloseHold(hold_id="h", reason="finished", now=1)
EXPIRE = CloseHold(hold_id="h", reason="expired", now=5)
EARLY = CloseHold(hold_id="h", reason="expired", now=4)
REFUND = RefundLines(hold_id="h", group="cap:h:1", lines=[["draw", 1, 1, 100, 50, 0, 0]])

HOLDS: Mapping[HoldState, tuple[HoldCommand, ...]] = {
    HoldState.NONE: (),
    HoldState.OPEN: (OPEN, CAPTURE),
    HoldState.CLOSED: (OPEN, CAPTURE, CLOSE),
}
ON: Mapping[str, HoldCommand] = {
    "open": OPEN,
    "capture": LATER,
    "capture the same again": CAPTURE,
    "the run has ended": CLOSE,
    "expire": EXPIRE,
    "expire too early": EARLY,
    "refund": REFUND,
}


def played(commands: tuple[HoldCommand, ...]) -> tuple[Hold, list[str]]:
    """A hold after these commands, and the events of the last one. Raises CauldronError."""
    state, last = Hold(), list[str]()
    for command in commands:
        events = ledger_hold.decide(state, command)
        for event in events:
            ledger_hold.evolve(state, event, ts=1)
        last = [event.type for event in events]
    return state, last


def _answer(history: tuple[HoldCommand, ...], command: HoldCommand) -> tuple[str | None, str]:
    """The state after a command, None when it is refused, and what it caused."""
    try:
        state, events = played((*history, command))
    except CauldronError:
        return None, "refused"
    return state.state.value, ", ".join(f"`{event}`" for event in events) or "·"


def hold_diagram() -> str:
    """The hold's machine as a Mermaid state diagram."""
    labels: dict[tuple[str, str], list[str]] = {}
    for before, history in HOLDS.items():
        for on, command in ON.items():
            after, _ = _answer(history, command)
            if after not in (None, before.value):
                labels.setdefault((before.value, str(after)), []).append(on)
    lines = [f"    {before} --> {after}: {', '.join(on)}" for (before, after), on in labels.items()]
    return "\n".join(["```mermaid", "stateDiagram-v2", "    [*] --> none", *lines, "```"])


def hold_rows() -> list[tuple[str, ...]]:
    """What every command causes in every state."""
    return [(on, *(_answer(history, command)[1] for history in HOLDS.values())) for on, command in ON.items()]


HEAD = ("", *(state.value for state in HOLDS))
