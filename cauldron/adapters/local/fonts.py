"""The bundled fonts and fonts that users supply."""

import atexit
import io
import tempfile
import unicodedata
from functools import lru_cache
from pathlib import Path

from PIL import ImageFont

from cauldron.adapters.local.refusals import refusal
from cauldron.domain.media import MediaRef
from cauldron.ports.tools import Media
from cauldron.typefaces import file_for, has

Font = ImageFont.FreeTypeFont
MAX_FONT_BYTES = 20 * 2**20
PLAIN = {
    "–": "-",
    "—": "-",
    "−": "-",
    "‚": ",",
    "„": '"',
    "ß": "ss",
    "æ": "ae",
    "œ": "oe",
    "ø": "o",
    "ł": "l",
}


class Face:
    """A font file. ``shown`` keeps what it can draw."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = lru_cache(maxsize=64)(self._at)

    def _at(self, size: int) -> Font:
        return ImageFont.truetype(io.BytesIO(self._data), size)

    def shown(self, text: str) -> str:
        """``text`` with letters the font lacks replaced by plain ones, or by ``?``."""
        return "".join(self._nearest(letter) for letter in text)

    def _nearest(self, letter: str) -> str:
        if letter.isspace() or self._has(letter):
            return letter
        plain = PLAIN.get(letter.lower()) or unicodedata.normalize("NFKD", letter)
        plain = plain.upper() if letter.isupper() else plain
        kept = "".join(part for part in plain if self._has(part))
        return kept or ("" if unicodedata.combining(letter) else "?")

    def _has(self, letter: str) -> bool:
        return has(letter, self._data)


@lru_cache(maxsize=8)
def _face(data: bytes) -> Face:
    return Face(data)


def font_bytes(ref: MediaRef | None, media: Media, *, path: str, text: str) -> bytes:
    """The font file ``ref``, checked, or the bundled one that has the letters of ``text``.

    Raises:
        InvalidMany: not a TrueType or OpenType font, or over 20 MB.
    """
    if ref is None:
        return file_for(text)
    if ref.get("sizeBytes", 0) > MAX_FONT_BYTES:
        raise refusal(path, "too_large", f"is over {MAX_FONT_BYTES:,} bytes")
    data = media.read(ref)
    try:
        ImageFont.truetype(io.BytesIO(data), 16)
    except (OSError, ValueError, SyntaxError) as exc:
        raise refusal(path, "not_a_font", "is not a TrueType or OpenType font") from exc
    return data


def face_of(ref: MediaRef | None, media: Media, *, path: str, text: str) -> Face:
    """The font to draw with; see :func:`font_bytes`."""
    return _face(font_bytes(ref, media, path=path, text=text))


@lru_cache(maxsize=8)
def font_file(data: bytes) -> str:
    """A file with ``data`` for libraries that want a path; removed when the process ends."""
    with tempfile.NamedTemporaryFile(suffix=".ttf", delete=False) as file:
        file.write(data)
    atexit.register(Path(file.name).unlink, missing_ok=True)
    return file.name
