"""Decoded layers: fitted and placed on a canvas, cut into bands, kept small, decoded again if evicted."""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray
from PIL import Image

from cauldron.adapters.local.pictures import open_picture
from cauldron.adapters.local.png import BAND_ROWS, Pixels, best_filter
from cauldron.adapters.local.refusals import refusal
from cauldron.domain.media import MediaRef
from cauldron.ports.tools import Media

SMOOTH = Image.Resampling.LANCZOS
CRISP = Image.Resampling.NEAREST
EMPTY, MIXED, SOLID = 0, 1, 2  # what the pixels of a column are
SHORT_RUN = 48  # columns: below, one more brush costs more than it saves


@dataclass(frozen=True, slots=True, kw_only=True)
class Canvas:
    """The picture to be made. ``background`` is RGBA; transparent black when none."""

    width: int  # pixels
    height: int  # pixels
    background: tuple[int, int, int, int] = (0, 0, 0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerSpec:
    """One layer as asked for; equal specs on equal canvases give equal pixels."""

    digest: str  # content of the image
    mask_digest: str = ""
    blend: str = "normal"
    opacity: float = 1.0
    x: int | None = None  # pixels from the left; None: the layer fills the canvas
    y: int | None = None
    fit: str = "exact"  # exact | contain | cover | stretch
    crisp: bool = False  # enlarge without smoothing
    image: MediaRef = field(compare=False)
    mask: MediaRef | None = field(compare=False, default=None)
    path: str = field(compare=False, default="layers.compose.layers")


class Strip(NamedTuple):
    """The part of a layer inside one band, cropped to its visible pixels (band coordinates)."""

    top: int
    bottom: int
    left: int
    right: int
    solid: bool  # every pixel is opaque
    filter: str  # the PNG filter that suits these pixels
    packed: bytes  # deflated RGBA rows

    def pixels(self) -> Pixels:
        """RGBA, (bottom − top, right − left, 4), read-only."""
        raw = np.frombuffer(isal_zlib.decompress(self.packed, wbits=-15), np.uint8)
        return raw.reshape(self.bottom - self.top, self.right - self.left, 4)


class Brush(NamedTuple):
    """Columns of a strip made ready to be drawn on opaque RGB rows.

    ``keep`` is 255 − α per colour byte and ``paint`` colour·α + 128; solid columns
    have no ``keep`` and plain colours in ``paint``.
    """

    top: int
    bottom: int
    left: int  # byte columns, three per pixel
    right: int
    paint: NDArray[np.uint16] | Pixels
    keep: Pixels | None

    @property
    def size_bytes(self) -> int:
        """Memory held by the arrays."""
        return self.paint.nbytes + (self.keep.nbytes if self.keep is not None else 0) + 200


def decode(spec: LayerSpec, canvas: Canvas, *, media: Media) -> dict[int, Strip]:
    """The strips of a layer by band index, only of bands it is visible in.

    Raises:
        InvalidMany: the image or mask is unusable, or of another size than the
            canvas without an offset or a fit (``layer_size``).
    """
    image = open_picture(spec.image, media, path=spec.path)
    if spec.mask is not None:
        image = _masked(image, open_picture(spec.mask, media, path=f"{spec.path}.mask"), spec)
    image, left, top = _placed(image, spec, canvas)
    pixels = np.array(image)
    if spec.opacity < 1:
        faded = (np.arange(256) * spec.opacity + 0.5).astype(np.uint8)
        pixels[..., 3] = faded[pixels[..., 3]]
    return _strips(_clipped(pixels, left=left, top=top, canvas=canvas), max(left, 0), max(top, 0))


def brushes_of(strip: Strip) -> tuple[Brush, ...]:
    """``strip`` prepared for drawing on opaque rows: solid columns are copied, empty ones skipped."""
    rgba = strip.pixels()
    if strip.solid:
        return (_brush(strip, rgba, 0, rgba.shape[1], solid=True),)
    return tuple(
        _brush(strip, rgba, start, stop, solid=kind == SOLID)
        for kind, start, stop in _runs(rgba[..., 3])
        if kind != EMPTY
    )


def _brush(strip: Strip, rgba: Pixels, start: int, stop: int, *, solid: bool) -> Brush:
    part = rgba[:, start:stop]
    color = np.ascontiguousarray(part[..., :3]).reshape(part.shape[0], -1)
    box = (strip.top, strip.bottom, (strip.left + start) * 3, (strip.left + stop) * 3)
    if solid:
        return Brush(*box, color, None)
    alpha = np.repeat(part[..., 3], 3, axis=1)
    return Brush(*box, color.astype(np.uint16) * alpha + np.uint16(128), 255 - alpha)


def _runs(alpha: Pixels) -> list[tuple[int, int, int]]:
    """(kind, start, stop) of neighbouring columns; runs too short to pay off count as mixed."""
    kinds = np.where(alpha.min(axis=0) == 255, SOLID, np.where(alpha.max(axis=0) == 0, EMPTY, MIXED))
    borders = [0, *(np.flatnonzero(np.diff(kinds)) + 1).tolist(), len(kinds)]
    runs: list[tuple[int, int, int]] = []
    for start, stop in pairwise(borders):
        kind = int(kinds[start]) if stop - start >= SHORT_RUN else MIXED
        joined = runs.pop()[1] if runs and runs[-1][0] == kind else start
        runs.append((kind, joined, stop))
    return runs


def _masked(image: Image.Image, mask: Image.Image, spec: LayerSpec) -> Image.Image:
    """``image`` with its alpha multiplied by the mask's brightness (and the mask's own alpha)."""
    if mask.size != image.size:
        sizes = f"{mask.width} × {mask.height}, its layer {image.width} × {image.height}"
        raise refusal(f"{spec.path}.mask", "mask_size", f"is {sizes}; they must be equal")
    pixels, shade = np.array(image), np.asarray(mask).astype(np.uint32)
    light = (shade[..., 0] * 299 + shade[..., 1] * 587 + shade[..., 2] * 114 + 500) // 1000
    alpha = pixels[..., 3] * light * shade[..., 3]
    pixels[..., 3] = (alpha + 65_025 // 2) // 65_025
    return Image.fromarray(pixels)


def _placed(image: Image.Image, spec: LayerSpec, canvas: Canvas) -> tuple[Image.Image, int, int]:
    """The image in its final size, and where its left top corner goes."""
    size = (canvas.width, canvas.height)
    offset = spec.x is not None or spec.y is not None
    if spec.fit == "exact":
        if image.size != size and not offset:
            message = (
                f"is {image.width} × {image.height}, the canvas {canvas.width} × {canvas.height}; "
                "give the layer x and y, or set fit"
            )
            raise refusal(spec.path, "layer_size", message)
        return image, spec.x or 0, spec.y or 0
    image = _resized(image, spec, size)
    left, top = (canvas.width - image.width) // 2, (canvas.height - image.height) // 2
    return image, left + (spec.x or 0), top + (spec.y or 0)


def _resized(image: Image.Image, spec: LayerSpec, size: tuple[int, int]) -> Image.Image:
    if spec.fit != "stretch":
        ratios = (size[0] / image.width, size[1] / image.height)
        scale = min(ratios) if spec.fit == "contain" else max(ratios)
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    if size == image.size:
        return image
    return image.resize(size, CRISP if spec.crisp else SMOOTH)


def _clipped(pixels: Pixels, *, left: int, top: int, canvas: Canvas) -> Pixels:
    right, bottom = canvas.width - left, canvas.height - top
    return pixels[max(0, -top) : max(0, bottom), max(0, -left) : max(0, right)]


def _strips(pixels: Pixels, left: int, top: int) -> dict[int, Strip]:
    """``pixels`` at (left, top) of the canvas, cut at band borders and cropped."""
    found: dict[int, Strip] = {}
    bottom = top + pixels.shape[0]
    for band in range(top // BAND_ROWS, -(-bottom // BAND_ROWS)):
        first = max(top, band * BAND_ROWS)
        rows = pixels[first - top : (band + 1) * BAND_ROWS - top]
        strip = _cropped(rows, left, first - band * BAND_ROWS)
        if strip is not None:
            found[band] = strip
    return found


def _cropped(rows: Pixels, left: int, top: int) -> Strip | None:
    if not rows.size:
        return None
    alpha = rows[..., 3]
    ys, xs = np.flatnonzero(alpha.max(axis=1)), np.flatnonzero(alpha.max(axis=0))
    if not ys.size:
        return None
    y0, y1, x0, x1 = int(ys[0]), int(ys[-1]) + 1, int(xs[0]), int(xs[-1]) + 1
    seen = np.ascontiguousarray(rows[y0:y1, x0:x1])
    hidden = seen[..., 3:4] == 0
    if hidden.any():
        np.multiply(seen, ~hidden, out=seen)  # no colour under full transparency
    packed = isal_zlib.compress(seen, 1, wbits=-15)
    solid = bool((seen[..., 3] == 255).all())
    best = best_filter(np.ascontiguousarray(seen[..., :3]))
    return Strip(top + y0, top + y1, left + x0, left + x1, solid, best, packed)
