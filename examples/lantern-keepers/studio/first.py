"""The one-of-one: a whale of stars that carries the first lantern across the sky."""

import math
import random

from studio.canvas import SIZE, Canvas, blob, limb, n, pts, ring, star
from studio.colour import Coat, mix, oklch


def first_lantern(c: Canvas) -> None:
    """The whole picture, opaque."""
    rng = random.Random("first lantern")
    _sky(c, rng)
    _whale(c, rng)
    _lamp(c)
    _town(c, rng)


def _sky(c: Canvas, rng: random.Random) -> None:
    stops = [
        (0, oklch(0.15, 0.07, 285), 1),
        (0.45, oklch(0.27, 0.11, 290), 1),
        (0.75, oklch(0.45, 0.13, 330), 1),
        (1, oklch(0.62, 0.12, 40), 1),
    ]
    c.path(f"M0 0H{SIZE}V{SIZE}H0Z", c.linear(0, 0, 0, SIZE, stops))
    for _ in range(150):
        c.dot(
            rng.uniform(0, SIZE),
            rng.uniform(0, 720),
            rng.choice((1.4, 2, 2.8)),
            "#fff1d8",
            opacity=n(rng.uniform(0.3, 0.9)),
        )
    for x, y, size in (
        (120, 130, 22),
        (860, 110, 26),
        (930, 420, 18),
        (70, 520, 16),
        (560, 80, 15),
        (320, 90, 12),
        (760, 700, 12),
    ):
        c.dot(x, y, size * 2, c.radial(x, y, size * 2, [(0, "#fff1d8", 0.4), (1, "#fff1d8", 0)]))
        c.path(star(x, y, size, inner=0.24, tips=4), "#fffaf0")
    for i in range(6):
        y = 600 + i * 46
        x, reach = rng.uniform(100, 900), rng.uniform(260, 460)
        c.path(
            blob([(x - reach, y), (x, y - 18), (x + reach, y + 3), (x, y + 16)]), "#ffd7b0", opacity="0.10"
        )


def _whale(c: Canvas, rng: random.Random) -> None:
    coat = Coat("#4d55b0", "#dfe0ff", "#2a2c70")
    body = blob(
        pts(
            "150,300 206,372 300,430 420,384 560,318 720,318 830,392 862,486 820,568 700,620 "
            "540,626 400,590 280,510 190,404 120,330"
        )
    )
    c.form(body, coat, span=(150, 860), rim=15, depth=70)
    tail = blob(pts("196,372 112,322 66,226! 146,240 196,300! 222,214 304,166! 292,268 244,348"))
    c.form(tail, coat, span=(40, 420), rim=9, depth=14, moon=0.3)
    throat = blob(pts("860,500 780,540 640,560 500,566 420,590 540,660 720,650 840,580"))
    c.open(clip_path=c.clip(body))
    c.path(throat, c.linear(420, 0, 860, 0, [(0, "#8a86d0", 1), (1, "#f2e2ea", 1)]))
    for i in range(7):
        c.line(
            [(856 - i * 4, 512 + i * 13), (700, 562 + i * 10), (520, 574 + i * 9), (430, 592 + i * 4)],
            "#5a58a8",
            4,
            opacity="0.55",
        )
    for _ in range(54):
        x, y = rng.uniform(230, 820), rng.uniform(330, 540)
        c.path(star(x, y, rng.uniform(3, 9), inner=0.35, tips=4), "#fff3d0", opacity=n(rng.uniform(0.5, 1)))
    line = pts("300,440 380,430 440,380 540,396 600,350 690,372 660,450 540,396")
    c.path(
        "M" + "L".join(f"{x} {y}" for x, y in line),
        "none",
        stroke="#fff3d0",
        stroke_width="3",
        stroke_dasharray="3 9",
        stroke_linecap="round",
        opacity="0.8",
    )
    for x, y in line:
        c.path(star(x, y, 13, inner=0.38), "#fffaf0")
    c.close()
    fin = blob(pts("600,580 680,600 660,690 560,770! 556,670"))
    c.form(fin, coat, span=(540, 700), rim=9, depth=22)
    c.path(ring(766, 482, 17, 20), "#120b2c")
    c.dot(772, 475, 6.5, "#fffdf4")
    c.path("M740 454Q766 440 792 454", "none", stroke="#2a2c70", stroke_width="7", stroke_linecap="round")
    c.line(pts("852,520 812,538 770,530 748,508"), "#2a2c70", 6)


def _lamp(c: Canvas) -> None:
    x, y = 868, 690
    mast = limb(
        [(742, 330), (770, 210), (850, 190), (888, 270), (872, 420), (x, 560)], [24, 18, 13, 10, 7, 6]
    )
    c.form(mast, Coat("#7a5138", "#d9a860", "#4a3028"), span=(720, 900), rim=5, depth=8)
    colour = "#ffb347"
    c.path(
        ring(640, 640, 372),
        c.radial(640, 640, 372, [(0, colour, 0.42), (0.5, colour, 0.14), (1, colour, 0)], focus=(x - 30, y)),
    )
    c.dot(
        x,
        y,
        290,
        c.radial(
            x,
            y,
            290,
            [
                (0, "#fffbe8", 1),
                (0.12, "#ffe29a", 0.9),
                (0.3, colour, 0.5),
                (0.6, colour, 0.16),
                (1, colour, 0),
            ],
        ),
    )
    c.path(blob(pts("0,-78! 36,-6 28,44 0,60 -28,44 -36,-6", x, y)), "#ff9a3c")
    c.path(blob(pts("0,-40! 22,10 0,52 -22,10", x, y)), "#fff2b8")
    iron = Coat("#4a4a66", "#9aa0c0", "#2a2844")
    for x1, x2 in ((-82, -66), (-27, -22), (27, 22), (82, 66)):
        c.line([(x + x1, y - 70), (x + x2, y + 92)], "#2c2a46", 10)
    c.form(
        blob(pts("-104,-66! -56,-108 -16,-138! 16,-138! 56,-108 104,-66!", x, y), tension=0.3),
        iron,
        span=(760, 980),
        rim=7,
        depth=14,
    )
    c.form(
        blob(pts("-80,82! 80,82! 94,122! -94,122!", x, y), tension=0.2),
        iron,
        span=(760, 980),
        rim=6,
        depth=12,
    )


def _town(c: Canvas, rng: random.Random) -> None:
    hill = blob(pts("-40,900 200,868 500,920 800,900 1064,930"), closed=False) + f"V{SIZE + 20}H-40Z"
    x, d, windows = -10.0, "", []
    while x < 700:
        wide, top = rng.uniform(52, 84), rng.uniform(806, 842) + abs(x - 300) * 0.05
        d += (
            f"M{n(x)} {SIZE}V{n(top)}L{n(x + wide / 2)} "
            f"{n(top - rng.uniform(26, 50))}L{n(x + wide)} {n(top)}V{SIZE}Z"
        )
        windows.append((x + wide / 2, top + 22))
        x += wide + rng.uniform(-4, 20)
    night = "#160f38"
    c.path(d, mix(night, "#5a3a78", 0.35))
    for wx, wy in windows:
        if rng.random() < 0.7:
            c.path(f"M{n(wx - 7)} {n(wy)}h14v20h-14Z", "#ffcf7a", opacity="0.92")
    c.path(hill, c.linear(0, 880, 0, SIZE, [(0, night, 1), (1, "#0a0722", 1)]))
    for i in range(7):
        a = math.radians(-150 + i * 20)
        c.path(
            star(300 + 260 * math.cos(a), 1010 + 110 * math.sin(a), 4, inner=0.4, tips=4),
            "#ffcf7a",
            opacity="0.5",
        )
