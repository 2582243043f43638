"""Uploads: pictures for traits and inputs, looked at and encoded anew before they are kept."""

import asyncio
import re
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.datastructures import UploadFile
from starlette.responses import Response

from cauldron.api.access import Reader, TheStudio, caller_of, needing
from cauldron.api.answers import json_answer, page_answer, picked
from cauldron.api.bounds import UPLOADS, Upload
from cauldron.api.shapes import MAX_PAGE, Answer, decode_cursor
from cauldron.domain.errors import Invalid, InvalidMany, Problem
from cauldron.domain.identity import Principal
from cauldron.ports.storage import Doc
from cauldron.services.pages import Listing

router = APIRouter(prefix="/api/v1", tags=["uploads"])
PATH = "/api/v1/uploads"
MOST_FILES = 20  # of one request
MAX_FILE_BYTES = 64 * 2**20
MAX_BYTES = 128 * 2**20  # all of them, and what is around them
MOST_AT_ONCE = 4  # requests whose files are on disk
UPLOADS.append(Upload(path=re.compile(re.escape(PATH)), max_bytes=MAX_BYTES, types=("multipart/form-data",)))
Bringer = Annotated[Principal, Depends(needing("edit", "visit"))]  # guests, too: spells take pictures
_slots = asyncio.Semaphore(MOST_AT_ONCE)


class MediaAnswer(Answer):
    """A reference to stored media, to be used in inputs and traits."""

    media: str
    mime: str
    size_bytes: int
    width: int
    height: int


class UploadAnswer(Answer):
    """An upload."""

    upload_id: str
    ref: MediaAnswer
    frames: int
    created_at: str


class Uploaded(Answer):
    """What was kept, in the order of the files."""

    items: list[UploadAnswer]


class UploadPage(Answer):
    """Uploads, newest first; ``next`` is the cursor of the page that follows."""

    items: list[UploadAnswer]
    next: str | None


FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "additionalProperties": False,
                    "properties": {
                        "file": {
                            "type": "array",
                            "minItems": 1,
                            "maxItems": MOST_FILES,
                            "items": {"type": "string", "format": "binary"},
                        }
                    },
                }
            }
        },
    }
}


def upload_document(doc: Doc) -> dict[str, Any]:
    """An upload as its owner sees it."""
    return picked(doc, ("ref", "frames", "createdAt"), uploadId="_id")


@router.post(
    "/uploads",
    status_code=201,
    summary="Upload pictures for traits and inputs",
    responses={201: {"model": Uploaded}},
    openapi_extra=FORM,
)
async def upload(request: Request, studio: TheStudio, who: Bringer) -> Response:
    """PNG, JPEG, WebP and GIF, stills and animations; encoded anew, so that only pixels are kept."""
    async with _slots, request.form(max_files=MOST_FILES, max_fields=0, max_part_size=0) as form:
        files = [value for name, value in form.multi_items() if name == "file"]
        if not files or len(files) != len(form.multi_items()):
            raise _refusal("file", "missing", "send one or more files, each as a part called file")
        if who.is_guest:
            await studio.workshop.uploading.check_guest(who.account, count=len(files))
        kept: list[Doc] = []
        for index, file in enumerate(files):
            if not isinstance(file, UploadFile):
                raise _refusal(f"file[{index}]", "no_file", "must be a file")
            kept.append(
                await _on_disk(
                    file,
                    lambda path: studio.workshop.uploading.take(
                        path, caller=caller_of(studio, who), actor=who.user
                    ),
                    place=f"file[{index}]",
                )
            )
    return json_answer({"items": list(map(upload_document, kept))}, status=201)


async def _on_disk(file: UploadFile, use: Callable[[Path], Awaitable[Doc]], *, place: str) -> Doc:
    """Put an uploaded file where decoders can seek, under a name of ours, while ``use`` looks at it."""
    if not file.size:
        raise _refusal(place, "empty_file", "is empty")
    if file.size > MAX_FILE_BYTES:
        raise _refusal(place, "too_large", f"is {file.size:,} bytes, {MAX_FILE_BYTES:,} allowed")
    with tempfile.TemporaryDirectory(prefix="cauldron-upload-") as folder:
        path = Path(folder) / "upload"
        await asyncio.to_thread(_copy, file, path)
        try:
            return await use(path)
        except InvalidMany as bad:
            raise InvalidMany(
                [Problem(path=place, code=p.code, message=p.message) for p in bad.problems]
            ) from bad


def _copy(file: UploadFile, path: Path) -> None:
    file.file.seek(0)
    with path.open("wb") as target:
        while chunk := file.file.read(1 << 20):
            target.write(chunk)


def _refusal(path: str, code: str, message: str) -> Invalid:
    return InvalidMany([Problem(path=path, code=code, message=message)])


@router.get("/uploads", summary="List uploads, newest first", responses={200: {"model": UploadPage}})
async def list_uploads(
    studio: TheStudio,
    who: Reader,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = MAX_PAGE,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
) -> Response:
    """What the account has uploaded."""
    caller = caller_of(studio, who)
    listing = Listing(
        table="uploads",
        where={"owner": caller.account},
        order=("-createdAt",),
        admits=lambda doc: bool(doc["environment"] == caller.environment),
    )
    after = decode_cursor(cursor, fields=2) if cursor is not None else None
    return page_answer(await listing.page(studio.store, limit=limit, after=after), upload_document)
