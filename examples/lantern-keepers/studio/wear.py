"""What is worn behind the body: mantles, wings, tails and packs."""

import math
from collections.abc import Callable

from studio.body import CX, both
from studio.canvas import Canvas, blob, limb, pts, ring, star
from studio.colour import Coat

WIDE = (CX - 320, CX + 320)


def _cape(c: Canvas, cloth: Coat, hem: list[tuple[float, ...]], *, lining: str) -> None:
    left = pts("-136,560 -214,650 -270,770", CX)
    right = pts("262,780 204,650 136,560", CX)
    d = blob([*left, *hem, *right])
    c.form(d, cloth, span=(CX - 300, CX + 320), rim=9, depth=40)
    c.open(clip_path=c.clip(d))
    for dx in (-150, -60, 60, 150):
        c.line([(CX + dx * 0.5, 580), (CX + dx * 0.9, 720), (CX + dx * 1.3, 890)], lining, 12, opacity="0.4")
    c.close()


def night_cape(c: Canvas) -> None:
    """A long cape with a hem of stars."""
    hem = pts("-304,874! -120,886 0,878 130,888 296,874!", CX)
    _cape(c, Coat("#3f4690", "#c0c8ff", "#20245a"), hem, lining="#1d1f52")
    for dx, y, size in (
        (-268, 838, 13),
        (-242, 786, 8),
        (-224, 848, 9),
        (258, 836, 12),
        (236, 788, 8),
        (222, 850, 9),
        (-236, 728, 7),
        (228, 732, 7),
        (-196, 800, 8),
    ):
        c.path(star(CX + dx, y, size, inner=0.4, tips=4), "#ffe9b0")


def ragged_cloak(c: Canvas) -> None:
    """Red wool that has met many brambles."""
    hem = []
    for i in range(11):
        x = CX - 298 + 59 * i
        hem.append((x, 884 if i % 2 == 0 else 836, 1))
    _cape(c, Coat("#a8434a", "#f0a890", "#5a1c30"), hem, lining="#4a1428")


def _wings(c: Canvas, upper: list[tuple[float, ...]], lower: list[tuple[float, ...]], coat: Coat) -> None:
    for points in (*both(lower), *both(upper)):
        c.form(blob(points), coat, span=WIDE, rim=8, depth=28)


def moth_wings(c: Canvas) -> None:
    """Broad dusty wings with an eye on each."""
    coat = Coat("#b08a68", "#f4e0bc", "#6a4638")
    upper = pts("60,600 150,470 250,404 322,420 330,500 290,610 200,680 90,690")
    lower = pts("70,650 190,690 252,760 246,838 170,862 90,790")
    _wings(c, upper, lower, coat)
    for side in (-1, 1):
        x = CX + side * 244
        c.path(ring(x, 510, 44, 48), "#f4e0bc", opacity="0.9")
        c.path(ring(x, 510, 31, 35), "#5a3048")
        c.path(ring(x + 4, 508, 17, 20), "#e89a5a")
        c.dot(x + 9, 500, 6, "#fff4dc")
        c.path(ring(CX + side * 196, 790, 24, 26), "#f4e0bc", opacity="0.8")
        c.path(ring(CX + side * 196, 790, 13, 15), "#5a3048")
        c.line(
            [(CX + side * 96, 590), (CX + side * 190, 594), (CX + side * 286, 592)],
            "#6a4638",
            7,
            opacity="0.5",
        )
        c.line(
            [(CX + side * 110, 640), (CX + side * 180, 646), (CX + side * 250, 640)],
            "#6a4638",
            6,
            opacity="0.45",
        )


def leaf_wings(c: Canvas) -> None:
    """Four great leaves."""
    coat = Coat("#5f9460", "#d4ec9c", "#2f5a44")
    upper = pts("70,610! 140,480 250,400 336,372! 322,480 250,590 150,646")
    lower = pts("80,660! 170,668 262,728 310,812! 220,812 130,760")
    _wings(c, upper, lower, coat)
    for side in (-1, 1):
        for x1, y1, x2, y2 in ((80, 606, 316, 390), (90, 668, 296, 802)):
            c.line(
                [(CX + side * x1, y1), (CX + side * (x1 + x2) / 2, (y1 + y2) / 2 + 8), (CX + side * x2, y2)],
                "#d4ec9c",
                6,
                opacity="0.7",
            )
        for x1, y1, x2, y2 in (
            (170, 530, 196, 466),
            (220, 480, 262, 424),
            (180, 520, 250, 522),
            (230, 470, 300, 452),
            (180, 726, 236, 722),
            (200, 744, 218, 786),
        ):
            c.line([(CX + side * x1, y1), (CX + side * x2, y2)], "#d4ec9c", 4, opacity="0.5")


def glass_wings(c: Canvas) -> None:
    """Dragonfly wings, nearly not there."""
    for side in (-1, 1):
        for tip, root, bend in (
            ((330, 400), (80, 590), 34),
            ((326, 560), (80, 630), 30),
            ((250, 742), (80, 660), 26),
        ):
            x1, y1, x2, y2 = CX + side * root[0], root[1], CX + side * tip[0], tip[1]
            dx, dy = x2 - x1, y2 - y1
            length = math.hypot(dx, dy)
            nx, ny = -dy / length * bend, dx / length * bend
            d = blob(
                [
                    (x1, y1, 1),
                    (x1 + dx * 0.4 + nx, y1 + dy * 0.4 + ny),
                    (x1 + dx * 0.85 + nx * 1.2, y1 + dy * 0.85 + ny * 1.2),
                    (x2, y2),
                    (x1 + dx * 0.85 - nx * 1.2, y1 + dy * 0.85 - ny * 1.2),
                    (x1 + dx * 0.4 - nx, y1 + dy * 0.4 - ny),
                ]
            )
            c.path(
                d,
                c.linear(x1, y1, x2, y2, [(0, "#bfe8ff", 0.3), (1, "#d8c4ff", 0.5)]),
                stroke="#eafaff",
                stroke_width="4",
            )
            c.line([(x1, y1), (x2, y2)], "#eafaff", 4, opacity="0.8")
            for share in (0.35, 0.5, 0.65, 0.8):
                px, py = x1 + dx * share, y1 + dy * share
                c.line(
                    [(px + nx * 0.9, py + ny * 0.9), (px - nx * 0.9, py - ny * 0.9)],
                    "#eafaff",
                    2.5,
                    opacity="0.55",
                )


def raven_wings(c: Canvas) -> None:
    """Dark pinions, half spread."""
    coat = Coat("#4a4a78", "#a8aee0", "#25234a")
    for side in (-1, 1):
        for i in range(6):
            angle = math.radians(-38 + i * 27)
            reach = 318 - i * 16
            root = (CX + side * 84, 604 + i * 10)
            tip = (root[0] + side * reach * 0.78 * math.cos(angle), root[1] + reach * 0.74 * math.sin(angle))
            middle = ((root[0] + tip[0]) / 2, (root[1] + tip[1]) / 2 - 26)
            c.form(limb([root, middle, tip], [40, 66, 16]), coat, span=WIDE, rim=6, depth=14)


def brush_tail(c: Canvas) -> None:
    """A great brush, curled to the left."""
    coat = Coat("#c9703f", "#fbe9d0", "#6a3028")
    d = limb(pts("-70,850 -190,862 -270,780 -262,660 -206,584", CX), [60, 104, 128, 104, 16])
    c.form(d, coat, span=(CX - 330, CX - 60), rim=10, depth=30)
    c.open(clip_path=c.clip(d))
    tip = blob(pts("-350,656 -310,690! -288,664 -262,702! -236,664 -206,684! -180,640 -180,540 -300,540", CX))
    c.path(tip, "#fbe9d0", opacity="0.94")
    c.inside(d, "#ffe6b8", shift=(-8, 5), soft=3, opacity=0.7)
    c.close()


def ring_tail(c: Canvas) -> None:
    """A long ringed tail, curled like a question."""
    coat = Coat("#8f8aa4", "#e9e6f2", "#3f3858")
    d = limb(pts("-60,846 -200,870 -290,800 -280,690 -214,640 -190,700", CX), [54, 66, 66, 60, 50, 26])
    c.form(d, coat, span=(CX - 330, CX - 60), rim=8, depth=20)
    c.open(clip_path=c.clip(d))
    for x1, y1, x2, y2 in (
        (-150, 812, -166, 920),
        (-222, 806, -276, 900),
        (-240, 770, -340, 816),
        (-240, 716, -340, 706),
        (-236, 684, -290, 604),
        (-206, 684, -196, 600),
        (-220, 716, -160, 700),
    ):
        c.line([(CX + x1, y1), (CX + x2, y2)], "#3f3858", 24, opacity="0.85")
    c.inside(d, "#ffe6b8", shift=(-7, 4), soft=3, opacity=0.6)
    c.close()


def snail_shell(c: Canvas) -> None:
    """A spiral shell, carried high on the back."""
    x, y, r = CX - 128, 640, 196
    coat = Coat("#c28a72", "#fbe6cc", "#7a4450")
    c.form(ring(x, y, r, r * 0.98), coat, span=(x - r, x + r), rim=12, depth=50)
    turns = [
        (
            x + 8 + (r - 22) * (1 - i / 44) * math.cos(2.6 + i * 0.36),
            y + 4 + (r - 22) * (1 - i / 44) * math.sin(2.6 + i * 0.36),
        )
        for i in range(42)
    ]
    c.line(turns, "#6a3a48", 13, opacity="0.7")
    c.line([(px + 6, py + 3) for px, py in turns], "#fbe6cc", 5, opacity="0.65")


def bedroll(c: Canvas) -> None:
    """A pack with a rolled blanket and a pan."""
    c.form(
        ring(CX - 208, 660, 44, 44),
        Coat("#6a6a84", "#b8b8d0", "#3a3a54"),
        span=(CX - 260, CX - 160),
        rim=6,
        depth=12,
    )
    c.path(ring(CX - 208, 660, 27, 27), "#33324c")
    pack = blob(pts("-170,520 -60,490 60,490 170,520 200,650 186,780 0,806 -186,780 -200,650", CX))
    c.form(pack, Coat("#8a6a48", "#d8b888", "#4a3428"), span=(CX - 200, CX + 200), rim=9, depth=36)
    for side in (-1, 1):
        c.form(
            ring(CX + side * 196, 716, 42, 54),
            Coat("#7a5a3e", "#c0a074", "#4a3428"),
            span=(CX + side * 196 - 50, CX + side * 196 + 50),
            rim=6,
            depth=14,
        )
    roll = blob(pts("-222,500 -204,462 0,452 204,462 222,500 204,538 0,546 -204,538", CX), tension=0.4)
    c.form(roll, Coat("#5a7a9a", "#c8dcec", "#2e4460"), span=(CX - 220, CX + 220), rim=8, depth=24)
    for side in (-1, 1):
        c.path(ring(CX + side * 210, 500, 15, 30), "#c8dcec", opacity="0.7")
        c.path(ring(CX + side * 210, 500, 8, 17), "#2e4460", opacity="0.8")
        c.line([(CX + side * 156, 456), (CX + side * 160, 500), (CX + side * 156, 542)], "#d8a860", 11)


MANTLES: dict[str, Callable[[Canvas], None]] = {
    "night-cape": night_cape,
    "ragged-cloak": ragged_cloak,
    "moth-wings": moth_wings,
    "leaf-wings": leaf_wings,
    "glass-wings": glass_wings,
    "raven-wings": raven_wings,
    "brush-tail": brush_tail,
    "ring-tail": ring_tail,
    "snail-shell": snail_shell,
    "bedroll": bedroll,
}
