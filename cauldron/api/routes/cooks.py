"""Cooks: started from a collection, steered, looked at, and their history."""

from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from cauldron.api.access import Cook, Key, Reader, TheStudio, caller_of
from cauldron.api.answers import json_answer, page_answer
from cauldron.api.routes.cook_shapes import (
    BudgetAnswer,
    BudgetBody,
    CookAnswer,
    CookPage,
    CookStatus,
    EstimateAnswer,
    EstimateBody,
    EventPage,
    ReasonBody,
    RefillBody,
    Refilled,
    ResumeBody,
    StartBody,
    StartedCook,
)
from cauldron.api.shapes import MAX_PAGE, decode_cursor, encode_cursor
from cauldron.bootstrap import Studio
from cauldron.domain.budget import budget_of
from cauldron.domain.errors import Invalid, InvalidMany, NotFound, Problem, Refused
from cauldron.domain.identity import Principal
from cauldron.domain.times import iso
from cauldron.ports.storage import Doc
from cauldron.services.casting import Caller
from cauldron.services.cook_log import log_page
from cauldron.services.cooking import Wanted
from cauldron.services.feed_wiring import shown
from cauldron.services.funding import BudgetNeeded
from cauldron.services.owned import owned
from cauldron.services.pages import Listing

router = APIRouter(prefix="/api/v1", tags=["cooks"])
ACTIVE = ("Cooking", "Paused")
MAX_EVENTS = 1000
CookId = Annotated[str, Path(description="The cook.", max_length=200)]
CollectionId = Annotated[str, Path(description="The collection.", max_length=200)]


async def own_cook(studio: Studio, who: Principal, cook_id: str) -> Doc:
    """The stored status of a cook of the caller; the log's lines name it from here on. Raises NotFound."""
    doc = await owned(studio.store, "cook_status", cook_id, caller=caller_of(studio, who), noun="cook")
    structlog.contextvars.bind_contextvars(cook_id=cook_id)
    return doc


async def with_generator(
    studio: Studio, caller: Caller, definition: dict[str, Any], *, spell: str | None, tool: str | None
) -> dict[str, Any] | None:
    """The collection's generator with another spell or tool in it; None when neither is named.

    Raises:
        InvalidMany: both are named. NotFound: the account has no such spell.
    """
    if spell is None and tool is None:
        return None
    if spell is not None and tool is not None:
        raise InvalidMany(
            [Problem(path="spellId", code="bad_kind", message="name a spell or a tool, not both")]
        )
    kept = {k: v for k, v in definition["generator"].items() if k not in ("spell", "tool", "version")}
    if tool is not None:
        return kept | {"tool": tool}
    book = studio.collecting.book(caller)
    try:
        found = await book.record(str(spell))
    except NotFound:
        found = await book.find(str(spell))
    return kept | {"spell": found["slug"]}


async def start_cook(
    studio: Studio, who: Principal, collection_id: str, body: StartBody, *, key: str | None
) -> Response:
    """Start a cook of a collection, or answer with the one that is active."""
    caller = caller_of(studio, who)
    record = await studio.curating.get(collection_id, caller=caller)
    generator = await with_generator(
        studio, caller, record["definition"], spell=body.spell_id, tool=body.tool_id
    )
    estimate = await studio.estimating.estimate(collection_id, amount=body.amount)
    if not estimate.enough and not body.force:
        raise Refused(
            f"the cook needs about {estimate.size_bytes} bytes and {estimate.free_bytes} are free",
            needed=estimate.size_bytes,
            free=estimate.free_bytes,
        )
    caller = await studio.workshop.told(caller, body.callback_url)
    budget, shown_before = await _budget(studio, caller, collection_id, body)
    wanted = Wanted(
        collection_id=collection_id,
        amount=body.amount,
        seed=body.seed,
        key=key,
        generator=generator,
        budget=budget,
        estimate=shown_before,
        pay=body.pay,
    )
    started = await studio.cooking.start(wanted, caller=caller)
    structlog.contextvars.bind_contextvars(cook_id=started.cook_id)
    answer = {"cookId": started.cook_id, "collectionId": collection_id, "fresh": started.fresh}
    headers = {"location": f"/api/v1/cooks/{started.cook_id}"}
    return json_answer(answer, status=202, headers=headers)


async def _budget(
    studio: Studio, caller: Caller, collection_id: str, body: StartBody
) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """The budget that a start asks for, and what was estimated; a generator of its own has no estimate."""
    asked = body.budget or BudgetBody()
    if not (body.pay or body.budget):
        return None, None
    _check_caps(body.budget)
    if body.spell_id is not None or body.tool_id is not None:
        if body.pay and asked.points is None:
            raise BudgetNeeded(
                "say how many points the cook may take: another generator has no estimate here"
            )
        rate = await studio.workshop.forecasting.rate()
        return budget_of(asked.points, asked.usd, rate=rate), None
    forecast = await studio.workshop.forecasting.cook(
        collection_id, amount=body.amount, caller=caller, seed=body.seed
    )
    budget = forecast.budget_to_pay(points=asked.points, usd=asked.usd) if body.pay else None
    return budget or forecast.budget(points=asked.points, usd=asked.usd), forecast.kept()


def _check_caps(budget: BudgetBody | None) -> None:
    if budget is not None and budget.points is None and budget.usd is None:
        raise InvalidMany([Problem(path="budget", code="missing", message="say points, usd or both")])


@router.post(
    "/collections/{collection_id}/cook/estimate",
    summary="What a cook would cost and take",
    responses={200: {"model": EstimateAnswer}},
)
async def estimate(
    collection_id: CollectionId, studio: TheStudio, who: Cook, body: EstimateBody | None = None
) -> Response:
    """Starts nothing. Every figure says on what it rests; fewer than five past cooks give no interval."""
    wanted, caller = body or EstimateBody(), caller_of(studio, who)
    await studio.curating.get(collection_id, caller=caller)
    forecast = await studio.workshop.forecasting.cook(
        collection_id, amount=wanted.amount, caller=caller, seed=wanted.seed
    )
    balance = await studio.workshop.ledger.balance(caller.account)
    return json_answer(forecast.document() | {"availablePts": balance["availablePts"]})


@router.post(
    "/collections/{collection_id}/cook/start",
    summary="Start a cook of a collection",
    status_code=202,
    responses={202: {"model": StartedCook}},
)
async def start(
    collection_id: CollectionId, studio: TheStudio, who: Cook, key: Key, body: StartBody | None = None
) -> Response:
    """An amount of pieces from plan rows not yet used; one cook of a collection is active at a time."""
    return await start_cook(studio, who, collection_id, body or StartBody(), key=key)


@router.get(
    "/collections/{collection_id}/cook/status",
    summary="The status of a collection's newest cook",
    responses={200: {"model": CookStatus}},
)
async def collection_status(collection_id: CollectionId, studio: TheStudio, who: Reader) -> Response:
    """Exact counters, at most 50 ms old."""
    caller = caller_of(studio, who)
    cook_id = await studio.hot_status.newest_of(collection_id, caller=caller)
    body = await studio.hot_status.of(cook_id, caller=caller)
    return Response(body, media_type="application/json")


@router.get("/cooks", summary="List cooks", responses={200: {"model": CookPage}})
async def listing(
    *,
    studio: TheStudio,
    who: Reader,
    active: Annotated[
        bool | None, Query(description="Only cooking and paused ones, or only the others.")
    ] = None,
    collection_id: Annotated[str | None, Query(alias="collectionId", max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
) -> Response:
    """Those of your account, newest first."""
    where = {"owner": who.account}
    order: tuple[str, ...] = ("owner", "-startedAt")
    if collection_id is not None:
        where, order = where | {"collectionId": collection_id}, ("collectionId", *order)
    environment = studio.settings.environment

    def admits(doc: Doc) -> bool:
        fits = active is None or (doc["state"] in ACTIVE) is active
        return fits and bool(doc["environment"] == environment)

    after = decode_cursor(cursor, fields=len(order) + 1) if cursor is not None else None
    cooks = Listing(table="cook_status", where=where, order=order, admits=admits)
    return page_answer(await cooks.page(studio.store, limit=limit, after=after), shown)


@router.get(
    "/cooks/{cook_id}", summary="Look at a cook: status and summary", responses={200: {"model": CookAnswer}}
)
async def get(cook_id: CookId, studio: TheStudio, who: Reader) -> Response:
    """Counters, progress, cost with its source, time to go, and failures by reason."""
    await own_cook(studio, who, cook_id)
    status = await studio.cooking.status(cook_id)
    summary = await studio.summarizing.cook(cook_id, status=status)
    return json_answer({"status": shown(status), "summary": summary})


@router.get("/cooks/{cook_id}/status", summary="The status of a cook", responses={200: {"model": CookStatus}})
async def status(cook_id: CookId, studio: TheStudio, who: Reader) -> Response:
    """Exact counters, at most 50 ms old."""
    body = await studio.hot_status.of(cook_id, caller=caller_of(studio, who))
    return Response(body, media_type="application/json")


async def _status(studio: Studio, cook_id: str) -> Response:
    return json_answer(shown(await studio.cooking.status(cook_id)))


@router.post(
    "/cooks/{cook_id}/pause", summary="Start no further piece", responses={200: {"model": CookStatus}}
)
async def pause(
    cook_id: CookId, studio: TheStudio, who: Cook, key: Key, body: ReasonBody | None = None
) -> Response:
    """Pieces in flight finish."""
    await own_cook(studio, who, cook_id)
    reason = body.reason if body else ""
    await studio.cooking.pause(cook_id, actor=who.user, reason=reason, key=key)
    return await _status(studio, cook_id)


@router.post("/cooks/{cook_id}/resume", summary="Go on", responses={200: {"model": CookStatus}})
async def resume(
    cook_id: CookId, studio: TheStudio, who: Cook, key: Key, body: ResumeBody | None = None
) -> Response:
    """After a pause, or an end that left pieces to make. A budget that was used up needs a higher one."""
    await own_cook(studio, who, cook_id)
    asked = body or ResumeBody()
    _check_caps(asked.budget)
    budget = budget_of(asked.budget.points, asked.budget.usd) if asked.budget else None
    await studio.cooking.resume(cook_id, actor=who.user, reason=asked.reason, key=key, budget=budget)
    return await _status(studio, cook_id)


async def _told_budget(studio: Studio, cook_id: str) -> Response:
    status = await studio.cooking.status(cook_id)
    return json_answer({"cookId": cook_id, "state": status["state"], "budget": status.get("budget")})


BUDGET: dict[int | str, dict[str, Any]] = {200: {"model": BudgetAnswer}}


@router.get("/cooks/{cook_id}/budget", summary="A cook's budget", responses=BUDGET)
async def get_budget(cook_id: CookId, studio: TheStudio, who: Reader) -> Response:
    """What it may take, what it took, and how far that goes."""
    await own_cook(studio, who, cook_id)
    return await _told_budget(studio, cook_id)


@router.put("/cooks/{cook_id}/budget", summary="Give a cook another budget", responses=BUDGET)
async def put_budget(cook_id: CookId, body: BudgetBody, studio: TheStudio, who: Cook, key: Key) -> Response:
    """While it cooks or rests. One that rests because the budget was used up goes on when it is resumed."""
    await own_cook(studio, who, cook_id)
    _check_caps(body)
    rate = await studio.workshop.forecasting.rate()
    await studio.cooking.set_budget(
        cook_id, budget_of(body.points, body.usd, rate=rate), actor=who.user, key=key
    )
    return await _told_budget(studio, cook_id)


@router.delete("/cooks/{cook_id}/budget", summary="Let a cook take what it takes", responses=BUDGET)
async def clear_budget(cook_id: CookId, studio: TheStudio, who: Cook, key: Key) -> Response:
    """A cook that is paid with points keeps its cap in points."""
    await own_cook(studio, who, cook_id)
    await studio.cooking.set_budget(cook_id, None, actor=who.user, key=key)
    return await _told_budget(studio, cook_id)


@router.post("/cooks/{cook_id}/stop", summary="End a cook", responses={200: {"model": CookStatus}})
async def stop(
    cook_id: CookId, studio: TheStudio, who: Cook, key: Key, body: ReasonBody | None = None
) -> Response:
    """Pieces in flight finish; the others stay unmade until it is resumed."""
    await own_cook(studio, who, cook_id)
    reason = body.reason if body else ""
    await studio.cooking.stop(cook_id, actor=who.user, reason=reason, key=key)
    return await _status(studio, cook_id)


@router.post("/cooks/{cook_id}/refill", summary="Make rejected and failed pieces anew", status_code=202)
async def refill(
    cook_id: CookId, studio: TheStudio, who: Cook, key: Key, body: RefillBody | None = None
) -> Refilled:
    """Their slots are rolled anew, or tried again as they are; rules, counts and all other pieces stay."""
    await own_cook(studio, who, cook_id)
    wanted = body or RefillBody()
    queued = await studio.reviewing.refill(cook_id, pieces=wanted.pieces, actor=who.user, same=wanted.same)
    return Refilled(cook_id=cook_id, queued=queued)


@router.get(
    "/cooks/{cook_id}/events", summary="What happened to a cook", responses={200: {"model": EventPage}}
)
async def events(
    cook_id: CookId,
    studio: TheStudio,
    who: Reader,
    limit: Annotated[int, Query(ge=1, le=MAX_EVENTS)] = 100,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> Response:
    """The log, a row per event, oldest first."""
    await own_cook(studio, who, cook_id)
    rows, place = await log_page(studio.cook_streams, cook_id, limit=limit, after=_place(cursor))
    items = [
        {key: row[key] for key in ("seq", "type", "payload", "actor")} | {"ts": iso(row["ts"])}
        for row in rows
    ]
    return json_answer({"items": items, "next": encode_cursor(place) if place is not None else None})


def _place(cursor: str | None) -> tuple[int, int]:
    if cursor is None:
        return 0, 0
    seq, seen = decode_cursor(cursor, fields=2)
    if (
        not isinstance(seq, int)
        or not isinstance(seen, int)
        or not (1 <= seq < 1 << 53 and 0 <= seen < 1 << 53)
    ):
        raise Invalid("cursor: not one of ours")
    return seq, seen
