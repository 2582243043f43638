"""Anchor points that every layer agrees on, and the body parts that keepers share."""

from collections.abc import Sequence

from studio.canvas import Canvas, Point, blob, limb, mirrored, pts, ring
from studio.colour import NIGHT, Coat, mix

CX = 468  # middle of every body, head and hat
CROWN_Y = 290  # every head ends here, so every hat sits
EYES = ((CX - 60, 430), (CX + 60, 430))
NECK_Y = 566  # scarves and collars
GROUND_Y = 890  # soles
PAW = (716, 652)  # grip on the staff
HOOK = (816, 336)  # the lantern hangs here
FLAME = (816, 470)  # middle of every lantern's window, before it is grown around the hook
GROWN = 1.14  # lanterns and flames are drawn smaller than they hang
FRIEND = (182, 884)  # where a companion stands


def ground_shadow(c: Canvas, *, half_width: float = 215) -> None:
    """The soft shadow a keeper throws to the left, away from the lantern."""
    d = ring(CX - 34, GROUND_Y + 4, half_width, 24)
    c.path(d, "#070616", filter=c.blur(11, around=d), opacity="0.62")


def outline(half: Sequence[Point]) -> str:
    """A closed, mirrored outline around the middle of the body."""
    return blob(mirrored(half, cx=CX))


def both(points: Sequence[Point]) -> tuple[list[Point], list[Point]]:
    """``(dx, y)`` points on the left and on the right of the body."""
    return [(CX - p[0], *p[1:]) for p in points], [(CX + p[0], *p[1:]) for p in points]


def arms(c: Canvas, coat: Coat, *, width: float = 1.0, shoulder: float = 122) -> None:
    """The left arm at rest."""
    at = CX - shoulder
    resting = limb(pts("0,622 -30,715 6,800", at), [70 * width, 68 * width, 52 * width])
    c.form(resting, coat, span=(at - 110, at + 130), rim=5, depth=14, lamp=0.55)


def grip(c: Canvas, coat: Coat, *, width: float = 1.0, shoulder: float = 122, paw: str = "") -> None:
    """The right arm and the paw closed around the staff, painted last."""
    reach = limb(
        [(CX + shoulder - 4, 628), (CX + shoulder + 62, 690), (PAW[0] - 14, PAW[1] + 4)],
        [72 * width, 66 * width, 50 * width],
    )
    c.form(reach, coat, span=(480, 780), rim=7, depth=10, moon=0.12)
    hand = Coat(paw, coat.pale, coat.accent) if paw else coat
    px, py = PAW
    knuckles = blob(pts("-34,-16 2,-36 33,-20 37,12 16,36 -22,34 -40,10", px, py))
    c.form(knuckles, hand, span=(660, 765), rim=6, depth=12)
    for dy in (-10, 11):
        c.line(
            [(px + 35, py + dy), (px + 18, py + dy + 1), (px + 8, py + dy - 1)], hand.dark, 4, opacity="0.55"
        )


def feet(c: Canvas, coat: Coat, *, apart: float = 78, size: float = 1.0) -> None:
    """Two round feet, standing on the ground line."""
    for side in (-1, 1):
        x = CX + side * apart
        w, h = 62 * size, 34 * size
        d = blob(
            [
                (x - w, GROUND_Y - 4),
                (x - w * 0.7, GROUND_Y - h),
                (x, GROUND_Y - h * 1.35),
                (x + w * 0.7, GROUND_Y - h),
                (x + w, GROUND_Y - 4),
                (x, GROUND_Y + 10),
            ]
        )
        c.form(d, coat, span=(x - 90, x + 90), rim=5, depth=14)
        for dx in (-16, 14):
            c.line(
                [(x + dx * size, GROUND_Y + 4), (x + dx * size * 1.1, GROUND_Y - 14 * size)],
                coat.dark,
                4,
                opacity="0.5",
            )


def patch(c: Canvas, d: str, inside: str, colour: str, *, opacity: float = 1.0, soft: float = 3) -> None:
    """A soft-edged patch of another colour, kept inside a form."""
    c.open(clip_path=c.clip(inside))
    c.path(d, colour, opacity=opacity, filter=c.blur(soft, around=d))
    c.close()


def belly(c: Canvas, coat: Coat, inside: str, *, top: float = 610, half_width: float = 92) -> None:
    """The pale belly, lit from the right."""
    fill = c.linear(
        CX - 130,
        0,
        CX + 140,
        0,
        [
            (0, mix(coat.pale, coat.shade, 0.5), 1),
            (0.62, coat.pale, 1),
            (1, mix(coat.pale, "#fff4dc", 0.3), 1),
        ],
    )
    d = blob(
        [
            (CX, top),
            (CX + half_width * 0.8, top + 60),
            (CX + half_width, top + 170),
            (CX + half_width * 0.7, top + 250),
            (CX, top + 275),
            (CX - half_width * 0.7, top + 250),
            (CX - half_width, top + 170),
            (CX - half_width * 0.8, top + 60),
        ]
    )
    patch(c, d, inside, fill, opacity=0.92, soft=4)


def chin_shadow(c: Canvas, head: str, torso: str) -> None:
    """What the head throws on the chest."""
    c.cast(head, torso, shift=(-14, 34), soft=16, opacity=0.62)


def nose(c: Canvas, y: float, *, size: float = 1.0, colour: str = "#1d1330") -> None:
    """A wet nose with its small light."""
    w, h = 25 * size, 18 * size
    c.path(
        blob(
            [
                (CX - w, y - h * 0.6),
                (CX, y - h),
                (CX + w, y - h * 0.6),
                (CX + w * 0.55, y + h * 0.55),
                (CX, y + h),
                (CX - w * 0.55, y + h * 0.55),
            ]
        ),
        colour,
    )
    c.path(ring(CX + w * 0.3, y - h * 0.45, w * 0.34, h * 0.22), "#fff2d6", opacity="0.8")


def smile(c: Canvas, y: float, colour: str, *, reach: float = 30, drop: float = 16, width: float = 5) -> None:
    """A mouth of two small arcs meeting under the nose."""
    for side in (-1, 1):
        c.line(
            [(CX, y), (CX + side * reach * 0.5, y + drop), (CX + side * reach, y + drop * 0.55)],
            colour,
            width,
        )


def ticks(
    c: Canvas,
    inside: str,
    rows: Sequence[tuple[float, float, int]],
    colour: str,
    *,
    size: float = 15,
    opacity: float = 0.35,
) -> None:
    """Rows of small curved strokes, the weave of feathers and fur: ``(y, half width, count)``."""
    c.open(clip_path=c.clip(inside), opacity=opacity)
    for y, half, count in rows:
        for i in range(count):
            x = CX + half * (2 * (i + 0.5) / count - 1)
            c.line(
                [(x - size, y - size * 0.4), (x, y + size * 0.55), (x + size, y - size * 0.4)], colour, 4.5
            )
    c.close()


def shadow_colour(colour: str, share: float = 0.6) -> str:
    """A colour moved towards the night."""
    return mix(colour, NIGHT, share)
