"""Skies, the only opaque layer, and what shines in them."""

import math
import random

from studio.canvas import SIZE, Canvas, blob, n, pts, ring, star
from studio.colour import mix, oklch

HORIZON_Y = 760
SKIES: dict[str, tuple[tuple[float, float, float], ...]] = {
    # top, middle, horizon, glow behind the keeper: OKLCH
    "indigo": ((0.19, 0.085, 283), (0.31, 0.115, 285), (0.50, 0.115, 300), (0.47, 0.125, 292)),
    "midnight-blue": ((0.17, 0.065, 262), (0.29, 0.095, 258), (0.50, 0.085, 245), (0.45, 0.105, 254)),
    "deep-teal": ((0.19, 0.045, 218), (0.32, 0.065, 205), (0.54, 0.075, 190), (0.48, 0.08, 198)),
    "plum": ((0.19, 0.075, 322), (0.31, 0.105, 330), (0.50, 0.105, 352), (0.45, 0.115, 338)),
    "wine": ((0.19, 0.06, 358), (0.32, 0.088, 8), (0.55, 0.11, 35), (0.47, 0.10, 18)),
    "forest-night": ((0.19, 0.038, 182), (0.31, 0.052, 170), (0.54, 0.07, 138), (0.46, 0.066, 156)),
    "slate": ((0.22, 0.022, 265), (0.36, 0.03, 262), (0.60, 0.035, 250), (0.54, 0.035, 258)),
    "umber-dusk": ((0.21, 0.05, 300), (0.37, 0.075, 345), (0.64, 0.115, 55), (0.53, 0.10, 25)),
    "rose-dawn": ((0.42, 0.085, 300), (0.62, 0.095, 350), (0.83, 0.085, 50), (0.75, 0.09, 15)),
    "lilac-dawn": ((0.44, 0.085, 275), (0.63, 0.085, 295), (0.85, 0.06, 340), (0.76, 0.075, 310)),
    "mint-dawn": ((0.43, 0.06, 235), (0.64, 0.06, 210), (0.87, 0.07, 125), (0.78, 0.065, 175)),
}
DAWNS = ("rose-dawn", "lilac-dawn", "mint-dawn")


def sky(c: Canvas, name: str) -> None:
    """A vertical gradient, a glow where the keeper stands, and a hint of weather."""
    top, middle, horizon, glow = (oklch(*tone) for tone in SKIES[name])
    stops = [(0, top, 1), (0.45, middle, 1), (0.78, horizon, 1), (1, mix(horizon, middle, 0.4), 1)]
    c.path(f"M0 0H{SIZE}V{SIZE}H0Z", c.linear(0, 0, 0, SIZE, stops))
    lift = [(0, glow, 0.85), (0.5, glow, 0.42), (1, glow, 0)]
    c.path(f"M0 0H{SIZE}V{SIZE}H0Z", c.radial(500, 520, 500, lift))
    corner = [(0, top, 0), (0.72, top, 0), (1, top, 0.6)]
    c.path(f"M0 0H{SIZE}V{SIZE}H0Z", c.radial(512, 540, 760, corner))
    rng = random.Random(f"sky {name}")
    if name in DAWNS:
        _veils(c, rng, mix(horizon, "#ffffff", 0.35), count=7, opacity=0.17)
    else:
        _veils(c, rng, horizon, count=4, opacity=0.10)
        _dust(c, rng, mix(horizon, "#fff3dd", 0.75))


def _veils(c: Canvas, rng: random.Random, colour: str, *, count: int, opacity: float) -> None:
    """Long thin clouds."""
    for i in range(count):
        y = 90 + i * 620 / count + rng.uniform(-20, 20)
        x, reach, thick = rng.uniform(60, 960), rng.uniform(220, 420), rng.uniform(9, 24)
        d = blob(
            [
                (x - reach, y),
                (x - reach * 0.3, y - thick),
                (x + reach * 0.4, y - thick * 0.5),
                (x + reach, y + 4),
                (x + reach * 0.2, y + thick * 0.8),
                (x - reach * 0.5, y + thick * 0.6),
            ]
        )
        c.path(d, colour, opacity=n(opacity))


def _dust(c: Canvas, rng: random.Random, colour: str) -> None:
    """A few faint stars, so that no night is empty."""
    for _ in range(46):
        x, y = rng.uniform(20, 1004), rng.uniform(16, 640)
        c.dot(x, y, rng.choice((1.3, 1.7, 2.3)), colour, opacity=n(rng.uniform(0.3, 0.75)))


PALE = "#fff1d8"


def full_moon(c: Canvas) -> None:
    """A large moon behind the head."""
    x, y, r = 330, 285, 176
    c.dot(x, y, 282, c.radial(x, y, 282, [(0.6, PALE, 0.34), (1, PALE, 0)]))
    c.dot(x, y, r, c.linear(x - r, y - r, x + r, y + r, [(0, "#fff7e6", 0.96), (1, "#f1d9b4", 0.9)]))
    for dx, dy, radius in (
        (-76, -50, 36),
        (-20, 82, 26),
        (64, -94, 22),
        (-112, 46, 19),
        (96, 36, 27),
        (-4, -128, 14),
    ):
        c.dot(x + dx, y + dy, radius, "#d9b98e", opacity="0.42")
        c.dot(x + dx + 3, y + dy + 4, radius * 0.82, "#ead0a6", opacity="0.5")


def crescent(c: Canvas) -> None:
    """A thin moon, high on the left."""
    x, y, r = 196, 214, 112
    c.dot(x, y, 214, c.radial(x, y, 214, [(0.3, PALE, 0.26), (1, PALE, 0)]))
    d = (
        f"M{x + 34} {y - r + 6}A{r} {r} 0 1 0 {x + r - 6} {y + 34}A{r * 0.83} "
        f"{r * 0.83} 0 0 1 {x + 34} {y - r + 6}Z"
    )
    c.path(d, c.linear(x - r, y, x + r, y, [(0, "#fff8ea", 1), (1, "#f4dcb4", 1)]))
    for dx, dy, size in ((58, -22, 17), (96, -86, 9), (22, 24, 8)):
        c.path(star(x + dx, y + dy, size, inner=0.36, tips=4), "#fff8ea")


def aurora(c: Canvas) -> None:
    """Three curtains of light: a bright hem, and folds that fade upwards."""
    curtains = ((0.0, 262, "#7dffd0", 0.50), (2.1, 150, "#9fd0ff", 0.40), (4.4, 372, "#d6a4ff", 0.34))
    for turn, base, colour, opacity in curtains:
        for i in range(64):
            x = i * 16.0
            y = base + 52 * math.sin(x / 150 + turn) + 14 * math.sin(x / 47 + turn * 2)
            folds = 0.55 + 0.45 * math.sin(x / 31 + turn) * math.sin(x / 83 + turn)
            fade = math.sin(math.pi * min(max((x + 8) / SIZE, 0), 1)) ** 0.8
            height = 150 + 70 * folds
            fill = c.linear(
                0, y, 0, y - height, [(0, colour, 0), (0.07, colour, 1), (0.3, colour, 0.5), (1, colour, 0)]
            )
            c.path(
                f"M{n(x)} {n(y)}h16V{n(y - height)}h-16Z",
                fill,
                opacity=n(opacity * folds * fade),
                shape_rendering="crispEdges",
            )


def comet(c: Canvas) -> None:
    """One comet falling towards the left."""
    for spread, opacity in ((34, 0.16), (21, 0.28), (9, 0.6)):
        d = blob(
            [
                (150, 330, 1),
                (190, 330 - spread),
                (520, 150 - spread * 0.6),
                (770, 62, 1),
                (540, 168 + spread * 0.5),
                (196, 330 + spread),
            ]
        )
        c.path(
            d,
            c.linear(150, 330, 770, 62, [(0, "#fff6e0", 1), (0.35, "#ffe2a8", 0.7), (1, "#ffe2a8", 0)]),
            opacity=n(opacity),
        )
    c.dot(
        166, 326, 66, c.radial(166, 326, 66, [(0, "#fff6e0", 0.9), (0.3, "#ffe2a8", 0.5), (1, "#ffe2a8", 0)])
    )
    c.path(star(166, 326, 40, inner=0.4, tips=5, turn=-60), "#fffaf0")


def starfield(c: Canvas) -> None:
    """Many stars, some of them large."""
    rng = random.Random("starfield")
    for _ in range(120):
        c.dot(
            rng.uniform(14, 1010),
            rng.uniform(14, 600),
            rng.choice((1.6, 2.2, 3)),
            PALE,
            opacity=n(rng.uniform(0.4, 0.95)),
        )
    for x, y, size in (
        (110, 120, 26),
        (236, 330, 18),
        (88, 500, 15),
        (660, 96, 22),
        (930, 160, 28),
        (300, 90, 13),
        (900, 700, 13),
        (540, 150, 12),
        (180, 236, 11),
    ):
        c.dot(x, y, size * 2, c.radial(x, y, size * 2, [(0, PALE, 0.4), (1, PALE, 0)]))
        c.path(star(x, y, size, inner=0.24, tips=4), "#fffaf0")


def constellation(c: Canvas) -> None:
    """A great bear of thin lines."""
    points = pts("84,420 150,300 236,222 344,196 372,92 560,70 616,160 344,196")
    d = "M" + "L".join(f"{x} {y}" for x, y in points) + "M616 160L724 128L860 176"
    c.path(
        d,
        "none",
        stroke=PALE,
        stroke_width="3.5",
        stroke_dasharray="3 11",
        stroke_linecap="round",
        opacity="0.75",
    )
    for i, (x, y) in enumerate([*points[:-1], (724, 128), (860, 176)]):
        size = 15 + 7 * (i % 3)
        c.dot(x, y, size * 1.6, c.radial(x, y, size * 1.6, [(0, PALE, 0.45), (1, PALE, 0)]))
        c.path(star(x, y, size, inner=0.38, tips=4 + i % 2), "#fffaf0")


def planet(c: Canvas) -> None:
    """A ringed planet, low and close."""
    x, y, r = 218, 252, 98
    c.dot(x, y, 190, c.radial(x, y, 190, [(0.4, "#ffd8b0", 0.3), (1, "#ffd8b0", 0)]))
    tilt = f"rotate(-20 {x} {y})"
    c.path(
        f"M{x - 180} {y}A180 40 0 0 1 {x + 180} {y}",
        "none",
        stroke="#f7d9b6",
        stroke_width="15",
        opacity="0.7",
        transform=tilt,
    )
    c.dot(
        x,
        y,
        r,
        c.linear(x - r, y - r, x + r, y + r, [(0, "#fff0d4", 1), (0.55, "#f0b58a", 1), (1, "#b4697c", 1)]),
    )
    c.open(clip_path=c.clip(ring(x, y, r)))
    for dy, thick, opacity in ((-52, 16, 0.35), (-12, 22, 0.3), (34, 13, 0.35), (66, 18, 0.3)):
        c.path(ring(x, y + dy, 130, thick / 2), "#fff6e6", opacity=opacity, transform=tilt)
    c.close()
    c.path(
        f"M{x - 180} {y}A180 40 0 0 0 {x + 180} {y}",
        "none",
        stroke="#fff0d8",
        stroke_width="15",
        transform=tilt,
    )


def clouds(c: Canvas) -> None:
    """Heaped clouds with lit tops."""
    for x, y, size, opacity in (
        (150, 330, 1.0, 0.62),
        (880, 190, 0.86, 0.5),
        (560, 120, 0.62, 0.42),
        (300, 560, 0.7, 0.4),
    ):
        puffs = [(-150, 26, 52), (-84, -18, 74), (4, -52, 92), (92, -14, 72), (150, 28, 48)]
        parts = "".join(ring(x + dx * size, y + dy * size, r * size) for dx, dy, r in puffs)
        fill = c.linear(
            0,
            y - 140 * size,
            0,
            y + 84 * size,
            [(0, PALE, opacity), (0.5, "#d9c4e4", opacity * 0.6), (0.95, "#b7a6dc", 0)],
        )
        c.open(clip_path=c.clip(f"M{n(x - 420)} {n(y - 400)}H{n(x + 420)}V{n(y + 76 * size)}H{n(x - 420)}Z"))
        c.path(parts, fill)
        c.close()


def lantern_festival(c: Canvas) -> None:
    """Paper lights that have been let go."""
    spots = (
        (110, 170, 1.0),
        (250, 90, 0.62),
        (206, 330, 0.74),
        (90, 470, 0.52),
        (420, 76, 0.5),
        (640, 110, 0.66),
        (560, 200, 0.4),
        (930, 140, 0.8),
        (940, 690, 0.42),
        (300, 210, 0.42),
        (330, 440, 0.36),
    )
    for x, y, size in spots:
        c.dot(x, y, 84 * size, c.radial(x, y, 84 * size, [(0, "#ffc56e", 0.62), (1, "#ffb35a", 0)]))
        d = blob(
            [
                (x - 22 * size, y - 30 * size),
                (x, y - 40 * size),
                (x + 22 * size, y - 30 * size),
                (x + 29 * size, y),
                (x + 17 * size, y + 32 * size),
                (x - 17 * size, y + 32 * size),
                (x - 29 * size, y),
            ]
        )
        c.path(
            d,
            c.linear(
                0,
                y - 40 * size,
                0,
                y + 36 * size,
                [(0, "#f08a4a", 1), (0.6, "#ffc873", 1), (1, "#fff0c2", 1)],
            ),
        )


def sunrise(c: Canvas) -> None:
    """Rays from a sun that is not quite up."""
    x, y = 300, 720
    for i in range(15):
        a, b = math.radians(180 + i * 12.4), math.radians(180 + i * 12.4 + 5.4)
        far = 960
        d = (
            f"M{x} {y}L{n(x + far * math.cos(a))} "
            f"{n(y + far * math.sin(a))}L{n(x + far * math.cos(b))} "
            f"{n(y + far * math.sin(b))}Z"
        )
        c.path(d, c.radial(x, y, 800, [(0.1, PALE, 0.5), (1, PALE, 0)]))
    c.dot(x, y, 300, c.radial(x, y, 300, [(0.3, "#ffe9b8", 0.7), (1, "#ffe0a0", 0)]))
    c.dot(x, y, 138, c.linear(0, y - 138, 0, y + 60, [(0, "#fff8e2", 1), (1, "#ffd48a", 1)]))


HEAVENS = {
    "full-moon": full_moon,
    "crescent": crescent,
    "aurora": aurora,
    "comet": comet,
    "starfield": starfield,
    "great-bear": constellation,
    "ringed-planet": planet,
    "clouds": clouds,
    "paper-lights": lantern_festival,
    "sunrise": sunrise,
}
