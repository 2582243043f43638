"""A small SVG canvas: smooth shapes, gradients, and lit forms that all share one light."""

import math
import re
from collections.abc import Sequence

from studio.colour import LAMP, MOON, NIGHT, Coat, mix

SIZE = 1024
Point = tuple[float, ...]  # x, y, and 1 as a third value for a sharp corner
Stops = Sequence[tuple[float, str, float]]  # offset, colour, opacity


def n(value: float) -> str:
    """A number as SVG text: two decimals at most."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def pts(text: str, x: float = 0, y: float = 0) -> list[Point]:
    """Points from ``"dx,dy dx,dy! …"``, moved by ``(x, y)``; ``!`` makes a sharp corner."""
    out: list[Point] = []
    for word in text.split():
        dx, dy = map(float, word.rstrip("!").split(","))
        out.append((x + dx, y + dy, 1) if word.endswith("!") else (x + dx, y + dy))
    return out


def blob(points: Sequence[Point], *, closed: bool = True, tension: float = 0.5) -> str:
    """A smooth path through ``points`` (Catmull-Rom as Béziers); third value 1 = sharp."""
    count = len(points)
    pick = (lambda i: points[i % count]) if closed else (lambda i: points[min(max(i, 0), count - 1)])
    out = [f"M{n(points[0][0])} {n(points[0][1])}"]
    for i in range(count if closed else count - 1):
        before, here, there, after = pick(i - 1), pick(i), pick(i + 1), pick(i + 2)
        k = tension / 3 * 2
        c1 = _control(here, before, there, k)
        c2 = _control(there, after, here, k)
        out.append(f"C{n(c1[0])} {n(c1[1])} {n(c2[0])} {n(c2[1])} {n(there[0])} {n(there[1])}")
    return "".join(out) + ("Z" if closed else "")


def _control(here: Point, behind: Point, ahead: Point, k: float) -> tuple[float, float]:
    if len(here) > 2 and here[2]:
        return here[0] + (ahead[0] - here[0]) * 0.2, here[1] + (ahead[1] - here[1]) * 0.2
    return here[0] + (ahead[0] - behind[0]) * k / 2, here[1] + (ahead[1] - behind[1]) * k / 2


def mirrored(half: Sequence[Point], *, cx: float) -> list[Point]:
    """A closed outline from its right half: ``(dx, y)`` from top to bottom."""
    right = [(cx + p[0], *p[1:]) for p in half]
    left = [(cx - p[0], *p[1:]) for p in reversed(half) if p[0] > 0.5]
    return right + left


def spline(points: Sequence[Point], *, steps: int = 14) -> list[tuple[float, float]]:
    """Points along a Catmull-Rom curve through ``points``."""
    out: list[tuple[float, float]] = []
    last = len(points) - 1
    for i in range(last):
        p0, p1, p2, p3 = points[max(i - 1, 0)], points[i], points[i + 1], points[min(i + 2, last)]
        for s in range(steps):
            out.append(tuple(_catmull(p0[d], p1[d], p2[d], p3[d], s / steps) for d in (0, 1)))
    return [*out, (points[last][0], points[last][1])]


def _catmull(a: float, b: float, c: float, d: float, t: float) -> float:
    return 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)


def limb(points: Sequence[Point], widths: Sequence[float]) -> str:
    """A tapering limb along ``points``; ``widths`` are its full widths, evenly spread."""
    line = spline(points)
    left, right = [], []
    for i, (x, y) in enumerate(line):
        (ax, ay), (bx, by) = line[max(i - 1, 0)], line[min(i + 1, len(line) - 1)]
        length = math.hypot(bx - ax, by - ay) or 1.0
        half = _spread(widths, i / (len(line) - 1)) / 2
        nx, ny = -(by - ay) / length * half, (bx - ax) / length * half
        left.append((x + nx, y + ny))
        right.append((x - nx, y - ny))
    tip = _cap(line[-2], line[-1], widths[-1] / 2)
    tail = _cap(line[1], line[0], widths[0] / 2)
    return blob([*left[:-1:3], left[-1], *tip, right[-1], *right[-2::-3], right[0], *tail])


def _spread(values: Sequence[float], share: float) -> float:
    at = share * (len(values) - 1)
    low = min(int(at), len(values) - 2)
    return values[low] + (values[low + 1] - values[low]) * (at - low)


def _cap(before: Point, end: Point, reach: float) -> list[tuple[float, float]]:
    """Three points of a half circle around ``end``, from its left to its right."""
    turn = math.atan2(end[1] - before[1], end[0] - before[0])
    angles = (turn + math.pi / 4, turn, turn - math.pi / 4)
    return [(end[0] + reach * math.cos(a), end[1] + reach * math.sin(a)) for a in angles]


def ring(cx: float, cy: float, rx: float, ry: float | None = None) -> str:
    """An ellipse as a path."""
    ry = rx if ry is None else ry
    kx, ky = rx * 0.5523, ry * 0.5523  # a quarter circle as one Bézier
    corners = [
        (cx - rx, cy - ky, cx - kx, cy - ry, cx, cy - ry),
        (cx + kx, cy - ry, cx + rx, cy - ky, cx + rx, cy),
        (cx + rx, cy + ky, cx + kx, cy + ry, cx, cy + ry),
        (cx - kx, cy + ry, cx - rx, cy + ky, cx - rx, cy),
    ]
    return f"M{n(cx - rx)} {n(cy)}" + "".join("C" + " ".join(n(v) for v in c) for c in corners) + "Z"


def bounds(d: str) -> tuple[float, float, float, float]:
    """A box around a path of absolute points (control points included): left, top, right, bottom."""
    values = [float(v) for v in re.findall(r"-?\d+(?:\.\d+)?", d)]
    return min(values[::2]), min(values[1::2]), max(values[::2]), max(values[1::2])


def star(cx: float, cy: float, outer: float, *, inner: float = 0.45, tips: int = 5, turn: float = -90) -> str:
    """A star as a path; ``inner`` is the share of the outer radius."""
    corners = []
    for i in range(tips * 2):
        radius = outer if i % 2 == 0 else outer * inner
        angle = math.radians(turn + 180 / tips * i)
        corners.append(f"{n(cx + radius * math.cos(angle))} {n(cy + radius * math.sin(angle))}")
    return "M" + "L".join(corners) + "Z"


class Canvas:
    """Collects definitions and shapes, in painting order, and writes one SVG."""

    def __init__(self) -> None:
        self._defs: list[str] = []
        self._parts: list[str] = []
        self._known: dict[str, str] = {}

    def svg(self) -> str:
        """The whole drawing."""
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {SIZE} {SIZE}" '
            f'width="{SIZE}" height="{SIZE}">'
        )
        return head + "<defs>" + "".join(self._defs) + "</defs>" + "".join(self._parts) + "</svg>"

    def define(self, template: str) -> str:
        """Keep a definition once (``@`` stands for its id); the answer is ``url(#id)``."""
        if template not in self._known:
            name = f"d{len(self._known)}"
            self._known[template] = f"url(#{name})"
            self._defs.append(template.replace("@", name))
        return self._known[template]

    def linear(self, x1: float, y1: float, x2: float, y2: float, stops: Stops) -> str:
        """A linear gradient in canvas units."""
        box = f'x1="{n(x1)}" y1="{n(y1)}" x2="{n(x2)}" y2="{n(y2)}"'
        return self.define(
            f'<linearGradient id="@" gradientUnits="userSpaceOnUse" {box}>{_stops(stops)}</linearGradient>'
        )

    def radial(
        self, cx: float, cy: float, r: float, stops: Stops, *, squash: float = 1, focus: Point | None = None
    ) -> str:
        """A radial gradient; ``squash`` scales its height, ``focus`` moves its bright point."""
        fx, fy = focus or (cx, cy)
        box = f'cx="{n(cx)}" cy="0" r="{n(r)}" fx="{n(fx)}" fy="{n((fy - cy) / squash)}"'
        move = f'gradientTransform="matrix(1 0 0 {n(squash)} 0 {n(cy)})"'
        return self.define(
            f'<radialGradient id="@" gradientUnits="userSpaceOnUse" {box} {move}>'
            f"{_stops(stops)}</radialGradient>"
        )

    def blur(self, deviation: float, *, around: str = "", reach: float = 0) -> str:
        """A Gaussian blur; its region is the canvas, or the box ``around`` a path (much faster)."""
        left, top, right, bottom = bounds(around) if around else (0, 0, SIZE, SIZE)
        margin = deviation * 3 + 4 + reach if around else 80
        box = [left - margin, top - margin, right - left + 2 * margin, bottom - top + 2 * margin]
        names = ("x", "y", "width", "height")
        size = " ".join(f'{name}="{n(value)}"' for name, value in zip(names, box, strict=True))
        region = f'filterUnits="userSpaceOnUse" {size}'
        return self.define(
            f'<filter id="@" {region} color-interpolation-filters="sRGB">'
            f'<feGaussianBlur stdDeviation="{n(deviation)}"/></filter>'
        )

    def clip(self, d: str) -> str:
        """A clip to the inside of a path."""
        return self.define(f'<clipPath id="@"><path d="{d}"/></clipPath>')

    def path(self, d: str, fill: str = "none", **attributes: object) -> None:
        """Paint a path; ``_`` in attribute names stands for ``-``."""
        self._parts.append(f'<path d="{d}" fill="{fill}"{_attributes(attributes)}/>')

    def dot(self, cx: float, cy: float, r: float, fill: str, **attributes: object) -> None:
        """Paint a circle."""
        self._parts.append(
            f'<circle cx="{n(cx)}" cy="{n(cy)}" r="{n(r)}" fill="{fill}"{_attributes(attributes)}/>'
        )

    def line(self, points: Sequence[Point], colour: str, width: float, **attributes: object) -> None:
        """Paint a smooth line with round ends."""
        caps = {"stroke": colour, "stroke_width": n(width), "stroke_linecap": "round"}
        self.path(blob(points, closed=False), "none", **caps, **{"stroke_linejoin": "round"} | attributes)

    def open(self, **attributes: object) -> None:
        """Begin a group."""
        self._parts.append(f"<g{_attributes(attributes)}>")

    def close(self) -> None:
        """End a group."""
        self._parts.append("</g>")

    def form(
        self,
        d: str,
        coat: Coat,
        *,
        span: tuple[float, float] = (300, 660),
        rim: float = 11,
        depth: float = 46,
        moon: float = 0.55,
        lamp: float = 0.85,
    ) -> None:
        """Paint a lit body: lantern to the right, moon to the left, night underneath."""
        a, b = span
        _, top, _, bottom = bounds(d)
        middle, tilt = (top + bottom) / 2, (b - a) * 0.09
        stops = [(0, coat.shade, 1), (0.42, coat.base, 1), (1, coat.light, 1)]
        self.path(d, self.linear(a, middle + tilt, b, middle - tilt, stops))
        self.open(clip_path=self.clip(d))
        self.inside(d, coat.shade, shift=(depth, -depth * 0.7), soft=depth * 0.5, opacity=0.6)
        self.inside(d, LAMP, shift=(-rim, rim * 0.35), soft=rim * 0.32, opacity=lamp)
        self.inside(d, MOON, shift=(rim * 0.55, rim * 0.4), soft=rim * 0.22, opacity=moon)
        self.close()

    def inside(self, d: str, colour: str, *, shift: Point, soft: float, opacity: float) -> None:
        """Paint what ``d`` leaves uncovered when moved by ``shift``: an edge on one side."""
        left, top, right, bottom = bounds(d)
        margin = soft * 3 + max(abs(shift[0]), abs(shift[1])) + 8
        frame = (
            f"M{n(left - margin)} "
            f"{n(top - margin)}H{n(right + margin)}V{n(bottom + margin)}H{n(left - margin)}Z"
        )
        move = f"translate({n(shift[0])} {n(shift[1])})"
        self.open(filter=self.blur(soft, around=d), opacity=n(opacity))
        self.path(frame + d, colour, fill_rule="evenodd", transform=move)
        self.close()

    def cast(
        self, d: str, onto: str, *, shift: Point = (-10, 18), soft: float = 12, opacity: float = 0.5
    ) -> None:
        """The shadow that ``d`` throws on the form ``onto``."""
        self.open(clip_path=self.clip(onto))
        move = f"translate({n(shift[0])} {n(shift[1])})"
        far = max(abs(shift[0]), abs(shift[1]))
        self.open(filter=self.blur(soft, around=d, reach=far), opacity=n(opacity))
        self.path(d, mix(NIGHT, "#000000", 0.3), transform=move)
        self.close()
        self.close()


def _stops(stops: Stops) -> str:
    return "".join(f'<stop offset="{n(o)}" stop-color="{c}" stop-opacity="{n(a)}"/>' for o, c, a in stops)


def _attributes(values: dict[str, object]) -> str:
    return "".join(f' {key.replace("_", "-")}="{value}"' for key, value in values.items())
