"""Contact sheets with Pillow: many pieces on one picture, the same bytes for the same pieces."""

import asyncio
import io
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from PIL import Image, ImageDraw

from cauldron.ports.exporting import Tile
from cauldron.typefaces import Font, drawable, font_for

MARGIN_PX, GAP_PX = 40, 12
HEADING_SHARE = 20  # the heading is a twentieth of the width high
LARGEST_SOURCE_PX = 64_000_000  # more pixels than that are not decoded
INK, SURFACE, RAISED = (22, 19, 30), (33, 29, 44), (44, 39, 58)
TEXT, QUIET, EMBER = (238, 235, 245), (165, 158, 184), (243, 139, 60)
MOST_COLUMNS = 20
WIDEST_TEXT = 120  # characters of a heading
QUALITY = 90
THREADS = 2


class PillowSheet:
    """A :class:`SheetRenderer`; tiles shrink as their number grows, so the size stays bounded."""

    async def render(self, tiles: Sequence[Tile], *, title: str, caption: str) -> bytes:
        return await asyncio.to_thread(draw_sheet, tiles, title=title, caption=caption)


def draw_sheet(tiles: Sequence[Tile], *, title: str, caption: str) -> bytes:
    """The sheet as a JPEG of at most about 2,900 × 3,000 pixels for up to 256 tiles."""
    columns, size_px = _grid(len(tiles))
    rows = math.ceil(len(tiles) / columns)
    pitch = size_px + GAP_PX
    width = 2 * MARGIN_PX + columns * pitch - GAP_PX
    heading_px = width // HEADING_SHARE
    height = 2 * MARGIN_PX + heading_px + rows * pitch - GAP_PX
    sheet = Image.new("RGB", (width, height), INK)
    _heading(sheet, title=title, caption=caption, height_px=heading_px)
    with ThreadPoolExecutor(THREADS) as pool:
        pictures = pool.map(lambda tile: _picture(tile, size_px), tiles)
        for place, picture in enumerate(pictures):
            row, column = divmod(place, columns)
            left = MARGIN_PX + column * pitch
            top = MARGIN_PX + heading_px + row * pitch
            sheet.paste(picture, (left, top))
    whole = io.BytesIO()
    sheet.save(whole, "JPEG", quality=QUALITY, subsampling=0)
    return whole.getvalue()


def _grid(count: int) -> tuple[int, int]:
    """Columns, and the side of a tile in pixels: a little wider than high, the last row as full as can be."""
    ideal = math.sqrt(count * 1.25)
    nearby = range(max(1, math.floor(ideal * 0.85)), min(MOST_COLUMNS, math.ceil(ideal * 1.25)) + 1)
    columns = max(3, min(nearby, key=lambda wide: (-count % wide, abs(wide - ideal))))
    return columns, max(160, min(320, 2560 // columns))


def _heading(sheet: Image.Image, *, title: str, caption: str, height_px: int) -> None:
    draw = ImageDraw.Draw(sheet)
    left, right = MARGIN_PX, sheet.width - MARGIN_PX
    middle, line = MARGIN_PX + height_px * 0.32, MARGIN_PX + round(height_px * 0.7)
    title, caption = drawable(title), drawable(caption)
    big, small = font_for(title, height_px * 0.42), font_for(caption, height_px * 0.24)
    said = _fitted(draw, caption, font=small, width_px=(right - left) * 0.45)
    free = right - left - draw.textlength(said, font=small) - height_px / 2
    name = _fitted(draw, title, font=big, width_px=free)
    draw.text((left, middle), name, fill=TEXT, font=big, anchor="lm")
    draw.text((right, middle), said, fill=QUIET, font=small, anchor="rm")
    draw.line((left, line, right, line), fill=RAISED, width=2)
    draw.line((left, line, left + height_px, line), fill=EMBER, width=4)


def _fitted(draw: ImageDraw.ImageDraw, text: str, *, font: Font, width_px: float) -> str:
    """``text`` on one line, cut with an ellipsis where it would not fit."""
    line = " ".join(text.split())[:WIDEST_TEXT]
    if draw.textlength(line, font=font) <= width_px:
        return line
    while line and draw.textlength(line + "…", font=font) > width_px:
        line = line[:-1]
    return line.rstrip() + "…"


def _picture(tile: Tile, size_px: int) -> Image.Image:
    """One tile, its art whole and centred; small pixel art grows by whole steps."""
    ground = Image.new("RGB", (size_px, size_px), SURFACE)
    try:
        art = _opened(tile, size_px)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return _blank(tile, size_px)
    scale = min(size_px / art.width, size_px / art.height)
    if scale >= 2:
        step = int(scale)
        art = art.resize((art.width * step, art.height * step), Image.Resampling.NEAREST)
    elif scale != 1:
        shape = (max(1, round(art.width * scale)), max(1, round(art.height * scale)))
        art = art.resize(shape, Image.Resampling.LANCZOS, reducing_gap=1.5)
    corner = ((size_px - art.width) // 2, (size_px - art.height) // 2)
    ground.paste(art, corner, art if art.mode == "RGBA" else None)
    return ground


def _opened(tile: Tile, size_px: int) -> Image.Image:
    with Image.open(tile.path) as image:
        if image.width * image.height > LARGEST_SOURCE_PX:
            raise ValueError("too many pixels")
        image.draft("RGB", (size_px, size_px))
        return image.convert("RGBA" if image.has_transparency_data else "RGB")


def _blank(tile: Tile, size_px: int) -> Image.Image:
    """What stands for a piece that is no picture: its number and its type."""
    blank = Image.new("RGB", (size_px, size_px), SURFACE)
    draw = ImageDraw.Draw(blank)
    label = f"#{tile.label}"
    draw.text((size_px / 2, size_px / 2 - 14), label, fill=TEXT, font=font_for(label, 20), anchor="mm")
    kind = tile.mime.partition("/")[2][:16] or "file"
    draw.text((size_px / 2, size_px / 2 + 14), kind, fill=QUIET, font=font_for(kind, 14), anchor="mm")
    return blank
