"""Reads folders of layer images: names, weights and nesting, nothing outside the project."""

import math
import re
import unicodedata
import warnings
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from cauldron.adapters.importers.findings import Notes
from cauldron.adapters.importers.names import clean, natural
from cauldron.domain.errors import Invalid

IMAGE_TYPES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".gif"})
FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
SYSTEM_FILES = frozenset({"thumbs.db", "desktop.ini", "icon\r"})
MAX_PIXELS = 64_000_000
MAX_FILES = 100_000
MAX_DEPTH = 8
_Z_INDEX = re.compile(r"^z(-?\d{1,6}),")
_NUMBER = re.compile(r"\s*(?:[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)?\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """One image or folder inside a layer.

    ``weight`` is None where the name has none; ``z`` is the ``z3,`` prefix, 0 when
    absent; ``query`` holds ``?blend=…&opacity=…`` settings; ``children`` is None for
    an image.
    """

    name: str
    path: Path
    weight: float | None
    z: int | None
    query: dict[str, str]
    children: "tuple[Element, ...] | None" = None


class LayerReader:
    """Reads layer folders below ``root``; what it leaves out goes to ``notes``."""

    def __init__(self, root: Path, *, delimiter: str, notes: Notes) -> None:
        self._root = root.resolve()
        self._delimiter = delimiter
        self._notes = notes
        self._files = 0

    def read(self, folder: Path, *, depth: int = 1) -> list[Element]:
        """The images and folders in ``folder``, in natural order.

        Raises:
            Invalid: over 100,000 files, or folders nested deeper than 8.
        """
        if depth > MAX_DEPTH:
            raise Invalid(f"{shown(folder, self._root)}: folders nested deeper than {MAX_DEPTH}")
        found: list[Element] = []
        for path in sorted(folder.iterdir(), key=lambda entry: natural(entry.name)):
            if not _is_hidden(path) and not self._left_out(path):
                found.append(self._element(path, depth=depth))
        return found

    def _left_out(self, path: Path) -> bool:
        """Whether ``path`` cannot be a layer; says why."""
        self._files += 1
        if self._files > MAX_FILES:
            raise Invalid(f"{shown(self._root, self._root)}: more than {MAX_FILES} files")
        reason = ""
        if path.is_symlink() and (path.is_dir() or not path.resolve().is_relative_to(self._root)):
            reason = "a link to somewhere else; links are not followed"
        elif not path.is_dir() and not path.is_file():
            reason = "not a regular file"
        elif path.is_file() and path.suffix.lower() not in IMAGE_TYPES:
            reason = "not a PNG, JPEG, WebP or GIF image"
        elif any(unicodedata.category(c) in ("Cc", "Cs") for c in path.name) or "\\" in path.name:
            reason = "its name has characters that no path may have"
        if reason:
            self._notes.add(shown(path, self._root), reason)
        return bool(reason)

    def _element(self, path: Path, *, depth: int) -> Element:
        is_folder = path.is_dir()
        stem = path.name if is_folder else path.stem
        query = re.search(rf"\?(\w+=[^?{re.escape(self._delimiter)}]*)", stem)
        stem = stem.replace(query[0], "") if query else stem
        z = _Z_INDEX.match(stem)
        label, *rest = stem[z.end() if z else 0 :].split(self._delimiter)
        return Element(
            name=clean(label),
            path=path,
            weight=self._weight(path, rest[-1]) if rest else None,
            z=int(z[1]) if z else None,
            query=dict(p.split("=", 1) for p in query[1].split("&") if "=" in p) if query else {},
            children=tuple(self.read(path, depth=depth + 1)) if is_folder else None,
        )

    def _weight(self, path: Path, text: str) -> float | None:
        """The number after the delimiter, as JavaScript's ``Number`` reads it."""
        value = float(text) if _NUMBER.fullmatch(text) and text.strip() else math.nan
        if not text.strip():
            self._notes.add(shown(path, self._root), "its weight is empty and counts as 0")
            return 0.0
        if math.isfinite(value) and 0 <= value <= 1e12:
            return value
        self._notes.add(shown(path, self._root), f"the weight {clean(text)!r} is no usable number; 1 is used")
        return 1.0


def shown(path: Path, root: Path) -> str:
    """``path`` below ``root`` as one printable line, with forward slashes."""
    parts = path.relative_to(root).parts if path.is_relative_to(root) else (path.name,)
    return "/".join(clean(part) for part in parts) or "."


def size_of(path: Path) -> tuple[int, int] | None:
    """Width and height in pixels from an image's header; None when it is not readable."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as image:
                return image.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def is_animated(path: Path) -> bool:
    """Whether a readable image has more than one picture."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            return bool(getattr(image, "is_animated", False))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False


def is_blank(path: Path) -> bool:
    """Whether an image shows nothing: an empty file, or every pixel is fully transparent."""
    if not path.stat().st_size:
        return True
    size = size_of(path)
    if size is None or size[0] * size[1] > MAX_PIXELS:
        return False
    try:
        with Image.open(path, formats=FORMATS) as image:
            return image.convert("RGBA").getchannel("A").getextrema() == (0, 0)
    except (OSError, ValueError, SyntaxError):
        return False


def _is_hidden(path: Path) -> bool:
    return path.name.startswith(".") or path.name.lower() in SYSTEM_FILES
