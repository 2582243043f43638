"""The declaration of ``layers.compose``."""

from cauldron.adapters.local.declared.ports import (
    MAX_SIDE,
    choice,
    color,
    drawing,
    flag,
    image,
    number,
    whole,
)
from cauldron.domain.tool import Kind, Port

BLENDS = (
    "normal", "multiply", "screen", "overlay", "darken", "lighten", "color-dodge", "color-burn",
    "hard-light", "soft-light", "difference", "exclusion", "hue", "saturation", "color",
    "luminosity", "plus",
)  # fmt: skip
BLEND_ALIASES = ("source-over", "add", "lighter", "plus-lighter")
FITS = ("exact", "contain", "cover", "stretch")

PLAIN_LAYER = image("image", required=True)
LAYER = Port(
    name="layer",
    kind=Kind.OBJECT,
    fields=(
        PLAIN_LAYER,
        choice("blend", *BLENDS, *BLEND_ALIASES),
        number("opacity", 0, 1, default=1),
        whole("x", -MAX_SIDE, MAX_SIDE, says="pixels from the left; allows another size"),
        whole("y", -MAX_SIDE, MAX_SIDE, says="pixels from the top; allows another size"),
        image("mask", says="of the layer's size; black hides, white shows"),
        choice("fit", *FITS, says="overrides the fit of the whole"),
    ),
)

COMPOSE = drawing(
    "layers.compose",
    name="Compose layers",
    says=(
        "Stacks images from bottom to top into one picture. A layer is an image, or an object "
        "with image, blend, opacity, x, y, mask and fit. Normal blending equals Pillow's "
        "alpha_composite pixel by pixel; the other modes follow W3C Compositing."
    ),
    inputs=(
        Port(
            name="layers",
            kind=Kind.LIST,
            item=Port(name="layer", kind=Kind.JSON, nullable=True),
            required=True,
            minimum=1,
            maximum=64,
            description="bottom first; null is skipped",
        ),
        whole("width", 1, MAX_SIDE, says="pixels; the first layer's when absent"),
        whole("height", 1, MAX_SIDE, says="pixels; the first layer's when absent"),
        color("background", says="see-through when absent"),
        choice("fit", *FITS, says="what to do with layers of another size; exact refuses them"),
        flag("crisp", default=False, says="enlarge without smoothing, for pixel art"),
    ),
)
