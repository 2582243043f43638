"""The state machines as the code has them: every command is tried in every state.

Nothing here knows a transition. States are reached by commands, transitions are what
``decide`` and ``evolve`` make of one more command, so a page made from this cannot lie.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from cauldron.domain import cook
from cauldron.domain.commands import (
    CookCommand,
    FailCook,
    PauseCook,
    RecordExport,
    RecordPiece,
    RefillSlots,
    ResumeCook,
    ReviewPieces,
    StartCook,
    StopCook,
)
from cauldron.domain.cook_state import PIECE_STATES, Cook, State, evolve
from cauldron.domain.errors import CauldronError
from scripts import ledger_tables

START = StartCook(
    key="k",
    cook_id="c",
    collection_id="l",
    collection_version="1",
    owner="o",
    amount=4,
    slot_from=0,
    plan_hash="hash",
    plan="plan",
    config_hash="h",
    generator={"kind": "tool", "id": "t"},
    seed="s",
    failure_budget=0,
)
BROKEN = {"code": "broken", "message": "it broke"}


def recorded(piece: int, *, failed: bool = False) -> RecordPiece:
    """The end of one piece."""
    error = BROKEN if failed else None
    return RecordPiece(key=f"gen:{piece}", piece=piece, attempt=1, steps=(), output={}, error=error)


def reviewed(decision: str, *pieces: int) -> ReviewPieces:
    """A decision on pieces."""
    return ReviewPieces(key="r", decision=decision, pieces=pieces)


def refilled(*pieces: int) -> RefillSlots:
    """New pieces for the slots of these."""
    return RefillSlots(key="f", pieces=pieces, plan="plan", plan_hash="hash")


EXPORTED = RecordExport(key="e", export_id="e", pieces=1, base_uri="", provenance="p")
STOP, PAUSE, RESUME = StopCook(key="s"), PauseCook(key="p"), ResumeCook(key="r")
BREAK = FailCook(key="x", reason="plan_broken")
HALF = (  # 1 approved, 2 rejected, 4 culled, 3 queued
    START,
    *(recorded(1), recorded(2), recorded(4)),
    *(reviewed("approve", 1, 4), reviewed("reject", 2), reviewed("cull", 4)),
)

COOKS: Mapping[State, tuple[CookCommand, ...]] = {
    State.IDLE: (),
    State.COOKING: HALF,
    State.PAUSED: (*HALF, PAUSE),
    State.STOPPED: (*HALF, STOP),
    State.FAILED: (*HALF, BREAK),
    State.COMPLETED: (*HALF, recorded(3)),
    State.EXPORTED: (*HALF, recorded(3), EXPORTED),
}
ON: Mapping[str, CookCommand] = {
    "start": START,
    "pause": PAUSE,
    "resume": RESUME,
    "stop": STOP,
    "cannot continue": BREAK,
    "last piece generated": recorded(3),
    "last piece failed": recorded(3, failed=True),
    "refill rejected or failed": refilled(2),
    "export finished": EXPORTED,
    "reject a piece": reviewed("reject", 1),
    "cull a piece": reviewed("cull", 1),
    "revive a piece": reviewed("revive", 4),
    "keep a piece": reviewed("keep", 1),
    "reset a piece": reviewed("reset", 1),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a command does in a state: the next state, or why not."""

    before: str
    on: str
    after: str | None  # None: refused

    @property
    def cell(self) -> str:
        """The answer in one word."""
        if self.after is None:
            return "refused"
        return "·" if self.after == self.before else f"**{self.after}**"


def played(commands: tuple[CookCommand, ...]) -> Cook:
    """A cook after these commands.

    Raises:
        CauldronError: one of them is not allowed there.
    """
    state = Cook()
    for command in commands:
        for event in cook.decide(state, command):
            evolve(state, event, ts=1)
    return state


def cook_answers() -> Iterator[Answer]:
    """Every command in every state."""
    cooks = dict(COOKS)
    for before, history in cooks.items():
        if played(history).state is not before:
            raise AssertionError(f"the example of {before} is {played(history).state}")
        for on, command in ON.items():
            yield Answer(before=before.value, on=on, after=_after(history, command))
    over = (START, recorded(1, failed=True))  # a budget of none, and pieces left to make
    yield Answer(before="Cooking", on="failure budget exceeded", after=played(over).state.value)
    spent = (replace(START, budget={"microUsd": 5}), replace(recorded(1), cost_micro_usd=5))
    yield Answer(before="Cooking", on="budget used up", after=played(spent).state.value)
    more = ResumeCook(key="r", budget={"microUsd": 9})
    yield Answer(before="Paused", on="resume with a higher budget", after=played((*spent, more)).state.value)


def _after(history: tuple[CookCommand, ...], command: CookCommand) -> str | None:
    try:
        return played((*history, command)).state.value
    except CauldronError:
        return None


def transitions() -> dict[tuple[str, str], list[str]]:
    """(on, to) → the states it leads from, where it changes the state."""
    found: dict[tuple[str, str], list[str]] = {}
    for answer in cook_answers():
        if answer.after not in (None, answer.before):
            found.setdefault((answer.on, str(answer.after)), []).append(answer.before)
    return found


def cook_diagram() -> str:
    """The cook's machine as a Mermaid state diagram."""
    labels: dict[tuple[str, str], list[str]] = {}
    for (on, after), befores in transitions().items():
        for before in befores:
            labels.setdefault((before, after), []).append(on)
    lines = [f"    {before} --> {after}: {', '.join(on)}" for (before, after), on in labels.items()]
    return "\n".join(["```mermaid", "stateDiagram-v2", "    [*] --> Idle", *lines, "```"])


def cook_table() -> str:
    """From, on, to."""
    rows = [(", ".join(befores), on, after) for (on, after), befores in transitions().items()]
    return table(("from", "on", "to"), rows)


def cook_matrix() -> str:
    """Every answer; a dot is accepted without a change of state."""
    cells: dict[str, dict[str, str]] = {}
    for answer in cook_answers():
        if answer.on not in ON:
            continue
        cells.setdefault(answer.on, {})[answer.before] = answer.cell
    states = [state.value for state in COOKS]
    rows = [(on, *(row.get(state, "") for state in states)) for on, row in cells.items()]
    return table(("", *states), rows)


PIECES: Mapping[str, tuple[CookCommand, ...]] = {
    "queued": (START,),
    "generated": (START, recorded(1)),
    "failed": (START, recorded(1, failed=True)),
    "approved": (START, recorded(1), reviewed("approve", 1)),
    "rejected": (START, recorded(1), reviewed("reject", 1)),
    "culled": (START, recorded(1), reviewed("approve", 1), reviewed("cull", 1)),
    "kept": (START, recorded(1), reviewed("approve", 1), reviewed("cull", 1), reviewed("revive", 1)),
}
PIECE_ON: Mapping[str, CookCommand] = {
    "made": recorded(1),
    "given up": recorded(1, failed=True),
    **{decision: reviewed(decision, 1) for decision in cook.DECISIONS},
    "refill": refilled(1),
}


def piece_table() -> str:
    """Every decision on a piece in every state; a refill makes a new piece and leaves the old one."""
    rows = []
    for on, command in PIECE_ON.items():
        rows.append((on, *(_piece_cell(state, command) for state in PIECE_STATES)))
    return table(("", *PIECE_STATES), rows)


def _piece_cell(before: str, command: CookCommand) -> str:
    if _code(played(PIECES[before])) != before:
        raise AssertionError(f"the example of a {before} piece is {_code(played(PIECES[before]))}")
    try:
        state = played((*PIECES[before], command))
    except CauldronError:
        return "refused"
    if state.pieces > played(PIECES[before]).pieces:
        return "**new piece**"
    after = _code(state)
    return "·" if after == before else f"**{after}**"


def _code(state: Cook) -> str:
    code = state.state_of(1)
    return "" if code is None else PIECE_STATES[code]


def table(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    """A Markdown table."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(
        "| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines
    )


def hold_table() -> str:
    """Every command on a hold in every state, and what it causes."""
    return table(ledger_tables.HEAD, list(ledger_tables.hold_rows()))


TABLES: Mapping[str, Callable[[], str]] = {
    "cook-diagram": cook_diagram,
    "cook-table": cook_table,
    "cook-matrix": cook_matrix,
    "piece-table": piece_table,
    "hold-diagram": ledger_tables.hold_diagram,
    "hold-table": hold_table,
}
