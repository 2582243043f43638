"""``layers.compose``: stacks layers into one picture with the process's band renderer."""

from collections.abc import Mapping, Sequence
from typing import Any

from cauldron.adapters.local import output
from cauldron.adapters.local.bands import Renderer
from cauldron.adapters.local.blend import ALIASES
from cauldron.adapters.local.bounded import BoundedCache
from cauldron.adapters.local.declared.layers import LAYER, PLAIN_LAYER
from cauldron.adapters.local.declared.ports import MAX_SIDE
from cauldron.adapters.local.layers import Canvas, LayerSpec
from cauldron.adapters.local.pictures import size_of
from cauldron.adapters.local.refusals import refusal
from cauldron.domain.errors import InvalidMany, Problem
from cauldron.domain.media import is_media
from cauldron.domain.tool import check_value
from cauldron.ports.tools import Media, Produced

MAX_DRAWN = 16 * MAX_SIDE * MAX_SIDE  # pixels of all layers of one piece
RENDERER = Renderer()
_sizes: BoundedCache[str, tuple[int, int]] = BoundedCache(limit_bytes=4_096 * 200)


def run(inputs: Mapping[str, Any], media: Media) -> Sequence[Produced]:
    """The layers stacked from bottom to top, as the output ``image``.

    Raises:
        InvalidMany: a layer is malformed, unreadable or of another size.
    """
    canvas, layers = plan(inputs, media)
    kind = inputs.get("format") or "png"
    if kind != "png":
        return output.picture(RENDERER.pixels(canvas, layers, media=media), inputs)
    data = RENDERER.png(canvas, layers, media=media)
    return [output.image_of(data, kind, width=canvas.width, height=canvas.height)]


def plan(inputs: Mapping[str, Any], media: Media) -> tuple[Canvas, list[LayerSpec]]:
    """The canvas and the layers that checked ``inputs`` ask for."""
    items = [(i, item) for i, item in enumerate(inputs["layers"]) if item is not None]
    problems = [p for i, item in items for p in _problems(item, i)]
    if problems:
        raise InvalidMany(problems)
    if not items:
        raise refusal("layers.compose.layers", "no_layers", "has no layer left to draw")
    fit, crisp = inputs.get("fit") or "exact", bool(inputs.get("crisp"))
    layers = [_layer(item, i, fit=fit, crisp=crisp) for i, item in items]
    width, height = inputs.get("width"), inputs.get("height")
    if width is None or height is None:
        natural = _natural_size(layers[0], media)
        width, height = width or natural[0], height or natural[1]
    if len(layers) * width * height > MAX_DRAWN:
        message = f"has {len(layers)} layers of {width} × {height}, {MAX_DRAWN:,} pixels allowed"
        raise refusal("layers.compose.layers", "too_many_pixels", message)
    background = rgba(inputs["background"]) if inputs.get("background") else (0, 0, 0, 0)
    return Canvas(width=width, height=height, background=background), layers


def rgba(text: str) -> tuple[int, int, int, int]:
    """``#rrggbb`` or ``#rrggbbaa`` as four numbers; opaque without alpha."""
    red, green, blue, alpha = bytes.fromhex(f"{text[1:]}ff"[:8])
    return red, green, blue, alpha


def _problems(item: Any, index: int) -> list[Problem]:
    path = f"layers.compose.layers[{index}]"
    return check_value(PLAIN_LAYER if is_media(item) else LAYER, item, path=path)


def _layer(item: Mapping[str, Any], index: int, *, fit: str, crisp: bool) -> LayerSpec:
    path = f"layers.compose.layers[{index}]"
    if is_media(item):
        return LayerSpec(digest=item["media"], image=item, fit=fit, crisp=crisp, path=path)
    mask, blend, opacity = item.get("mask"), item.get("blend") or "normal", item.get("opacity")
    return LayerSpec(
        digest=item["image"]["media"],
        image=item["image"],
        mask_digest=mask["media"] if mask else "",
        mask=mask,
        blend=ALIASES.get(blend, blend),
        opacity=1.0 if opacity is None else float(opacity),
        x=item.get("x"),
        y=item.get("y"),
        fit=item.get("fit") or fit,
        crisp=crisp,
        path=path,
    )


def _natural_size(layer: LayerSpec, media: Media) -> tuple[int, int]:
    size = _sizes.get(layer.digest)
    if size is None:
        size = size_of(layer.image, media, path=layer.path)
        if max(size) > MAX_SIDE:
            message = f"is {size[0]} × {size[1]}, at most {MAX_SIDE} × {MAX_SIDE} can be made"
            raise refusal(layer.path, "layer_size", message)
        _sizes.put(layer.digest, size, size_bytes=200)
    return size
