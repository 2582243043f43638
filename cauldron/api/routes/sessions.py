"""Signing in and out, who one is, and one's own password."""

from typing import Annotated

import structlog
from fastapi import APIRouter, Depends, Request, Response
from starlette.requests import HTTPConnection

from cauldron.api import cookies
from cauldron.api.access import TheStudio, principal_of
from cauldron.api.authentication import session_token
from cauldron.api.routes.identity_bodies import Entry, Me, NewPassword
from cauldron.bootstrap import Studio
from cauldron.domain.credentials import SESSION, Token, parse_token
from cauldron.domain.errors import CauldronError, Refused
from cauldron.domain.identity import GUEST, GUEST_SCOPES, ROLES, SCOPES, Forbidden, Principal
from cauldron.ports.storage import Doc

log = structlog.get_logger("cauldron.api")
router = APIRouter(prefix="/api/v1", tags=["identity"])
SignedIn = Annotated[Principal, Depends(principal_of)]
SECRET = {"cache-control": "no-store"}  # neither kept by anybody nor replayed


@router.post("/session", status_code=201, summary="Sign in")
async def sign_in(body: Entry, request: Request, response: Response, studio: TheStudio) -> Me:
    """Opens a session in a cookie. Unsafe requests then need the header `X-CSRF-Token` with `csrfToken`.

    Who was a guest keeps what is theirs: points, runs and pictures come along, unless `keepGuest` is false.
    After too many tries the answer is 429 with `Retry-After`.
    """
    cookies.check_transport(request.scope, request.headers)
    session, guest = brought(request, keep=body.keep_guest)
    user, token = await studio.identity.sessions.sign_in(
        body.name, body.password, address=address_of(request), replacing=session, guest=guest
    )
    await settle_in(studio, guest)
    return signed_in(user, token, request, response)


def brought(request: Request, *, keep: bool) -> tuple[str, str]:
    """The session that a browser brings, which ends, and its guest's account if that is to come along."""
    before = _shown(request)
    if before is None or before.via != "session":
        return "", ""
    return before.credential, before.account if keep and before.is_guest else ""


async def settle_in(studio: Studio, guest: str) -> None:
    """Bring along what a guest has; what cannot be done at once, a loop does."""
    if not guest:
        return
    try:
        await studio.workshop.adopting.finish(guest)
    except CauldronError as failure:
        log.warning("guest not adopted yet", guest=guest, code=failure.code)


@router.post("/session/guest", status_code=201, summary="Go on as a guest")
async def go_on_as_guest(request: Request, response: Response, studio: TheStudio) -> Me:
    """Opens a session, in a cookie, on an account of its own that lasts as long as the session.

    A guest may cast what is offered to visitors, and sees what came of it. Who is a guest already stays it.
    """
    cookies.check_transport(request.scope, request.headers)
    before = _shown(request)
    if before is not None and before.is_guest:
        return await me(request, response, studio, before)
    if before is not None:
        raise Refused("you are signed in: there is no need to be a guest")
    if not studio.settings.guests:
        raise Forbidden("this studio has no guests: sign in")
    user, token = await studio.identity.sessions.start_guest(address=address_of(request))
    return signed_in(user, token, request, response)


@router.delete("/session", status_code=204, summary="Sign out")
async def sign_out(request: Request, response: Response, studio: TheStudio) -> None:
    """Ends the session and takes the cookie away; without a session there is nothing to do."""
    who = _shown(request)
    if who is not None:
        await studio.identity.sessions.end(who)
    cookies.take(response, request.scope)


@router.get("/me", summary="Who I am")
async def me(request: Request, response: Response, studio: TheStudio, who: SignedIn) -> Me:
    """Who makes the request and what they may do; for a session also its CSRF token."""
    response.headers.update(SECRET)
    if who.via == "local":
        return Me(
            id=who.user,
            name=who.user,
            role="owner",
            account=who.account,
            scopes=[scope for scope in SCOPES if scope in who.scopes],
            via="local",
        )
    guest = {"_id": who.user, "account": who.account, "name": GUEST, "role": GUEST}
    user = guest if who.is_guest else await studio.identity.register.user(who.user)
    token = parse_token(session_token(request.scope, request.headers) or "", SESSION)
    return _me(user, who, token if who.via == "session" else None)


@router.post("/me/password", status_code=200, summary="Change my password")
async def change_password(
    body: NewPassword, request: Request, response: Response, studio: TheStudio, who: SignedIn
) -> Me:
    """Ends every session of yours and opens a new one in place of this one."""
    cookies.check_transport(request.scope, request.headers)
    user, token = await studio.identity.sessions.change_password(
        who, current=body.current, new=body.new, address=address_of(request)
    )
    return signed_in(user, token, request, response)


def signed_in(user: Doc, token: Token, request: Request, response: Response) -> Me:
    """Give the browser its session, and say whose it is."""
    cookies.give(response, request.scope, token)
    response.headers.update(SECRET)
    scopes = GUEST_SCOPES if user["role"] == GUEST else ROLES[user["role"]]
    who = Principal(account=user["account"], user=user["_id"], scopes=scopes, via="session")
    return _me(user, who, token)


def address_of(connection: HTTPConnection) -> str:
    """Where a request comes from, as far as we can trust it."""
    return connection.client.host if connection.client else ""


def _shown(request: Request) -> Principal | None:
    found = request.scope.get("state", {}).get("principal")
    return found if isinstance(found, Principal) else None


def _me(user: Doc, who: Principal, token: Token | None) -> Me:
    return Me(
        id=user["_id"],
        name=user["name"],
        role=user["role"],
        account=user["account"],
        scopes=[scope for scope in SCOPES if scope in who.scopes],
        via=who.via,
        csrf_token=token.csrf if token else None,
    )
