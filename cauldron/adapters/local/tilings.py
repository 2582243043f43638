"""Patterns that fill a grid of cells: truchet arcs, cubes, scale waves, bauhaus tiles."""

from cauldron.adapters.local.motif import Motif, mixed
from cauldron.adapters.local.palettes import Color
from cauldron.adapters.local.png import Pixels
from cauldron.adapters.local.sketch import Point, Sketch

WHITE: Color = (255, 255, 255, 255)
BLACK: Color = (0, 0, 0, 255)


def truchet(motif: Motif) -> Pixels:
    """Quarter arcs that join into loops (Cyril Stanley Smith, 1987), each with a bright core."""
    sketch, cell = motif.sketch(), motif.cell
    turned = [motif.chance.float() < motif.disorder for _ in motif.cells()]
    band, core = motif.inks[len(motif.inks) // 2], motif.inks[-1]
    widths = ((motif.thickness * cell, band), (motif.thickness * cell * 0.36, core))
    for width, color in widths:
        for (x, y), flip in zip(motif.cells(), turned, strict=True):
            first = ((x + cell, y), (90, 180)) if flip else ((x, y), (0, 90))
            second = ((x, y + cell), (270, 360)) if flip else ((x + cell, y + cell), (180, 270))
            for centre, (start, end) in (first, second):
                span = (start - 2, end + 2)
                sketch.arc(centre, cell / 2, color, width=width, span=span)
    return sketch.render()


def hexagons(motif: Motif) -> Pixels:
    """Cubes: hexagons of three shaded faces; disorder takes some away and recolours others."""
    sketch = motif.sketch()
    half = motif.cell / 2
    side = half / 0.8660254
    down = side * 1.5
    rows, columns = int(motif.height // down) + 2, int(motif.width // motif.cell) + 2
    for row in range(rows + 1):
        for column in range(columns + 1):
            x = column * motif.cell + (row % 2) * half
            wave = (row + column) / max(1, rows + columns) * (len(motif.inks) - 1)
            jump = (motif.chance.float() - 0.5) * 2 * motif.disorder * (len(motif.inks) - 1)
            ink = motif.inks[min(len(motif.inks) - 1, max(0, round(wave + jump)))]
            _cube(sketch, (x, row * down), side=side, half=half, ink=ink)
    return sketch.render()


def _cube(sketch: Sketch, centre: Point, *, side: float, half: float, ink: Color) -> None:
    x, y = centre
    top, bottom = (x, y - side), (x, y + side)
    upper_left, upper_right = (x - half, y - side / 2), (x + half, y - side / 2)
    lower_left, lower_right = (x - half, y + side / 2), (x + half, y + side / 2)
    sketch.polygon([top, upper_right, centre, upper_left], mixed(ink, WHITE, 0.16))
    sketch.polygon([upper_left, centre, bottom, lower_left], mixed(ink, BLACK, 0.10))
    sketch.polygon([centre, upper_right, lower_right, bottom], mixed(ink, BLACK, 0.34))


def waves(motif: Motif) -> Pixels:
    """Overlapping scales of concentric rings, as in seigaiha prints."""
    sketch, cell = motif.sketch(), motif.cell
    radius, drop = cell / 2, cell / 4
    rows, columns = int(motif.height // drop) + 4, int(motif.width // cell) + 2
    for row in range(rows):
        for column in range(columns):
            centre = (column * cell + (row % 2) * radius, row * drop)
            ink = motif.inks[-1]
            if motif.chance.float() < motif.disorder:
                ink = motif.chance.pick(motif.inks)
            _scale(sketch, centre, radius=radius, ink=ink, motif=motif)
    return sketch.render()


def _scale(sketch: Sketch, centre: Point, *, radius: float, ink: Color, motif: Motif) -> None:
    step = radius * (0.12 + 0.3 * motif.thickness)
    ring, dark = radius, True
    while ring > radius * 0.12:
        sketch.circle(centre, ring, motif.background if dark else ink)
        ring -= step * (0.35 if dark else 0.65)
        dark = not dark


def bauhaus(motif: Motif) -> Pixels:
    """Tiles of quarter discs, half discs, discs and triangles in the palette's colours."""
    sketch, cell = motif.sketch(), motif.cell
    shapes = (_quarter, _quarter, _rings, _half, _disc, _triangle)
    for x, y in motif.cells():
        ground, ink = motif.chance.shuffled([*motif.inks, motif.background])[:2]
        sketch.polygon([(x, y), (x + cell, y), (x + cell, y + cell), (x, y + cell)], ground)
        number = motif.chance.whole(0, round(motif.disorder * (len(shapes) - 1)))
        corner = motif.chance.whole(0, 3)
        shapes[number](sketch, (x, y), corner, cell=cell, ink=ink)
    return sketch.render()


def _corner(place: Point, corner: int, cell: float) -> tuple[Point, tuple[float, float]]:
    x, y = place
    at = ((x, y), (x + cell, y), (x + cell, y + cell), (x, y + cell))[corner]
    return at, (corner * 90.0, corner * 90.0 + 90)


def _quarter(sketch: Sketch, place: Point, corner: int, *, cell: float, ink: Color) -> None:
    at, span = _corner(place, corner, cell)
    sketch.sector(at, cell, ink, span=span)


def _rings(sketch: Sketch, place: Point, corner: int, *, cell: float, ink: Color) -> None:
    at, span = _corner(place, corner, cell)
    for share in (0.25, 0.55, 0.85):
        sketch.arc(at, cell * share, ink, width=cell * 0.15, span=span)


def _half(sketch: Sketch, place: Point, corner: int, *, cell: float, ink: Color) -> None:
    x, y = place
    sides = ((x + cell / 2, y), (x + cell, y + cell / 2), (x + cell / 2, y + cell), (x, y + cell / 2))
    sketch.sector(sides[corner], cell / 2, ink, span=(corner * 90.0, corner * 90.0 + 180))


def _disc(sketch: Sketch, place: Point, corner: int, *, cell: float, ink: Color) -> None:
    sketch.circle((place[0] + cell / 2, place[1] + cell / 2), cell * (0.2 + 0.08 * corner), ink)


def _triangle(sketch: Sketch, place: Point, corner: int, *, cell: float, ink: Color) -> None:
    x, y = place
    corners = [(x, y), (x + cell, y), (x + cell, y + cell), (x, y + cell)]
    del corners[corner]
    sketch.polygon(corners, ink)
