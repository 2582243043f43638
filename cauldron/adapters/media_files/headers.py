"""Looks at a file before it is stored: what it is, how large, and whether it is whole."""

import os
import stat
import struct
import warnings
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from cauldron.domain.media import MediaRef

MAX_PIXELS = 64_000_000  # of one frame, as the header declares
MAX_IMAGE_BYTES = 128 * 2**20
MAX_FILE_BYTES = 2**31
ENDINGS = {"PNG": (".png",), "JPEG": (".jpg", ".jpeg"), "WEBP": (".webp",), "GIF": (".gif",)}
MIMES = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp", "GIF": "image/gif"}
OTHER_MIMES = {
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
    ".md": "text/markdown",
    ".json": "application/json",
    ".csv": "text/csv",
    ".pdf": "application/pdf",
    ".ttf": "font/ttf",
    ".otf": "font/otf",
    ".woff2": "font/woff2",
    ".mp3": "audio/mpeg",
    ".wav": "audio/wav",
    ".ogg": "audio/ogg",
    ".mp4": "video/mp4",
    ".webm": "video/webm",
    ".glb": "model/gltf-binary",
}
_BROKEN = (OSError, ValueError, SyntaxError, EOFError, LookupError, TypeError, struct.error, MemoryError)


class MediaProblem(Exception):
    """A file that cannot be used, with a stable code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of a file without decoding it."""

    mime: str
    size_bytes: int
    width: int | None = None  # pixels
    height: int | None = None  # pixels

    def reference(self, digest: str, *, name: str) -> MediaRef:
        """The media reference of the stored content with this digest."""
        ref = MediaRef(media=f"sha256:{digest}", mime=self.mime, sizeBytes=self.size_bytes)
        if self.width is not None and self.height is not None:
            ref["width"], ref["height"] = self.width, self.height
        ref["name"] = name
        return ref


def inspect_image(path: Path) -> Facts:
    """The facts of a PNG, JPEG, WebP or GIF image.

    Raises:
        MediaProblem: another type, another ending than its type has, over 64
            megapixels or 128 MiB, cut short or damaged.
    """
    if path.suffix.lower() == ".svg":
        raise MediaProblem("not_an_image", "is an SVG; give it as {file: …} to svg.template")
    size_bytes = _size_of(path, most=MAX_IMAGE_BYTES)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=tuple(ENDINGS)) as image:
                kind, (width, height) = str(image.format), image.size
                _check_pixels(width, height)
                _check_ending(path, kind)
                _check_whole(path, kind, image)
    except Image.DecompressionBombError as exc:
        raise MediaProblem("too_many_pixels", f"declares over {MAX_PIXELS:,} pixels") from exc
    except UnidentifiedImageError as exc:
        raise MediaProblem("not_an_image", "is no PNG, JPEG, WebP or GIF image") from exc
    except _BROKEN as exc:
        raise MediaProblem("damaged_image", f"is damaged or cut short: {exc!s:.100}") from exc
    return Facts(mime=MIMES[kind], size_bytes=size_bytes, width=width, height=height)


def inspect_file(path: Path) -> Facts:
    """The facts of any file; images are checked as such.

    Raises:
        MediaProblem: as :func:`inspect_image`, or over 2 GiB.
    """
    ending = path.suffix.lower()
    if any(ending in endings for endings in ENDINGS.values()):
        return inspect_image(path)
    mime = OTHER_MIMES.get(ending, "application/octet-stream")
    return Facts(mime=mime, size_bytes=_size_of(path, most=MAX_FILE_BYTES))


def _size_of(path: Path, *, most: int) -> int:
    try:
        found = path.stat()
    except OSError as exc:
        raise MediaProblem("unreadable", f"cannot be read: {exc.strerror}") from exc
    if not stat.S_ISREG(found.st_mode):
        raise MediaProblem("not_a_file", "is no regular file")
    if not found.st_size:
        raise MediaProblem("empty_file", "is empty")
    if found.st_size > most:
        raise MediaProblem("too_large", f"is {found.st_size:,} bytes, {most:,} allowed")
    if not os.access(path, os.R_OK):
        raise MediaProblem("unreadable", "cannot be read: no permission")
    return found.st_size


def _check_pixels(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise MediaProblem("too_many_pixels", f"is {width} × {height}, over {MAX_PIXELS:,} pixels")


def _check_ending(path: Path, kind: str) -> None:
    if path.suffix.lower() not in ENDINGS[kind]:
        raise MediaProblem(
            "wrong_ending", f"is a {kind} image, but is named {path.suffix or 'without ending'!r}"
        )


def _check_whole(path: Path, kind: str, image: Image.Image) -> None:
    """Refuse a file that ends too early, by what its format allows to see cheaply.

    PNG: every chunk and its checksum; JPEG: decoded at an eighth of its size; GIF:
    its last bytes. A WebP that is cut short cannot even be opened.
    """
    if kind == "PNG":
        image.verify()
    elif kind == "JPEG":
        image.draft("RGB", (max(1, image.width // 8), max(1, image.height // 8)))
        image.load()
    elif kind == "GIF" and b";" not in _last_bytes(path, 16):
        raise MediaProblem("damaged_image", "is cut short: it has no end")


def _last_bytes(path: Path, count: int) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - count))
        return file.read(count)
