"""The page where people sign in; where the studio has no owner yet, the one who sets it up."""

import re
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse
from starlette.responses import Response

from cauldron.api.access import TheStudio
from cauldron.api.routes.spell_pages import PAGE_HEADERS, site_of, visitor_of
from cauldron.bootstrap import Studio
from cauldron.domain.identity import Principal
from cauldron.web.pages import sign_in_page

router = APIRouter(tags=["pages"])
# A path of this very site: what browsers take for another one's ("//host", "/\host") is not.
OWN_PATH = re.compile(r"/(?:[A-Za-z0-9._~!$&'()*+,;=:@%-][A-Za-z0-9._~!$&'()*+,;=:@%/?#-]*)?")
MAX_NEXT = 500


@router.get("/sign-in", summary="The page where people sign in", response_class=HTMLResponse)
async def get_sign_in(
    request: Request,
    studio: TheStudio,
    after: Annotated[
        str, Query(alias="next", max_length=2000, description="A path of this site that follows.")
    ] = "/",
) -> Response:
    """Sign in, set up the first owner, or see who is signed in. An invitation is opened here, too."""
    who = request.scope.get("state", {}).get("principal")
    known = who if isinstance(who, Principal) else None
    mode, name = await _mode(studio, known)
    page = sign_in_page(
        site_of(request, studio),
        mode=mode,
        after=own_path(after),
        visitor=visitor_of(request),
        name=name,
    )
    return HTMLResponse(page, headers=PAGE_HEADERS)


async def _mode(studio: Studio, who: Principal | None) -> tuple[str, str]:
    """What there is to do here, and who is signed in."""
    if who is not None and who.via == "local":
        return "set-up", ""
    if who is None and await studio.identity.authenticator.is_ownerless():
        return "locked", ""
    if who is None or who.is_guest:
        return "sign-in", ""
    return "known", str((await studio.identity.register.user(who.user))["name"])


def own_path(text: str) -> str:
    """A path of this site as it is, anything else as the start page."""
    return text if len(text) <= MAX_NEXT and OWN_PATH.fullmatch(text) else "/"
