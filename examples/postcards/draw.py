"""Draws the pictures the postcards need: vistas, stamps and the paper frame, below ``art/``.

Vistas are dark shapes of several strengths and no colour of their own, so they take on
whatever sky the spell makes. ``--out DIR`` writes elsewhere, ``--only stamp/whale`` draws a few.
"""

import argparse
import io
import math
from pathlib import Path

import numpy as np
import resvg_py
from PIL import Image
from views import HEIGHT, VISTAS, WIDTH, view

HERE = Path(__file__).parent
STAMP_WIDTH, STAMP_HEIGHT = 190, 230


def frame() -> str:
    """The paper border around the picture, a little worn."""
    d = (
        f"M0 0H{WIDTH}V{HEIGHT}H0ZM56 44q-12 0 -12 12V{HEIGHT - 56}q0 12 12 "
        f"12H{WIDTH - 56}q12 0 12 -12V56q0 -12 -12 -12Z"
    )
    paper = (
        '<linearGradient id="p" x1="0" y1="0" x2="1" y2="1"><stop offset="0" '
        'stop-color="#fbf3e2"/><stop offset="1" stop-color="#ead9bb"/>'
        f'</linearGradient><path d="{d}" fill="url(#p)" fill-rule="evenodd"/>'
    )
    line = (
        f'<rect x="44" y="44" width="{WIDTH - 88}" height="{HEIGHT - 88}" rx="12" '
        'fill="none" stroke="#3a2434" stroke-opacity=".35" stroke-width="2"/>'
    )
    return paper + line


STAMPS = {
    "whale": (
        "#2f6f8f",
        (
            "M52 128C60 92 112 88 132 122C140 118 146 106 142 96C156 98 160 112 152 "
            "126C150 154 120 166 92 160C70 156 52 146 52 128ZM70 126a4 4 0 1 0 .1 0ZM96 "
            "74q-10 -14 -22 -6M96 74q10 -14 22 -6M96 74v18"
        ),
    ),
    "lantern": (
        "#b5543c",
        "M95 58a10 10 0 1 1 .1 0ZM66 84L95 62L124 84ZM72 90H118L112 150H78ZM66 156H124V166H66Z",
    ),
    "moon": (
        "#3c3f86",
        "M112 66A52 52 0 1 0 130 148A42 42 0 1 1 112 66ZM126 84l5 12l12 5l-12 5l-5 12l-5 -12l-12 -5l12 -5Z",
    ),
    "fox": (
        "#c9702f",
        (
            "M56 72L80 92H110L134 72L138 118L95 166L52 118ZM76 116a6 6 0 1 0 .1 0ZM114 "
            "116a6 6 0 1 0 .1 0ZM89 146h12l-6 9Z"
        ),
    ),
    "fern": (
        "#3f7a4e",
        (
            "M92 168C90 130 94 96 110 62L114 64C100 98 98 130 98 168ZM96 140C76 140 62 "
            "130 56 112C78 110 92 122 97 136ZM99 120C120 122 136 112 142 96C120 92 104 "
            "104 98 116ZM100 100C84 98 74 88 70 72C88 74 98 84 103 96Z"
        ),
    ),
    "comet": ("#7a3f7f", "M70 138a22 22 0 1 0 .1 0ZM86 126L140 62L100 142ZM78 116L120 58L92 122Z"),
    "teapot": (
        "#a8843a",
        (
            "M66 108H122C130 108 126 92 140 92C150 92 148 104 138 108C130 130 124 150 "
            "112 154H78C62 150 58 126 66 108ZM78 102q16 -16 34 0ZM95 84a6 6 0 1 0 .1 0Z"
            "M62 112c-18 -2 -18 30 6 28l-2 -8c-10 0 -10 -14 -2 -14Z"
        ),
    ),
    "bell": (
        "#566a3c",
        (
            "M95 58c8 0 10 8 10 12c20 8 22 30 24 60l10 14H51l10 -14c2 -30 4 -52 24 -60c0 "
            "-4 2 -12 10 -12ZM82 150h26a13 13 0 0 1 -26 0Z"
        ),
    ),
}


def stamp(name: str) -> str:
    """A perforated stamp."""
    colour, motif = STAMPS[name]
    holes = []
    for i in range(11):
        holes += [(i * STAMP_WIDTH / 10, 0.0), (i * STAMP_WIDTH / 10, float(STAMP_HEIGHT))]
    for i in range(1, 12):
        holes += [(0.0, i * STAMP_HEIGHT / 12), (float(STAMP_WIDTH), i * STAMP_HEIGHT / 12)]
    cut = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6.2" fill="#000"/>' for x, y in holes)
    mask = (
        f'<mask id="m" maskUnits="userSpaceOnUse" x="0" y="0" width="{STAMP_WIDTH}" '
        f'height="{STAMP_HEIGHT}"><rect width="{STAMP_WIDTH}" height="{STAMP_HEIGHT}" '
        f'fill="#fff"/>{cut}</mask>'
    )
    rays = "".join(
        (
            f'<path d="M95 118L{95 + 160 * math.cos(a):.1f} '
            f"{118 + 160 * math.sin(a):.1f}L{95 + 160 * math.cos(a + 0.13):.1f} "
            f'{118 + 160 * math.sin(a + 0.13):.1f}Z" fill="#fff" fill-opacity=".12"/>'
        )
        for a in (i * math.pi / 12 for i in range(24))
    )
    field = (
        '<clipPath id="f"><rect x="18" y="18" width="154" height="194" rx="4"/>'
        '</clipPath><rect x="18" y="18" width="154" height="194" rx="4" '
        f'fill="{colour}"/><g clip-path="url(#f)">{rays}</g>'
    )
    value = (
        '<path d="M34 190h60v6h-60ZM34 200h40v5h-40Z" fill="#fff6e0" '
        'fill-opacity=".8"/><circle cx="148" cy="190" r="16" fill="#fff6e0"/>'
    ) + f'<path d="M143 181h9v18h-5v-13h-4Z" fill="{colour}"/>'
    art = (
        f'<path d="{motif}" fill="#fff6e0" stroke="#fff6e0" stroke-width="3" '
        'stroke-linejoin="round" fill-rule="evenodd"/>'
    )
    return (
        f'{mask}<g mask="url(#m)"><rect width="{STAMP_WIDTH}" height="{STAMP_HEIGHT}" '
        f'fill="#fbf3e2"/>{field}{art}{value}</g>'
    )


def pictures() -> dict[str, tuple[str, int, int]]:
    """``folder/name`` -> SVG body, width and height in pixels."""
    found = {f"vista/{name}": (view(paint), WIDTH, HEIGHT) for name, paint in VISTAS.items()}
    found |= {f"stamp/{name}": (stamp(name), STAMP_WIDTH, STAMP_HEIGHT) for name in STAMPS}
    return found | {"frame": (frame(), WIDTH, HEIGHT)}


def render(body: str, width: int, height: int) -> Image.Image:
    """The picture as RGBA."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}">'
    )
    raw = resvg_py.svg_to_bytes(svg_string=f"{head}{body}</svg>", skip_system_fonts=True)
    pixels = np.array(Image.open(io.BytesIO(bytes(raw))).convert("RGBA"))
    pixels[pixels[..., 3] == 0] = 0
    return Image.fromarray(pixels, "RGBA")


def main() -> None:
    """Draw all pictures, or those named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=None, metavar="FOLDER/NAME")
    parser.add_argument("--out", type=Path, default=HERE / "art")
    options = parser.parse_args()
    known = pictures()
    for name in known if options.only is None else options.only:
        target = options.out / f"{name}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        render(*known[name]).save(target, optimize=True, compress_level=9)


if __name__ == "__main__":
    main()
