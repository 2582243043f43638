"""Contact sheets: bounded, the same bytes for the same tiles, and not undone by a bad file."""

import io
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image

from cauldron.adapters.contact_sheet import RAISED, SURFACE, PillowSheet, draw_sheet
from cauldron.ports.exporting import Tile


@pytest.fixture
def tile(tmp_path: Path):
    """A tile whose file is a plain picture, or holds the bytes given."""

    def made(
        data: bytes | None = None, *, size=(64, 64), color=(200, 30, 40), mode="RGB", mime="image/png"
    ) -> Tile:
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.png"
        if data is None:
            Image.new(mode, size, color).save(path, "PNG")
        else:
            path.write_bytes(data)
        return Tile(path=path, mime="image/png", label="7")

    return made


def drawn(tiles, *, title="Keepers", caption="3 pieces") -> Image.Image:
    return Image.open(io.BytesIO(draw_sheet(tiles, title=title, caption=caption)))


def near(pixel, color) -> bool:
    return all(abs(a - b) < 24 for a, b in zip(pixel, color, strict=True))


def test_equal_tiles_give_equal_bytes(tile, run):
    tiles = [tile(color=(i * 20, 30, 40)) for i in range(5)]
    sheets = {run(PillowSheet().render(tiles, title="K", caption="c")) for _ in range(3)}
    assert len(sheets) == 1


@pytest.mark.parametrize("count", [1, 2, 7, 60, 96, 256])
def test_the_sheet_stays_bounded_and_is_no_higher_than_twice_its_width(tile, count):
    sheet = drawn([tile()] * count)
    assert sheet.format == "JPEG"
    assert sheet.width <= 3600
    assert sheet.height <= 2 * sheet.width


def test_every_picture_is_shown_whole_and_centred(tile):
    sheet = drawn([tile(size=(64, 16))])
    side = 320
    left, top = 40, 40 + sheet.width // 20
    assert near(sheet.getpixel((left + side // 2, top + side // 2)), (200, 30, 40))
    assert near(sheet.getpixel((left + side // 2, top + 40)), SURFACE)


def test_pixel_art_grows_by_whole_steps_with_sharp_edges(tile, tmp_path):
    art = Image.new("RGB", (24, 24), (255, 255, 255))
    art.paste((0, 0, 0), (0, 0, 12, 24))
    art.save(tmp_path / "art.png")
    sheet = drawn([Tile(path=tmp_path / "art.png", mime="image/png", label="1")])
    top = 40 + sheet.width // 20
    row = [sheet.getpixel((x, top + 160))[0] for x in range(40 + 10, 40 + 310)]
    assert sum(60 < value < 200 for value in row) <= 4


def test_what_is_transparent_shows_the_ground(tile):
    sheet = drawn([tile(mode="RGBA", color=(255, 255, 255, 0))])
    assert near(sheet.getpixel((40 + 160, 40 + sheet.width // 20 + 160)), SURFACE)


def bomb() -> bytes:
    """A PNG that claims to be 60,000 × 60,000."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    "data", [b"", b"no picture", b"\x89PNG\r\n\x1a\n", bomb()], ids=["empty", "text", "cut", "bomb"]
)
def test_a_file_that_cannot_be_drawn_is_a_blank_with_its_number(tile, data):
    sheet = drawn([tile(data), tile()])
    corner = (40 + 5, 40 + sheet.width // 20 + 5)
    assert near(sheet.getpixel(corner), SURFACE)


def test_a_cut_off_picture_is_a_blank(tile):
    whole = io.BytesIO()
    Image.effect_noise((200, 200), 50).save(whole, "PNG")
    sheet = drawn([tile(whole.getvalue()[:2000])])
    assert near(sheet.getpixel((40 + 5, 40 + sheet.width // 20 + 5)), SURFACE)


@pytest.mark.parametrize("title", ["", "W" * 500, "line\nbreak\ttab", "日本語 ✨", "\x00\x01"])
def test_any_title_fits_on_its_line(tile, title):
    sheet = drawn([tile()], title=title, caption=title)
    line = 40 + round(sheet.width // 20 * 0.7)
    assert near(sheet.getpixel((sheet.width - 60, line)), RAISED)
