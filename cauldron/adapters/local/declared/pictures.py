"""Declarations of the tools that make or change one picture."""

from cauldron.adapters.local.declared.ports import (
    SEED,
    choice,
    color,
    coloring,
    drawing,
    flag,
    image,
    number,
    size,
    whole,
)
from cauldron.domain.tool import Kind, Port

EFFECTS = (
    "blur", "sharpen", "grayscale", "sepia", "invert", "posterize", "solarize", "pixelate",
    "edges", "emboss", "duotone", "hue-rotate", "contrast", "brightness", "darken", "saturation",
    "vignette", "grain", "halftone", "oil", "median", "glow", "chromatic", "scanlines",
)  # fmt: skip
NOISES = ("warp", "fbm", "ridged", "billow", "marble", "contour")
GRADIENTS = ("linear", "radial", "conic", "diamond")
PATTERNS = (
    "truchet", "flow", "voronoi", "moire", "maze", "stripes", "hexagons", "waves", "terrazzo",
    "bauhaus",
)  # fmt: skip
AVATARS = ("creature", "robot", "mask", "ship")

EFFECT = drawing(
    "image.effect",
    name="Image effect",
    says="Changes the colours or the texture of a picture; its size and its transparency stay.",
    inputs=(
        image("image", required=True, says="at most 4096 × 4096 pixels"),
        choice("effect", *EFFECTS, says="what to do"),
        number("strength", 0, 1, default=0.5, says="from hardly visible to all the way"),
        color("dark", default="#1b1036", says="duotone: the shadows; edges, halftone: the ink"),
        color("light", default="#ffb86b", says="duotone: the lights"),
        SEED,
    ),
)

NOISE = drawing(
    "noise.field",
    name="Noise field",
    says="Smooth random fields: clouds, marble, ridges, contour maps.",
    inputs=(
        *size(),
        SEED,
        choice("kind", *NOISES),
        number("scale", 0.5, 64, default=3, says="features across the shorter side"),
        whole("octaves", 1, 8, default=6, says="layers of detail"),
        number("roughness", 0, 1, default=0.5, says="weight of each finer layer"),
        number("warp", 0, 4, default=1, says="how far the field is folded (kind warp and marble)"),
        number("contrast", 0, 1, default=0.5, says="how much of the palette's ends is used"),
        *coloring(),
    ),
)

GRADIENT = drawing(
    "gradient",
    name="Gradient",
    says="Blends colours without banding, mixed in OKLab so that the middle stays clear.",
    inputs=(
        *size(),
        choice("kind", *GRADIENTS),
        *coloring(),
        Port(
            name="positions",
            kind=Kind.LIST,
            item=Port(name="position", kind=Kind.NUMBER, minimum=0, maximum=1),
            minimum=2,
            maximum=16,
            description="where each colour stands, rising; evenly spread when absent",
        ),
        number("angle", 0, 360, default=90, says="degrees clockwise; 90 runs downwards"),
        number("x", -1, 2, default=0.5, says="centre, as a share of the width"),
        number("y", -1, 2, default=0.5, says="centre, as a share of the height"),
        whole("repeat", 1, 32, default=1, says="times the colours run there and back"),
        choice("space", "oklab", "srgb", says="where colours are mixed"),
        number("grain", 0, 1, default=0, says="film grain, seeded"),
        flag("dither", default=True, says="hide the steps of 8-bit colour"),
        SEED,
    ),
)

PATTERN = drawing(
    "pattern.generate",
    name="Pattern",
    says="Seeded geometric patterns with smooth edges.",
    inputs=(
        *size(),
        SEED,
        choice("pattern", *PATTERNS),
        whole("cells", 2, 64, default=10, says="across the shorter side"),
        number("thickness", 0.02, 1, default=0.3, says="of lines and gaps, as a share of a cell"),
        number("disorder", 0, 1, default=0.5, says="how far the pattern leaves its order"),
        *coloring(),
        color("background", says="the palette's darkest colour when absent"),
    ),
)

AVATAR = drawing(
    "pixel.avatar",
    name="Pixel avatar",
    says="A mirrored pixel sprite with an outline, shading and eyes.",
    inputs=(
        SEED,
        choice("kind", *AVATARS),
        whole("cells", 8, 32, default=16, says="pixels of the sprite per side"),
        whole("scale", 1, 128, default=32, says="screen pixels per sprite pixel"),
        *coloring(),
        color("background", says="see-through when absent"),
        flag("outline", default=True, says="a dark contour"),
    ),
)
