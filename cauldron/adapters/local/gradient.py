"""``gradient``: linear, radial, conic and diamond colour runs."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cauldron.adapters.local import output, palettes
from cauldron.adapters.local.chance import Chance
from cauldron.adapters.local.refusals import refusal
from cauldron.ports.tools import Media, Produced

Field = NDArray[np.float32]
GRAIN_LEVELS = 22  # deviation of full grain, in levels


def run(inputs: Mapping[str, Any], media: Media) -> Sequence[Produced]:
    """The gradient as the output ``image``.

    Raises:
        InvalidMany: ``positions`` do not match the colours or do not rise.
    """
    colors, positions = _stops(inputs)
    field = _folded(_run_of(inputs), inputs["repeat"] * (2 if _turns(inputs) else 1))
    pixels = palettes.paint(
        field, palettes.ramp(colors, positions, space=inputs["space"]), dither=inputs["dither"]
    )
    if inputs["grain"] > 0:
        grain = Chance(inputs["seed"], "grain").bell(*field.shape)[:, :, None]
        strong = np.float32(GRAIN_LEVELS * inputs["grain"])
        pixels[..., :3] = np.clip(pixels[..., :3] + grain * strong + 0.5, 0, 255).astype(np.uint8)
    return output.picture(pixels, inputs)


def _stops(inputs: Mapping[str, Any]) -> tuple[list[palettes.Color], list[float] | None]:
    colors, positions = palettes.chosen(inputs), inputs.get("positions")
    if positions is not None:
        if len(positions) != len(colors):
            message = f"has {len(positions)} positions for {len(colors)} colours"
            raise refusal("gradient.positions", "wrong_length", message)
        if any(b < a for a, b in pairwise(positions)):
            raise refusal("gradient.positions", "not_rising", "must rise from first to last")
    if inputs["kind"] == "conic" and not _turns(inputs):
        closing = 1.0 if positions is None else positions[-1]
        share = len(colors) / (len(colors) + 1)
        at = np.linspace(0, 1, len(colors)) if positions is None else np.array(positions)
        if closing >= 1.0:  # leave room to come round to the first colour
            return [*colors, colors[0]], [*(at * share), 1.0]
    return colors, positions


def _turns(inputs: Mapping[str, Any]) -> bool:
    """Whether a conic run goes there and back, so that its ends meet."""
    return bool(inputs["kind"] == "conic" and inputs["repeat"] > 1)


def _run_of(inputs: Mapping[str, Any]) -> Field:
    """How far along the colours each pixel lies, 0…1, (height, width)."""
    width, height = inputs["width"], inputs["height"]
    x = (np.arange(width, dtype=np.float32) + np.float32(0.5))[None, :]
    y = (np.arange(height, dtype=np.float32) + np.float32(0.5))[:, None]
    dx, dy = x - np.float32(inputs["x"] * width), y - np.float32(inputs["y"] * height)
    return _along(dx, dy, inputs).astype(np.float32)


def _along(dx: Field, dy: Field, inputs: Mapping[str, Any]) -> NDArray[np.floating[Any]]:
    width, height = inputs["width"], inputs["height"]
    turn = float(np.deg2rad(inputs["angle"]))
    if inputs["kind"] == "linear":
        cos, sin = float(np.cos(turn)), float(np.sin(turn))
        reach = abs(cos) * width + abs(sin) * height
        shift = ((inputs["x"] - 0.5) * width * cos + (inputs["y"] - 0.5) * height * sin) / reach
        return (dx * np.float32(cos) + dy * np.float32(sin)) / np.float32(reach) + np.float32(0.5 + shift)
    if inputs["kind"] == "conic":
        return ((np.arctan2(dy, dx) - np.float32(turn)) / np.float32(2 * np.pi)) % 1
    corners = [(abs(inputs["x"] - i) * width, abs(inputs["y"] - j) * height) for i in (0, 1) for j in (0, 1)]
    if inputs["kind"] == "radial":
        return np.hypot(dx, dy) / np.float32(max(np.hypot(a, b) for a, b in corners))
    return (np.abs(dx) + np.abs(dy)) / np.float32(max(a + b for a, b in corners))


def _folded(field: Field, repeat: int) -> Field:
    """``repeat`` runs there and back instead of one."""
    if repeat == 1:
        return field
    turned = (field * np.float32(repeat)) % 2
    folded: Field = np.minimum(turned, 2 - turned)
    return folded
