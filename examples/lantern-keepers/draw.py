"""Draws the art of the collection: ``python draw.py`` writes every layer below ``art/``.

The same code gives the same pixels. ``--only sky/plum lantern/pumpkin`` draws a few,
``--out DIR`` writes elsewhere, ``--svg`` keeps the SVG beside each picture.
"""

import argparse
import io
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import resvg_py
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))

from studio.canvas import Canvas
from studio.catalogue import pictures
from studio.indexed import indexed

HERE = Path(__file__).parent
WIDE_RANGE = ("one/the-first-lantern",)  # a whole scene: 256 colours would show as bands
FAINT = 3  # alpha below this is nothing: it costs bytes and shows as a halo


def drawing(paint: Callable[[Canvas], None]) -> str:
    """The SVG text of one picture."""
    canvas = Canvas()
    paint(canvas)
    return canvas.svg()


def render(svg: str) -> Image.Image:
    """The picture as RGBA, with nothing hidden under transparent pixels."""
    raw = resvg_py.svg_to_bytes(svg_string=svg, skip_system_fonts=True)
    pixels = np.array(Image.open(io.BytesIO(bytes(raw))).convert("RGBA"))
    pixels[pixels[..., 3] < FAINT] = 0
    return Image.fromarray(pixels, "RGBA")


def main() -> None:
    """Draw all pictures, or those named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=None, metavar="FOLDER/NAME")
    parser.add_argument("--out", type=Path, default=HERE / "art")
    parser.add_argument("--svg", action="store_true")
    options = parser.parse_args()
    known = pictures()
    wanted = known if options.only is None else {name: known[name] for name in options.only}
    for name, paint in wanted.items():
        target = options.out / f"{name}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        svg = drawing(paint)
        if options.svg:
            target.with_suffix(".svg").write_text(svg, encoding="utf-8")
        picture = render(svg)
        small = picture if name in WIDE_RANGE else indexed(picture)
        small.save(target, optimize=True, compress_level=9)


if __name__ == "__main__":
    main()
