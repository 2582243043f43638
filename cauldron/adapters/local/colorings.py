"""Effects that change each pixel by itself."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cauldron.adapters.local.palettes import RAMP_STEPS, Color, ramp
from cauldron.adapters.local.png import Pixels

Levels = NDArray[np.float32]  # (h, w, 3), 0…255


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What an effect may use beside the picture."""

    strength: float  # 0…1
    dark: Color
    light: Color
    seed: int


Effect = Callable[[Pixels, Settings], Pixels]
SEPIA = np.array([[0.393, 0.769, 0.189], [0.349, 0.686, 0.168], [0.272, 0.534, 0.131]], np.float32)


def luminance(color: Pixels | Levels) -> Levels:
    """Brightness of each pixel by Rec. 709, (h, w)."""
    red, green, blue = color[..., 0], color[..., 1], color[..., 2]
    light: Levels = red * np.float32(0.2126) + green * np.float32(0.7152) + blue * np.float32(0.0722)
    return light


def bytes_of(levels: Levels) -> Pixels:
    """Levels rounded to bytes."""
    return (np.clip(levels, 0, 255) + np.float32(0.5)).astype(np.uint8)


def toward(color: Pixels, changed: Levels, share: float) -> Pixels:
    """``share`` of ``changed`` in ``color``."""
    return bytes_of(color + (changed - color) * np.float32(share))


def _tabled(color: Pixels, curve: NDArray[np.float64]) -> Pixels:
    """Every channel through one curve of 256 levels."""
    table = (np.clip(curve, 0, 255) + 0.5).astype(np.uint8)
    return table[color]


def grayscale(color: Pixels, settings: Settings) -> Pixels:
    """Less colour, none at full strength."""
    return toward(color, luminance(color)[..., None], settings.strength)


def sepia(color: Pixels, settings: Settings) -> Pixels:
    """The brown of old prints."""
    red, green, blue = (color[..., i, None].astype(np.float32) for i in range(3))
    warm = red * SEPIA[:, 0] + green * SEPIA[:, 1] + blue * SEPIA[:, 2]
    return toward(color, np.minimum(warm, 255), settings.strength)


def invert(color: Pixels, settings: Settings) -> Pixels:
    """The negative; less strength lowers its contrast."""
    levels = np.arange(256.0)
    return _tabled(color, levels + (255 - 2 * levels) * (0.75 + 0.25 * settings.strength))


def posterize(color: Pixels, settings: Settings) -> Pixels:
    """Few levels per channel: sixteen at the least strength, two at the most."""
    count = round(2 + 14 * (1 - settings.strength) ** 2)
    levels = np.arange(256.0)
    return _tabled(color, np.floor(levels / 256 * count) * 255 / (count - 1))


def solarize(color: Pixels, settings: Settings) -> Pixels:
    """Lights above a threshold turn round."""
    levels = np.arange(256.0)
    threshold = 255 - 215 * settings.strength
    return _tabled(color, np.where(levels > threshold, 2 * threshold - levels, levels) % 256)


def duotone(color: Pixels, settings: Settings) -> Pixels:
    """Shadows in one colour, lights in another, mixed in OKLab."""
    colors = ramp([settings.dark, settings.light])[:, :3]
    place = luminance(color) * np.float32((RAMP_STEPS - 1) / 255)
    return toward(color, colors[place.astype(np.int32)], 0.6 + 0.4 * settings.strength)


def hue_rotate(color: Pixels, settings: Settings) -> Pixels:
    """All hues turned, half round at full strength (the matrix of CSS ``hue-rotate``)."""
    turn = np.pi * settings.strength
    cos, sin = float(np.cos(turn)), float(np.sin(turn))
    grey = np.array([[0.213, 0.715, 0.072]] * 3)
    by_cos = np.array([[0.787, -0.715, -0.072], [-0.213, 0.285, -0.072], [-0.213, -0.715, 0.928]])
    by_sin = np.array([[-0.213, -0.715, 0.928], [0.143, 0.140, -0.283], [-0.787, 0.715, 0.072]])
    matrix = (grey + cos * by_cos + sin * by_sin).astype(np.float32)
    red, green, blue = (color[..., i, None].astype(np.float32) for i in range(3))
    return bytes_of(red * matrix[:, 0] + green * matrix[:, 1] + blue * matrix[:, 2])


def contrast(color: Pixels, settings: Settings) -> Pixels:
    """A smooth S-curve that never clips."""
    unit = np.arange(256) / 255
    curve = unit * unit * (3 - 2 * unit)
    steep = curve * curve * (3 - 2 * curve)
    return _tabled(color, 255 * (unit + (steep - unit) * settings.strength))


def brightness(color: Pixels, settings: Settings) -> Pixels:
    """Lighter by a gamma curve; black and white stay."""
    return _tabled(color, 255 * (np.arange(256) / 255) ** (1 / (1 + 1.6 * settings.strength)))


def darken(color: Pixels, settings: Settings) -> Pixels:
    """Darker by a gamma curve; black and white stay."""
    return _tabled(color, 255 * (np.arange(256) / 255) ** (1 + 1.6 * settings.strength))


def saturation(color: Pixels, settings: Settings) -> Pixels:
    """Stronger colours, up to two and a half times; greys stay."""
    grey = luminance(color)[..., None]
    return bytes_of(grey + (color - grey) * np.float32(1 + 1.5 * settings.strength))


def vignette(color: Pixels, settings: Settings) -> Pixels:
    """Darker towards the corners."""
    height, width = color.shape[:2]
    y = ((np.arange(height) + 0.5) / height * 2 - 1).astype(np.float32)[:, None]
    x = ((np.arange(width) + 0.5) / width * 2 - 1).astype(np.float32)[None, :]
    away = np.clip((np.sqrt(x * x + y * y) - np.float32(0.35)) / np.float32(1.06), 0, 1)
    shade = 1 - np.float32(settings.strength) * away * away * (3 - 2 * away)
    return bytes_of(color * shade[..., None])


EFFECTS: dict[str, Effect] = {
    "grayscale": grayscale,
    "sepia": sepia,
    "invert": invert,
    "posterize": posterize,
    "solarize": solarize,
    "duotone": duotone,
    "hue-rotate": hue_rotate,
    "contrast": contrast,
    "brightness": brightness,
    "darken": darken,
    "saturation": saturation,
    "vignette": vignette,
}
