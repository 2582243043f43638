"""Short ways to write what many built-in tools share."""

from typing import Any

from cauldron.domain.tool import Kind, Port, Tool

MAX_SIDE = 4_096  # pixels
MAX_SEED = 2**53 - 1  # the largest whole number that JavaScript keeps

PALETTES = (
    "ember", "dusk", "lagoon", "moss", "rose", "ink", "aurora", "sand", "candy", "ultraviolet",
    "citrus", "glacier", "terracotta", "mono",
)  # fmt: skip


def whole(name: str, low: int, high: int, *, default: int | None = None, says: str = "") -> Port:
    """An INTEGER input between ``low`` and ``high``."""
    return Port(name=name, kind=Kind.INTEGER, minimum=low, maximum=high, default=default, description=says)


def number(name: str, low: float, high: float, *, default: float | None = None, says: str = "") -> Port:
    """A NUMBER input between ``low`` and ``high``."""
    return Port(name=name, kind=Kind.NUMBER, minimum=low, maximum=high, default=default, description=says)


def choice(name: str, *choices: str, default: str | None = None, says: str = "") -> Port:
    """A CHOICE input; the first choice unless ``default`` names another."""
    return Port(
        name=name,
        kind=Kind.CHOICE,
        choices=choices,
        default=choices[0] if default is None else default,
        description=says,
    )


def flag(name: str, *, default: bool, says: str = "") -> Port:
    """A BOOLEAN input."""
    return Port(name=name, kind=Kind.BOOLEAN, default=default, description=says)


def color(name: str, *, default: str | None = None, says: str = "") -> Port:
    """A COLOR input."""
    return Port(name=name, kind=Kind.COLOR, default=default, description=says)


def colors(name: str, low: int, high: int, *, says: str = "") -> Port:
    """A LIST of colours; absent unless given."""
    item = Port(name="color", kind=Kind.COLOR)
    return Port(name=name, kind=Kind.LIST, item=item, minimum=low, maximum=high, description=says)


def image(name: str, *, required: bool = False, says: str = "") -> Port:
    """An IMAGE input."""
    return Port(name=name, kind=Kind.IMAGE, required=required, description=says)


def words(name: str, longest: int, *, required: bool = False, default: Any = None, says: str = "") -> Port:
    """A TEXT input of at most ``longest`` characters."""
    return Port(
        name=name,
        kind=Kind.TEXT,
        max_length=longest,
        required=required,
        default=default,
        description=says,
    )


def size(default: int = 1_024) -> tuple[Port, Port]:
    """The inputs ``width`` and ``height``."""
    return (
        whole("width", 1, MAX_SIDE, default=default, says="pixels"),
        whole("height", 1, MAX_SIDE, default=default, says="pixels"),
    )


def coloring() -> tuple[Port, Port]:
    """The inputs ``palette`` and ``colors``, which overrides it."""
    return (
        choice("palette", *PALETTES, says="a named set of colours"),
        colors("colors", 2, 16, says="own colours instead of the palette, dark to light"),
    )


SEED = whole("seed", 0, MAX_SEED, default=0, says="equal seeds give equal results")
FORMAT = choice("format", "png", "webp", "jpeg", says="of the file made; jpeg has no transparency")
QUALITY = whole("quality", 1, 100, default=90, says="of webp (100: lossless) and jpeg")
PICTURE = Port(name="image", kind=Kind.IMAGE, description="the picture made")


def drawing(tool_id: str, *, name: str, says: str, inputs: tuple[Port, ...]) -> Tool:
    """A tool that makes one picture, of a format and quality that are asked for."""
    return Tool(
        id=tool_id,
        version="1.0.0",
        display_name=name,
        description=says,
        inputs=(*inputs, FORMAT, QUALITY),
        outputs=(PICTURE,),
    )
