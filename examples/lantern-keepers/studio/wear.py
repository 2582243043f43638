"""What is worn behind the body (mantles, wings, tails, packs) and around the neck."""

import math
from collections.abc import Callable

from studio.body import CX, NECK_Y, both
from studio.canvas import Canvas, blob, limb, n, ring, star
from studio.colour import Coat, mix

WIDE = (CX - 320, CX + 320)


def _cape(c: Canvas, cloth: Coat, hem: list[tuple[float, ...]], *, lining: str) -> None:
    left = [(CX - 136, 560), (CX - 214, 650), (CX - 270, 770)]
    right = [(CX + 262, 780), (CX + 204, 650), (CX + 136, 560)]
    d = blob([*left, *hem, *right])
    c.form(d, cloth, span=(CX - 300, CX + 320), rim=9, depth=40)
    c.open(clip_path=c.clip(d))
    for dx in (-150, -60, 60, 150):
        c.line([(CX + dx * 0.5, 580), (CX + dx * 0.9, 720), (CX + dx * 1.3, 890)], lining, 12, opacity="0.4")
    c.close()


def night_cape(c: Canvas) -> None:
    """A long cape with a hem of stars."""
    hem = [(CX - 304, 874, 1), (CX - 120, 886), (CX, 878), (CX + 130, 888), (CX + 296, 874, 1)]
    _cape(c, Coat("#3f4690", "#c0c8ff", "#20245a"), hem, lining="#1d1f52")
    for dx, y, size in ((-268, 838, 13), (-242, 786, 8), (-224, 848, 9), (258, 836, 12), (236, 788, 8), (222, 850, 9), (-236, 728, 7), (228, 732, 7), (-196, 800, 8)):
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
    upper = [(60, 600), (150, 470), (250, 404), (322, 420), (330, 500), (290, 610), (200, 680), (90, 690)]
    lower = [(70, 650), (190, 690), (252, 760), (246, 838), (170, 862), (90, 790)]
    _wings(c, upper, lower, coat)
    for side in (-1, 1):
        x = CX + side * 244
        c.path(ring(x, 510, 44, 48), "#f4e0bc", opacity="0.9")
        c.path(ring(x, 510, 31, 35), "#5a3048")
        c.path(ring(x + 4, 508, 17, 20), "#e89a5a")
        c.dot(x + 9, 500, 6, "#fff4dc")
        c.path(ring(CX + side * 196, 790, 24, 26), "#f4e0bc", opacity="0.8")
        c.path(ring(CX + side * 196, 790, 13, 15), "#5a3048")
        c.line([(CX + side * 96, 590), (CX + side * 190, 594), (CX + side * 286, 592)], "#6a4638", 7, opacity="0.5")
        c.line([(CX + side * 110, 640), (CX + side * 180, 646), (CX + side * 250, 640)], "#6a4638", 6, opacity="0.45")


def leaf_wings(c: Canvas) -> None:
    """Four great leaves."""
    coat = Coat("#5f9460", "#d4ec9c", "#2f5a44")
    upper = [(70, 610, 1), (140, 480), (250, 400), (336, 372, 1), (322, 480), (250, 590), (150, 646)]
    lower = [(80, 660, 1), (170, 668), (262, 728), (310, 812, 1), (220, 812), (130, 760)]
    _wings(c, upper, lower, coat)
    for side in (-1, 1):
        for x1, y1, x2, y2 in ((80, 606, 316, 390), (90, 668, 296, 802)):
            c.line([(CX + side * x1, y1), (CX + side * (x1 + x2) / 2, (y1 + y2) / 2 + 8), (CX + side * x2, y2)], "#d4ec9c", 6, opacity="0.7")
        for x1, y1, x2, y2 in ((170, 530, 196, 466), (220, 480, 262, 424), (180, 520, 250, 522), (230, 470, 300, 452), (180, 726, 236, 722), (200, 744, 218, 786)):
            c.line([(CX + side * x1, y1), (CX + side * x2, y2)], "#d4ec9c", 4, opacity="0.5")


def glass_wings(c: Canvas) -> None:
    """Dragonfly wings, nearly not there."""
    for side in (-1, 1):
        for tip, root, bend in (((330, 400), (80, 590), 34), ((326, 560), (80, 630), 30), ((250, 742), (80, 660), 26)):
            x1, y1, x2, y2 = CX + side * root[0], root[1], CX + side * tip[0], tip[1]
            dx, dy = x2 - x1, y2 - y1
            length = math.hypot(dx, dy)
            nx, ny = -dy / length * bend, dx / length * bend
            d = blob([(x1, y1, 1), (x1 + dx * 0.4 + nx, y1 + dy * 0.4 + ny), (x1 + dx * 0.85 + nx * 1.2, y1 + dy * 0.85 + ny * 1.2), (x2, y2), (x1 + dx * 0.85 - nx * 1.2, y1 + dy * 0.85 - ny * 1.2), (x1 + dx * 0.4 - nx, y1 + dy * 0.4 - ny)])
            c.path(d, c.linear(x1, y1, x2, y2, [(0, "#bfe8ff", 0.3), (1, "#d8c4ff", 0.5)]), stroke="#eafaff", stroke_width="4")
            c.line([(x1, y1), (x2, y2)], "#eafaff", 4, opacity="0.8")
            for share in (0.35, 0.5, 0.65, 0.8):
                px, py = x1 + dx * share, y1 + dy * share
                c.line([(px + nx * 0.9, py + ny * 0.9), (px - nx * 0.9, py - ny * 0.9)], "#eafaff", 2.5, opacity="0.55")


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
    d = limb([(CX - 70, 850), (CX - 190, 862), (CX - 270, 780), (CX - 262, 660), (CX - 206, 584)], [60, 104, 128, 104, 16])
    c.form(d, coat, span=(CX - 330, CX - 60), rim=10, depth=30)
    c.open(clip_path=c.clip(d))
    tip = blob([(CX - 350, 656), (CX - 310, 690, 1), (CX - 288, 664), (CX - 262, 702, 1), (CX - 236, 664), (CX - 206, 684, 1), (CX - 180, 640), (CX - 180, 540), (CX - 300, 540)])
    c.path(tip, "#fbe9d0", opacity="0.94")
    c.inside(d, "#ffe6b8", shift=(-8, 5), soft=3, opacity=0.7)
    c.close()


def ring_tail(c: Canvas) -> None:
    """A long ringed tail, curled like a question."""
    coat = Coat("#8f8aa4", "#e9e6f2", "#3f3858")
    d = limb([(CX - 60, 846), (CX - 200, 870), (CX - 290, 800), (CX - 280, 690), (CX - 214, 640), (CX - 190, 700)], [54, 66, 66, 60, 50, 26])
    c.form(d, coat, span=(CX - 330, CX - 60), rim=8, depth=20)
    c.open(clip_path=c.clip(d))
    for x1, y1, x2, y2 in ((-150, 812, -166, 920), (-222, 806, -276, 900), (-240, 770, -340, 816), (-240, 716, -340, 706), (-236, 684, -290, 604), (-206, 684, -196, 600), (-220, 716, -160, 700)):
        c.line([(CX + x1, y1), (CX + x2, y2)], "#3f3858", 24, opacity="0.85")
    c.inside(d, "#ffe6b8", shift=(-7, 4), soft=3, opacity=0.6)
    c.close()


def snail_shell(c: Canvas) -> None:
    """A spiral shell, carried high on the back."""
    x, y, r = CX - 128, 640, 196
    coat = Coat("#c28a72", "#fbe6cc", "#7a4450")
    c.form(ring(x, y, r, r * 0.98), coat, span=(x - r, x + r), rim=12, depth=50)
    turns = [(x + 8 + (r - 22) * (1 - i / 44) * math.cos(2.6 + i * 0.36), y + 4 + (r - 22) * (1 - i / 44) * math.sin(2.6 + i * 0.36)) for i in range(42)]
    c.line(turns, "#6a3a48", 13, opacity="0.7")
    c.line([(px + 6, py + 3) for px, py in turns], "#fbe6cc", 5, opacity="0.65")


def bedroll(c: Canvas) -> None:
    """A pack with a rolled blanket and a pan."""
    c.form(ring(CX - 208, 660, 44, 44), Coat("#6a6a84", "#b8b8d0", "#3a3a54"), span=(CX - 260, CX - 160), rim=6, depth=12)
    c.path(ring(CX - 208, 660, 27, 27), "#33324c")
    pack = blob([(CX - 170, 520), (CX - 60, 490), (CX + 60, 490), (CX + 170, 520), (CX + 200, 650), (CX + 186, 780), (CX, 806), (CX - 186, 780), (CX - 200, 650)])
    c.form(pack, Coat("#8a6a48", "#d8b888", "#4a3428"), span=(CX - 200, CX + 200), rim=9, depth=36)
    for side in (-1, 1):
        c.form(ring(CX + side * 196, 716, 42, 54), Coat("#7a5a3e", "#c0a074", "#4a3428"), span=(CX + side * 196 - 50, CX + side * 196 + 50), rim=6, depth=14)
    roll = blob([(CX - 222, 500), (CX - 204, 462), (CX, 452), (CX + 204, 462), (CX + 222, 500), (CX + 204, 538), (CX, 546), (CX - 204, 538)], tension=0.4)
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


def _band(half: float, y: float, thick: float, *, sag: float = 22) -> str:
    """A band around the neck, sagging in front."""
    return blob([(CX - half, y - thick / 2), (CX - half * 0.5, y - thick / 2 + sag * 0.8), (CX, y - thick / 2 + sag), (CX + half * 0.5, y - thick / 2 + sag * 0.8), (CX + half, y - thick / 2), (CX + half + 8, y + thick / 2 - 4), (CX + half * 0.5, y + thick / 2 + sag * 0.8), (CX, y + thick / 2 + sag), (CX - half * 0.5, y + thick / 2 + sag * 0.8), (CX - half - 8, y + thick / 2 - 4)])


def scarf(c: Canvas) -> None:
    """Red wool with one end in the wind."""
    wool = Coat("#c4474c", "#f6b89a", "#6a1f34")
    tail = blob([(CX - 70, 600), (CX - 24, 606), (CX - 34, 690), (CX - 20, 770, 1), (CX - 50, 758), (CX - 92, 776, 1), (CX - 84, 690)])
    c.form(tail, wool, span=(CX - 100, CX), rim=6, depth=12)
    d = _band(132, NECK_Y, 62)
    c.form(d, wool, span=(CX - 140, CX + 140), rim=8, depth=18)
    c.open(clip_path=c.clip(d), opacity="0.45")
    for dx in (-110, -74, -36, 2, 40, 78, 114):
        c.line([(CX + dx - 8, NECK_Y - 36), (CX + dx, NECK_Y + 10), (CX + dx - 6, NECK_Y + 60)], "#6a1f34", 6)
    c.close()
    c.form(blob([(CX - 76, 574), (CX - 44, 562), (CX - 14, 578), (CX - 18, 622), (CX - 50, 632), (CX - 82, 616)]), wool, span=(CX - 90, CX), rim=5, depth=10)


def striped_scarf(c: Canvas) -> None:
    """Teal and cream, knitted by somebody who cared."""
    wool = Coat("#2f8a8a", "#f2ead0", "#174a55")
    for x, long in ((34, 196), (84, 150)):
        tail = blob([(CX + x - 26, 604), (CX + x + 26, 604), (CX + x + 30, 604 + long, 1), (CX + x - 28, 604 + long, 1)], tension=0.3)
        c.form(tail, wool, span=(CX + x - 40, CX + x + 40), rim=5, depth=10)
        c.open(clip_path=c.clip(tail))
        for y in range(650, 604 + long, 44):
            c.path(f"M{CX + x - 40} {y}h80v18h-80Z", "#f2ead0", opacity="0.85")
        c.close()
        for dx in (-22, -8, 6, 20):
            c.line([(CX + x + dx, 604 + long), (CX + x + dx, 620 + long)], "#f2ead0", 5)
    d = _band(132, NECK_Y, 60)
    c.form(d, wool, span=(CX - 140, CX + 140), rim=8, depth=18)
    c.open(clip_path=c.clip(d))
    for dx in (-108, -54, 0, 54, 108):
        c.line([(CX + dx, NECK_Y - 40), (CX + dx * 0.96, NECK_Y + 70)], "#f2ead0", 20, opacity="0.8")
    c.inside(d, "#ffe6b8", shift=(-7, 3), soft=3, opacity=0.5)
    c.close()


def ruff(c: Canvas) -> None:
    """Starched folds, slightly too grand."""
    linen = Coat("#ddd6e8", "#ffffff", "#9a90b4")
    order = [*range(-5, 0), *range(5, 0, -1), 0]
    for i in order:
        x, y = CX + i * 31, NECK_Y + 24 - i * i * 1.5
        fold = blob([(x - 24, y - 20), (x, y - 34), (x + 24, y - 20), (x + 26, y + 26), (x, y + 42), (x - 26, y + 26)])
        c.form(fold, linen, span=(x - 30 - 60, x + 40), rim=4, depth=12)
        c.path(ring(x, y + 16, 11, 17), "#6d6390", opacity="0.55")


def leaf_collar(c: Canvas) -> None:
    """Autumn leaves, overlapping."""
    colours = ("#c9703a", "#e0a24a", "#9a4a3a", "#b8863a")
    for row, (count, y0, size) in enumerate(((7, NECK_Y + 30, 1.0), (6, NECK_Y + 8, 0.9))):
        for i in range(count):
            t = i - (count - 1) / 2
            x, y = CX + t * (41 if row == 0 else 43), y0 - t * t * 3.4
            leaf = blob([(x, y - 22, 1), (x + 30 * size, y + 6), (x + 20 * size, y + 36), (x, y + 64 * size, 1), (x - 20 * size, y + 36), (x - 30 * size, y + 6)])
            colour = colours[(i * 3 + row) % 4]
            c.open(transform=f"rotate({n(-t * 10)} {n(x)} {n(y)})")
            c.form(leaf, Coat(colour, "#ffe0a0", mix(colour, "#3a1428", 0.6)), span=(x - 40, x + 34), rim=4, depth=9)
            c.line([(x, y - 14), (x, y + 46 * size)], "#5a2a24", 3, opacity="0.55")
            c.close()


def bell_collar(c: Canvas) -> None:
    """A broad strap and a bell that announces tea."""
    c.form(_band(130, NECK_Y, 34), Coat("#8a3f5a", "#f0a8b0", "#4a1a34"), span=(CX - 140, CX + 140), rim=6, depth=12)
    for dx in (-92, -50, 50, 92):
        c.path(star(CX + dx, NECK_Y + 19 - abs(dx) * 0.09, 9, inner=0.45), "#f6d68a")
    gold = Coat("#d9a23c", "#fff0b0", "#8a5a1c")
    c.form(blob([(CX, 584), (CX + 34, 604), (CX + 42, 648), (CX + 52, 664, 1), (CX, 672), (CX - 52, 664, 1), (CX - 42, 648), (CX - 34, 604)]), gold, span=(CX - 50, CX + 50), rim=6, depth=14)
    c.dot(CX, 676, 11, "#8a5a1c")
    c.line([(CX - 36, 650), (CX, 656), (CX + 36, 650)], "#8a5a1c", 4, opacity="0.7")


def moon_beads(c: Canvas) -> None:
    """Beads and a silver moon."""
    for i in range(-6, 7):
        x, y = CX + i * 21, NECK_Y + 50 - i * i * 1.75
        colour = ("#7fd0c4", "#f0c27a", "#e88a9a")[i % 3]
        c.dot(x, y, 13, mix(colour, "#2a1540", 0.42))
        c.dot(x + 1.5, y - 1, 11, colour)
        c.dot(x + 4, y - 4, 3.6, "#ffffff", opacity="0.8")
    x, y, r = CX, 664, 44
    c.dot(x, y, r + 5, "#241c46")
    c.dot(x, y, r, "#3b3478")
    d = f"M{x + 12} {y - r + 7}A{r - 5} {r - 5} 0 1 0 {x + 12} {y + r - 7}A{r - 12} {r - 12} 0 0 1 {x + 12} {y - r + 7}Z"
    c.path(d, c.linear(x - r, y, x + r, y, [(0, "#c9cdf0", 1), (1, "#ffffff", 1)]))
    c.path(star(x + 15, y, 12, inner=0.4, tips=4), "#ffe9b0")


def bow(c: Canvas) -> None:
    """A large silk bow."""
    silk = Coat("#d0688e", "#ffd0d8", "#7a2a52")
    c.form(_band(124, NECK_Y - 4, 28), silk, span=(CX - 140, CX + 140), rim=5, depth=10)
    for side in (-1, 1):
        c.form(blob([(CX + side * 8, 606), (CX + side * 40, 650), (CX + side * 70, 706, 1), (CX + side * 32, 696), (CX + side * 2, 640)]), silk, span=(CX - 80, CX + 80), rim=5, depth=10)
        c.form(blob([(CX, 592), (CX + side * 56, 546), (CX + side * 108, 552), (CX + side * 112, 624), (CX + side * 58, 632)]), silk, span=(CX - 110, CX + 110), rim=6, depth=16)
        c.line([(CX + side * 22, 592), (CX + side * 56, 588), (CX + side * 84, 578)], "#7a2a52", 5, opacity="0.6")
    c.form(blob([(CX - 24, 570), (CX + 24, 570), (CX + 22, 618), (CX - 22, 618)], tension=0.4), silk, span=(CX - 26, CX + 26), rim=4, depth=8)


def old_key(c: Canvas) -> None:
    """A key on a cord; nobody knows the door."""
    c.line([(CX - 118, NECK_Y - 6), (CX - 60, NECK_Y + 52), (CX, NECK_Y + 80), (CX + 60, NECK_Y + 52), (CX + 118, NECK_Y - 6)], "#3a2434", 11)
    c.line([(CX - 118, NECK_Y - 8), (CX - 60, NECK_Y + 50), (CX, NECK_Y + 78), (CX + 60, NECK_Y + 50), (CX + 118, NECK_Y - 8)], "#b8584a", 6)
    gold, dark = "#e9bd66", "#7a5020"
    for colour, grow in ((dark, 7), (gold, 0)):
        c.path(ring(CX, 676, 27, 27), "none", stroke=colour, stroke_width=13 + grow)
        c.path(f"M{CX} 700V786M{CX} 756h26M{CX} 780h32", "none", stroke=colour, stroke_width=13 + grow, stroke_linecap="round")
    c.path("M488 660a27 27 0 0 1 6 20", "none", stroke="#fff4cc", stroke_width="5", stroke_linecap="round")


def poncho(c: Canvas) -> None:
    """A woven shoulder cloth with a zigzag."""
    cloth = Coat("#c2803e", "#ffe3a8", "#6a3a28")
    d = blob([(CX - 108, 548), (CX, 582), (CX + 108, 548), (CX + 172, 640), (CX + 190, 690, 1), (CX + 90, 716), (CX, 770, 1), (CX - 90, 716), (CX - 190, 690, 1), (CX - 172, 640)], tension=0.42)
    c.form(d, cloth, span=(CX - 190, CX + 190), rim=9, depth=26)
    c.open(clip_path=c.clip(d))
    for dy, colour, width in ((40, "#2f6f7a", 17), (76, "#f6e2b8", 9), (-2, "#8a3a3c", 13)):
        zig = "M" + "L".join(f"{CX - 216 + 36 * i} {n(648 + dy - abs(i - 6) * 9 + (13 if i % 2 else -7))}" for i in range(13))
        c.path(zig, "none", stroke=colour, stroke_width=width, stroke_linejoin="round", opacity="0.9")
    c.inside(d, "#ffe6b8", shift=(-9, 3), soft=3, opacity=0.55)
    c.close()


COLLARS: dict[str, Callable[[Canvas], None]] = {
    "red-scarf": scarf,
    "striped-scarf": striped_scarf,
    "ruff": ruff,
    "leaf-collar": leaf_collar,
    "bell": bell_collar,
    "moon-beads": moon_beads,
    "silk-bow": bow,
    "old-key": old_key,
    "poncho": poncho,
}
