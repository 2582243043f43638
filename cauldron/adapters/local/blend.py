"""Blend modes by the formulas of W3C Compositing and Blending Level 1, with alpha."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Channel = NDArray[np.float32]  # 0…1
Mix = Callable[[Channel, Channel], Channel]  # (backdrop, source) -> blended colour


def _hard_light(cb: Channel, cs: Channel) -> Channel:
    return np.where(cs <= 0.5, 2 * cs * cb, _screen(cb, 2 * cs - 1))


def _screen(cb: Channel, cs: Channel) -> Channel:
    return cb + cs - cb * cs


def _dodge(cb: Channel, cs: Channel) -> Channel:
    bright = np.minimum(1, cb / np.maximum(1 - cs, np.float32(1e-6)))
    return np.where(cb == 0, 0, np.where(cs >= 1, 1, bright)).astype(np.float32)


def _burn(cb: Channel, cs: Channel) -> Channel:
    dark = 1 - np.minimum(1, (1 - cb) / np.maximum(cs, np.float32(1e-6)))
    return np.where(cb >= 1, 1, np.where(cs <= 0, 0, dark)).astype(np.float32)


def _soft_light(cb: Channel, cs: Channel) -> Channel:
    curve = np.where(cb <= 0.25, ((16 * cb - 12) * cb + 4) * cb, np.sqrt(cb))
    return np.where(cs <= 0.5, cb - (1 - 2 * cs) * cb * (1 - cb), cb + (2 * cs - 1) * (curve - cb))


def _luminosity_of(color: Channel) -> Channel:
    red, green, blue = color[..., 0:1], color[..., 1:2], color[..., 2:3]
    light: Channel = np.float32(0.3) * red + np.float32(0.59) * green + np.float32(0.11) * blue
    return light


def _with_luminosity(color: Channel, wanted: Channel) -> Channel:
    moved = color + (wanted - _luminosity_of(color))
    lum = _luminosity_of(moved)
    low, high = moved.min(axis=-1, keepdims=True), moved.max(axis=-1, keepdims=True)
    tiny = np.float32(1e-6)
    moved = np.where(low < 0, lum + (moved - lum) * lum / np.maximum(lum - low, tiny), moved)
    return np.where(high > 1, lum + (moved - lum) * (1 - lum) / np.maximum(high - lum, tiny), moved)


def _saturation_of(color: Channel) -> Channel:
    spread: Channel = color.max(axis=-1, keepdims=True) - color.min(axis=-1, keepdims=True)
    return spread


def _with_saturation(color: Channel, wanted: Channel) -> Channel:
    low = color.min(axis=-1, keepdims=True)
    spread = np.maximum(_saturation_of(color), np.float32(1e-6))
    scaled: Channel = (color - low) * (wanted / spread)
    return scaled


def _hue(cb: Channel, cs: Channel) -> Channel:
    return _with_luminosity(_with_saturation(cs, _saturation_of(cb)), _luminosity_of(cb))


def _saturation(cb: Channel, cs: Channel) -> Channel:
    return _with_luminosity(_with_saturation(cb, _saturation_of(cs)), _luminosity_of(cb))


MIXES: dict[str, Mix] = {
    "multiply": lambda cb, cs: cb * cs,
    "screen": _screen,
    "overlay": lambda cb, cs: _hard_light(cs, cb),
    "darken": np.minimum,
    "lighten": np.maximum,
    "color-dodge": _dodge,
    "color-burn": _burn,
    "hard-light": _hard_light,
    "soft-light": _soft_light,
    "difference": lambda cb, cs: np.abs(cb - cs),
    "exclusion": lambda cb, cs: cb + cs - 2 * cb * cs,
    "hue": _hue,
    "saturation": _saturation,
    "color": lambda cb, cs: _with_luminosity(cs, _luminosity_of(cb)),
    "luminosity": lambda cb, cs: _with_luminosity(cb, _luminosity_of(cs)),
}
MODES = ("normal", *MIXES, "plus")
ALIASES = {"source-over": "normal", "add": "plus", "lighter": "plus", "plus-lighter": "plus"}


def blend(backdrop: Pixels, source: Pixels, mode: str) -> Pixels:
    """``source`` (h, w, 4) over ``backdrop`` (h, w, 3 or 4) with ``mode``; a new array.

    A backdrop of three channels is opaque. Straight alpha, 32-bit floats, one
    rounding at the end: at most one level from the exact value. ``normal`` is
    not among the modes here: it has its own exact integer path.

    Source: αo = αs + αb(1 − αs); co·αo = αs(1 − αb)Cs + αs·αb·B(Cb, Cs) +
    (1 − αs)αb·Cb; ``plus`` is plus-lighter, min(1, αs·Cs + αb·Cb).
    """
    unit = np.float32(1 / 255)
    cb, cs = backdrop[..., :3] * unit, source[..., :3] * unit
    alpha_s = source[..., 3:4] * unit
    if backdrop.shape[2] == 3:
        return _levels(_over_opaque(cb, cs, alpha_s=alpha_s, mode=mode))
    return _over_translucent(cb, cs, alpha_b=backdrop[..., 3:4] * unit, alpha_s=alpha_s, mode=mode)


def _over_opaque(cb: Channel, cs: Channel, *, alpha_s: Channel, mode: str) -> Channel:
    if mode == "plus":
        return np.minimum(1, cb + alpha_s * cs)
    return cb + alpha_s * (MIXES[mode](cb, cs) - cb)


def _over_translucent(cb: Channel, cs: Channel, *, alpha_b: Channel, alpha_s: Channel, mode: str) -> Pixels:
    if mode == "plus":
        alpha = np.minimum(1, alpha_s + alpha_b)
        light = np.minimum(1, alpha_s * cs + alpha_b * cb)
    else:
        alpha = alpha_s + alpha_b * (1 - alpha_s)
        mixed = (1 - alpha_b) * cs + alpha_b * MIXES[mode](cb, cs)
        light = alpha_s * mixed + (1 - alpha_s) * alpha_b * cb
    color = np.minimum(1, light / np.maximum(alpha, np.float32(1e-6)))
    return _levels(np.concatenate([color, alpha], axis=-1))


def _levels(value: Channel) -> Pixels:
    return (np.clip(value, 0, 1) * np.float32(255) + np.float32(0.5)).astype(np.uint8)
