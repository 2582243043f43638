"""Invoices: what one cast of a spell costs, as a token that starts it."""

from typing import Any

from fastapi import APIRouter
from pydantic import Field
from starlette.responses import Response

from cauldron.api.access import Caster, Key, TheStudio, caller_of
from cauldron.api.answers import json_answer
from cauldron.api.routes.spell_runs import CastSpellBody, StartedRun, cast_spell
from cauldron.api.shapes import Answer, Body

router = APIRouter(prefix="/api/v1/payments", tags=["payments"])


class InvoiceBody(Body):
    """Which spell, and what to pay in."""

    spell_slug: str = Field(min_length=1, max_length=64, examples=["postcard"])
    asset: str = Field(
        default="points", min_length=1, max_length=60, description="One of CAULDRON_PAYMENT_ASSETS."
    )


class InvoiceAnswer(Answer):
    """A quote that stands until ``expiry``; ``invoiceId`` is the token that casting takes."""

    invoice_id: str
    cost_pts: float = Field(description="What the run is expected to cost.")
    cap_pts: float = Field(description="What it costs at most: so many points are set aside.")
    expiry: str
    rate_id: str
    spell_version: str
    asset: str
    estimate: dict[str, Any] | None


@router.post("/invoice", summary="Quote one cast of a spell", responses={200: {"model": InvoiceAnswer}})
async def make_invoice(body: InvoiceBody, studio: TheStudio, who: Caster, key: Key) -> Response:
    """Charges nothing. Without an `Idempotency-Key` an invoice that is open already is given again."""
    caller = caller_of(studio, who)
    invoice = await studio.workshop.paid_casting.invoice(
        body.spell_slug, asset=body.asset, caller=caller, key=key
    )
    return json_answer(invoice)


@router.post(
    "/prepare-spell",
    summary="The older name of asking for an invoice",
    responses={200: {"model": InvoiceAnswer}},
    deprecated=True,
)
async def prepare_spell(body: InvoiceBody, studio: TheStudio, who: Caster, key: Key) -> Response:
    """The same as `POST /api/v1/payments/invoice`, until the day that the header `Sunset` names."""
    return await make_invoice(body, studio, who, key)


@router.post(
    "/confirm",
    status_code=202,
    summary="The older name of casting on an invoice",
    responses={202: {"model": StartedRun}},
    deprecated=True,
)
async def confirm_spell(body: CastSpellBody, studio: TheStudio, who: Caster) -> Response:
    """The same as `POST /api/v1/spells/cast`, until the day that the header `Sunset` names."""
    return await cast_spell(body, studio, who)
