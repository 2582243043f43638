"""Exports of cooks: asked for, followed, cancelled, and downloaded as one archive that can be resumed."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import Field
from starlette.responses import Response

from cauldron.api.access import Exporter, Key, Reader, TheStudio, caller_of
from cauldron.api.answers import json_answer, page_answer, picked
from cauldron.api.ranges import RangedAnswer
from cauldron.api.routes.outputs import CONTENT
from cauldron.api.shapes import MAX_PAGE, Answer, Body, decode_cursor
from cauldron.bootstrap import Studio
from cauldron.domain.exportable import check_exportable
from cauldron.domain.identity import Principal
from cauldron.domain.zip_layout import ZipLayout
from cauldron.persistence.tables import EXPORT_JOBS
from cauldron.ports.storage import Doc, Where
from cauldron.services.export_jobs import Shelf, Wish, status_of
from cauldron.services.owned import owned
from cauldron.services.pages import Listing
from cauldron.services.projecting import stream_of

router = APIRouter(prefix="/api/v1", tags=["exports"])
ExportId = Annotated[str, Path(description="The export.", max_length=200)]
FIELDS = ("cookId", "collectionId", "name", "format", "publish", "partial", "written", "total", "createdAt")
ENDED = (
    "pieces", "baseUri", "provenance", "merkleRoot", "manifest", "incomplete", "skipped", "files",
    "archiveBytes", "finishedAt", "error",
)  # fmt: skip


class ExportBody(Body):
    """What to write."""

    format: Literal["erc721"] = Field(default="erc721", description="The metadata standard.")
    to: str = Field(
        default="",
        max_length=100,
        pattern="^([A-Za-z0-9][A-Za-z0-9._-]*)?$",
        description="A name for it; one that an earlier export had goes on from what that wrote.",
        examples=["spring-drop"],
    )
    publish: bool = Field(default=False, description="Fix the token numbers for good.")
    partial: bool = Field(default=False, description="Export though the cook is not done.")


class ExportAnswer(Answer):
    """An export; what is null is not known before its end."""

    export_id: str
    cook_id: str
    collection_id: str | None
    name: str
    format: str
    publish: bool
    partial: bool
    status: Literal["queued", "running", "done", "failed", "cancelled"]
    written: int
    total: int
    created_at: str
    finished_at: str | None
    pieces: int | None
    base_uri: str | None
    provenance: str | None
    merkle_root: str | None
    manifest: str | None
    incomplete: bool | None
    skipped: list[str] | None
    files: int | None
    archive_bytes: int | None
    error: dict[str, Any] | None


class ExportPage(Answer):
    """Exports, newest first."""

    items: list[ExportAnswer]
    next: str | None


def export_document(job: Doc) -> dict[str, Any]:
    """An export as its owner sees it."""
    shown = picked(job, FIELDS, exportId="_id") | picked(job["outcome"] or {}, ENDED)
    if shown["pieces"] is not None:
        shown["written"] = shown["total"] = shown["pieces"]
    return shown | {"status": status_of(job)}


@router.post(
    "/cooks/{cook_id}/exports",
    status_code=202,
    summary="Export a cook's approved pieces",
    responses={202: {"model": ExportAnswer}},
)
async def start_export(
    cook_id: Annotated[str, Path(max_length=200)],
    studio: TheStudio,
    who: Exporter,
    key: Key,
    body: ExportBody | None = None,
) -> Response:
    """Whoever works carries it out; it goes on after restarts. An unfinished cook needs ``partial``."""
    wanted, caller = body or ExportBody(), caller_of(studio, who)
    cook = await owned(studio.store, "cook_status", cook_id, caller=caller, noun="cook")
    wish = Wish(name=wanted.to, format=wanted.format, publish=wanted.publish, partial=wanted.partial)
    if not cook.get("imported"):
        state = (await studio.cooks.load(stream_of(cook_id))).state
        check_exportable(state, partial=wanted.partial, option='"partial": true')
    job = await studio.workshop.exports.ask(cook, wish, caller=caller, key=key)
    return json_answer(export_document(job), status=202)


@router.get("/exports", summary="List exports, newest first", responses={200: {"model": ExportPage}})
async def list_exports(
    studio: TheStudio,
    who: Reader,
    cook: Annotated[str | None, Query(alias="cookId", max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = MAX_PAGE,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
) -> Response:
    """Those asked for over HTTP, of the account or of one cook."""
    caller = caller_of(studio, who)
    where: Where = {"owner": caller.account} | ({"cookId": cook} if cook is not None else {})
    listing = Listing(
        table=EXPORT_JOBS,
        where=where,
        order=("-createdAt",),
        admits=lambda doc: bool(doc["environment"] == caller.environment),
    )
    after = decode_cursor(cursor, fields=2) if cursor is not None else None
    return page_answer(await listing.page(studio.store, limit=limit, after=after), export_document)


async def _export(studio: Studio, who: Principal, export_id: str) -> Doc:
    return await owned(studio.store, EXPORT_JOBS, export_id, caller=caller_of(studio, who), noun="export")


@router.get("/exports/{export_id}", summary="Look at an export", responses={200: {"model": ExportAnswer}})
async def get_export(export_id: ExportId, studio: TheStudio, who: Reader) -> Response:
    """How far it is, or how it ended."""
    return json_answer(export_document(await _export(studio, who, export_id)))


@router.post(
    "/exports/{export_id}/cancel", summary="Cancel an export", responses={200: {"model": ExportAnswer}}
)
async def cancel_export(export_id: ExportId, studio: TheStudio, who: Exporter) -> Response:
    """What is written stays for an export under the same name; cancelling twice is harmless."""
    await _export(studio, who, export_id)
    return json_answer(export_document(await studio.workshop.exports.cancel(export_id)))


@dataclass(frozen=True, slots=True)
class _Archive:
    """An archive that is put together while it is sent."""

    layout: ZipLayout
    shelf: Shelf
    place: str

    @property
    def size_bytes(self) -> int:
        return self.layout.size_bytes

    async def read(self, start: int, end: int) -> AsyncIterator[bytes]:
        """See ``ranges.Content``."""
        for part in self.layout.parts(start, end):
            if isinstance(part, bytes):
                yield part
                continue
            index, low, high = part
            name = self.layout.entries[index].name
            async for data in self.shelf.read(self.place, name, start=low, end=high):
                yield data


@router.get(
    "/exports/{export_id}/download",
    summary="Download an export as a ZIP",
    responses=CONTENT,
    response_class=Response,
)
async def download_export(export_id: ExportId, studio: TheStudio, who: Reader) -> Response:
    """The same bytes every time, so that a download that broke off goes on with `Range`."""
    job = await _export(studio, who, export_id)
    layout, digest = await studio.workshop.exports.layout(job)
    return RangedAnswer(
        _Archive(layout, studio.workshop.shelf, job["place"]),
        etag=f'"{digest}"',
        media_type="application/zip",
        headers={
            "cache-control": "private, no-cache",
            "content-disposition": f'attachment; filename="{job["name"]}.zip"',
            "x-content-type-options": "nosniff",
        },
    )
