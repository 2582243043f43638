"""Named colours, and smooth ramps between colours without muddy middles or visible steps."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cauldron.adapters.local.png import Pixels

Color = tuple[int, int, int, int]  # RGBA, 0…255
Levels = NDArray[np.float32]  # 0…255, not yet rounded

PALETTES: dict[str, tuple[str, ...]] = {  # dark to light
    "ember": ("#1a1024", "#4a1942", "#a12b46", "#e8623d", "#f9b24e", "#fff1c9"),
    "dusk": ("#141432", "#3b2a6b", "#7d4a9c", "#d4739d", "#f7b09a", "#ffe8d1"),
    "lagoon": ("#06202f", "#0b4a5e", "#14868c", "#4fc3a8", "#b4ead0", "#f5fbe9"),
    "moss": ("#12211a", "#26452f", "#4d7440", "#8aa84f", "#cdd58a", "#f6f2d4"),
    "rose": ("#2a0f25", "#6b1f48", "#b53d6a", "#ea7f8f", "#f9bfb4", "#fff0e6"),
    "ink": ("#0d1117", "#1f2a3a", "#3d5470", "#7791aa", "#bccbd6", "#f3f5f4"),
    "aurora": ("#0b1030", "#173a6b", "#1a7d8f", "#42c28f", "#b0e57c", "#fbf7c0"),
    "sand": ("#2b1d16", "#5f4030", "#a5754f", "#d6aa77", "#ecd3ab", "#fbf3e2"),
    "candy": ("#2b1055", "#6a2c9c", "#c94cae", "#ff7ea0", "#ffb7a6", "#fff3d6"),
    "ultraviolet": ("#0c0a2a", "#2b1a78", "#5e35c7", "#9a6bf0", "#c9b1fb", "#f4eeff"),
    "citrus": ("#16302b", "#2f6b4f", "#86b049", "#e4cf4b", "#f7a23b", "#fff0d0"),
    "glacier": ("#0a1a2f", "#174272", "#3a7fb8", "#7fb9de", "#c3e2ee", "#f8fdfd"),
    "terracotta": ("#20171b", "#51302f", "#97503f", "#cf8055", "#e6b98c", "#f7ead6"),
    "mono": ("#101012", "#38383c", "#6b6b70", "#a0a0a4", "#d0d0d2", "#fafafa"),
}

RAMP_STEPS = 2_048
SLAB_ROWS = 256

_TO_LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def _bayer(order: int) -> NDArray[np.float32]:
    """Thresholds in (0, 1), spread as evenly as can be over a square of 2^order."""
    grid = np.zeros((1, 1))
    for _ in range(order):
        grid = np.block([[4 * grid, 4 * grid + 2], [4 * grid + 3, 4 * grid + 1]])
    thresholds: NDArray[np.float32] = ((grid + 0.5) / grid.size).astype(np.float32)
    return thresholds


BAYER = _bayer(3)


def parse(text: str) -> Color:
    """``#rrggbb`` or ``#rrggbbaa`` as RGBA; opaque without alpha."""
    red, green, blue, alpha = bytes.fromhex(f"{text[1:]}ff"[:8])
    return red, green, blue, alpha


def chosen(inputs: Mapping[str, Any]) -> list[Color]:
    """The colours of the inputs ``colors`` or else ``palette``."""
    return [parse(text) for text in inputs.get("colors") or PALETTES[inputs["palette"]]]


def ramp(stops: Sequence[Color], positions: Sequence[float] | None = None, *, space: str = "oklab") -> Levels:
    """``RAMP_STEPS`` colours through ``stops``, (steps, 4), as unrounded levels.

    Method: linear interpolation in OKLab (Björn Ottosson, 2020) with premultiplied
    alpha, or in sRGB as it is.
    """
    at = np.linspace(0, 1, len(stops)) if positions is None else np.array(positions, float)
    levels = np.array(stops, float) / 255
    alpha = levels[:, 3:]
    coordinates = (_lab(levels[:, :3]) if space == "oklab" else levels[:, :3]) * alpha
    steps = np.linspace(0, 1, RAMP_STEPS)
    opacity = np.interp(steps, at, alpha[:, 0])
    mixed = np.stack([np.interp(steps, at, column) for column in coordinates.T], axis=1)
    mixed /= np.maximum(opacity, 1e-9)[:, None]
    color = _rgb(mixed) if space == "oklab" else mixed
    both = np.concatenate([np.clip(color, 0, 1), opacity[:, None]], axis=1) * 255
    return both.astype(np.float32)


def paint(field: NDArray[np.float32], colors: Levels, *, dither: bool = True) -> Pixels:
    """``field`` (h, w), 0…1, coloured by a ramp; RGB when the ramp is opaque, else RGBA.

    The steps of 8-bit colour are hidden by ordered dithering, which deflates well.
    """
    channels = 3 if bool((colors[:, 3] >= 254.999).all()) else 4
    table = np.ascontiguousarray(colors[:, :channels])
    out = np.empty((*field.shape, channels), np.uint8)
    for top in range(0, field.shape[0], SLAB_ROWS):
        rows = np.clip(field[top : top + SLAB_ROWS], 0, 1)
        levels = table[(rows * np.float32(RAMP_STEPS - 1) + np.float32(0.5)).astype(np.int32)]
        out[top : top + SLAB_ROWS] = rounded(levels, top=top, dither=dither)
    return out


def rounded(levels: Levels, *, top: int = 0, dither: bool = True) -> Pixels:
    """Levels (h, w, c) as bytes; ``top`` is the picture row they begin at."""
    if not dither:
        nearest: Pixels = (np.clip(levels, 0, 255) + np.float32(0.5)).astype(np.uint8)
        return nearest
    height, width = levels.shape[:2]
    rows, columns = (np.arange(height) + top) % 8, np.arange(width) % 8
    whole = np.clip(levels, 0, 255) + BAYER[rows][:, columns][:, :, None]
    lower: Pixels = np.minimum(whole, 255).astype(np.uint8)
    return lower


def contrast_color(behind: Color) -> Color:
    """Near-white or near-black, whichever reads better on ``behind`` (WCAG luminance)."""
    linear = _linear(np.array(behind[:3], float) / 255)
    light = float(linear @ np.array([0.2126, 0.7152, 0.0722]))
    return (250, 247, 240, 255) if (1.05 / (light + 0.05)) > (light + 0.05) / 0.055 else (24, 20, 32, 255)


def _linear(srgb: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(srgb <= 0.04045, srgb / 12.92, ((np.maximum(srgb, 0) + 0.055) / 1.055) ** 2.4)


def _lab(srgb: NDArray[np.float64]) -> NDArray[np.float64]:
    lab: NDArray[np.float64] = np.cbrt(_linear(srgb) @ _TO_LMS.T) @ _TO_LAB.T
    return lab


def _rgb(lab: NDArray[np.float64]) -> NDArray[np.float64]:
    linear = (lab @ np.linalg.inv(_TO_LAB).T) ** 3 @ np.linalg.inv(_TO_LMS).T
    safe = np.maximum(linear, 0)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * safe ** (1 / 2.4) - 0.055)
