"""``pixel.avatar``: mirrored pixel sprites with an outline, shading and eyes."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cauldron.adapters.local import output, palettes
from cauldron.adapters.local.chance import Chance
from cauldron.adapters.local.png import Pixels
from cauldron.ports.tools import Media, Produced

Cells = NDArray[np.float64]
MAX_SIDE = 4_096  # pixels


def run(inputs: Mapping[str, Any], media: Media) -> Sequence[Produced]:
    """The sprite as the output ``image``, ``cells`` × ``scale`` pixels a side."""
    scale = min(inputs["scale"], MAX_SIDE // inputs["cells"])
    sprite = _sprite(inputs)
    return output.picture(np.repeat(np.repeat(sprite, scale, axis=0), scale, axis=1), inputs)


def _sprite(inputs: Mapping[str, Any]) -> Pixels:
    cells = inputs["cells"]
    chance = Chance(inputs["seed"], inputs["kind"])
    body = _body(cells, inputs["kind"], chance)
    colors = palettes.chosen(inputs)
    background = inputs.get("background")
    sprite = np.zeros((cells, cells, 4), np.uint8)
    if background:
        sprite[...] = palettes.parse(background)
    shades = colors[1:-1] or colors
    main = chance.whole(0, len(shades) - 1)
    accent = shades[(main + 1 + chance.whole(0, max(0, len(shades) - 2))) % len(shades)]
    _color(sprite, body, chance, main=shades[main], accent=accent, light=colors[-1])
    _eyes(sprite, body, chance, white=colors[-1], dark=colors[0])
    if inputs["outline"]:
        sprite[_rim(body)] = colors[0]
    return sprite


def _body(cells: int, kind: str, chance: Chance) -> NDArray[np.bool_]:
    """Which cells belong to the figure; mirrored, in one piece, a free cell all round."""
    half = (cells + 1) // 2
    y, x = np.mgrid[0:cells, 0:half]
    across = 1 - (x + 0.5) / (cells / 2)  # 0 at the middle line, 1 at the border
    down = (y + 0.5) / cells
    chances = SHAPES[kind](across, down)
    filled = chance.floats(cells, half) < chances
    filled = _smoothed(filled, chances)
    filled |= chances > 0.97
    filled[(down < 1.2 / cells) | (down > 1 - 1.2 / cells)] = False
    filled[:, 0] = False
    whole = np.concatenate([filled, filled[:, : cells // 2][:, ::-1]], axis=1)
    return _largest(whole)


def _smoothed(filled: NDArray[np.bool_], chances: Cells) -> NDArray[np.bool_]:
    """Cells alone vanish, holes close: the majority of the neighbours decides."""
    padded = np.pad(filled, 1, mode="edge").astype(int)
    around = -filled.astype(int)
    for dy in (0, 1, 2):
        for dx in (0, 1, 2):
            around += padded[dy : dy + filled.shape[0], dx : dx + filled.shape[1]]
    kept: NDArray[np.bool_] = (filled & (around >= 2)) | ((around >= 6) & (chances > 0.15))
    return kept


def _largest(body: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The part connected with the middle line."""
    reached = np.zeros_like(body)
    middle = body.shape[1] // 2
    reached[:, middle - 1 : middle + 1] = body[:, middle - 1 : middle + 1]
    for _ in range(body.size):
        grown = (reached | _shifted(reached)) & body
        if (grown == reached).all():
            break
        reached = grown
    return reached


def _shifted(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Cells with a neighbour above, below, left or right in ``mask``."""
    padded = np.pad(mask, 1)
    return padded[:-2, 1:-1] | padded[2:, 1:-1] | padded[1:-1, :-2] | padded[1:-1, 2:]


def _rim(body: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Free cells that touch the figure."""
    return _shifted(body) & ~body


def _color(
    sprite: Pixels,
    body: NDArray[np.bool_],
    chance: Chance,
    *,
    main: palettes.Color,
    accent: palettes.Color,
    light: palettes.Color,
) -> None:
    """Body colour lit from above, with mirrored patches of the accent."""
    cells = body.shape[0]
    half = (cells + 1) // 2
    patches = chance.floats(cells, half) < 0.32
    patches = _smoothed(patches, np.full(patches.shape, 0.3))
    marks = np.concatenate([patches, patches[:, : cells // 2][:, ::-1]], axis=1)
    base = np.where(marks[:, :, None], np.array(accent[:3]), np.array(main[:3])).astype(float)
    below_sky = body & ~np.pad(body, ((1, 0), (0, 0)))[:-1]
    above_ground = body & ~np.pad(body, ((0, 1), (0, 0)))[1:]
    shade = 1.08 - 0.28 * (np.arange(cells) / cells)[:, None]
    lit = base * shade[:, :, None]
    lit[below_sky] = lit[below_sky] * 0.6 + np.array(light[:3]) * 0.4
    lit[above_ground] *= 0.72
    sprite[body, :3] = np.clip(lit[body], 0, 255).astype(np.uint8)
    sprite[body, 3] = 255


def _eyes(
    sprite: Pixels,
    body: NDArray[np.bool_],
    chance: Chance,
    *,
    white: palettes.Color,
    dark: palettes.Color,
) -> None:
    """Two eyes in the upper half, where the figure is wide enough; a pupil when there is room."""
    cells = body.shape[0]
    size = 2 if cells >= 14 else 1
    rows = [row for row in range(cells // 4, cells * 3 // 5) if _halfwidth(body, row, size) >= size + 1]
    if not rows:
        return
    row = rows[chance.whole(0, len(rows) // 2)]
    room = min(_halfwidth(body, row, size) - size, max(1, cells // 6))
    inner = cells // 2 - chance.whole(1, max(1, room))  # right border of the left eye
    bright = int(sprite[row, inner - 1, :3].astype(int).sum()) > 300
    for first in (inner - size, cells - inner):
        sprite[row : row + size, first : first + size] = white if size == 2 or not bright else dark
    if size == 2:
        look = chance.whole(0, 1)
        sprite[row + 1, inner - 1 - look] = dark
        sprite[row + 1, cells - inner + look] = dark


def _halfwidth(body: NDArray[np.bool_], row: int, size: int) -> int:
    """Cells of the figure from the middle line outwards, without a gap, in ``size`` rows."""
    left = body[row : row + size, : body.shape[1] // 2].min(axis=0)[::-1]
    return len(left) if bool(left.all()) else int(np.argmin(left))


def _soft(nearest: Cells) -> Cells:
    """Distance to a part (1 at its border) as a chance: sure inside, open near the border."""
    return np.clip((1.3 - nearest) / 0.5, 0, 1)


def _round(across: Cells, down: Cells, *, x: float, y: float, rx: float, ry: float) -> Cells:
    return np.hypot((across - x) / rx, (down - y) / ry)


def _square(across: Cells, down: Cells, *, x: float, y: float, rx: float, ry: float) -> Cells:
    return np.maximum(np.abs(across - x) / rx, np.abs(down - y) / ry)


def _creature(across: Cells, down: Cells) -> Cells:
    head = _round(across, down, x=0, y=0.36, rx=0.56, ry=0.2)
    belly = _round(across, down, x=0, y=0.66, rx=0.44, ry=0.19)
    ears = _round(across, down, x=0.46, y=0.17, rx=0.15, ry=0.11)
    arms = _round(across, down, x=0.62, y=0.62, rx=0.14, ry=0.08)
    feet = _round(across, down, x=0.3, y=0.86, rx=0.18, ry=0.06)
    return _soft(np.minimum.reduce([head, belly, ears + 0.1, arms + 0.15, feet]))


def _robot(across: Cells, down: Cells) -> Cells:
    head = _square(across, down, x=0, y=0.33, rx=0.46, ry=0.13)
    trunk = _square(across, down, x=0, y=0.64, rx=0.4, ry=0.12)
    neck = _square(across, down, x=0, y=0.49, rx=0.2, ry=0.06)
    antenna = _square(across, down, x=0.34, y=0.14, rx=0.06, ry=0.07)
    arms = _square(across, down, x=0.66, y=0.62, rx=0.09, ry=0.12)
    legs = _square(across, down, x=0.3, y=0.85, rx=0.13, ry=0.08)
    joints = _square(across, down, x=0.5, y=0.57, rx=0.16, ry=0.03)
    return _soft(np.minimum.reduce([head, trunk, neck, antenna, arms, legs, joints]))


def _mask(across: Cells, down: Cells) -> Cells:
    face = np.hypot(across / (0.62 - 0.3 * np.maximum(0, down - 0.5)), (down - 0.5) / 0.33)
    horns = _round(across, down, x=0.66, y=0.2, rx=0.13, ry=0.14)
    crest = _round(across, down, x=0, y=0.14, rx=0.2, ry=0.07)
    return _soft(np.minimum.reduce([face, horns + 0.1, crest + 0.15]))


def _ship(across: Cells, down: Cells) -> Cells:
    hull = across / (0.1 + 0.26 * down) + np.maximum(0, down - 0.84) * 6
    wings = np.maximum(across / 0.78, np.abs(down - 0.5 - 0.28 * across) / 0.1)
    fins = _square(across, down, x=0.3, y=0.84, rx=0.12, ry=0.07)
    return _soft(np.minimum.reduce([hull, wings, fins + 0.1]))


SHAPES: dict[str, Callable[[Cells, Cells], Cells]] = {
    "creature": _creature,
    "robot": _robot,
    "mask": _mask,
    "ship": _ship,
}
