"""The state of a cook: counters and a few bytes per piece, folded from its events.

``evolve`` changes the state in place: copying the piece arrays at every event
would cost 46 s per 100,000 pieces. A 100,000-piece state holds about 1 MB.
"""

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from cauldron.domain.budget import Amount, Spending, note, raised, spending_of
from cauldron.domain.events import Event


class State(StrEnum):
    """Where a cook is; docs/explanation/state-machines.md draws the table."""

    IDLE = "Idle"
    COOKING = "Cooking"
    PAUSED = "Paused"
    STOPPED = "Stopped"
    COMPLETED = "Completed"
    EXPORTED = "Exported"
    FAILED = "Failed"


ENDED = frozenset({State.STOPPED, State.COMPLETED, State.EXPORTED, State.FAILED})
RESTING = (State.PAUSED, State.STOPPED, State.FAILED)  # pieces are left to make, and none may start

# One byte per piece.
QUEUED, GENERATED, FAILED, APPROVED, REJECTED, CULLED, KEPT = range(7)
PIECE_STATES = ("queued", "generated", "failed", "approved", "rejected", "culled", "kept")
AFTER = {"approved": APPROVED, "rejected": REJECTED, "culled": CULLED, "kept": KEPT, "reset": GENERATED}


@dataclass(slots=True)
class Noted:
    """What other services told of a parent: it stands beside the facts."""

    times: int = 0
    cost_micro_usd: int = 0
    generations: int = 0

    def add(self, data: Mapping[str, Any]) -> None:
        """Fold one ParentNoted, in place."""
        self.times += 1
        self.cost_micro_usd += data["costMicroUsd"]
        self.generations += len(data["generationIds"])

    def document(self) -> dict[str, Any]:
        """``{noted: …}`` for a record; nothing while nobody told anything."""
        if not self.times:
            return {}
        usd = self.cost_micro_usd / 1_000_000
        return {"noted": {"times": self.times, "costUsd": usd, "generationCount": self.generations}}


class Cook:
    """A cook's state. Piece numbers count from 1, slots are plan rows from 0."""

    __slots__ = (
        "amount",
        "attempts",
        "charge",
        "charged_milli",
        "completions",
        "cost_micro_usd",
        "counts",
        "duration_ms",
        "failures_by_code",
        "failures_since_resume",
        "first_ms",
        "holds",
        "last_generated",
        "last_ms",
        "made",
        "noted",
        "pause_detail",
        "pause_reason",
        "piece_attempts",
        "piece_state",
        "plans",
        "points_milli",
        "published_tokens",
        "recent",
        "slot_current",
        "slot_of",
        "spending",
        "started",
        "state",
        "turns",
    )

    def __init__(self) -> None:
        self.state = State.IDLE
        self.started: Mapping[str, Any] = {}  # data of CookStarted
        self.amount = 0
        self.attempts = 0
        self.charge: Mapping[str, Any] = {}  # what pays now; empty: free of charge
        self.charged_milli = 0  # to that
        self.holds = 0  # how many there were
        self.counts = [0] * len(PIECE_STATES)  # pieces per piece state
        self.piece_state = bytearray()
        self.piece_attempts = bytearray()
        self.slot_of = array("I")  # piece number - 1 -> slot
        self.slot_current = array("I")  # slot - slotFrom -> number of its newest piece, 0 none
        self.plans: list[tuple[int, str, str]] = []  # (first piece, plan blob, plan hash)
        self.made = 0  # pieces generated, ever
        self.noted = Noted()
        self.last_generated = 0  # number of the piece generated last
        self.failures_since_resume = 0
        self.failures_by_code: dict[str, int] = {}
        self.pause_reason = ""
        self.pause_detail = ""
        self.cost_micro_usd = 0
        self.points_milli = 0
        self.duration_ms = 0  # sum over pieces
        self.first_ms = 0
        self.last_ms = 0
        self.recent: list[tuple[int, int]] = []  # (instant, pieces made by then), newest last
        self.completions = 0
        self.turns = 0  # changes of ``state``, asked for or by itself
        self.published_tokens = ""  # blob digest, once published
        self.spending: Spending | None = None  # None: without a budget

    @property
    def left_milli(self) -> int:
        """What may still be charged, in milli-points."""
        return int(self.charge["capMilli"]) - self.charged_milli if self.charge else 0

    @property
    def pieces(self) -> int:
        """How many piece numbers have been given out."""
        return len(self.piece_state)

    @property
    def outstanding(self) -> int:
        """Pieces queued or running."""
        return self.counts[QUEUED]

    @property
    def slot_from(self) -> int:
        """The first plan row of this cook."""
        return int(self.started.get("slotFrom", 0))

    def state_of(self, piece: int) -> int | None:
        """The piece's state code, or None when there is no such piece."""
        return self.piece_state[piece - 1] if 1 <= piece <= len(self.piece_state) else None

    def is_current(self, piece: int) -> bool:
        """Whether no newer piece has been made for the same slot."""
        return self.slot_current[self.slot_of[piece - 1] - self.slot_from] == piece

    def plan_of(self, piece: int) -> tuple[str, str]:
        """(plan blob, plan hash) that the piece's selection is drawn from."""
        index = bisect_right(self.plans, piece, key=_first_piece)
        if not index:
            raise LookupError(f"piece {piece} was never queued")
        return self.plans[index - 1][1:]

    def in_state(self, *codes: int) -> list[int]:
        """Numbers of the pieces in any of these states, ascending."""
        return [i for i, code in enumerate(self.piece_state, 1) if code in codes]

    def missing_slots(self) -> int:
        """Slots whose newest piece is rejected or failed: what a refill would make.

        Only rejected and failed pieces are replaced, and nothing is decided on
        them afterwards, so those replaced are all pieces beyond one per slot.
        """
        return self.counts[REJECTED] + self.counts[FAILED] - (self.pieces - self.amount)


def _first_piece(plan: tuple[int, str, str]) -> int:
    return plan[0]


def evolve(cook: Cook, event: Event, *, ts: int) -> None:
    """Fold one event into ``cook``, in place. Total: it never refuses a recorded fact."""
    handler = _FOLD.get(event[0])
    if handler is not None:
        handler(cook, event[1], ts)
    cook.last_ms = ts


def fold_commits(cook: Cook, commits: Iterable[Mapping[str, Any]]) -> int:
    """Fold commit documents in order; returns the last ``seq`` folded (0 when none)."""
    fold, seq = _FOLD, 0
    for commit in commits:
        ts, seq = commit["ts"], commit["seq"]
        for event in commit["events"]:
            handler = fold.get(event["type"])
            if handler is not None:
                handler(cook, event["data"], ts)
        cook.last_ms = ts
    return seq


def _started(cook: Cook, data: Mapping[str, Any], ts: int) -> None:
    cook.state, cook.started, cook.first_ms = State.COOKING, data, ts
    cook.turns += 1
    cook.amount, cook.attempts = data["amount"], data["attempts"]
    cook.charge = data.get("charge") or {}
    cook.holds = int(bool(cook.charge))
    cook.slot_current = array("I", bytes(4 * data["amount"]))
    if "budget" in data:
        cook.spending = spending_of(data["budget"])
    cook.recent = [(ts, 0)]


def _queued(cook: Cook, data: Mapping[str, Any], ts: int) -> None:
    low, count = data["from"], data["to"] - data["from"] + 1
    slots = data.get("slots") or range(data["slotFrom"], data["slotFrom"] + count)
    cook.piece_state.extend(bytes(count))
    cook.piece_attempts.extend(bytes(count))
    cook.slot_of.extend(slots)
    cook.counts[QUEUED] += count
    cook.plans.append((low, data["plan"], data["planHash"]))
    first = cook.slot_from
    for offset, slot in enumerate(slots):
        cook.slot_current[slot - first] = low + offset


def _generated(cook: Cook, data: Mapping[str, Any], ts: int) -> None:
    index = data["piece"] - 1
    cook.counts[cook.piece_state[index]] -= 1
    cook.counts[GENERATED] += 1
    cook.piece_state[index] = GENERATED
    cook.piece_attempts[index] = min(data["attempt"], 255)
    cook.made += 1
    cook.last_generated = index + 1
    cook.cost_micro_usd += data["costMicroUsd"]
    cook.points_milli += data["pointsMilli"]
    cook.charged_milli += data["pointsMilli"]
    cook.duration_ms += data["durationMs"]
    if cook.spending is not None:
        _charge(cook.spending, data)
    if ts != cook.recent[-1][0]:
        cook.recent.append((ts, cook.made))
        if len(cook.recent) > 64:
            del cook.recent[:32]


def _failed(cook: Cook, data: Mapping[str, Any], ts: int) -> None:
    index = data["piece"] - 1
    cook.counts[cook.piece_state[index]] -= 1
    cook.counts[FAILED] += 1
    cook.piece_state[index] = FAILED
    cook.piece_attempts[index] = min(data["attempt"], 255)
    cook.failures_since_resume += 1
    cook.cost_micro_usd += data["costMicroUsd"]
    code = data["error"].get("code", "error")
    cook.failures_by_code[code] = cook.failures_by_code.get(code, 0) + 1
    if cook.spending is not None:
        _charge(cook.spending, data)


def _charge(spending: Spending, data: Mapping[str, Any]) -> None:
    charged = Amount(*data.get("charged", (0, 0)))
    note(spending, Amount(*data.get("wanted", charged)), charged)


def _budget_reached(cook: Cook, data: Mapping[str, Any], ts: int) -> None:
    if cook.spending is not None:
        cook.spending.told.add(data.get("percent", 100))


def _reviewed(cook: Cook, data: Mapping[str, Any], ts: int) -> None:
    code, counts, states = AFTER[data["decision"]], cook.counts, cook.piece_state
    if cook.state is State.EXPORTED and _reopens(cook, data):
        cook.state = State.COMPLETED
    for low, high in data["pieces"]:
        for index in range(low - 1, high):
            counts[states[index]] -= 1
            states[index] = code
        counts[code] += high - low + 1


def _reopens(cook: Cook, data: Mapping[str, Any]) -> bool:
    """Whether what was exported is no longer what is approved."""
    undone = {"kept": (CULLED,), "reset": (APPROVED, KEPT)}.get(data["decision"])
    if undone is None:
        return data["decision"] in ("rejected", "culled")
    return any(code in undone for low, high in data["pieces"] for code in cook.piece_state[low - 1 : high])


def _paused(cook: Cook, data: Mapping[str, Any], ts: int) -> None:
    cook.state, cook.pause_reason = State.PAUSED, data["reason"]
    cook.turns += 1
    cook.pause_detail = data.get("detail", "")


def _resumed(cook: Cook, data: Mapping[str, Any], ts: int) -> None:
    cook.state, cook.pause_reason, cook.pause_detail = State.COOKING, "", ""
    cook.turns += 1
    cook.failures_since_resume = 0
    if "budget" in data:
        cook.spending = raised(cook.spending, data["budget"])
    if "charge" in data:
        _hold_replaced(cook, data, ts)
    cook.recent = [(ts, cook.made)]


def _hold_replaced(cook: Cook, data: Mapping[str, Any], ts: int) -> None:
    cook.charge, cook.charged_milli = data["charge"], 0
    cook.holds += 1


def _budget_changed(cook: Cook, data: Mapping[str, Any], ts: int) -> None:
    cook.spending = raised(cook.spending, data["budget"]) if data["budget"] is not None else None


def _completed(cook: Cook, data: Mapping[str, Any], ts: int) -> None:
    cook.state = State.COMPLETED
    cook.completions += 1
    cook.turns += 1


def _stopped(cook: Cook, data: Mapping[str, Any], ts: int) -> None:
    cook.state, cook.pause_reason = State.STOPPED, data.get("reason", "")
    cook.turns += 1


def _cook_failed(cook: Cook, data: Mapping[str, Any], ts: int) -> None:
    cook.state, cook.pause_reason = State.FAILED, data["reason"]
    cook.turns += 1
    cook.pause_detail = data.get("detail", "")


def _exported(cook: Cook, data: Mapping[str, Any], ts: int) -> None:
    if cook.state is State.COMPLETED:
        cook.state = State.EXPORTED
    cook.published_tokens = data.get("tokens") or cook.published_tokens


def _noted(cook: Cook, data: Mapping[str, Any], ts: int) -> None:
    cook.noted.add(data)


_FOLD: Mapping[str, Callable[[Cook, Mapping[str, Any], int], None]] = {
    "CookStarted": _started,
    "PiecesQueued": _queued,
    "PieceGenerated": _generated,
    "GenerationFailed": _failed,
    "BudgetReached": _budget_reached,
    "BudgetExhausted": _budget_reached,
    "BudgetChanged": _budget_changed,
    "HoldReplaced": _hold_replaced,
    "PiecesReviewed": _reviewed,
    "CookPaused": _paused,
    "CookResumed": _resumed,
    "CookStopped": _stopped,
    "CookCompleted": _completed,
    "CookFailed": _cook_failed,
    "CookExported": _exported,
    "ParentNoted": _noted,
}
