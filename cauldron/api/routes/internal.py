"""Service to service: the same commands on behalf of somebody else, with bodies as other services send them.

Everything here needs the scope ``act-for``, which only service keys have; ``userId``
means something nowhere else.
"""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query
from pydantic import Field
from starlette.responses import Response

from cauldron.api.access import Key, TheStudio, caller_of, needing
from cauldron.api.answers import json_answer
from cauldron.api.routes.casts import cast_summary
from cauldron.api.routes.cook_shapes import CookStatus, CookSummary, StartBody, StartedCook
from cauldron.api.routes.cooks import own_cook, start_cook, with_generator
from cauldron.api.shapes import Answer, Body
from cauldron.bootstrap import Studio
from cauldron.domain.commands import NoteParent
from cauldron.domain.errors import NotFound, Refused
from cauldron.domain.identity import ROLES, Forbidden, Principal
from cauldron.domain.snapshot import Snapshot, snapshot_of_tool
from cauldron.domain.times import iso
from cauldron.ports.storage import Doc
from cauldron.services.cook_finding import newest_of
from cauldron.services.feed_wiring import shown
from cauldron.services.identity_records import USERS
from cauldron.services.owned import ID, owned
from cauldron.services.spells import SPELLS

router = APIRouter(prefix="/internal", tags=["internal"])
Service = Annotated[Principal, Depends(needing("act-for"))]
MOST_IDS = 1000
MAX_USD = 1_000_000.0
Id = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[0-9A-Za-z@._:-]+$")]
PathId = Annotated[str, Path(max_length=200)]
# What may be asked for: the status wanted, and the ones in which it is so already.
STEERS = {"paused": "pause", "cooking": "resume", "running": "resume", "stopped": "stop", "cancelled": "stop"}


class OnBehalf(Body):
    """For whom."""

    user_id: Id = Field(description="Who it is done for: a user's id, or an account's.")


class InternalStart(OnBehalf):
    """What to cook. An absent amount is the rest of the supply."""

    collection_id: Id
    spell_id: Id | None = None
    tool_id: Id | None = None
    amount: int | None = Field(default=None, ge=1, le=1_000_000)
    seed: str | None = Field(default=None, max_length=200)
    callback_url: str | None = Field(default=None, min_length=1, max_length=2000)


class InternalCook(OnBehalf):
    """The newest cook of a collection."""

    collection_id: Id
    reason: str = Field(default="", max_length=1000)


class InternalReview(OnBehalf):
    """A decision on one piece."""

    piece_id: Id
    reason: str = Field(default="", max_length=1000)


class InternalCast(OnBehalf):
    """What to run: a published spell by id or slug, or a tool."""

    spell_id: Id | None = None
    tool_id: Id | None = None
    inputs: dict[str, Any] = Field(default={}, examples=[{"text": "Good morning"}])
    callback_url: str | None = Field(default=None, min_length=1, max_length=2000)


class ParentNote(Body):
    """What another service knows: a status to bring about, costs and generations of its own.

    Costs and generations are kept beside what is folded from our own executions.
    """

    user_id: Id | None = Field(default=None, description="Absent: the account of the key itself.")
    status: str | None = Field(default=None, max_length=20, examples=["paused"])
    cost_delta_usd: float = Field(default=0.0, ge=0, le=MAX_USD, allow_inf_nan=False)
    generation_ids: list[Id] = Field(default=[], max_length=MOST_IDS)


class InternalCastAnswer(Answer):
    """A cast: its record and its summary."""

    cast: dict[str, Any]
    summary: dict[str, Any]


class InternalCookAnswer(Answer):
    """A cook: its status, its summary, and what other services told."""

    status: CookStatus
    summary: CookSummary
    noted: dict[str, Any] | None


class ReviewedPiece(Answer):
    """The piece and how many decisions it changed: 0 when it was so already."""

    piece_id: str
    changed: int


class StatsBody(Body):
    """Which spell; absent: everything."""

    spell_id: Id | None = Field(default=None, description="A spell by slug or id.")


class StatsAnswer(Answer):
    """How many tools and spells were worked out, and as of when."""

    refreshed: int
    stats_as_of: str | None


async def acting_for(studio: Studio, service: Principal, user_id: str) -> Principal:
    """The principal that a service stands in for; never with more than both of them may do.

    Raises:
        NotFound: not an id. Forbidden: the user is shut out.
    """
    if not ID.fullmatch(user_id):
        raise NotFound(f"there is no user {user_id!r:.80}")
    user = await studio.identity.register.get(USERS, user_id)
    if user is None:  # an account that came from an earlier system, or the local one
        account, scopes = user_id, ROLES["creator"]
    elif user["disabled"]:
        raise Forbidden("this user is shut out")
    else:
        account, scopes = user["account"], ROLES[user["role"]]
    return Principal(
        account=account,
        user=user_id,
        scopes=scopes & service.scopes,
        via=service.via,
        credential=service.credential,
    )


async def _newest(studio: Studio, who: Principal, collection_id: str) -> str:
    cook_id = await newest_of(studio.store, collection_id, owner=who.account)
    if cook_id is None:
        raise NotFound(f"no cook of a collection {collection_id!r:.80} was ever started")
    await own_cook(studio, who, cook_id)
    return cook_id


async def _status(studio: Studio, cook_id: str) -> Response:
    return json_answer(shown(await studio.cooking.status(cook_id)))


@router.post(
    "/cook/start",
    summary="Start a cook for somebody",
    status_code=202,
    responses={202: {"model": StartedCook}},
)
async def start(body: InternalStart, studio: TheStudio, service: Service, key: Key) -> Response:
    """`spellId` or `toolId` take the place of the collection's generator for this cook."""
    who = await acting_for(studio, service, body.user_id)
    who.need("cook")
    wanted = StartBody.model_validate(
        body.model_dump(by_alias=True, exclude={"user_id", "collection_id"}, exclude_none=True)
    )
    return await start_cook(studio, who, body.collection_id, wanted, key=key)


@router.post("/cook/pause", summary="Pause somebody's cook", responses={200: {"model": CookStatus}})
async def pause(body: InternalCook, studio: TheStudio, service: Service, key: Key) -> Response:
    """The newest cook of the collection."""
    who = await acting_for(studio, service, body.user_id)
    who.need("cook")
    cook_id = await _newest(studio, who, body.collection_id)
    await studio.cooking.pause(cook_id, actor=who.user, reason=body.reason, key=key)
    return await _status(studio, cook_id)


@router.post("/cook/resume", summary="Go on with somebody's cook", responses={200: {"model": CookStatus}})
async def resume(body: InternalCook, studio: TheStudio, service: Service, key: Key) -> Response:
    """The newest cook of the collection."""
    who = await acting_for(studio, service, body.user_id)
    who.need("cook")
    cook_id = await _newest(studio, who, body.collection_id)
    await studio.cooking.resume(cook_id, actor=who.user, reason=body.reason, key=key)
    return await _status(studio, cook_id)


@router.get(
    "/cook/status", summary="The status of somebody's cook", responses={200: {"model": InternalCookAnswer}}
)
async def status(
    studio: TheStudio,
    service: Service,
    collection_id: Annotated[str, Query(alias="collectionId", min_length=1, max_length=200)],
    user_id: Annotated[str, Query(alias="userId", min_length=1, max_length=200)],
) -> Response:
    """The newest cook of the collection: counters, progress and cost."""
    who = await acting_for(studio, service, user_id)
    who.need("read")
    return await _cook_answer(studio, await _newest(studio, who, collection_id))


async def _cook_answer(studio: Studio, cook_id: str) -> Response:
    found = await studio.cooking.status(cook_id)
    summary = await studio.summarizing.cook(cook_id, status=found)
    [parent] = await studio.store.get("cooks", [cook_id])
    noted = parent.get("noted") if parent is not None else None
    return json_answer({"status": shown(found), "summary": summary, "noted": noted})


async def _review(
    body: InternalReview,
    studio: Studio,
    service: Principal,
    *,
    verdict: Literal["approve", "reject"],
    key: str | None,
) -> ReviewedPiece:
    who = await acting_for(studio, service, body.user_id)
    who.need("review")
    piece = await owned(studio.store, "pieces", body.piece_id, caller=caller_of(studio, who), noun="piece")
    if piece.get("imported"):
        raise Refused("this piece came from an earlier system: it is kept as it was decided there")
    changed = await studio.reviewing.review(
        piece["cookId"], verdict, pieces=[piece["number"]], actor=who.user, reason=body.reason, key=key
    )
    return ReviewedPiece(piece_id=body.piece_id, changed=changed)


@router.post("/cook/approve", summary="Approve somebody's piece")
async def approve(body: InternalReview, studio: TheStudio, service: Service, key: Key) -> ReviewedPiece:
    """It will be part of the collection."""
    return await _review(body, studio, service, verdict="approve", key=key)


@router.post("/cook/reject", summary="Reject somebody's piece")
async def reject(body: InternalReview, studio: TheStudio, service: Service, key: Key) -> ReviewedPiece:
    """A re-roll makes another for its slot."""
    return await _review(body, studio, service, verdict="reject", key=key)


@router.post(
    "/casts", summary="Cast for somebody", status_code=201, responses={201: {"model": InternalCastAnswer}}
)
async def cast(body: InternalCast, studio: TheStudio, service: Service, key: Key) -> Response:
    """A cast that runs from now on; its record links every generation of it."""
    who = await acting_for(studio, service, body.user_id)
    who.need("cast")
    caller = caller_of(studio, who)
    caller = await studio.workshop.told(caller, body.callback_url)
    snapshot = await _snapshot(studio, who, body)
    await studio.workshop.media.check(body.inputs, caller=caller)
    started = await studio.casting.start(snapshot, body.inputs, caller=caller, key=key)
    return await _cast_answer(studio, await studio.casting.get(started["runId"]), code=201)


async def _snapshot(studio: Studio, who: Principal, body: InternalCast) -> Snapshot:
    caller = caller_of(studio, who)
    generator = await with_generator(
        studio, caller, {"generator": {}}, spell=body.spell_id, tool=body.tool_id
    )
    if generator is None:
        raise NotFound("name a spell or a tool")
    if "tool" in generator:
        return snapshot_of_tool(studio.tools.resolve(str(generator["tool"])))
    return await studio.collecting.book(caller).snapshot(str(generator["spell"]))


async def _cast_answer(studio: Studio, record: Doc, *, code: int = 200) -> Response:
    body = cast_summary(record) | {
        "outputs": record.get("outputs") or {},
        "error": record.get("error"),
        "noted": record.get("noted"),
    }
    return json_answer({"cast": body, "summary": await studio.summarizing.cast(record)}, status=code)


@router.put("/casts/{cast_id}", summary="Tell of a cast", responses={200: {"model": InternalCastAnswer}})
async def note_cast(
    cast_id: PathId, body: ParentNote, studio: TheStudio, service: Service, key: Key
) -> Response:
    """Status `cancelled` cancels it; any other than the present one is refused, for it is folded from what
    happened. Costs and generations are added to what other services told."""
    who = await acting_for(studio, service, body.user_id or service.account)
    who.need("cast")
    caller = caller_of(studio, who)
    record = await owned(studio.store, "casts", cast_id, caller=caller, noun="cast")
    if record.get("cookId") or record.get("imported"):
        raise Refused("this cast is no run of its own: tell of its cook")
    if body.status == "cancelled":
        await studio.casting.cancel(cast_id, actor=who.user)
    elif body.status not in (None, record["status"]):
        raise Refused(f"the cast is {record['status']}: that follows from its steps", state=record["status"])
    if body.cost_delta_usd or body.generation_ids:
        note = _note(body, service, f"note:cast:{cast_id}:{key or studio.new_id()}")
        await studio.casting.note(cast_id, note, actor=who.user)
    return await _cast_answer(studio, await studio.casting.get(cast_id))


@router.put("/cooks/{cook_id}", summary="Tell of a cook", responses={200: {"model": InternalCookAnswer}})
async def note_cook(
    cook_id: PathId, body: ParentNote, studio: TheStudio, service: Service, key: Key
) -> Response:
    """Status `paused`, `cooking` or `stopped` steers it; any other than the present one is refused, for it is
    folded from what happened. Costs and generations are added to what other services told."""
    who = await acting_for(studio, service, body.user_id or service.account)
    who.need("cook")
    found = await own_cook(studio, who, cook_id)
    wanted = (body.status or "").lower()
    if wanted in STEERS:
        steer = getattr(studio.cooking, STEERS[wanted])
        await steer(cook_id, actor=who.user, key=key)
    elif wanted and wanted != found["state"].lower():
        raise Refused(f"the cook is {found['state']}: that follows from its pieces", state=found["state"])
    if body.cost_delta_usd or body.generation_ids:
        note = _note(body, service, f"note:cook:{cook_id}:{key or studio.new_id()}")
        await studio.cooking.command(cook_id, note, actor=who.user)
    return await _cook_answer(studio, cook_id)


@router.post(
    "/stats/invalidate",
    summary="Work statistics of spells out anew",
    responses={200: {"model": StatsAnswer}},
)
async def invalidate_stats(studio: TheStudio, service: Service, body: StatsBody | None = None) -> Response:
    """Now, instead of within a quarter of an hour: of one spell, or of every tool and spell."""
    spell = body.spell_id if body else None
    if spell is not None and (await studio.store.get(SPELLS, [spell]))[0] is None:
        spell = str((await studio.workshop.offering.find(spell)).record["_id"])
    stats = studio.workshop.spell_stats
    count = await stats.invalidate(spell)
    told = (await stats.spell(spell)).get("statsAsOf") if spell else iso(studio.clock())
    return json_answer({"refreshed": count, "statsAsOf": told})


# The names of older documents, until they are retired.
for _path, _old, _method, _code, _model in (
    ("/spellCasts", cast, "POST", 201, InternalCastAnswer),
    ("/spellCasts/{cast_id}", note_cast, "PUT", 200, InternalCastAnswer),
    ("/cookExecutions/{cook_id}", note_cook, "PUT", 200, InternalCookAnswer),
):
    router.add_api_route(
        _path,
        _old,
        methods=[_method],
        status_code=_code,
        deprecated=True,
        summary=f"The same as {_path.replace('spellCasts', 'casts').replace('cookExecutions', 'cooks')}",
        responses={_code: {"model": _model}},
    )


def _note(body: ParentNote, service: Principal, key: str) -> NoteParent:
    return NoteParent(
        key=key,
        service=service.user,
        cost_micro_usd=round(body.cost_delta_usd * 1_000_000),
        generation_ids=body.generation_ids,
    )
