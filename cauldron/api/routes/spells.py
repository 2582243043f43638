"""Spells: drafts with versions that edits name, publishing, and what has been published."""

from dataclasses import replace
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from pydantic import Field
from starlette.responses import Response

from cauldron.api.access import Editor, Reader, TheStudio, caller_of
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
from cauldron.bootstrap import Studio
from cauldron.domain.errors import Duplicate, InvalidMany, NotFound, Problem, StaleVersion
from cauldron.domain.identity import Principal
from cauldron.domain.port_schema import schema_of
from cauldron.domain.spell_document import parse_spell
from cauldron.domain.spell_graph import check_spell
from cauldron.domain.tool_document import port_document
from cauldron.ports.storage import Doc
from cauldron.services.pages import Listing
from cauldron.services.spell_versions import margin_of
from cauldron.services.spells import SPELLS, VERSIONS, Spellbook

router = APIRouter(prefix="/api/v1", tags=["spells"])
SpellName = Annotated[str, Path(description="The spell's slug or id.", max_length=200)]
Visibility = Literal["private", "unlisted", "public"]
FIELDS = (
    "slug", "name", "description", "visibility", "previewImages", "revision", "lastVersion",
    "publishedVersion", "createdAt", "updatedAt",
)  # fmt: skip
VERSION_FIELDS = (
    "spellId", "version", "slug", "name", "contentHash", "configHash", "createdAt", "retiredAt",
    "retiredReason",
)  # fmt: skip
EXAMPLE = {
    "cauldronSpell": 1,
    "name": "Misty card",
    "slug": "misty-card",
    "inputs": [{"name": "words", "kind": "text", "required": True}],
    "steps": [{"id": "card", "tool": "text.card", "inputs": {"text": {"input": "words"}}}],
    "output": {"step": "card"},
}


class SpellSummary(Answer):
    """A spell without its draft; ``revision`` is what edits name in If-Match."""

    spell_id: str
    slug: str
    name: str
    description: str
    visibility: Visibility
    preview_images: list[dict[str, Any]]
    revision: int
    last_version: int
    published_version: int | None
    created_at: str
    updated_at: str
    margin: dict[str, float] = Field(
        description="`percent` of the cost and `flatPts` a run, for its creator."
    )


class SpellAnswer(SpellSummary):
    """A spell and its draft; ``problems`` keep the draft from being published."""

    draft: dict[str, Any]
    problems: list[dict[str, str]]


class SpellPage(Answer):
    """Spells, latest change first."""

    items: list[SpellSummary]
    next: str | None


class SpellBody(Body):
    """A spell document."""

    document: dict[str, Any] = Field(examples=[EXAMPLE])


class Checked(Answer):
    """Whether a document can be published, and what it takes and gives if so."""

    ok: bool
    problems: list[dict[str, str]]
    inputs: list[dict[str, Any]]
    outputs: list[dict[str, Any]]
    input_schema: dict[str, Any] | None


class ChangeBody(Body):
    """What to change beside the draft."""

    visibility: Visibility


class VersionSummary(Answer):
    """A published version."""

    spell_id: str
    version: int
    slug: str
    name: str
    content_hash: str
    config_hash: str
    created_at: str
    retired_at: str | None = Field(description="Since when nothing new is begun with it.")
    retired_reason: str | None


class VersionAnswer(VersionSummary):
    """A published version with its document; it never changes."""

    document: dict[str, Any]


class PublishedAnswer(VersionSummary):
    """The version that is offered now; ``new`` is false when the same content had been published."""

    new: bool


class VersionPage(Answer):
    """Versions, latest first."""

    items: list[VersionSummary]
    next: str | None


async def spellbook(studio: Studio, who: Principal) -> Spellbook:
    """The spells of the caller's account, with every tool that is known by now."""
    await studio.tools.refresh(studio.store)
    return replace(studio.spells, owner=who.account, actor=who.user)


async def find_spell(book: Spellbook, name: str) -> Doc:
    """A spell by slug, else by id. Raises NotFound."""
    try:
        return await book.find(name)
    except NotFound:
        return await book.record(name)


async def own_spell(studio: Studio, who: Principal, name: str) -> tuple[Spellbook, Doc]:
    """The caller's book and the spell of that name in it. Raises NotFound."""
    book = await spellbook(studio, who)
    return book, await find_spell(book, name)


def spell_summary(record: Doc) -> dict[str, Any]:
    """A spell as a list shows it."""
    return picked(record, FIELDS, spellId="_id") | {"margin": margin_of(record)}


def version_summary(version: Doc) -> dict[str, Any]:
    """A published version without its content."""
    return picked(version, VERSION_FIELDS)


def _listed(problems: tuple[Problem, ...]) -> list[dict[str, str]]:
    return [{"path": p.path, "code": p.code, "message": p.message} for p in problems[:100]]


def _answer(book: Spellbook, record: Doc, *, status: int = 200) -> Response:
    """A spell with its draft, and its entity tag."""
    problems: tuple[Problem, ...] = ()
    try:
        check_spell(parse_spell(record["draft"]), book.tools)
    except InvalidMany as error:
        problems = error.problems
    body = spell_summary(record) | {"draft": record["draft"], "problems": _listed(problems)}
    return json_answer(body, status=status, headers={"etag": etag(record["revision"])})


@router.get("/spells", summary="List spells, latest change first", responses={200: {"model": SpellPage}})
async def list_spells(
    studio: TheStudio,
    who: Reader,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = MAX_PAGE,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
) -> Response:
    """The account's spells without their drafts."""
    where = {"owner": who.account, "environment": studio.settings.environment, "deleted": False}
    listing = Listing(table=SPELLS, where=where, order=("-updatedAt",))
    after = decode_cursor(cursor, fields=2) if cursor is not None else None
    return page_answer(await listing.page(studio.store, limit=limit, after=after), spell_summary)


@router.post("/spells", status_code=201, summary="Keep a new spell", responses={201: {"model": SpellAnswer}})
async def create_spell(body: SpellBody, studio: TheStudio, who: Editor) -> Response:
    """As a draft: its form must hold, its graph need not yet."""
    book = await spellbook(studio, who)
    await studio.workshop.media.check(body.document, caller=caller_of(studio, who), path="document")
    try:
        saved = await book.save(body.document, new_id=studio.new_id(), now_ms=studio.clock(), revision=0)
    except StaleVersion as taken:
        slug = taken.details.get("slug", "")
        raise Duplicate(f"another spell has the slug {slug!r:.80}", slug=slug) from taken
    return _answer(book, saved.record, status=201)


@router.post("/spells/validate", summary="Check a spell document", responses={200: {"model": Checked}})
async def validate_spell(body: SpellBody, studio: TheStudio, who: Reader) -> Response:
    """Its form, its graph, and every input against its tool; nothing is kept."""
    book = await spellbook(studio, who)
    try:
        checked = check_spell(parse_spell(body.document), book.tools)
    except InvalidMany as error:
        return json_answer(
            {
                "ok": False,
                "problems": _listed(error.problems),
                "inputs": [],
                "outputs": [],
                "inputSchema": None,
            }
        )
    return json_answer(
        {
            "ok": True,
            "problems": [],
            "inputs": [port_document(port) for port in checked.inputs],
            "outputs": [port_document(port) for port in checked.outputs],
            "inputSchema": schema_of(checked.inputs, title=f"Inputs of {checked.spell.name}"),
        }
    )


@router.get("/spells/{spell}", summary="Look at a spell", responses={200: {"model": SpellAnswer}})
async def get_spell(spell: SpellName, studio: TheStudio, who: Reader) -> Response:
    """Its draft, what keeps it from being published, and its entity tag."""
    return _answer(*await own_spell(studio, who, spell))


@router.put("/spells/{spell}", summary="Edit a spell's draft", responses={200: {"model": SpellAnswer}})
async def edit_spell(
    request: Request, spell: SpellName, body: SpellBody, studio: TheStudio, who: Editor
) -> Response:
    """The whole document anew; `If-Match` names the revision it was made from."""
    book, record = await own_spell(studio, who, spell)
    return await _saved(studio, who, book, record, document=body.document, revision=expected_version(request))


async def _saved(
    studio: Studio, who: Principal, book: Spellbook, record: Doc, *, document: Any, revision: int
) -> Response:
    await studio.workshop.media.check(document, caller=caller_of(studio, who), path="document")
    with revising():
        saved = await book.save(
            document,
            new_id=studio.new_id(),
            now_ms=studio.clock(),
            spell_id=record["_id"],
            revision=revision,
        )
    return _answer(book, saved.record)


@router.patch(
    "/spells/{spell}", summary="Change who may see a spell", responses={200: {"model": SpellAnswer}}
)
async def change_spell(
    request: Request, spell: SpellName, body: ChangeBody, studio: TheStudio, who: Editor
) -> Response:
    """`If-Match` names the revision."""
    book, record = await own_spell(studio, who, spell)
    revision = expected_version(request)
    document = record["draft"] | {"visibility": body.visibility}
    return await _saved(studio, who, book, record, document=document, revision=revision)


@router.delete("/spells/{spell}", status_code=204, summary="Take a spell away")
async def delete_spell(request: Request, spell: SpellName, studio: TheStudio, who: Editor) -> Response:
    """Its versions stay for what pinned them; `If-Match` names the revision."""
    book, record = await own_spell(studio, who, spell)
    with revising():
        await book.delete(record["slug"], now_ms=studio.clock(), revision=expected_version(request))
    return Response(status_code=204)


@router.post(
    "/spells/{spell}/publish",
    summary="Publish the draft as an immutable version",
    responses={200: {"model": PublishedAnswer}},
)
async def publish_spell(request: Request, spell: SpellName, studio: TheStudio, who: Editor) -> Response:
    """The same content is never published twice; `If-Match` names the revision."""
    book, record = await own_spell(studio, who, spell)
    with revising():
        published = await book.publish(
            record["slug"], now_ms=studio.clock(), revision=expected_version(request)
        )
    return json_answer(version_summary(published.version) | {"new": published.new})


@router.post(
    "/spells/{spell}/unpublish",
    summary="Stop offering a spell for new casts",
    responses={200: {"model": SpellAnswer}},
)
async def unpublish_spell(request: Request, spell: SpellName, studio: TheStudio, who: Editor) -> Response:
    """Its versions stay for what uses them; `If-Match` names the revision."""
    book, record = await own_spell(studio, who, spell)
    with revising():
        changed = await book.unpublish(
            record["slug"], now_ms=studio.clock(), revision=expected_version(request)
        )
    return _answer(book, changed)


@router.get(
    "/spells/{spell}/versions", summary="List published versions", responses={200: {"model": VersionPage}}
)
async def list_versions(
    spell: SpellName,
    studio: TheStudio,
    who: Reader,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = MAX_PAGE,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
) -> Response:
    """Latest first."""
    _, record = await own_spell(studio, who, spell)
    listing = Listing(table=VERSIONS, where={"spellId": record["_id"]}, order=("-version",))
    after = decode_cursor(cursor, fields=2) if cursor is not None else None
    return page_answer(await listing.page(studio.store, limit=limit, after=after), version_summary)


@router.get(
    "/spells/{spell}/versions/{version}",
    summary="Look at a published version",
    responses={200: {"model": VersionAnswer}},
)
async def get_version(
    spell: SpellName,
    version: Annotated[int, Path(ge=1, le=2**31)],
    studio: TheStudio,
    who: Reader,
) -> Response:
    """Its document, as it was published."""
    _, record = await own_spell(studio, who, spell)
    [found] = await studio.store.get(VERSIONS, [f"{record['_id']}@{version}"])
    if found is None:
        raise NotFound(f"the spell has no version {version}")
    return json_answer(version_summary(found) | {"document": found["document"]})
