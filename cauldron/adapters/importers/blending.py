"""How a layer is drawn: canvas blend modes and opacities, in our words."""

from dataclasses import dataclass

MODES = {
    "source-over": "normal",
    "lighter": "plus",
    "multiply": "multiply",
    "screen": "screen",
    "overlay": "overlay",
    "darken": "darken",
    "lighten": "lighten",
    "color-dodge": "color-dodge",
    "color-burn": "color-burn",
    "hard-light": "hard-light",
    "soft-light": "soft-light",
    "difference": "difference",
    "exclusion": "exclusion",
    "hue": "hue",
    "saturation": "saturation",
    "color": "color",
    "luminosity": "luminosity",
}
"""Values of the canvas property ``globalCompositeOperation`` that we have, by their names there."""

NOT_HERE = (
    "source-in",
    "source-out",
    "source-atop",
    "destination-over",
    "destination-in",
    "destination-out",
    "destination-atop",
    "copy",
    "xor",
)


def _camel(name: str) -> str:
    first, *rest = name.split("-")
    return first + "".join(word.capitalize() for word in rest)


MODE_TABLE = {_camel(name): name for name in [*MODES, *NOT_HERE]}
"""The constants ``MODE.sourceOver`` … that configurations take from another file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How one layer is drawn: a blend mode of ours and an opacity from 0 to 1."""

    blend: str = "normal"
    opacity: float = 1.0
