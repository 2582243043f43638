"""Effects that look at the neighbours of a pixel, or lay a texture over the picture."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from cauldron.adapters.local.chance import Chance
from cauldron.adapters.local.colorings import Effect, Settings, bytes_of, luminance
from cauldron.adapters.local.png import Pixels

HALFTONE_ANGLE = 0.4636  # radians: arctan(1/2)


def _side(color: Pixels) -> int:
    return int(min(color.shape[:2]))


def _blurred(color: Pixels, radius: float) -> Pixels:
    return np.asarray(Image.fromarray(color).filter(ImageFilter.GaussianBlur(radius)))


def blur(color: Pixels, settings: Settings) -> Pixels:
    """Gaussian blur, up to a twentieth of the shorter side."""
    return _blurred(color, max(0.6, settings.strength**2 * _side(color) / 20))


def sharpen(color: Pixels, settings: Settings) -> Pixels:
    """Unsharp mask."""
    mask = ImageFilter.UnsharpMask(radius=2, percent=round(40 + 260 * settings.strength), threshold=2)
    return np.asarray(Image.fromarray(color).filter(mask))


def pixelate(color: Pixels, settings: Settings) -> Pixels:
    """Squares of the mean colour, from 128 to 12 across."""
    height, width = color.shape[:2]
    across = 128 * (12 / 128) ** settings.strength
    size = max(2, round(_side(color) / across))
    image = Image.fromarray(color)
    small = image.resize((-(-width // size), -(-height // size)), Image.Resampling.BOX)
    large = np.asarray(small).repeat(size, axis=0).repeat(size, axis=1)
    return large[:height, :width]


def edges(color: Pixels, settings: Settings) -> Pixels:
    """Outlines in ink: dark lines where brightness changes, paper elsewhere."""
    grey = luminance(_blurred(color, 1.0))
    line = np.clip(_slope(grey) * np.float32(0.02 + 0.06 * settings.strength) - 0.06, 0, 1)[..., None]
    paper = 250 + (color - np.float32(250)) * np.float32(0.5 * (1 - settings.strength))
    ink = np.array(settings.dark[:3], np.float32)
    return bytes_of(paper + (ink - paper) * line)


def _slope(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    padded = np.pad(grey, 1, mode="edge")
    across = padded[1:-1, 2:] - padded[1:-1, :-2]
    down = padded[2:, 1:-1] - padded[:-2, 1:-1]
    slope: NDArray[np.float32] = np.hypot(across, down)
    return slope


def emboss(color: Pixels, settings: Settings) -> Pixels:
    """Relief lit from the upper left, keeping some colour."""
    grey = np.pad(luminance(_blurred(color, 0.8)), 1, mode="edge")
    relief = (grey[2:, 2:] - grey[:-2, :-2]) * np.float32(0.6 + 1.6 * settings.strength)
    stone = luminance(color)[..., None] * np.float32(0.25) + np.float32(110)
    base = stone + (color - stone) * np.float32(0.7 * (1 - settings.strength) + 0.15)
    return bytes_of(base + relief[..., None])


def grain(color: Pixels, settings: Settings) -> Pixels:
    """Film grain, strongest in the middle tones."""
    noise = Chance(settings.seed, "grain").bell(*color.shape[:2])
    tone = luminance(color) / np.float32(255)
    middle = np.float32(0.35) + np.float32(2.6) * tone * (1 - tone)
    return bytes_of(color + (noise * middle * np.float32(4 + 36 * settings.strength))[..., None])


def halftone(color: Pixels, settings: Settings) -> Pixels:
    """Dots of one ink on a tinted paper; the darker, the larger."""
    height, width = color.shape[:2]
    pitch = max(3.0, _side(color) / (150 - 110 * settings.strength))
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    cos, sin = np.float32(np.cos(HALFTONE_ANGLE) / pitch), np.float32(np.sin(HALFTONE_ANGLE) / pitch)
    u, v = x * cos - y * sin, x * sin + y * cos
    away = np.hypot(u - np.floor(u) - np.float32(0.5), v - np.floor(v) - np.float32(0.5))
    tone = luminance(_blurred(color, pitch * 0.4))
    black, white = np.percentile(tone[::4, ::4], (2, 98))
    tone = (tone - np.float32(black)) / np.float32(max(40.0, white - black))
    reach = np.sqrt(np.clip(1 - tone, 0, 1)) * np.float32(0.64)
    ink = np.clip((reach - away) * np.float32(pitch) + np.float32(0.5), 0, 1)[..., None]
    dark = np.array(settings.dark[:3], np.float32)
    paper = np.float32(244) + (color - np.float32(244)) * np.float32(0.35 * (1 - settings.strength) + 0.1)
    return bytes_of(paper + (dark - paper) * ink)


def oil(color: Pixels, settings: Settings) -> Pixels:
    """Brush strokes that keep edges: each pixel takes the calmest of four squares around it.

    Source: M. Kuwahara et al., 1976.
    """
    radius = 1 + round(settings.strength * max(2, _side(color) / 80))
    grey = luminance(color).astype(np.uint32)
    count = np.float32((radius + 1) ** 2)
    mean = _box_sums(grey, radius) / count
    calm = _box_sums(grey * grey, radius) / count - mean * mean
    sums = [_box_sums(color[..., channel].astype(np.uint32), radius) for channel in range(3)]
    height, width = grey.shape
    best = np.full(grey.shape, np.inf, np.float32)
    out = np.zeros(color.shape, np.float32)
    for y, x in ((0, 0), (0, radius), (radius, 0), (radius, radius)):
        part = (slice(y, y + height), slice(x, x + width))
        better = calm[part] < best
        best = np.where(better, calm[part], best)
        for channel in range(3):
            out[..., channel] = np.where(better, sums[channel][part] / count, out[..., channel])
    return bytes_of(out)


def _box_sums(values: NDArray[np.uint32], radius: int) -> NDArray[np.float32]:
    """Sums over (radius + 1)² squares, by an integral image whose wrap-around cancels out."""
    padded = np.pad(values, ((radius + 1, radius), (radius + 1, radius)), mode="edge")
    table = padded.cumsum(axis=0, dtype=np.uint32).cumsum(axis=1, dtype=np.uint32)
    side = radius + 1
    sums = table[side:, side:] - table[:-side, side:] - table[side:, :-side] + table[:-side, :-side]
    floats: NDArray[np.float32] = sums.astype(np.float32)
    return floats


def median(color: Pixels, settings: Settings) -> Pixels:
    """Removes specks and thin lines; flat areas with crisp borders."""
    size = 3 + 2 * round(settings.strength * 2)
    return np.asarray(Image.fromarray(color).filter(ImageFilter.MedianFilter(size)))


def glow(color: Pixels, settings: Settings) -> Pixels:
    """Lights bleed softly over their surroundings."""
    bright = np.clip((color.astype(np.float32) - 80) * np.float32(255 / 175), 0, 255)
    halo = _blurred(bytes_of(bright), max(1.0, _side(color) / 40)).astype(np.float32)
    halo *= np.float32(0.35 + 0.65 * settings.strength)
    return bytes_of(255 - (255 - color.astype(np.float32)) * (255 - halo) / np.float32(255))


def chromatic(color: Pixels, settings: Settings) -> Pixels:
    """Red and blue drawn apart, as by a poor lens."""
    shift = max(1, round(settings.strength * _side(color) / 40))
    wide = np.pad(color, ((0, 0), (shift, shift), (0, 0)), mode="edge")
    width = color.shape[1]
    return np.dstack([wide[:, :width, 0], color[..., 1], wide[:, 2 * shift : 2 * shift + width, 2]])


def scanlines(color: Pixels, settings: Settings) -> Pixels:
    """Dark lines and a little bloom, as on an old tube."""
    pitch = max(3, round(_side(color) / 160))
    row = np.arange(color.shape[0]) % pitch
    beam = np.sin((row + 0.5) / pitch * np.pi).astype(np.float32)
    line = 1 - np.float32(0.75 * settings.strength) * (1 - beam)
    soft = glow(color, Settings(strength=0.3, dark=settings.dark, light=settings.light, seed=0))
    return bytes_of(soft * line[:, None, None])


EFFECTS: dict[str, Effect] = {
    "blur": blur,
    "sharpen": sharpen,
    "pixelate": pixelate,
    "edges": edges,
    "emboss": emboss,
    "grain": grain,
    "halftone": halftone,
    "oil": oil,
    "median": median,
    "glow": glow,
    "chromatic": chromatic,
    "scanlines": scanlines,
}
