"""Cards for links with Pillow: a real output beside the name of the spell that made it."""

import asyncio
import io
from pathlib import Path

from PIL import Image, ImageDraw, ImageOps

from cauldron.ports.sharing import CARD_HEIGHT, CARD_WIDTH
from cauldron.typefaces import Font, drawable, font_for

INK, TEXT, QUIET, EMBER = (22, 19, 30), (238, 235, 245), (165, 158, 184), (243, 139, 60)
LARGEST_SOURCE_PX = 64_000_000  # more pixels than that are not decoded
MARGIN_PX = 64
MOST_TITLE_LINES, MOST_CAPTION_LINES = 3, 4
WIDEST_TEXT = 300  # characters that are looked at
QUALITY = 88
STUDIO = "Cauldron"


class PillowShareCards:
    """A :class:`ShareCards`."""

    async def draw(self, picture: Path | None, *, title: str, caption: str) -> bytes:
        return await asyncio.to_thread(draw_card, picture, title=title, caption=caption)


def draw_card(picture: Path | None, *, title: str, caption: str) -> bytes:
    """The card as a JPEG: the art whole on the right, square; the words on the left."""
    card = Image.new("RGB", (CARD_WIDTH, CARD_HEIGHT), INK)
    art = None if picture is None else _art(picture)
    left_px = CARD_WIDTH
    if art is not None:
        left_px = CARD_WIDTH - art.width
        card.paste(art, (left_px, 0))
    _words(card, title=title, caption=caption, width_px=left_px - 2 * MARGIN_PX)
    whole = io.BytesIO()
    card.save(whole, "JPEG", quality=QUALITY)
    return whole.getvalue()


def _art(path: Path) -> Image.Image | None:
    """The picture cut to the card's height and at most a square; None when it cannot be read."""
    try:
        with Image.open(path) as image:
            if image.width * image.height > LARGEST_SOURCE_PX:
                return None
            image.draft("RGB", (CARD_HEIGHT, CARD_HEIGHT))
            whole = image.convert("RGBA")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    ground = Image.new("RGBA", whole.size, (*INK, 255))
    ground.alpha_composite(whole)
    width_px = min(max(CARD_HEIGHT // 2, round(CARD_HEIGHT * whole.width / whole.height)), CARD_HEIGHT + 90)
    return ImageOps.fit(ground.convert("RGB"), (width_px, CARD_HEIGHT), Image.Resampling.LANCZOS)


def _words(card: Image.Image, *, title: str, caption: str, width_px: int) -> None:
    draw = ImageDraw.Draw(card)
    title, caption = _drawable(title) or STUDIO, _drawable(caption)
    big, small = font_for(title, 58), font_for(caption, 28)
    name = _lines(draw, title, font=big, width_px=width_px, most=MOST_TITLE_LINES)
    said = _lines(draw, caption, font=small, width_px=width_px, most=MOST_CAPTION_LINES)
    top = (CARD_HEIGHT - 40 - 70 * len(name) - 38 * len(said)) // 2
    draw.rectangle((MARGIN_PX, top, MARGIN_PX + 72, top + 6), fill=EMBER)
    top += 36
    for line in name:
        draw.text((MARGIN_PX, top), line, fill=TEXT, font=big)
        top += 70
    top += 12
    for line in said:
        draw.text((MARGIN_PX, top), line, fill=QUIET, font=small)
        top += 38


def _drawable(text: str) -> str:
    """``text`` without characters that no font has a shape for; empty when little is left of it.

    Sites show the title beside the card: a card without it says more than one of empty boxes.
    """
    text = text[:WIDEST_TEXT]
    kept = drawable(text)
    return kept if 2 * len("".join(kept.split())) > len("".join(text.split())) else ""


def _lines(draw: ImageDraw.ImageDraw, text: str, *, font: Font, width_px: int, most: int) -> list[str]:
    """``text`` broken between words into at most ``most`` lines; what does not fit ends in an ellipsis."""
    lines: list[str] = []
    line = ""
    for word in text[:WIDEST_TEXT].split():
        longer = f"{line} {word}".strip()
        if draw.textlength(longer, font=font) <= width_px:
            line = longer
            continue
        if len(lines) == most - 1:
            return [*lines, _cut(draw, longer, font=font, width_px=width_px)]
        lines += [line] if line else []
        line = (
            word
            if draw.textlength(word, font=font) <= width_px
            else _cut(draw, word, font=font, width_px=width_px)
        )
    return [*lines, line] if line else lines


def _cut(draw: ImageDraw.ImageDraw, text: str, *, font: Font, width_px: int) -> str:
    while text and draw.textlength(f"{text}…", font=font) > width_px:
        text = text[:-1]
    return f"{text.rstrip()}…"
