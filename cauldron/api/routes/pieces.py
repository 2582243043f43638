"""Pieces: pages of them, the queue of those to review, and decisions, alone and by the fifty."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import Field
from starlette.responses import Response

from cauldron.api.access import Cook, Key, Reader, Reviewer, TheStudio, caller_of
from cauldron.api.answers import json_answer, page_answer, picked
from cauldron.api.problems import problem_of
from cauldron.api.shapes import MAX_PAGE, Answer, Body, decode_cursor
from cauldron.bootstrap import Studio
from cauldron.domain.errors import CauldronError, Invalid, InvalidMany, NotFound, Problem, Refused
from cauldron.domain.identity import Principal
from cauldron.ports.storage import Doc
from cauldron.services.owned import owned
from cauldron.services.piece_listing import MOST_NUMBER, PieceQuery
from cauldron.services.reviewing import MOST_DECISIONS, Decision

router = APIRouter(prefix="/api/v1", tags=["pieces"])
POPPED = 48  # unless more or fewer are asked for
MOST_TRAITS = 10
FIELDS = (
    "cookId", "collectionId", "number", "slot", "state", "traits", "attempts", "output", "outputId", "error",
    "durationMs", "costUsd", "reviewReason", "reviewedBy", "createdAt", "updatedAt",
)  # fmt: skip
Verdict = Literal["approve", "reject", "cull", "keep", "revive", "reset"]
PieceState = Literal["generated", "failed", "approved", "rejected", "culled", "kept"]
PieceId = Annotated[str, Path(description="The piece: `<cookId>.<number>`.", max_length=200)]
CookId = Annotated[str, Path(description="The cook.", max_length=200)]
Reason = Annotated[str, Field(max_length=1000)]


class PieceAnswer(Answer):
    """A piece that has been made, or failed."""

    piece_id: str
    cook_id: str
    collection_id: str | None
    number: int
    slot: int | None
    state: PieceState
    traits: dict[str, Any]
    attempts: int | None
    output: dict[str, Any] | None
    output_id: str | None
    error: dict[str, Any] | None
    duration_ms: int | None
    cost_usd: float | None
    review_reason: str | None
    reviewed_by: str | None
    created_at: str | None
    updated_at: str | None


class PiecePage(Answer):
    """Pieces in the order of their numbers; ``next`` is the cursor of the page that follows."""

    items: list[PieceAnswer]
    next: str | None


class PopBody(Body):
    """How many pieces to look at."""

    limit: int = Field(default=POPPED, ge=1, le=MAX_PAGE, examples=[48])
    again: bool = Field(default=False, description="First those that you hold already, for longer.")


class Popped(Answer):
    """Pieces that nobody else is handed until ``until_ms`` (ms since 1970 UTC)."""

    items: list[PieceAnswer]
    until_ms: int


class ReleaseBody(Body):
    """Which pieces to give back; absent: all that you hold of this cook."""

    pieces: list[Annotated[str, Field(max_length=200)]] | None = Field(default=None, max_length=1000)


class Released(Answer):
    """How many were given back."""

    released: int


class ReviewBody(Body):
    """Why, kept with the piece."""

    reason: Reason = Field(default="", examples=["the hat covers the eyes"])


class RerollBody(Body):
    """How the new piece is chosen."""

    same: bool = Field(default=False, description="Try the same traits again.")


class Rerolled(Answer):
    """How many new pieces were queued."""

    queued: int


class BulkItem(Body):
    """A decision on one piece."""

    piece_id: str = Field(max_length=200)
    decision: Verdict
    reason: Reason = ""


class BulkBody(Body):
    """Decisions, each on its own: one that is refused stops no other."""

    items: list[BulkItem] = Field(min_length=1, max_length=MOST_DECISIONS)


class BulkResult(Answer):
    """What became of one decision; ``error`` is a problem without a status line."""

    piece_id: str
    status: int
    changed: bool
    error: dict[str, Any] | None


class BulkAnswer(Answer):
    """The results in the order of the decisions."""

    items: list[BulkResult]
    changed: int


def piece_document(doc: Doc) -> dict[str, Any]:
    """A piece as everybody sees it."""
    shown = picked(doc, FIELDS, pieceId="_id")
    return shown | {"traits": doc.get("traits") or {}}


@router.get(
    "/cooks/{cook_id}/pieces",
    summary="List a cook's pieces, by state, trait and number",
    responses={200: {"model": PiecePage}},
)
async def list_pieces(
    *,
    cook_id: CookId,
    studio: TheStudio,
    who: Reader,
    state: Annotated[PieceState | None, Query()] = None,
    trait: Annotated[
        list[Annotated[str, Query(max_length=400)]], Query(max_length=MOST_TRAITS, examples=[["Hat=Fez"]])
    ] = [],  # noqa: B006 - FastAPI copies it
    number_from: Annotated[int, Query(alias="from", ge=1, le=MOST_NUMBER)] = 1,
    number_to: Annotated[int, Query(alias="to", ge=1, le=MOST_NUMBER)] = MOST_NUMBER,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = MAX_PAGE,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
) -> Response:
    """Pieces that have been made; `trait` is `Label=Value`, and may be given several times."""
    await _cook(studio, who, cook_id)
    query = PieceQuery(cook_id=cook_id, state=state, first=number_from, last=number_to, traits=_traits(trait))
    after = _place(cursor)
    return page_answer(await studio.workshop.pieces.page(query, limit=limit, after=after), piece_document)


def _traits(texts: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for index, text in enumerate(texts):
        label, equals, value = text.partition("=")
        if not equals or not label:
            problem = Problem(path=f"query.trait[{index}]", code="malformed", message="must be Label=Value")
            raise InvalidMany([problem])
        found[label] = value
    return found


def _place(cursor: str | None) -> tuple[int, str] | None:
    if cursor is None:
        return None
    number, piece = decode_cursor(cursor, fields=2)
    if not isinstance(number, int) or not isinstance(piece, str) or not 0 <= number <= MOST_NUMBER:
        raise Invalid("cursor: not one of ours")
    return number, piece


async def _cook(studio: Studio, who: Principal, cook_id: str) -> Doc:
    return await owned(studio.store, "cook_status", cook_id, caller=caller_of(studio, who), noun="cook")


async def _piece(studio: Studio, who: Principal, piece_id: str) -> Doc:
    return await owned(studio.store, "pieces", piece_id, caller=caller_of(studio, who), noun="piece")


@router.get("/pieces/{piece_id}", summary="Look at one piece", responses={200: {"model": PieceAnswer}})
async def get_piece(piece_id: PieceId, studio: TheStudio, who: Reader) -> Response:
    """The piece with its traits, its picture and the decision on it."""
    return json_answer(piece_document(await _piece(studio, who, piece_id)))


@router.post(
    "/cooks/{cook_id}/review/pop",
    summary="Take unreviewed pieces to look at, kept from other reviewers",
    responses={200: {"model": Popped}},
)
async def pop(cook_id: CookId, studio: TheStudio, who: Reviewer, body: PopBody | None = None) -> Response:
    """Generated pieces, lowest numbers first, leased to you for ten minutes."""
    wanted = body or PopBody()
    cook = await _cook(studio, who, cook_id)
    handed = await studio.workshop.review_queue.pop(
        cook, reviewer=who.user, limit=wanted.limit, again=wanted.again
    )
    return json_answer({"items": list(map(piece_document, handed.pieces)), "untilMs": handed.until_ms})


@router.post("/cooks/{cook_id}/review/release", summary="Give pieces back to the queue")
async def release(
    cook_id: CookId, studio: TheStudio, who: Reviewer, body: ReleaseBody | None = None
) -> Released:
    """Others may be handed them at once."""
    await _cook(studio, who, cook_id)
    pieces = body.pieces if body else None
    return Released(
        released=await studio.workshop.review_queue.release(cook_id, reviewer=who.user, pieces=pieces)
    )


async def _decide(
    studio: Studio, who: Principal, piece_id: str, *, verdict: Verdict, key: str | None, reason: str = ""
) -> Response:
    doc = await _piece(studio, who, piece_id)
    _check_reviewable(doc)
    await studio.reviewing.review(
        doc["cookId"],
        verdict,
        pieces=[doc["number"]],
        actor=who.user,
        reason=reason,
        key=key,
    )
    await studio.workshop.review_queue.decided([piece_id])
    return json_answer(piece_document(await _piece(studio, who, piece_id)))


def _check_reviewable(doc: Doc) -> None:
    if doc.get("imported"):
        raise Refused("this piece came from an earlier system: it is kept as it was decided there")


@router.post("/pieces/{piece_id}/approve", summary="Approve a piece", responses={200: {"model": PieceAnswer}})
async def approve(piece_id: PieceId, studio: TheStudio, who: Reviewer, key: Key) -> Response:
    """It will be part of the collection."""
    return await _decide(studio, who, piece_id, key=key, verdict="approve")


@router.post("/pieces/{piece_id}/reject", summary="Reject a piece", responses={200: {"model": PieceAnswer}})
async def reject(
    piece_id: PieceId, studio: TheStudio, who: Reviewer, key: Key, body: ReviewBody | None = None
) -> Response:
    """A re-roll makes another for its slot."""
    reason = body.reason if body else ""
    return await _decide(studio, who, piece_id, key=key, verdict="reject", reason=reason)


@router.post(
    "/pieces/{piece_id}/cull", summary="Leave an approved piece out", responses={200: {"model": PieceAnswer}}
)
async def cull(
    piece_id: PieceId, studio: TheStudio, who: Reviewer, key: Key, body: ReviewBody | None = None
) -> Response:
    """The second round, among approved pieces."""
    reason = body.reason if body else ""
    return await _decide(studio, who, piece_id, key=key, verdict="cull", reason=reason)


@router.post(
    "/pieces/{piece_id}/keep",
    summary="Keep a piece in the second round",
    responses={200: {"model": PieceAnswer}},
)
async def keep(piece_id: PieceId, studio: TheStudio, who: Reviewer, key: Key) -> Response:
    """An approved piece is marked as kept, a culled one brought back."""
    return await _decide(studio, who, piece_id, key=key, verdict="keep")


@router.post(
    "/pieces/{piece_id}/revive", summary="Bring a culled piece back", responses={200: {"model": PieceAnswer}}
)
async def revive(piece_id: PieceId, studio: TheStudio, who: Reviewer, key: Key) -> Response:
    """It is part of the collection again."""
    return await _decide(studio, who, piece_id, key=key, verdict="revive")


@router.post(
    "/pieces/{piece_id}/reset", summary="Take a decision back", responses={200: {"model": PieceAnswer}}
)
async def reset(piece_id: PieceId, studio: TheStudio, who: Reviewer, key: Key) -> Response:
    """The piece waits for review again."""
    return await _decide(studio, who, piece_id, key=key, verdict="reset")


@router.post(
    "/pieces/{piece_id}/reroll", status_code=202, summary="Make another piece for a rejected or failed one"
)
async def reroll(piece_id: PieceId, studio: TheStudio, who: Cook, body: RerollBody | None = None) -> Rerolled:
    """The slot is rolled anew, or tried again as it is; rules, counts and all other pieces stay."""
    doc = await _piece(studio, who, piece_id)
    _check_reviewable(doc)
    same = body.same if body else False
    queued = await studio.reviewing.refill(doc["cookId"], pieces=[doc["number"]], actor=who.user, same=same)
    return Rerolled(queued=queued)


@router.post(
    "/pieces/bulk",
    summary="Decide on up to 50 pieces at once",
    responses={200: {"model": BulkAnswer}, 207: {"model": BulkAnswer, "description": "Some were refused."}},
)
async def bulk(body: BulkBody, studio: TheStudio, who: Reviewer, key: Key) -> Response:
    """One commit per cook; each decision has its own result, 207 when one was refused."""
    docs = await studio.store.get("pieces", list(dict.fromkeys(item.piece_id for item in body.items)))
    caller = caller_of(studio, who)
    mine = {
        doc["_id"]: doc
        for doc in docs
        if doc is not None and (doc["owner"], doc["environment"]) == (caller.account, caller.environment)
    }
    results = await _decide_many(studio, who, body.items, mine=mine, key=key)
    refused = any(isinstance(result, CauldronError) for result in results)
    await studio.workshop.review_queue.decided(
        [i.piece_id for i, r in zip(body.items, results, strict=True) if not isinstance(r, CauldronError)]
    )
    shown = [_result(item, result) for item, result in zip(body.items, results, strict=True)]
    changed = sum(result["changed"] for result in shown)
    return json_answer({"items": shown, "changed": changed}, status=207 if refused else 200)


async def _decide_many(
    studio: Studio, who: Principal, items: list[BulkItem], *, mine: dict[str, Doc], key: str | None
) -> list[int | CauldronError]:
    results: list[int | CauldronError] = [
        NotFound(f"there is no piece {item.piece_id!r:.80}") for item in items
    ]
    by_cook: dict[str, list[int]] = {}
    for index, item in enumerate(items):
        doc = mine.get(item.piece_id)
        if doc is not None and doc.get("imported"):
            results[index] = Refused("this piece came from an earlier system")
        elif doc is not None:
            by_cook.setdefault(doc["cookId"], []).append(index)
    for cook_id, places in by_cook.items():
        decisions = [
            Decision(
                piece=mine[items[i].piece_id]["number"], decision=items[i].decision, reason=items[i].reason
            )
            for i in places
        ]
        answers = await studio.reviewing.decide(cook_id, decisions, actor=who.user, key=key)
        for place, answer in zip(places, answers, strict=True):
            results[place] = answer
    return results


def _result(item: BulkItem, result: int | CauldronError) -> dict[str, Any]:
    if isinstance(result, CauldronError):
        error = {"code": result.code, "detail": result.message}
        return {
            "pieceId": item.piece_id,
            "status": problem_of(result).status_code,
            "changed": False,
            "error": error,
        }
    return {"pieceId": item.piece_id, "status": 200, "changed": result > 0, "error": None}
