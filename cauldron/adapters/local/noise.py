"""``noise.field``: smooth random fields, coloured by a palette."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cauldron.adapters.local import output, palettes
from cauldron.adapters.local.chance import Chance
from cauldron.ports.tools import Media, Produced

Field = NDArray[np.float32]
SLAB_ROWS = 256
SPREAD = 0.139  # standard deviation of one octave: uniform lattice through a cubic B-spline
WARP_OCTAVES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Size and detail of a field."""

    width: int  # pixels
    height: int  # pixels
    scale: float  # features across the shorter side
    octaves: int
    roughness: float  # amplitude of each octave relative to the last


def run(inputs: Mapping[str, Any], media: Media) -> Sequence[Produced]:
    """The field as the output ``image``."""
    shape = Shape(
        width=inputs["width"],
        height=inputs["height"],
        scale=inputs["scale"],
        octaves=inputs["octaves"],
        roughness=0.25 + 0.5 * inputs["roughness"],
    )
    field = KINDS[inputs["kind"]](shape, inputs["seed"], inputs["warp"])
    field = _spread(field, 0.35 + 1.1 * inputs["contrast"])
    if inputs["kind"] == "contour":
        field = _contours(field)
    return output.picture(palettes.paint(field, palettes.ramp(palettes.chosen(inputs))), inputs)


def fbm(shape: Shape, seed: int, purpose: str = "fbm", *, fold: str = "none") -> Field:
    """Fractional Brownian motion with mean 0 and deviation about 1, (height, width).

    ``fold`` bends each octave: ``ridged`` into sharp crests, ``billow`` into puffs.
    Method: octaves of value noise on a lattice, smoothed by a cubic B-spline,
    evaluated separably; each octave has 2.03 times the frequency of the last.
    """
    total = np.zeros((shape.height, shape.width), np.float32)
    chance = Chance(seed, purpose)
    amplitude, frequency, power = 1.0, shape.scale / min(shape.width, shape.height), 0.0
    for _ in range(shape.octaves):
        _add_octave(total, chance, frequency, amplitude=amplitude, fold=fold)
        power += amplitude * amplitude
        amplitude *= shape.roughness
        frequency *= 2.03
    total *= np.float32(1 / power**0.5)
    return total


def _add_octave(total: Field, chance: Chance, frequency: float, *, amplitude: float, fold: str) -> None:
    height, width = total.shape
    columns, across = _spline(width, frequency)
    rows, down = _spline(height, frequency)
    lattice = (chance.floats(rows[-1] + 5, columns[-1] + 5) - 0.5) / SPREAD
    lattice = lattice.astype(np.float32)
    wide = sum(across[k] * lattice[:, columns + k] for k in range(4))
    for top in range(0, height, SLAB_ROWS):
        part = slice(top, top + SLAB_ROWS)
        value = sum(down[k][part, None] * wide[rows[part] + k] for k in range(4))
        total[part] += np.float32(amplitude) * _folded(value, fold)


def _folded(value: Field, fold: str) -> Field:
    if fold == "ridged":
        return np.float32(1.9) * (1 - np.abs(value)) - np.float32(0.4)
    return np.float32(1.9) * np.abs(value) - np.float32(1.5) if fold == "billow" else value


def _spline(length: int, frequency: float) -> tuple[NDArray[np.intp], Field]:
    """Lattice cells of ``length`` pixels, and the four B-spline weights of each."""
    position = (np.arange(length) + 0.5) * frequency
    cell = np.floor(position).astype(np.intp)
    f = position - cell
    weights = [(1 - f) ** 3, 3 * f**3 - 6 * f**2 + 4, -3 * f**3 + 3 * f**2 + 3 * f + 1, f**3]
    return cell, (np.stack(weights) / 6).astype(np.float32)


def _warped(shape: Shape, seed: int, warp: float) -> Field:
    """fBm read at places that are themselves moved by fBm (after Inigo Quilez, *Domain warping*)."""
    field = fbm(shape, seed)
    soft = Shape(
        width=shape.width,
        height=shape.height,
        scale=shape.scale * 0.7,
        octaves=min(WARP_OCTAVES, shape.octaves),
        roughness=shape.roughness,
    )
    reach = np.float32(warp * 0.45 * min(shape.width, shape.height) / shape.scale)
    once = _sampled(field, fbm(soft, seed, "warp-x"), fbm(soft, seed, "warp-y"), reach=reach)
    return _sampled(field, once, fbm(soft, seed, "warp-z"), reach=reach)


def _sampled(field: Field, dx: Field, dy: Field, *, reach: np.float32) -> Field:
    """``field`` at (x + reach·dx, y + reach·dy), bilinear; mirrored at the borders."""
    height, width = field.shape
    out = np.empty_like(field)
    flat = field.reshape(-1)
    columns = np.arange(width, dtype=np.float32)
    for top in range(0, height, SLAB_ROWS):
        part = slice(top, min(top + SLAB_ROWS, height))
        rows = np.arange(part.start, part.stop, dtype=np.float32)[:, None]
        x = _mirrored(columns + reach * dx[part], width)
        y = _mirrored(rows + reach * dy[part], height)
        left, upper = x.astype(np.int32), y.astype(np.int32)
        fx, fy = x - left, y - upper
        right = np.minimum(left + 1, width - 1)
        low = np.minimum(upper + 1, height - 1)
        upper *= width
        low *= width
        above = flat[upper + left] * (1 - fx) + flat[upper + right] * fx
        below = flat[low + left] * (1 - fx) + flat[low + right] * fx
        out[part] = above * (1 - fy) + below * fy
    return out


def _mirrored(place: Field, length: int) -> Field:
    """``place`` folded back into 0…length − 1."""
    period = np.float32(max(1, 2 * (length - 1)))
    folded = np.abs(place) % period
    mirrored: Field = np.minimum(folded, period - folded)
    return mirrored


def _marble(shape: Shape, seed: int, warp: float) -> Field:
    field = fbm(shape, seed)
    y, x = np.mgrid[0 : shape.height, 0 : shape.width].astype(np.float32)
    turns = shape.scale / min(shape.width, shape.height)
    phase = (x * np.float32(0.6) + y * np.float32(0.8)) * np.float32(turns)
    wave = np.sin((phase + np.float32(0.5 * warp + 0.1) * field) * np.float32(2 * np.pi))
    veins: Field = np.float32(2.2) * np.sqrt(np.abs(wave)) - np.float32(1.7)
    return veins


def _contours(field: Field) -> Field:
    """``field`` in flat steps with a thin dark line between them, one pixel wide."""
    steps = np.float32(14)
    height = field * steps
    slope = np.hypot(*np.gradient(height)) if min(field.shape) > 1 else np.ones_like(field)
    level = np.floor(height)
    distance = np.minimum(height - level, level + 1 - height) / np.maximum(slope, np.float32(1e-4))
    line = np.clip(np.float32(1.2) - distance, 0, 1)
    flat = (level + np.float32(0.5)) / steps
    drawn: Field = (flat * (1 - np.float32(0.55) * line)).astype(np.float32)
    return drawn


def _spread(field: Field, gain: float) -> Field:
    """Mean 0, deviation 1 → 0…1, softly, so that no end of the palette is cut off."""
    pushed = field * np.float32(gain)
    soft: Field = np.float32(0.5) + np.float32(0.5) * pushed / np.sqrt(1 + pushed * pushed)
    return soft


KINDS: dict[str, Callable[[Shape, int, float], Field]] = {
    "warp": _warped,
    "fbm": lambda shape, seed, _: fbm(shape, seed),
    "ridged": lambda shape, seed, _: fbm(shape, seed, fold="ridged"),
    "billow": lambda shape, seed, _: fbm(shape, seed, fold="billow"),
    "marble": _marble,
    "contour": lambda shape, seed, _: fbm(shape, seed),
}
