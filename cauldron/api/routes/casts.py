"""Casts: one run of a spell or tool; those inside cooks can be read here, too."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import Field
from starlette.responses import Response

from cauldron.api.access import Caster, Key, Reader, TheStudio, Visiting, caller_of
from cauldron.api.answers import json_answer, page_answer, picked
from cauldron.api.routes.outputs import OutputAnswer, output_document
from cauldron.api.routes.spells import find_spell, spellbook
from cauldron.api.shapes import MAX_PAGE, Answer, Body, decode_cursor
from cauldron.bootstrap import Studio
from cauldron.domain.errors import InvalidMany, NotFound, Problem, Refused
from cauldron.domain.identity import Principal
from cauldron.domain.snapshot import Snapshot, snapshot_of_tool
from cauldron.ports.storage import Compare, Doc, Where
from cauldron.services.owned import owned
from cauldron.services.pages import Listing
from cauldron.services.spells import VERSIONS, check_not_retired

router = APIRouter(prefix="/api/v1", tags=["casts"])
CastId = Annotated[str, Path(description="The cast.", max_length=200)]
Status = Literal["running", "completed", "failed", "cancelled"]
FIELDS = (
    "spellId", "version", "cookId", "pieceId", "status", "startedAt", "completedAt", "generationIds",
    "generationCount", "costUsd", "pointsSpent", "visibility", "initiatorAccountId", "payerAccountId",
)  # fmt: skip
MOST_STEPS = 500


class CastBody(Body):
    """What to run: a spell of yours, or a tool."""

    spell: str | None = Field(default=None, min_length=1, max_length=200, description="Its slug or id.")
    tool: str | None = Field(default=None, min_length=1, max_length=400, examples=["text.card"])
    version: str | None = Field(
        default=None, min_length=1, max_length=60, description="Absent: the published, or the newest one."
    )
    inputs: dict[str, Any] = Field(default_factory=dict, examples=[{"text": "Good morning"}])
    callback_url: str | None = Field(
        default=None, min_length=1, max_length=2000, description="Where to tell how it ended."
    )


class StartedCast(Answer):
    """The run; the same `Idempotency-Key` again answers with the same one."""

    run_id: str
    credit_tx_id: str
    cast_id: str


class CastSummary(Answer):
    """A cast."""

    cast_id: str
    spell_id: str | None
    spell_name: str | None
    version: str | None
    cook_id: str | None
    piece_id: str | None
    status: Status
    started_at: str | None
    completed_at: str | None
    generation_ids: list[str]
    generation_count: int
    cost_usd: float | None
    points_spent: float | None
    visibility: str | None
    initiator_account_id: str | None
    payer_account_id: str | None


class CastAnswer(CastSummary):
    """A cast with its outputs and its steps, in the order in which they ran."""

    outputs: dict[str, Any]
    error: dict[str, Any] | None
    steps: list[OutputAnswer]


class CastPage(Answer):
    """Casts, newest first."""

    items: list[CastSummary]
    next: str | None


def cast_summary(doc: Doc) -> dict[str, Any]:
    """A cast as a list shows it."""
    shown = picked(doc, FIELDS, castId="_id", spellName="spellName")
    return shown | {
        "generationIds": doc.get("generationIds") or [],
        "generationCount": doc.get("generationCount", len(doc.get("generationIds") or [])),
        "version": None if doc.get("version") is None else str(doc["version"]),
    }


@router.post(
    "/casts", status_code=202, summary="Run a spell or tool once", responses={202: {"model": StartedCast}}
)
async def start_cast(body: CastBody, studio: TheStudio, who: Caster, key: Key) -> Response:
    """Free of charge for who may; follow it at `/api/v1/casts/{castId}` or by its event stream."""
    caller = caller_of(studio, who)
    snapshot = await _snapshot(studio, who, body)
    await studio.workshop.media.check(body.inputs, caller=caller)
    caller = await studio.workshop.told(caller, body.callback_url)
    started = await studio.casting.start(snapshot, body.inputs, caller=caller, key=key)
    return json_answer(started | {"castId": started["runId"]}, status=202)


async def _snapshot(studio: Studio, who: Principal, body: CastBody) -> Snapshot:
    """What is to be run, in an exact version. Raises InvalidMany, NotFound."""
    if (body.spell is None) == (body.tool is None):
        raise InvalidMany([Problem(path="spell", code="missing", message="name a spell or a tool")])
    book = await spellbook(studio, who)
    if body.tool is not None:
        return snapshot_of_tool(studio.tools.resolve(body.tool, body.version or "*"))
    record = await find_spell(book, str(body.spell))
    number = body.version or record["publishedVersion"]
    if number is None:
        raise NotFound(f"the spell {record['slug']!r} is not published")
    if not str(number).isascii() or not str(number).isdigit() or len(str(number)) > 9:
        raise InvalidMany(
            [Problem(path="version", code="malformed", message="a spell's versions are numbers")]
        )
    [version] = await studio.store.get(VERSIONS, [f"{record['_id']}@{number}"])
    check_not_retired(record["slug"], version)
    return await book.pinned(record["_id"], version=int(number))


@router.get("/casts", summary="List casts, newest first", responses={200: {"model": CastPage}})
async def list_casts(
    *,
    studio: TheStudio,
    who: Reader,
    cook: Annotated[str | None, Query(alias="cookId", max_length=200)] = None,
    status: Annotated[Status | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = MAX_PAGE,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
) -> Response:
    """Those that stand alone; with `cookId` those inside a cook."""
    caller = caller_of(studio, who)
    where, order = await _scope(studio, caller.account, cook)
    wanted = {"owner": caller.account, "environment": caller.environment, "cookId": cook}
    wanted |= {"status": status} if status is not None else {}
    listing = Listing(
        table="casts",
        where=where,
        order=order,
        admits=lambda doc: all(doc.get(key) == value for key, value in wanted.items()),
    )
    after = decode_cursor(cursor, fields=2) if cursor is not None else None
    return page_answer(await listing.page(studio.store, limit=limit, after=after), cast_summary)


async def _scope(studio: Studio, account: str, cook: str | None) -> tuple[Where, tuple[str, ...]]:
    """Where to look: casts that stand alone by account, those inside a cook by the ids that they share."""
    if cook is None:
        return {"owner": account, "cookId": None}, ("-startedAt",)
    [parent] = await studio.store.get("cooks", [cook])
    if parent is not None and parent.get("imported"):
        return {"cookId": cook, "imported": True}, ("-startedAt",)
    return {"_id": [Compare(">=", f"{cook}."), Compare("<", f"{cook}/")]}, ("_id",)


async def _cast(studio: Studio, who: Principal, cast_id: str) -> Doc:
    return await owned(studio.store, "casts", cast_id, caller=caller_of(studio, who), noun="cast")


@router.get("/casts/{cast_id}", summary="Look at a cast", responses={200: {"model": CastAnswer}})
async def get_cast(cast_id: CastId, studio: TheStudio, who: Reader) -> Response:
    """Its status, its outputs, and every step with its cost."""
    return await _whole(studio, await _cast(studio, who, cast_id))


async def _whole(studio: Studio, doc: Doc) -> Response:
    where = {"castId": doc["_id"]}
    found = await studio.store.find("generationOutputs", where, order=("castId",), limit=MOST_STEPS)
    steps = sorted(
        (each for each in found if each["owner"] == doc["owner"]),
        key=lambda each: (each["requestTimestamp"] or "", each["_id"]),
    )
    shown = cast_summary(doc) | {"outputs": doc.get("outputs") or {}, "error": doc.get("error")}
    return json_answer(shown | {"steps": [output_document(step) for step in steps]})


@router.post("/casts/{cast_id}/cancel", summary="Cancel a cast", responses={200: {"model": CastAnswer}})
async def cancel_cast(cast_id: CastId, studio: TheStudio, who: Visiting) -> Response:
    """It ends without an output; what it started still finishes, unused. Cancelling twice is harmless."""
    doc = await _cast(studio, who, cast_id)
    if doc.get("cookId") is not None:
        raise Refused("this cast belongs to a cook: pause or stop the cook")
    if doc["status"] == "running":
        await studio.casting.cancel(cast_id, actor=who.user)
    return await _whole(studio, await _cast(studio, who, cast_id))
