"""Renders pieces of an example with the real tools, and lays them out as a contact sheet.

``python examples/render.py lantern-keepers --sheet docs/images/lantern-keepers.png``
"""

import argparse
import hashlib
import io
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from PIL import Image

from cauldron.adapters.local.registry import TOOLS, run_tool
from cauldron.domain.binding import resolve_inputs
from cauldron.domain.collection import Collection, parse_collection
from cauldron.domain.media import MediaRef, digest_of
from cauldron.domain.plan import Plan
from cauldron.domain.planning import make_plan
from cauldron.domain.registry import ToolSet
from cauldron.domain.snapshot import Snapshot, execution_plan, snapshot_of_tool, take_snapshot
from cauldron.domain.spell_graph import check_document
from cauldron.domain.step_inputs import step_inputs

HERE = Path(__file__).parent


@dataclass
class Shelf:
    """Media by content, in memory and (for tools that want a path) in one temporary folder."""

    files: dict[str, bytes] = field(default_factory=dict)
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="examples-")))

    def put(self, data: bytes, *, mime: str, width: int, height: int) -> MediaRef:
        """Keep ``data``; the answer is its reference."""
        digest = hashlib.sha256(data).hexdigest()
        self.files[digest] = data
        return {
            "media": f"sha256:{digest}",
            "mime": mime,
            "sizeBytes": len(data),
            "width": width,
            "height": height,
        }

    def read(self, ref: MediaRef) -> bytes:
        """The content of a reference."""
        return self.files[digest_of(ref)]

    def path(self, ref: MediaRef) -> Path:
        """The content of a reference as a file."""
        target = self.folder / digest_of(ref)
        if not target.exists():
            target.write_bytes(self.read(ref))
        return target


def load(folder: Path, shelf: Shelf) -> Collection:
    """The collection of an example, its pictures on the shelf."""
    document = yaml.safe_load((folder / "collection.yaml").read_text(encoding="utf-8"))
    spell = document["generator"].get("spell")
    if isinstance(spell, str):
        document["generator"]["spell"] = yaml.safe_load((folder / spell).read_text(encoding="utf-8"))
    return parse_collection(_stored(document, folder, shelf))


def _stored(value: Any, folder: Path, shelf: Shelf) -> Any:
    if isinstance(value, Mapping):
        if isinstance(value.get("image"), str) and value["image"].endswith(".png"):
            data = (folder / value["image"]).read_bytes()
            with Image.open(io.BytesIO(data)) as picture:
                ref = shelf.put(data, mime="image/png", width=picture.width, height=picture.height)
            rest = {key: item for key, item in value.items() if key != "image"}
            return {**rest, "image": ref} if rest else ref
        return {key: _stored(item, folder, shelf) for key, item in value.items()}
    if isinstance(value, list):
        return [_stored(item, folder, shelf) for item in value]
    return value


def snapshot_of(collection: Collection) -> Snapshot:
    """The generator of a collection, ready to execute."""
    tools = ToolSet(tool for tool, _ in TOOLS.values())
    if isinstance(collection.generator.ref, Mapping):
        return take_snapshot(check_document(collection.generator.ref, tools, source="generator.spell"))
    return snapshot_of_tool(tools.resolve(collection.generator.ref))


def render(collection: Collection, plan: Plan, slot: int, shelf: Shelf) -> Image.Image:
    """One piece, made by running its steps."""
    snapshot = snapshot_of(collection)
    inputs = resolve_inputs(collection, plan.selection(slot))
    results: dict[str, dict[str, Any]] = {}
    for step in execution_plan(snapshot):
        values = step_inputs(snapshot, step.id, inputs=inputs, results=results)
        produced = run_tool(step.tool.id, values, shelf)
        results[step.id] = {p.port: _kept(p, shelf) for p in produced}
    return Image.open(io.BytesIO(shelf.read(results[snapshot.output_step][snapshot.main_output]))).convert(
        "RGB"
    )


def _kept(produced: Any, shelf: Shelf) -> Any:
    if produced.data is None:
        return produced.value
    return shelf.put(produced.data, mime=produced.mime, width=produced.width, height=produced.height)


def sheet(pieces: Sequence[Image.Image], *, columns: int, width: int, gap: int = 0) -> Image.Image:
    """Pieces of one size in rows, each ``width`` pixels wide, on ink."""
    height = round(width * pieces[0].height / pieces[0].width)
    rows = -(-len(pieces) // columns)
    size = (columns * width + (columns + 1) * gap, rows * height + (rows + 1) * gap)
    page = Image.new("RGB", size, "#14102b")
    for i, piece in enumerate(pieces):
        small = piece.resize((width, height), Image.Resampling.LANCZOS)
        page.paste(small, (gap + i % columns * (width + gap), gap + i // columns * (height + gap)))
    return page


def save(page: Image.Image, target: Path, *, most_bytes: int) -> None:
    """Write a PNG below ``most_bytes``: with ever fewer colour steps until it is small enough."""
    for step in (1, 2, 3, 4, 5, 6, 8, 10):
        table = [min(255, round(v / step) * step) for v in range(256)] * 3
        out = io.BytesIO()
        page.point(table).save(out, "PNG", optimize=True)
        if out.tell() <= most_bytes:
            break
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(out.getvalue())


def main() -> None:
    """Render slots of an example to one sheet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("example", choices=("lantern-keepers", "postcards"))
    parser.add_argument("--sheet", type=Path, required=True, help="the PNG to write")
    parser.add_argument("--slots", type=int, nargs="*", help="rows of the plan; all when absent")
    parser.add_argument("--columns", type=int, default=16)
    parser.add_argument("--width", type=int, default=100, help="of a piece, in pixels")
    parser.add_argument("--gap", type=int, default=0)
    parser.add_argument("--most-bytes", type=int, default=1_500_000)
    options = parser.parse_args()
    shelf = Shelf()
    collection = load(HERE / options.example, shelf)
    plan = make_plan(collection)
    slots = options.slots or range(plan.supply)
    pieces = [render(collection, plan, slot, shelf).reduce(2) for slot in slots]
    page = sheet(pieces, columns=options.columns, width=options.width, gap=options.gap)
    save(page, options.sheet, most_bytes=options.most_bytes)


if __name__ == "__main__":
    main()
