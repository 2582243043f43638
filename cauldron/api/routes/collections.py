"""Collections: made, changed, counted, planned ahead, tried with chosen traits, cloned."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from pydantic import Field
from starlette.responses import Response

from cauldron.api.access import Caster, Editor, Key, Reader, TheStudio, caller_of, natural_id
from cauldron.api.answers import json_answer, page_answer, picked
from cauldron.api.shapes import (
    MAX_PAGE,
    Answer,
    Body,
    decode_cursor,
    etag,
    expected_version,
    revising,
)
from cauldron.domain.collection import check_collection, parse_collection
from cauldron.domain.errors import InvalidMany
from cauldron.domain.forecast import CategoryForecast, Forecast
from cauldron.domain.plan import Selection
from cauldron.ports.storage import Doc
from cauldron.services.previewing import MAX_SUPPLY

router = APIRouter(prefix="/api/v1/collections", tags=["collections"])
PREVIEWED = 10  # rows
MAX_ROWS = 100
MAX_TRAITS = 200
CollectionId = Annotated[str, Path(description="The collection.", max_length=200)]
EXAMPLE = {
    "cauldron": 1,
    "name": "Lanterns",
    "supply": 12,
    "generator": {"tool": "text-card", "inputs": {"text": "[[Light]] on [[Ground]]"}},
    "categories": [
        {"name": "Ground", "options": ["Moss", "Slate", "Clay"]},
        {"name": "Light", "options": ["Ember", "Moon", "Glow", "Star"]},
    ],
}
SHOWN = ("slug", "name", "supply", "visibility", "environment", "definition", "createdAt", "updatedAt")
Definition = Annotated[
    dict[str, Any],
    Field(description="A collection document, see the reference of collections.", examples=[EXAMPLE]),
]


class CollectionBody(Body):
    """A collection to keep."""

    definition: Definition


class CollectionAnswer(Answer):
    """A collection. ``version`` changes with what decides the pieces, the ETag with every edit."""

    collection_id: str
    slug: str
    name: str
    supply: int
    version: str
    visibility: str
    environment: str
    definition: dict[str, Any]
    created_at: str
    updated_at: str


class CollectionPage(Answer):
    """Collections, latest change first."""

    items: list[CollectionAnswer]
    next: str | None


class Fault(Answer):
    """One thing wrong with a document."""

    path: str
    code: str
    message: str


class Validated(Answer):
    """Whether a document is a valid collection, and everything that is wrong with it."""

    ok: bool
    problems: list[Fault]


class Counted(Answer):
    """How many different pieces options and rules admit; an estimate unless ``exact``."""

    combinations: int
    exact: bool


class PlanBody(Body):
    """What to plan ahead."""

    supply: int | None = Field(
        default=None, ge=1, le=MAX_SUPPLY, description="Pieces; default: the collection's.", examples=[12]
    )
    seed: str | None = Field(default=None, max_length=200, description="Default: the collection's.")
    rows: int = Field(default=PREVIEWED, ge=0, le=MAX_ROWS, description="First selections to show.")


class PlannedRow(Answer):
    """One selection of the plan."""

    slot: int
    traits: dict[str, Any]
    one_of_one: str | None
    sub_collection: str | None


class Planned(Answer):
    """A plan, what it will look like, and its first rows."""

    pieces: int
    unique: int
    plan_hash: str
    forecast: dict[str, Any]
    rows: list[PlannedRow]


class TestBody(Body):
    """Traits of one piece; categories that are left out are drawn."""

    traits: dict[str, str | int | float | None] = Field(
        default={}, max_length=MAX_TRAITS, examples=[{"Light": "Moon"}]
    )
    seed: str = Field(default="", max_length=200, description="Another seed draws others.")


class Tested(Answer):
    """The cast that makes the piece; follow it at ``/api/v1/casts/:castId``."""

    cast_id: str
    run_id: str
    credit_tx_id: str
    traits: dict[str, Any]
    allowed: bool = Field(description="Whether the traits keep the collection's rules.")


class CloneBody(Body):
    """The copy's name."""

    name: str | None = Field(default=None, min_length=1, max_length=80, examples=["Lanterns, second try"])


def collection_document(doc: Doc) -> dict[str, Any]:
    """A collection as its owner sees it."""
    return picked(doc, SHOWN, collectionId="_id", version="version")


def _answer(doc: Doc, *, status: int = 200) -> Response:
    headers = {"etag": etag(doc["_v"])}
    if status == 201:
        headers["location"] = f"/api/v1/collections/{doc['_id']}"
    return json_answer(collection_document(doc), status=status, headers=headers)


@router.post(
    "",
    summary="Keep a new collection",
    status_code=201,
    responses={201: {"model": CollectionAnswer}},
)
async def create(body: CollectionBody, studio: TheStudio, who: Editor, key: Key) -> Response:
    """Its media are references to uploads; files on the server cannot be named."""
    new_id = natural_id(who, key) or studio.new_id()
    doc = await studio.curating.create(body.definition, caller=caller_of(studio, who), new_id=new_id)
    return _answer(doc, status=201)


@router.get("", summary="List collections", responses={200: {"model": CollectionPage}})
async def listing(
    studio: TheStudio,
    who: Reader,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
) -> Response:
    """Those of your account, latest change first."""
    after = decode_cursor(cursor, fields=3) if cursor is not None else None
    page = await studio.curating.page(caller=caller_of(studio, who), limit=limit, after=after)
    return page_answer(page, collection_document)


@router.post("/validate", summary="Check a document without keeping it")
async def validate(body: CollectionBody, studio: TheStudio, who: Editor) -> Validated:
    """Everything that is wrong, each with its place."""
    problems = check_collection(body.definition)
    if not problems:
        try:
            await studio.curating.check(body.definition, caller=caller_of(studio, who))
        except InvalidMany as error:
            problems = list(error.problems)
    listed = [Fault(path=p.path, code=p.code, message=p.message) for p in problems[:MAX_PAGE]]
    return Validated(ok=not listed, problems=listed)


@router.post("/count", summary="Count the pieces that a document admits")
async def count_document(body: CollectionBody, studio: TheStudio, who: Editor) -> Counted:
    """Different pieces that options and rules admit; for a document that is not kept."""
    found = await studio.previewing.count(parse_collection(body.definition))
    return Counted(combinations=found.combinations, exact=found.exact)


@router.get("/{collection_id}", summary="Look at a collection", responses={200: {"model": CollectionAnswer}})
async def get(collection_id: CollectionId, studio: TheStudio, who: Reader) -> Response:
    """The ETag names the version that an edit must send as If-Match."""
    return _answer(await studio.curating.get(collection_id, caller=caller_of(studio, who)))


@router.put("/{collection_id}", summary="Change a collection", responses={200: {"model": CollectionAnswer}})
async def replace(
    *,
    collection_id: CollectionId,
    body: CollectionBody,
    request: Request,
    studio: TheStudio,
    who: Editor,
    key: Key,
) -> Response:
    """Needs If-Match. Cooks that run keep the version that they started with."""
    version = expected_version(request)
    with revising():
        doc = await studio.curating.replace(
            collection_id, body.definition, version=version, caller=caller_of(studio, who)
        )
    return _answer(doc)


@router.delete("/{collection_id}", summary="Take a collection away", status_code=204)
async def remove(
    collection_id: CollectionId, request: Request, studio: TheStudio, who: Editor, key: Key
) -> None:
    """Refused while a cook is active; cooks and pieces that were made stay. If-Match is optional."""
    version = expected_version(request) if "if-match" in request.headers else None
    with revising():
        await studio.curating.remove(collection_id, version=version, caller=caller_of(studio, who))


@router.get("/{collection_id}/count", summary="Count the pieces that a collection admits")
async def count(collection_id: CollectionId, studio: TheStudio, who: Reader) -> Counted:
    """Different pieces that options and rules admit, one-of-ones aside."""
    doc = await studio.curating.get(collection_id, caller=caller_of(studio, who))
    found = await studio.previewing.count(parse_collection(doc["definition"]))
    return Counted(combinations=found.combinations, exact=found.exact)


@router.post("/{collection_id}/plan", summary="Look at the plan before cooking")
async def plan(
    collection_id: CollectionId, studio: TheStudio, who: Reader, body: PlanBody | None = None
) -> Planned:
    """The forecast and the first selections; nothing is kept or made."""
    wanted = body or PlanBody()
    doc = await studio.curating.get(collection_id, caller=caller_of(studio, who))
    found = await studio.previewing.preview(
        parse_collection(doc["definition"]), supply=wanted.supply, seed=wanted.seed, rows=wanted.rows
    )
    return Planned(
        pieces=found.plan.supply,
        unique=found.distinct,
        plan_hash=found.plan.plan_hash,
        forecast=forecast_document(found.expected),
        rows=[_row(selection) for selection in found.rows],
    )


@router.post("/{collection_id}/test", summary="Make one piece with chosen traits", status_code=202)
async def test(
    collection_id: CollectionId, body: TestBody, studio: TheStudio, who: Caster, key: Key
) -> Tested:
    """A real cast of the generator; it is no part of any cook."""
    caller = caller_of(studio, who)
    doc = await studio.curating.get(collection_id, caller=caller)
    collection = parse_collection(doc["definition"])
    made = await studio.previewing.trial(collection, body.traits, seed=body.seed, caller=caller, key=key)
    return Tested(
        cast_id=made.run_id,
        run_id=made.run_id,
        credit_tx_id=made.credit_tx_id,
        traits=dict(made.tried.selection.traits),
        allowed=made.tried.allowed,
    )


@router.post(
    "/{collection_id}/clone",
    summary="Copy a collection",
    status_code=201,
    responses={201: {"model": CollectionAnswer}},
)
async def clone(
    collection_id: CollectionId, studio: TheStudio, who: Editor, key: Key, body: CloneBody | None = None
) -> Response:
    """The same definition under a new name; cooks are not copied."""
    new_id = natural_id(who, key) or studio.new_id()
    name = body.name if body else None
    doc = await studio.curating.clone(collection_id, caller=caller_of(studio, who), new_id=new_id, name=name)
    return _answer(doc, status=201)


def _row(selection: Selection) -> PlannedRow:
    return PlannedRow(
        slot=selection.slot,
        traits=dict(selection.traits),
        one_of_one=selection.one_of_one,
        sub_collection=selection.sub_collection,
    )


def forecast_document(expected: Forecast) -> dict[str, Any]:
    """A forecast as JSON: counts against wishes per option, sizes of sub-collections, how rare pieces are."""
    rarity = expected.rarity
    return {
        "pieces": expected.pieces,
        "oneOfOnes": expected.one_of_ones,
        "largestDeviation": round(expected.largest_deviation, 3),
        "categories": [_category(found) for found in expected.categories],
        "subCollections": dict(expected.sub_collections),
        "rarity": {
            "least": rarity.least,
            "median": rarity.median,
            "greatest": rarity.greatest,
            "histogram": list(rarity.histogram),
        }
        if rarity is not None
        else None,
    }


def _category(found: CategoryForecast) -> dict[str, Any]:
    options = [
        {"option": o.option, "wanted": round(o.wanted, 3), "count": o.count, "exact": o.exact}
        for o in found.options
    ]
    return {"category": found.category, "numbers": found.numbers, "options": options}
