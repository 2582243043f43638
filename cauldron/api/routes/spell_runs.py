"""Runs of spells that are paid by invoice: starting one, and watching it live."""

import re
from typing import Any

from fastapi import APIRouter
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from cauldron.api.access import Caster, TheStudio, caller_of, principal_of, studio_of
from cauldron.api.answers import json_answer
from cauldron.api.authentication import bearer_of
from cauldron.api.live.sse import stream
from cauldron.api.shapes import Answer, Body
from cauldron.bootstrap import Studio
from cauldron.domain.errors import Invalid
from cauldron.domain.identity import Principal, Unauthenticated
from cauldron.domain.invoice import InvoiceRejected
from cauldron.services.owned import owned

router = APIRouter(prefix="/api/v1/spells", tags=["spells"])
CREDIT = re.compile(r"[0-9a-f]{32}")


class CastSpellBody(Body):
    """The spell, the invoice that pays, and the inputs by the spell's schema."""

    slug: str = Field(min_length=1, max_length=64, examples=["postcard"])
    invoice_id: str = Field(
        min_length=1, max_length=4096, description="From `POST /api/v1/payments/invoice`."
    )
    context: dict[str, Any] = Field(default_factory=dict, examples=[{"place": "Port Ember"}])


class StartedRun(Answer):
    """The same invoice again is answered with the same ids."""

    credit_tx_id: str
    run_id: str


@router.post(
    "/cast", status_code=202, summary="Cast a spell on an invoice", responses={202: {"model": StartedRun}}
)
async def cast_spell(body: CastSpellBody, studio: TheStudio, who: Caster) -> Response:
    """Looks at the inputs, sets the points aside, starts the run; 402 says what is missing."""
    started = await studio.workshop.paid_casting.cast(
        body.slug, token=body.invoice_id, context=body.context, caller=caller_of(studio, who)
    )
    return json_answer(started, status=202)


class RunStream:
    """``GET …/:slug/stream?creditTxId=``: for the account of the run, or with its invoice as bearer."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, until the client goes or may not go on."""
        request = Request(scope, receive)
        studio, slug = studio_of(request), request.path_params["slug"]
        credit = request.query_params.get("creditTxId", "")
        token = bearer_of(request.headers)
        by_invoice = token is not None and not isinstance(scope["state"].get("principal"), Principal)
        who = None if by_invoice else principal_of(request)
        if not CREDIT.fullmatch(credit):
            raise Invalid("creditTxId: must be the 32 hex digits that casting answered with")
        if who is None:
            who = await _bearer(studio, token or "", slug=slug, credit=credit)
        who.need("read")
        run_id = await studio.workshop.paid_casting.run_of(slug, credit)
        await owned(studio.store, "casts", run_id, caller=caller_of(studio, who), noun="run")
        await stream(request, send, topics=[f"cast:{run_id}"], who=who)


async def _bearer(studio: Studio, token: str, *, slug: str, credit: str) -> Principal:
    """Whoever holds the invoice of a run may read that run, also when the invoice is over."""
    try:
        invoice = await studio.workshop.paid_casting.reader(token, slug=slug, credit_tx_id=credit)
    except InvoiceRejected as refusal:
        raise Unauthenticated(refusal.message) from refusal
    owner = invoice["owner"]
    return Principal(
        account=owner, user=owner, scopes=frozenset(("read",)), via="invoice", credential=invoice["_id"]
    )


ROUTES: tuple[BaseRoute, ...] = (
    Route("/api/v1/spells/{slug}/stream", RunStream(), methods=["GET"], name="spell run stream"),
)
