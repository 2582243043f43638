"""The furred and feathered keepers: owl, fox, bear, hare, stag and hedgehog."""

import math

from studio.body import (
    CX,
    GROUND_Y,
    arms,
    belly,
    both,
    chin_shadow,
    feet,
    grip,
    ground_shadow,
    nose,
    outline,
    patch,
    smile,
    ticks,
)
from studio.canvas import Canvas, blob, limb, pts, ring
from studio.colour import Coat, mix


def owl(c: Canvas, coat: Coat) -> None:
    """An egg with ear tufts, a heart-shaped face and scalloped feathers."""
    ground_shadow(c)
    talons = Coat("#c98a3c", "#e8b45c", "#8a5a22")
    feet(c, talons, apart=70, size=0.8)
    for tuft in both(pts("52,318 96,232 150,196! 150,300 138,372")):
        c.form(blob(tuft), coat, rim=6, depth=12)
    body = outline(pts("0,280 64,292 114,326 152,398 158,500 180,620 184,745 150,842 80,882 0,888"))
    c.form(body, coat)
    belly(c, coat, body, top=590, half_width=112)
    rows = [(640 + 44 * i, 110 - 4 * abs(i - 2), 5 - i % 2) for i in range(6)]
    ticks(c, body, rows, mix(coat.base, coat.shade, 0.35), size=17, opacity=0.62)
    disc = pts("0,372! 62,340 124,386 118,470 62,522 0,548!", CX)
    face = blob([*disc, *[(2 * CX - p[0], *p[1:]) for p in disc[-2:0:-1]]])
    c.path(
        face,
        c.linear(
            340,
            0,
            600,
            0,
            [
                (0, mix(coat.pale, coat.shade, 0.45), 1),
                (0.6, coat.pale, 1),
                (1, mix(coat.pale, "#fff6e2", 0.4), 1),
            ],
        ),
    )
    c.path(face, "none", stroke=mix(coat.base, coat.shade, 0.5), stroke_width="5", opacity="0.6")
    c.form(
        blob(pts("-19,462 0,450 19,462 8,492 0,508! -8,492", CX)),
        Coat("#d99a45", "#f0c878", "#8a5a22"),
        span=(440, 500),
        rim=4,
        depth=8,
    )
    wing = limb(pts("-146,600 -184,710 -122,822", CX), [60, 92, 24])
    c.form(
        wing, Coat(mix(coat.base, coat.shade, 0.18), coat.pale, coat.accent), span=(250, 420), rim=6, depth=20
    )
    for i in range(3):
        c.line(
            [
                (CX - 186 + 18 * i, 700 + 26 * i),
                (CX - 160 + 14 * i, 740 + 24 * i),
                (CX - 132 + 8 * i, 758 + 20 * i),
            ],
            coat.shade,
            5,
            opacity="0.6",
        )
    grip(c, coat, shoulder=140, width=0.95)


def fox(c: Canvas, coat: Coat) -> None:
    """Tall ears, sharp white cheeks, dark stockings."""
    ground_shadow(c, half_width=190)
    dark = Coat(coat.accent, coat.pale, coat.accent)
    body = outline(pts("0,500 82,540 124,640 142,760 138,850 86,884 0,888"))
    feet(c, dark, apart=72, size=0.95)
    c.form(body, coat)
    belly(c, coat, body, top=560, half_width=74)
    arms(c, coat, shoulder=106, width=0.86)
    for ear, lining in zip(
        both(pts("38,332 104,216 150,138! 166,250 140,386")),
        both(pts("78,330 112,246 144,186! 150,262 134,346")),
        strict=True,
    ):
        c.form(blob(ear), coat, rim=7, depth=14)
        c.path(blob(lining), mix(coat.accent, coat.shade, 0.25), opacity="0.9")
    head = outline(pts("0,280 66,294 120,336 150,412 192,506! 128,532 64,566 0,580"))
    chin_shadow(c, head, body)
    c.form(head, coat)
    cheek = outline(pts("0,462 40,452 96,486 150,470 230,520 120,600 0,640"))
    patch(
        c,
        cheek,
        head,
        c.linear(
            290,
            0,
            650,
            0,
            [
                (0, mix(coat.pale, coat.shade, 0.55), 1),
                (0.55, coat.pale, 1),
                (1, mix(coat.pale, "#fff6e2", 0.4), 1),
            ],
        ),
        soft=3,
    )
    nose(c, 516, size=1.05)
    smile(c, 534, coat.dark)
    grip(c, coat, shoulder=106, width=0.84, paw=coat.accent)


def bear(c: Canvas, coat: Coat) -> None:
    """Broad, heavy, small round ears."""
    ground_shadow(c, half_width=240)
    body = outline(pts("0,500 112,540 186,640 208,760 196,850 120,886 0,890"))
    c.form(body, coat)
    belly(c, coat, body, top=620, half_width=116)
    feet(c, coat, apart=102, size=1.12)
    arms(c, coat, shoulder=156, width=1.2)
    for side in (-1, 1):
        x = CX + side * 128
        c.form(ring(x, 322, 54), coat, rim=7, depth=14)
        c.path(ring(x, 328, 30), mix(coat.pale, coat.shade, 0.45))
    head = outline(pts("0,278 78,294 140,346 172,430 156,516 90,566 0,578"))
    chin_shadow(c, head, body)
    c.form(head, coat)
    c.path(
        ring(CX, 512, 72, 50),
        c.linear(
            400,
            0,
            540,
            0,
            [
                (0, mix(coat.pale, coat.shade, 0.5), 1),
                (0.6, coat.pale, 1),
                (1, mix(coat.pale, "#fff6e2", 0.35), 1),
            ],
        ),
    )
    nose(c, 492, size=1.25)
    smile(c, 514, coat.dark, reach=34)
    grip(c, coat, shoulder=150, width=1.14)


def hare(c: Canvas, coat: Coat) -> None:
    """Long ears, one folded; a small pear of a body."""
    ground_shadow(c, half_width=190)
    body = outline(pts("0,510 78,545 120,640 156,760 150,846 90,884 0,888"))
    c.form(body, coat)
    belly(c, coat, body, top=580, half_width=88)
    feet(c, coat, apart=84, size=1.18)
    arms(c, coat, shoulder=104, width=0.84)
    for points, inner in (
        (pts("-64,350 -92,230 -116,100", CX), pts("-70,330 -92,230 -112,130", CX)),
        (pts("64,350 104,220 142,150 206,172", CX), pts("74,330 106,222 140,168 182,174", CX)),
    ):
        c.form(limb(points, [60, 74, 34] if len(points) == 3 else [60, 72, 66, 30]), coat, rim=7, depth=14)
        c.path(limb(inner, [20, 34, 12]), mix(coat.accent, coat.shade, 0.2), opacity="0.85")
    head = outline(pts("0,279 64,294 114,346 140,430 138,500 84,562 0,578"))
    chin_shadow(c, head, body)
    c.form(head, coat)
    for side in (-1, 1):
        patch(
            c,
            ring(CX + side * 34, 524, 48, 36),
            head,
            mix(coat.pale, coat.shade, 0.3 if side < 0 else 0.0),
            soft=5,
        )
    nose(c, 494, size=0.8, colour=mix(coat.accent, "#2a1030", 0.35))
    smile(c, 508, coat.dark, reach=24, drop=13)
    for side in (-1, 1):
        for dy in (0, 16):
            c.line(
                [(CX + side * 74, 520 + dy), (CX + side * 128, 512 + dy * 1.6)], coat.pale, 3, opacity="0.6"
            )
    grip(c, coat, shoulder=104, width=0.82)


def stag(c: Canvas, coat: Coat) -> None:
    """Branching antlers over a long face and a deep chest."""
    ground_shadow(c, half_width=180)
    horn = Coat(mix(coat.accent, "#d8b98a", 0.45), coat.pale, coat.accent)
    for side in (-1, 1):
        for points, widths in (
            (pts("58,330 96,240 150,190 158,92"), [30, 26, 22, 10]),
            (pts("104,236 176,226 222,164"), [22, 18, 8]),
            (pts("74,280 66,210 82,150"), [20, 15, 7]),
            (pts("152,176 198,140 206,92"), [17, 13, 7]),
        ):
            c.form(limb([(CX + side * x, y) for x, y in points], widths), horn, rim=5, depth=8)
    body = outline(pts("0,490 70,530 116,620 134,730 122,840 84,884 0,888"))
    c.form(body, coat)
    belly(c, coat, body, top=600, half_width=70)
    feet(c, Coat(mix(coat.accent, "#1a1030", 0.45), coat.pale, coat.accent), apart=62, size=0.8)
    arms(c, coat, shoulder=98, width=0.76)
    for ear in both(pts("92,366 150,326 220,338! 172,392 108,410")):
        c.form(blob(ear), coat, rim=6, depth=12)
    head = outline(pts("0,280 60,294 108,342 124,416 98,486 76,538 42,568 0,574"))
    chin_shadow(c, head, body)
    c.form(head, coat)
    patch(
        c,
        outline(pts("0,462 44,486 72,534 60,590 0,600")),
        head,
        c.linear(
            390,
            0,
            540,
            0,
            [
                (0, mix(coat.pale, coat.shade, 0.5), 1),
                (0.6, coat.pale, 1),
                (1, mix(coat.pale, "#fff6e2", 0.4), 1),
            ],
        ),
        soft=5,
    )
    nose(c, 528, size=1.12)
    for x, y, r in ((-26, 350, 7), (6, 336, 9), (34, 354, 7), (-4, 372, 6)):
        c.dot(CX + x, y, r, coat.pale, opacity="0.75")
    for x, y, r in ((-86, 690, 9), (-96, 740, 8), (-84, 790, 9), (92, 720, 9), (84, 770, 8)):
        c.dot(CX + x, y, r, coat.pale, opacity="0.6")
    grip(c, coat, shoulder=98, width=0.76, paw=mix(coat.accent, "#1a1030", 0.35))


def hedgehog(c: Canvas, coat: Coat) -> None:
    """A round burst of spines around a soft face."""
    ground_shadow(c, half_width=240)
    spines = Coat(coat.accent, coat.pale, coat.accent)
    for ring_no, (rx, ry, count, shade) in enumerate(((252, 300, 34, 0.3), (216, 262, 30, 0.0))):
        tips = []
        for i in range(count * 2):
            angle = math.radians(-90 + 180 / count * (i + ring_no * 0.5))
            reach = 1.0 if i % 2 == 0 else 0.86
            y = 590 + ry * reach * math.sin(angle)
            tips.append((CX + rx * reach * math.cos(angle), min(y, GROUND_Y - 6), 1))
        burst = Coat(mix(spines.base, spines.shade, shade), coat.pale, coat.accent)
        c.form(blob(tips), burst, span=(230, 720), rim=9, depth=60)
    feet(c, coat, apart=82, size=0.95)
    front = outline(pts("0,560 104,590 150,700 140,830 80,884 0,888"))
    c.form(front, coat)
    belly(c, coat, front, top=610, half_width=98)
    arms(c, coat, shoulder=112, width=0.82)
    head = outline(pts("0,296! 26,276 52,300! 112,338 152,420 150,500 92,562 0,578"))
    chin_shadow(c, head, front)
    c.form(head, coat)
    patch(c, ring(CX, 508, 86, 58), head, mix(coat.pale, coat.base, 0.1), soft=9, opacity=0.85)
    nose(c, 490, size=1.1)
    smile(c, 508, coat.dark, reach=28)
    grip(c, coat, shoulder=120, width=0.86)
