"""Renders layered pictures band by band and keeps every distinct finished band.

A band depends only on the layers visible in it, so thousands of pieces share most of theirs.
The caches decide how long a picture takes, never which bytes it has.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from cauldron.adapters.local import png
from cauldron.adapters.local.blend import blend
from cauldron.adapters.local.bounded import BoundedCache
from cauldron.adapters.local.layers import Brush, Canvas, LayerSpec, Strip, brushes_of, decode
from cauldron.adapters.local.png import BAND_ROWS, Band, Pixels
from cauldron.ports.tools import Media

BAND_CACHE_BYTES = 112 * 2**20
BRUSH_CACHE_BYTES = 64 * 2**20
STRIP_CACHE_BYTES = 48 * 2**20
MAX_PLACES = 8_192  # layers whose shape is remembered
ENTRY_BYTES = 500  # bookkeeping of one cached band: key, tuple, dictionary slot
PLACE_BYTES = 1_000

Key = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where one layer is visible: per band a number that no other layer and band has, or 0."""

    marks: tuple[int, ...]
    covers: bool  # opaque on the whole canvas and drawn normally


@dataclass(slots=True, kw_only=True)
class Counts:
    """What the renderer did since it was made."""

    pieces: int = 0
    bands: int = 0
    missed: int = 0
    decoded: int = 0


class Renderer:
    """Makes PNG files of layer stacks. One per process; its caches are bounded by bytes."""

    def __init__(
        self,
        *,
        band_cache_bytes: int = BAND_CACHE_BYTES,
        brush_cache_bytes: int = BRUSH_CACHE_BYTES,
        strip_cache_bytes: int = STRIP_CACHE_BYTES,
    ) -> None:
        self.counts = Counts()
        self._bands: BoundedCache[Key, Band] = BoundedCache(limit_bytes=band_cache_bytes)
        self._brushes: BoundedCache[int, tuple[Brush, ...]] = BoundedCache(limit_bytes=brush_cache_bytes)
        self._strips: BoundedCache[tuple[LayerSpec, Canvas], dict[int, Strip]] = BoundedCache(
            limit_bytes=strip_cache_bytes
        )
        self._places: BoundedCache[tuple[LayerSpec, Canvas], Place] = BoundedCache(
            limit_bytes=MAX_PLACES * PLACE_BYTES
        )
        self._grounds: BoundedCache[tuple[Canvas, int], tuple[int, ...]] = BoundedCache(
            limit_bytes=256 * PLACE_BYTES
        )
        self._next_mark = 1
        self._lock = threading.Lock()

    @property
    def cached_bytes(self) -> int:
        """Bytes held by all caches."""
        caches = (self._bands, self._brushes, self._strips)
        return sum(cache.size_bytes for cache in caches)

    def png(self, canvas: Canvas, layers: Sequence[LayerSpec], *, media: Media) -> bytes:
        """The PNG file of ``layers`` from bottom to top: RGB when surely opaque, else RGBA.

        Raises:
            InvalidMany: a layer is unusable (see :func:`layers.decode`).
        """
        with self._lock:
            stack = _Stack(self, canvas, layers, media=media)
            bands = [self._band(stack, index, key) for index, key in enumerate(stack.band_keys())]
            self.counts.pieces += 1
            self.counts.bands += len(bands)
        return png.join(bands, width=canvas.width, height=canvas.height, channels=stack.channels)

    def pixels(self, canvas: Canvas, layers: Sequence[LayerSpec], *, media: Media) -> Pixels:
        """The composed picture, (height, width, 3 or 4)."""
        with self._lock:
            stack = _Stack(self, canvas, layers, media=media)
            return np.concatenate([stack.pixels(index) for index in range(_band_count(canvas))])

    def place(self, spec: LayerSpec, canvas: Canvas, *, media: Media) -> Place:
        """Where ``spec`` is visible; decodes it when seen for the first time."""
        place = self._places.get((spec, canvas))
        if place is None:
            strips = self.strips(spec, canvas, media=media)
            first = self._marks(_band_count(canvas))
            marks = tuple(first + band if band in strips else 0 for band in range(_band_count(canvas)))
            covers = spec.blend == "normal" and _covers(strips, canvas)
            place = Place(marks=marks, covers=covers)
            self._places.put((spec, canvas), place, size_bytes=PLACE_BYTES)
        return place

    def strips(self, spec: LayerSpec, canvas: Canvas, *, media: Media) -> dict[int, Strip]:
        """The decoded layer, from the cache or from its file."""
        strips = self._strips.get((spec, canvas))
        if strips is None:
            strips = decode(spec, canvas, media=media)
            self.counts.decoded += 1
            size = sum(len(strip.packed) + 200 for strip in strips.values())
            self._strips.put((spec, canvas), strips, size_bytes=size)
        return strips

    def brushes(self, mark: int, strip: Strip) -> tuple[Brush, ...]:
        """``strip`` made ready; ``mark`` is its number in its band."""
        brushes = self._brushes.get(mark)
        if brushes is None:
            brushes = brushes_of(strip)
            self._brushes.put(mark, brushes, size_bytes=sum(b.size_bytes for b in brushes))
        return brushes

    def ground(self, canvas: Canvas, channels: int) -> tuple[int, ...]:
        """A number per band for the empty canvas, so that keys of different canvases differ."""
        marks = self._grounds.get((canvas, channels))
        if marks is None:
            count = _band_count(canvas)
            first = self._marks(count)
            marks = tuple(range(first, first + count))
            self._grounds.put((canvas, channels), marks, size_bytes=PLACE_BYTES)
        return marks

    def _marks(self, count: int) -> int:
        first = self._next_mark
        self._next_mark += count
        return first

    def _band(self, stack: "_Stack", index: int, key: Key) -> Band:
        band = self._bands.get(key)
        if band is None:
            band = stack.render(index)
            self.counts.missed += 1
            self._bands.put(key, band, size_bytes=len(band.chunk) + ENTRY_BYTES)
        return band


class _Stack:
    """One piece being rendered: its visible layers, placed."""

    def __init__(
        self, renderer: Renderer, canvas: Canvas, layers: Sequence[LayerSpec], *, media: Media
    ) -> None:
        placed = [(spec, renderer.place(spec, canvas, media=media)) for spec in layers]
        floor = max((i for i, (_, place) in enumerate(placed) if place.covers), default=None)
        self._placed = placed if floor is None else placed[floor:]
        self._renderer, self._canvas, self._media = renderer, canvas, media
        self._strips: list[dict[int, Strip] | None] = [None] * len(self._placed)
        self._covered = floor is not None
        opaque = self._covered or canvas.background[3] == 255
        self.channels = 3 if opaque else 4

    def band_keys(self) -> list[Key]:
        """Per band what it depends on: the canvas, and the layers visible in it, in order."""
        ground = self._renderer.ground(self._canvas, self.channels)
        columns = zip(ground, *(place.marks for _, place in self._placed), strict=True)
        return [tuple(filter(None, column)) for column in columns]

    def render(self, index: int) -> Band:
        """Draw and deflate band ``index``.

        Its PNG filter is the one that suits most of the area its layers cover. Each
        layer's best filter is known from decoding it, so the choice costs nothing and
        depends on the piece alone, never on what was rendered before.
        """
        visible = self._visible(index)
        areas = dict.fromkeys(png.FILTERS, 0)
        for _, _, strip in visible:
            areas[strip.filter] += (strip.bottom - strip.top) * (strip.right - strip.left)
        return png.band_of(self._drawn(index, visible), max(areas, key=areas.__getitem__))

    def pixels(self, index: int) -> Pixels:
        """The pixels of band ``index``, (rows, width, channels)."""
        return self._drawn(index, self._visible(index))

    def _visible(self, index: int) -> list[tuple[str, int, Strip]]:
        """Blend mode, mark and strip of every layer seen in the band, bottom first."""
        found = []
        for number, (spec, place) in enumerate(self._placed):
            mark = place.marks[index]
            if mark:
                strips = self._strips[number]
                if strips is None:
                    strips = self._renderer.strips(spec, self._canvas, media=self._media)
                    self._strips[number] = strips
                found.append((spec.blend, mark, strips[index]))
        return found

    def _drawn(self, index: int, visible: Sequence[tuple[str, int, Strip]]) -> Pixels:
        canvas = self._canvas
        rows = min(BAND_ROWS, canvas.height - index * BAND_ROWS)
        band = np.empty((rows, canvas.width, self.channels), np.uint8)
        flat = band.reshape(rows, -1)
        if not self._covered:
            _fill(band, canvas.background)
        for mode, mark, strip in visible:
            if mode != "normal":
                box = band[strip.top : strip.bottom, strip.left : strip.right]
                box[...] = blend(box, strip.pixels(), mode)
            elif self.channels == 3:
                for brush in self._renderer.brushes(mark, strip):
                    _paint(flat, brush)
            else:
                _composite(band, strip)
        return band


def _fill(band: Pixels, background: tuple[int, int, int, int]) -> None:
    """Colour every pixel; a see-through background has no hidden colour."""
    color = background if background[3] else (0, 0, 0, 0)
    row = np.tile(np.array(color[: band.shape[2]], np.uint8), band.shape[1])
    band.reshape(band.shape[0], -1)[...] = row


def _paint(rows: Pixels, brush: Brush) -> None:
    """Draw on opaque rows, exactly as Pillow's ``alpha_composite``: ⌊(t + ⌊t/256⌋)/256⌋."""
    top, bottom, left, right, paint, keep = brush
    below = rows[top:bottom, left:right]
    if keep is None:
        below[...] = paint
        return
    total = np.multiply(below, keep, dtype=np.uint16)
    total += paint
    total += total >> 8
    total >>= 8
    below[...] = total


def _composite(band: Pixels, strip: Strip) -> None:
    """Draw on rows with alpha, by Pillow's own integer arithmetic."""
    box = band[strip.top : strip.bottom, strip.left : strip.right]
    source = strip.pixels()
    if strip.solid or not box.any():
        box[...] = source
        return
    below = Image.fromarray(np.ascontiguousarray(box))
    box[...] = np.asarray(Image.alpha_composite(below, Image.fromarray(source)))


def _covers(strips: dict[int, Strip], canvas: Canvas) -> bool:
    """Whether the strips leave no pixel of the canvas see-through."""
    if len(strips) < _band_count(canvas):
        return False
    area = sum((s.bottom - s.top) * (s.right - s.left) for s in strips.values() if s.solid)
    return area == canvas.width * canvas.height


def _band_count(canvas: Canvas) -> int:
    return -(-canvas.height // BAND_ROWS)
