"""Invoices: what one cast of a spell costs, as a token that starts it; and who pays for whom."""

from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import Field
from starlette.responses import Response

from cauldron.api.access import Caster, Key, TheStudio, Visiting, caller_of
from cauldron.api.answers import json_answer
from cauldron.api.routes.spell_runs import CastSpellBody, StartedRun, cast_spell
from cauldron.api.shapes import Answer, Body
from cauldron.services.sponsoring import sponsorship_view

router = APIRouter(prefix="/api/v1/payments", tags=["payments"])


class InvoiceBody(Body):
    """Which spell, and what to pay in."""

    spell_slug: str = Field(min_length=1, max_length=64, examples=["postcard"])
    asset: str = Field(
        default="points", min_length=1, max_length=60, description="One of CAULDRON_PAYMENT_ASSETS."
    )
    payer_account_id: str | None = Field(
        default=None, min_length=1, max_length=120, description="Who pays, if not you: it must have said so."
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
    payer_account_id: str
    estimate: dict[str, Any] | None


@router.post("/invoice", summary="Quote one cast of a spell", responses={200: {"model": InvoiceAnswer}})
async def make_invoice(body: InvoiceBody, studio: TheStudio, who: Visiting, key: Key) -> Response:
    """Charges nothing. Without an `Idempotency-Key` an invoice that is open already is given again."""
    caller = caller_of(studio, who)
    invoice = await studio.workshop.paid_casting.invoice(
        body.spell_slug, asset=body.asset, caller=caller, payer=body.payer_account_id, key=key
    )
    if invoice["capPts"]:
        await studio.workshop.ledger.check_unlocked(body.payer_account_id or caller.account)
    return json_answer(invoice)


@router.post(
    "/prepare-spell",
    summary="The older name of asking for an invoice",
    responses={200: {"model": InvoiceAnswer}},
    deprecated=True,
)
async def prepare_spell(body: InvoiceBody, studio: TheStudio, who: Visiting, key: Key) -> Response:
    """The same as `POST /api/v1/payments/invoice`, until the day that the header `Sunset` names."""
    return await make_invoice(body, studio, who, key)


@router.post(
    "/confirm",
    status_code=202,
    summary="The older name of casting on an invoice",
    responses={202: {"model": StartedRun}},
    deprecated=True,
)
async def confirm_spell(body: CastSpellBody, studio: TheStudio, who: Visiting) -> Response:
    """The same as `POST /api/v1/spells/cast`, until the day that the header `Sunset` names."""
    return await cast_spell(body, studio, who)


class SponsorBody(Body):
    """How much is paid."""

    most_pts: float = Field(
        ge=0, le=1_000_000, description="For one cast, at most.", examples=[25], allow_inf_nan=False
    )
    total_pts: float | None = Field(
        default=None,
        ge=0,
        le=1_000_000_000,
        description="In all, until it is ended, at most; absent: without bound.",
        examples=[500],
        allow_inf_nan=False,
    )


class Sponsorship(Answer):
    """Your account pays for casts of this one."""

    account_id: str
    most_pts: float
    total_pts: float | None
    used_pts: float = Field(description="What is spent or set aside under it.")
    actor: str
    updated_at: str


class Sponsorships(Answer):
    """For whom your account pays."""

    items: list[Sponsorship]


AccountId = Annotated[str, Path(description="The account whose casts are paid for.", max_length=120)]


@router.get("/sponsored", summary="For whom my account pays", responses={200: {"model": Sponsorships}})
async def list_sponsored(studio: TheStudio, who: Caster) -> Response:
    """Accounts that may name yours in `payerAccountId`."""
    found = await studio.workshop.sponsoring.of(who.account)
    used = await studio.workshop.ledger.sponsored(who.account)
    return json_answer({"items": [sponsorship_view(doc, used) for doc in found]})


@router.put(
    "/sponsored/{account_id}",
    summary="Pay for casts of another account",
    responses={200: {"model": Sponsorship}},
)
async def sponsor(account_id: AccountId, body: SponsorBody, studio: TheStudio, who: Caster) -> Response:
    """What is made is theirs, and only they can look at it. Said again, the last word counts."""
    doc = await studio.workshop.sponsoring.allow(
        who.account,
        account_id,
        most_milli=round(body.most_pts * 1000),
        total_milli=None if body.total_pts is None else round(body.total_pts * 1000),
        actor=who.user,
    )
    return json_answer(sponsorship_view(doc, await studio.workshop.ledger.sponsored(who.account)))


@router.delete("/sponsored/{account_id}", status_code=204, summary="Pay for another account no more")
async def end_sponsoring(account_id: AccountId, studio: TheStudio, who: Caster) -> Response:
    """Invoices that are open start nothing any more; what was begun is still paid for."""
    await studio.workshop.sponsoring.end(who.account, account_id)
    return Response(status_code=204)
