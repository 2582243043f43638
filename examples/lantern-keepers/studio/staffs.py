"""Staffs: each reaches from the ground through the paw to the hook the lantern hangs on."""

import math

from studio.body import HOOK, PAW
from studio.canvas import Canvas, blob, limb, n, pts, ring, star
from studio.colour import BRASS, IRON, WOOD, Coat

HX, HY = HOOK
SPAN = (680, 840)
FOOT = (PAW[0] - 10, 902)


def crook(c: Canvas) -> None:
    """A shepherd's crook."""
    d = limb(
        [FOOT, PAW, (724, 430), (722, 312), (752, 250), (802, 262), (HX + 4, HY - 6)],
        [17, 19, 19, 20, 20, 16, 12],
    )
    c.form(d, WOOD, span=SPAN, rim=5, depth=6)
    for y in (560, 580):
        c.line([(707, y + 6), (733, y - 4)], "#d8b27a", 6)


def branch(c: Canvas) -> None:
    """A fallen branch with two last leaves."""
    for points, widths in (
        (
            [FOOT, (722, 770), PAW, (712, 520), (728, 400), (720, 300), (708, 226)],
            [20, 23, 21, 24, 21, 17, 7],
        ),
        ([(724, 380), (752, 318), (790, 300), (HX + 2, HY - 6)], [17, 14, 12, 9]),
        (pts("716,520 690,486 684,456"), [13, 10, 5]),
        (pts("720,300 742,256 770,236"), [12, 8, 4]),
    ):
        c.form(limb(points, widths), Coat("#6a5248", "#a88a70", "#3a2a30"), span=SPAN, rim=5, depth=6)
    for x, y, turn in ((684, 452, -30), (772, 232, 40), (706, 222, -12)):
        leaf = blob(pts("0,0! -15,-22 0,-48! 15,-22", x, y))
        c.path(leaf, "#c9814a", transform=f"rotate({turn} {x} {y})")
        c.path(
            f"M{x} {y}V{y - 40}",
            "none",
            stroke="#6a3a2a",
            stroke_width="3",
            transform=f"rotate({turn} {x} {y})",
        )


def bamboo(c: Canvas) -> None:
    """Two canes and a knot of cord."""
    green = Coat("#7f9a52", "#c9d68a", "#4a6038")
    c.form(
        limb([(668, 322), (740, 306), (HX + 26, 296)], [15, 15, 13]), green, span=(660, 840), rim=4, depth=5
    )
    c.form(limb([FOOT, PAW, (720, 440), (724, 258)], [20, 20, 19, 17]), green, span=SPAN, rim=5, depth=6)
    for y in (800, 722, 566, 482, 404, 340):
        x = 716 + (652 - y) * 0.02
        c.path(f"M{n(x - 12)} {y}h24", "none", stroke="#3d5230", stroke_width="5", stroke_linecap="round")
        c.path(
            f"M{n(x - 10)} {y - 4}h20",
            "none",
            stroke="#dbe6a8",
            stroke_width="2.5",
            stroke_linecap="round",
            opacity="0.8",
        )
    for turn in (-34, 20):
        c.path(
            "M706 296L740 322",
            "none",
            stroke="#d8b27a",
            stroke_width="7",
            stroke_linecap="round",
            transform=f"rotate({turn} 723 309)",
        )
    c.path(f"M{HX} 300V{HY}", "none", stroke="#d8b27a", stroke_width="4")


def iron(c: Canvas) -> None:
    """Wrought iron with a scroll."""
    scroll = [(726, 420), (724, 300), (744, 252), (790, 240), (826, 266), (822, 304), (HX, HY - 4)]
    c.line(pts("724,330 690,318 682,286 704,272 716,292"), "#34324e", 9)
    c.form(limb([FOOT, PAW, *scroll], [13, 14, 14, 14, 14, 13, 12, 10, 8]), IRON, span=SPAN, rim=4, depth=5)
    c.form(ring(723, 424, 17, 11), IRON, span=SPAN, rim=3, depth=4)
    c.form(star(724, 212, 27, inner=0.4, tips=4), BRASS, span=(690, 760), rim=3, depth=4)
    c.line([(724, 240), (724, 300)], "#34324e", 8)


def vine(c: Canvas) -> None:
    """Two vines that grew around one another."""
    green, pale = Coat("#4f7d56", "#a8d08a", "#2d4a3c"), "#e9a9c2"
    for turn in (0, math.pi):
        points = [(714 + 0.02 * (652 - y) + 9 * math.sin(y / 34 + turn), y) for y in range(900, 300, -34)]
        c.form(
            limb([*points, (746, 262), (788, 268), (HX, HY - 4)], [12, 12, 12, 11, 9]),
            green,
            span=SPAN,
            rim=4,
            depth=4,
        )
    for x, y, turn in (
        (700, 800, -60),
        (734, 740, 60),
        (698, 560, -70),
        (738, 510, 64),
        (704, 420, -56),
        (736, 372, 50),
        (756, 250, 10),
    ):
        leaf = blob(pts("0,0! -13,-17 0,-38! 13,-17", x, y))
        c.path(leaf, "#6ea365", transform=f"rotate({turn} {x} {y})")
    for x, y in ((690, 470), (748, 600), (720, 268)):
        for i in range(5):
            a = math.radians(72 * i)
            c.dot(x + 9 * math.cos(a), y + 9 * math.sin(a), 7, pale)
        c.dot(x, y, 5, "#ffe2a0")


def fishing_rod(c: Canvas) -> None:
    """A long rod, bent by the weight of the light."""
    c.form(
        limb([FOOT, PAW, (722, 430), (738, 270), (776, 206), (HX, 204)], [19, 16, 12, 9, 7, 5]),
        Coat("#a5683c", "#e0b070", "#5a3020"),
        span=SPAN,
        rim=4,
        depth=5,
    )
    for y in (790, 700, 600, 500, 400):
        x = 716 + (652 - y) * 0.025
        c.line([(x - 9, y), (x + 9, y)], "#e8d6b0", 5)
    c.form(ring(700, 740, 22, 22), IRON, span=(670, 730), rim=4, depth=5)
    c.dot(700, 740, 7, "#d8c28a")
    c.path(f"M{HX} 204V{HY}", "none", stroke="#efe6d0", stroke_width="3")


def antler(c: Canvas) -> None:
    """A shed antler, pale as the moon."""
    horn = Coat("#cdb894", "#f4e8cc", "#8a7458")
    for points, widths in (
        (
            [FOOT, PAW, (722, 460), (716, 340), (736, 262), (786, 250), (HX + 2, HY - 6)],
            [22, 22, 23, 22, 19, 15, 10],
        ),
        (pts("717,400 684,356 680,300"), [17, 13, 6]),
        (pts("724,296 706,240 718,190"), [16, 12, 5]),
        (pts("772,250 790,214 820,200"), [13, 9, 4]),
    ):
        c.form(limb(points, widths), horn, span=SPAN, rim=5, depth=6)
    for y in (548, 562, 576):
        c.line([(703, y), (732, y - 4)], "#b0524e", 8)


STAFFS = {
    "crook": crook,
    "branch": branch,
    "bamboo": bamboo,
    "iron": iron,
    "vine": vine,
    "fishing-rod": fishing_rod,
    "antler": antler,
}
