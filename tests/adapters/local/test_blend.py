"""Each blend mode against the formula of the specification, worked out in exact fractions."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cauldron.adapters.local.blend import ALIASES, MIXES, MODES, blend
from cauldron.adapters.local.declared.layers import BLEND_ALIASES, BLENDS


def hard_light(b, s):
    return 2 * b * s if s <= Fraction(1, 2) else b + (2 * s - 1) - b * (2 * s - 1)


def dodge(b, s):
    if b == 0:
        return Fraction(0)
    return Fraction(1) if s == 1 else min(Fraction(1), b / (1 - s))


def burn(b, s):
    if b == 1:
        return Fraction(1)
    return Fraction(0) if s == 0 else 1 - min(Fraction(1), (1 - b) / s)


EXACT = {
    "multiply": lambda b, s: b * s,
    "screen": lambda b, s: b + s - b * s,
    "overlay": lambda b, s: hard_light(s, b),
    "darken": min,
    "lighten": max,
    "color-dodge": dodge,
    "color-burn": burn,
    "hard-light": hard_light,
    "difference": lambda b, s: abs(b - s),
    "exclusion": lambda b, s: b + s - 2 * b * s,
}
pixel = st.tuples(*[st.integers(0, 255)] * 4)


@pytest.mark.parametrize("mode", EXACT)
@settings(max_examples=60, deadline=None)
@given(below=pixel, above=pixel)
def test_separable_modes_are_within_a_level_of_the_specification(mode, below, above):
    """One level: 32-bit floats, rounded once (half a level and the float error)."""
    got = blend(np.array([[below]], np.uint8), np.array([[above]], np.uint8), mode)[0, 0]
    ab, a_s = Fraction(below[3], 255), Fraction(above[3], 255)
    alpha = a_s + ab * (1 - a_s)
    assert abs(int(got[3]) - alpha * 255) <= 1
    for channel in range(3):
        b, s = Fraction(below[channel], 255), Fraction(above[channel], 255)
        light = a_s * (1 - ab) * s + a_s * ab * EXACT[mode](b, s) + (1 - a_s) * ab * b
        wanted = light / alpha * 255 if alpha else 0
        assert abs(int(got[channel]) - wanted) <= 1


@pytest.mark.parametrize("mode", [*MIXES, "plus"])
@settings(max_examples=25, deadline=None)
@given(below=pixel, above=pixel)
def test_an_opaque_backdrop_gives_the_same_with_three_channels_as_with_four(mode, below, above):
    low, top = np.array([[(*below[:3], 255)]], np.uint8), np.array([[above]], np.uint8)
    three, four = blend(low[..., :3], top, mode), blend(low, top, mode)
    assert four[0, 0, 3] == 255
    assert np.abs(three.astype(int) - four[..., :3]).max() <= 1


def test_luminosity_and_color_take_from_one_what_they_do_not_take_from_the_other():
    red, blue = (np.array([[[*c, 255]]], np.uint8) for c in ((200, 60, 40), (40, 80, 220)))
    light = np.array([0.3, 0.59, 0.11])
    color = blend(red, blue, "color")[0, 0, :3]
    luminosity = blend(red, blue, "luminosity")[0, 0, :3]
    assert abs(color @ light - red[0, 0, :3] @ light) < 2
    assert abs(luminosity @ light - blue[0, 0, :3] @ light) < 2
    assert color.argmax() == 2 and luminosity.argmax() == 0


def test_plus_adds_light():
    low, top = np.array([[[100, 200, 0]]], np.uint8), np.array([[[50, 100, 255, 128]]], np.uint8)
    assert blend(low, top, "plus")[0, 0].tolist() == [125, 250, 128]


def test_a_transparent_layer_changes_nothing_in_any_mode():
    low = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    for mode in (*MIXES, "plus"):
        assert np.array_equal(blend(low, np.zeros((8, 8, 4), np.uint8), mode), low)


def test_the_declaration_offers_exactly_the_modes_there_are():
    assert BLENDS == MODES
    assert set(BLEND_ALIASES) == set(ALIASES)
