"""The life of a spell after it was published: versions retired and compared, its margin, its pictures."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import Field
from starlette.responses import Response

from cauldron.api.access import Editor, Reader, TheStudio
from cauldron.api.answers import json_answer
from cauldron.api.routes.spells import SpellName, VersionSummary, own_spell, version_summary
from cauldron.api.shapes import Answer, Body
from cauldron.services.spell_versions import DRAFT, MAX_REASON, MOST_PREVIEWS, SpellVersions, margin_of

router = APIRouter(prefix="/api/v1/spells", tags=["spells"])
Version = Annotated[int, Path(ge=1, le=2**31)]
Side = Query(pattern=r"^(draft|[1-9][0-9]{0,8})$", description="A version's number, or draft.")


class RetireBody(Body):
    """Why, for those who look for it."""

    reason: str = Field(default="", max_length=MAX_REASON, examples=["Its tool is no longer sold."])


class RetiredAnswer(VersionSummary):
    """The version, and what the spell offers now."""

    offered_version: int | None


class MarginBody(Body):
    """What is asked for on top of what a run costs: a part of the cost, and points a run."""

    percent: float = Field(default=0, ge=0, le=10_000, allow_inf_nan=False, examples=[20])
    flat_pts: float = Field(default=0, ge=0, le=1_000_000, allow_inf_nan=False, examples=[1.5])


class MarginAnswer(Answer):
    """The margin of the next quote."""

    percent: float
    flat_pts: float


class ChangeAnswer(Answer):
    """One field that differs."""

    path: str
    change: Literal["added", "removed", "changed", "moved"]
    before: Any
    after: Any


class DiffAnswer(Answer):
    """What differs; inputs go by name, steps by id, and ``tools`` are the exact versions in use."""

    slug: str
    before: str
    after: str
    changes: list[ChangeAnswer]


class PreviewsBody(Body):
    """Which pictures a spell is shown with: executions of its own steps, the first one largest."""

    outputs: list[str] = Field(max_length=MOST_PREVIEWS, examples=[["01a1f93554e27f5b1647b928a108e46b.1.0"]])


class PreviewsAnswer(Answer):
    """The references that are kept."""

    preview_images: list[dict[str, Any]]


@router.post(
    "/{spell}/versions/{version}/retire",
    summary="Offer a version no more",
    responses={200: {"model": RetiredAnswer}},
)
async def retire_version(
    spell: SpellName, version: Version, body: RetireBody, studio: TheStudio, who: Editor
) -> Response:
    """Nothing new is begun with it, open invoices included; what pinned it goes on. Its page answers 410."""
    book, record = await own_spell(studio, who, spell)
    record, found = await SpellVersions(book=book).retire(
        record["slug"], version=version, reason=body.reason, now_ms=studio.clock()
    )
    return json_answer(version_summary(found) | {"offeredVersion": record["publishedVersion"]})


@router.post(
    "/{spell}/versions/{version}/restore",
    summary="Take a retirement back",
    responses={200: {"model": RetiredAnswer}},
)
async def restore_version(spell: SpellName, version: Version, studio: TheStudio, who: Editor) -> Response:
    """It is offered again if it was on offer, and nothing has taken its place."""
    book, record = await own_spell(studio, who, spell)
    record, found = await SpellVersions(book=book).restore(
        record["slug"], version=version, now_ms=studio.clock()
    )
    return json_answer(version_summary(found) | {"offeredVersion": record["publishedVersion"]})


@router.get(
    "/{spell}/diff", summary="What differs between two versions", responses={200: {"model": DiffAnswer}}
)
async def diff_versions(
    *,
    spell: SpellName,
    before: Annotated[str | None, Side] = None,
    after: Annotated[str, Side] = DRAFT,
    studio: TheStudio,
    who: Reader,
) -> Response:
    """Field by field; without more said, what publishing the draft would change."""
    book, record = await own_spell(studio, who, spell)
    before = before or str(record["publishedVersion"] or DRAFT)
    sides = [None if side == DRAFT else int(side) for side in (before, after)]
    changes = await SpellVersions(book=book).diff(record["slug"], before=sides[0], after=sides[1])
    told = {"slug": record["slug"], "before": before, "after": after}
    return json_answer(told | {"changes": [change._asdict() for change in changes]})


@router.put("/{spell}/margin", summary="Set the creator's margin", responses={200: {"model": MarginAnswer}})
async def set_margin(spell: SpellName, body: MarginBody, studio: TheStudio, who: Editor) -> Response:
    """From the next quote on; what was quoted keeps its price. It is posted to your account at capture."""
    book, record = await own_spell(studio, who, spell)
    changed = await SpellVersions(book=book).set_margin(
        record["slug"],
        markup_bps=round(body.percent * 100),
        flat_milli=round(body.flat_pts * 1000),
        now_ms=studio.clock(),
    )
    return json_answer(margin_of(changed))


@router.put(
    "/{spell}/previews",
    summary="Choose the pictures that a spell is shown with",
    responses={200: {"model": PreviewsAnswer}},
)
async def choose_previews(spell: SpellName, body: PreviewsBody, studio: TheStudio, who: Editor) -> Response:
    """From outputs of its own casts; they become visible to everybody who may see the spell."""
    book, record = await own_spell(studio, who, spell)
    changed = await SpellVersions(book=book).choose_previews(
        record["slug"], body.outputs, now_ms=studio.clock()
    )
    return json_answer({"previewImages": changed["previewImages"]})
