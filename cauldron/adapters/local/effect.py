"""``image.effect``: changes the colours or the texture of a picture, never its size or its alpha."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from cauldron.adapters.local import colorings, output, textures
from cauldron.adapters.local.colorings import Settings
from cauldron.adapters.local.declared.ports import MAX_SIDE
from cauldron.adapters.local.palettes import parse
from cauldron.adapters.local.pictures import open_picture
from cauldron.adapters.local.png import Pixels
from cauldron.adapters.local.refusals import refusal
from cauldron.ports.tools import Media, Produced

EFFECTS = {**colorings.EFFECTS, **textures.EFFECTS}
SPREADS = (2, 8, 32)  # pixels: how colours are carried under transparent parts


def run(inputs: Mapping[str, Any], media: Media) -> Sequence[Produced]:
    """The changed picture as the output ``image``.

    Raises:
        InvalidMany: the image is unusable or over 4096 pixels a side.
    """
    image = open_picture(inputs["image"], media, path="image.effect.image")
    if max(image.size) > MAX_SIDE:
        message = f"is {image.width} × {image.height}, at most {MAX_SIDE} × {MAX_SIDE} allowed"
        raise refusal("image.effect.image", "too_many_pixels", message)
    rgba = np.array(image)
    settings = Settings(
        strength=inputs["strength"],
        dark=parse(inputs["dark"]),
        light=parse(inputs["light"]),
        seed=inputs["seed"],
    )
    see_through = bool((rgba[..., 3] < 255).any())
    color = EFFECTS[inputs["effect"]](_opaque(image) if see_through else rgba[..., :3], settings)
    rgba[..., :3] = color
    rgba[rgba[..., 3] == 0] = 0
    return output.picture(rgba, inputs)


def _opaque(image: Image.Image) -> Pixels:
    """The colours of ``image``, carried on under its transparent parts, so that no halo forms."""
    ground = Image.new("RGBA", image.size, (0, 0, 0, 0))
    for spread in reversed(SPREADS):
        ground.alpha_composite(_carried(image, spread))
    ground.alpha_composite(image)
    return np.asarray(ground.convert("RGB"))


def _carried(image: Image.Image, spread: int) -> Image.Image:
    """``image`` shrunk and enlarged, which blurs premultiplied colours outwards, made opaque."""
    size = (max(1, image.width // spread), max(1, image.height // spread))
    soft = image.resize(size, Image.Resampling.BOX).resize(image.size, Image.Resampling.BILINEAR)
    pixels = np.array(soft)
    pixels[..., 3] = np.where(pixels[..., 3] > 0, 255, 0)
    return Image.fromarray(pixels)
