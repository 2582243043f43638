"""Colours of the collection: OKLCH in, hex out, and the few mixes every layer shares."""

import math
from dataclasses import dataclass

NIGHT = "#1b1340"  # shadows lean this way, so every coat belongs to the same night
LAMP = "#ffe6b8"  # light leans this way; a flame tints it further
MOON = "#b9c8ff"  # the thin cool edge on the side away from the lantern


def oklch(lightness: float, chroma: float, hue: float) -> str:
    """``#rrggbb`` of an OKLCH colour (lightness 0–1, hue in degrees), clipped to sRGB.

    Source: Björn Ottosson, *A perceptual color space for image processing*, 2020.
    """
    a, b = chroma * math.cos(math.radians(hue)), chroma * math.sin(math.radians(hue))
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    linear = (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    )
    return "#" + "".join(f"{_encode(c):02x}" for c in linear)


def _encode(value: float) -> int:
    value = min(max(value, 0.0), 1.0)
    encoded = 12.92 * value if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055
    return round(255 * encoded)


def mix(one: str, other: str, share: float) -> str:
    """``one`` moved by ``share`` (0–1) towards ``other``, in sRGB."""
    pairs = zip(_channels(one), _channels(other), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def _channels(text: str) -> tuple[int, int, int]:
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


@dataclass(frozen=True, slots=True)
class Coat:
    """The colours one body is painted in, from a base and a paler second colour."""

    base: str
    pale: str
    accent: str

    @property
    def shade(self) -> str:
        """The side away from the lantern."""
        return mix(self.base, NIGHT, 0.62)

    @property
    def light(self) -> str:
        """The side towards the lantern."""
        return mix(self.base, LAMP, 0.28)

    @property
    def dark(self) -> str:
        """Lines and the deepest folds."""
        return mix(self.base, "#120a2a", 0.8)


WOOD = Coat("#7a5138", "#b98a5a", "#4a3028")
IRON = Coat("#4a4a66", "#9aa0c0", "#2a2844")
BRASS = Coat("#b07f3c", "#f0cf86", "#6a4620")
