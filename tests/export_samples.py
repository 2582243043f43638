"""Small made-up collections to export, on the real blob store."""

import io
from dataclasses import replace
from pathlib import Path

from PIL import Image

from cauldron.adapters.contact_sheet import PillowSheet
from cauldron.adapters.directory import Directory
from cauldron.adapters.fs import FsBlobs
from cauldron.domain.export import ExportPiece, ExportResult, ExportSpec, MetadataOptions
from cauldron.services.exporting import export

OPTIONS = MetadataOptions(
    name="Lantern #{{number}}",
    description="A keeper of the [[Backdrop]].",
    external_url="https://example.org/{{number}}",
    symbol="LNT",
)
SPEC = ExportSpec(
    name="Lantern Keepers",
    slug="lantern-keepers",
    description="Small lights.",
    metadata=OPTIONS,
    plan_hash="ab" * 32,
    collection_hash="cd" * 32,
    seed="lanterns",
    supply=12,
    planned={"Backdrop": {"Dusk": 6, "Ember": 4, "Void": 2}},
)
BACKDROPS = ("Dusk", "Ember", "Void")


def picture(number: int, *, size_px: int = 16) -> bytes:
    """A little PNG, another one for every number."""
    image = Image.new("RGB", (size_px, size_px), (number * 37 % 256, number * 91 % 256, number % 251))
    image.putpixel((number % size_px, number // 256 % size_px), (255, 255, number % 256))
    whole = io.BytesIO()
    image.save(whole, "PNG")
    return whole.getvalue()


async def piece(blobs: FsBlobs, number: int, **changes) -> ExportPiece:
    """Piece ``number`` in slot ``number``, its picture stored."""
    data = picture(number)
    digest = await blobs.put(data)
    backdrop = BACKDROPS[number % 3]
    traits = {"Backdrop": backdrop, "Level": f"{number % 10:03}"}
    if number % 4:
        traits["Hat"] = ("Cap", "Crown", "Halo")[number % 7 % 3]
    made = ExportPiece(
        number=number,
        slot=number,
        media=({"media": f"sha256:{digest}", "mime": "image/png", "sizeBytes": len(data)},),
        traits=traits,
        display_types={"Level": "number"},
        prompt=f"a keeper at {backdrop.lower()}",
        name_extra={"Backdrop": backdrop},
        one_of_one="The First Lantern" if number == 5 else None,
    )
    return replace(made, **changes)


async def pieces(blobs: FsBlobs, count: int) -> list[ExportPiece]:
    """That many pieces, in slot order."""
    return [await piece(blobs, number) for number in range(count)]


async def exported(folder: Path, *, count: int = 12, spec: ExportSpec = SPEC) -> ExportResult:
    """Export ``count`` pieces to ``folder / "out"``, the blobs beside it."""
    blobs = FsBlobs(folder / "blobs")
    target = Directory(folder / "out", durable=False)
    return await export(spec, await pieces(blobs, count), blobs=blobs, target=target, sheet=PillowSheet())


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder by relative name, hidden ones too."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }
