"""What goes into an export, and how it came out: pieces with token numbers, options, results."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from cauldron.domain.errors import Problem, Refused
from cauldron.domain.media import MediaRef
from cauldron.domain.rarity import TraitValue

WORK_FOLDER = ".cauldron-export"  # where an unfinished export keeps what is not for others

EXTENSIONS = {
    "image/png": "png",
    "image/apng": "png",
    "image/jpeg": "jpg",
    "image/webp": "webp",
    "image/gif": "gif",
    "image/avif": "avif",
    "image/svg+xml": "svg",
    "video/mp4": "mp4",
    "video/webm": "webm",
    "audio/mpeg": "mp3",
    "audio/wav": "wav",
    "audio/ogg": "ogg",
    "model/gltf-binary": "glb",
    "model/gltf+json": "gltf",
    "text/html": "html",
    "text/plain": "txt",
    "application/json": "json",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportPiece:
    """One approved piece. ``token`` is 0 until a number is assigned."""

    number: int  # the piece's own number in its cook
    slot: int  # its row of the plan; slots give the canonical order
    media: tuple[MediaRef, ...]  # the first is the image
    traits: Mapping[str, TraitValue] = field(default_factory=dict)  # label -> value, in category order
    token: int = 0  # 1-based, without gaps
    display_types: Mapping[str, str] = field(default_factory=dict)  # label -> display_type
    prompt: str | None = None
    name_extra: Mapping[str, str] = field(default_factory=dict)  # category -> text for [[Category]]
    one_of_one: str | None = None  # its own name, when it is one


@dataclass(frozen=True, slots=True, kw_only=True)
class MetadataOptions:
    """The ``metadata`` block of a collection document."""

    name: str = "{{collection}} #{{number}}"
    description: str = ""
    external_url: str = ""
    base_uri: str = ""  # address under which the image folder is published
    symbol: str = ""
    prompt: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportSpec:
    """Everything about an export that is not a piece."""

    name: str
    slug: str
    description: str = ""
    metadata: MetadataOptions = field(default_factory=MetadataOptions)
    format: str = "erc721"
    plan_hash: str = ""
    collection_hash: str = ""
    seed: str = ""  # never written out; only a commitment to it is
    supply: int = 0
    partial: bool = False
    counts: Mapping[str, int] = field(default_factory=dict)  # state of the slots, for a partial export
    planned: Mapping[str, Mapping[str, int]] = field(default_factory=dict)  # label -> value -> pieces
    planned_pieces: int = 0  # of the whole plan, of which this may be a part; 0: as many as the supply
    categories: tuple[str, ...] = ()  # names that [[Category]] may use; empty: not checked


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportResult:
    """How an export ended."""

    pieces: int
    base_uri: str
    provenance_hash: str  # BAYC style, 64 hex digits
    merkle_root: str  # 64 hex digits
    manifest_sha256: str  # 64 hex digits
    partial: bool
    skipped: tuple[Problem, ...] = ()  # pieces left out, and files left in the way
    written: int = 0  # files written by this run
    kept: int = 0  # files that an earlier run had written already


def assign_tokens(
    pieces: Sequence[ExportPiece], *, fixed: Mapping[int, int] | None = None
) -> tuple[ExportPiece, ...]:
    """Number pieces 1, 2, 3… by slot; ``fixed`` (slot -> token) is kept and extended.

    Returns:
        The pieces in token order, each with its ``token``.

    Raises:
        Refused: two pieces share a slot, or the fixed numbers are not 1…n of the pieces given.
    """
    ordered = sorted(pieces, key=lambda piece: piece.slot)
    for before, after in itertools.pairwise(ordered):
        if before.slot == after.slot:
            raise Refused(f"pieces {before.number} and {after.number} are both for slot {after.slot}")
    kept = dict(fixed or {})
    published = sorted(kept.values())
    missing = sorted(kept[slot] for slot in kept.keys() - {piece.slot for piece in ordered})
    if missing:
        raise Refused(f"token {missing[0]} is published but has no piece to export", tokens=missing[:20])
    if published != list(range(1, len(published) + 1)):
        raise Refused("the published token numbers are not 1, 2, 3… without gaps")
    fresh = iter(range(len(published) + 1, len(ordered) + 1))
    numbered = (
        replace(piece, token=kept[piece.slot] if piece.slot in kept else next(fresh)) for piece in ordered
    )
    return tuple(sorted(numbered, key=lambda piece: piece.token))


def media_names(piece: ExportPiece) -> Iterator[str]:
    """File names of a piece's media: ``1.png``, then ``1-2.mp4`` and so on."""
    for place, ref in enumerate(piece.media, start=1):
        extension = EXTENSIONS.get(ref["mime"].split(";")[0].strip().lower(), "bin")
        yield f"{piece.token}.{extension}" if place == 1 else f"{piece.token}-{place}.{extension}"
