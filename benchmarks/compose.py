"""Layered pieces to PNG files: the band renderer beside plain Pillow, in one run.

    python benchmarks/compose.py [--pieces 10000] [--peer-pieces 24] [--size 1024] [--grain]

Draws its own cartoon layers (7 categories × 10 options, seeded), renders the pieces one after
the other into a temporary folder and prints JSON rows {name, ours, peer, peerName, ratio, unit}.
"""

import argparse
import hashlib
import json
import random
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from cauldron.adapters.local.bands import Renderer
from cauldron.adapters.local.layers import Canvas, LayerSpec
from cauldron.domain.media import MediaRef

CATEGORIES = ("background", "body", "clothes", "mouth", "eyes", "hat", "accessory")
WEIGHTS = (30, 20, 15, 10, 8, 6, 5, 3, 2, 1)
SEED = 7


class FolderMedia:
    """Stored media of one folder, by content."""

    def __init__(self) -> None:
        self.paths: dict[str, Path] = {}

    def add(self, path: Path) -> MediaRef:
        """Make ``path`` readable; its reference."""
        data = path.read_bytes()
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self.paths[digest] = path
        return {"media": digest, "mime": "image/png", "sizeBytes": len(data), "name": path.name}

    def read(self, ref: MediaRef) -> bytes:
        return self.paths[ref["media"]].read_bytes()

    def path(self, ref: MediaRef) -> Path:
        return self.paths[ref["media"]]


def make_layers(folder: Path, *, size: int, grain: bool = False) -> list[list[Path]]:
    """Write ``<category>/<option>#<weight>.png``, as HashLips names them; paths by category."""
    rng = random.Random(SEED)
    made = []
    for category in CATEGORIES:
        (folder / category).mkdir(parents=True, exist_ok=True)
        paths = []
        for option, weight in enumerate(WEIGHTS):
            image = _drawing(category, option, rng=rng).resize((size, size), Image.Resampling.LANCZOS)
            path = folder / category / f"{category}{option}#{weight}.png"
            (_grained(image, option) if grain else image).save(path)
            paths.append(path)
        made.append(paths)
    return made


def choose(pieces: int) -> list[tuple[int, ...]]:
    """Unique weighted selections, in the order drawn."""
    rng = random.Random(SEED)
    seen: dict[tuple[int, ...], None] = {}
    while len(seen) < pieces:
        seen[tuple(rng.choices(range(10), WEIGHTS)[0] for _ in CATEGORIES)] = None
    return list(seen)


def _color(rng: random.Random) -> tuple[int, int, int]:
    return rng.randrange(30, 240), rng.randrange(30, 240), rng.randrange(30, 240)


def _drawing(category: str, option: int, *, rng: random.Random) -> Image.Image:
    """One option at 2048 × 2048, to be shrunk: smooth edges, flat fills, ink outlines."""
    image = Image.new("RGBA", (2048, 2048), (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    fill, dark = _color(rng), (24, 18, 30)
    cx, w = 1024, rng.randrange(-60, 60)
    if category == "background":
        shade = np.linspace(0, 1, 2048)[:, None, None]
        ramp = np.array(fill) * (1 - shade) + np.array(_color(rng)) * shade
        image = Image.fromarray(np.broadcast_to(ramp, (2048, 2048, 3)).astype(np.uint8)).convert("RGBA")
    elif category == "body":
        draw.ellipse((420 + w, 480, 1628 - w, 1700), fill=fill, outline=dark, width=24)
        draw.rounded_rectangle((620, 1450, 1428, 2048), 160, fill=fill, outline=dark, width=24)
    elif category == "clothes":
        draw.rounded_rectangle((520 + w, 1560, 1528 - w, 2048), 120, fill=fill, outline=dark, width=24)
        for i in range(option % 5):
            draw.line((640 + 180 * i, 1600, 640 + 180 * i, 2048), fill=dark, width=16)
    elif category == "mouth":
        draw.chord((800 + w, 1180, 1248 - w, 1420), 0, 180, fill=fill, outline=dark, width=16)
    elif category == "eyes":
        for x in (780, 1268):
            draw.ellipse((x - 150, 820 + w, x + 150, 1090 + w), fill="white", outline=dark, width=18)
            draw.ellipse((x - 60 + w, 900, x + 60 + w, 1020), fill=fill)
    elif category == "hat":
        draw.polygon(
            [(560, 600), (1488, 600), (cx + 5 * w, 120 + 8 * option)], fill=fill, outline=dark, width=20
        )
        draw.ellipse((480, 540, 1568, 680), fill=fill, outline=dark, width=20)
    else:
        x = 260 if option % 2 else 1788
        draw.line((x, 620 + 2 * w, x, 1960), fill=dark, width=44)
        draw.line((x, 640 + 2 * w, x, 1940), fill=fill, width=20)
        draw.regular_polygon((x, 620 + 2 * w, 130), 3 + option, fill=fill, outline=dark, width=14)
    return image


def _grained(image: Image.Image, option: int) -> Image.Image:
    pixels = np.asarray(image).astype(np.float32)
    noise = np.random.default_rng(option).normal(0, 6, (*pixels.shape[:2], 3))
    pixels[..., :3] = np.clip(pixels[..., :3] + noise, 0, 255)
    return Image.fromarray(pixels.astype(np.uint8))


def time_ours(
    rows: list[tuple[int, ...]], specs: list[list[LayerSpec]], *, media: FolderMedia, size: int, out: Path
) -> dict[str, float]:
    """Milliseconds a piece including decoding every layer once and writing each file."""
    renderer, canvas = Renderer(), Canvas(width=size, height=size)
    written = 0
    start, cpu = time.perf_counter(), time.process_time()
    for number, row in enumerate(rows):
        data = renderer.png(canvas, [specs[c][o] for c, o in enumerate(row)], media=media)
        (out / f"{number % 500}.png").write_bytes(data)
        written += len(data)
    counts = renderer.counts
    return {
        "ms": (time.perf_counter() - start) * 1e3 / len(rows),
        "cpuMs": (time.process_time() - cpu) * 1e3 / len(rows),
        "missed": counts.missed / counts.bands,
        "cacheMb": renderer.cached_bytes / 1e6,
        "kb": written / len(rows) / 1e3,
        "decoded": counts.decoded,
    }


def time_pillow(
    rows: list[tuple[int, ...]], paths: list[list[Path]], *, out: Path, check: list[bytes]
) -> float:
    """Milliseconds a piece the plain way: open every layer, alpha_composite, save."""
    start = time.perf_counter()
    made = []
    for number, row in enumerate(rows):
        image = Image.open(paths[0][row[0]]).convert("RGBA")
        for category, option in enumerate(row[1:], 1):
            image.alpha_composite(Image.open(paths[category][option]).convert("RGBA"))
        image.save(out / f"peer{number}.png")
        made.append(image)
    elapsed = time.perf_counter() - start
    for image, path in zip(made, check, strict=True):
        if not np.array_equal(np.asarray(image), np.asarray(Image.open(path).convert("RGBA"))):
            raise SystemExit("a piece differs from Pillow's alpha_composite")
    return elapsed * 1e3 / len(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pieces", type=int, default=10_000)
    parser.add_argument("--peer-pieces", type=int, default=24)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--grain", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        media = FolderMedia()
        paths = make_layers(folder / "layers", size=args.size, grain=args.grain)
        refs = [[media.add(path) for path in group] for group in paths]
        specs = [[LayerSpec(digest=ref["media"], image=ref) for ref in group] for group in refs]
        rows = choose(args.pieces)
        ours = time_ours(rows, specs, media=media, size=args.size, out=folder)
        some = rows[: args.peer_pieces]
        files = []
        renderer, canvas = Renderer(), Canvas(width=args.size, height=args.size)
        for number, row in enumerate(some):
            files.append(folder / f"ours{number}.png")
            files[-1].write_bytes(renderer.png(canvas, [specs[c][o] for c, o in enumerate(row)], media=media))
        peer = time_pillow(some, paths, out=folder, check=files)
    print({key: round(value, 3) for key, value in ours.items()}, file=sys.stderr)
    art = "painted" if args.grain else "cartoon"
    row = {
        "name": f"layers.compose {args.size}² {art}, {args.pieces} pieces",
        "ours": round(ours["ms"], 3),
        "peer": round(peer, 3),
        "peerName": "Pillow, open each layer",
        "ratio": round(peer / ours["ms"], 1),
        "unit": "ms/piece",
    }
    print(json.dumps(row))


if __name__ == "__main__":
    main()
