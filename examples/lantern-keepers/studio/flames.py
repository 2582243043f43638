"""What burns: a halo in the air, light on everything near it, and a small bright heart."""

import math
import random
from collections.abc import Callable

from studio.body import FLAME, GROWN, HOOK
from studio.canvas import Canvas, blob, n, pts, ring, star
from studio.colour import mix

FX, FY = FLAME


def shine(c: Canvas, colour: str, *, hot: str = "#fffbe8", strength: float = 1.0) -> None:
    """The glow every flame shares; it ends before the edge of the canvas."""
    y = HOOK[1] + (FY - HOOK[1]) * GROWN
    spill = [
        (0, colour, 0.44 * strength),
        (0.35, colour, 0.22 * strength),
        (0.7, colour, 0.07 * strength),
        (1, colour, 0),
    ]
    c.path(ring(608, 524, 410), c.radial(608, 524, 410, spill, focus=(FX - 20, y)))
    pool = [(0, colour, 0.46 * strength), (0.5, colour, 0.16 * strength), (1, colour, 0)]
    c.path(ring(750, 908, 266, 52), c.radial(750, 908, 266, pool, squash=0.19))
    halo = [
        (0, mix(hot, colour, 0.12), 1),
        (0.15, mix(hot, colour, 0.5), 0.92),
        (0.29, colour, 0.62),
        (0.54, colour, 0.25),
        (0.8, colour, 0.07),
        (1, colour, 0),
    ]
    c.dot(FX, y, 203, c.radial(FX, y, 203, halo))


def candle(c: Canvas) -> None:
    """A plain flame, tall and still."""
    c.path(blob(pts("0,-56! 26,-4 22,30 0,44 -22,30 -26,-4", FX, FY)), "#ff9a3c")
    c.path(blob(pts("0,-32! 16,6 0,38 -16,6", FX, FY)), "#ffe28a")
    c.path(blob(pts("0,-4! 9,18 0,34 -9,18", FX, FY)), "#fffdf0")


def ember(c: Canvas) -> None:
    """Coals that never go out."""
    for x, y, r in ((-24, 28, 17), (22, 28, 18), (0, 8, 21), (-2, 40, 14)):
        c.path(star(FX + x, FY + y, r, inner=0.8, tips=4, turn=20 + x), "#c9302c")
        c.path(star(FX + x + 2, FY + y - 2, r * 0.66, inner=0.8, tips=4, turn=40 + x), "#ff9a4c")
    rng = random.Random("ember")
    for _ in range(9):
        c.dot(FX + rng.uniform(-30, 30), FY - rng.uniform(0, 64), rng.uniform(2, 4.5), "#ffd08a")


def spirit(c: Canvas) -> None:
    """A blue flame that looks back."""
    c.path(blob(pts("10,-58! 18,-22 36,12 22,40 -22,40 -36,12 -18,-14", FX, FY)), "#38b2dc")
    c.path(blob(pts("4,-26! 24,16 0,38 -24,16", FX, FY)), "#e2fcff")
    for dx in (-9, 9):
        c.path(ring(FX + dx, FY + 12, 4, 6.5), "#14466a")


def fireflies(c: Canvas) -> None:
    """Seven fireflies, here by choice."""
    for x, y, r in (
        (-28, -22, 9),
        (24, -30, 8),
        (0, 4, 12),
        (-30, 30, 8),
        (30, 20, 10),
        (4, 40, 7),
        (-4, -44, 6),
    ):
        c.dot(
            FX + x, FY + y, r * 2, c.radial(FX + x, FY + y, r * 2, [(0, "#f8ffb0", 0.9), (1, "#d9f060", 0)])
        )
        c.path(ring(FX + x, FY + y, r * 0.62, r * 0.8), "#fffff2")
        c.path(ring(FX + x - 3, FY + y - r * 0.9, r * 0.5, r * 0.36), "#4a5a2a")


def fallen_star(c: Canvas) -> None:
    """A star that fell and stayed."""
    for i in range(8):
        a = math.radians(45 * i + 22)
        c.path(
            (
                f"M{n(FX + 46 * math.cos(a))} "
                f"{n(FY + 46 * math.sin(a))}L{n(FX + 60 * math.cos(a))} "
                f"{n(FY + 60 * math.sin(a))}"
            ),
            "none",
            stroke="#fff6cc",
            stroke_width="5",
            stroke_linecap="round",
        )
    c.path(
        star(FX, FY, 46, inner=0.5), "#ffc93c", stroke="#ffc93c", stroke_width="9", stroke_linejoin="round"
    )
    c.path(
        star(FX, FY - 1, 32, inner=0.5),
        "#fffbe2",
        stroke="#fffbe2",
        stroke_width="5",
        stroke_linejoin="round",
    )


def moonlet(c: Canvas) -> None:
    """A slice of moon in milk-blue light."""
    c.dot(FX, FY, 52, c.radial(FX, FY, 52, [(0, "#4a5cc8", 0.9), (0.7, "#5a6cd8", 0.75), (1, "#8a9cf0", 0)]))
    d = f"M{FX + 27} {FY - 32}A42 42 0 1 0 {FX + 27} {FY + 32}A36 36 0 1 1 {FX + 27} {FY - 32}Z"
    c.path(d, "#ffffff")
    c.path(star(FX + 20, FY - 8, 13, inner=0.4, tips=4), "#ffffff")
    c.path(star(FX + 30, FY + 20, 8, inner=0.4, tips=4), "#ffffff")


def heart(c: Canvas) -> None:
    """A heart, still warm."""

    def shape(k: float) -> str:
        return (
            f"M{FX} {n(FY + 44 * k)}C{n(FX - 66 * k)} {n(FY - 2 * k)} {n(FX - 40 * k)} "
            f"{n(FY - 50 * k)} {FX} {n(FY - 20 * k)}"
            f"C{n(FX + 40 * k)} {n(FY - 50 * k)} {n(FX + 66 * k)} {n(FY - 2 * k)} {FX} {n(FY + 44 * k)}Z"
        )

    c.path(shape(1.0), "#f0406e")
    c.path(shape(0.62), "#ffd2d8")


def violet_wisp(c: Canvas) -> None:
    """A spiral of violet smoke."""
    turns = [
        (FX + (6 + i * 2.3) * math.cos(i * 0.52), FY + (6 + i * 2.3) * math.sin(i * 0.52)) for i in range(18)
    ]
    c.line(turns, "#7a3fe0", 12)
    c.line(turns, "#f0dcff", 5)
    c.dot(FX, FY, 9, "#ffffff")


Flame = tuple[str, str, float, Callable[[Canvas], None]]  # glow, hottest colour, strength, heart
FLAMES: dict[str, Flame] = {
    "candle": ("#ffb347", "#fffbe8", 1.0, candle),
    "ember": ("#ff6a3c", "#fff0d8", 1.0, ember),
    "spirit": ("#4fd0e8", "#f2feff", 1.0, spirit),
    "fireflies": ("#c6e84a", "#fffff0", 0.9, fireflies),
    "fallen-star": ("#ffd95a", "#fffff4", 1.1, fallen_star),
    "moonlet": ("#a9bcff", "#ffffff", 1.05, moonlet),
    "heart": ("#ff7aa8", "#fff4f4", 1.0, heart),
    "violet-wisp": ("#b07aff", "#fdf6ff", 1.0, violet_wisp),
}
