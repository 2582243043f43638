"""The page of an account's points: how many, what is set aside, every posting with its run."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse
from starlette.responses import Response

from cauldron.api.access import TheStudio
from cauldron.api.routes.spell_pages import PAGE_HEADERS, site_of, visitor_of
from cauldron.api.shapes import decode_cursor, encode_cursor
from cauldron.bootstrap import Studio
from cauldron.domain.errors import Invalid
from cauldron.domain.identity import Principal
from cauldron.services.statements import ledger_account, worded
from cauldron.web.pages import points_page

router = APIRouter(tags=["pages"])
Of = Literal["available", "held", "creator"]
TABS: tuple[tuple[Of, str], ...] = (
    ("available", "To spend"),
    ("held", "Set aside and spent"),
    ("creator", "Earned"),
)
EMPTY = {
    "available": "No points came or went yet.",
    "held": "No points were set aside for a run yet.",
    "creator": "Nothing was earned yet: your share of paid casts of your spells will be here.",
}
ROWS = 50


@router.get("/points", summary="The page of your points", response_class=HTMLResponse)
async def get_points_page(
    request: Request,
    studio: TheStudio,
    of: Annotated[Of, Query()] = "available",
    cursor: Annotated[str | None, Query(max_length=500)] = None,
) -> Response:
    """Balance, holds and a statement; whoever is not signed in is asked to."""
    who = request.scope.get("state", {}).get("principal")
    known = isinstance(who, Principal) and "read" in who.scopes
    page = await _page(studio, who.account, of=of, cursor=cursor) if known and who is not None else None
    html = points_page(site_of(request, studio), page=page, visitor=visitor_of(request))
    return HTMLResponse(html, status_code=200 if known else 401, headers=PAGE_HEADERS)


async def _page(studio: Studio, account: str, *, of: Of, cursor: str | None) -> dict[str, Any]:
    name, statements = ledger_account(account, of), studio.workshop.statements
    after = list(decode_cursor(cursor, fields=3)) if cursor is not None else None
    if after is not None and after[0] != name:
        raise Invalid("cursor: of another account")
    await statements.catch_up(account)
    rows, following = await statements.page(name, limit=ROWS, after=after)
    balance = await statements.summary(account)
    rate = await studio.workshop.ledger.rate()
    return {
        "balance": balance,
        "of": of,
        "tabs": [tab for tab in TABS if tab[0] != "creator" or balance["earnedPts"] or of == "creator"],
        "rows": [row | {"says": worded(row)} for row in rows],
        "cursor": cursor,
        "next": encode_cursor(following) if following else None,
        "empty": EMPTY[of],
        "buys": bool(studio.workshop.rails),
        "price": f"${rate.micro_usd_per_point / 1_000_000:g}",
    }
