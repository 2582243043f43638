"""The views on the postcards: dark shapes of several strengths, without a colour of their own."""

import random
from collections.abc import Callable

WIDTH, HEIGHT = 1200, 840
LIFT = 158  # pixels a view is raised by, so that the lettering has the ground to itself
DEEP = HEIGHT + LIFT
INK = "#140f2e"
CREAM = "#f6ecd8"
Painter = Callable[[], str]


def shape(d: str, opacity: float, *, fill: str = INK, extra: str = "") -> str:
    """One path."""
    return f'<path d="{d}" fill="{fill}" fill-opacity="{opacity}" {extra}/>'


def ridge(heights: list[int], opacity: float, *, sharp: bool = False) -> str:
    """A line of hills from left to right, filled to the bottom."""
    step = WIDTH / (len(heights) - 1)
    d = f"M0 {heights[0]}"
    for i in range(1, len(heights)):
        x0, x1, y0, y1 = step * (i - 1), step * i, heights[i - 1], heights[i]
        curve = f"C{x0 + step / 2:.0f} {y0} {x1 - step / 2:.0f} {y1} {x1:.0f} {y1}"
        d += f"L{x1:.0f} {y1}" if sharp else curve
    return shape(f"{d}V{DEEP}H0Z", opacity)


def water(top: int, opacity: float, seed: str) -> str:
    """A level of water with short bright strokes."""
    rng = random.Random(seed)
    out = [shape(f"M0 {top}H{WIDTH}V{DEEP}H0Z", opacity)]
    for _ in range(46):
        y = top + 6 + (DEEP - top) * rng.random() ** 1.4
        x, reach = rng.uniform(-40, WIDTH), rng.uniform(18, 90) * (0.5 + (y - top) / 260)
        d = f"M{x:.0f} {y:.0f}h{reach:.0f}"
        out.append(
            f'<path d="{d}" stroke="#fff4dc" stroke-opacity="{rng.uniform(0.12, 0.4):.2f}" '
            f'stroke-width="{1.5 + (y - top) / 110:.1f}" stroke-linecap="round"/>'
        )
    return "".join(out)


def pine(x: float, base: float, height: float, opacity: float) -> str:
    """One pine."""
    half = height * 0.24
    d = f"M{x:.0f} {base - height:.0f}"
    sides: list[tuple[float, float]] = []
    for i in range(1, 5):
        y = base - height + height * 0.92 * i / 4
        reach = half * (0.35 + 0.65 * i / 4)
        sides += [(reach, y), (reach * 0.5, y - height * 0.025)]
    d += "".join(f"L{x + r:.0f} {y:.0f}" for r, y in sides)
    d += "".join(f"L{x - r:.0f} {y:.0f}" for r, y in reversed(sides))
    return shape(d + "Z", opacity) + shape(f"M{x - 4:.0f} {base - 14:.0f}h8v18h-8Z", opacity)


def lighthouse() -> str:
    """A lighthouse on its rock."""
    beam = shape("M872 300L0 180V330ZM892 300L1200 236V372Z", 0.22, fill="#fff2c4")
    tower = "M842 620L858 330H906L922 620Z"
    bands = "".join(
        shape(f"M{850 - i * 2} {420 + i * 72}h{64 + i * 5}v30h-{66 + i * 5}Z", 0.85, fill=CREAM)
        for i in range(3)
    )
    top = shape("M850 330h64v-10h-64ZM862 320V280h40v40ZM854 280L882 250L910 280Z", 0.94)
    lamp = shape("M870 286h24v30h-24Z", 1, fill="#ffe9a0")
    rock = shape(
        "M600 700C660 640 720 648 770 612C820 590 960 590 1010 640C1060 690 1140 690 1200 730V980H540Z", 0.9
    )
    house = shape("M930 616v-52l36-34l36 34v52Z", 0.94) + shape("M954 574h20v22h-20Z", 1, fill="#ffe9a0")
    front = water(600, 0.5, "light") + beam + shape(tower, 0.92) + bands + top + lamp + rock + house
    return (
        f'<g transform="translate({WIDTH} 0) scale(-1 1)">'
        f"{ridge([560, 520, 548, 500, 540, 530, 556], 0.36) + front}</g>"
    )


def peaks() -> str:
    """Three ranges and a lake."""
    small = "M230 330L292 418L252 402L230 432L200 406L162 424Z"
    great = "M600 210L676 320L630 298L596 336L566 300L518 322Z"
    range_ = "M0 560L230 330L400 520L600 210L800 500L1000 400L1200 540V980H0Z"
    snow = shape(small, 0.85, fill=CREAM) + shape(great, 0.85, fill=CREAM)
    trees = (30, 86, 140, 210, 1010, 1066, 1128, 1180)
    return (
        ridge([430, 360, 420, 300, 400, 340, 420], 0.3, sharp=True)
        + shape(range_, 0.58)
        + snow
        + water(620, 0.62, "lake")
        + "".join(pine(x, 700 + (x % 7) * 6, 150 + (x * 37) % 70, 0.9) for x in trees)
        + ridge([700, 730, 770, 790, 780, 740, 690], 0.92)
    )


def old_town() -> str:
    """Domes, towers and lit windows."""
    rng = random.Random("town")
    out = [ridge([520, 470, 510, 450, 500, 480, 510], 0.22)]
    for base, opacity in ((600, 0.45), (680, 0.8)):
        x, d, spires = -20.0, "", ""
        lights = []
        while x < WIDTH + 20:
            wide, top = rng.uniform(64, 130), base - rng.uniform(30, 160)
            kind = rng.choice(("gable", "flat", "dome", "tower"))
            d += f"M{x:.0f} {DEEP}V{top:.0f}"
            middle = x + wide / 2
            if kind == "gable":
                d += f"L{middle:.0f} {top - wide * 0.45:.0f}L{x + wide:.0f} {top:.0f}"
            elif kind == "dome":
                d += f"A{wide / 2:.0f} {wide / 2:.0f} 0 0 1 {x + wide:.0f} {top:.0f}"
                spires += f"M{middle - 3:.0f} {top - wide / 2 + 2:.0f}v-36h6v36Z"
            elif kind == "tower":
                d += (
                    f"h{wide * 0.3:.0f}v-{wide * 0.7:.0f}l{wide * 0.2:.0f} "
                    f"-{wide * 0.5:.0f}l{wide * 0.2:.0f} "
                    f"{wide * 0.5:.0f}v{wide * 0.7:.0f}H{x + wide:.0f}"
                )
            else:
                d += f"H{x + wide:.0f}"
            d += f"V{DEEP}Z"
            for row in range(3):
                if rng.random() < 0.6:
                    lights.append((x + wide * rng.uniform(0.2, 0.7), top + 26 + row * 44))
            x += wide
        out.append(shape(d + spires, opacity))
        out += [shape(f"M{lx:.0f} {ly:.0f}h13v19h-13Z", 0.95, fill="#ffdf94") for lx, ly in lights]
    return "".join(out) + ridge([780, 770, 784, 774, 782], 0.95)


def dunes() -> str:
    """A caravan between long dunes."""
    camel = (
        "M0 0l6 -34q4 -14 16 -16q6 -18 14 -2q10 -14 18 2q12 2 16 -6l10 -22l16 2l-2 "
        "8l-8 2q-6 26 -14 34l4 32h-6l-6 -26h-32l-8 26h-6l2 -26l-8 26Z"
    )
    caravan = "".join(
        f'<g transform="translate({330 + i * 128} {604 - i * 9})">{shape(camel, 0.92)}</g>' for i in range(4)
    )
    return (
        ridge([520, 470, 540, 480, 530, 500], 0.2)
        + ridge([600, 560, 620, 540, 600, 560], 0.34)
        + caravan
        + ridge([590, 606, 596, 574, 560, 600, 640], 0.55)
        + ridge([760, 700, 680, 740, 770, 720], 0.85)
    )


def pine_cabin() -> str:
    """A cabin with a light on, between pines."""
    rng = random.Random("cabin")
    far = "".join(pine(x, 640, rng.uniform(120, 190), 0.34) for x in range(-10, 1220, 52))
    near = "".join(
        pine(x, 740 + rng.uniform(-10, 30), rng.uniform(240, 380), 0.9)
        for x in (10, 90, 180, 260, 950, 1040, 1120, 1190)
    )
    cabin = (
        shape("M540 700V606L640 536L740 606V700Z", 0.9)
        + shape("M520 612L640 524L760 612L748 626L640 546L532 626Z", 0.98)
        + shape("M700 556v-54h22v70Z", 0.95)
    )
    lit = shape("M570 632h44v40h-44ZM662 632h40v68h-40Z", 1, fill="#ffd98a")
    smoke = (
        '<path d="M712 492C690 460 740 440 716 408S736 360 720 330" stroke="#fff4dc" '
        'stroke-opacity=".4" stroke-width="12" fill="none" stroke-linecap="round"/>'
    )
    return (
        ridge([480, 430, 490, 440, 500, 460], 0.18)
        + far
        + ridge([640, 650, 636, 650, 640], 0.45)
        + smoke
        + cabin
        + lit
        + near
        + ridge([720, 706, 698, 704, 716], 0.95)
    )


def islands() -> str:
    """Islands and one sail."""
    sail = (
        shape("M620 640L628 430C700 500 716 580 718 632Z", 0.94, fill=CREAM)
        + shape("M612 640L606 470C560 540 548 600 548 634Z", 0.8, fill=CREAM)
        + shape("M530 650H740C726 690 700 700 640 700C580 700 548 690 530 650Z", 0.95)
    )
    isles = (
        shape("M60 600C110 500 160 510 190 470C230 520 290 520 340 600Z", 0.4)
        + shape("M860 600C900 470 980 500 1010 420C1060 520 1120 500 1170 600Z", 0.5)
        + shape("M400 600C430 560 470 560 500 600Z", 0.3)
    )
    gulls = "".join(
        (
            f'<path d="M{x} {y}q14 -16 26 0q12 -16 26 0" stroke="{INK}" '
            'stroke-opacity=".8" stroke-width="5" fill="none" stroke-linecap="round"/>'
        )
        for x, y in ((420, 300), (490, 340), (380, 366), (800, 320))
    )
    return isles + water(600, 0.45, "sea") + sail + gulls


def arch() -> str:
    """A stone arch over a canyon."""
    d = (
        "M150 980V470C170 300 330 210 520 214C760 216 900 320 930 470L1000 "
        "980H770C770 640 740 440 540 436C380 434 330 560 330 980Z"
    )
    strata = "".join(
        (
            f'<path d="M150 {y}q200 -26 420 -6t440 4" stroke="#fff4dc" '
            'stroke-opacity=".12" stroke-width="7" fill="none"/>'
        )
        for y in range(260, 980, 44)
    )
    return (
        ridge([560, 520, 560, 500, 560, 530], 0.24, sharp=True)
        + ridge([640, 610, 660, 620, 650, 616], 0.4)
        + f'<clipPath id="a"><path d="{d}"/></clipPath>'
        + shape(d, 0.86)
        + f'<g clip-path="url(#a)">{strata}</g>'
        + ridge([770, 790, 800, 780, 760], 0.95)
    )


def observatory() -> str:
    """An observatory that is open."""
    stars = "".join(
        shape(f"M{x} {y}l5 13l13 5l-13 5l-5 13l-5 -13l-13 -5l13 -5Z", 0.9, fill=CREAM)
        for x, y in ((200, 130), (330, 220), (480, 120), (940, 150), (1060, 260), (770, 210), (110, 300))
    )
    dome = (
        shape("M470 600V520A150 150 0 0 1 770 520V600Z", 0.92)
        + shape("M640 372L700 392L660 520H610Z", 0.95, fill="#ffe2a0")
        + shape("M648 420L742 296L772 318L690 452Z", 0.98)
    )
    base = shape("M446 600H794V700H446Z", 0.96) + "".join(
        shape(f"M{x} 634h26v38h-26Z", 1, fill="#ffd98a") for x in (490, 560, 650, 724)
    )
    return (
        stars
        + ridge([600, 520, 580, 500, 590, 540, 600], 0.28)
        + dome
        + base
        + ridge([800, 740, 690, 690, 720, 790], 0.95)
    )


VISTAS: dict[str, Painter] = {
    "lighthouse": lighthouse,
    "peaks": peaks,
    "old-town": old_town,
    "dunes": dunes,
    "pine-cabin": pine_cabin,
    "islands": islands,
    "arch": arch,
    "observatory": observatory,
}


def view(paint: Painter) -> str:
    """A vista, raised, its ground growing dark towards the bottom."""
    stops = "".join(
        f'<stop offset="{at}" stop-color="{INK}" stop-opacity="{opacity}"/>'
        for at, opacity in ((0, 0), (0.5, 0.62), (1, 0.88))
    )
    ground = (
        f'<linearGradient id="n" x1="0" y1="0" x2="0" y2="1">{stops}</linearGradient>'
        f'<path d="M0 510H{WIDTH}V{HEIGHT}H0Z" fill="url(#n)"/>'
    )
    return f'<g transform="translate(0 {-LIFT})">{paint()}</g>{ground}'
