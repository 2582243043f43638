"""What is worn around the neck; every collar covers the same stretch of it."""

from collections.abc import Callable

from studio.body import CX, NECK_Y
from studio.canvas import Canvas, blob, n, pts, ring, star
from studio.colour import Coat, mix


def _band(half: float, y: float, thick: float, *, sag: float = 22) -> str:
    """A band around the neck, sagging in front."""
    return blob(
        [
            (CX - half, y - thick / 2),
            (CX - half * 0.5, y - thick / 2 + sag * 0.8),
            (CX, y - thick / 2 + sag),
            (CX + half * 0.5, y - thick / 2 + sag * 0.8),
            (CX + half, y - thick / 2),
            (CX + half + 8, y + thick / 2 - 4),
            (CX + half * 0.5, y + thick / 2 + sag * 0.8),
            (CX, y + thick / 2 + sag),
            (CX - half * 0.5, y + thick / 2 + sag * 0.8),
            (CX - half - 8, y + thick / 2 - 4),
        ]
    )


def scarf(c: Canvas) -> None:
    """Red wool with one end in the wind."""
    wool = Coat("#c4474c", "#f6b89a", "#6a1f34")
    tail = blob(pts("-70,600 -24,606 -34,690 -20,770! -50,758 -92,776! -84,690", CX))
    c.form(tail, wool, span=(CX - 100, CX), rim=6, depth=12)
    d = _band(132, NECK_Y, 62)
    c.form(d, wool, span=(CX - 140, CX + 140), rim=8, depth=18)
    c.open(clip_path=c.clip(d), opacity="0.45")
    for dx in (-110, -74, -36, 2, 40, 78, 114):
        c.line([(CX + dx - 8, NECK_Y - 36), (CX + dx, NECK_Y + 10), (CX + dx - 6, NECK_Y + 60)], "#6a1f34", 6)
    c.close()
    c.form(
        blob(pts("-76,574 -44,562 -14,578 -18,622 -50,632 -82,616", CX)),
        wool,
        span=(CX - 90, CX),
        rim=5,
        depth=10,
    )


def striped_scarf(c: Canvas) -> None:
    """Teal and cream, knitted by somebody who cared."""
    wool = Coat("#2f8a8a", "#f2ead0", "#174a55")
    for x, long in ((34, 196), (84, 150)):
        tail = blob(
            [
                (CX + x - 26, 604),
                (CX + x + 26, 604),
                (CX + x + 30, 604 + long, 1),
                (CX + x - 28, 604 + long, 1),
            ],
            tension=0.3,
        )
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
        fold = blob(pts("-24,-20 0,-34 24,-20 26,26 0,42 -26,26", x, y))
        c.form(fold, linen, span=(x - 30 - 60, x + 40), rim=4, depth=12)
        c.path(ring(x, y + 16, 11, 17), "#6d6390", opacity="0.55")


def leaf_collar(c: Canvas) -> None:
    """Autumn leaves, overlapping."""
    colours = ("#c9703a", "#e0a24a", "#9a4a3a", "#b8863a")
    for row, (count, y0, size) in enumerate(((7, NECK_Y + 30, 1.0), (6, NECK_Y + 8, 0.9))):
        for i in range(count):
            t = i - (count - 1) / 2
            x, y = CX + t * (41 if row == 0 else 43), y0 - t * t * 3.4
            leaf = blob(
                [
                    (x, y - 22, 1),
                    (x + 30 * size, y + 6),
                    (x + 20 * size, y + 36),
                    (x, y + 64 * size, 1),
                    (x - 20 * size, y + 36),
                    (x - 30 * size, y + 6),
                ]
            )
            colour = colours[(i * 3 + row) % 4]
            c.open(transform=f"rotate({n(-t * 10)} {n(x)} {n(y)})")
            c.form(
                leaf,
                Coat(colour, "#ffe0a0", mix(colour, "#3a1428", 0.6)),
                span=(x - 40, x + 34),
                rim=4,
                depth=9,
            )
            c.line([(x, y - 14), (x, y + 46 * size)], "#5a2a24", 3, opacity="0.55")
            c.close()


def bell_collar(c: Canvas) -> None:
    """A broad strap and a bell that announces tea."""
    c.form(
        _band(130, NECK_Y, 34),
        Coat("#8a3f5a", "#f0a8b0", "#4a1a34"),
        span=(CX - 140, CX + 140),
        rim=6,
        depth=12,
    )
    for dx in (-92, -50, 50, 92):
        c.path(star(CX + dx, NECK_Y + 19 - abs(dx) * 0.09, 9, inner=0.45), "#f6d68a")
    gold = Coat("#d9a23c", "#fff0b0", "#8a5a1c")
    c.form(
        blob(pts("0,584 34,604 42,648 52,664! 0,672 -52,664! -42,648 -34,604", CX)),
        gold,
        span=(CX - 50, CX + 50),
        rim=6,
        depth=14,
    )
    c.dot(CX, 676, 11, "#8a5a1c")
    c.line(pts("-36,650 0,656 36,650", CX), "#8a5a1c", 4, opacity="0.7")


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
    d = (
        f"M{x + 12} {y - r + 7}A{r - 5} {r - 5} 0 1 0 {x + 12} {y + r - 7}A{r - 12} "
        f"{r - 12} 0 0 1 {x + 12} {y - r + 7}Z"
    )
    c.path(d, c.linear(x - r, y, x + r, y, [(0, "#c9cdf0", 1), (1, "#ffffff", 1)]))
    c.path(star(x + 15, y, 12, inner=0.4, tips=4), "#ffe9b0")


def bow(c: Canvas) -> None:
    """A large silk bow."""
    silk = Coat("#d0688e", "#ffd0d8", "#7a2a52")
    c.form(_band(124, NECK_Y - 4, 28), silk, span=(CX - 140, CX + 140), rim=5, depth=10)
    for side in (-1, 1):
        c.form(
            blob(
                [
                    (CX + side * 8, 606),
                    (CX + side * 40, 650),
                    (CX + side * 70, 706, 1),
                    (CX + side * 32, 696),
                    (CX + side * 2, 640),
                ]
            ),
            silk,
            span=(CX - 80, CX + 80),
            rim=5,
            depth=10,
        )
        c.form(
            blob(
                [
                    (CX, 592),
                    (CX + side * 56, 546),
                    (CX + side * 108, 552),
                    (CX + side * 112, 624),
                    (CX + side * 58, 632),
                ]
            ),
            silk,
            span=(CX - 110, CX + 110),
            rim=6,
            depth=16,
        )
        c.line(
            [(CX + side * 22, 592), (CX + side * 56, 588), (CX + side * 84, 578)], "#7a2a52", 5, opacity="0.6"
        )
    c.form(
        blob(pts("-24,570 24,570 22,618 -22,618", CX), tension=0.4),
        silk,
        span=(CX - 26, CX + 26),
        rim=4,
        depth=8,
    )


def old_key(c: Canvas) -> None:
    """A key on a cord; nobody knows the door."""
    c.line(pts("-118,-6 -60,52 0,80 60,52 118,-6", CX, NECK_Y), "#3a2434", 11)
    c.line(pts("-118,-8 -60,50 0,78 60,50 118,-8", CX, NECK_Y), "#b8584a", 6)
    gold, dark = "#e9bd66", "#7a5020"
    for colour, grow in ((dark, 7), (gold, 0)):
        c.path(ring(CX, 676, 27, 27), "none", stroke=colour, stroke_width=13 + grow)
        c.path(
            f"M{CX} 700V786M{CX} 756h26M{CX} 780h32",
            "none",
            stroke=colour,
            stroke_width=13 + grow,
            stroke_linecap="round",
        )
    c.path("M488 660a27 27 0 0 1 6 20", "none", stroke="#fff4cc", stroke_width="5", stroke_linecap="round")


def poncho(c: Canvas) -> None:
    """A woven shoulder cloth with a zigzag."""
    cloth = Coat("#c2803e", "#ffe3a8", "#6a3a28")
    d = blob(
        pts("-108,548 0,582 108,548 172,640 190,690! 90,716 0,770! -90,716 -190,690! -172,640", CX),
        tension=0.42,
    )
    c.form(d, cloth, span=(CX - 190, CX + 190), rim=9, depth=26)
    c.open(clip_path=c.clip(d))
    for dy, colour, width in ((40, "#2f6f7a", 17), (76, "#f6e2b8", 9), (-2, "#8a3a3c", 13)):
        zig = "M" + "L".join(
            f"{CX - 216 + 36 * i} {n(648 + dy - abs(i - 6) * 9 + (13 if i % 2 else -7))}" for i in range(13)
        )
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
