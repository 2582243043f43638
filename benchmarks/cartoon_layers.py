"""Seeded layer pictures to compose: 7 categories of 10 options with skewed weights, drawn by code.

Files are named the way layer engines read them: ``<category>/<option>#<weight>.png``.
"""

import math
import random
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

CATEGORIES = ("Background", "Body", "Clothes", "Mouth", "Eyes", "Hat", "Accessory")
WEIGHTS = (30, 20, 15, 10, 8, 6, 5, 3, 2, 1)
SEED = 20_261_120
OVERSAMPLE = 2  # drawn larger and shrunk, so that edges are smooth

Color = tuple[int, int, int]
INK: Color = (26, 20, 33)


def make_layers(folder: Path, *, size: int = 1024, grain: bool = False) -> dict[str, list[Path]]:
    """Write the 70 pictures of ``size`` × ``size`` pixels below ``folder``; paths by category.

    ``grain`` adds gaussian noise (σ = 6 levels) inside the shapes, as painted art has.
    Equal arguments give equal pixels.
    """
    made: dict[str, list[Path]] = {}
    for number, category in enumerate(CATEGORIES):
        (folder / category).mkdir(parents=True, exist_ok=True)
        made[category] = []
        for option, weight in enumerate(WEIGHTS):
            rng = random.Random(f"{SEED}:{number}:{option}")
            image = _draw(category, option, rng=rng, size=size * OVERSAMPLE)
            image = image.resize((size, size), Image.Resampling.LANCZOS)
            path = folder / category / f"{category} {option}#{weight}.png"
            (_grained(image, seed=number * 100 + option) if grain else image).save(path)
            made[category].append(path)
    return made


def choose(pieces: int, *, seed: int = SEED) -> list[tuple[int, ...]]:
    """``pieces`` different weighted selections, one option index per category, in the order drawn."""
    if pieces > len(WEIGHTS) ** len(CATEGORIES) // 10:
        raise ValueError("more pieces than a retrying draw should be asked for")
    rng, options = random.Random(seed), range(len(WEIGHTS))
    seen: dict[tuple[int, ...], None] = {}
    while len(seen) < pieces:
        seen[tuple(rng.choices(options, WEIGHTS)[0] for _ in CATEGORIES)] = None
    return list(seen)


def _color(rng: random.Random) -> Color:
    return rng.randrange(40, 240), rng.randrange(40, 240), rng.randrange(40, 240)


def _draw(category: str, option: int, *, rng: random.Random, size: int) -> Image.Image:
    if category == "Background":
        return _ramp(_color(rng), _color(rng), size=size)
    image = Image.new("RGBA", (size, size), (0, 0, 0, 0))
    pen = _Pen(ImageDraw.Draw(image), size / 1000, _color(rng))
    drawing = {
        "Body": _body, "Clothes": _clothes, "Mouth": _mouth, "Eyes": _eyes, "Hat": _hat, "Accessory": _star,
    }[category]  # fmt: skip
    drawing(pen, option, rng)
    return image


def _ramp(top: Color, bottom: Color, *, size: int) -> Image.Image:
    share = np.linspace(0, 1, size)[:, None, None]
    rows = np.array(top) * (1 - share) + np.array(bottom) * share
    return Image.fromarray(np.broadcast_to(rows, (size, size, 3)).astype(np.uint8)).convert("RGBA")


class _Pen:
    """Draws in thousandths of the picture's side, filled and outlined."""

    def __init__(self, draw: ImageDraw.ImageDraw, scale: float, fill: Color) -> None:
        self.draw, self.scale, self.fill = draw, scale, fill

    def oval(self, box: tuple[float, ...], fill: Color | None = None) -> None:
        self.draw.ellipse(self._at(box), fill=fill or self.fill, outline=INK, width=self._width)

    def slab(self, box: tuple[float, ...], radius: float) -> None:
        corner = radius * self.scale
        self.draw.rounded_rectangle(self._at(box), corner, fill=self.fill, outline=INK, width=self._width)

    def shape(self, points: list[tuple[float, float]]) -> None:
        at = [(x * self.scale, y * self.scale) for x, y in points]
        self.draw.polygon(at, fill=self.fill, outline=INK, width=self._width)

    def stroke(self, line: tuple[float, ...]) -> None:
        self.draw.line(self._at(line), fill=INK, width=self._width)

    @property
    def _width(self) -> int:
        return max(1, round(10 * self.scale))

    def _at(self, numbers: tuple[float, ...]) -> list[float]:
        return [n * self.scale for n in numbers]


def _body(pen: _Pen, option: int, rng: random.Random) -> None:
    w = rng.randrange(-30, 31)
    pen.slab((310 - w, 690, 690 + w, 1040), 90)
    pen.oval((220 + w, 240, 780 - w, 800))


def _clothes(pen: _Pen, option: int, rng: random.Random) -> None:
    w = rng.randrange(-30, 31)
    pen.slab((270 + w, 800, 730 - w, 1040), 60)
    for n in range(option % 5):
        pen.stroke((330 + 85 * n, 815, 330 + 85 * n, 1000))


def _mouth(pen: _Pen, option: int, rng: random.Random) -> None:
    half, height = 60 + 9 * option, rng.randrange(24, 90)
    pen.slab((500 - half, 640, 500 + half, 640 + height), height / (2 + option % 3))


def _eyes(pen: _Pen, option: int, rng: random.Random) -> None:
    gaze, wide = rng.randrange(-20, 21), 62 + 3 * option
    for x in (390, 610):
        pen.oval((x - wide, 420, x + wide, 560), (250, 250, 245))
        pen.oval((x - 28 + gaze, 460, x + 28 + gaze, 516))


def _hat(pen: _Pen, option: int, rng: random.Random) -> None:
    tip = 500 + rng.randrange(-160, 161)
    pen.shape([(290, 300), (710, 300), (tip, 40 + 12 * option)])
    pen.oval((230, 262, 770, 342))


def _star(pen: _Pen, option: int, rng: random.Random) -> None:
    x, y, points = (150 if option % 2 else 850), 640 + rng.randrange(-60, 61), 2 * (3 + option)
    turn = [math.tau * n / points for n in range(points)]
    reach = [85 if n % 2 else 40 for n in range(points)]
    pen.shape([(x + r * math.cos(t), y + r * math.sin(t)) for r, t in zip(reach, turn, strict=True)])


def _grained(image: Image.Image, *, seed: int) -> Image.Image:
    pixels = np.asarray(image).astype(np.float32)
    noise = np.random.default_rng(seed).normal(0, 6, (*pixels.shape[:2], 3))
    pixels[..., :3] = np.clip(pixels[..., :3] + noise, 0, 255)
    return Image.fromarray(pixels.astype(np.uint8))
