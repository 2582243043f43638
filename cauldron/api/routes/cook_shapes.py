"""What cooks look like on the wire: bodies of commands, statuses, summaries, events."""

from typing import Annotated, Any

from pydantic import Field

from cauldron.api.shapes import Answer, Body

MOST_PIECES = 10_000  # named in one refill
Reason = Annotated[str, Field(max_length=1000, description="Kept with the cook and shown.")]


MOST = 1_000_000_000
Cap = Annotated[float, Field(gt=0, le=MOST, allow_inf_nan=False)]


class BudgetBody(Body):
    """What a cook may take: points, USD, or both."""

    points: Cap | None = Field(default=None, examples=[340], description="In points.")
    usd: Cap | None = Field(default=None, description="In USD.")


class StartBody(Body):
    """What to cook; everything may be left out."""

    amount: int | None = Field(
        default=None, ge=1, le=1_000_000, description="Pieces; absent: the rest of the supply.", examples=[12]
    )
    seed: str | None = Field(default=None, max_length=200, description="Absent: the collection's.")
    spell_id: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        description="A spell in place of the collection's generator.",
    )
    tool_id: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        description="A tool in place of the collection's generator.",
    )
    callback_url: str | None = Field(
        default=None, min_length=1, max_length=2000, description="Where to tell that the cook rests."
    )
    force: bool = Field(default=False, description="Start even if the disk looks too small.")
    budget: BudgetBody | None = Field(default=None, description="Pause before more than this is taken.")
    pay: bool = Field(
        default=False,
        description="Pay with points: a hold at a time, at most what the budget says; without a budget "
        "the upper end of the estimate.",
    )


class StartedCook(Answer):
    """The cook that runs now; ``fresh`` is false when it was active already."""

    cook_id: str
    collection_id: str
    fresh: bool


class CookBudget(Answer):
    """How far a cook's budget goes. What a piece took beyond it is `excess`: charged to nobody."""

    points: float | None
    usd: float | None
    spent_pts: float
    spent_usd: float
    next_pts: float | None = Field(description="Set aside for the next piece; null: not known yet.")
    next_usd: float | None
    excess_pts: float
    excess_usd: float
    percent: float
    told: list[int] = Field(description="Marks in percent that events have told of.")
    runs_out_at: int | None = Field(description="About how many pieces it pays for in all.")


class CookCharge(Answer):
    """The hold that pays for a cook now; null for what is free of charge."""

    hold: str
    account: str
    number: int
    cap_pts: float
    charged_pts: float
    left_pts: float


class BudgetAnswer(Answer):
    """A cook's budget; null: it has none."""

    cook_id: str
    state: str
    budget: CookBudget | None


class Figure(Answer):
    """A figure and on what it rests; with fewer than five past cooks there is no interval."""

    middle: float | None
    low: float | None
    high: float | None
    unit: str
    level: float | None
    basis: str
    past_runs: int
    hit_rate: float | None
    checked: int
    says: str


class EstimateBody(Body):
    """Which cook to estimate; everything may be left out."""

    amount: int | None = Field(
        default=None, ge=1, le=1_000_000, description="Pieces; absent: the whole supply.", examples=[12]
    )
    seed: str | None = Field(default=None, max_length=200, description="Absent: the collection's.")


class EstimateAnswer(Answer):
    """What a cook would cost and how long it would take. Nothing was started."""

    pieces: int
    cost_usd: Figure
    cost_pts: Figure
    seconds: Figure
    retry_factor: float
    available_pts: float = Field(description="What the account may spend now.")


class CookStatus(Answer):
    """Where a cook is: exact counters. ``rate`` is pieces a second, ``eta`` seconds to go."""

    cook_id: str
    collection_id: str | None
    environment: str
    state: str
    pause_reason: str | None
    pause_detail: str | None
    target_supply: int
    generation_count: int
    last_generated: int | None
    queued: int
    running: int
    unreviewed: int
    approved: int
    rejected: int
    failed: int
    culled: int
    to_refill: int
    failures_by_code: dict[str, int]
    cost_pts: float
    cost_usd: float
    duration_ms: int
    rate: float
    eta: float | None
    budget: CookBudget | None = None
    charge: CookCharge | None = None
    started_at: str | None
    updated_at: str | None
    seq: int | None


class CookPage(Answer):
    """Cooks, newest first; ``running`` is counted in ``queued`` here."""

    items: list[dict[str, Any]]
    next: str | None


class Interval(Answer):
    """A middle and, with enough past, the interval that holds 80 %; ``basis`` says what it rests on."""

    middle: float | None
    low: float | None
    high: float | None
    level: float | None
    basis: str
    past_runs: int
    hit_rate: float | None


class CookSummary(Answer):
    """Progress and cost."""

    cook_id: str
    collection_id: str | None
    state: str
    percent: float
    done: int
    total: int
    counts: dict[str, int]
    cost: dict[str, Any]
    rate: float
    eta: Interval
    cost_to_come: Interval
    failures: list[dict[str, Any]]
    started_at: str | None
    updated_at: str | None


class CookAnswer(Answer):
    """A cook: its status and its summary."""

    status: CookStatus
    summary: CookSummary


class ReasonBody(Body):
    """Why."""

    reason: Reason = ""


class ResumeBody(ReasonBody):
    """Why, and with which budget from here on; absent: the one it has."""

    budget: BudgetBody | None = None


class RefillBody(Body):
    """Which rejected or failed pieces to make anew; absent: all of them."""

    pieces: list[Annotated[int, Field(ge=1, le=10_000_000)]] | None = Field(
        default=None, min_length=1, max_length=MOST_PIECES
    )
    same: bool = Field(default=False, description="Try the same traits again instead of rolling others.")


class Refilled(Answer):
    """How many new pieces were queued."""

    cook_id: str
    queued: int


class EventRow(Answer):
    """One thing that happened."""

    seq: int
    type: str
    payload: dict[str, Any]
    actor: str
    ts: str


class EventPage(Answer):
    """What happened, oldest first, a row per event; ranges are flattened."""

    items: list[EventRow]
    next: str | None
