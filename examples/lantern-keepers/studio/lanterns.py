"""Staffs that reach from the paw to the hook, lanterns that hang there, and what burns inside."""

import math
from collections.abc import Callable

from studio.body import FLAME, GROWN, HOOK, PAW
from studio.canvas import Canvas, blob, limb, n, ring, star
from studio.colour import Coat

FX, FY = FLAME
HX, HY = HOOK
WOOD = Coat("#7a5138", "#b98a5a", "#4a3028")
IRON = Coat("#4a4a66", "#9aa0c0", "#2a2844")
BRASS = Coat("#b07f3c", "#f0cf86", "#6a4620")
TOP = HY + 42  # lanterns begin here, below their ring
SPAN = (680, 840)
FOOT = (PAW[0] - 10, 902)


def crook(c: Canvas) -> None:
    """A shepherd's crook."""
    d = limb([FOOT, PAW, (724, 430), (722, 312), (752, 250), (802, 262), (HX + 4, HY - 6)], [17, 19, 19, 20, 20, 16, 12])
    c.form(d, WOOD, span=SPAN, rim=5, depth=6)
    for y in (560, 580):
        c.line([(707, y + 6), (733, y - 4)], "#d8b27a", 6)


def branch(c: Canvas) -> None:
    """A fallen branch with two last leaves."""
    for points, widths in (
        ([FOOT, (722, 770), PAW, (712, 520), (728, 400), (720, 300), (708, 226)], [20, 23, 21, 24, 21, 17, 7]),
        ([(724, 380), (752, 318), (790, 300), (HX + 2, HY - 6)], [17, 14, 12, 9]),
        ([(716, 520), (690, 486), (684, 456)], [13, 10, 5]),
        ([(720, 300), (742, 256), (770, 236)], [12, 8, 4]),
    ):
        c.form(limb(points, widths), Coat("#6a5248", "#a88a70", "#3a2a30"), span=SPAN, rim=5, depth=6)
    for x, y, turn in ((684, 452, -30), (772, 232, 40), (706, 222, -12)):
        leaf = blob([(x, y, 1), (x - 15, y - 22), (x, y - 48, 1), (x + 15, y - 22)])
        c.path(leaf, "#c9814a", transform=f"rotate({turn} {x} {y})")
        c.path(f"M{x} {y}V{y - 40}", "none", stroke="#6a3a2a", stroke_width="3", transform=f"rotate({turn} {x} {y})")


def bamboo(c: Canvas) -> None:
    """Two canes and a knot of cord."""
    green = Coat("#7f9a52", "#c9d68a", "#4a6038")
    c.form(limb([(668, 322), (740, 306), (HX + 26, 296)], [15, 15, 13]), green, span=(660, 840), rim=4, depth=5)
    c.form(limb([FOOT, PAW, (720, 440), (724, 258)], [20, 20, 19, 17]), green, span=SPAN, rim=5, depth=6)
    for y in (800, 722, 566, 482, 404, 340):
        x = 716 + (652 - y) * 0.02
        c.path(f"M{n(x - 12)} {y}h24", "none", stroke="#3d5230", stroke_width="5", stroke_linecap="round")
        c.path(f"M{n(x - 10)} {y - 4}h20", "none", stroke="#dbe6a8", stroke_width="2.5", stroke_linecap="round", opacity="0.8")
    for turn in (-34, 20):
        c.path("M706 296L740 322", "none", stroke="#d8b27a", stroke_width="7", stroke_linecap="round", transform=f"rotate({turn} 723 309)")
    c.path(f"M{HX} 300V{HY}", "none", stroke="#d8b27a", stroke_width="4")


def iron(c: Canvas) -> None:
    """Wrought iron with a scroll."""
    scroll = [(726, 420), (724, 300), (744, 252), (790, 240), (826, 266), (822, 304), (HX, HY - 4)]
    c.line([(724, 330), (690, 318), (682, 286), (704, 272), (716, 292)], "#34324e", 9)
    c.form(limb([FOOT, PAW, *scroll], [13, 14, 14, 14, 14, 13, 12, 10, 8]), IRON, span=SPAN, rim=4, depth=5)
    c.form(ring(723, 424, 17, 11), IRON, span=SPAN, rim=3, depth=4)
    c.form(star(724, 212, 27, inner=0.4, tips=4), BRASS, span=(690, 760), rim=3, depth=4)
    c.line([(724, 240), (724, 300)], "#34324e", 8)


def vine(c: Canvas) -> None:
    """Two vines that grew around one another."""
    green, pale = Coat("#4f7d56", "#a8d08a", "#2d4a3c"), "#e9a9c2"
    for turn in (0, math.pi):
        points = [(714 + 0.02 * (652 - y) + 9 * math.sin(y / 34 + turn), y) for y in range(900, 300, -34)]
        c.form(limb([*points, (746, 262), (788, 268), (HX, HY - 4)], [12, 12, 12, 11, 9]), green, span=SPAN, rim=4, depth=4)
    for x, y, turn in ((700, 800, -60), (734, 740, 60), (698, 560, -70), (738, 510, 64), (704, 420, -56), (736, 372, 50), (756, 250, 10)):
        leaf = blob([(x, y, 1), (x - 13, y - 17), (x, y - 38, 1), (x + 13, y - 17)])
        c.path(leaf, "#6ea365", transform=f"rotate({turn} {x} {y})")
    for x, y in ((690, 470), (748, 600), (720, 268)):
        for i in range(5):
            a = math.radians(72 * i)
            c.dot(x + 9 * math.cos(a), y + 9 * math.sin(a), 7, pale)
        c.dot(x, y, 5, "#ffe2a0")


def fishing_rod(c: Canvas) -> None:
    """A long rod, bent by the weight of the light."""
    c.form(limb([FOOT, PAW, (722, 430), (738, 270), (776, 206), (HX, 204)], [19, 16, 12, 9, 7, 5]), Coat("#a5683c", "#e0b070", "#5a3020"), span=SPAN, rim=4, depth=5)
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
        ([FOOT, PAW, (722, 460), (716, 340), (736, 262), (786, 250), (HX + 2, HY - 6)], [22, 22, 23, 22, 19, 15, 10]),
        ([(717, 400), (684, 356), (680, 300)], [17, 13, 6]),
        ([(724, 296), (706, 240), (718, 190)], [16, 12, 5]),
        ([(772, 250), (790, 214), (820, 200)], [13, 9, 4]),
    ):
        c.form(limb(points, widths), horn, span=SPAN, rim=5, depth=6)
    for y in (548, 562, 576):
        c.line([(703, y), (732, y - 4)], "#b0524e", 8)


STAFFS = {"crook": crook, "branch": branch, "bamboo": bamboo, "iron": iron, "vine": vine, "fishing-rod": fishing_rod, "antler": antler}


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
    c.form(blob([(FX - 72, 428, 1), (FX - 40, 398), (FX - 12, 376, 1), (FX + 12, 376, 1), (FX + 40, 398), (FX + 72, 428, 1)], tension=0.3), IRON, span=(720, 890), rim=5, depth=10)
    c.form(blob([(FX - 56, 526, 1), (FX + 56, 526, 1), (FX + 66, 556, 1), (FX - 66, 556, 1)], tension=0.2), IRON, span=(720, 890), rim=5, depth=8)
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
        c.form(blob([(FX - 34, y - 9, 1), (FX + 34, y - 9, 1), (FX + 34, y + 9, 1), (FX - 34, y + 9, 1)], tension=0.2), Coat("#5a2436", "#c9785a", "#3a1426"), span=(760, 850), rim=3, depth=5)
    c.line([(FX, 566), (FX, 590)], "#e0a860", 5)
    c.line([(FX - 7, 590), (FX - 8, 614)], "#e0a860", 4)
    c.line([(FX + 7, 590), (FX + 8, 614)], "#e0a860", 4)


def glass_jar(c: Canvas) -> None:
    """A jam jar on a wire."""
    c.path(f"M{FX - 50} 412C{FX - 46} 350 {FX + 46} 350 {FX + 50} 412", "none", stroke="#b8b8cc", stroke_width="4")
    c.path(ring(HX, HY + 10, 9, 11), "none", stroke="#b8b8cc", stroke_width="4")
    jar = blob([(FX - 50, 420), (FX - 68, 446), (FX - 70, 530), (FX - 54, 560), (FX + 54, 560), (FX + 70, 530), (FX + 68, 446), (FX + 50, 420)])
    c.path(jar, "#cfeaf5", opacity="0.2", stroke="#e6f6ff", stroke_width="5")
    c.path(jar, "none", stroke="#e6f6ff", stroke_width="4", opacity="0.75")
    c.form(blob([(FX - 54, 392, 1), (FX + 54, 392, 1), (FX + 56, 424, 1), (FX - 56, 424, 1)], tension=0.25), Coat("#a8a2b8", "#e8e4f0", "#6a6480"), span=(740, 870), rim=4, depth=8)
    _gloss(c, blob([(FX - 54, 456), (FX - 46, 448), (FX - 44, 520), (FX - 54, 526)]))
    c.line([(FX + 50, 470), (FX + 52, 510)], "#ffffff", 5, opacity="0.4")


def pumpkin(c: Canvas) -> None:
    """A small carved pumpkin."""
    _ring(c, "#7a9a58")
    orange = Coat("#d9772e", "#f6bc6a", "#8a3a20")
    for dx, half in ((-50, 36), (50, 36), (-24, 42), (24, 42), (0, 38)):
        c.form(ring(FX + dx, FY + 4, half, 78), orange, span=(726, 890), rim=5, depth=14)
    c.form(limb([(FX, 402), (FX + 4, 384), (FX, 368)], [22, 15, 11]), Coat("#6a8a4a", "#b0cc80", "#3a5030"), span=(780, 830), rim=3, depth=4)
    hot = c.radial(FX, FY + 8, 70, [(0, "#fffbe0", 1), (0.6, "#ffdc7a", 1), (1, "#ffb23e", 1)])
    for side in (-1, 1):
        c.path(f"M{FX + side * 14} {FY - 2}L{FX + side * 46} {FY - 6}L{FX + side * 31} {FY - 34}Z", hot)
    c.path(f"M{FX - 50} {FY + 18}Q{FX} {FY + 38} {FX + 50} {FY + 18}Q{FX + 34} {FY + 58} {FX + 12} {FY + 54}L{FX + 8} {FY + 42}L{FX - 8} {FY + 42}L{FX - 12} {FY + 54}Q{FX - 34} {FY + 58} {FX - 50} {FY + 18}Z", hot)


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
    stem = blob([(FX - 32, 446), (FX + 32, 446), (FX + 42, 536), (FX + 26, 562), (FX - 26, 562), (FX - 42, 536)])
    c.path(stem, c.linear(FX - 40, 0, FX + 40, 0, [(0, "#cfeee0", 0.34), (0.5, "#ffffff", 0.12), (1, "#cfeee0", 0.4)]), stroke="#d9f4e8", stroke_width="4")
    cap = blob([(FX - 82, 452, 1), (FX - 60, 400), (FX, 374), (FX + 60, 400), (FX + 82, 452, 1), (FX, 462)])
    c.form(cap, Coat("#3f8f8c", "#bff0dc", "#205058"), span=(724, 890), rim=6, depth=14)
    for dx, y, r in ((-40, 424, 11), (0, 400, 12), (40, 428, 10), (-8, 440, 8)):
        c.dot(FX + dx, y, r, "#d2fff0", opacity="0.9")
    for i in range(-5, 6):
        c.line([(FX + i * 13, 456), (FX + i * 5, 470)], "#d9f4e8", 3, opacity="0.6")


def star_frame(c: Canvas) -> None:
    """A star of folded paper, two colours deep."""
    _ring(c, "#e9c46a")
    d = star(FX, FY, 96, inner=0.52, tips=5)
    c.path(d, c.radial(FX, FY, 96, [(0, "#fff0c0", 0.06), (0.5, "#f7c66a", 0.34), (1, "#c9743a", 0.92)]), stroke="#ffe9b4", stroke_width="5", stroke_linejoin="round")
    for i in range(5):
        a = math.radians(-90 + 72 * i)
        c.path(f"M{n(FX + 30 * math.cos(a))} {n(FY + 30 * math.sin(a))}L{n(FX + 92 * math.cos(a))} {n(FY + 92 * math.sin(a))}", "none", stroke="#fff2cc", stroke_width="3", opacity="0.7")
        b = a + math.radians(36)
        c.path(f"M{n(FX + 26 * math.cos(b))} {n(FY + 26 * math.sin(b))}L{n(FX + 50 * math.cos(b))} {n(FY + 50 * math.sin(b))}", "none", stroke="#a8562e", stroke_width="3", opacity="0.7")


def little_house(c: Canvas) -> None:
    """A house with one room, and the light is on."""
    _ring(c, "#c98a6a")
    wall = Coat("#8a6488", "#d8b0c0", "#4a3058")
    body = f"M{FX - 58} 436H{FX + 58}V556H{FX - 58}Z"
    c.open(mask=_window_mask(c))
    c.form(body, wall, span=(730, 880), rim=5, depth=12)
    c.close()
    c.path(f"M{FX - 33} 442h66v68h-66ZM{FX} 442v68M{FX - 33} 476h66", "none", stroke="#5a3a60", stroke_width="7")
    roof = blob([(FX - 80, 444, 1), (FX, 370, 1), (FX + 80, 444, 1)], tension=0.1)
    c.form(roof, Coat("#b8564e", "#f0a07a", "#6a2838"), span=(724, 890), rim=5, depth=12)
    c.form(blob([(FX - 70, 548, 1), (FX + 70, 548, 1), (FX + 66, 566, 1), (FX - 66, 566, 1)], tension=0.2), WOOD, span=(730, 880), rim=3, depth=5)
    c.path(f"M{FX - 18} 530h36", "none", stroke="#e9c46a", stroke_width="5", stroke_linecap="round")


def _window_mask(c: Canvas) -> str:
    hole = f"M{FX - 33} 442h66v68h-66Z"
    return c.define(f'<mask id="@" maskUnits="userSpaceOnUse" x="0" y="0" width="1024" height="1024"><path d="M0 0H1024V1024H0Z" fill="#fff"/><path d="{hole}" fill="#000"/></mask>')


def bellflower(c: Canvas) -> None:
    """A bellflower, opened downwards."""
    c.path(f"M{HX} {HY}C{HX - 8} 356 {HX + 8} 366 {HX} 390", "none", stroke="#6ea365", stroke_width="7", stroke_linecap="round")
    for side in (-1, 1):
        c.path(blob([(FX, 392, 1), (FX + side * 30, 372), (FX + side * 62, 384, 1), (FX + side * 30, 398)]), "#6ea365")
    bell = blob([(FX, 384), (FX + 46, 410), (FX + 62, 470), (FX + 88, 536, 1), (FX + 46, 520), (FX + 28, 552, 1), (FX, 528), (FX - 28, 552, 1), (FX - 46, 520), (FX - 88, 536, 1), (FX - 62, 470), (FX - 46, 410)])
    c.path(bell, c.linear(0, 384, 0, 552, [(0, "#6a56b8", 0.95), (0.45, "#a58ae8", 0.42), (1, "#e6d2ff", 0.6)]), stroke="#d8c8ff", stroke_width="4", stroke_linejoin="round")
    for dx in (-34, 0, 34):
        c.line([(FX + dx * 0.5, 404), (FX + dx, 468), (FX + dx * 1.4, 520)], "#e9dcff", 3, opacity="0.55")


def bottle(c: Canvas) -> None:
    """A green bottle with a cork and a knotted net."""
    _ring(c, "#d8b27a")
    d = blob([(FX - 20, 398), (FX + 20, 398), (FX + 24, 424), (FX + 62, 458), (FX + 66, 536), (FX + 40, 564), (FX - 40, 564), (FX - 66, 536), (FX - 62, 458), (FX - 24, 424)])
    c.path(d, "#5fb890", opacity="0.32")
    c.path(d, "none", stroke="#b4f0d0", stroke_width="5", opacity="0.85")
    c.form(blob([(FX - 21, 376, 1), (FX + 21, 376, 1), (FX + 18, 404, 1), (FX - 18, 404, 1)], tension=0.2), Coat("#b98a5a", "#e8c898", "#6a4a30"), span=(780, 830), rim=3, depth=5)
    c.open(clip_path=c.clip(d), opacity="0.7")
    for i in range(-4, 5):
        c.path(f"M{FX + i * 26} 440l60 130M{FX + i * 26} 440l-60 130", "none", stroke="#d8b27a", stroke_width="3")
    c.close()
    _gloss(c, blob([(FX - 50, 468), (FX - 42, 464), (FX - 42, 520), (FX - 51, 524)]))



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
