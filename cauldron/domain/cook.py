"""The decider of a cook: every rule of its state machine, and nothing else."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from cauldron.domain.budget import REASON, Amount, check_budget, crossed
from cauldron.domain.commands import (
    CookCommand,
    ExhaustBudget,
    FailCook,
    NoteParent,
    PauseCook,
    RecordExport,
    RecordPiece,
    RefillSlots,
    ReplaceHold,
    ResumeCook,
    ReviewPieces,
    SetBudget,
    StartCook,
    StopCook,
)
from cauldron.domain.cook_budget import check_raise, exhaust, reached, set_budget, spent_on, taken_by
from cauldron.domain.cook_charge import EXHAUSTED, paid, replace
from cauldron.domain.cook_state import (
    APPROVED,
    CULLED,
    ENDED,
    FAILED,
    GENERATED,
    KEPT,
    PIECE_STATES,
    QUEUED,
    REJECTED,
    Cook,
    State,
)
from cauldron.domain.errors import Invalid, NotFound, Refused, StaleVersion
from cauldron.domain.events import Event

# decision asked -> (decision recorded, piece states it applies to)
DECISIONS: Mapping[str, tuple[str, tuple[int, ...]]] = {
    "approve": ("approved", (GENERATED, REJECTED)),
    "reject": ("rejected", (GENERATED, APPROVED, KEPT, CULLED)),
    "cull": ("culled", (APPROVED, KEPT)),
    "revive": ("kept", (CULLED,)),
    "keep": ("kept", (APPROVED, CULLED)),
    "reset": ("reset", (APPROVED, REJECTED, KEPT, CULLED)),
}
# What "all" means for a decision: the pieces that wait for it.
WAITING: Mapping[str, tuple[int, ...]] = {
    "approve": (GENERATED,),
    "reject": (GENERATED,),
    "cull": (APPROVED, KEPT),
    "revive": (CULLED,),
    "keep": (APPROVED,),
    "reset": (APPROVED, REJECTED),
}
# Piece states in which a decision changes nothing; of a reset, those that wait for review.
ALREADY: Mapping[str, tuple[int, ...]] = {
    "approve": (APPROVED, KEPT),
    "reject": (REJECTED,),
    "cull": (CULLED,),
    "revive": (KEPT,),
    "keep": (KEPT,),
}
MAX_AMOUNT = 1_000_000


def decide(cook: Cook, command: CookCommand) -> list[Event]:
    """The events that ``command`` causes in this state; none when it is already so.

    Raises:
        Refused: the state does not allow it.
        NotFound: it names a piece that does not exist.
        Invalid: the command itself makes no sense.
    """
    if cook.state is State.IDLE and not isinstance(command, StartCook):
        raise NotFound("there is no such cook")
    return _DECIDE[type(command)](cook, command)


def _start(cook: Cook, c: StartCook) -> list[Event]:
    if cook.state is not State.IDLE:
        raise Refused(f"this cook has started already and is {cook.state}", state=cook.state.value)
    if not 1 <= c.amount <= MAX_AMOUNT:
        raise Invalid(f"amount must be between 1 and {MAX_AMOUNT}, not {c.amount}", amount=c.amount)
    started = {
        "cookId": c.cook_id,
        "collectionId": c.collection_id,
        "collectionVersion": c.collection_version,
        "owner": c.owner,
        "visibility": c.visibility,
        "environment": c.environment,
        "amount": c.amount,
        "slotFrom": c.slot_from,
        "planHash": c.plan_hash,
        "plan": c.plan,
        "configHash": c.config_hash,
        "generator": dict(c.generator),
        "seed": c.seed,
        "attempts": c.attempts,
        "failureBudget": c.failure_budget,
        "notificationPlatform": c.notification_platform,
    }
    if c.callback_url:
        started["callbackUrl"] = c.callback_url
    if c.budget is not None:
        check_budget(c.budget)
        started["budget"] = dict(c.budget)
    if c.estimate is not None:
        started["estimate"] = dict(c.estimate)
    if c.charge:
        started["charge"] = dict(c.charge)
    queued = {
        "from": 1,
        "to": c.amount,
        "plan": c.plan,
        "planHash": c.plan_hash,
        "slotFrom": c.slot_from,
    }
    return [Event("CookStarted", started), Event("PiecesQueued", queued)]


def _pause(cook: Cook, c: PauseCook) -> list[Event]:
    if cook.state is State.PAUSED:
        return []  # asking twice is harmless
    if cook.state is not State.COOKING:
        raise _not_now("pause", cook)
    return [Event("CookPaused", _with({"reason": c.reason}, detail=c.detail))]


def _resume(cook: Cook, c: ResumeCook) -> list[Event]:
    if cook.state is State.COOKING and c.budget is None and not c.charge:
        return []
    check_raise(cook, c)
    if cook.state in ENDED and not cook.outstanding:
        raise Refused(
            f"nothing is left to make: the cook is {cook.state}; refill rejected or failed pieces instead",
            state=cook.state.value,
        )
    resumed = _resumed(cook, c.charge, reason=c.reason)
    if c.budget is not None:
        resumed.data["budget"] = dict(c.budget)
    return [resumed] if cook.outstanding else [resumed, _completion(cook, charge=c.charge)]


def _resumed(cook: Cook, charge: Mapping[str, Any] | None, *, reason: str) -> Event:
    """Going on; after its end a cook that is charged needs something new that pays.

    Raises:
        Refused: it has nothing.
    """
    if cook.charge and not charge and cook.state in ENDED:
        raise Refused("what paid for this cook was closed at its end: say what it may cost from here on")
    body = _with({}, reason=reason)
    if charge:
        body |= {"charge": dict(charge)} | (_closing(cook.charge) if cook.state not in ENDED else {})
    return Event("CookResumed", body)


def _closing(charge: Mapping[str, Any]) -> dict[str, str]:
    """The hold that nothing more is charged to: at an end, or when another takes its place."""
    return {"closes": charge["hold"]} if charge else {}


def _stop(cook: Cook, c: StopCook) -> list[Event]:
    if cook.state is State.STOPPED:
        return []
    if cook.state not in (State.COOKING, State.PAUSED):
        raise _not_now("stop", cook)
    return [Event("CookStopped", _with({}, reason=c.reason) | _closing(cook.charge))]


def _fail(cook: Cook, c: FailCook) -> list[Event]:
    if cook.state is State.FAILED:
        return []
    if cook.state not in (State.COOKING, State.PAUSED):
        raise _not_now("fail", cook)
    return [Event("CookFailed", _with({"reason": c.reason}, detail=c.detail) | _closing(cook.charge))]


def _record(cook: Cook, c: RecordPiece) -> list[Event]:
    code = cook.state_of(c.piece)
    if code is None:
        raise NotFound(f"there is no piece {c.piece}", piece=c.piece)
    if code != QUEUED:
        return []  # recorded already: a doubled or late report changes nothing
    spent = spent_on(cook, c)
    marks = crossed(cook.spending, spent) if cook.spending is not None else []
    events = [_ended_piece(cook, c, spent), *(reached(cook, mark, spent) for mark in marks)]
    last = cook.outstanding == 1
    if c.error is not None and _over_budget(cook) and cook.state is State.COOKING and not last:
        detail = f"{cook.failures_since_resume + 1} pieces failed; the last one: {c.error['message']}"
        events.append(Event("CookPaused", {"reason": "failure_budget", "detail": detail}))
    elif last and cook.state is State.COOKING:
        events.append(_completion(cook, failed=c.error is not None, generated=c.error is None))
    elif 100 in marks and cook.state is State.COOKING:
        events.append(Event("CookPaused", {"reason": REASON, "detail": "the budget is spent"}))
    elif cook.charge and spent.points_milli < taken_by(cook, c).points_milli and cook.state is State.COOKING:
        events.append(Event("CookPaused", dict(EXHAUSTED)))
    return events


def _ended_piece(cook: Cook, c: RecordPiece, spent: Amount) -> Event:
    body: dict[str, Any] = {
        "piece": c.piece,
        "slot": cook.slot_of[c.piece - 1],
        "attempt": c.attempt,
        "steps": list(c.steps),
        "durationMs": c.duration_ms,
        "costMicroUsd": c.cost_micro_usd,
    }
    if cook.spending is not None:
        body["charged"] = list(spent)
        taken = taken_by(cook, c)
        if taken != spent:
            body["wanted"] = list(taken)
    if c.error is not None:
        return Event("GenerationFailed", body | {"error": dict(c.error)})
    body["output"] = dict(c.output or {})
    if cook.charge:
        return Event("PieceGenerated", body | paid(cook, c, milli=spent.points_milli))
    return Event("PieceGenerated", body | {"pointsMilli": min(c.points_milli, spent.points_milli)})


def _over_budget(cook: Cook) -> bool:
    return cook.failures_since_resume + 1 > int(cook.started["failureBudget"])


def _completion(
    cook: Cook, *, generated: bool = False, failed: bool = False, charge: Mapping[str, Any] | None = None
) -> Event:
    slots_failed = cook.counts[FAILED] + failed
    body = {"generated": cook.made + generated, "failed": slots_failed}
    return Event("CookCompleted", body | _closing(charge or cook.charge))


def _review(cook: Cook, c: ReviewPieces) -> list[Event]:
    if c.decision not in DECISIONS:
        known = ", ".join(DECISIONS)
        raise Invalid(f"decision must be one of {known}, not {c.decision!r}", decision=c.decision)
    recorded, states = DECISIONS[c.decision]
    if c.pieces is None:
        numbers = [n for n in cook.in_state(*WAITING[c.decision]) if cook.is_current(n)]
    else:
        numbers = [n for n in sorted(set(c.pieces)) if _applies(cook, n, c.decision, states)]
    if not numbers:
        return []
    body = {"decision": recorded, "pieces": ranges(numbers)}
    return [Event("PiecesReviewed", _with(body, reason=c.reason))]


def _applies(cook: Cook, number: int, decision: str, states: Sequence[int]) -> bool:
    code = cook.state_of(number)
    if code is None:
        raise NotFound(f"there is no piece {number}", piece=number)
    if code in states and cook.is_current(number):
        return True
    if code in ALREADY.get(decision, (GENERATED,)):
        return False
    replaced = "" if cook.is_current(number) else " and has been replaced by a newer piece"
    raise Refused(
        f"cannot {decision} piece {number}: it is {PIECE_STATES[code]}{replaced}",
        piece=number,
        state=PIECE_STATES[code],
    )


def _refill(cook: Cook, c: RefillSlots) -> list[Event]:
    numbers = sorted(set(c.pieces))
    for number in numbers:
        code = cook.state_of(number)
        if code is None:
            raise NotFound(f"there is no piece {number}", piece=number)
        if code not in (REJECTED, FAILED):
            raise Refused(
                f"piece {number} is {PIECE_STATES[code]}: only rejected or failed pieces are refilled"
            )
    slots = [cook.slot_of[n - 1] for n in numbers if cook.is_current(n)]
    if not slots:
        return []  # refilled already
    if c.base and c.base != cook.plans[-1][2]:
        raise StaleVersion("the plan was revised by somebody else meanwhile", plan=cook.plans[-1][2])
    first = cook.pieces + 1
    body = {
        "from": first,
        "to": first + len(slots) - 1,
        "plan": c.plan,
        "planHash": c.plan_hash,
        "slots": slots,
        "reason": c.reason,
    }
    queued = Event("PiecesQueued", body)
    if cook.state not in ENDED:
        return [queued]
    return [_resumed(cook, c.charge, reason="refill"), queued]


def _export(cook: Cook, c: RecordExport) -> list[Event]:
    body = {
        "exportId": c.export_id,
        "pieces": c.pieces,
        "baseUri": c.base_uri,
        "provenance": c.provenance,
        "published": c.published,
    }
    return [Event("CookExported", _with(body, tokens=c.tokens or ""))]


def noted(c: NoteParent) -> Event:
    """What another service told, as an event of a cook or cast."""
    body = {
        "service": c.service,
        "costMicroUsd": c.cost_micro_usd,
        "generationIds": list(c.generation_ids),
    }
    return Event("ParentNoted", body)


def _note(cook: Cook, c: NoteParent) -> list[Event]:
    return [noted(c)]


def ranges(numbers: Iterable[int]) -> list[list[int]]:
    """Ascending numbers as inclusive ranges: ``[1, 2, 3, 7]`` → ``[[1, 3], [7, 7]]``."""
    found: list[list[int]] = []
    for number in numbers:
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return found


def _with(body: dict[str, Any], **optional: str) -> dict[str, Any]:
    return body | {key: value for key, value in optional.items() if value}


def _not_now(verb: str, cook: Cook) -> Refused:
    return Refused(f"cannot {verb} a cook that is {cook.state}", state=cook.state.value)


_DECIDE: Mapping[type, Callable[[Cook, Any], list[Event]]] = {
    StartCook: _start,
    PauseCook: _pause,
    ResumeCook: _resume,
    ExhaustBudget: exhaust,
    SetBudget: set_budget,
    ReplaceHold: replace,
    StopCook: _stop,
    FailCook: _fail,
    RecordPiece: _record,
    ReviewPieces: _review,
    RefillSlots: _refill,
    RecordExport: _export,
    NoteParent: _note,
}
