"""Eyes, all on the same two points; every one reads on a pale face and on a dark one."""

import math
from collections.abc import Callable

from studio.body import CX, EYES
from studio.canvas import Canvas, blob, pts, ring, star
from studio.colour import Coat

INK = "#160e2c"
LIGHT = "#fff6e0"


def _each(paint: Callable[[float, float, int], None]) -> None:
    for side, (x, y) in zip((-1, 1), EYES, strict=True):
        paint(x, y, side)


def ink(c: Canvas) -> None:
    """Deep and dark, with the lantern in them."""

    def eye(x: float, y: float, _: int) -> None:
        c.path(ring(x, y, 33, 40), LIGHT, opacity="0.55")
        c.path(ring(x, y, 29, 36), INK)
        c.path(ring(x + 2, y + 15, 19, 15), "#e08a3c", opacity="0.75")
        c.path(ring(x, y + 3, 21, 20), INK)
        c.path(ring(x + 10, y - 13, 10, 12), "#fffdf4")
        c.dot(x - 10, y + 14, 4.5, "#fffdf4", opacity="0.9")

    _each(eye)


def amber(c: Canvas) -> None:
    """Round and golden, made for the dark."""

    def eye(x: float, y: float, _: int) -> None:
        c.path(ring(x, y, 42, 42), INK)
        c.path(
            ring(x, y, 36, 36),
            c.radial(x + 6, y + 8, 36, [(0, "#fff2a8", 1), (0.6, "#f7b53c", 1), (1, "#b8642a", 1)]),
        )
        c.path(ring(x + 6, y, 17, 19), INK)
        c.path(ring(x + 14, y - 10, 8, 9), "#fffdf4")

    _each(eye)


def slit(c: Canvas) -> None:
    """Green, with a hunter's pupil."""

    def eye(x: float, y: float, side: int) -> None:
        d = blob([(x - 42, y + side * 5, 1), (x, y - 32), (x + 42, y - side * 5, 1), (x, y + 30)])
        c.path(d, INK, stroke=INK, stroke_width="9", stroke_linejoin="round")
        c.path(d, c.linear(x - 30, y - 30, x + 30, y + 30, [(0, "#5fae5c", 1), (1, "#dff29a", 1)]))
        c.path(blob(pts("6,-29! 14,0 6,28! -2,0", x, y)), INK)
        c.path(ring(x + 18, y - 9, 6, 7), "#fffdf4")

    _each(eye)


def asleep(c: Canvas) -> None:
    """Shut, with long lashes: the lantern keeps the watch."""

    def eye(x: float, y: float, side: int) -> None:
        arc = pts("-34,-2 -18,15 0,20 18,15 34,-2", x, y)
        c.line(arc, LIGHT, 17, opacity="0.42")
        c.line(arc, INK, 9)
        for k in (-1, 0, 1):
            bx, by = x + side * 10 + k * 17, y + 18 - abs(k) * 5
            c.line([(bx, by), (bx + k * 6 + side * 3, by + 14)], INK, 6)

    _each(eye)


def glad(c: Canvas) -> None:
    """Two happy arcs."""

    def eye(x: float, y: float, _: int) -> None:
        arc = pts("-33,16 -19,-10 0,-19 19,-10 33,16", x, y)
        c.line(arc, LIGHT, 19, opacity="0.42")
        c.line(arc, INK, 11)

    _each(eye)


def startled(c: Canvas) -> None:
    """Very white, very awake."""

    def eye(x: float, y: float, _: int) -> None:
        c.path(ring(x, y, 46, 50), INK)
        c.path(
            ring(x, y, 40, 44),
            c.linear(x - 40, 0, x + 40, 0, [(0, "#cfd2f2", 1), (0.6, "#fffdf4", 1), (1, "#fff3d6", 1)]),
        )
        c.path(ring(x + 11, y + 3, 14, 16), INK)
        c.dot(x + 16, y - 4, 5, "#fffdf4")

    _each(eye)


def starry(c: Canvas) -> None:
    """A night sky in each."""

    def eye(x: float, y: float, _: int) -> None:
        c.path(ring(x, y, 38, 42), LIGHT, opacity="0.5")
        c.path(
            ring(x, y, 34, 38),
            c.linear(x, y - 38, x, y + 38, [(0, "#1a1250", 1), (0.6, "#5a3fb8", 1), (1, "#d87fc8", 1)]),
        )
        c.path(star(x + 6, y - 6, 19, inner=0.36, tips=4), "#fffdf4")
        c.path(star(x - 14, y + 14, 8, inner=0.4, tips=4), "#fffdf4")
        c.dot(x + 16, y + 18, 3.5, "#fffdf4")
        c.dot(x - 15, y - 14, 3, "#fffdf4")

    _each(eye)


def coals(c: Canvas) -> None:
    """Two small fires under heavy brows."""

    def eye(x: float, y: float, side: int) -> None:
        c.path(ring(x, y + 4, 44, 40), INK, opacity="0.92")
        c.dot(
            x,
            y + 6,
            32,
            c.radial(
                x,
                y + 6,
                32,
                [(0, "#fff6d0", 1), (0.36, "#ffab4a", 1), (0.75, "#e8482c", 0.85), (1, "#7a1a20", 0)],
            ),
        )
        c.line([(x - side * 42, y - 22 + 8), (x, y - 32), (x + side * 36, y - 40)], INK, 15)

    _each(eye)


def spectacles(c: Canvas) -> None:
    """Reading glasses, bent once and bent back."""

    def eye(x: float, y: float, _: int) -> None:
        c.path(ring(x, y + 2, 21, 26), INK)
        c.path(ring(x + 7, y - 8, 7, 9), "#fffdf4")
        c.path(ring(x, y, 52, 52), "#dff4ff", opacity="0.2")
        c.path(
            f"M{x - 34} {y + 26}L{x + 12} {y - 42}",
            "none",
            stroke="#ffffff",
            stroke_width="9",
            stroke_linecap="round",
            opacity="0.32",
        )
        c.path(ring(x, y, 52, 52), "none", stroke="#6a4620", stroke_width="11")
        c.path(ring(x, y, 52, 52), "none", stroke="#e9bd66", stroke_width="7")

    _each(eye)
    c.line(pts("-9,424 0,419 9,424", CX), "#e9bd66", 7)


def goggles(c: Canvas) -> None:
    """Brass goggles for weather and soot."""
    strap = blob(pts("-118,404 0,396 118,404 118,446 0,452 -118,446", CX), tension=0.3)
    c.path(strap, "#3a2434")
    brass = Coat("#b07f3c", "#f0cf86", "#6a4620")

    def eye(x: float, y: float, _: int) -> None:
        c.form(ring(x, y - 2, 56, 56), brass, span=(x - 60, x + 60), rim=6, depth=12)
        c.path(
            ring(x, y - 2, 41, 41),
            c.linear(
                x - 40, y - 40, x + 40, y + 40, [(0, "#173a55", 1), (0.55, "#2f8f9a", 1), (1, "#b8f2dc", 1)]
            ),
        )
        c.path(blob(pts("-26,-14 -6,-32 8,-32 -22,2", x, y)), "#ffffff", opacity="0.5")
        for i in range(6):
            a = math.radians(60 * i)
            c.dot(x + 48 * math.cos(a), y - 2 + 48 * math.sin(a), 3, "#5a3a1c")

    _each(eye)


def blindfold(c: Canvas) -> None:
    """A band across the eyes with one painted in the middle."""
    band = blob(pts("-122,398 0,388 122,398 120,462 0,472 -120,462", CX), tension=0.3)
    c.form(band, Coat("#6a2f52", "#e8a0b0", "#3a1430"), span=(340, 600), rim=6, depth=16)
    c.path(
        blob(pts("-56,430! 0,398 56,430! 0,462", CX)),
        "none",
        stroke="#f6d68a",
        stroke_width="6",
        stroke_linejoin="round",
    )
    c.dot(CX, 430, 17, "#f6d68a")
    c.dot(CX, 430, 7, "#3a1430")
    for dx in (-84, 84):
        c.path(star(CX + dx, 430, 14, inner=0.4, tips=4), "#f6d68a")


def sleepy(c: Canvas) -> None:
    """Half open, third watch."""

    def eye(x: float, y: float, _: int) -> None:
        c.path(ring(x, y, 39, 39), INK)
        c.open(clip_path=c.clip(f"M{x - 50} {y - 2}H{x + 50}V{y + 60}H{x - 50}Z"))
        c.path(ring(x, y, 33, 33), "#fdf3da")
        c.path(ring(x + 7, y + 5, 18, 18), "#5a4aa0")
        c.path(ring(x + 7, y + 5, 9, 10), INK)
        c.dot(x + 14, y + 4, 5, "#ffffff")
        c.close()
        c.path(f"M{x - 39} {y - 2}A39 39 0 0 1 {x + 39} {y - 2}Z", "#3d2f66")
        c.line([(x - 44, y - 2), (x + 44, y - 2)], INK, 8)

    _each(eye)


EYES_BY_NAME = {
    "ink": ink,
    "amber": amber,
    "slit": slit,
    "asleep": asleep,
    "glad": glad,
    "startled": startled,
    "starry": starry,
    "coals": coals,
    "spectacles": spectacles,
    "goggles": goggles,
    "blindfold": blindfold,
    "sleepy": sleepy,
}
