"""The stranger keepers: toad, axolotl, golem, toadstool and wisp."""

import math

from studio.body import (
    CX,
    GROUND_Y,
    arms,
    belly,
    chin_shadow,
    feet,
    grip,
    ground_shadow,
    outline,
    patch,
    smile,
)
from studio.canvas import Canvas, blob, limb, pts, ring
from studio.colour import LAMP, Coat, mix


def toad(c: Canvas, coat: Coat) -> None:
    """Wide mouth, eye bumps, a body like a cushion."""
    ground_shadow(c, half_width=270)
    body = outline(pts("0,520 140,560 214,660 236,770 214,850 120,888 0,892"))
    c.form(body, coat)
    belly(c, coat, body, top=610, half_width=138)
    feet(c, coat, apart=142, size=1.2)
    arms(c, coat, shoulder=168, width=1.0)
    head = outline(pts("0,302 34,300 66,312 118,350 140,412 206,470 212,530 140,574 0,586"))
    chin_shadow(c, head, body)
    c.form(head, coat)
    for x in (CX - 62, CX + 62):
        c.form(ring(x, 414, 66, 70), coat, span=(x - 90, x + 80), rim=6, depth=16)
    jaw = outline(pts("0,528 110,520 216,496 220,560 140,620 0,640"))
    patch(
        c,
        jaw,
        head,
        c.linear(
            260,
            0,
            680,
            0,
            [
                (0, mix(coat.pale, coat.shade, 0.6), 1),
                (0.55, coat.pale, 1),
                (1, mix(coat.pale, "#fff6e2", 0.3), 1),
            ],
        ),
        soft=2,
    )
    c.line(pts("-196,498 -110,522 0,530 110,522 196,498", CX), coat.dark, 7)
    for x, y, r in (
        (-150, 470, 11),
        (-176, 660, 15),
        (-196, 730, 11),
        (158, 466, 12),
        (182, 700, 14),
        (-14, 318, 9),
        (20, 338, 7),
        (-160, 790, 9),
    ):
        c.dot(CX + x, y, r, coat.accent, opacity="0.8")
        c.dot(CX + x + r * 0.25, y - r * 0.25, r * 0.5, coat.light, opacity="0.7")
    for x in (-9, 9):
        c.path(ring(CX + x, 494, 4, 3), coat.dark)
    grip(c, coat, shoulder=162, width=0.96)


def axolotl(c: Canvas, coat: Coat) -> None:
    """Feathered gills, a broad smile and a fin for a tail."""
    ground_shadow(c, half_width=200)
    fin = Coat(mix(coat.accent, coat.base, 0.25), coat.pale, coat.accent)
    c.form(
        limb(pts("-60,850 -170,850 -238,760 -226,672", CX), [60, 90, 74, 10]),
        fin,
        span=(200, 420),
        rim=7,
        depth=18,
    )
    gills = Coat(coat.accent, coat.pale, coat.accent)
    for side in (-1, 1):
        for dy, lift, reach in ((372, -74, 92), (420, -20, 108), (468, 30, 84)):
            root, tip = (CX + side * 136, dy), (CX + side * (150 + reach), dy + lift)
            _gill(c, gills, root, tip)
    body = outline(pts("0,510 84,545 120,640 140,760 128,846 80,884 0,888"))
    c.form(body, coat)
    belly(c, coat, body, top=580, half_width=84)
    feet(c, coat, apart=78, size=0.92)
    arms(c, coat, shoulder=102, width=0.74)
    head = outline(pts("0,278 76,294 142,350 178,430 166,512 96,562 0,574"))
    chin_shadow(c, head, body)
    c.form(head, coat)
    for side in (-1, 1):
        patch(c, ring(CX + side * 122, 488, 34, 24), head, coat.accent, soft=9, opacity=0.75)
    c.line(pts("-62,496 -34,516 0,522 34,516 62,496", CX), coat.dark, 6)
    for x, y in ((-92, 352), (-70, 334), (84, 346), (104, 366), (-104, 376)):
        c.dot(CX + x, y, 6, coat.accent, opacity="0.6")
    grip(c, coat, shoulder=102, width=0.72)


def _gill(c: Canvas, coat: Coat, root: tuple[float, float], tip: tuple[float, float]) -> None:
    dx, dy = tip[0] - root[0], tip[1] - root[1]
    length = math.hypot(dx, dy)
    for i in range(3, 9):
        share = i / 9
        x, y = root[0] + dx * share, root[1] + dy * share
        for side in (-1, 1):
            reach = 34 * (1.15 - share * 0.6)
            end = (
                x + dx / length * reach * 0.7 - side * dy / length * reach,
                y + dy / length * reach * 0.7 + side * dx / length * reach,
            )
            c.line(
                [(x, y), ((x + end[0]) / 2 + 2, (y + end[1]) / 2 - 3), end],
                mix(coat.base, coat.shade, 0.15),
                8,
            )
    c.form(
        limb([root, ((root[0] + tip[0]) / 2, (root[1] + tip[1]) / 2 - 6), tip], [36, 24, 9]),
        coat,
        rim=4,
        depth=8,
    )


def golem(c: Canvas, coat: Coat) -> None:
    """Stacked stone with moss on its shoulders and a rune for a heart."""
    ground_shadow(c, half_width=240)
    for side in (-1, 1):
        x = CX + side * 104
        leg = blob(
            [(x - 66, 800, 1), (x + 66, 800, 1), (x + 74, GROUND_Y, 1), (x - 74, GROUND_Y, 1)], tension=0.3
        )
        c.form(leg, coat, rim=7, depth=18)
    body = outline(pts("0,556 150,560! 206,604! 196,740 168,846! 0,852"))
    c.form(body, coat, rim=12)
    _cracks(
        c,
        coat,
        [
            pts("300,640 338,668 330,706 362,730"),
            pts("610,800 582,772 592,742"),
            pts("520,846 512,812 534,790"),
        ],
    )
    _moss(c, coat, body, pts("250,556 340,556 372,590 318,606 300,652 248,648"))
    c.form(limb(pts("-196,630 -226,720 -204,812", CX), [96, 92, 104]), coat, span=(190, 340), rim=7, depth=22)
    head = outline(pts("0,292 96,290! 142,318! 156,430 150,536! 120,566! 0,570"))
    chin_shadow(c, head, body)
    c.form(head, coat, rim=12)
    brow = outline(pts("0,372 132,360! 138,388! 0,396"))
    c.path(brow, coat.shade, opacity="0.55")
    c.line(pts("-46,516 0,520 46,514", CX), coat.dark, 9)
    _cracks(c, coat, [pts("350,318 372,346 362,366"), pts("596,470 574,492 584,524")])
    _moss(c, coat, head, pts("340,296 400,288 430,312 392,340 352,372 318,352"))
    c.path(ring(CX, 700, 46), mix(coat.shade, "#0d0820", 0.35))
    rune = "M468 664L498 700L468 736L438 700ZM468 664V736M450 686L486 714"
    c.path(
        rune,
        "none",
        stroke=coat.pale,
        stroke_width="9",
        opacity="0.55",
        filter=c.blur(6, around=ring(CX, 700, 46)),
    )
    c.path(rune, "none", stroke=mix(coat.pale, "#ffffff", 0.4), stroke_width="5", stroke_linejoin="round")
    grip(c, coat, shoulder=182, width=1.16)


def _cracks(c: Canvas, coat: Coat, lines: list[list[tuple[float, float]]]) -> None:
    for points in lines:
        d = "M" + "L".join(f"{x} {y}" for x, y in points)
        c.path(
            d,
            "none",
            stroke=coat.dark,
            stroke_width="5",
            stroke_linejoin="round",
            stroke_linecap="round",
            opacity="0.7",
        )
        c.path(d, "none", stroke=LAMP, stroke_width="2", transform="translate(3 2)", opacity="0.3")


def _moss(c: Canvas, coat: Coat, inside: str, points: list[tuple[float, float]]) -> None:
    c.open(clip_path=c.clip(inside))
    d = blob(points)
    c.path(d, coat.accent)
    c.open(clip_path=c.clip(d))
    c.inside(d, mix(coat.accent, LAMP, 0.55), shift=(-7, 9), soft=3, opacity=0.6)
    c.close()
    c.close()


def toadstool(c: Canvas, coat: Coat) -> None:
    """A spotted cap that needs no hat."""
    ground_shadow(c, half_width=210)
    stem = Coat(coat.pale, mix(coat.pale, "#ffffff", 0.4), coat.accent)
    body = outline(pts("0,340 112,372 128,470 124,560 150,690 174,810 136,878 0,890"))
    c.form(body, stem)
    feet(c, stem, apart=80, size=0.95)
    for y, half in ((640, 96), (700, 120), (760, 128), (820, 120)):
        for i in range(5):
            x = CX + half * (2 * (i + 0.5) / 5 - 1)
            c.line([(x, y), (x + 3, y + 22)], mix(stem.base, stem.shade, 0.4), 5, opacity="0.5")
    skirt = outline(pts("0,560 120,556 176,600! 150,612 120,600! 90,622 56,606! 26,626 0,610!"))
    c.cast(skirt, body, shift=(-8, 14), soft=8)
    c.form(skirt, Coat(mix(coat.pale, "#ffffff", 0.25), coat.pale, coat.accent), rim=6, depth=20)
    arms(c, stem, shoulder=116, width=0.76)
    cap = outline(pts("0,168 110,186 206,264 246,366! 160,392 0,398"))
    c.cast(cap, body, shift=(-8, 26), soft=14, opacity=0.6)
    under = outline(pts("0,340 150,350 238,366! 150,404 0,412"))
    c.path(under, mix(coat.pale, coat.shade, 0.55))
    for i in range(-9, 10):
        c.line(
            [(CX + i * 13, 352), (CX + i * 20, 404 - abs(i) * 2.2)],
            mix(coat.pale, coat.shade, 0.8),
            3,
            opacity="0.7",
        )
    dome = outline(pts("0,168 110,186 206,264 248,364! 150,374 0,376"))
    c.form(dome, coat, span=(230, 720), rim=14)
    c.open(clip_path=c.clip(dome))
    spots = (
        (-120, 260, 34, 30),
        (-20, 214, 40, 26),
        (96, 250, 34, 30),
        (10, 306, 46, 36),
        (-186, 336, 30, 26),
        (170, 330, 36, 30),
        (-86, 352, 24, 18),
        (98, 360, 26, 18),
    )
    for x, y, rx, ry in spots:
        lit = mix(coat.pale, "#fff6e2", 0.4) if x > 0 else mix(coat.pale, coat.shade, 0.35)
        c.path(ring(CX + x, y, rx, ry), lit, opacity="0.95")
    c.close()
    for side in (-1, 1):
        c.path(
            ring(CX + side * 92, 488, 26, 16),
            coat.base,
            opacity="0.4",
            filter=c.blur(6, around=ring(CX + side * 92, 488, 26, 16)),
        )
    smile(c, 486, mix(stem.dark, coat.base, 0.2), reach=26, drop=14)
    grip(c, stem, shoulder=116, width=0.74)


def wisp(c: Canvas, coat: Coat) -> None:
    """A small ghost with a torn hem, paler towards the ground."""
    ground_shadow(c, half_width=150)
    hem = pts("196,800 170,872! 126,818 74,880! 30,822 -26,876! -70,822 -128,880! -150,812 -214,842!", CX)
    side = pts("-176,690 -140,560 -152,440 -122,336 -60,290", CX)
    body = blob(
        [
            (CX + 10, 286),
            (CX + 76, 296),
            (CX + 128, 350),
            (CX + 150, 450),
            (CX + 140, 560),
            (CX + 170, 690),
            *hem,
            *side,
        ]
    )
    c.path(body, coat.light, opacity="0.35", filter=c.blur(16, around=body))
    c.form(body, coat, rim=13, depth=60, moon=0.8)
    c.open(clip_path=c.clip(body))
    for x, bend in ((-112, -22), (-34, -8), (52, 10), (120, 24)):
        c.line(
            [(CX + x, 640), (CX + x + bend * 0.5, 740), (CX + x + bend, 850)], coat.shade, 16, opacity="0.22"
        )
    veil = c.linear(0, 640, 0, 890, [(0, coat.pale, 0), (1, coat.pale, 0.75)])
    c.path("M0 600H1024V1000H0Z", veil)
    c.close()
    c.path(ring(CX, 506, 17, 21), mix(coat.dark, "#0d0820", 0.3), opacity="0.85")
    for s in (-1, 1):
        c.path(
            ring(CX + s * 98, 486, 26, 17),
            coat.accent,
            opacity="0.6",
            filter=c.blur(6, around=ring(CX + s * 98, 486, 26, 17)),
        )
    stump = limb(pts("-136,640 -196,700 -216,664", CX), [74, 60, 34])
    c.form(stump, coat, span=(230, 380), rim=7, depth=16)
    grip(c, coat, shoulder=124, width=0.84)
