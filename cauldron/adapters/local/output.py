"""Turns pixels into the file of a picture output."""

import io
from collections.abc import Mapping
from typing import Any

from PIL import Image

from cauldron.adapters.local import png
from cauldron.adapters.local.png import Pixels
from cauldron.ports.tools import Produced

MIME = {"png": "image/png", "webp": "image/webp", "jpeg": "image/jpeg"}
PAPER = (255, 255, 255)  # under see-through pixels of a jpeg


def picture(pixels: Pixels, inputs: Mapping[str, Any]) -> list[Produced]:
    """The output ``image`` in the format asked for by ``inputs``."""
    kind = inputs.get("format") or "png"
    data = png.encode(pixels) if kind == "png" else _encoded(pixels, kind, inputs.get("quality") or 90)
    return [image_of(data, kind, width=pixels.shape[1], height=pixels.shape[0])]


def image_of(data: bytes, kind: str, *, width: int, height: int) -> Produced:
    """The output ``image`` of finished file bytes."""
    return Produced(port="image", data=data, mime=MIME[kind], width=width, height=height)


def _encoded(pixels: Pixels, kind: str, quality: int) -> bytes:
    image = Image.fromarray(pixels.squeeze(axis=2) if pixels.shape[2] == 1 else pixels)
    buffer = io.BytesIO()
    if kind == "webp":
        image.save(buffer, "WEBP", quality=quality, lossless=quality == 100, method=4, exact=False)
    else:
        flat = image if image.mode in ("L", "RGB") else _on_paper(image)
        flat.save(buffer, "JPEG", quality=quality, optimize=True, subsampling=0)
    return buffer.getvalue()


def _on_paper(image: Image.Image) -> Image.Image:
    paper = Image.new("RGBA", image.size, (*PAPER, 255))
    return Image.alpha_composite(paper, image).convert("RGB")
