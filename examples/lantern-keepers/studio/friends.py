"""Companions, standing at the left of the keeper or fluttering there."""

import math
from collections.abc import Callable

from studio.body import FRIEND
from studio.canvas import Canvas, blob, limb, ring, star
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
    foot = blob([(FX - 84, FY - 2, 1), (FX - 40, FY - 26), (FX + 30, FY - 30), (FX + 52, FY - 74), (FX + 82, FY - 72), (FX + 84, FY - 20), (FX + 60, FY + 4), (FX - 40, FY + 6)])
    for dx, tip in ((58, 50), (74, 86)):
        c.line([(FX + dx, FY - 70), (FX + tip, FY - 106)], "#b89e74", 7)
        c.dot(FX + tip, FY - 109, 9, INK)
        c.dot(FX + tip + 3, FY - 112, 3, "#fffdf4")
    c.form(foot, skin, span=(FX - 84, FX + 90), rim=5, depth=10)
    x, y, r = FX - 14, FY - 68, 56
    c.form(ring(x, y, r), Coat("#8f6ab0", "#e4c8f4", "#4a2f66"), span=(x - r, x + r), rim=6, depth=18)
    c.line([(x + 2 + (r - 10) * (1 - i / 26) * math.cos(2.4 + i * 0.5), y + (r - 10) * (1 - i / 26) * math.sin(2.4 + i * 0.5)) for i in range(24)], "#f0dcff", 6, opacity="0.8")


def mouse(c: Canvas) -> None:
    """Carries the spare matches."""
    _shadow(c, 64)
    fur = Coat("#a59aae", "#f0e6ee", "#e0a0a8")
    c.line([(FX - 36, FY - 10), (FX - 78, FY - 14), (FX - 84, FY - 52)], "#d89aa4", 7)
    c.form(blob([(FX, FY - 84), (FX + 44, FY - 52), (FX + 50, FY - 8), (FX, FY + 4), (FX - 50, FY - 8), (FX - 44, FY - 52)]), fur, span=(FX - 50, FX + 56), rim=5, depth=14)
    for side in (-1, 1):
        c.form(ring(FX + side * 40, FY - 124, 29), fur, span=(FX + side * 40 - 30, FX + side * 40 + 30), rim=4, depth=9)
        c.dot(FX + side * 40, FY - 122, 17, "#e0a0a8")
    c.form(blob([(FX, FY - 130), (FX + 44, FY - 104), (FX + 36, FY - 70), (FX, FY - 52), (FX - 36, FY - 70), (FX - 44, FY - 104)]), fur, span=(FX - 46, FX + 46), rim=5, depth=12)
    _eyes(c, FX, FY - 94, 18)
    c.dot(FX, FY - 68, 6, "#d8687e")
    c.line([(FX + 40, FY - 40), (FX + 66, FY - 58)], "#c9a878", 6)
    c.dot(FX + 68, FY - 61, 8, "#d8483c")


def frog(c: Canvas) -> None:
    """Knows one song."""
    _shadow(c, 74)
    skin = Coat("#7fae4e", "#e6f0a8", "#4a7038")
    for side in (-1, 1):
        c.form(blob([(FX + side * 30, FY - 44), (FX + side * 76, FY - 40), (FX + side * 84, FY), (FX + side * 36, FY + 4)]), skin, span=(FX - 80, FX + 80), rim=4, depth=10)
    c.form(blob([(FX, FY - 92), (FX + 58, FY - 70), (FX + 54, FY - 10), (FX, FY + 4), (FX - 54, FY - 10), (FX - 58, FY - 70)]), skin, span=(FX - 60, FX + 60), rim=6, depth=16)
    for side in (-1, 1):
        x = FX + side * 32
        c.form(ring(x, FY - 92, 25), skin, span=(x - 26, x + 26), rim=4, depth=8)
        c.dot(x, FY - 93, 16, "#fff3c0")
        c.dot(x + 4, FY - 92, 9, INK)
        c.dot(x + 7, FY - 96, 3.4, "#fffdf4")
    c.line([(FX - 44, FY - 52), (FX, FY - 42), (FX + 44, FY - 52)], "#2f4a28", 5)
    c.path(ring(FX, FY - 18, 34, 18), "#e6f0a8", opacity="0.8")


def little_ghost(c: Canvas) -> None:
    """Afraid of the dark."""
    y = FY - 36
    d = blob([(FX, y - 116), (FX + 48, y - 86), (FX + 56, y - 20), (FX + 66, y + 14, 1), (FX + 34, y - 4), (FX + 12, y + 20, 1), (FX - 12, y - 2), (FX - 36, y + 20, 1), (FX - 52, y - 6), (FX - 54, y - 70), (FX - 38, y - 104)])
    _shadow(c, 50)
    c.path(d, "#cfe4ff", opacity="0.4", filter=c.blur(10, around=d))
    c.form(d, Coat("#d4e0f6", "#ffffff", "#9aaed8"), span=(FX - 60, FX + 60), rim=6, depth=16)
    _eyes(c, FX + 4, y - 66, 18, r=9)
    c.path(ring(FX + 4, y - 40, 6, 8), INK)


def potted_sprout(c: Canvas) -> None:
    """A pot plant on an outing."""
    _shadow(c, 56)
    leaf = Coat("#6ca85a", "#d8f0a0", "#3a6a40")
    c.line([(FX, FY - 70), (FX - 2, FY - 110), (FX + 4, FY - 150)], "#4f8a4c", 9)
    for d in (
        blob([(FX, FY - 100, 1), (FX - 40, FY - 146), (FX - 82, FY - 132, 1), (FX - 50, FY - 96)]),
        blob([(FX, FY - 112, 1), (FX + 34, FY - 158), (FX + 80, FY - 150, 1), (FX + 52, FY - 108)]),
    ):
        c.form(d, leaf, span=(FX - 82, FX + 82), rim=4, depth=10)
    for i in range(6):
        a = math.radians(60 * i)
        c.dot(FX + 4 + 16 * math.cos(a), FY - 160 + 16 * math.sin(a), 13, "#f2a0b4")
    c.dot(FX + 4, FY - 160, 11, "#ffe29a")
    clay = Coat("#c2704a", "#f6b890", "#7a3a30")
    c.form(blob([(FX - 48, FY - 64, 1), (FX + 48, FY - 64, 1), (FX + 36, FY + 2, 1), (FX - 36, FY + 2, 1)], tension=0.25), clay, span=(FX - 50, FX + 50), rim=5, depth=12)
    c.form(blob([(FX - 56, FY - 80, 1), (FX + 56, FY - 80, 1), (FX + 54, FY - 58, 1), (FX - 54, FY - 58, 1)], tension=0.25), clay, span=(FX - 56, FX + 56), rim=4, depth=8)
    _eyes(c, FX, FY - 34, 15, r=6)
    c.line([(FX - 7, FY - 18), (FX, FY - 14), (FX + 7, FY - 18)], INK, 4)


def black_cat(c: Canvas) -> None:
    """Only sitting here by coincidence."""
    _shadow(c, 66)
    fur = Coat("#4d4668", "#a89cd0", "#241c3a")
    c.form(limb([(FX - 30, FY - 14), (FX - 84, FY - 22), (FX - 90, FY - 80), (FX - 70, FY - 104)], [24, 24, 20, 11]), fur, span=(FX - 100, FX), rim=5, depth=8)
    c.form(blob([(FX + 4, FY - 112), (FX + 42, FY - 60), (FX + 46, FY), (FX, FY + 5), (FX - 48, FY), (FX - 40, FY - 60)]), fur, span=(FX - 50, FX + 50), rim=6, depth=14)
    for side in (-1, 1):
        c.form(blob([(FX + 4 + side * 12, FY - 148), (FX + 4 + side * 44, FY - 188, 1), (FX + 4 + side * 48, FY - 128)]), fur, span=(FX - 50, FX + 54), rim=4, depth=8)
    c.form(ring(FX + 4, FY - 122, 50, 42), fur, span=(FX - 46, FX + 54), rim=5, depth=14)
    for side in (-1, 1):
        c.path(ring(FX + 4 + side * 20, FY - 126, 13, 13), "#ffe27a")
        c.path(ring(FX + 6 + side * 20, FY - 126, 4, 10), INK)
    c.path(blob([(FX - 2, FY - 108), (FX + 10, FY - 108), (FX + 4, FY - 100)]), "#e89aa8")


def moth(c: Canvas) -> None:
    """Came for the light and stayed for the company."""
    x, y = FX + 8, FY - 216
    pale = Coat("#e6d2b4", "#fff6e0", "#a8845a")
    for side in (-1, 1):
        c.form(blob([(x, y - 4, 1), (x + side * 36, y - 58), (x + side * 86, y - 50), (x + side * 70, y + 4), (x + side * 20, y + 14)]), pale, span=(x - 90, x + 90), rim=5, depth=12)
        c.form(blob([(x, y + 4, 1), (x + side * 44, y + 10), (x + side * 56, y + 46), (x + side * 18, y + 50)]), pale, span=(x - 90, x + 90), rim=4, depth=10)
        c.dot(x + side * 54, y - 26, 13, "#b87a58")
        c.dot(x + side * 54, y - 26, 6, "#fff6e0")
        c.line([(x + side * 5, y - 26), (x + side * 22, y - 58), (x + side * 34, y - 66)], "#c9a878", 5)
    c.form(ring(x, y + 6, 15, 38), Coat("#b8946a", "#f4e0bc", "#7a5a3a"), span=(x - 16, x + 16), rim=4, depth=7)
    _eyes(c, x, y - 18, 8, r=5)


def hatchling(c: Canvas) -> None:
    """Not yet out, already curious."""
    _shadow(c, 56)
    egg = Coat("#bcd8d4", "#f4fffa", "#6a9a98")
    c.form(blob([(FX, FY - 134), (FX + 44, FY - 104), (FX + 40, FY - 60), (FX - 40, FY - 60), (FX - 44, FY - 104)]), Coat("#f0b84a", "#fff0b8", "#b06a2a"), span=(FX - 46, FX + 46), rim=5, depth=12)
    for dx in (-8, 2, 12):
        c.line([(FX, FY - 130), (FX + dx, FY - 154)], "#f0b84a", 6)
    _eyes(c, FX, FY - 98, 18)
    c.path(blob([(FX - 12, FY - 84, 1), (FX, FY - 92), (FX + 12, FY - 84, 1), (FX, FY - 70, 1)]), "#e8683c")
    shell = [(FX - 58, FY - 62, 1), (FX - 36, FY - 44, 1), (FX - 18, FY - 66, 1), (FX + 2, FY - 44, 1), (FX + 22, FY - 68, 1), (FX + 40, FY - 46, 1), (FX + 58, FY - 64, 1), (FX + 54, FY - 20), (FX, FY + 5), (FX - 54, FY - 20)]
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
    c.path(star(x + 3, y - 2, 60, inner=0.56), mix("#f4c24c", "#fff8d8", 0.6), stroke=mix("#f4c24c", "#fff8d8", 0.6), stroke_width="14", stroke_linejoin="round")
    _eyes(c, x, y - 4, 18, r=8)
    c.line([(x - 10, y + 16), (x, y + 22), (x + 10, y + 16)], INK, 5)
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
