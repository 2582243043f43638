"""What happened: the public event types, each a name and a JSON object.

Events are plain data rather than objects: they are folded by the hundred
thousand, and what is stored is what is folded (docs/adr/0008). A released event
is never renamed and never loses a field; new fields are optional.
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple, NotRequired, TypedDict

from cauldron.domain.ledger_events import (
    LEDGER_EVENTS,
    CaptureWasted,
    CreatorClawedBack,
    CreatorEarned,
    DepositRestored,
    DepositReversed,
    GrantExpired,
    HoldClosed,
    HoldOpened,
    PointsCaptured,
    PointsDeposited,
    PointsGranted,
    PointsHeld,
    PointsMoved,
    PointsReceived,
    PointsRefunded,
    PointsReleased,
    PointsWithdrawn,
    RateSet,
    RefundDecided,
)

__all__ = [
    "DECISION_EVENTS",
    "EVENT_TYPES",
    "FLATTENED",
    "CaptureWasted",
    "CreatorClawedBack",
    "CreatorEarned",
    "DepositRestored",
    "DepositReversed",
    "Event",
    "GrantExpired",
    "HoldClosed",
    "HoldOpened",
    "PointsCaptured",
    "PointsDeposited",
    "PointsGranted",
    "PointsHeld",
    "PointsMoved",
    "PointsReceived",
    "PointsRefunded",
    "PointsReleased",
    "PointsWithdrawn",
    "RateSet",
    "RefundDecided",
    "StepRecord",
    "flatten",
    "rows_in",
]


class Event(NamedTuple):
    """One recorded fact: a type of this module and its data."""

    type: str
    data: Any  # the TypedDict of the same name


class StepRecord(TypedDict):
    """One tool execution inside a piece or cast; becomes a generation output."""

    step: str
    toolId: str
    toolVersion: str
    toolDisplayName: str
    status: str  # success | failed | timeout | cancelled | lost
    startMs: int
    endMs: int
    inputs: dict[str, Any]
    outputs: dict[str, Any]
    costMicroUsd: int
    costSource: str
    cacheKey: NotRequired[str]
    cached: NotRequired[bool]
    error: NotRequired[dict[str, str]]
    runId: NotRequired[str]
    attempt: NotRequired[int]
    charge: NotRequired[dict[str, int]]  # price, cost, taken, provider and creator, in milli-points


class CookStarted(TypedDict):
    """A cook began: what is cooked, for whom, from which rows of which plan."""

    cookId: str
    collectionId: str
    collectionVersion: str
    owner: str
    visibility: str
    environment: str  # live | test
    amount: int  # slots of this cook
    slotFrom: int  # first plan row, 0-based
    planHash: str
    plan: str  # blob digest of the plan
    configHash: str  # blob digest of the execution snapshot
    generator: dict[str, str]  # {kind: tool | spell, id}
    seed: str
    attempts: int  # tries per piece
    failureBudget: int  # pieces that may fail before the cook pauses
    notificationPlatform: str
    callbackUrl: NotRequired[str]
    charge: NotRequired[dict[str, Any]]  # the hold that pays, its cap and terms; absent: no hold
    budget: NotRequired[dict[str, Any]]  # domain.budget.BudgetDocument
    estimate: NotRequired[dict[str, Any]]  # what was shown before it began


class _QueuedRange(TypedDict):
    to: int
    plan: str
    planHash: str
    slotFrom: NotRequired[int]  # slot of ``from``; the others follow
    slots: NotRequired[list[int]]  # or one slot per piece, for refills
    reason: NotRequired[str]


_From = TypedDict("_From", {"from": int})


class PiecesQueued(_QueuedRange, _From):
    """Pieces ``from`` … ``to`` (inclusive, from 1) entered the queue; traits stay in the plan."""


class PieceGenerated(TypedDict):
    """A piece was made; it waits for review."""

    piece: int
    slot: int
    attempt: int
    output: dict[str, Any]  # the media reference (or value) that is the piece
    steps: list[StepRecord]
    durationMs: int
    costMicroUsd: int
    pointsMilli: int
    charged: NotRequired[list[int]]  # [milli-points, micro-USD] against the budget
    wanted: NotRequired[list[int]]  # what it took, where that was more
    hold: NotRequired[str]  # what the steps were charged to


class GenerationFailed(TypedDict):
    """A piece failed for good, after its attempts."""

    piece: int
    slot: int
    attempt: int
    error: dict[str, str]  # {code, message}
    steps: list[StepRecord]
    durationMs: int
    costMicroUsd: int
    charged: NotRequired[list[int]]  # as in PieceGenerated
    wanted: NotRequired[list[int]]


class BudgetReached(TypedDict):
    """So much of a cook's budget is spent; once per mark and budget."""

    percent: int  # 50 | 80
    pointsMilli: int  # spent
    microUsd: int


class BudgetExhausted(TypedDict):
    """Nothing more can be charged, or no further piece fits; once per budget."""

    pointsMilli: int  # spent
    microUsd: int


class BudgetChanged(TypedDict):
    """A cook under way got another budget, or none any more."""

    budget: dict[str, Any] | None


class HoldReplaced(TypedDict):
    """What comes is charged to another hold; the one before is closed."""

    number: int  # of the cook's holds, from 1
    charge: dict[str, Any]
    closes: str


class PiecesReviewed(TypedDict):
    """Someone decided on pieces; ``pieces`` are inclusive ranges of numbers."""

    decision: str  # approved | rejected | culled | kept | reset
    pieces: list[list[int]]
    reason: NotRequired[str]


class CookPaused(TypedDict):
    reason: str  # asked | failure_budget | budget_exhausted | points_exhausted | tool_unavailable | disk_full
    detail: NotRequired[str]


class CookResumed(TypedDict):
    reason: NotRequired[str]
    budget: NotRequired[dict[str, Any]]  # a new one
    charge: NotRequired[dict[str, Any]]  # the hold that pays from here on
    closes: NotRequired[str]  # the hold that it takes the place of


class CookStopped(TypedDict):
    reason: NotRequired[str]
    closes: NotRequired[str]  # the hold that nothing more is charged to


class CookCompleted(TypedDict):
    generated: int
    failed: int
    closes: NotRequired[str]


class CookFailed(TypedDict):
    reason: str
    detail: NotRequired[str]
    closes: NotRequired[str]


class CookExported(TypedDict):
    """An export of the approved pieces finished."""

    exportId: str
    pieces: int
    baseUri: str
    provenance: str
    published: bool
    tokens: NotRequired[str]  # blob digest of the fixed token numbers, once published


class ParentNoted(TypedDict):
    """Another service told of costs and generations of its own; they count apart from ours."""

    service: str
    costMicroUsd: int
    generationIds: list[str]


class RowsReserved(TypedDict):
    """Rows ``slotFrom`` … of a collection's plan were given to a cook."""

    cookId: str
    slotFrom: int
    amount: int
    planHash: str


class CookActivated(TypedDict):
    """An ended cook of the collection became its active one again."""

    cookId: str


class CastStarted(TypedDict):
    castId: str
    spellId: str
    spellName: str
    spellVersion: str
    configHash: str
    owner: str
    visibility: str
    environment: str
    payerAccountId: str
    inputs: dict[str, Any]
    creditTxId: str
    notificationPlatform: str
    callbackUrl: NotRequired[str]
    charge: NotRequired[dict[str, Any]]  # the hold that pays, its cap and terms; absent: free of charge


class CastStepSubmitted(TypedDict):
    """A step is handed to a provider; who takes the cast over goes on with that run."""

    step: str
    attempt: int
    runId: NotRequired[str]


class CastStepEnded(TypedDict):
    """A step of a running cast has ended."""

    index: int  # among the steps recorded, from 0
    steps: list[StepRecord]  # the one


class CastAdopted(TypedDict):
    """A guest's cast is now the account's that the guest became; who began it and who pays stay on record."""

    owner: str


class CastEnded(TypedDict):
    """A cast reached its end with all its steps. The type says how."""

    told: NotRequired[int]  # so many of the steps, the first ones, had a CastStepEnded
    steps: list[StepRecord]
    outputs: dict[str, Any]
    error: NotRequired[dict[str, str]]
    pointsMilli: NotRequired[int]  # charged in all
    hold: NotRequired[str]  # what the steps were charged to
    closes: NotRequired[str]


EVENT_TYPES: Mapping[str, str] = {
    "CookStarted": "A cook began.",
    "PiecesQueued": "A range of pieces entered the queue; read as one PieceQueued per piece.",
    "PieceGenerated": "A piece was made and waits for review.",
    "GenerationFailed": "A piece failed for good, after its attempts.",
    "BudgetReached": "50 or 80 % of the budget is spent; once per mark and budget.",
    "BudgetExhausted": "No further piece fits the budget; once per budget.",
    "BudgetChanged": "A cook under way got another budget, or none any more.",
    "HoldReplaced": "What comes is charged to another hold.",
    "PiecesReviewed": "A decision on ranges of pieces; read as PieceReviewed and "
    "PieceApproved, PieceRejected, PieceCulled, PieceKept or PieceReset per piece.",
    "CookPaused": "No further piece starts; the reason is kept.",
    "CookResumed": "Pieces start again.",
    "CookStopped": "The cook was ended before all pieces were made.",
    "CookCompleted": "Every slot is settled; nothing is queued or running.",
    "CookFailed": "The cook cannot continue.",
    "CookExported": "An export finished.",
    "ParentNoted": "Another service told of costs and generations of its own, kept apart from ours.",
    "RowsReserved": "Rows of a collection's plan were given to a cook.",
    "CookActivated": "An ended cook became the collection's active one again.",
    "CastStarted": "A cast began.",
    "CastStepSubmitted": "A step was handed to a provider.",
    "CastStepEnded": "A step of a running cast ended.",
    "CastAdopted": "A guest's cast became the account's that the guest became.",
    "CastCompleted": "A cast ended with its output.",
    "CastFailed": "A cast ended without an output.",
    "CastCancelled": "A cast was cancelled.",
    **LEDGER_EVENTS,
}

FLATTENED: Mapping[str, str] = {
    "PieceQueued": "One piece of a PiecesQueued range.",
    "PieceReviewed": "One piece of a PiecesReviewed range, with its decision.",
    "PieceApproved": "A reviewer approved the piece.",
    "PieceRejected": "A reviewer rejected the piece.",
    "PieceCulled": "An approved piece was left out in the second round.",
    "PieceKept": "A piece was kept in the second round, or a culled one brought back.",
    "PieceReset": "A decision was undone; the piece waits for review again.",
}

DECISION_EVENTS: Mapping[str, str] = {
    "approved": "PieceApproved",
    "rejected": "PieceRejected",
    "culled": "PieceCulled",
    "kept": "PieceKept",
    "reset": "PieceReset",
}


def rows_in(event: Event) -> int:
    """How many rows readers see of an event."""
    if event.type == "PiecesQueued":
        return int(event.data["to"] - event.data["from"] + 1)
    if event.type == "PiecesReviewed":
        return 2 * sum(int(high - low + 1) for low, high in event.data["pieces"])
    return 1


def flatten(event: Event, *, skip: int = 0) -> Iterator[Event]:
    """The rows that readers see, without the first ``skip``: ranges become one event per piece."""
    if event.type == "PiecesQueued":
        data = event.data
        for offset in range(skip, rows_in(event)):
            slot = data["slots"][offset] if "slots" in data else data["slotFrom"] + offset
            body = {"piece": data["from"] + offset, "slot": slot, "planHash": data["planHash"]}
            yield Event("PieceQueued", body)
    elif event.type == "PiecesReviewed":
        yield from islice(_reviews(event), skip, None)
    elif not skip:
        yield event


def _reviews(event: Event) -> Iterator[Event]:
    more = {key: value for key, value in event.data.items() if key != "pieces"}
    for low, high in event.data["pieces"]:
        for number in range(low, high + 1):
            body = {"piece": number, **more}
            yield Event("PieceReviewed", body)
            yield Event(DECISION_EVENTS[event.data["decision"]], body)
