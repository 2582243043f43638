"""What is wanted. Each command has a natural key: its second arrival is answered, not applied."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cauldron.domain.events import StepRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class StartCook:
    """Begin a cook over plan rows ``slot_from`` … ``slot_from + amount - 1``."""

    key: str
    cook_id: str
    collection_id: str
    collection_version: str
    owner: str
    amount: int
    slot_from: int
    plan_hash: str
    plan: str  # blob digest
    config_hash: str  # blob digest
    generator: Mapping[str, str]
    seed: str
    attempts: int = 3
    failure_budget: int = 10
    visibility: str = "private"
    environment: str = "live"
    notification_platform: str = "none"
    charge: Mapping[str, Any] | None = None  # what pays for the pieces; None: free of charge
    callback_url: str = ""
    budget: Mapping[str, Any] | None = None  # domain.budget.BudgetDocument
    estimate: Mapping[str, Any] | None = None  # what was shown before it began


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseCook:
    """Start no further piece; pieces in flight finish."""

    key: str
    reason: str = "asked"
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeCook:
    """Start pieces again, from Paused or from an end that left pieces to make.

    A cook that is charged needs a new ``charge`` after its end: the old hold is closed.
    """

    key: str
    reason: str = ""
    charge: Mapping[str, Any] | None = None
    budget: Mapping[str, Any] | None = None  # in place of the one it has


@dataclass(frozen=True, slots=True, kw_only=True)
class ExhaustBudget:
    """The owner found no room for a further piece; ``in_flight`` pieces are queued or running."""

    key: str
    in_flight: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SetBudget:
    """Give a cook under way another budget, or none; it neither pauses nor resumes by it."""

    key: str
    budget: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaceHold:
    """Charge what comes to another hold; ``number`` is the how manieth of the cook it is."""

    key: str
    number: int
    charge: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class StopCook:
    """End the cook now; pieces in flight finish, the others stay unmade."""

    key: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailCook:
    """The cook cannot continue (snapshot gone, plan broken)."""

    key: str
    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordPiece:
    """A settled job reports its end: ``output`` on success, ``error`` on failure."""

    key: str  # gen:<jobId>
    piece: int
    attempt: int
    steps: Sequence[StepRecord]
    output: Mapping[str, Any] | None = None
    error: Mapping[str, str] | None = None  # {code, message}
    duration_ms: int = 0
    cost_micro_usd: int = 0
    points_milli: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewPieces:
    """Decide on pieces; ``None`` means every piece the decision applies to.

    ``decision`` is ``approve``, ``reject``, ``cull``, ``revive``, ``keep`` or ``reset``.
    """

    key: str
    decision: str
    pieces: Sequence[int] | None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefillSlots:
    """Make new pieces for the slots of rejected or failed ``pieces``.

    ``plan`` and ``plan_hash`` name the plan to draw the selections from: the
    same one to regenerate, a revised one to re-roll. ``base`` is the hash of the
    plan that was revised; empty skips the check that it is still the newest.
    """

    key: str
    pieces: Sequence[int]
    plan: str
    plan_hash: str
    base: str = ""
    reason: str = "refill"
    charge: Mapping[str, Any] | None = None  # as of ResumeCook, after the cook's end


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordExport:
    """An export finished."""

    key: str
    export_id: str
    pieces: int
    base_uri: str
    provenance: str
    published: bool = False
    tokens: str | None = None  # blob digest


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteParent:
    """Another service tells what it knows of a cook or cast: costs and generations of its own.

    It is kept beside what is folded from our own executions, never in its place.
    """

    key: str
    service: str  # who says so
    cost_micro_usd: int = 0
    generation_ids: Sequence[str] = ()


CookCommand = (
    StartCook
    | PauseCook
    | ResumeCook
    | ExhaustBudget
    | StopCook
    | FailCook
    | RecordPiece
    | ReviewPieces
    | RefillSlots
    | ReplaceHold
    | SetBudget
    | RecordExport
    | NoteParent
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReserveRows:
    """Give the next unused plan rows of a collection to a cook.

    ``ended`` names the active cook that the caller has seen to be over.
    """

    key: str
    cook_id: str
    amount: int | None  # None: all that is left
    supply: int
    plan_hash: str
    ended: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivateCook:
    """Make an ended cook the collection's active one again."""

    key: str
    cook_id: str
    ended: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StartCast:
    """Run one spell version once."""

    key: str
    cast_id: str
    spell_id: str
    spell_name: str
    spell_version: str
    config_hash: str
    owner: str
    payer_account_id: str
    inputs: Mapping[str, Any]
    credit_tx_id: str
    visibility: str = "private"
    environment: str = "live"
    notification_platform: str = "none"
    callback_url: str = ""
    charge: Mapping[str, Any] | None = None  # what pays for its steps; None: free of charge


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitStep:
    """A step of a cast is about to be handed to a provider, or has been: then with its run id."""

    key: str  # submit:<castId>:<step>:<attempt>, with the run id if there is one
    step: str
    attempt: int
    run_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordStep:
    """A step of a running cast has ended, whatever becomes of the cast."""

    key: str  # step:<castId>:<step>:<attempt>
    record: StepRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class AdoptCast:
    """A guest's cast is the account's that the guest became."""

    key: str  # adopt:<castId>
    owner: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EndCast:
    """A settled cast job reports its end; ``status`` is success, failed or cancelled."""

    key: str
    status: str
    steps: Sequence[StepRecord]
    outputs: Mapping[str, Any]
    error: Mapping[str, str] | None = None
