"""Draws lines, arcs, circles and polygons with smooth edges, in slabs so that memory stays small."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from cauldron.adapters.local.palettes import Color
from cauldron.adapters.local.png import Pixels

Point = tuple[float, float]
SLAB_ROWS = 128
OVERSAMPLING = 4  # samples per pixel and axis


class _Shape(NamedTuple):
    kind: str
    points: tuple[Point, ...]  # pixels of the picture
    color: Color
    width: float  # pixels; 0 fills
    span: tuple[float, float]  # angles of an arc, degrees
    top: float
    bottom: float


class Sketch:
    """Shapes in drawing order on a background. Coordinates are pixels of the picture."""

    def __init__(self, width: int, height: int, background: Color) -> None:
        self.width, self.height, self.background = width, height, background
        self._shapes: list[_Shape] = []

    def line(self, points: Sequence[Point], color: Color, *, width: float) -> None:
        """A line through ``points`` with round joints and ends."""
        self._add("line", tuple(points), color, width=width)

    def circle(self, centre: Point, radius: float, color: Color) -> None:
        """A filled disc."""
        x, y = centre
        self._add("circle", ((x - radius, y - radius), (x + radius, y + radius)), color)

    def arc(
        self, centre: Point, radius: float, color: Color, *, width: float, span: tuple[float, float]
    ) -> None:
        """Part of a ring, ``width`` wide around ``radius``; angles clockwise from the right."""
        (x, y), reach = centre, radius + width / 2
        box = ((x - reach, y - reach), (x + reach, y + reach))
        self._add("arc", box, color, width=width, span=span)

    def sector(self, centre: Point, radius: float, color: Color, *, span: tuple[float, float]) -> None:
        """A filled piece of pie."""
        x, y = centre
        box = ((x - radius, y - radius), (x + radius, y + radius))
        self._add("sector", box, color, span=span)

    def polygon(self, points: Sequence[Point], color: Color) -> None:
        """A filled polygon."""
        self._add("polygon", tuple(points), color)

    def render(self) -> Pixels:
        """The picture, RGB, or RGBA when the background is see-through."""
        mode = "RGB" if self.background[3] == 255 else "RGBA"
        out = np.empty((self.height, self.width, len(mode)), np.uint8)
        for top in range(0, self.height, SLAB_ROWS):
            rows = min(SLAB_ROWS, self.height - top)
            size = (self.width * OVERSAMPLING, rows * OVERSAMPLING)
            slab = Image.new(mode, size, self.background[: len(mode)])
            draw = ImageDraw.Draw(slab)
            for shape in self._shapes:
                if shape.top < top + rows and shape.bottom > top:
                    _draw(draw, shape, top)
            out[top : top + rows] = np.asarray(slab.reduce(OVERSAMPLING))
        return out

    def _add(
        self,
        kind: str,
        points: tuple[Point, ...],
        color: Color,
        *,
        width: float = 0,
        span: tuple[float, float] = (0, 360),
    ) -> None:
        ys = [y for _, y in points]
        shape = _Shape(kind, points, color, width, span, min(ys) - width - 1, max(ys) + width + 1)
        self._shapes.append(shape)


def _draw(draw: ImageDraw.ImageDraw, shape: _Shape, top: int) -> None:
    points = [(x * OVERSAMPLING, (y - top) * OVERSAMPLING) for x, y in shape.points]
    width = max(1, round(shape.width * OVERSAMPLING))
    match shape.kind:
        case "line":
            draw.line(points, fill=shape.color, width=width, joint="curve")
            for x, y in (points[0], points[-1]):
                reach = width / 2 - 0.5
                draw.ellipse((x - reach, y - reach, x + reach, y + reach), fill=shape.color)
        case "circle":
            draw.ellipse([*points[0], *points[1]], fill=shape.color)
        case "arc":
            draw.arc([*points[0], *points[1]], *shape.span, fill=shape.color, width=width)
        case "sector":
            draw.pieslice([*points[0], *points[1]], *shape.span, fill=shape.color)
        case _:
            draw.polygon(points, fill=shape.color)
