"""Patterns that wander: flow lines, mazes, stripes, terrazzo."""

import math

import numpy as np

from cauldron.adapters.local.motif import Motif
from cauldron.adapters.local.noise import Field, Shape, fbm
from cauldron.adapters.local.palettes import RAMP_STEPS, Color, ramp
from cauldron.adapters.local.png import Pixels
from cauldron.adapters.local.sketch import Point

FIELD_SIDE = 256  # the direction field is smooth: a small one is enough
MAX_MAZE = 96  # cells per side


def flow(motif: Motif) -> Pixels:
    """Lines that follow a smooth field and keep their distance (after Jobard and Lefer, 1997)."""
    sketch = motif.sketch()
    gap = max(2.0, motif.cell * 0.42)
    bends = Shape(width=FIELD_SIDE, height=FIELD_SIDE, scale=1.6, octaves=2, roughness=0.4)
    angles = fbm(bends, motif.seed, "flow") * np.float32(0.3 + 1.9 * motif.disorder)
    lines = _Lines(motif, angles, gap=gap)
    shades = fbm(bends, motif.seed, "flow-colour")
    columns, rows = int(motif.width // (gap * 0.6)) + 1, int(motif.height // (gap * 0.6)) + 1
    starts = [((c + 0.5) * gap * 0.6, (r + 0.5) * gap * 0.6) for r in range(rows) for c in range(columns)]
    for start in motif.chance.shuffled(starts):
        points = lines.from_point(start)
        if len(points) * lines.step < gap * 3:
            continue
        shade = (lines.at(shades, start) * 0.3 + 0.5) * len(motif.inks)
        ink = motif.inks[min(len(motif.inks) - 1, max(0, int(shade)))]
        width = gap * motif.thickness * (1.4 + 0.9 * motif.chance.float())
        sketch.line(points, ink, width=min(width, gap * 0.92))
        lines.keep(points)
    return sketch.render()


class _Lines:
    """Traces lines through a field of angles, never nearer to another line than the gap."""

    def __init__(self, motif: Motif, angles: Field, *, gap: float) -> None:
        self._motif, self._angles, self._gap = motif, angles, gap
        self.step = gap * 0.35
        self._taken: dict[tuple[int, int], list[Point]] = {}

    def at(self, field: Field, place: Point) -> float:
        """``field`` at a place of the picture."""
        x = min(FIELD_SIDE - 1, max(0, int(place[0] / self._motif.width * FIELD_SIDE)))
        y = min(FIELD_SIDE - 1, max(0, int(place[1] / self._motif.height * FIELD_SIDE)))
        return float(field[y, x])

    def from_point(self, start: Point) -> list[Point]:
        """The line through ``start``, both ways; empty when it is too near to another."""
        if not self._free(start):
            return []
        back, forth = self._traced(start, -self.step), self._traced(start, self.step)
        return [*reversed(back), start, *forth]

    def keep(self, points: list[Point]) -> None:
        """Remember a line, so that later ones stay away."""
        for point in points:
            self._taken.setdefault(self._cell(point), []).append(point)

    def _traced(self, place: Point, step: float) -> list[Point]:
        found: list[Point] = []
        margin = self._gap
        for _ in range(160):
            angle = self.at(self._angles, place)
            place = (place[0] + step * math.cos(angle), place[1] + step * math.sin(angle))
            inside = (
                -margin < place[0] < self._motif.width + margin
                and -margin < place[1] < self._motif.height + margin
            )
            if not inside or not self._free(place):
                break
            found.append(place)
        return found

    def _cell(self, place: Point) -> tuple[int, int]:
        return math.floor(place[0] / self._gap), math.floor(place[1] / self._gap)

    def _free(self, place: Point) -> bool:
        column, row = self._cell(place)
        near = self._gap * self._gap * 0.98
        for c in (column - 1, column, column + 1):
            for r in (row - 1, row, row + 1):
                for x, y in self._taken.get((c, r), ()):
                    if (x - place[0]) ** 2 + (y - place[1]) ** 2 < near:
                        return False
        return True


def maze(motif: Motif) -> Pixels:
    """A perfect maze whose corridors change colour with the distance walked."""
    sketch = motif.sketch()
    columns, rows = (min(MAX_MAZE, side) for side in motif.grid())
    cell = max(motif.width / columns, motif.height / rows)
    left, top = (motif.width - columns * cell) / 2, (motif.height - rows * cell) / 2
    passages, depths = _carved(motif, columns, rows)
    colors = ramp(motif.inks) if len(motif.inks) > 1 else np.array([motif.inks[0]] * RAMP_STEPS)
    deepest = max(depths.values()) or 1
    width = cell * (0.35 + 0.5 * motif.thickness)
    for one, two in passages:
        red, green, blue, _ = colors[int(depths[two] / deepest * (RAMP_STEPS - 1))]
        ends = [(left + (c + 0.5) * cell, top + (r + 0.5) * cell) for c, r in (one, two)]
        sketch.line(ends, (round(red), round(green), round(blue), 255), width=width)
    return sketch.render()


def _carved(
    motif: Motif, columns: int, rows: int
) -> tuple[list[tuple[tuple[int, int], tuple[int, int]]], dict[tuple[int, int], int]]:
    """Passages of a spanning tree, and each cell's distance from the start.

    Method: growing tree; disorder 0 always goes on from the newest cell (long
    corridors), 1 from any (short dead ends).
    """
    start = (columns // 2, rows // 2)
    depths, active = {start: 0}, [start]
    passages = []
    draws = iter(motif.chance.floats(columns * rows * 4, 2).tolist())
    while active:
        wild, turn = next(draws)
        at = len(active) - 1
        if wild < motif.disorder * 0.4:
            at = int(wild / (motif.disorder * 0.4) * len(active))
        here = active[at]
        around = [(here[0] + dx, here[1] + dy) for dx, dy in ((1, 0), (0, 1), (-1, 0), (0, -1))]
        new = [p for p in around if p not in depths and 0 <= p[0] < columns and 0 <= p[1] < rows]
        if not new:
            active.pop(at)
            continue
        there = new[int(turn * len(new))]
        depths[there] = depths[here] + 1
        passages.append((here, there))
        active.append(there)
    return passages, depths


def stripes(motif: Motif) -> Pixels:
    """Diagonal ribbons of uneven width that swing as disorder grows."""
    sketch = motif.sketch()
    reach = math.hypot(motif.width, motif.height)
    angle = math.radians(motif.chance.float(20, 70))
    across, along = (math.cos(angle), math.sin(angle)), (-math.sin(angle), math.cos(angle))
    swing = motif.cell * motif.disorder * 0.9
    length = reach * motif.chance.float(0.35, 0.7)
    phase = motif.chance.float(0, 2 * math.pi)
    steps = np.linspace(-reach * 0.55, reach * 0.55, 160)
    curve = swing * np.sin(steps / length * 2 * math.pi + phase)
    place, last = -reach * 0.55 - swing, None
    while place < reach * 0.55 + swing:
        width = motif.cell * (1 + motif.disorder * motif.chance.float(-0.6, 0.8))
        ink = _other(motif, last)
        edges = [(place, steps), (place + width * (0.3 + 0.7 * motif.thickness), steps[::-1])]
        curves = (curve, curve[::-1])
        outline = [
            (
                motif.width / 2 + (offset + c) * across[0] + s * along[0],
                motif.height / 2 + (offset + c) * across[1] + s * along[1],
            )
            for (offset, places), bend in zip(edges, curves, strict=True)
            for s, c in zip(places.tolist(), bend.tolist(), strict=True)
        ]
        sketch.polygon(outline, ink)
        place, last = place + width, ink
    return sketch.render()


def _other(motif: Motif, last: Color | None) -> Color:
    inks = [ink for ink in motif.inks if ink != last]
    return motif.chance.pick(inks or motif.inks)


def terrazzo(motif: Motif) -> Pixels:
    """Chips of stone of many sizes, large ones first, none touching another."""
    sketch, cell, chance = motif.sketch(), motif.cell, motif.chance
    placed: dict[tuple[int, int], list[tuple[float, float, float]]] = {}
    columns, rows = motif.grid()
    for share in (0.62, 0.4, 0.25, 0.14):
        reach = cell * share * (0.55 + motif.thickness)
        for _ in range(int(columns * rows * 0.9 / share)):
            x, y = chance.float(-cell, motif.width + cell), chance.float(-cell, motif.height + cell)
            size = reach * (1 - 0.5 * motif.disorder * chance.float())
            if _clear(placed, x, y, size=size, cell=cell):
                column, row = math.floor(x / cell), math.floor(y / cell)
                placed.setdefault((column, row), []).append((x, y, size))
                sketch.polygon(_chip(motif, x, y, size=size), chance.pick(motif.inks))
    return sketch.render()


def _clear(
    placed: dict[tuple[int, int], list[tuple[float, float, float]]],
    x: float,
    y: float,
    *,
    size: float,
    cell: float,
) -> bool:
    column, row = math.floor(x / cell), math.floor(y / cell)
    near = (
        chip
        for c in range(column - 2, column + 3)
        for r in range(row - 2, row + 3)
        for chip in placed.get((c, r), ())
    )
    return all(math.hypot(px - x, py - y) > (reach + size) * 0.86 for px, py, reach in near)


def _chip(motif: Motif, x: float, y: float, *, size: float) -> list[Point]:
    corners = motif.chance.whole(4, 7)
    tilt, slim = motif.chance.float(0, 2 * math.pi), 1 - 0.45 * motif.chance.float()
    points = []
    for corner in range(corners):
        turn = (corner + motif.chance.float(-0.3, 0.3)) / corners * 2 * math.pi
        reach = size * motif.chance.float(0.72, 1.0)
        px, py = reach * math.cos(turn), reach * math.sin(turn) * slim
        points.append(
            (x + px * math.cos(tilt) - py * math.sin(tilt), y + px * math.sin(tilt) + py * math.cos(tilt))
        )
    return points
