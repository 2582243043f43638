"""Pictures from strangers through Pillow: sniffed by decoding, bounded, turned upright, encoded anew."""

import asyncio
import io
import struct
import threading
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from PIL import Image, ImageCms, ImageOps, ImageSequence, UnidentifiedImageError

from cauldron.domain.errors import InvalidMany, Problem
from cauldron.ports.pictures import Picture

T = TypeVar("T")
MIMES = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp", "GIF": "image/gif"}
MAX_PIXELS = 50_000_000  # of all frames together, as the header declares
MAX_FRAMES = 500
MAX_SIDE = 32_767  # pixels; WebP holds 16,383
AT_ONCE = 2  # pictures decoded at a time: each may take four bytes a pixel, twice
_BROKEN = (
    OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, EOFError, AttributeError,
    struct.error, zlib.error, MemoryError, RuntimeError,
)  # fmt: skip
_OPENING = threading.Lock()  # filters of warnings belong to the process


class PillowPictures:
    """The ``Pictures`` port. ``max_pixels`` bounds all frames together."""

    def __init__(self, *, max_pixels: int = MAX_PIXELS, max_frames: int = MAX_FRAMES) -> None:
        self._max_pixels = max_pixels
        self._max_frames = max_frames
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def taken(self, path: Path) -> Picture:
        """See the port."""
        return await self._beside(lambda: self._decoded(path, lambda image: _encoded(image, path)))

    async def thumbnail(self, path: Path, *, edge: int) -> Picture:
        """See the port; a lossy WebP."""
        return await self._beside(lambda: self._decoded(path, lambda image: _thumbnail(image, edge)))

    async def _beside(self, work: Callable[[], T]) -> T:
        async with self._slots:
            return await asyncio.to_thread(work)

    def _decoded(self, path: Path, use: Callable[[Image.Image], T]) -> T:
        with self._opened(path) as image:
            try:
                return use(image)
            except Image.DecompressionBombError as exc:
                raise _refusal("too_many_pixels", f"has over {self._max_pixels:,} pixels") from exc
            except _BROKEN as exc:
                raise _refusal("damaged_image", f"cannot be decoded: {type(exc).__name__}") from exc

    def _opened(self, path: Path) -> Image.Image:
        """The picture with its header read and what it declares checked; nothing is decoded yet."""
        try:
            with _OPENING, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                image = Image.open(path, formats=tuple(MIMES))
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as exc:
            raise _refusal("too_many_pixels", f"declares over {self._max_pixels:,} pixels") from exc
        except UnidentifiedImageError as exc:
            raise _refusal("not_an_image", "is no PNG, JPEG, WebP or GIF image") from exc
        except _BROKEN as exc:
            raise _refusal("damaged_image", f"cannot be read: {type(exc).__name__}") from exc
        try:
            self._check(image)
        except BaseException:
            image.close()
            raise
        return image

    def _check(self, image: Image.Image) -> None:
        try:
            frames = int(getattr(image, "n_frames", 1))
        except _BROKEN as exc:
            raise _refusal("damaged_image", f"cannot be read: {type(exc).__name__}") from exc
        if frames > self._max_frames:
            raise _refusal("too_many_frames", f"has {frames} frames, {self._max_frames} allowed")
        if frames * image.width * image.height > self._max_pixels:
            size = f"{image.width} × {image.height}" + (f" × {frames} frames" if frames > 1 else "")
            raise _refusal("too_many_pixels", f"is {size}, over {self._max_pixels:,} pixels")
        if max(image.size) > MAX_SIDE:
            raise _refusal(
                "too_large", f"is {image.width} × {image.height}, {MAX_SIDE} pixels a side allowed"
            )


def _encoded(image: Image.Image, path: Path) -> Picture:
    kind, frames = str(image.format), int(getattr(image, "n_frames", 1))
    if frames > 1:
        return _animation(image, kind)
    lossless = kind != "WEBP" or _is_lossless(path)
    plain = _plain(image)
    options: dict[str, Any] = {
        "PNG": {"optimize": False, "compress_level": 6},
        "JPEG": {"quality": 95, "subsampling": 0},
        "WEBP": {"lossless": lossless, "quality": 80 if lossless else 95, "method": 4},
        "GIF": {},
    }[kind]
    if kind == "JPEG":
        plain = plain.convert("L" if plain.mode == "L" else "RGB")
    return _saved([plain], kind, options)


def _animation(image: Image.Image, kind: str) -> Picture:
    """Every frame whole, with its duration; loops as the file did."""
    frames, durations_ms = [], []
    for frame in ImageSequence.Iterator(image):
        frames.append(frame.convert("RGBA"))  # first: some formats tell a duration only once decoded
        durations_ms.append(max(0, int(frame.info.get("duration") or 0)))
    loop = image.info.get("loop", 0)
    options: dict[str, Any] = {
        "save_all": True,
        "append_images": frames[1:],
        "duration": durations_ms,
        "loop": loop if isinstance(loop, int) and 0 <= loop < 65_536 else 0,
    }
    if kind == "GIF":
        options["disposal"] = 2
    elif kind == "WEBP":
        options |= {"quality": 90, "method": 2}
    elif kind == "PNG":
        options |= {"disposal": 0, "blend": 0}
    return _saved(frames, kind, options)


def _saved(frames: list[Image.Image], kind: str, options: dict[str, Any]) -> Picture:
    held, first = io.BytesIO(), frames[0]
    first.info = {}  # nothing of the file but its pixels
    first.save(held, kind, **options)
    mime = "image/apng" if kind == "PNG" and len(frames) > 1 else MIMES[kind]
    return Picture(
        data=held.getvalue(), mime=mime, width=first.width, height=first.height, frames=len(frames)
    )


def _plain(image: Image.Image) -> Image.Image:
    """8 bits a channel, turned as the camera meant it, colours in sRGB; see-through stays so."""
    profile = image.info.get("icc_profile")
    upright = ImageOps.exif_transpose(image) if image.getexif() else image
    if upright.mode.startswith("I") or upright.mode == "F":
        upright = upright.point(lambda value: value / 257).convert("L")
    if isinstance(profile, bytes) and upright.mode in ("RGB", "RGBA", "CMYK"):
        upright = _in_srgb(upright, profile)
    if "A" in upright.getbands() or "transparency" in upright.info:
        return upright.convert("RGBA")
    return upright.convert("L" if upright.mode in ("1", "L") else "RGB")


def _in_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = "RGB" if image.mode == "CMYK" else image.mode
        target = ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(image, source, target, outputMode=mode) or image
    except (ImageCms.PyCMSError, *_BROKEN):
        return image


def _is_lossless(path: Path) -> bool:
    """Whether a WebP holds the lossless form, by the first bytes of its file."""
    with path.open("rb") as file:
        return b"VP8L" in file.read(64)


def _thumbnail(image: Image.Image, edge: int) -> Picture:
    image.draft("RGB", (edge * 2, edge * 2))  # a JPEG is decoded at a fraction of its size
    small = _plain(image)
    small.thumbnail((edge, edge), Image.Resampling.LANCZOS, reducing_gap=2.0)
    return _saved([small], "WEBP", {"quality": 80, "method": 2})


def _refusal(code: str, message: str) -> InvalidMany:
    return InvalidMany([Problem(path="file", code=code, message=message)])
