import io

import numpy as np
import pytest
from PIL import Image

from cauldron.adapters.local.motion import MOTIONS
from cauldron.adapters.local.registry import run_tool
from cauldron.domain.errors import InvalidMany

COLORS = ("#ff0000", "#00ff00", "#0000ff")


def frames_of(made):
    image = Image.open(io.BytesIO(made.data))
    found = []
    for index in range(image.n_frames):
        image.seek(index)
        found.append((image.convert("RGBA"), image.info.get("duration")))
    return image, found


@pytest.mark.parametrize("format", ["gif", "webp", "apng"])
def test_frames_come_back_in_order_and_time(format, shelf):
    """10 frames a second are 100 ms; webp at quality 100 is lossless."""
    refs = [shelf.image(Image.new("RGB", (20, 12), color)) for color in COLORS]
    inputs = {"frames": refs, "format": format, "fps": 10, "quality": 100, "loop": 3}
    (made,) = run_tool("anim.loop", inputs, shelf)
    image, found = frames_of(made)
    assert (made.mime, made.width, made.height) == (f"image/{format}", 20, 12)
    assert [round(ms) for _, ms in found] == [100] * 3
    for (frame, _), color in zip(found, COLORS, strict=True):
        wanted = Image.new("RGB", (1, 1), color).getpixel((0, 0))
        assert np.abs(np.array(frame.getpixel((5, 5))[:3]) - wanted).max() < 6
    assert image.info["loop"] == (2 if format == "gif" else 3)  # a gif counts repetitions


@pytest.mark.parametrize(("loop", "stored"), [(0, 0), (1, None), (2, 1)])
def test_a_gif_plays_as_often_as_asked(loop, stored, shelf):
    refs = [shelf.image(Image.new("RGB", (8, 8), color)) for color in COLORS]
    (made,) = run_tool("anim.loop", {"frames": refs, "loop": loop}, shelf)
    assert Image.open(io.BytesIO(made.data)).info.get("loop") == stored


@pytest.mark.parametrize("name", MOTIONS)
@pytest.mark.parametrize("format", ["gif", "webp", "apng"])
def test_every_motion_makes_a_readable_loop_that_moves(name, format, shelf, portrait):
    inputs = {"frames": [shelf.image(portrait)], "motion": name, "count": 6, "amount": 1, "format": format}
    (made,) = run_tool("anim.loop", inputs, shelf)
    _, found = frames_of(made)
    assert 3 <= len(found) <= 6  # equal frames in a row may be stored as one
    assert len({frame.tobytes() for frame, _ in found}) >= 3 or name == "fade"


def test_a_gif_frame_may_be_empty(shelf):
    """Nothing visible in the second of three frames: the file stays readable."""
    full = np.full((30, 30, 4), 255, np.uint8)
    refs = [shelf.image(pixels) for pixels in (full, np.zeros_like(full), full)]
    _, found = frames_of(run_tool("anim.loop", {"frames": refs}, shelf)[0])
    assert [frame.getchannel("A").getextrema()[1] for frame, _ in found] == [255, 0, 255]


def test_a_gif_shows_only_what_is_in_each_frame(shelf):
    """See-through frames are cleared before the next; opaque ones store only what changes."""
    frames = []
    for i in range(4):
        pixels = np.zeros((24, 24, 4), np.uint8)
        pixels[6 * i : 6 * i + 6, 3:20] = (200, 40, 40, 255)
        frames.append(pixels)
    _, found = frames_of(run_tool("anim.loop", {"frames": [shelf.image(f) for f in frames]}, shelf)[0])
    for (got, _), wanted in zip(found, frames, strict=True):
        assert np.array_equal(np.asarray(got)[..., 3], wanted[..., 3])
    opaque = {"frames": [shelf.image(f) for f in frames], "background": "#102030"}
    _, found = frames_of(run_tool("anim.loop", opaque, shelf)[0])
    for (got, _), wanted in zip(found, frames, strict=True):
        red = np.asarray(got)[..., 0] > 100
        assert np.array_equal(red, wanted[..., 3] == 255)


def test_boomerang_plays_there_and_back(shelf):
    refs = [shelf.image(Image.new("RGB", (8, 8), color)) for color in (*COLORS, "#ffffff")]
    _, found = frames_of(run_tool("anim.loop", {"frames": refs, "boomerang": True}, shelf)[0])
    assert len(found) == 6


def test_an_animation_can_be_a_frame(shelf):
    pictures = [Image.new("RGB", (8, 8), color) for color in COLORS]
    ref = shelf.image(pictures[0], "GIF", save_all=True, append_images=pictures[1:], duration=90)
    _, found = frames_of(run_tool("anim.loop", {"frames": [ref]}, shelf)[0])
    assert len(found) == 3


def test_frames_of_different_sizes_are_refused(shelf):
    refs = [shelf.image(Image.new("RGB", size)) for size in ((8, 8), (9, 8))]
    with pytest.raises(InvalidMany, match=r"frames\[1\]: is 9 × 8, the first 8 × 8"):
        run_tool("anim.loop", {"frames": refs}, shelf)


def test_too_many_pixels_are_refused_before_they_are_drawn(shelf):
    ref = shelf.image(Image.new("L", (2_000, 2_000)))
    inputs = {"frames": [ref], "motion": "bob", "count": 120, "max_side": 2_048}
    with pytest.raises(InvalidMany, match="over 128,000,000 pixels"):
        run_tool("anim.loop", inputs, shelf)


def test_large_frames_are_shrunk(shelf):
    ref = shelf.image(Image.new("RGB", (300, 200)))
    (made,) = run_tool("anim.loop", {"frames": [ref, ref], "max_side": 60}, shelf)
    assert (made.width, made.height) == (60, 40)
