import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from cauldron.adapters.local import png
from cauldron.adapters.local.pictures import MAX_PIXELS, open_frames, open_picture, size_of
from cauldron.domain.errors import InvalidMany
from cauldron.domain.media import MediaRef


def bomb(width: int, height: int) -> bytes:
    """A small PNG that declares a huge picture."""
    head = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    body = zlib.compress(b"\0" * 100_000)
    return png.SIGNATURE + png.chunk(b"IHDR", head) + png.chunk(b"IDAT", body) + png.END


def small(format: str) -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, format)
    return buffer.getvalue()


HOSTILE = {
    "empty": (b"", "not_an_image"),
    "text": (b"hello, I am a picture", "not_an_image"),
    "html": (b"<html><img src=x></html>", "not_an_image"),
    "svg": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "not_an_image"),
    "bmp": (small("BMP"), "not_an_image"),
    "tiff": (small("TIFF"), "not_an_image"),
    "pdf": (small("PDF"), "not_an_image"),
    "bomb": (bomb(30_000, 30_000), "too_many_pixels"),
    "large": (bomb(MAX_PIXELS // 1_000 + 1, 1_000), "too_many_pixels"),
    "wide": (bomb(2**31 - 1, 1), "too_many_pixels"),
    "zero": (bomb(0, 5), "damaged_image"),
    "short": (small("PNG")[:200], "damaged_image"),
    "head only": (small("PNG")[:40], "damaged_image"),
    "short jpeg": (small("JPEG")[:300], "damaged_image"),
    "short webp": (small("WEBP")[:200], "damaged_image"),
    "wrong checksum": (small("PNG")[:60] + b"\xff" * 40 + small("PNG")[100:], "damaged_image"),
}


@pytest.mark.parametrize(("data", "code"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_files_are_refused_with_the_reason(shelf, data, code):
    with pytest.raises(InvalidMany) as caught:
        open_picture(shelf.put(data), shelf, path="tool.image")
    (problem,) = caught.value.problems
    assert (problem.path, problem.code) in {("tool.image", code), ("tool.image", "not_an_image")}


def test_every_cut_of_a_file_is_a_picture_or_one_clear_refusal(shelf):
    """Truncated anywhere, nothing but InvalidMany comes out."""
    for format in ("PNG", "JPEG", "WEBP", "GIF"):
        data = small(format)
        for length in range(0, len(data), max(1, len(data) // 40)):
            try:
                open_picture(shelf.put(data[:length]), shelf, path="p")
            except InvalidMany as error:
                assert error.problems[0].path == "p"


def test_too_many_bytes_are_refused_before_they_are_read(shelf):
    ref: MediaRef = {**shelf.put(b""), "sizeBytes": 10**10}
    with pytest.raises(InvalidMany, match="bytes"):
        open_picture(ref, shelf, path="p")
    assert shelf.reads == 0


@pytest.mark.parametrize(
    ("mode", "value", "wanted"),
    [
        ("L", 77, (77, 77, 77, 255)),
        ("LA", (77, 9), (77, 77, 77, 9)),
        ("1", 1, (255, 255, 255, 255)),
        ("RGB", (1, 2, 3), (1, 2, 3, 255)),
        ("P", 0, (10, 20, 30, 255)),
    ],
)
def test_every_colour_mode_becomes_rgba(shelf, mode, value, wanted):
    image = Image.new(mode, (3, 2), value)
    if mode == "P":
        image.putpalette([10, 20, 30])
    opened = open_picture(shelf.image(image), shelf, path="p")
    assert (opened.mode, opened.getpixel((1, 1))) == ("RGBA", wanted)


def test_16_bit_grey_is_scaled_not_cut(shelf):
    grey = Image.fromarray(np.array([[0, 257, 32_896, 65_535]], np.uint16))
    opened = np.asarray(open_picture(shelf.image(grey), shelf, path="p"))
    assert opened[0, :, 0].tolist() == [0, 1, 128, 255]


def test_cmyk_becomes_rgb(shelf):
    opened = open_picture(shelf.image(Image.new("CMYK", (4, 4), (0, 255, 255, 0)), "JPEG"), shelf, path="p")
    red, green, blue, alpha = opened.getpixel((1, 1))
    assert red > 240 and green < 15 and blue < 15 and alpha == 255


def test_photographs_stand_upright(shelf):
    image = Image.new("RGB", (8, 4), "red")
    exif = Image.Exif()
    exif[0x0112] = 6
    ref = shelf.image(image, "JPEG", exif=exif)
    assert open_picture(ref, shelf, path="p").size == size_of(ref, shelf, path="p") == (4, 8)


def test_a_broken_colour_profile_is_ignored_and_srgb_changes_nothing(shelf):
    image = Image.new("RGB", (4, 4), (200, 100, 50))
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for profile in (srgb, b"not a profile at all"):
        ref = shelf.image(image, icc_profile=profile)
        assert open_picture(ref, shelf, path="p").getpixel((0, 0)) == (200, 100, 50, 255)


def test_animations_give_their_frames_up_to_a_limit(shelf):
    frames = [Image.new("RGB", (6, 6), (40 * i, 0, 0)) for i in range(5)]
    ref = shelf.image(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=70)
    opened = open_frames(ref, shelf, path="p", most=5)
    assert [(f.mode, ms) for f, ms in opened] == [("RGBA", 70)] * 5
    assert open_picture(ref, shelf, path="p").getpixel((0, 0))[0] < 10
    with pytest.raises(InvalidMany, match="5 frames, 4 allowed"):
        open_frames(ref, shelf, path="p", most=4)
