"""Moves a picture through a seamless loop: frame k of n is a function of the phase k / n."""

import math
from collections.abc import Callable

from PIL import Image, ImageChops

Motion = Callable[[Image.Image, float, float], Image.Image]  # (picture, phase 0…1, amount 0…1)
SMOOTH = Image.Resampling.BICUBIC


def _wave(phase: float) -> float:
    return math.sin(2 * math.pi * phase)


def _transformed(image: Image.Image, matrix: tuple[float, ...]) -> Image.Image:
    """An affine transform in premultiplied alpha, so that edges keep their colour."""
    soft = image.convert("RGBa").transform(image.size, Image.Transform.AFFINE, matrix, SMOOTH)
    return soft.convert("RGBA")


def _turned(image: Image.Image, angle: float, *, scale: float = 1.0, pivot: float = 0.5) -> Image.Image:
    """Turned by ``angle`` radians and scaled about a point ``pivot`` of the height down."""
    x, y = image.width / 2, image.height * pivot
    cos, sin = math.cos(angle) / scale, math.sin(angle) / scale
    return _transformed(image, (cos, sin, x - cos * x - sin * y, -sin, cos, y + sin * x - cos * y))


def bob(image: Image.Image, phase: float, amount: float) -> Image.Image:
    """Up and down, by up to an eighth of the height."""
    return _transformed(image, (1, 0, 0, 0, 1, amount * image.height / 8 * _wave(phase)))


def sway(image: Image.Image, phase: float, amount: float) -> Image.Image:
    """To and fro about the foot."""
    return _turned(image, math.radians(20) * amount * _wave(phase), pivot=0.95)


def rotate(image: Image.Image, phase: float, amount: float) -> Image.Image:
    """Once round; the amount makes no difference."""
    return _turned(image, 2 * math.pi * phase)


def pulse(image: Image.Image, phase: float, amount: float) -> Image.Image:
    """Smaller and back, like breath; never beyond the frame."""
    return _turned(image, 0.0, scale=1 - amount * 0.15 * (1 - math.cos(2 * math.pi * phase)))


def drift(image: Image.Image, phase: float, amount: float) -> Image.Image:
    """Sideways once through; what leaves on one side enters on the other."""
    return ImageChops.offset(image, round(phase * image.width), 0)


def fade(image: Image.Image, phase: float, amount: float) -> Image.Image:
    """More and less see-through."""
    light = 1 - amount * (1 - math.cos(2 * math.pi * phase)) / 2
    faded = image.copy()
    faded.putalpha(image.getchannel("A").point([round(level * light) for level in range(256)]))
    return faded


MOTIONS: dict[str, Motion] = {
    "bob": bob,
    "sway": sway,
    "rotate": rotate,
    "pulse": pulse,
    "drift": drift,
    "fade": fade,
}
