"""Writes a finished collection out: streamed in windows, resumable after any interruption.

The same pieces always give the same bytes: nothing of the run, the machine or
the time enters an export. The manifest is written last; a folder without one is
not a finished export.
"""

import asyncio
import itertools
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from cauldron.domain.errors import InvalidMany, Problem, Refused
from cauldron.domain.export import (
    WORK_FOLDER,
    ExportPiece,
    ExportResult,
    ExportSpec,
    assign_tokens,
    media_names,
)
from cauldron.domain.media import digest_of
from cauldron.domain.metadata import (
    AttributeCache,
    address,
    attributes_of,
    checked_text,
    prompt_label,
    template_problems,
)
from cauldron.domain.provenance import traits_hash
from cauldron.domain.rarity import Rarity, TraitValue, open_rarity
from cauldron.ports.blobs import BlobStore
from cauldron.ports.exporting import ExportTarget, FileOut, MetadataFormat, SheetRenderer, Stored, Tile
from cauldron.services import export_documents as documents
from cauldron.services.export_documents import Ledger, PieceHashes, Proved
from cauldron.services.formats import format_named
from cauldron.services.reporting import render_report

WINDOW = 64  # pieces written by one call to the target
IN_FLIGHT = 4  # windows on their way at once
MOST_TILES, SAMPLE_TILES = 256, 96  # pictures on a contact sheet: all of them, else a sample
STATE = f"{WORK_FOLDER}/state"
LARGEST_MANIFEST_BYTES = 1 << 30

Progress = Callable[[int, int], None]


@dataclass(slots=True, kw_only=True)
class _Export:
    """One export under way."""

    spec: ExportSpec
    pieces: tuple[ExportPiece, ...]
    chosen: MetadataFormat
    prompt: str | None
    attributes: "_Attributes"
    files: Ledger = field(default_factory=Ledger)
    traits: list[bytes] = field(default_factory=list)  # 32-byte hash of each piece's traits
    written: int = 0
    kept: int = 0

    def hashes(self) -> Iterator[PieceHashes]:
        return documents.piece_hashes(self.pieces, self.files, self.traits)

    def note(self, stored: Stored) -> None:
        self.written += stored.written
        self.kept += not stored.written

    def names(self) -> Iterator[str]:
        for piece in self.pieces:
            yield from documents.piece_files(piece, self.chosen)


class _Attributes:
    """Attribute documents of pieces, each distinct one made and checked once."""

    def __init__(self) -> None:
        self._made: AttributeCache = {}

    def of(self, piece: ExportPiece) -> list[dict[str, Any]]:
        return attributes_of(piece, made=self._made)

    def traits(self, piece: ExportPiece) -> dict[str, TraitValue]:
        return {entry["trait_type"]: entry["value"] for entry in self.of(piece)}


async def export(
    spec: ExportSpec,
    pieces: Sequence[ExportPiece],
    *,
    blobs: BlobStore,
    target: ExportTarget,
    sheet: SheetRenderer,
    progress: Progress | None = None,
) -> ExportResult:
    """Write ``pieces`` with metadata, proofs, rarity, report and contact sheet to ``target``.

    Args:
        spec: the collection and its metadata options.
        pieces: approved pieces, any order; a ``token`` that is not 0 is kept.
        blobs: where their media lie.
        target: an empty place, or one that holds an export of the same collection.
        sheet: draws the contact sheet.
        progress: called with (pieces written, pieces in all).

    Returns:
        The result; pieces whose media are gone are left out and named in ``skipped``.

    Raises:
        InvalidMany: templates or trait values that cannot be written; nothing is.
        Refused: no pieces, or the target holds something else.
        StorageFull, Unavailable: run the same export again to go on.
    """
    job, skipped = await _prepare(spec, pieces, blobs=blobs)
    async with target.writing():
        known = await _take(target, job)
        drawing = asyncio.create_task(_draw(job, blobs=blobs, sheet=sheet))
        try:
            await _write_pieces(job, blobs=blobs, target=target, progress=progress)
            proved = await asyncio.to_thread(documents.prove, job.hashes)
            rest = await _write_summary(job, target=target, proved=proved, sheet=await drawing)
        finally:
            drawing.cancel()
            await asyncio.gather(drawing, return_exceptions=True)
        await target.remove(sorted(known - set(job.names()) - {stored.name for stored in rest}))
        await target.sync()
        manifest = await _write_manifest(job, target=target, proved=proved, rest=rest)
        await target.sync([documents.MANIFEST])
        await target.remove([STATE])
    return ExportResult(
        pieces=len(job.pieces),
        base_uri=spec.metadata.base_uri,
        provenance_hash=proved.provenance_hash,
        merkle_root=proved.tree.root,
        manifest_sha256=manifest.sha256,
        partial=job.spec.partial,
        skipped=skipped,
        written=job.written,
        kept=job.kept,
    )


async def _prepare(
    spec: ExportSpec, pieces: Sequence[ExportPiece], *, blobs: BlobStore
) -> tuple[_Export, tuple[Problem, ...]]:
    """Check everything that can be checked before a byte is written."""
    if problems := template_problems(spec):
        raise InvalidMany(problems)
    chosen = format_named(spec.format)
    present, skipped = await _present(pieces, blobs)
    if not present:
        raise Refused("there is no approved piece to export")
    if skipped:
        spec = replace(spec, partial=True, counts={**spec.counts, "left out": len(skipped)})
    fixed = {piece.slot: piece.token for piece in pieces if piece.token}
    numbered = assign_tokens(present, fixed=fixed)
    attributes = _Attributes()
    for piece in numbered:
        attributes.of(piece)
        for text in (piece.prompt or "", piece.one_of_one or "", *piece.name_extra.values()):
            checked_text(text, f"piece {piece.number}")
    prompt = prompt_label(numbered) if spec.metadata.prompt else None
    job = _Export(spec=spec, pieces=numbered, chosen=chosen, prompt=prompt, attributes=attributes)
    if problems := chosen.problems(_contract(job), path=documents.CONTRACT, kind="contract"):
        raise InvalidMany(problems)
    _metadata(job, numbered[0])
    return job, tuple(skipped)


async def _present(
    pieces: Sequence[ExportPiece], blobs: BlobStore
) -> tuple[list[ExportPiece], list[Problem]]:
    """The pieces whose media are all stored, and a problem for each of the others."""
    present, missing = [], []
    for window in _windows(pieces):
        sizes = await asyncio.gather(*(_stored(piece, blobs) for piece in window))
        for piece, stored in zip(window, sizes, strict=True):
            if stored:
                present.append(piece)
                continue
            message = f"piece {piece.number} has no stored image"
            missing.append(Problem(path=f"pieces[{piece.number}]", code="media_missing", message=message))
    return present, missing


async def _stored(piece: ExportPiece, blobs: BlobStore) -> bool:
    if not piece.media:
        return False
    for ref in piece.media:
        if await blobs.size(digest_of(ref)) is None:
            return False
    return True


def _windows(pieces: Sequence[ExportPiece]) -> Iterator[Sequence[ExportPiece]]:
    for start in range(0, len(pieces), WINDOW):
        yield pieces[start : start + WINDOW]


async def _take(target: ExportTarget, job: _Export) -> set[str]:
    """Make sure the target is ours, note what will be written; the names earlier exports wrote.

    What a killed export wrote is known from its state file, what a finished one
    wrote from its manifest. Nothing else is ever overwritten or removed.
    """
    state, manifest = await target.read([STATE, documents.MANIFEST], limit_bytes=LARGEST_MANIFEST_BYTES)
    slug, known = _earlier(state, manifest, place=target.place)
    there = {entry.name async for entry in target.entries() if not entry.name.startswith(f"{WORK_FOLDER}/")}
    if there and slug is None:
        raise Refused(f"{target.place} is not empty and holds no export; choose an empty place")
    if slug is not None and slug != job.spec.slug:
        raise Refused(f"{target.place} holds an export of {slug!r}, not of {job.spec.slug!r}")
    wanted = {*job.names(), *documents.summary_names(job.spec, len(job.pieces)), documents.MANIFEST}
    if foreign := sorted(there & wanted - known):
        raise Refused(f"{target.place}: {foreign[0]} is in the way and was not written by an export")
    head = orjson.dumps({"cauldronExport": 1, "slug": job.spec.slug})
    names = sorted(known | wanted)
    await target.ensure([FileOut(name=STATE, content=lambda: _lines(head, names))])
    await target.sync([STATE])
    await target.remove([documents.MANIFEST])
    return known & there - {documents.MANIFEST}


def _lines(head: bytes, names: Sequence[str]) -> Iterator[bytes]:
    yield head + b"\n"
    for start in range(0, len(names), 1000):
        yield ("\n".join(names[start : start + 1000]) + "\n").encode()


def _earlier(state: bytes | None, manifest: bytes | None, *, place: str) -> tuple[str | None, set[str]]:
    """Slug and file names of what earlier exports wrote here."""
    slug: str | None = None
    known: set[str] = set()
    try:
        if manifest is not None:
            document = orjson.loads(manifest)
            slug = str(document["collection"]["slug"])
            known = {str(entry["path"]) for entry in document["files"]} | {documents.MANIFEST}
        if state is not None:
            head, *names = state.decode().splitlines()
            slug = str(orjson.loads(head)["slug"])
            known.update(names)
    except (ValueError, KeyError, TypeError):
        raise Refused(f"{place} holds something that is no export of ours; choose an empty place") from None
    return slug, known


async def _write_pieces(
    job: _Export, *, blobs: BlobStore, target: ExportTarget, progress: Progress | None
) -> None:
    """Write media and metadata of every piece, a few windows at a time, noted in order."""
    done = 0
    async for stored in _in_order(job, blobs=blobs, target=target):
        for file in stored:
            job.files.add(file)
            job.note(file)
        done += WINDOW
        if progress is not None:
            progress(min(done, len(job.pieces)), len(job.pieces))


async def _in_order(job: _Export, *, blobs: BlobStore, target: ExportTarget) -> AsyncIterator[list[Stored]]:
    pending: deque[asyncio.Task[list[Stored]]] = deque()
    try:
        for window in _windows(job.pieces):
            files = await _files(job, window, blobs=blobs)
            pending.append(asyncio.create_task(target.ensure(files)))
            if len(pending) == IN_FLIGHT:
                yield await pending.popleft()
        while pending:
            yield await pending.popleft()
    finally:
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)


async def _files(job: _Export, window: Sequence[ExportPiece], *, blobs: BlobStore) -> list[FileOut]:
    """The files of a window: per piece its media, then its metadata."""
    digests = [digest_of(ref) for piece in window for ref in piece.media]
    paths = iter(zip(await asyncio.gather(*map(blobs.local_path, digests)), digests, strict=True))
    files = []
    for piece in window:
        *media, document = documents.piece_files(piece, job.chosen)
        for name in media:
            path, digest = next(paths)
            files.append(FileOut(name=name, content=path, sha256=digest))
        files.append(FileOut(name=document, content=documents.pretty(_metadata(job, piece))))
        job.traits.append(bytes.fromhex(traits_hash(job.attributes.traits(piece))))
    return files


def _metadata(job: _Export, piece: ExportPiece) -> Mapping[str, Any]:
    """A token's document, checked against the schema of its format."""
    attributes = job.attributes.of(piece)
    document = job.chosen.token(job.spec, piece, attributes=attributes, prompt=job.prompt)
    if problems := job.chosen.problems(document, path=job.chosen.file_name(piece.token)):
        raise InvalidMany(problems, source=f"piece {piece.number}")
    return document


def _contract(job: _Export) -> Mapping[str, Any]:
    first = next(media_names(job.pieces[0]))
    return job.chosen.contract(job.spec, image=address(job.spec, first))


async def _draw(job: _Export, *, blobs: BlobStore, sheet: SheetRenderer) -> bytes:
    """The contact sheet: every piece, or an even sample of a large collection."""
    count = len(job.pieces)
    shown = count if count <= MOST_TILES else SAMPLE_TILES
    chosen = [job.pieces[place * count // shown] for place in range(shown)]
    tiles = [
        Tile(
            path=await blobs.local_path(digest_of(piece.media[0])),
            mime=piece.media[0]["mime"],
            label=str(piece.token),
        )
        for piece in chosen
    ]
    sample = f"{shown} of {count:,} pieces, evenly spaced"
    caption = sample if shown < count else f"{count:,} piece{'s' if count > 1 else ''}"
    partial = f"partial export of {job.spec.supply:,} · " if job.spec.partial else ""
    return await sheet.render(tiles, title=job.spec.name, caption=partial + caption)


async def _write_summary(job: _Export, *, target: ExportTarget, proved: Proved, sheet: bytes) -> list[Stored]:
    """Write the documents that speak of all pieces."""
    spec, count = job.spec, len(job.pieces)
    traits = [job.attributes.traits(piece) for piece in job.pieces]
    rarity: Rarity = await asyncio.to_thread(open_rarity, traits)
    report = await asyncio.to_thread(
        render_report, spec, job.pieces, traits=traits, rarity=rarity, proved=proved
    )
    provenance = documents.provenance(spec, job.pieces, hashes=job.hashes, proved=proved)
    files = [
        FileOut(name=documents.CONTRACT, content=documents.pretty(_contract(job))),
        FileOut(name=documents.PROVENANCE, content=provenance),
        FileOut(name=documents.RARITY, content=documents.rarity_list(rarity)),
        FileOut(name=documents.REPORT, content=report),
        FileOut(name=documents.SHEET, content=sheet),
    ]
    if spec.partial:
        files.append(FileOut(name=documents.PARTIAL, content=documents.partial_note(spec, count)))
    for first in range(1, count + 1, documents.PROOFS_PER_FILE):
        content = documents.proofs(first, count, tree=proved.tree)
        files.append(FileOut(name=documents.proof_name(first, count), content=content))
    stored = [(await target.ensure([file]))[0] for file in files]
    for file in stored:
        job.note(file)
    return stored


async def _write_manifest(
    job: _Export, *, target: ExportTarget, proved: Proved, rest: Sequence[Stored]
) -> Stored:
    head = documents.manifest_head(job.spec, len(job.pieces), proved=proved, prompt=job.prompt)
    summary = sorted((file.name, (file.sha256, file.size_bytes)) for file in rest)

    def content() -> Iterator[bytes]:
        return documents.manifest(head, itertools.chain(zip(job.names(), job.files, strict=True), summary))

    return (await target.ensure([FileOut(name=documents.MANIFEST, content=content)]))[0]
