"""The documents of an export that speak of all its pieces, written as streams a line per piece."""

import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from cauldron.domain.export import ExportPiece, ExportSpec, media_names
from cauldron.domain.metadata import IMAGE_FOLDER
from cauldron.domain.provenance import MerkleTree, bayc_hash, leaf_hash, seed_commitment
from cauldron.domain.rarity import Rarity
from cauldron.ports.exporting import MetadataFormat, Stored

MANIFEST, CONTRACT, PROVENANCE = "manifest.json", "contract.json", "provenance.json"
RARITY, REPORT, SHEET, PARTIAL = "rarity.json", "report.html", "contact-sheet.jpg", "PARTIAL.txt"
PROOFS_PER_FILE = 500
DECIMALS = 9  # of rarity scores: what OpenRarity compares by
METHODS = {
    "provenanceHash": "SHA-256 of the SHA-256 hex digests of the images, joined in token order",
    "merkleRoot": "RFC 9162 tree over SHA-256(00, image, metadata, traits, other files) in token order",
    "traits": "SHA-256 of the attributes without the prompt as JSON {trait: value}, sorted, no white space",
    "seedCommitment": "SHA-256 of JSON {collectionHash, planHash, seed}, sorted, no white space",
}
_RECORD = struct.Struct("<32sQ")

Stream = Callable[[], Iterable[bytes]]


class Ledger:
    """Hashes and sizes of many files, 40 bytes each, in the order they were added."""

    def __init__(self) -> None:
        self._records = bytearray()

    def add(self, stored: Stored) -> None:
        self._records += _RECORD.pack(bytes.fromhex(stored.sha256), stored.size_bytes)

    def __iter__(self) -> Iterator[tuple[str, int]]:
        for digest, size_bytes in _RECORD.iter_unpack(self._records):
            yield digest.hex(), size_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class PieceHashes:
    """What is proved of one piece; every hash is 64 hex digits."""

    image: str
    metadata: str
    traits: str
    others: tuple[str, ...] = ()

    @property
    def leaf(self) -> bytes:
        return leaf_hash(image=self.image, metadata=self.metadata, traits=self.traits, others=self.others)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proved:
    """The proofs of a whole export."""

    tree: MerkleTree
    provenance_hash: str


def piece_files(piece: ExportPiece, chosen: MetadataFormat) -> list[str]:
    """Every file of one piece: its media, then its metadata."""
    media = [f"{IMAGE_FOLDER}/{name}" for name in media_names(piece)]
    return [*media, chosen.file_name(piece.token)]


def piece_hashes(
    pieces: Sequence[ExportPiece], files: Ledger, traits: Sequence[bytes]
) -> Iterator[PieceHashes]:
    """The hashes of every piece, put together from the ledger of their files."""
    digests = (digest for digest, _ in files)
    for piece, own in zip(pieces, traits, strict=True):
        media = [next(digests) for _ in piece.media]
        metadata = next(digests)
        yield PieceHashes(image=media[0], metadata=metadata, traits=own.hex(), others=tuple(media[1:]))


def prove(hashes: Callable[[], Iterable[PieceHashes]]) -> Proved:
    """Provenance hash and Merkle tree of the pieces."""
    return Proved(
        tree=MerkleTree([piece.leaf for piece in hashes()]),
        provenance_hash=bayc_hash(piece.image for piece in hashes()),
    )


def proof_name(token: int, pieces: int) -> str:
    """The file that holds a token's proof: ``proofs/1-500.json``."""
    first = (token - 1) // PROOFS_PER_FILE * PROOFS_PER_FILE + 1
    return f"proofs/{first}-{min(first + PROOFS_PER_FILE - 1, pieces)}.json"


def summary_names(spec: ExportSpec, pieces: int) -> list[str]:
    """Every file besides those of the pieces and the manifest."""
    proofs = [proof_name(first, pieces) for first in range(1, pieces + 1, PROOFS_PER_FILE)]
    marker = [PARTIAL] if spec.partial else []
    return [CONTRACT, PROVENANCE, *proofs, RARITY, REPORT, SHEET, *marker]


def pretty(document: Mapping[str, Any]) -> bytes:
    """A document as indented UTF-8 JSON, keys in the order given."""
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _listed(head: Mapping[str, Any], key: str, rows: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    """``head`` as JSON with one more key: a list with each row on its own line."""
    opening = orjson.dumps(head, option=orjson.OPT_INDENT_2).removesuffix(b"\n}")
    yield opening + b',\n  "' + key.encode() + b'": ['
    separator = b"\n    "
    for row in rows:
        yield separator + orjson.dumps(row)
        separator = b",\n    "
    yield b"\n  ]\n}\n"


def provenance(
    spec: ExportSpec,
    pieces: Sequence[ExportPiece],
    *,
    hashes: Callable[[], Iterable[PieceHashes]],
    proved: Proved,
) -> Stream:
    """``provenance.json``: the order, the hashes of every piece and what they add up to."""
    head = {
        "version": 1,
        "collection": {"name": spec.name, "slug": spec.slug},
        "pieces": len(pieces),
        "partial": spec.partial,
        "provenanceHash": proved.provenance_hash,
        "merkleRoot": proved.tree.root,
        "planHash": spec.plan_hash,
        "collectionHash": spec.collection_hash,
        "seedCommitment": seed_commitment(
            seed=spec.seed, plan_hash=spec.plan_hash, collection_hash=spec.collection_hash
        ),
        "methods": METHODS,
    }

    def rows() -> Iterator[Mapping[str, Any]]:
        for piece, own in zip(pieces, hashes(), strict=True):
            row = {"token": piece.token, "slot": piece.slot, "image": own.image}
            others = {"others": own.others} if own.others else {}
            yield {**row, "metadata": own.metadata, "traits": own.traits, **others}

    return lambda: _listed(head, "order", rows())


def proofs(first: int, pieces: int, *, tree: MerkleTree) -> Stream:
    """One file of proofs, for the tokens from ``first`` on."""
    tokens = range(first, min(first + PROOFS_PER_FILE, pieces + 1))
    head = {"merkleRoot": tree.root, "pieces": pieces}
    return lambda: _listed(
        head, "proofs", ({"token": token, "path": tree.proof(token - 1)} for token in tokens)
    )


def rarity_head(rarity: Rarity) -> dict[str, Any]:
    """What ``rarity.json`` says of the whole collection."""
    return {"method": "OpenRarity", "traitCount": True, "entropyBits": round(rarity.entropy, DECIMALS)}


def rarity_row(rarity: Rarity, index: int) -> dict[str, Any]:
    """What ``rarity.json`` says of the piece at ``index`` (0-based)."""
    return {
        "token": index + 1,
        "rank": rarity.ranks[index],
        "score": round(rarity.scores[index], DECIMALS),
        "bits": round(rarity.information[index], DECIMALS),
        "uniqueAttributes": rarity.unique_attributes[index],
    }


def rarity_list(rarity: Rarity) -> Stream:
    """``rarity.json``: score and rank of every piece."""
    return lambda: _listed(
        rarity_head(rarity), "pieces", (rarity_row(rarity, index) for index in range(len(rarity.ranks)))
    )


def partial_note(spec: ExportSpec, pieces: int) -> bytes:
    """``PARTIAL.txt``: says in words that the collection is not whole yet."""
    lines = [
        f"This is a partial export of {spec.name}: {pieces} of {spec.supply} pieces.",
        "It was made before the collection was complete; token numbers may still change.",
        *(f"{state}: {count}" for state, count in sorted(spec.counts.items())),
    ]
    return ("\n".join(lines) + "\n").encode()


def manifest_head(spec: ExportSpec, pieces: int, *, proved: Proved, prompt: str | None) -> dict[str, Any]:
    """What ``manifest.json`` says besides its list of files."""
    return {
        "cauldronExport": 1,
        "collection": {"name": spec.name, "slug": spec.slug},
        "format": spec.format,
        "pieces": pieces,
        "supply": spec.supply,
        "partial": spec.partial,
        "counts": dict(sorted(spec.counts.items())) if spec.partial else {},
        "baseUri": spec.metadata.base_uri,
        "promptTrait": prompt,
        "provenanceHash": proved.provenance_hash,
        "merkleRoot": proved.tree.root,
    }


def manifest(head: Mapping[str, Any], files: Iterable[tuple[str, tuple[str, int]]]) -> Iterator[bytes]:
    """``manifest.json``: every other file with its hash and size."""
    rows = ({"path": name, "sha256": digest, "sizeBytes": size} for name, (digest, size) in files)
    return _listed(head, "files", rows)
