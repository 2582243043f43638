"""Companions, standing at the left of the keeper or fluttering there."""

import math
from collections.abc import Callable

from studio.body import FRIEND
from studio.canvas import Canvas, blob, limb, pts, ring, star
from studio.colour import Coat, mix

FX, FY = FRIEND
INK = "#160e2c"


def _shadow(c: Canvas, half: float) -> None:
    d = ring(FX - 8, FY + 3, half, 11)
    c.path(d, "#070616", filter=c.blur(6, around=d), opacity="0.55")


def _eyes(c: Canvas, x: float, y: float, apart: float, *, r: float = 8) -> None:
    for side in (-1, 1):
        c.path(ring(x + side * apart, y, r, r * 1.2), INK)
        c.dot(x + side * apart + r * 0.35, y - r * 0.4, r * 0.36, "#fffdf4")


def snail(c: Canvas) -> None:
    """In no hurry."""
    _shadow(c, 84)
    skin = Coat("#c9b28a", "#f4e6c4", "#8a7450")
    foot = blob(pts("-84,-2! -40,-26 30,-30 52,-74 82,-72 84,-20 60,4 -40,6", FX, FY))
    for dx, tip in ((58, 50), (74, 86)):
        c.line([(FX + dx, FY - 70), (FX + tip, FY - 106)], "#b89e74", 7)
        c.dot(FX + tip, FY - 109, 9, INK)
        c.dot(FX + tip + 3, FY - 112, 3, "#fffdf4")
    c.form(foot, skin, span=(FX - 84, FX + 90), rim=5, depth=10)
    x, y, r = FX - 14, FY - 68, 56
    c.form(ring(x, y, r), Coat("#8f6ab0", "#e4c8f4", "#4a2f66"), span=(x - r, x + r), rim=6, depth=18)
    c.line(
        [
            (
                x + 2 + (r - 10) * (1 - i / 26) * math.cos(2.4 + i * 0.5),
                y + (r - 10) * (1 - i / 26) * math.sin(2.4 + i * 0.5),
            )
            for i in range(24)
        ],
        "#f0dcff",
        6,
        opacity="0.8",
    )


def mouse(c: Canvas) -> None:
    """Carries the spare matches."""
    _shadow(c, 64)
    fur = Coat("#a59aae", "#f0e6ee", "#e0a0a8")
    c.line(pts("-36,-10 -78,-14 -84,-52", FX, FY), "#d89aa4", 7)
    c.form(
        blob(pts("0,-84 44,-52 50,-8 0,4 -50,-8 -44,-52", FX, FY)),
        fur,
        span=(FX - 50, FX + 56),
        rim=5,
        depth=14,
    )
    for side in (-1, 1):
        c.form(
            ring(FX + side * 40, FY - 124, 29),
            fur,
            span=(FX + side * 40 - 30, FX + side * 40 + 30),
            rim=4,
            depth=9,
        )
        c.dot(FX + side * 40, FY - 122, 17, "#e0a0a8")
    c.form(
        blob(pts("0,-130 44,-104 36,-70 0,-52 -36,-70 -44,-104", FX, FY)),
        fur,
        span=(FX - 46, FX + 46),
        rim=5,
        depth=12,
    )
    _eyes(c, FX, FY - 94, 18)
    c.dot(FX, FY - 68, 6, "#d8687e")
    c.line([(FX + 40, FY - 40), (FX + 66, FY - 58)], "#c9a878", 6)
    c.dot(FX + 68, FY - 61, 8, "#d8483c")


def frog(c: Canvas) -> None:
    """Knows one song."""
    _shadow(c, 74)
    skin = Coat("#7fae4e", "#e6f0a8", "#4a7038")
    for side in (-1, 1):
        c.form(
            blob(
                [
                    (FX + side * 30, FY - 44),
                    (FX + side * 76, FY - 40),
                    (FX + side * 84, FY),
                    (FX + side * 36, FY + 4),
                ]
            ),
            skin,
            span=(FX - 80, FX + 80),
            rim=4,
            depth=10,
        )
    c.form(
        blob(pts("0,-92 58,-70 54,-10 0,4 -54,-10 -58,-70", FX, FY)),
        skin,
        span=(FX - 60, FX + 60),
        rim=6,
        depth=16,
    )
    for side in (-1, 1):
        x = FX + side * 32
        c.form(ring(x, FY - 92, 25), skin, span=(x - 26, x + 26), rim=4, depth=8)
        c.dot(x, FY - 93, 16, "#fff3c0")
        c.dot(x + 4, FY - 92, 9, INK)
        c.dot(x + 7, FY - 96, 3.4, "#fffdf4")
    c.line(pts("-44,-52 0,-42 44,-52", FX, FY), "#2f4a28", 5)
    c.path(ring(FX, FY - 18, 34, 18), "#e6f0a8", opacity="0.8")


def little_ghost(c: Canvas) -> None:
    """Afraid of the dark."""
    y = FY - 36
    d = blob(pts("0,-116 48,-86 56,-20 66,14! 34,-4 12,20! -12,-2 -36,20! -52,-6 -54,-70 -38,-104", FX, y))
    _shadow(c, 50)
    c.path(d, "#cfe4ff", opacity="0.4", filter=c.blur(10, around=d))
    c.form(d, Coat("#d4e0f6", "#ffffff", "#9aaed8"), span=(FX - 60, FX + 60), rim=6, depth=16)
    _eyes(c, FX + 4, y - 66, 18, r=9)
    c.path(ring(FX + 4, y - 40, 6, 8), INK)


def potted_sprout(c: Canvas) -> None:
    """A pot plant on an outing."""
    _shadow(c, 56)
    leaf = Coat("#6ca85a", "#d8f0a0", "#3a6a40")
    c.line(pts("0,-70 -2,-110 4,-150", FX, FY), "#4f8a4c", 9)
    for d in (
        blob(pts("0,-100! -40,-146 -82,-132! -50,-96", FX, FY)),
        blob(pts("0,-112! 34,-158 80,-150! 52,-108", FX, FY)),
    ):
        c.form(d, leaf, span=(FX - 82, FX + 82), rim=4, depth=10)
    for i in range(6):
        a = math.radians(60 * i)
        c.dot(FX + 4 + 16 * math.cos(a), FY - 160 + 16 * math.sin(a), 13, "#f2a0b4")
    c.dot(FX + 4, FY - 160, 11, "#ffe29a")
    clay = Coat("#c2704a", "#f6b890", "#7a3a30")
    c.form(
        blob(pts("-48,-64! 48,-64! 36,2! -36,2!", FX, FY), tension=0.25),
        clay,
        span=(FX - 50, FX + 50),
        rim=5,
        depth=12,
    )
    c.form(
        blob(pts("-56,-80! 56,-80! 54,-58! -54,-58!", FX, FY), tension=0.25),
        clay,
        span=(FX - 56, FX + 56),
        rim=4,
        depth=8,
    )
    _eyes(c, FX, FY - 34, 15, r=6)
    c.line(pts("-7,-18 0,-14 7,-18", FX, FY), INK, 4)


def black_cat(c: Canvas) -> None:
    """Only sitting here by coincidence."""
    _shadow(c, 66)
    fur = Coat("#4d4668", "#a89cd0", "#241c3a")
    c.form(
        limb(pts("-30,-14 -84,-22 -90,-80 -70,-104", FX, FY), [24, 24, 20, 11]),
        fur,
        span=(FX - 100, FX),
        rim=5,
        depth=8,
    )
    c.form(
        blob(pts("4,-112 42,-60 46,0 0,5 -48,0 -40,-60", FX, FY)),
        fur,
        span=(FX - 50, FX + 50),
        rim=6,
        depth=14,
    )
    for side in (-1, 1):
        c.form(
            blob(
                [
                    (FX + 4 + side * 12, FY - 148),
                    (FX + 4 + side * 44, FY - 188, 1),
                    (FX + 4 + side * 48, FY - 128),
                ]
            ),
            fur,
            span=(FX - 50, FX + 54),
            rim=4,
            depth=8,
        )
    c.form(ring(FX + 4, FY - 122, 50, 42), fur, span=(FX - 46, FX + 54), rim=5, depth=14)
    for side in (-1, 1):
        c.path(ring(FX + 4 + side * 20, FY - 126, 13, 13), "#ffe27a")
        c.path(ring(FX + 6 + side * 20, FY - 126, 4, 10), INK)
    c.path(blob(pts("-2,-108 10,-108 4,-100", FX, FY)), "#e89aa8")


def moth(c: Canvas) -> None:
    """Came for the light and stayed for the company."""
    x, y = FX + 8, FY - 216
    pale = Coat("#e6d2b4", "#fff6e0", "#a8845a")
    for side in (-1, 1):
        c.form(
            blob(
                [
                    (x, y - 4, 1),
                    (x + side * 36, y - 58),
                    (x + side * 86, y - 50),
                    (x + side * 70, y + 4),
                    (x + side * 20, y + 14),
                ]
            ),
            pale,
            span=(x - 90, x + 90),
            rim=5,
            depth=12,
        )
        c.form(
            blob([(x, y + 4, 1), (x + side * 44, y + 10), (x + side * 56, y + 46), (x + side * 18, y + 50)]),
            pale,
            span=(x - 90, x + 90),
            rim=4,
            depth=10,
        )
        c.dot(x + side * 54, y - 26, 13, "#b87a58")
        c.dot(x + side * 54, y - 26, 6, "#fff6e0")
        c.line([(x + side * 5, y - 26), (x + side * 22, y - 58), (x + side * 34, y - 66)], "#c9a878", 5)
    c.form(
        ring(x, y + 6, 15, 38), Coat("#b8946a", "#f4e0bc", "#7a5a3a"), span=(x - 16, x + 16), rim=4, depth=7
    )
    _eyes(c, x, y - 18, 8, r=5)


def hatchling(c: Canvas) -> None:
    """Not yet out, already curious."""
    _shadow(c, 56)
    egg = Coat("#bcd8d4", "#f4fffa", "#6a9a98")
    c.form(
        blob(pts("0,-134 44,-104 40,-60 -40,-60 -44,-104", FX, FY)),
        Coat("#f0b84a", "#fff0b8", "#b06a2a"),
        span=(FX - 46, FX + 46),
        rim=5,
        depth=12,
    )
    for dx in (-8, 2, 12):
        c.line([(FX, FY - 130), (FX + dx, FY - 154)], "#f0b84a", 6)
    _eyes(c, FX, FY - 98, 18)
    c.path(blob(pts("-12,-84! 0,-92 12,-84! 0,-70!", FX, FY)), "#e8683c")
    shell = pts("-58,-62! -36,-44! -18,-66! 2,-44! 22,-68! 40,-46! 58,-64! 54,-20 0,5 -54,-20", FX, FY)
    c.form(blob(shell, tension=0.35), egg, span=(FX - 58, FX + 58), rim=6, depth=14)
    for dx, dy in ((-28, -24), (10, -16), (34, -32)):
        c.dot(FX + dx, FY + dy, 6, "#6a9a98", opacity="0.7")


def star_sprite(c: Canvas) -> None:
    """Fell out of the constellation; is being walked home."""
    x, y = FX, FY - 82
    c.dot(x, y, 120, c.radial(x, y, 120, [(0.2, "#fff0b8", 0.5), (1, "#ffe08a", 0)]))
    _shadow(c, 46)
    d = star(x, y, 72, inner=0.56, tips=5)
    c.path(d, "#f4c24c", stroke="#f4c24c", stroke_width="20", stroke_linejoin="round")
    c.path(
        star(x + 3, y - 2, 60, inner=0.56),
        mix("#f4c24c", "#fff8d8", 0.6),
        stroke=mix("#f4c24c", "#fff8d8", 0.6),
        stroke_width="14",
        stroke_linejoin="round",
    )
    _eyes(c, x, y - 4, 18, r=8)
    c.line(pts("-10,16 0,22 10,16", x, y), INK, 5)
    for side in (-1, 1):
        c.path(ring(x + side * 34, y + 12, 10, 6), "#f08a6a", opacity="0.7")


FRIENDS: dict[str, Callable[[Canvas], None]] = {
    "snail": snail,
    "mouse": mouse,
    "frog": frog,
    "little-ghost": little_ghost,
    "pot-plant": potted_sprout,
    "black-cat": black_cat,
    "moth": moth,
    "hatchling": hatchling,
    "star-sprite": star_sprite,
}
