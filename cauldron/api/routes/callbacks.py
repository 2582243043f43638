"""Callbacks: the account's signing secret, and what became of every message."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from cauldron.api.access import Editor, Reader, TheStudio, caller_of
from cauldron.api.answers import json_answer, page_answer, picked
from cauldron.api.shapes import MAX_PAGE, Answer, decode_cursor
from cauldron.bootstrap import Studio
from cauldron.domain.identity import Principal
from cauldron.domain.times import iso
from cauldron.persistence.tables import DELIVERIES
from cauldron.ports.storage import Doc, Where
from cauldron.services.owned import owned
from cauldron.services.pages import Listing

router = APIRouter(prefix="/api/v1/callbacks", tags=["callbacks"])
DeliveryId = Annotated[str, Path(description="The message's id.", max_length=200)]
Status = Literal["pending", "sending", "sent", "dropped"]
FIELDS = (
    "runId", "kind", "type", "url", "status", "attempts", "answer", "error", "createdAt", "deliveredAt",
)  # fmt: skip


class SecretAnswer(Answer):
    """Since when messages are signed with the present secret; null: there is none yet."""

    created_at: str | None


class NewSecret(Answer):
    """The secret, shown this once. The one before signs beside it for a day."""

    secret: str
    created_at: str


class DeliveryAnswer(Answer):
    """A message: `answer` is the status of the last answer."""

    delivery_id: str
    run_id: str
    kind: Literal["cast", "cook"]
    type: str
    url: str
    status: Status
    attempts: int
    answer: int | None
    error: str | None
    created_at: str
    delivered_at: str | None
    next_try_at: str | None


class DeliveryPage(Answer):
    """Messages, newest first."""

    items: list[DeliveryAnswer]
    next: str | None


def delivery_document(doc: Doc) -> dict[str, Any]:
    """A delivery as its owner sees it."""
    upcoming = iso(doc["runAt"]) if doc["status"] == "pending" else None
    return picked(doc, FIELDS, deliveryId="_id") | {"nextTryAt": upcoming}


@router.get("/secret", summary="Since when callbacks are signed with the present secret")
async def get_secret(studio: TheStudio, who: Reader) -> SecretAnswer:
    """The secret itself is shown once, when it is made."""
    return SecretAnswer(created_at=await studio.workshop.webhook_secrets.since(who.account))


@router.post("/secret", summary="Change the secret that callbacks are signed with", status_code=201)
async def rotate_secret(studio: TheStudio, who: Editor) -> NewSecret:
    """For a day messages carry two signatures, of the new and of the old secret."""
    who.need_grant()
    doc = await studio.workshop.webhook_secrets.rotate(who.account)
    return NewSecret(secret=doc["secret"], created_at=doc["createdAt"])


@router.get(
    "/deliveries", summary="List callback messages, newest first", responses={200: {"model": DeliveryPage}}
)
async def list_deliveries(
    *,
    studio: TheStudio,
    who: Reader,
    run: Annotated[str | None, Query(alias="runId", max_length=200)] = None,
    status: Annotated[Status | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = MAX_PAGE,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
) -> Response:
    """Of the account, or of one cast or cook."""
    caller = caller_of(studio, who)
    where: Where = {"owner": caller.account} | ({"runId": run} if run is not None else {})
    listing = Listing(
        table=DELIVERIES,
        where=where,
        order=("-createdAt",),
        admits=lambda doc: doc["environment"] == caller.environment and status in (None, doc["status"]),
    )
    after = decode_cursor(cursor, fields=2) if cursor is not None else None
    return page_answer(await listing.page(studio.store, limit=limit, after=after), delivery_document)


async def _delivery(studio: Studio, who: Principal, delivery_id: str) -> Doc:
    return await owned(studio.store, DELIVERIES, delivery_id, caller=caller_of(studio, who), noun="delivery")


@router.get(
    "/deliveries/{delivery_id}", summary="Look at one message", responses={200: {"model": DeliveryAnswer}}
)
async def get_delivery(delivery_id: DeliveryId, studio: TheStudio, who: Reader) -> Response:
    """How often it was tried, and what came back."""
    return json_answer(delivery_document(await _delivery(studio, who, delivery_id)))


@router.post(
    "/deliveries/{delivery_id}/retry",
    status_code=202,
    summary="Send a dropped message again",
    responses={202: {"model": DeliveryAnswer}},
)
async def retry_delivery(delivery_id: DeliveryId, studio: TheStudio, who: Editor) -> Response:
    """Under the same id, with as many tries as a new one."""
    await _delivery(studio, who, delivery_id)
    await studio.workshop.callbacks.retry(delivery_id)
    return json_answer(delivery_document(await _delivery(studio, who, delivery_id)), status=202)
