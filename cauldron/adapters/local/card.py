"""``text.card``: a text set on a coloured card or a picture, wrapped and fitted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from cauldron.adapters.local import output, palettes
from cauldron.adapters.local.fonts import Face, Font, face_of
from cauldron.adapters.local.palettes import Color
from cauldron.adapters.local.pictures import open_picture
from cauldron.ports.tools import Media, Produced

SMALLEST = 0.012  # font size, share of the shorter side
CAPTION_SHARE = 0.46  # of the text's size
CAPTION_GAP = 0.9  # of the caption's size


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A text broken into lines at one font size (pixels)."""

    size: int
    face: Face
    lines: tuple[str, ...]
    caption: tuple[str, ...]
    height: float  # of both together, pixels


def run(inputs: Mapping[str, Any], media: Media) -> Sequence[Produced]:
    """The card as the output ``image``.

    Raises:
        InvalidMany: the background image is unusable.
    """
    width, height = inputs["width"], inputs["height"]
    card, behind = _ground(inputs, media)
    color = palettes.parse(inputs["color"]) if inputs.get("color") else palettes.contrast_color(behind)
    pad = inputs["padding"] * min(width, height)
    room = (max(1.0, width - 2 * pad), max(1.0, height - 2 * pad))
    layer = Image.new("RGBA", card.size, (*color[:3], 0))
    face = face_of(inputs.get("font"), media, path="text.card.font", text=_said(inputs))
    _write(layer, _fitted(inputs, room, face), inputs, color=color, pad=pad)
    return output.picture(np.asarray(Image.alpha_composite(card, layer)), inputs)


def _ground(inputs: Mapping[str, Any], media: Media) -> tuple[Image.Image, Color]:
    """The empty card, and the colour the text has to stand out from."""
    size = (inputs["width"], inputs["height"])
    first = palettes.parse(inputs["background"])
    if inputs.get("background_image"):
        photo = open_picture(inputs["background_image"], media, path="text.card.background_image")
        covered = ImageOps.fit(photo, size, Image.Resampling.LANCZOS)
        card = Image.alpha_composite(Image.new("RGBA", size, first), covered)
        shade = (12, 10, 20, round(255 * inputs["shade"]))
        card = Image.alpha_composite(card, Image.new("RGBA", size, shade))
        red, green, blue = np.asarray(card)[..., :3].reshape(-1, 3).mean(axis=0)
        return card, (int(red), int(green), int(blue), 255)
    if not inputs.get("background_to"):
        return Image.new("RGBA", size, first), first
    second = palettes.parse(inputs["background_to"])
    y, x = np.mgrid[0 : size[1], 0 : size[0]].astype(np.float32)
    field = (x / size[0] * np.float32(0.35) + y / size[1]) / np.float32(1.35)
    colors = palettes.ramp([first, second])
    card = Image.fromarray(palettes.paint(field, colors)).convert("RGBA")
    red, green, blue, _ = colors[len(colors) // 2]
    return card, (int(red), int(green), int(blue), 255)


def _said(inputs: Mapping[str, Any]) -> str:
    return str(inputs["text"]) + str(inputs.get("caption") or "")


def _fitted(inputs: Mapping[str, Any], room: tuple[float, float], face: Face) -> Setting:
    """The text at its size: as asked (``fixed``), at most that (``shrink``), or the largest (``fill``)."""
    side = min(inputs["width"], inputs["height"])
    wanted = max(4, round(inputs["font_size"] * side))
    if inputs["fit"] == "fixed":
        return _set(inputs, wanted, room[0], face=face)
    low, high = max(4, round(SMALLEST * side)), wanted
    if inputs["fit"] == "fill":
        high = max(wanted, round(0.5 * side))
    best = _set(inputs, low, room[0], face=face)
    while low <= high:
        middle = (low + high) // 2
        tried = _set(inputs, middle, room[0], face=face)
        if _fits(tried, room):
            best, low = tried, middle + 1
        else:
            high = middle - 1
    return best


def _fits(setting: Setting, room: tuple[float, float]) -> bool:
    font = setting.face.at(setting.size)
    return setting.height <= room[1] and all(font.getlength(line) <= room[0] for line in setting.lines)


def _set(inputs: Mapping[str, Any], size: int, width: float, *, face: Face) -> Setting:
    lines = _wrapped(face.shown(inputs["text"]), face.at(size), width)
    small = _caption_size(size)
    caption: tuple[str, ...] = ()
    if inputs.get("caption"):
        caption = _wrapped(face.shown(inputs["caption"]), face.at(small), width)
    height = len(lines) * size * inputs["line_height"]
    if caption:
        height += small * (CAPTION_GAP + len(caption) * inputs["line_height"])
    return Setting(size=size, face=face, lines=lines, caption=caption, height=height)


def _caption_size(size: int) -> int:
    return max(4, round(size * CAPTION_SHARE))


def _wrapped(text: str, font: Font, width: float) -> tuple[str, ...]:
    """``text`` in lines no wider than ``width``; words too long for a line are cut."""
    lines: list[str] = []
    for paragraph in text.splitlines() or [""]:
        line = ""
        for word in paragraph.split():
            longer = f"{line} {word}" if line else word
            if font.getlength(longer) <= width:
                line = longer
                continue
            if line:
                lines.append(line)
            *full, line = _pieces(word, font, width)
            lines += full
        lines.append(line)
    return tuple(lines)


def _pieces(word: str, font: Font, width: float) -> list[str]:
    pieces, piece = [], ""
    for letter in word:
        if piece and font.getlength(piece + letter) > width:
            pieces.append(piece)
            piece = ""
        piece += letter
    return [*pieces, piece]


def _write(
    layer: Image.Image, setting: Setting, inputs: Mapping[str, Any], *, color: Color, pad: float
) -> None:
    """Draw the lines; each stands in the middle of its line height."""
    free = layer.height - 2 * pad - setting.height
    y = pad + {"top": 0.0, "middle": free / 2, "bottom": free}[inputs["position"]]
    y = _lines(layer, setting.lines, setting.face.at(setting.size), inputs, color=color, y=y)
    small = _caption_size(setting.size)
    faint = (*color[:3], round(color[3] * 0.72))
    _lines(layer, setting.caption, setting.face.at(small), inputs, color=faint, y=y + small * CAPTION_GAP)


def _lines(
    layer: Image.Image,
    lines: Sequence[str],
    font: Font,
    inputs: Mapping[str, Any],
    *,
    color: Color,
    y: float,
) -> float:
    draw = ImageDraw.Draw(layer)
    pad = inputs["padding"] * min(layer.size)
    x, anchor = {
        "left": (pad, "lm"),
        "center": (layer.width / 2, "mm"),
        "right": (layer.width - pad, "rm"),
    }[inputs["align"]]
    leading = font.size * inputs["line_height"]
    for line in lines:
        draw.text((x, y + leading / 2), line, fill=color, font=font, anchor=anchor)
        y += leading
    return y
