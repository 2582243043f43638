"""Animated GIF files: one palette for all frames, each frame cropped to what changes.

Pillow compresses the frames; the file around them is put together here, because Pillow's own
writer damages files in which a frame is empty.
"""

import struct
from collections.abc import Sequence

from PIL import GifImagePlugin, Image, ImageChops

HIDDEN = 255  # the palette entry of see-through pixels
OPAQUE_FROM = 128  # alpha; a GIF pixel is either there or not
TICK_MS = 10  # GIF counts in hundredths of a second
KEEP, CLEAR = 1, 2  # what happens to a frame before the next
SAMPLES = 8
SAMPLE_SIDE = 256  # pixels


def encode(
    frames: Sequence[Image.Image], *, colors: int, dither: bool, duration_ms: int, plays: int
) -> bytes:
    """``frames`` (RGBA, one size) as a GIF file.

    Args:
        colors: size of the palette, 2–256.
        duration_ms: of each frame, rounded to hundredths of a second, at least two.
        plays: how often it is shown; 0 is for ever.
    """
    see_through = any(sum(f.getchannel("A").histogram()[:OPAQUE_FROM]) for f in frames)
    palette = _palette(frames, min(colors, 255) if see_through else colors)
    method = Image.Dither.FLOYDSTEINBERG if dither else Image.Dither.NONE
    drawn = [_indexed(frame, palette, method, see_through=see_through) for frame in frames]
    ticks = max(2, round(duration_ms / TICK_MS)) * TICK_MS
    parts = [_head(drawn[0], plays)]
    before: Image.Image | None = None
    for image in drawn:
        parts.append(_frame(image, before, see_through=see_through, duration_ms=ticks))
        before = image
    return b"".join([*parts, b";"])


def _head(first: Image.Image, plays: int) -> bytes:
    """Signature, size, palette, and how often to repeat (absent: shown once)."""
    size = struct.pack("<HHBBB", first.width, first.height, 0xF7, 0, 0)
    colors = bytes(first.getpalette() or ())[:768].ljust(768, b"\0")
    repeat = b"!\xff\x0bNETSCAPE2.0\x03\x01" + struct.pack("<HB", max(0, plays - 1), 0)
    return b"GIF89a" + size + colors + (b"" if plays == 1 else repeat)


def _frame(image: Image.Image, before: Image.Image | None, *, see_through: bool, duration_ms: int) -> bytes:
    box = _visible(image) if see_through else _changed(image, before)
    options = {"transparency": HIDDEN} if see_through else {}
    blocks = GifImagePlugin.getdata(
        image.crop(box),
        offset=box[:2],
        duration=duration_ms,
        disposal=CLEAR if see_through else KEEP,
        **options,
    )
    return b"".join(blocks)


def _visible(image: Image.Image) -> tuple[int, int, int, int]:
    shown = image.point([0 if index == HIDDEN else 255 for index in range(256)], "L")
    return shown.getbbox() or (0, 0, 1, 1)


def _changed(image: Image.Image, before: Image.Image | None) -> tuple[int, int, int, int]:
    if before is None:
        return (0, 0, *image.size)
    indexes = [Image.frombytes("L", i.size, i.tobytes()) for i in (image, before)]
    return ImageChops.difference(*indexes).getbbox() or (0, 0, 1, 1)


def _palette(frames: Sequence[Image.Image], colors: int) -> Image.Image:
    """The best colours for a sample of the frames laid side by side, in 256 entries."""
    sample = [frame.copy() for frame in frames[:: -(-len(frames) // SAMPLES)]]
    for frame in sample:
        frame.thumbnail((SAMPLE_SIDE, SAMPLE_SIDE))
    seen = b"".join(_opaque_colors(frame) for frame in sample) or b"\0\0\0"
    strip = Image.frombytes("RGB", (len(seen) // 3, 1), seen)
    palette = strip.quantize(colors, method=Image.Quantize.MEDIANCUT)
    palette.putpalette(bytes(palette.getpalette() or ())[:768].ljust(768, b"\0"))
    return palette


def _opaque_colors(frame: Image.Image) -> bytes:
    """RGB of the pixels that will be seen."""
    mask = frame.getchannel("A").tobytes()
    color = frame.convert("RGB").tobytes()
    if min(mask, default=255) >= OPAQUE_FROM:
        return color
    return b"".join(color[3 * i : 3 * i + 3] for i, alpha in enumerate(mask) if alpha >= OPAQUE_FROM)


def _indexed(
    frame: Image.Image, palette: Image.Image, dither: Image.Dither, *, see_through: bool
) -> Image.Image:
    indexed = frame.convert("RGB").quantize(palette=palette, dither=dither)
    if see_through:
        hidden = frame.getchannel("A").point([255 if a < OPAQUE_FROM else 0 for a in range(256)])
        indexed.paste(HIDDEN, (0, 0, *frame.size), hidden)
    return indexed
