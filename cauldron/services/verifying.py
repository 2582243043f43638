"""Checks an export from its own files alone: nothing missing, added, changed or renumbered.

The folder is taken as hostile: links are named but never followed, sizes are
bounded by what the folder itself holds, and no document is trusted before its schema fits.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from cauldron.domain.errors import Problem
from cauldron.domain.export import WORK_FOLDER
from cauldron.domain.metadata import IMAGE_FOLDER
from cauldron.domain.provenance import MerkleTree, bayc_hash, proves, traits_hash
from cauldron.domain.rarity import TraitValue, open_rarity
from cauldron.ports.exporting import ExportSource, MetadataFormat
from cauldron.services import export_documents as documents
from cauldron.services.export_documents import PieceHashes
from cauldron.services.formats import FORMATS, schema_problems

WINDOW = 256
MOST_PROBLEMS = 1000  # told one by one; the rest is counted
LARGEST_METADATA_BYTES = 4 << 20
SPARE_BYTES = 1 << 20
ROW_BYTES = 2000  # room for one row of a document about all pieces


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyReport:
    """What a check found. ``ok`` means not one problem."""

    ok: bool
    pieces: int
    problems: tuple[Problem, ...]
    unlisted: int = 0  # problems beyond the first thousand


@dataclass(slots=True)
class _Findings:
    problems: list[Problem] = field(default_factory=list)
    count: int = 0

    def add(self, path: str, code: str, message: str) -> None:
        self.count += 1
        if len(self.problems) < MOST_PROBLEMS:
            shown = path.encode(errors="replace").decode()
            self.problems.append(Problem(path=shown, code=code, message=message))

    def extend(self, problems: Sequence[Problem]) -> None:
        for problem in problems:
            self.add(problem.path, problem.code, problem.message)

    def report(self, pieces: int) -> VerifyReport:
        unlisted = self.count - len(self.problems)
        return VerifyReport(
            ok=self.count == 0, pieces=pieces, problems=tuple(self.problems), unlisted=unlisted
        )


@dataclass(slots=True, kw_only=True)
class _Check:
    """One check under way: the folder, what its manifest promises, what was really found."""

    source: ExportSource
    chosen: MetadataFormat
    manifest: Mapping[str, Any]
    sizes: Mapping[str, int]  # files really there
    found: _Findings
    digests: dict[str, str] = field(default_factory=dict)  # real hashes by name
    hashes: list[PieceHashes] = field(default_factory=list)  # really found, by token
    traits: list[dict[str, TraitValue]] = field(default_factory=list)

    @property
    def pieces(self) -> int:
        return int(self.manifest["pieces"])


async def verify(source: ExportSource, *, merkle_root: str | None = None) -> VerifyReport:
    """Check a whole export.

    Args:
        source: where it lies.
        merkle_root: the root published elsewhere, when it must be that one.

    Returns:
        Every problem found, each with the file, a stable code and a sentence.
    """
    found = _Findings()
    sizes = await _listing(source, found)
    manifest = await _document(source, documents.MANIFEST, sizes=sizes, found=found)
    if manifest is None:
        return found.report(0)
    check = _Check(
        source=source, chosen=FORMATS[manifest["format"]], manifest=manifest, sizes=sizes, found=found
    )
    await _check_files(check)
    if _check_numbering(check):
        await _check_metadata(check)
        await _check_provenance(check, merkle_root=merkle_root)
        await _check_proofs(check)
        await _check_rarity(check)
    await _check_rest(check)
    return found.report(check.pieces)


async def _listing(source: ExportSource, found: _Findings) -> dict[str, int]:
    sizes: dict[str, int] = {}
    async for entry in source.entries():
        if entry.name.startswith(f"{WORK_FOLDER}/"):
            found.add(entry.name, "unfinished", "an export was interrupted here; run it again to finish it")
        elif entry.kind != "file":
            found.add(entry.name, "not_a_file", "is a link or a device, which an export never holds")
        else:
            sizes[entry.name] = entry.size_bytes
    return sizes


async def _document(
    source: ExportSource, name: str, *, sizes: Mapping[str, int], found: _Findings
) -> dict[str, Any] | None:
    """One of our own documents, when it is there, of sane size and fits its schema."""
    if name not in sizes:
        found.add(name, "missing", "is not there")
        return None
    limit_bytes = SPARE_BYTES + ROW_BYTES * len(sizes)
    (data,) = await source.read([name], limit_bytes=limit_bytes)
    if data is None:
        found.add(name, "too_large", f"is larger than {limit_bytes:,} bytes, far beyond what it should hold")
        return None
    schema = "proofs" if name.startswith("proofs/") else name.removesuffix(".json")
    return _parsed(data, name=name, schema=schema, found=found)


def _parsed(data: bytes, *, name: str, schema: str, found: _Findings) -> dict[str, Any] | None:
    try:
        document: dict[str, Any] = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        found.add(name, "not_json", f"is not JSON: {error}")
        return None
    problems = schema_problems(document, schema=schema, path=name)
    found.extend(problems)
    return None if problems else document


async def _check_files(check: _Check) -> None:
    """Every file in the manifest is there, unchanged, and no other."""
    listed: dict[str, Mapping[str, Any]] = {}
    for entry in check.manifest["files"]:
        if entry["path"] in listed:
            check.found.add(documents.MANIFEST, "listed_twice", f"lists {entry['path']} twice")
        listed[entry["path"]] = entry
    for name in sorted(listed.keys() - check.sizes.keys()):
        check.found.add(name, "missing", "is in the manifest but not there")
    for name in sorted(check.sizes.keys() - listed.keys() - {documents.MANIFEST}):
        check.found.add(name, "extra", "is there but not in the manifest")
    names = [name for name in listed if name in check.sizes]
    for start in range(0, len(names), WINDOW):
        for stored in await check.source.digest(names[start : start + WINDOW]):
            if stored is None:
                continue
            check.digests[stored.name] = stored.sha256
            if stored.sha256 != listed[stored.name]["sha256"]:
                check.found.add(stored.name, "changed", "is not the content the manifest promises")
            elif stored.size_bytes != listed[stored.name]["sizeBytes"]:
                check.found.add(documents.MANIFEST, "wrong_size", f"gives a wrong size for {stored.name}")


def _check_numbering(check: _Check) -> bool:
    """Whether metadata are numbered 1…n without gaps; only then the rest can be checked."""
    wanted = {check.chosen.file_name(token) for token in range(1, check.pieces + 1)}
    folder = check.chosen.file_name(1).rpartition("/")[0] + "/"
    there = {name for name in check.sizes if name.startswith(folder)}
    for name in sorted(wanted - there):
        check.found.add(name, "gap", f"token numbers run from 1 to {check.pieces}, this one is not there")
    for name in sorted(there - wanted):
        check.found.add(name, "beyond", f"is not one of the tokens 1 to {check.pieces}")
    return wanted <= there


async def _check_metadata(check: _Check) -> None:
    """Each document fits its schema, says each attribute once and names media that are there."""
    tokens = range(1, check.pieces + 1)
    for start in range(0, len(tokens), WINDOW):
        window = tokens[start : start + WINDOW]
        names = [check.chosen.file_name(token) for token in window]
        contents = await check.source.read(names, limit_bytes=LARGEST_METADATA_BYTES)
        for token, name, data in zip(window, names, contents, strict=True):
            _check_token(check, token, name=name, data=data)


def _check_token(check: _Check, token: int, *, name: str, data: bytes | None) -> None:
    document = _token_document(check, name, data)
    digest = hashlib.sha256(data or b"").hexdigest()
    if document is None:
        check.traits.append({})
        check.hashes.append(PieceHashes(image="", metadata=digest, traits=""))
        return
    traits: dict[str, TraitValue] = {}
    for entry in document["attributes"]:
        if entry["trait_type"] in traits:
            check.found.add(name, "attribute_twice", f"has the attribute {entry['trait_type']!r} twice")
        traits[entry["trait_type"]] = entry["value"]
    traits.pop(check.manifest["promptTrait"], "")
    media = [_media(check, address, token=token, name=name) for address in _addresses(document)]
    check.traits.append(traits)
    check.hashes.append(
        PieceHashes(image=media[0], metadata=digest, traits=traits_hash(traits), others=tuple(media[1:]))
    )


def _token_document(check: _Check, name: str, data: bytes | None) -> dict[str, Any] | None:
    if data is None:
        check.found.add(name, "too_large", f"is larger than {LARGEST_METADATA_BYTES:,} bytes")
        return None
    try:
        document: dict[str, Any] = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        check.found.add(name, "not_json", f"is not JSON: {error}")
        return None
    problems = check.chosen.problems(document, path=name)
    check.found.extend(problems)
    return None if problems else document


def _addresses(document: Mapping[str, Any]) -> list[str]:
    """Addresses of a token's media, the image first."""
    files = document.get("properties", {}).get("files")
    return [file["uri"] for file in files] if files else [document["image"]]


def _media(check: _Check, address: str, *, token: int, name: str) -> str:
    """The real hash of the file behind an address, empty when there is none."""
    base = check.manifest["baseUri"] or f"{IMAGE_FOLDER}/"
    file_name = address.removeprefix(base).removeprefix("/") if address.startswith(base) else ""
    own = file_name.startswith((f"{token}.", f"{token}-")) and "/" not in file_name
    digest = check.digests.get(f"{IMAGE_FOLDER}/{file_name}", "") if own else ""
    if not own:
        check.found.add(
            name, "wrong_image", f"names {address[:200]!r}, which is not the image of token {token}"
        )
    elif not digest:
        check.found.add(name, "image_missing", f"names {address[:200]!r}, which is not in the export")
    return digest


async def _check_provenance(check: _Check, *, merkle_root: str | None) -> None:
    """Order, hashes, provenance hash and Merkle root are those of the files."""
    name, found = documents.PROVENANCE, check.found
    stated = await _document(check.source, name, sizes=check.sizes, found=found)
    if stated is None:
        return
    if [row["token"] for row in stated["order"]] != list(range(1, check.pieces + 1)):
        found.add(name, "order", f"does not list the tokens 1 to {check.pieces} in order")
        return
    for row, real in zip(stated["order"], check.hashes, strict=True):
        _compare_row(row, real, found=found)
    if stated["partial"] != check.manifest["partial"]:
        found.add(name, "partial", "and the manifest disagree on whether this is a partial export")
    if any(not (real.image and real.traits and all(real.others)) for real in check.hashes):
        return  # told already
    sums = {
        "provenanceHash": bayc_hash(real.image for real in check.hashes),
        "merkleRoot": MerkleTree([real.leaf for real in check.hashes]).root,
    }
    for key, real_sum in sums.items():
        for where, document in ((name, stated), (documents.MANIFEST, check.manifest)):
            if document[key] != real_sum:
                found.add(where, key, f"states a {key} that the files do not give")
    if merkle_root is not None and merkle_root.lower() != sums["merkleRoot"]:
        found.add(name, "other_root", "is not the collection whose Merkle root was asked for")


def _compare_row(row: Mapping[str, Any], real: PieceHashes, *, found: _Findings) -> None:
    pairs = (
        ("image", row["image"], real.image),
        ("metadata", row["metadata"], real.metadata),
        ("traits", row["traits"], real.traits),
        ("other files", tuple(row.get("others", ())), real.others),
    )
    for what, stated, actual in pairs:
        if stated != actual:
            found.add(
                documents.PROVENANCE, "hash", f"states another hash for the {what} of token {row['token']}"
            )


async def _check_proofs(check: _Check) -> None:
    """Every token has exactly one proof, and it leads from its files to the root."""
    size, root = check.pieces, check.manifest["merkleRoot"]
    for first in range(1, size + 1, documents.PROOFS_PER_FILE):
        name = documents.proof_name(first, size)
        stated = await _document(check.source, name, sizes=check.sizes, found=check.found)
        if stated is None:
            continue
        wanted = range(first, min(first + documents.PROOFS_PER_FILE, size + 1))
        if [proof["token"] for proof in stated["proofs"]] != list(wanted):
            check.found.add(name, "order", "does not hold the proofs of its tokens in order")
            continue
        for proof in stated["proofs"]:
            real = check.hashes[proof["token"] - 1]
            sound = real.image and real.traits and all(real.others)
            if not sound or not proves(
                leaf=real.leaf, index=proof["token"] - 1, size=size, path=proof["path"], root=root
            ):
                check.found.add(name, "proof", f"does not prove token {proof['token']}")


async def _check_rarity(check: _Check) -> None:
    """Scores and ranks are what the attributes give."""
    name = documents.RARITY
    stated = await _document(check.source, name, sizes=check.sizes, found=check.found)
    if stated is None:
        return
    rarity = open_rarity(check.traits)
    if len(stated["pieces"]) != check.pieces:
        check.found.add(name, "order", f"does not list the tokens 1 to {check.pieces} in order")
        return
    for index, row in enumerate(stated["pieces"]):
        if not _same_row(row, documents.rarity_row(rarity, index)):
            check.found.add(
                name, "rarity", f"gives a rank or score to token {index + 1} that it does not have"
            )
    if not math.isclose(stated["entropyBits"], rarity.entropy, abs_tol=1e-6):
        check.found.add(name, "rarity", "states another entropy than the attributes have")


def _same_row(stated: Mapping[str, Any], real: Mapping[str, Any]) -> bool:
    """Equal, with room for the last digits of other machines' logarithms."""
    return all(math.isclose(stated[key], real[key], rel_tol=1e-9, abs_tol=2e-9) for key in real)


async def _check_rest(check: _Check) -> None:
    """The contract document, and the marker of a partial export."""
    contract = documents.CONTRACT
    await _document(check.source, contract, sizes=check.sizes, found=check.found)
    marked = documents.PARTIAL in check.sizes
    if marked != check.manifest["partial"]:
        said = "partial" if check.manifest["partial"] else "whole"
        there = "is there" if marked else "is not there"
        check.found.add(documents.PARTIAL, "partial", f"{there}, but the manifest calls the export {said}")
