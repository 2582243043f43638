"""Runs of spells that are paid by invoice: starting one, and watching it live."""

import re
from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from cauldron.api.access import TheStudio, Visiting, caller_of, principal_of, studio_of
from cauldron.api.answers import json_answer
from cauldron.api.authentication import bearer_of
from cauldron.api.live.sse import stream
from cauldron.api.routes.sessions import SECRET
from cauldron.api.shapes import Answer, Body
from cauldron.bootstrap import Studio
from cauldron.domain.errors import Invalid, NotFound
from cauldron.domain.identity import Forbidden, Principal, Unauthenticated
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
async def cast_spell(body: CastSpellBody, studio: TheStudio, who: Visiting) -> Response:
    """Looks at the inputs, sets the points aside, starts the run; 402 says what is missing."""
    started = await studio.workshop.paid_casting.cast(
        body.slug, token=body.invoice_id, context=body.context, caller=caller_of(studio, who)
    )
    return json_answer(started, status=202)


class TicketBody(Body):
    """The run whose stream is to be opened."""

    credit_tx_id: str = Field(pattern=CREDIT.pattern, examples=["01a1f93554e27f5b1647b928a108e46b"])


class TicketAnswer(Answer):
    """Append it to the stream's address as `&ticket=`: it opens this one stream, once."""

    ticket: str
    expiry: str


@router.post(
    "/{slug}/stream/ticket",
    status_code=201,
    summary="A ticket for the stream of a run",
    responses={201: {"model": TicketAnswer}},
)
async def make_ticket(
    slug: Annotated[str, Path(description="The spell's slug.", max_length=64)],
    body: TicketBody,
    request: Request,
    studio: TheStudio,
) -> Response:
    """For clients that can send no header with a stream: no token has to stand in an address.

    Ask with a session or key of the run's account, or with the run's `invoiceId` as bearer, also when
    the invoice is over. It is worth something for a minute.
    """
    who, _ = await _reader(request, slug=slug, credit=body.credit_tx_id)
    ticket = await studio.workshop.stream_tickets.issue(who, credit_tx_id=body.credit_tx_id)
    return json_answer(ticket, status=201, headers=SECRET)


class RunStream:
    """``GET …/:slug/stream?creditTxId=``: for the run's account, or by its invoice or a ticket."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, until the client goes or may not go on."""
        request = Request(scope, receive)
        credit = request.query_params.get("creditTxId", "")
        if not CREDIT.fullmatch(credit):
            _shown(request)  # who shows nothing is told that first
            raise Invalid("creditTxId: must be the 32 hex digits that casting answered with")
        who, run_id = await _reader(request, slug=request.path_params["slug"], credit=credit)
        await stream(request, send, topics=[f"cast:{run_id}"], who=who)


def _shown(request: Request) -> Principal | None:
    """Who makes a request; None when a bearer token or a ticket says so. Raises Unauthenticated."""
    found = request.scope["state"].get("principal")
    others = bearer_of(request.headers), request.query_params.get("ticket")
    return principal_of(request) if isinstance(found, Principal) or others == (None, None) else None


async def _reader(request: Request, *, slug: str, credit: str) -> tuple[Principal, str]:
    """Who may read the run that a hold pays for, and its id.

    Raises:
        Unauthenticated: nothing that is shown opens it. NotFound: it is not theirs, or not of this spell.
    """
    studio, who = studio_of(request), _shown(request)
    token, ticket = bearer_of(request.headers), request.query_params.get("ticket")
    if who is None and token is not None:
        who = await _bearer(studio, token, slug=slug, credit=credit)
    elif ticket is not None and not await _is_theirs(studio, who, slug=slug, credit=credit):
        who = await studio.workshop.stream_tickets.take(ticket, credit_tx_id=credit)
    who = who or principal_of(request)
    return who, await _run(studio, who, slug=slug, credit=credit)


async def _run(studio: Studio, who: Principal, *, slug: str, credit: str) -> str:
    """The id of a run that may be read. Raises NotFound, Forbidden."""
    who.need("read")
    run_id = await studio.workshop.paid_casting.run_of(slug, credit)
    await owned(studio.store, "casts", run_id, caller=caller_of(studio, who), noun="run")
    return run_id


async def _is_theirs(studio: Studio, who: Principal | None, *, slug: str, credit: str) -> bool:
    try:
        return who is not None and bool(await _run(studio, who, slug=slug, credit=credit))
    except (Forbidden, NotFound):
        return False


async def _bearer(studio: Studio, token: str, *, slug: str, credit: str) -> Principal:
    """Whoever holds the invoice of a run may read that run, also when the invoice is over.

    Whose run it is may have changed since: a guest's invoice opens it also once they have a name.
    """
    try:
        invoice = await studio.workshop.paid_casting.reader(token, slug=slug, credit_tx_id=credit)
    except InvoiceRejected as refusal:
        raise Unauthenticated(refusal.message) from refusal
    [run] = await studio.store.get("casts", [invoice["runId"]])
    owner = run["owner"] if run is not None else invoice["owner"]
    return Principal(
        account=owner, user=owner, scopes=frozenset(("read",)), via="invoice", credential=invoice["_id"]
    )


ROUTES: tuple[BaseRoute, ...] = (
    Route("/api/v1/spells/{slug}/stream", RunStream(), methods=["GET"], name="spell run stream"),
)
