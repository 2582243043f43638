"""Points of your account: how many there are, what is set aside, and every posting."""

from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import Field
from starlette.responses import Response, StreamingResponse

from cauldron.api.access import Reader, TheStudio
from cauldron.api.answers import json_answer
from cauldron.api.shapes import MAX_PAGE, Answer, decode_cursor, encode_cursor
from cauldron.domain.errors import Invalid
from cauldron.services.statements import as_csv, ledger_account, worded

router = APIRouter(prefix="/api/v1/points", tags=["payments"])
MOST_ROWS = 100_000
Of = Annotated[
    Literal["available", "held", "creator", "accrued"], Query(description="Which of your accounts.")
]


class OpenHold(Answer):
    """Points that are set aside for a run."""

    hold: str
    run: str | None
    slug: str | None = Field(description="The spell that is cast; null for a cook.")
    cap_pts: float
    spent_pts: float
    left_pts: float


class PointsAnswer(Answer):
    """What an account may spend, what is set aside, what it owes, what it may withdraw."""

    account: str
    available_pts: float
    held_pts: float
    open_holds: int
    by_kind: dict[str, float]
    owed_pts: float = Field(description="Spent points whose payment was taken back; nothing starts until 0.")
    next_expiry: str | None
    payable_pts: float
    earned_pts: float
    withdrawn_pts: float
    holds: list[OpenHold]


class PostingAnswer(Answer):
    """A leg of a posting group."""

    at: str
    account: str
    points: float
    kind: str
    says: str
    group: str
    hold: str | None
    run: str | None
    slug: str | None
    note: str
    actor: str


class StatementPage(Answer):
    """Postings, newest first."""

    account: str
    items: list[PostingAnswer]
    next: str | None


@router.get("", summary="Your points", responses={200: {"model": PointsAnswer}})
async def get_points(studio: TheStudio, who: Reader) -> Response:
    """Exact now. At most 100 holds are told, the newest first."""
    return json_answer(await studio.workshop.statements.summary(who.account))


@router.get("/statement", summary="Where your points went", responses={200: {"model": StatementPage}})
async def get_statement(
    *,
    studio: TheStudio,
    who: Reader,
    of: Of = "available",
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
) -> Response:
    """Every posting with the run that it was for, newest first."""
    name = ledger_account(who.account, of)
    after = list(decode_cursor(cursor, fields=3)) if cursor is not None else None
    if after is not None and after[0] != name:
        raise Invalid("cursor: of another account")
    statements = studio.workshop.statements
    if after is None:
        await statements.catch_up(who.account)
    rows, following = await statements.page(name, limit=limit, after=after)
    items = [row | {"says": worded(row)} for row in rows]
    return json_answer(
        {"account": name, "items": items, "next": encode_cursor(following) if following else None}
    )


CSV: dict[int | str, dict[str, Any]] = {
    200: {"description": "A row per posting.", "content": {"text/csv": {"schema": {"type": "string"}}}}
}


@router.get("/statement.csv", summary="The same as CSV", responses=CSV, response_class=StreamingResponse)
async def get_csv(
    *,
    studio: TheStudio,
    who: Reader,
    of: Of = "available",
    limit: Annotated[int, Query(ge=1, le=MOST_ROWS)] = MOST_ROWS,
) -> Response:
    """Newest first, at most 100,000 rows. Text that a spreadsheet would take for a formula is quoted."""
    name = ledger_account(who.account, of)
    statements = studio.workshop.statements
    await statements.catch_up(who.account)

    async def pages() -> AsyncIterator[str]:
        header = True
        async for rows in statements.all(name, limit=limit):
            yield as_csv(rows, header=header)
            header = False

    headers = {"content-disposition": f'attachment; filename="points-{of}.csv"'}
    return StreamingResponse(pages(), media_type="text/csv; charset=utf-8", headers=headers)
