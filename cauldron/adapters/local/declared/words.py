"""Declarations of the tools that work on text, SVG, stored media and animation."""

from cauldron.adapters.local.declared.ports import (
    MAX_SEED,
    QUALITY,
    SEED,
    choice,
    color,
    drawing,
    flag,
    image,
    number,
    size,
    whole,
    words,
)
from cauldron.domain.tool import Kind, Port, Tool

VALUES = Port(
    name="values",
    kind=Kind.JSON,
    default={},
    description="an object: placeholder name to text, number or true/false",
)
FONT = Port(
    name="font",
    kind=Kind.FILE,
    description="a TrueType or OpenType font; the bundled ones know Latin, Greek and Cyrillic letters",
)
MOTIONS = ("none", "bob", "sway", "rotate", "pulse", "drift", "fade")

CARD = drawing(
    "text.card",
    name="Text card",
    says="Sets a text on a coloured card or a picture, wrapped and fitted.",
    inputs=(
        words("text", 2_000, required=True, says="line breaks are kept"),
        words("caption", 200, says="small, below the text"),
        *size(),
        choice("align", "left", "center", "right", default="left"),
        choice("position", "middle", "top", "bottom"),
        choice("fit", "shrink", "fill", "fixed", says="shrink or fill choose the font size"),
        number("font_size", 0.01, 0.5, default=0.09, says="share of the card's shorter side"),
        number("padding", 0, 0.4, default=0.09, says="share of the card's shorter side"),
        number("line_height", 0.8, 3, default=1.25),
        FONT,
        color("color", says="of the text; chosen for contrast when absent"),
        color("background", default="#241a3d"),
        color("background_to", says="a second colour makes a gradient"),
        image("background_image", says="covers the card"),
        number("shade", 0, 1, default=0.4, says="how much the picture is darkened"),
    ),
)

TEMPLATE = Tool(
    id="text.template",
    version="1.0.0",
    display_name="Text template",
    description="Puts values into a text at {{name}}. Values are never expanded again.",
    category="text",
    inputs=(
        words("template", 20_000, required=True, says="\\{{ is a literal {{"),
        VALUES,
        choice("missing", "error", "empty", says="what a name without a value is"),
    ),
    outputs=(Port(name="text", kind=Kind.TEXT, description="the text with its values"),),
    cpu_bound=False,
)

SVG = drawing(
    "svg.template",
    name="SVG template",
    says=(
        "Renders an SVG with values at {{name}}, escaped. Nothing outside the document is "
        "loaded; text uses the bundled font."
    ),
    inputs=(
        words("template", 400_000, required=True, says="the SVG document"),
        VALUES,
        *size(),
        color("background", says="see-through when absent"),
        FONT,
    ),
)

STATIC = Tool(
    id="static.media",
    version="1.0.0",
    display_name="Stored media",
    description="Hands on one of the given files, by index or by seed.",
    category="media",
    inputs=(
        Port(
            name="media",
            kind=Kind.LIST,
            item=Port(name="file", kind=Kind.FILE),
            required=True,
            minimum=1,
            maximum=1_000,
        ),
        whole("index", 0, MAX_SEED, says="counted from 0, starting over after the last"),
        SEED,
    ),
    outputs=(Port(name="media", kind=Kind.FILE, description="the file chosen"),),
    cpu_bound=False,
)

LOOP = Tool(
    id="anim.loop",
    version="1.0.0",
    display_name="Animation loop",
    description="Makes a seamless GIF, WebP or APNG of several frames, or moves one picture.",
    category="animation",
    inputs=(
        Port(
            name="frames",
            kind=Kind.LIST,
            item=Port(name="frame", kind=Kind.IMAGE, nullable=True),
            required=True,
            minimum=1,
            maximum=120,
            description="pictures of one size; an animated one counts as all its frames",
        ),
        choice("motion", *MOTIONS, says="moves each frame; one picture becomes a loop (fade: not for gif)"),
        number("amount", 0, 1, default=0.4, says="how far the motion goes"),
        whole("count", 2, 120, default=24, says="frames of a moved picture"),
        number("fps", 1, 60, default=12, says="frames per second"),
        whole("loop", 0, 1_000, default=0, says="times it plays; 0 is for ever"),
        flag("boomerang", default=False, says="play there and back"),
        choice("format", "gif", "webp", "apng"),
        whole("colors", 2, 256, default=256, says="of a gif"),
        flag("dither", default=True, says="of a gif"),
        QUALITY,
        color("background", says="see-through when absent"),
        whole("max_side", 16, 2_048, default=1_024, says="pixels; larger frames are shrunk"),
    ),
    outputs=(Port(name="image", kind=Kind.IMAGE, description="the animation"),),
)
