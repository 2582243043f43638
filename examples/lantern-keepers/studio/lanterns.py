"""Lanterns, hanging from the hook, their windows around the flame."""

import math
from collections.abc import Callable

from studio.body import FLAME, GROWN, HOOK, PAW
from studio.canvas import Canvas, blob, limb, n, pts, ring, star
from studio.colour import BRASS, IRON, WOOD, Coat

FX, FY = FLAME
HX, HY = HOOK
TOP = HY + 42  # lanterns begin here, below their ring
SPAN = (680, 840)
FOOT = (PAW[0] - 10, 902)


def _ring(c: Canvas, colour: str = "#d9b878") -> None:
    """The ring and links between hook and lantern."""
    c.path(ring(HX, HY + 10, 11, 13), "none", stroke=colour, stroke_width="5")
    c.path(f"M{HX} {HY + 22}V{TOP + 4}", "none", stroke=colour, stroke_width="5")


def _gloss(c: Canvas, d: str) -> None:
    c.path(d, "#ffffff", opacity="0.34")


def iron_hex(c: Canvas) -> None:
    """The watchman's six-sided lantern."""
    _ring(c, "#8d8fb0")
    glass = f"M{FX - 54} 424L{FX - 44} 530H{FX + 44}L{FX + 54} 424Z"
    c.path(glass, "#ffe9b0", opacity="0.14")
    for x1, x2 in ((-57, -47), (-19, -16), (19, 16), (57, 47)):
        c.line([(FX + x1, 422), (FX + x2, 534)], "#2c2a46", 8)
    c.form(
        blob(pts("-72,428! -40,398 -12,376! 12,376! 40,398 72,428!", FX), tension=0.3),
        IRON,
        span=(720, 890),
        rim=5,
        depth=10,
    )
    c.form(
        blob(pts("-56,526! 56,526! 66,556! -66,556!", FX), tension=0.2), IRON, span=(720, 890), rim=5, depth=8
    )
    c.line([(FX - 60, 428), (FX + 60, 428)], "#a7abd0", 3, opacity="0.7")


def paper_globe(c: Canvas) -> None:
    """A round paper lantern with ribs."""
    _ring(c, "#c9584a")
    globe = ring(FX, FY, 80, 84)
    c.path(globe, c.radial(FX, FY, 84, [(0, "#ffd9a0", 0.12), (0.65, "#f0876a", 0.5), (1, "#b03a48", 0.86)]))
    c.open(clip_path=c.clip(globe))
    for dy in (-58, -34, -11, 12, 36, 60):
        c.path(ring(FX, FY + dy, 86, 10), "none", stroke="#8a2a3c", stroke_width="3", opacity="0.4")
    c.close()
    for y in (384, 556):
        c.form(
            blob(pts("-34,-9! 34,-9! 34,9! -34,9!", FX, y), tension=0.2),
            Coat("#5a2436", "#c9785a", "#3a1426"),
            span=(760, 850),
            rim=3,
            depth=5,
        )
    c.line([(FX, 566), (FX, 590)], "#e0a860", 5)
    c.line([(FX - 7, 590), (FX - 8, 614)], "#e0a860", 4)
    c.line([(FX + 7, 590), (FX + 8, 614)], "#e0a860", 4)


def glass_jar(c: Canvas) -> None:
    """A jam jar on a wire."""
    c.path(
        f"M{FX - 50} 412C{FX - 46} 350 {FX + 46} 350 {FX + 50} 412",
        "none",
        stroke="#b8b8cc",
        stroke_width="4",
    )
    c.path(ring(HX, HY + 10, 9, 11), "none", stroke="#b8b8cc", stroke_width="4")
    jar = blob(pts("-50,420 -68,446 -70,530 -54,560 54,560 70,530 68,446 50,420", FX))
    c.path(jar, "#cfeaf5", opacity="0.2", stroke="#e6f6ff", stroke_width="5")
    c.path(jar, "none", stroke="#e6f6ff", stroke_width="4", opacity="0.75")
    c.form(
        blob(pts("-54,392! 54,392! 56,424! -56,424!", FX), tension=0.25),
        Coat("#a8a2b8", "#e8e4f0", "#6a6480"),
        span=(740, 870),
        rim=4,
        depth=8,
    )
    _gloss(c, blob(pts("-54,456 -46,448 -44,520 -54,526", FX)))
    c.line([(FX + 50, 470), (FX + 52, 510)], "#ffffff", 5, opacity="0.4")


def pumpkin(c: Canvas) -> None:
    """A small carved pumpkin."""
    _ring(c, "#7a9a58")
    orange = Coat("#d9772e", "#f6bc6a", "#8a3a20")
    for dx, half in ((-50, 36), (50, 36), (-24, 42), (24, 42), (0, 38)):
        c.form(ring(FX + dx, FY + 4, half, 78), orange, span=(726, 890), rim=5, depth=14)
    c.form(
        limb(pts("0,402 4,384 0,368", FX), [22, 15, 11]),
        Coat("#6a8a4a", "#b0cc80", "#3a5030"),
        span=(780, 830),
        rim=3,
        depth=4,
    )
    hot = c.radial(FX, FY + 8, 70, [(0, "#fffbe0", 1), (0.6, "#ffdc7a", 1), (1, "#ffb23e", 1)])
    for side in (-1, 1):
        c.path(f"M{FX + side * 14} {FY - 2}L{FX + side * 46} {FY - 6}L{FX + side * 31} {FY - 34}Z", hot)
    c.path(
        (
            f"M{FX - 50} {FY + 18}Q{FX} {FY + 38} {FX + 50} {FY + 18}Q{FX + 34} {FY + 58} "
            f"{FX + 12} {FY + 54}L{FX + 8} {FY + 42}L{FX - 8} {FY + 42}L{FX - 12} "
            f"{FY + 54}Q{FX - 34} {FY + 58} {FX - 50} {FY + 18}Z"
        ),
        hot,
    )


def birdcage(c: Canvas) -> None:
    """A cage with its door open."""
    _ring(c, "#f0cf86")
    for x in (-62, -36, -12, 12, 36, 62):
        c.line([(FX + x * 0.1, 384), (FX + x * 0.86, 410), (FX + x, 456), (FX + x, 546)], "#c99a52", 5)
    for y, half in ((432, 60), (500, 63)):
        c.path(ring(FX, y, half, 7), "none", stroke="#a87838", stroke_width="4")
    c.form(ring(FX, 552, 70, 14), BRASS, span=(730, 880), rim=4, depth=6)
    c.form(ring(FX, 382, 18, 11), BRASS, span=(780, 830), rim=3, depth=4)
    c.line([(FX - 30, 522), (FX + 30, 522)], "#8a5a2c", 6)


def mushroom_lamp(c: Canvas) -> None:
    """A glowing mushroom carried by its cap."""
    _ring(c, "#b8d8c0")
    stem = blob(pts("-32,446 32,446 42,536 26,562 -26,562 -42,536", FX))
    c.path(
        stem,
        c.linear(FX - 40, 0, FX + 40, 0, [(0, "#cfeee0", 0.34), (0.5, "#ffffff", 0.12), (1, "#cfeee0", 0.4)]),
        stroke="#d9f4e8",
        stroke_width="4",
    )
    cap = blob(pts("-82,452! -60,400 0,374 60,400 82,452! 0,462", FX))
    c.form(cap, Coat("#3f8f8c", "#bff0dc", "#205058"), span=(724, 890), rim=6, depth=14)
    for dx, y, r in ((-40, 424, 11), (0, 400, 12), (40, 428, 10), (-8, 440, 8)):
        c.dot(FX + dx, y, r, "#d2fff0", opacity="0.9")
    for i in range(-5, 6):
        c.line([(FX + i * 13, 456), (FX + i * 5, 470)], "#d9f4e8", 3, opacity="0.6")


def star_frame(c: Canvas) -> None:
    """A star of folded paper, two colours deep."""
    _ring(c, "#e9c46a")
    d = star(FX, FY, 96, inner=0.52, tips=5)
    c.path(
        d,
        c.radial(FX, FY, 96, [(0, "#fff0c0", 0.06), (0.5, "#f7c66a", 0.34), (1, "#c9743a", 0.92)]),
        stroke="#ffe9b4",
        stroke_width="5",
        stroke_linejoin="round",
    )
    for i in range(5):
        a = math.radians(-90 + 72 * i)
        c.path(
            (
                f"M{n(FX + 30 * math.cos(a))} "
                f"{n(FY + 30 * math.sin(a))}L{n(FX + 92 * math.cos(a))} "
                f"{n(FY + 92 * math.sin(a))}"
            ),
            "none",
            stroke="#fff2cc",
            stroke_width="3",
            opacity="0.7",
        )
        b = a + math.radians(36)
        c.path(
            (
                f"M{n(FX + 26 * math.cos(b))} "
                f"{n(FY + 26 * math.sin(b))}L{n(FX + 50 * math.cos(b))} "
                f"{n(FY + 50 * math.sin(b))}"
            ),
            "none",
            stroke="#a8562e",
            stroke_width="3",
            opacity="0.7",
        )


def little_house(c: Canvas) -> None:
    """A house with one room, and the light is on."""
    _ring(c, "#c98a6a")
    wall = Coat("#8a6488", "#d8b0c0", "#4a3058")
    body = f"M{FX - 58} 436H{FX + 58}V556H{FX - 58}Z"
    c.open(mask=_window_mask(c))
    c.form(body, wall, span=(730, 880), rim=5, depth=12)
    c.close()
    c.path(
        f"M{FX - 33} 442h66v68h-66ZM{FX} 442v68M{FX - 33} 476h66", "none", stroke="#5a3a60", stroke_width="7"
    )
    roof = blob(pts("-80,444! 0,370! 80,444!", FX), tension=0.1)
    c.form(roof, Coat("#b8564e", "#f0a07a", "#6a2838"), span=(724, 890), rim=5, depth=12)
    c.form(
        blob(pts("-70,548! 70,548! 66,566! -66,566!", FX), tension=0.2), WOOD, span=(730, 880), rim=3, depth=5
    )
    c.path(f"M{FX - 18} 530h36", "none", stroke="#e9c46a", stroke_width="5", stroke_linecap="round")


def _window_mask(c: Canvas) -> str:
    hole = f"M{FX - 33} 442h66v68h-66Z"
    return c.define(
        '<mask id="@" maskUnits="userSpaceOnUse" x="0" y="0" width="1024" '
        f'height="1024"><path d="M0 0H1024V1024H0Z" fill="#fff"/><path d="{hole}" '
        'fill="#000"/></mask>'
    )


def bellflower(c: Canvas) -> None:
    """A bellflower, opened downwards."""
    c.path(
        f"M{HX} {HY}C{HX - 8} 356 {HX + 8} 366 {HX} 390",
        "none",
        stroke="#6ea365",
        stroke_width="7",
        stroke_linecap="round",
    )
    for side in (-1, 1):
        c.path(
            blob([(FX, 392, 1), (FX + side * 30, 372), (FX + side * 62, 384, 1), (FX + side * 30, 398)]),
            "#6ea365",
        )
    bell = blob(
        pts("0,384 46,410 62,470 88,536! 46,520 28,552! 0,528 -28,552! -46,520 -88,536! -62,470 -46,410", FX)
    )
    c.path(
        bell,
        c.linear(0, 384, 0, 552, [(0, "#6a56b8", 0.95), (0.45, "#a58ae8", 0.42), (1, "#e6d2ff", 0.6)]),
        stroke="#d8c8ff",
        stroke_width="4",
        stroke_linejoin="round",
    )
    for dx in (-34, 0, 34):
        c.line([(FX + dx * 0.5, 404), (FX + dx, 468), (FX + dx * 1.4, 520)], "#e9dcff", 3, opacity="0.55")


def bottle(c: Canvas) -> None:
    """A green bottle with a cork and a knotted net."""
    _ring(c, "#d8b27a")
    d = blob(pts("-20,398 20,398 24,424 62,458 66,536 40,564 -40,564 -66,536 -62,458 -24,424", FX))
    c.path(d, "#5fb890", opacity="0.32")
    c.path(d, "none", stroke="#b4f0d0", stroke_width="5", opacity="0.85")
    c.form(
        blob(pts("-21,376! 21,376! 18,404! -18,404!", FX), tension=0.2),
        Coat("#b98a5a", "#e8c898", "#6a4a30"),
        span=(780, 830),
        rim=3,
        depth=5,
    )
    c.open(clip_path=c.clip(d), opacity="0.7")
    for i in range(-4, 5):
        c.path(
            f"M{FX + i * 26} 440l60 130M{FX + i * 26} 440l-60 130", "none", stroke="#d8b27a", stroke_width="3"
        )
    c.close()
    _gloss(c, blob(pts("-50,468 -42,464 -42,520 -51,524", FX)))


def hung(paint: Callable[[Canvas], None], c: Canvas) -> None:
    """A lantern (or a flame's heart) at the size it hangs: grown around the hook."""
    move = f"translate({n(HX * (1 - GROWN))} {n(HY * (1 - GROWN))}) scale({GROWN})"
    c.open(transform=move)
    paint(c)
    c.close()


LANTERNS = {
    "watch-lamp": iron_hex,
    "paper-globe": paper_globe,
    "jam-jar": glass_jar,
    "pumpkin": pumpkin,
    "birdcage": birdcage,
    "mushroom-lamp": mushroom_lamp,
    "paper-star": star_frame,
    "little-house": little_house,
    "bellflower": bellflower,
    "green-bottle": bottle,
}
