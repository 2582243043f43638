"""The two typefaces that text is drawn with where nobody brings one: which has the letters of a text."""

import io
from functools import lru_cache
from importlib.resources import files

from PIL import ImageFont

Font = ImageFont.FreeTypeFont
WIDE = "DejaVuSans-subset.ttf"  # Latin, Greek, Cyrillic; its licence lies beside it
NO_CHARACTER = "\U0010ffff"
TRIED_PX = 24


def file_for(text: str) -> bytes:
    """The font file for a text: Aileron, which knows English letters only, unless DejaVu has more of its."""
    return wide() if _lacking(text, narrow()) > _lacking(text, wide()) else narrow()


def font_for(text: str, size_px: float) -> Font:
    """The font of :func:`file_for` in a size."""
    return ImageFont.truetype(io.BytesIO(file_for(text)), size_px)


def drawable(text: str) -> str:
    """``text`` without the letters that even its own font has no shape for."""
    data = file_for(text)
    return "".join(letter for letter in text if letter.isspace() or has(letter, data))


@lru_cache(maxsize=4096)
def has(letter: str, data: bytes) -> bool:
    """Whether a font file has a shape for a letter."""
    font = _tried(data)
    return letter.isprintable() and bytes(font.getmask(letter)) != bytes(font.getmask(NO_CHARACTER))


@lru_cache(maxsize=1)
def narrow() -> bytes:
    """The file of Pillow's own font (Aileron)."""
    font = ImageFont.load_default(16)
    if not isinstance(font, Font) or not isinstance(font.path, io.BytesIO):
        raise RuntimeError("Pillow was built without FreeType, which text needs")
    return font.path.getvalue()


@lru_cache(maxsize=1)
def wide() -> bytes:
    """The file of DejaVu Sans."""
    return (files(__name__) / WIDE).read_bytes()


@lru_cache(maxsize=4)
def _tried(data: bytes) -> Font:
    return ImageFont.truetype(io.BytesIO(data), TRIED_PX)


def _lacking(text: str, data: bytes) -> int:
    return sum(not has(letter, data) for letter in set(text) if not letter.isspace())
