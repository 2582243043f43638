"""Layered pieces to PNG files: the band renderer beside HashLips and plain Pillow, in one run.

The same pictures, 7 categories of 10 options with skewed weights; every piece's pixels that are
compared equal Pillow's ``alpha_composite``. Ours includes decoding the layers and writing the files.

    python -m benchmarks.compose [--pieces 10000] [--editions 100] [--size 1024]
"""

import argparse
import hashlib
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks import harness
from benchmarks.cartoon_layers import CATEGORIES, choose, make_layers
from benchmarks.hashlips import engine_folder, run_hashlips
from cauldron.adapters.local.bands import Renderer
from cauldron.adapters.local.layers import Canvas, LayerSpec
from cauldron.domain.media import MediaRef

LEAST = 10.0  # times HashLips
FILES = 500  # names written over and over, so that a disk need not hold every piece

Choice = tuple[int, ...]


class FolderMedia:
    """Stored media of one folder, by content."""

    def __init__(self) -> None:
        self.paths: dict[str, Path] = {}

    def add(self, path: Path) -> LayerSpec:
        """Make ``path`` readable; the layer that shows it."""
        data = path.read_bytes()
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self.paths[digest] = path
        ref: MediaRef = {"media": digest, "mime": "image/png", "sizeBytes": len(data), "name": path.name}
        return LayerSpec(digest=digest, image=ref)

    def read(self, ref: MediaRef) -> bytes:
        """The content."""
        return self.paths[ref["media"]].read_bytes()

    def path(self, ref: MediaRef) -> Path:
        """The file itself."""
        return self.paths[ref["media"]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ours:
    """What our renderer did, per piece."""

    wall_ms: float
    cpu_ms: float
    kb: float  # of a picture
    missed: float  # share of bands that were drawn
    cache_mb: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The layers, on disk and as the renderer takes them."""

    paths: Sequence[Sequence[Path]]  # by category, then option
    specs: Sequence[Sequence[LayerSpec]]
    media: FolderMedia
    size: int

    def layers(self, choice: Choice) -> list[LayerSpec]:
        """The stack of one piece."""
        return [self.specs[category][option] for category, option in enumerate(choice)]


def subject(folder: Path, *, size: int, grain: bool = False) -> Subject:
    """Draw the layers into ``folder``."""
    media = FolderMedia()
    paths = list(make_layers(folder, size=size, grain=grain).values())
    return Subject(
        paths=paths, specs=[[media.add(path) for path in group] for group in paths], media=media, size=size
    )


def time_ours(choices: Sequence[Choice], given: Subject, *, out: Path) -> Ours:
    """Render and write every piece with a fresh renderer."""
    renderer, canvas = Renderer(), Canvas(width=given.size, height=given.size)
    written, start, cpu = 0, time.perf_counter(), time.process_time()
    for number, choice in enumerate(choices):
        data = renderer.png(canvas, given.layers(choice), media=given.media)
        (out / f"ours{number % FILES}.png").write_bytes(data)
        written += len(data)
    wall_s, cpu_s, count = time.perf_counter() - start, time.process_time() - cpu, len(choices)
    return Ours(
        wall_ms=wall_s * 1e3 / count,
        cpu_ms=cpu_s * 1e3 / count,
        kb=written / count / 1e3,
        missed=renderer.counts.missed / renderer.counts.bands,
        cache_mb=renderer.cached_bytes / 1e6,
    )


def time_pillow(choices: Sequence[Choice], given: Subject, *, out: Path) -> float:
    """Milliseconds a piece the plain way: open every layer, alpha_composite, save.

    Raises:
        SystemExit: one of our pictures has other pixels.
    """
    start, made = time.perf_counter(), []
    for number, choice in enumerate(choices):
        image = Image.open(given.paths[0][choice[0]]).convert("RGBA")
        for category, option in enumerate(choice[1:], 1):
            image.alpha_composite(Image.open(given.paths[category][option]).convert("RGBA"))
        image.save(out / f"pillow{number}.png")
        made.append(np.asarray(image))
    pillow_s = time.perf_counter() - start
    renderer, canvas = Renderer(), Canvas(width=given.size, height=given.size)
    for choice, pixels in zip(choices, made, strict=True):
        path = out / "check.png"
        path.write_bytes(renderer.png(canvas, given.layers(choice), media=given.media))
        if not np.array_equal(np.asarray(Image.open(path).convert("RGBA")), pixels):
            raise SystemExit("a piece differs from Pillow's alpha_composite")
    return pillow_s * 1e3 / len(choices)


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pieces", type=int, default=10_000)
    parser.add_argument("--editions", type=int, default=100, help="pictures each peer makes")
    parser.add_argument("--size", type=int, default=1024)
    args = parser.parse_args()
    engine_folder()
    rows: list[harness.Row] = []
    notes: dict[str, object] = {}
    for art in ("cartoon", "painted"):
        with tempfile.TemporaryDirectory(prefix="compose-") as name:
            folder = Path(name)
            given = subject(folder / "layers", size=args.size, grain=art == "painted")
            choices = choose(args.pieces)
            ours = time_ours(choices, given, out=folder)
            pillow_ms = time_pillow(choices[: args.editions], given, out=folder)
            peer = run_hashlips(folder / "layers", editions=args.editions, size=args.size)
        print(art, asdict(ours), file=sys.stderr)
        notes[art] = {**asdict(ours), "hashlipsKb": peer.image_kb}
        title = f"layers.compose to PNG, {len(CATEGORIES)} {art} layers, {args.size}², {args.pieces:,} pieces"
        for peer_ms, peer_name in (
            (peer.ms_per_edition, f"HashLips {peer.engine}, canvas {peer.canvas}"),
            (pillow_ms, "Pillow, opening each layer"),
        ):
            rows.append(
                harness.Row(name=title, ours=ours.wall_ms, peer=peer_ms, peer_name=peer_name, unit="ms/piece")
            )
    harness.record("compose", rows, notes=notes)
    if (rows[0].ratio or 0) < LEAST:
        raise SystemExit(f"less than {LEAST:g} times the peer")


if __name__ == "__main__":
    main()
