"""Points for money: checkouts, what became of them, and what payment rails tell."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from cauldron.api.access import Key, Reader, TheStudio, Visiting, natural_id
from cauldron.api.answers import json_answer
from cauldron.api.problems import Rejected, problem
from cauldron.api.routes.spell_pages import site_of
from cauldron.api.shapes import MAX_PAGE, Answer, Body, decode_cursor, encode_cursor
from cauldron.domain.errors import Invalid
from cauldron.domain.ledger import milli_of

router = APIRouter(prefix="/api/v1/payments", tags=["payments"])
MAX_EVENT_BYTES = 256 * 1024
POINTS_PAGE = "/points"
Rail = Annotated[str, Path(description="What takes the money.", max_length=40)]
State = Literal["open", "paid", "failed", "expired", "review", "part_reversed", "reversed"]


class CheckoutBody(Body):
    """How many points, and who takes the money."""

    points: float = Field(gt=0, le=1_000_000_000, allow_inf_nan=False, examples=[500])
    rail: str | None = Field(
        default=None, min_length=1, max_length=40, description="Absent: the studio's first one."
    )


class PaymentAnswer(Answer):
    """A purchase of points. `money` and `reversed` are in whole units of the currency, such as dollars."""

    payment_id: str
    rail: str
    state: State
    points: float
    money: float
    currency: str
    reversed: float = Field(description="Of the money, what was given back or is disputed.")
    rate_id: str
    problem: str
    created_at: str
    updated_at: str


class CheckoutAnswer(PaymentAnswer):
    """Where to pay until `expiry`. Points come when the rail says that it has the money."""

    checkout_url: str
    expiry: str


class PaymentPage(Answer):
    """Payments, newest first."""

    items: list[PaymentAnswer]
    next: str | None


class EventAnswer(Answer):
    """It was written down; `fresh` is false when it had come before."""

    received: bool
    fresh: bool


@router.post(
    "/checkout",
    status_code=201,
    summary="Buy points",
    responses={201: {"model": CheckoutAnswer}},
)
async def check_out(
    body: CheckoutBody, request: Request, studio: TheStudio, who: Visiting, key: Key
) -> Response:
    """Opens a page of the rail to pay at. The same `Idempotency-Key` opens the same one."""
    site = site_of(request, studio)
    base = studio.settings.public_url.rstrip("/") or site.address("")
    if not base.startswith("http"):
        raise Invalid("Host: the address that you asked at cannot be told", path="host")
    bought = await studio.workshop.payments.checkout(
        who.account,
        milli_of(f"{body.points:.3f}"),
        actor=who.user,
        return_url=f"{base}{POINTS_PAGE}",
        rail=body.rail,
        payment_id=natural_id(who, key),
    )
    headers = {"location": f"/api/v1/payments/{bought['paymentId']}"}
    return json_answer(bought, status=201, headers=headers)


EVENT: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "An event in the rail's own form, signed in the rail's own header.",
        "content": {"application/json": {"schema": {"type": "object"}, "example": {}}},
    }
}


@router.post(
    "/webhooks/{rail}",
    summary="What a payment rail tells",
    openapi_extra=EVENT,
    responses={200: {"model": EventAnswer}},
)
async def hear(rail: Rail, request: Request, studio: TheStudio) -> Response:
    """For rails alone: the raw body is checked against its signature, written down once, and answered.

    What it claims is not believed: the rail is asked how the payment stands.
    """
    body = await request.body()
    if len(body) > MAX_EVENT_BYTES:
        said = f"a body may have {MAX_EVENT_BYTES} bytes here"
        raise Rejected(problem(413, "body_too_large", said, limitBytes=MAX_EVENT_BYTES))
    received = await studio.workshop.payments.receive(rail, body, request.headers)
    return json_answer({"received": True, "fresh": received.fresh})


@router.get("", summary="List purchases of points", responses={200: {"model": PaymentPage}})
async def list_payments(
    *,
    studio: TheStudio,
    who: Reader,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
) -> Response:
    """Those of your account, newest first."""
    after = list(decode_cursor(cursor, fields=3)) if cursor is not None else None
    if after is not None and after[0] != who.account:
        raise Invalid("cursor: not one of yours")
    items, following = await studio.workshop.payments.listing(who.account, limit=limit, after=after)
    return json_answer({"items": items, "next": encode_cursor(following) if following else None})


@router.get(
    "/{payment_id}", summary="Look at a purchase of points", responses={200: {"model": PaymentAnswer}}
)
async def get_payment(
    payment_id: Annotated[str, Path(description="The payment.", max_length=200)],
    studio: TheStudio,
    who: Reader,
) -> Response:
    """Whether its points have come, and what of its money went back."""
    return json_answer(await studio.workshop.payments.get(payment_id, account=who.account))
