"""Opens images that strangers supply: a few formats, bounded size, one clear error otherwise."""

import io
import struct
import warnings
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageCms, ImageOps, ImageSequence, UnidentifiedImageError

from cauldron.adapters.local.refusals import refusal
from cauldron.domain.errors import InvalidMany
from cauldron.domain.media import MediaRef
from cauldron.ports.tools import Media

FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
MAX_PIXELS = 64_000_000  # of one frame, as declared in the header
MAX_BYTES = 128 * 2**20
ORIENTATION = 0x0112  # EXIF tag
SIDEWAYS = (5, 6, 7, 8)  # orientations that swap width and height
BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    EOFError,
    AttributeError,
    struct.error,
    zlib.error,
    MemoryError,
)


def open_picture(ref: MediaRef, media: Media, *, path: str) -> Image.Image:
    """The stored image as 8-bit RGBA, upright and in sRGB; the first frame of an animation.

    Raises:
        InvalidMany: not PNG, JPEG, WebP or GIF, too many pixels, or damaged; ``path``
            names the input.
        NotFound: the media is not stored.
    """
    if ref.get("sizeBytes", 0) > MAX_BYTES:
        raise _too_heavy(path, ref["sizeBytes"])
    return picture_from(media.read(ref), path=path)


def picture_from(data: bytes, *, path: str) -> Image.Image:
    """``data`` as 8-bit RGBA; see :func:`open_picture`."""
    with _opened(data, path) as image:
        try:
            image.load()
            return _plain(image)
        except BROKEN as exc:
            raise _damaged(path, exc) from exc


def size_of(ref: MediaRef, media: Media, *, path: str) -> tuple[int, int]:
    """Width and height in pixels as they will be once the image is upright; from its header."""
    if ref.get("sizeBytes", 0) > MAX_BYTES:
        raise _too_heavy(path, ref["sizeBytes"])
    with _opened(media.read(ref), path) as image:
        turned = image.getexif().get(ORIENTATION, 1) in SIDEWAYS
        return (image.height, image.width) if turned else (image.width, image.height)


def check_header(data: bytes, *, path: str) -> None:
    """Raises InvalidMany unless ``data`` begins like an image of an allowed format and size."""
    _opened(data, path).close()


def open_frames(ref: MediaRef, media: Media, *, path: str, most: int) -> list[tuple[Image.Image, int]]:
    """Every frame of a stored image as RGBA with its duration in ms (0 for a still).

    Raises:
        InvalidMany: as :func:`open_picture`, or more than ``most`` frames.
    """
    if ref.get("sizeBytes", 0) > MAX_BYTES:
        raise _too_heavy(path, ref["sizeBytes"])
    with _opened(media.read(ref), path) as image:
        count = getattr(image, "n_frames", 1)
        if count > most:
            raise refusal(path, "too_many_frames", f"has {count} frames, {most} allowed")
        if count * image.width * image.height > MAX_PIXELS:
            raise refusal(path, "too_many_pixels", f"its {count} frames have over {MAX_PIXELS:,} pixels")
        try:
            return list(_frames(image))
        except BROKEN as exc:
            raise _damaged(path, exc) from exc


def _frames(image: Image.Image) -> Iterator[tuple[Image.Image, int]]:
    for frame in ImageSequence.Iterator(image):
        duration_ms = int(frame.info.get("duration", 0) or 0)
        yield _plain(frame.copy()), duration_ms


def _opened(data: bytes, path: str) -> Image.Image:
    """The image with its header read and its declared size checked; nothing is decoded."""
    if len(data) > MAX_BYTES:
        raise _too_heavy(path, len(data))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError as exc:
        raise refusal(path, "too_many_pixels", f"declares over {MAX_PIXELS:,} pixels") from exc
    except UnidentifiedImageError as exc:
        raise refusal(path, "not_an_image", "is not a PNG, JPEG, WebP or GIF image") from exc
    except BROKEN as exc:
        raise _damaged(path, exc) from exc
    if image.width * image.height > MAX_PIXELS:
        size = f"{image.width} × {image.height}"
        raise refusal(path, "too_many_pixels", f"is {size}, over {MAX_PIXELS:,} pixels")
    return image


def _plain(image: Image.Image) -> Image.Image:
    """8-bit RGBA, turned as the camera meant it, colours in sRGB."""
    profile = image.info.get("icc_profile")
    upright = ImageOps.exif_transpose(image) if image.getexif() else image
    if upright.mode.startswith("I"):
        return _from_16_bit(upright)
    if isinstance(profile, bytes) and upright.mode in ("RGB", "RGBA", "CMYK"):
        upright = _in_srgb(upright, profile)
    return upright.convert("RGBA")


def _from_16_bit(image: Image.Image) -> Image.Image:
    wide = np.clip(np.asarray(image).astype(np.int64), 0, 65_535)
    narrow = ((wide * 255 + 32_767) // 65_535).astype(np.uint8)
    return Image.fromarray(narrow).convert("RGBA")


def _in_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """``image`` converted from its embedded profile; unchanged when that is sRGB or broken."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "srgb" in ImageCms.getProfileDescription(source).lower():
            return image
        mode = "RGB" if image.mode == "CMYK" else image.mode
        return (
            ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode=mode) or image
        )
    except (ImageCms.PyCMSError, *BROKEN):
        return image


def _damaged(path: str, cause: BaseException) -> InvalidMany:
    return refusal(path, "damaged_image", f"cannot be decoded: {str(cause) or type(cause).__name__:.120}")


def _too_heavy(path: str, size_bytes: int) -> InvalidMany:
    return refusal(path, "too_large", f"is {size_bytes:,} bytes, {MAX_BYTES:,} allowed")
