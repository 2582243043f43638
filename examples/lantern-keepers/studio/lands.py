"""Where the keepers stand: a far line, a middle line and the ground, dark enough for a lantern."""

import math
import random

from studio.canvas import SIZE, Canvas, blob, n, pts, ring, star
from studio.colour import mix, oklch

INK = "#0c0a26"


def _haze(c: Canvas, d: str, *, opacity: float, colour: str = INK, top: float = 560) -> None:
    """A distant shape, fading into the mist at its foot."""
    c.path(
        d,
        c.linear(
            0, top, 0, 900, [(0, colour, opacity), (0.75, colour, opacity * 0.72), (1, colour, opacity * 0.4)]
        ),
    )


def _mound(c: Canvas, near: str, *, left: float = 872, middle: float = 866, right: float = 878) -> str:
    """The near ground: lit under the lantern, falling to the night at both sides."""
    d = (
        blob([(-40, left), (180, left - 8), (480, middle), (800, right - 8), (1064, right)], closed=False)
        + f"V{SIZE + 20}H-40Z"
    )
    dark = mix(near, INK, 0.62)
    c.path(d, c.linear(0, 850, 0, SIZE, [(0, near, 1), (0.5, mix(near, INK, 0.42), 1), (1, dark, 1)]))
    c.open(clip_path=c.clip(d))
    c.path(
        ring(640, 880, 520, 76),
        c.radial(640, 880, 520, [(0, "#ffdf9c", 0.30), (1, "#ffdf9c", 0)], squash=0.15),
    )
    c.inside(d, mix(near, "#ffe9c0", 0.45), shift=(0, 5), soft=1.6, opacity=0.55)
    c.close()
    return d


def _pine(x: float, base: float, height: float, half: float) -> str:
    steps = 4
    right = [(x, base - height, 1)]
    for i in range(steps):
        y = base - height + height * 0.92 * (i + 1) / steps
        reach = half * (i + 1.2) / steps
        right += [(x + reach, y, 1), (x + reach * 0.45, y - 4, 1)]
    left = [(2 * x - px, y, 1) for px, y, _ in reversed(right[1:])]
    return blob([*right, (x + half * 0.12, base, 1), (x - half * 0.12, base, 1), *left], tension=0.2)


def pine_ridge(c: Canvas) -> None:
    """Two rows of pines and soft grass."""
    rng = random.Random("pines")
    for count, base, tall, opacity in ((17, 850, 190, 0.34), (12, 880, 250, 0.55)):
        d = f"M-20 {base - 40}H1044V{SIZE}H-20Z"
        for i in range(count):
            x = -20 + 1064 * i / (count - 1) + rng.uniform(-18, 18)
            edge = abs(x - 500) / 500
            d += _pine(x, base, tall * (0.5 + 0.75 * edge) * rng.uniform(0.85, 1.12), 54)
        _haze(c, d, opacity=opacity)
    _mound(c, oklch(0.36, 0.06, 160))
    _blades(c, rng, oklch(0.46, 0.08, 150))


def _blades(c: Canvas, rng: random.Random, colour: str, *, count: int = 46) -> None:
    for _ in range(count):
        x = rng.uniform(24, 1000)
        y = rng.uniform(876, 980)
        size = rng.uniform(10, 20)
        for lean in (-7, 0, 7):
            c.line(
                [(x, y), (x + lean * 0.6, y - size * 0.6), (x + lean * 1.4, y - size)],
                colour,
                3.5,
                opacity=n(0.85 - (y - 876) / 160),
            )


def rooftops(c: Canvas) -> None:
    """A sleeping town with a few lit windows."""
    rng = random.Random("town")
    lights = []
    for base, opacity, scale in ((700, 0.34, 0.8), (760, 0.58, 1.0)):
        d, x = "", -40.0
        while x < 1060:
            wide = rng.uniform(74, 130) * scale
            edge = abs(x + wide / 2 - 500) / 500
            top = base - rng.uniform(10, 70) - 90 * edge
            d += (
                f"M{n(x)} {SIZE}V{n(top)}L{n(x + wide / 2)} "
                f"{n(top - rng.uniform(34, 80))}L{n(x + wide)} {n(top)}V{SIZE}Z"
            )
            if rng.random() < 0.5:
                d += f"M{n(x + wide * 0.7)} {n(top + 4)}v-64h15v64Z"
            lights.append((x + wide / 2, top + 34, scale))
            x += wide - 2
        _haze(c, d, opacity=opacity)
    for x, y, scale in lights:
        if rng.random() < 0.55 and abs(x - 470) > 120:
            c.path(
                f"M{n(x - 9 * scale)} {n(y)}h{n(18 * scale)}v{n(26 * scale)}h{n(-18 * scale)}Z",
                "#ffcf7a",
                opacity=n(0.45 + 0.5 * scale - 0.1),
            )
    d = _mound(c, oklch(0.42, 0.055, 35), left=868, middle=868, right=868)
    _cobbles(c, rng, d)


def _cobbles(c: Canvas, rng: random.Random, inside: str) -> None:
    c.open(clip_path=c.clip(inside))
    for row, y in enumerate((896, 926, 960, 1000)):
        step = 62 + row * 16
        for i in range(-1, 20):
            x = i * step + (row % 2) * step / 2 + rng.uniform(-5, 5)
            c.path(ring(x, y, step * 0.43, 11 + row * 2.6), rng.choice((INK, "#ffe0b0")), opacity="0.11")
    c.close()


def dunes(c: Canvas) -> None:
    """Long waves of sand."""
    for y, lift, opacity, turn in ((700, 60, 0.22, 0.0), (760, 74, 0.32, 2.2), (820, 52, 0.42, 4.0)):
        d = (
            blob([(-40 + 136 * i, y + lift * math.sin(i * 0.85 + turn)) for i in range(9)], closed=False)
            + f"V{SIZE}H-40Z"
        )
        _haze(c, d, opacity=opacity, colour="#2a123a", top=620)
    near = _mound(c, oklch(0.58, 0.085, 62), left=862, right=884)
    c.open(clip_path=c.clip(near))
    for i in range(7):
        y = 896 + i * 21
        c.line(
            pts("-20,6 200,-8 420,5 640,-7 860,6 1050,-4", 0, y), "#3a1a3a", 3.5, opacity=n(0.34 - i * 0.03)
        )
    c.close()


def snowfield(c: Canvas) -> None:
    """Peaks and new snow."""
    for peaks, opacity in (
        (
            ((-60, 790), (110, 520), (250, 700), (420, 610), (560, 760), (760, 560), (900, 690), (1090, 540)),
            0.3,
        ),
        (((-60, 700), (60, 640), (240, 800), (430, 780), (640, 830), (860, 650), (1090, 790)), 0.46),
    ):
        ridge = [(x, y, 1) for x, y in peaks]
        _haze(c, blob(ridge, closed=False, tension=0.15) + f"V{SIZE}H-60Z", opacity=opacity, top=520)
        for x, y in peaks[1:-1:2] if opacity < 0.4 else peaks[1:-1:4]:
            cap = pts("0,2! 42,54! 16,46! -4,70! -20,48! -44,60!", x, y)
            c.path(blob(cap, tension=0.2), "#e8ecff", opacity="0.5")
    near = _mound(c, oklch(0.80, 0.035, 265), left=866, middle=862)
    rng = random.Random("snow")
    c.open(clip_path=c.clip(near))
    for _ in range(60):
        c.dot(
            rng.uniform(10, 1014),
            rng.uniform(884, 1016),
            rng.uniform(1.4, 3),
            "#ffffff",
            opacity=n(rng.uniform(0.3, 0.9)),
        )
    c.close()


def reed_marsh(c: Canvas) -> None:
    """Still water, bulrushes and one landing stage."""
    rng = random.Random("reeds")
    far = blob(pts("-40,760 200,736 420,764 700,742 1064,768"), closed=False) + f"V{SIZE}H-40Z"
    _haze(c, far, opacity=0.42, top=720)
    c.path(
        f"M0 806H{SIZE}V{SIZE}H0Z",
        c.linear(0, 806, 0, SIZE, [(0, "#8fc6d8", 0.34), (0.3, "#1d3a5c", 0.7), (1, "#0a1430", 0.96)]),
    )
    for _ in range(26):
        x, y, w = rng.uniform(0, 1000), rng.uniform(820, 1010), rng.uniform(30, 110)
        c.path(ring(x, y, w, 1.8), "#d9f2ff", opacity=n(rng.uniform(0.12, 0.34)))
    c.path(
        ring(780, 960, 90, 46), c.radial(780, 960, 90, [(0, "#ffdf9c", 0.4), (1, "#ffdf9c", 0)], squash=0.5)
    )
    _stage(c)
    for x in (16, 38, 62, 868, 896, 926, 952, 980, 1004):
        high = rng.uniform(130, 230)
        lean = rng.uniform(-16, 16)
        foot = rng.uniform(950, 1000)
        c.line([(x, foot), (x + lean * 0.3, foot - high * 0.6), (x + lean, foot - high)], "#142a30", 5)
        c.line([(x + lean * 0.8, foot - high * 0.84), (x + lean, foot - high)], "#3a2434", 15)


def _stage(c: Canvas) -> None:
    wood = oklch(0.43, 0.05, 45)
    for x in (130, 730):
        c.path(f"M{x} 900h26v96h-26Z", mix(wood, INK, 0.6))
    for i in range(5):
        y, inset = 868 + i * 17, i * -9
        x1, x2 = 84 + inset, 812 - inset
        fill = c.linear(
            x1, 0, x2, 0, [(0, mix(wood, INK, 0.5), 1), (0.75, mix(wood, "#ffdf9c", 0.22), 1), (1, wood, 1)]
        )
        c.path(f"M{x1} {y}H{x2}L{x2 + 6} {y + 15}H{x1 - 6}Z", fill)
        c.path(f"M{x1} {y}H{x2}V{y + 2.5}H{x1}Z", "#ffe9c0", opacity="0.28")


def mushroom_wood(c: Canvas) -> None:
    """Giant mushrooms with lit undersides."""
    far = blob(pts("-40,800 260,770 520,806 800,770 1064,800"), closed=False) + f"V{SIZE}H-40Z"
    _haze(c, far, opacity=0.4, top=740)
    shapes = (
        (96, 560, 150, 0.62),
        (236, 690, 96, 0.5),
        (948, 640, 140, 0.6),
        (830, 742, 84, 0.46),
        (330, 770, 62, 0.42),
        (-10, 730, 90, 0.5),
    )
    for x, y, half, opacity in shapes:
        c.path(
            blob(
                [(x - half * 0.13, y), (x + half * 0.13, y), (x + half * 0.2, 900), (x - half * 0.2, 900)],
                tension=0.2,
            ),
            INK,
            opacity=n(opacity),
        )
        cap = blob(
            [
                (x - half, y + 8, 1),
                (x - half * 0.72, y - half * 0.5),
                (x, y - half * 0.8),
                (x + half * 0.72, y - half * 0.5),
                (x + half, y + 8, 1),
                (x, y + 20),
            ]
        )
        c.path(cap, INK, opacity=n(opacity))
        c.path(ring(x, y + 9, half * 0.86, 8), "#8ff0d2", opacity=n(opacity * 0.7))
        for dx, dy, r in ((-0.4, -0.34, 0.11), (0.14, -0.55, 0.09), (0.46, -0.24, 0.1)):
            c.dot(x + dx * half, y + dy * half, r * half, "#8ff0d2", opacity=n(opacity * 0.42))
    _mound(c, oklch(0.37, 0.055, 190))
    rng = random.Random("caps")
    for _ in range(16):
        x, y, r = rng.uniform(20, 1000), rng.uniform(890, 985), rng.uniform(7, 15)
        c.path(f"M{n(x - r)} {n(y)}a{n(r)} {n(r)} 0 0 1 {n(2 * r)} 0Z", "#8fe6cf", opacity="0.55")
        c.line([(x, y), (x, y + r)], "#cdeee0", r * 0.4, opacity="0.4")


def ruins(c: Canvas) -> None:
    """Arches that nobody repairs."""
    d = f"M-20 820H1044V{SIZE}H-20Z"
    for x, top, half in ((80, 520, 96), (900, 470, 112), (285, 640, 70), (742, 650, 58)):
        d += (
            f"M{x - half - 34} 860V{top - half - 26}h{2 * half + 68}V860h-34V{top}a{half} "
            f"{half} 0 0 0 {-2 * half} 0V860Z"
        )
        d += f"M{x - half - 46} {top - half - 26}h{2 * half + 92}v-22h{-2 * half - 92}Z"
    _haze(c, d, opacity=0.5, top=420)
    near = _mound(c, oklch(0.42, 0.04, 285), left=868, right=868)
    c.open(clip_path=c.clip(near))
    for row, (y, step) in enumerate(((866, 128), (906, 160), (956, 210))):
        c.path(f"M-10 {y + 34}H1034", "none", stroke=INK, stroke_width="4", opacity="0.35")
        for i in range(-1, 9):
            c.path(
                f"M{i * step + row * 47} {y}l{(i - 4) * 6} 36",
                "none",
                stroke=INK,
                stroke_width="4",
                opacity="0.3",
            )
    c.close()


def sea_stacks(c: Canvas) -> None:
    """Rocks in a moonlit sea."""
    c.path(
        f"M0 720H{SIZE}V{SIZE}H0Z",
        c.linear(0, 720, 0, 920, [(0, "#bfe0f2", 0.42), (0.12, "#2c4c7c", 0.55), (1, "#0b1436", 0.9)]),
    )
    for i in range(9):
        y = 734 + i * i * 2.1
        for j in range(6):
            x = (j * 197 + i * 83) % 1060 - 20
            c.path(ring(x, y, 46 + i * 5, 1.4 + i * 0.2), "#e2f2ff", opacity="0.26")
    for x, top, half in ((110, 520, 74), (210, 640, 42), (920, 560, 88), (820, 680, 40)):
        rock = blob(
            [
                (x - half, 780, 1),
                (x - half * 0.7, top + 60),
                (x - half * 0.2, top, 1),
                (x + half * 0.5, top + 26),
                (x + half * 0.8, top + (780 - top) * 0.55),
                (x + half * 1.1, 780, 1),
            ],
            tension=0.35,
        )
        _haze(c, rock, opacity=0.66, top=500)
        c.path(ring(x, 782, half * 1.3, 5), "#e2f2ff", opacity="0.4")
    near = _mound(c, oklch(0.45, 0.035, 250), left=884, middle=862, right=892)
    rng = random.Random("shore")
    c.open(clip_path=c.clip(near))
    for _ in range(34):
        x, y, r = rng.uniform(0, 1024), rng.uniform(890, 1015), rng.uniform(7, 20)
        c.path(ring(x, y, r, r * 0.5), rng.choice(("#0c0a26", "#dfe8ff")), opacity="0.16")
    c.close()


def flower_meadow(c: Canvas) -> None:
    """Round hills and night flowers."""
    for y, lift, opacity, turn in ((700, 50, 0.24, 0.6), (780, 56, 0.42, 3.0)):
        d = (
            blob([(-40 + 190 * i, y + lift * math.sin(i * 1.5 + turn)) for i in range(7)], closed=False)
            + f"V{SIZE}H-40Z"
        )
        _haze(c, d, opacity=opacity, top=640)
    for x, y, size in ((86, 690, 70), (150, 720, 46), (930, 700, 64), (872, 730, 44)):
        _haze(c, ring(x, y, size, size * 0.9) + f"M{x - 6} {y}h12v130h-12Z", opacity=0.5, top=600)
    _mound(c, oklch(0.40, 0.075, 140))
    rng = random.Random("meadow")
    _blades(c, rng, oklch(0.5, 0.09, 135), count=30)
    for _ in range(38):
        x, y, r = rng.uniform(16, 1008), rng.uniform(886, 1000), rng.uniform(6, 11)
        colour = rng.choice(("#f7c8d8", "#fff0c8", "#c9c4ff", "#ffb48a"))
        c.path(
            star(x, y, r, inner=0.6, tips=5, turn=rng.uniform(0, 72)),
            colour,
            opacity=n(0.95 - (y - 886) / 220),
        )
        c.dot(x, y, r * 0.3, "#8a5a2a")


LANDS = {
    "pine-ridge": pine_ridge,
    "rooftops": rooftops,
    "dunes": dunes,
    "snowfield": snowfield,
    "reed-marsh": reed_marsh,
    "mushroom-wood": mushroom_wood,
    "old-arches": ruins,
    "sea-stacks": sea_stacks,
    "night-meadow": flower_meadow,
}
