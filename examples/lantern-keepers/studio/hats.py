"""Headwear: every hat sits on the crown point that all heads share."""

import math
import random
from collections.abc import Callable

from studio.body import CX
from studio.canvas import Canvas, blob, limb, n, pts, ring, star
from studio.colour import Coat, mix

SPAN = (CX - 150, CX + 150)


def _brim(half: float, y: float, thick: float) -> str:
    return blob(
        [
            (CX - half, y),
            (CX - half * 0.5, y - thick),
            (CX, y - thick * 1.2),
            (CX + half * 0.5, y - thick),
            (CX + half, y),
            (CX + half * 0.5, y + thick),
            (CX, y + thick * 1.35),
            (CX - half * 0.5, y + thick),
        ]
    )


def wizard(c: Canvas) -> None:
    """A tall hat that has been sat on."""
    cloth = Coat("#4a4fa8", "#e9d28a", "#2a2a66")
    cone = blob(pts("-98,316 -66,220 -34,130 14,82 92,60! 54,118 62,210 98,316 0,336", CX))
    c.form(cone, cloth, span=SPAN, rim=8, depth=26)
    c.form(_brim(176, 316, 26), cloth, span=(CX - 180, CX + 180), rim=7, depth=14)
    band = blob(pts("-96,296 0,314 96,296 90,266 0,284 -90,266", CX), tension=0.3)
    c.path(band, "#c98a3c")
    for x, y, size in ((-30, 214, 17), (30, 168, 12), (38, 246, 14), (-4, 132, 9)):
        c.path(star(CX + x, y, size, inner=0.42), "#ffe7a0")


def straw(c: Canvas) -> None:
    """A wide cone of straw."""
    hay = Coat("#d0a256", "#f6e0a0", "#8a6030")
    cone = blob(pts("-190,344! -84,272 0,196 84,272 190,344! 0,362", CX), tension=0.4)
    c.form(cone, hay, span=(CX - 190, CX + 190), rim=9, depth=30)
    c.open(clip_path=c.clip(cone))
    for i in range(-8, 9):
        c.line([(CX, 196), (CX + i * 25, 366)], "#7a5228", 3, opacity="0.4")
    for y, half in ((250, 70), (296, 122), (334, 178)):
        c.line([(CX - half, y), (CX, y + 16), (CX + half, y)], "#7a5228", 4, opacity="0.45")
    c.close()


def crown(c: Canvas) -> None:
    """Seven points and three stones."""
    gold = Coat("#d9a23c", "#fff0b0", "#8a5a1c")
    tips = [(CX - 104, 318)]
    for i in range(5):
        x = CX - 104 + 52 * i
        high = 196 - 26 * (1 - abs(i - 2) / 2)
        tips += [(x + (i - 2) * 5, high, 1)]
        if i < 4:
            tips += [(x + 26, 268, 1)]
    tips += [(CX + 104, 318), (CX, 336)]
    c.form(blob(tips, tension=0.3), gold, span=SPAN, rim=7, depth=18)
    band = blob(pts("-106,322 0,342 106,322 105,296 0,314 -105,296", CX), tension=0.4)
    c.form(band, Coat("#b8842c", "#ffe9a0", "#8a5a1c"), span=SPAN, rim=4, depth=8)
    for dx, y, colour in ((0, 328, "#d8386a"), (-62, 320, "#3fae9a"), (62, 320, "#3fae9a")):
        c.path(ring(CX + dx, y, 11, 10), colour)
        c.path(ring(CX + dx + 3, y - 3, 4, 3), "#ffffff", opacity="0.85")
    for i in range(5):
        c.dot(CX - 104 + 52 * i + (i - 2) * 5, 192 - 26 * (1 - abs(i - 2) / 2), 10, "#fff0c0")


def acorn(c: Canvas) -> None:
    """An acorn's cup, worn low."""
    cup = Coat("#8a6238", "#d0a870", "#4a3020")
    c.form(
        limb(pts("4,216 14,180 34,160", CX), [24, 18, 13]),
        Coat("#6a4a2c", "#a87c50", "#3a2418"),
        span=(CX - 20, CX + 60),
        rim=4,
        depth=6,
    )
    d = blob(pts("-138,330 -124,262 -60,214 0,204 60,214 124,262 138,330 0,352", CX))
    c.form(d, cup, span=SPAN, rim=8, depth=24)
    c.open(clip_path=c.clip(d))
    for row in range(5):
        for i in range(-5, 6):
            x, y = CX + (i + (row % 2) / 2) * 32, 226 + row * 27
            c.path(
                f"M{n(x - 16)} {y}a16 15 0 0 0 32 0",
                "none",
                stroke="#4a3020",
                stroke_width="4",
                opacity="0.55",
            )
    c.close()


def flower_wreath(c: Canvas) -> None:
    """Flowers picked on the way."""
    for i in range(13):
        a = math.radians(196 + i * 12.3)
        x, y = CX + 124 * math.cos(a), 334 + 42 * math.sin(a)
        leaf = blob(pts("0,0! -12,-18 0,-36! 12,-18", x, y))
        c.path(leaf, ("#5f9a62", "#437a56")[i % 2], transform=f"rotate({n((i - 6) * 18)} {n(x)} {n(y)})")
    blooms = (
        (-108, 318, 25, "#e87fa0"),
        (-62, 294, 31, "#fff0d0"),
        (-6, 286, 35, "#f0905a"),
        (54, 293, 30, "#b59af0"),
        (104, 316, 25, "#f6c95a"),
    )
    for dx, y, r, colour in blooms:
        x = CX + dx
        for i in range(6):
            a = math.radians(60 * i + dx)
            c.dot(
                x + r * 0.62 * math.cos(a),
                y + r * 0.62 * math.sin(a),
                r * 0.5,
                mix(colour, "#3a1a4a", 0.24 if math.cos(a) < -0.3 else 0.0),
            )
        c.dot(x, y, r * 0.36, "#7a4a2a")
        c.dot(x + 2, y - 2, r * 0.24, "#ffd98a")


def nightcap(c: Canvas) -> None:
    """Striped, with a bobble, for keepers off duty."""
    cloth = Coat("#4f8fa8", "#eef6f0", "#27506a")
    d = blob(
        pts(
            "-118,322 -104,240 -50,176 20,150 110,166 176,232 190,296 158,296 128,250 92,238 118,322 0,340",
            CX,
        )
    )
    c.form(d, cloth, span=(CX - 130, CX + 190), rim=8, depth=24)
    c.open(clip_path=c.clip(d))
    for i in range(5):
        c.line(
            [(CX - 130 + 70 * i, 330), (CX - 90 + 66 * i, 240), (CX - 10 + 58 * i, 140)],
            "#eef6f0",
            15,
            opacity="0.55",
        )
    c.close()
    band = blob(pts("-130,326 -120,292 0,306 120,292 130,326 0,348", CX), tension=0.4)
    c.form(band, Coat("#e4dccf", "#ffffff", "#a89a90"), span=SPAN, rim=5, depth=10)
    c.form(
        ring(CX + 174, 308, 29),
        Coat("#f2d9b0", "#ffffff", "#b8946a"),
        span=(CX + 140, CX + 206),
        rim=6,
        depth=12,
    )


def top_hat(c: Canvas) -> None:
    """Tall, worn at an angle, with a feather."""
    felt = Coat("#4d4262", "#a08cc0", "#241c38")
    c.open(transform=f"rotate(-5 {CX} 316)")
    feather = limb(pts("82,280 122,210 136,132", CX), [16, 40, 8])
    c.form(feather, Coat("#c9523c", "#ffb08a", "#7a2a28"), span=(CX + 70, CX + 150), rim=5, depth=10)
    d = blob(pts("-86,312! -98,146! 0,134 98,146! 86,312! 0,326", CX), tension=0.25)
    c.form(d, felt, span=(CX - 100, CX + 100), rim=8, depth=24)
    band = blob(pts("-88,304 0,320 88,304 90,262 0,278 -90,262", CX), tension=0.25)
    c.form(band, Coat("#b8433f", "#f0a080", "#6a2028"), span=(CX - 90, CX + 90), rim=4, depth=10)
    c.form(_brim(146, 314, 19), felt, span=SPAN, rim=6, depth=12)
    c.close()


def mushroom_cap(c: Canvas) -> None:
    """A violet cap, borrowed."""
    d = blob(pts("-172,330! -140,246 -60,196 14,188 96,212 152,262 172,330! 0,352", CX))
    c.form(d, Coat("#8a5ab0", "#e8d0f4", "#4a2a66"), span=(CX - 170, CX + 170), rim=9, depth=28)
    c.open(clip_path=c.clip(d))
    for dx, y, rx, ry in (
        (-92, 268, 26, 22),
        (-16, 226, 30, 20),
        (70, 262, 28, 24),
        (-140, 322, 20, 18),
        (10, 308, 30, 24),
        (130, 316, 20, 17),
        (-66, 330, 17, 13),
    ):
        c.path(ring(CX + dx, y, rx, ry), "#f3e4ff", opacity="0.85")
    c.close()


def candle_hat(c: Canvas) -> None:
    """A second light, in case the first one fails."""
    glow = [(0, "#fff0c0", 0.85), (0.25, "#ffc76a", 0.4), (1, "#ffb347", 0)]
    c.dot(CX, 150, 110, c.radial(CX, 150, 110, glow))
    wax = blob(pts("-34,206! 34,206! 38,280 60,314 84,330 0,342 -80,330 -52,310 -38,280", CX), tension=0.4)
    c.form(wax, Coat("#e6d8bc", "#fff8e8", "#a8946a"), span=(CX - 60, CX + 60), rim=6, depth=16)
    for dx, y1, y2 in ((-26, 210, 262), (-6, 210, 238), (20, 210, 278)):
        c.line([(CX + dx, y1), (CX + dx, y2)], "#fff8e6", 13)
    c.line([(CX, 208), (CX, 190)], "#3a2434", 5)
    c.path(blob(pts("0,104! 20,156 0,192 -20,156", CX)), "#ff9a3c")
    c.path(blob(pts("0,134! 11,166 0,188 -11,166", CX)), "#fff2b8")


def nest(c: Canvas) -> None:
    """A nest with three eggs; the owner is expected back."""
    rng = random.Random("nest")
    for dx, colour in ((-46, "#bfe0e4"), (44, "#f2dcc0"), (-2, "#d4c6ee")):
        egg = blob([(CX + dx, 204), (CX + dx + 33, 246), (CX + dx, 290), (CX + dx - 33, 246)])
        c.form(egg, Coat(colour, "#ffffff", "#807890"), span=(CX + dx - 40, CX + dx + 36), rim=5, depth=10)
        for _ in range(5):
            c.dot(CX + dx + rng.uniform(-18, 18), 240 + rng.uniform(-22, 14), 3, "#6a5a70", opacity="0.6")
    d = blob(pts("-142,268 -60,284 0,288 60,284 142,268 108,332 0,350 -108,332", CX))
    c.form(d, Coat("#8a6a48", "#c9a878", "#4a3628"), span=SPAN, rim=7, depth=18)
    c.open(clip_path=c.clip(d))
    for _ in range(46):
        x, y = CX + rng.uniform(-140, 140), rng.uniform(270, 346)
        reach, drop = rng.uniform(20, 46), rng.uniform(-9, 9)
        c.line(
            [(x - reach, y - drop), (x, y + 5), (x + reach, y + drop)],
            rng.choice(("#5a4030", "#b8946a", "#d8bc8c")),
            4,
            opacity="0.75",
        )
    c.close()
    for x1, y1, x2, y2 in (
        (-130, 276, -168, 252),
        (128, 280, 166, 262),
        (-104, 300, -156, 306),
        (110, 306, 154, 318),
    ):
        c.line([(CX + x1, y1), (CX + x2, y2)], "#a8845a", 6)


def halo_ring(c: Canvas) -> None:
    """A thin ring of light that follows."""
    for width, opacity in ((46, 0.14), (30, 0.2)):
        c.path(ring(CX, 226, 116, 30), "none", stroke="#ffe9a8", stroke_width=width, opacity=opacity)
    c.path(ring(CX, 226, 116, 30), "none", stroke="#fff7da", stroke_width="13")
    c.path(ring(CX, 226, 116, 30), "none", stroke="#ffd873", stroke_width="5")


def sprout(c: Canvas) -> None:
    """Two leaves and a bud: it was watered."""
    green = Coat("#6ca85a", "#d8f0a0", "#3a6a40")
    c.form(limb(pts("0,306 -4,250 6,196", CX), [19, 15, 11]), green, span=(CX - 20, CX + 20), rim=4, depth=5)
    c.form(blob(pts("-2,252! -54,180 -130,178! -92,236", CX)), green, span=(CX - 130, CX), rim=6, depth=14)
    c.form(blob(pts("2,224! 40,150 114,136! 86,206", CX)), green, span=(CX, CX + 120), rim=6, depth=14)
    c.form(
        blob(pts("6,204 28,176 8,138! -14,176", CX)),
        Coat("#f0a0b8", "#ffe0e4", "#a85070"),
        span=(CX - 20, CX + 34),
        rim=4,
        depth=8,
    )


def feelers(c: Canvas) -> None:
    """Two combed feelers and a soft brow; they go with moth wings."""
    fluff = Coat("#e4d0ac", "#fff4dc", "#8a6a4a")
    for side in (-1, 1):
        spine = [(CX + side * 34, 304), (CX + side * 66, 208), (CX + side * 136, 134)]
        for i in range(1, 10):
            share = i / 10
            x = spine[0][0] + (spine[2][0] - spine[0][0]) * share + side * -16 * math.sin(math.pi * share)
            y = spine[0][1] + (spine[2][1] - spine[0][1]) * share + -8 * math.sin(math.pi * share)
            reach = 34 * math.sin(math.pi * (0.2 + share * 0.75))
            c.line([(x, y), (x + side * reach, y + reach * 0.4)], "#c9ae84", 6)
            c.line([(x, y), (x - side * reach * 0.6, y - reach * 0.8)], "#c9ae84", 6)
        c.form(limb(spine, [16, 13, 7]), fluff, span=SPAN, rim=4, depth=5)
    d = blob(pts("-86,306 -52,280 -20,268 20,268 52,280 86,306 44,322 0,344! -44,322", CX))
    c.form(d, fluff, span=SPAN, rim=5, depth=12)


HATS: dict[str, Callable[[Canvas], None]] = {
    "wizard-hat": wizard,
    "straw-hat": straw,
    "crown": crown,
    "acorn-cup": acorn,
    "flower-wreath": flower_wreath,
    "nightcap": nightcap,
    "top-hat": top_hat,
    "mushroom-cap": mushroom_cap,
    "candle": candle_hat,
    "nest": nest,
    "ring-of-light": halo_ring,
    "sprout": sprout,
    "feelers": feelers,
}
