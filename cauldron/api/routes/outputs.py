"""Generation outputs and the media they made: lists, records, raw contents, thumbnails."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from cauldron.api.access import Reader, TheStudio, caller_of
from cauldron.api.answers import json_answer, page_answer, picked
from cauldron.api.media import file_answer, media_answer
from cauldron.api.shapes import MAX_PAGE, Answer, decode_cursor
from cauldron.bootstrap import Studio
from cauldron.domain.errors import NotFound
from cauldron.domain.identity import Principal
from cauldron.domain.media import MediaRef, digest_of, is_media
from cauldron.ports.storage import Doc, Where
from cauldron.services.owned import owned
from cauldron.services.pages import Listing

router = APIRouter(prefix="/api/v1", tags=["outputs"])
FIELDS = (
    "toolId", "toolVersion", "toolDisplayName", "status", "statusReason", "error", "requestTimestamp",
    "responseTimestamp", "durationMs", "webhookReceivedAt", "externalRunId", "costUsd", "costSource",
    "pointsSpent", "protocolNetPoints", "payerAccountId", "notificationPlatform", "deliveryStatus",
    "deliveryTimestamp", "deliveryAttempts", "deliveryError", "castId", "cookId", "spellId",
    "collectionId", "pieceId", "step", "attempt", "visibility", "environment", "inputs", "outputs",
    "cached",
)  # fmt: skip
Status = Literal["pending", "processing", "success", "failed", "cancelled", "timeout"]
OutputId = Annotated[str, Path(description="The generation output.", max_length=200)]
Digest = Annotated[str, Path(description="SHA-256 of the content: 64 hex digits.", max_length=80)]
Edge = Literal["64", "128", "256", "512", "1024"]
CONTENT: dict[int | str, dict[str, Any]] = {
    200: {"description": "The content.", "content": {"*/*": {}}},
    206: {"description": "The parts asked for.", "content": {"*/*": {}}},
    304: {"description": "It is what you have."},
    416: {"description": "It has no such part."},
}


class OutputAnswer(Answer):
    """The record of one tool execution."""

    output_id: str
    tool_id: str | None
    tool_version: str | None
    tool_display_name: str | None
    status: Status
    status_reason: str | None
    error: dict[str, Any] | None
    request_timestamp: str | None
    response_timestamp: str | None
    duration_ms: int | None
    webhook_received_at: str | None
    external_run_id: str | None
    cost_usd: float | None
    cost_source: str | None
    points_spent: float | None
    provider_points: float
    creator_points: float
    protocol_net_points: float | None
    initiator_account_id: str | None
    payer_account_id: str | None
    notification_platform: str | None
    delivery_status: str | None
    delivery_timestamp: str | None
    delivery_attempts: int | None
    delivery_error: str | None
    cast_id: str | None
    cook_id: str | None
    spell_id: str | None
    collection_id: str | None
    piece_id: str | None
    step: str | None
    attempt: int | None
    visibility: str | None
    environment: str
    inputs: dict[str, Any] | None
    outputs: dict[str, Any] | None
    cached: bool | None


class OutputPage(Answer):
    """Executions; a page may hold few while more follow. ``next`` is the cursor of what follows."""

    items: list[OutputAnswer]
    next: str | None


def output_document(doc: Doc) -> dict[str, Any]:
    """An execution as its owner sees it."""
    points = {name: doc.get(name, 0) for name in ("providerPoints", "creatorPoints")}
    initiator = doc.get("initiatorAccountId") or doc.get("owner")
    return picked(doc, FIELDS, outputId="_id") | points | {"initiatorAccountId": initiator}


@router.get("/outputs", summary="List tool executions, newest first", responses={200: {"model": OutputPage}})
async def list_outputs(
    *,
    studio: TheStudio,
    who: Reader,
    cast: Annotated[str | None, Query(alias="castId", max_length=200)] = None,
    cook: Annotated[str | None, Query(alias="cookId", max_length=200)] = None,
    tool: Annotated[str | None, Query(max_length=200, description="A tool's id.")] = None,
    status: Annotated[Status | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = MAX_PAGE,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
) -> Response:
    """Of a cast or a cook in the order of their ids, else all of the account, newest first."""
    caller = caller_of(studio, who)
    where: Where = {"owner": caller.account}
    order: tuple[str, ...] = ("-requestTimestamp",)
    if cast is not None or cook is not None:
        where, order = (
            ({"castId": cast}, ("castId",)) if cast is not None else ({"cookId": cook}, ("cookId",))
        )
    wanted = {"owner": caller.account, "environment": caller.environment}
    wanted |= {k: v for k, v in (("cookId", cook), ("toolId", tool), ("status", status)) if v is not None}
    listing = Listing(
        table="generationOutputs", where=where, order=order, admits=lambda doc: _fits(doc, wanted)
    )
    after = decode_cursor(cursor, fields=2) if cursor is not None else None
    return page_answer(await listing.page(studio.store, limit=limit, after=after), output_document)


def _fits(doc: Doc, wanted: dict[str, str]) -> bool:
    return all(doc.get(key) == value for key, value in wanted.items())


async def _output(studio: Studio, who: Principal, output_id: str) -> Doc:
    caller = caller_of(studio, who)
    return await owned(studio.store, "generationOutputs", output_id, caller=caller, noun="output")


@router.get("/outputs/{output_id}", summary="Look at one execution", responses={200: {"model": OutputAnswer}})
async def get_output(output_id: OutputId, studio: TheStudio, who: Reader) -> Response:
    """Its inputs, outputs, cost, duration and delivery."""
    return json_answer(output_document(await _output(studio, who, output_id)))


@router.get(
    "/outputs/{output_id}/media/{port}",
    summary="What an execution made, as it is",
    responses=CONTENT,
    response_class=Response,
)
async def get_output_media(
    output_id: OutputId,
    port: Annotated[str, Path(description="The output's name.", max_length=200)],
    studio: TheStudio,
    who: Reader,
    index: Annotated[int, Query(ge=0, le=10_000, description="Of a list of media.")] = 0,
) -> Response:
    """The content with its type; in parts when `Range` asks for them."""
    doc = await _output(studio, who, output_id)
    value = (doc.get("outputs") or {}).get(port)
    if isinstance(value, list) and index < len(value):
        value = value[index]
    if not is_media(value):
        raise NotFound(f"the output {output_id!r:.80} has no media at {port!r:.80}")
    return await _content(studio, value)


async def _content(studio: Studio, ref: MediaRef) -> Response:
    return await media_answer(studio, digest_of(ref), mime=str(ref.get("mime") or ""))


@router.get("/media/{digest}", summary="A content by its hash", responses=CONTENT, response_class=Response)
async def get_media(digest: Digest, studio: TheStudio, who: Reader) -> Response:
    """What your uploads, pieces, casts and collections name; nothing else is there."""
    mime = await studio.workshop.media.mime(digest, caller=caller_of(studio, who))
    return await media_answer(studio, digest, mime=mime)


@router.get(
    "/media/{digest}/thumbnail",
    summary="A small version of a picture",
    responses=CONTENT,
    response_class=Response,
)
async def get_thumbnail(
    digest: Digest,
    studio: TheStudio,
    who: Reader,
    edge: Annotated[Edge, Query(description="The longer side at most, in pixels.")] = "256",
) -> Response:
    """A WebP of the first frame; made once."""
    mime = await studio.workshop.media.mime(digest, caller=caller_of(studio, who))
    path = await studio.workshop.thumbnails.path(digest, mime=mime, edge=int(edge))
    return file_answer(path, f"{digest}-{edge}", mime="image/webp")
