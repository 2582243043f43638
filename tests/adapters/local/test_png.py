import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from isal import isal_zlib
from PIL import Image

from cauldron.adapters.local import png


def chunks(data: bytes):
    """(type, data) of every chunk; fails on a wrong length or CRC."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, found = 8, []
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        (crc,) = struct.unpack(">I", data[at + 8 + length : at + 12 + length])
        assert crc == zlib.crc32(kind + body)
        found.append((kind, body))
        at += 12 + length
    return found


def inflated(data: bytes) -> bytes:
    """The filtered rows; zlib itself checks the Adler-32 at the end."""
    return zlib.decompress(b"".join(body for kind, body in chunks(data) if kind == b"IDAT"))


@st.composite
def pictures(draw):
    height, width = draw(st.integers(1, 100)), draw(st.integers(1, 70))
    channels = draw(st.sampled_from([1, 3, 4]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    kind = draw(st.sampled_from(["noise", "flat", "ramp"]))
    if kind == "noise":
        return rng.integers(0, 256, (height, width, channels), dtype=np.uint8)
    if kind == "flat":
        return np.full((height, width, channels), rng.integers(0, 256), np.uint8)
    y, x = np.mgrid[0:height, 0:width]
    return np.repeat(((x * 2 + y * 3) % 256).astype(np.uint8)[:, :, None], channels, axis=2)


@settings(max_examples=60, deadline=None)
@given(pixels=pictures())
def test_every_picture_is_read_back_equal_and_its_checksums_hold(pixels):
    data = png.encode(pixels)
    inflated(data)
    assert chunks(data)[-1] == (b"IEND", b"")
    read = np.asarray(Image.open(io.BytesIO(data)))
    wanted = pixels[..., 0] if pixels.shape[2] == 1 else pixels
    if pixels.shape[2] == 4 and (pixels[..., 3] == 255).all():
        wanted = pixels[..., :3]
    assert np.array_equal(read, wanted)


@pytest.mark.parametrize("name", png.FILTERS)
def test_each_filter_is_undone_by_readers(name):
    rows = np.random.default_rng(1).integers(0, 256, (70, 33, 3), dtype=np.uint8)
    bands = [png.band_of(rows[top : top + 32], name) for top in (0, 32, 64)]
    data = png.join(bands, width=33, height=70, channels=3)
    assert len(inflated(data)) == 70 * (1 + 33 * 3)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), rows)


def test_bands_join_in_any_combination():
    """A band made for one picture is read back right in another one."""
    rng = np.random.default_rng(2)
    parts = [rng.integers(0, 256, (32, 20, 3), dtype=np.uint8) for _ in range(3)]
    bands = [png.band_of(part, "up") for part in parts]
    for order in ((0, 1, 2), (2, 0, 0), (1, 1, 1)):
        data = png.join([bands[i] for i in order], width=20, height=96, channels=3)
        inflated(data)
        wanted = np.concatenate([parts[i] for i in order])
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), wanted)


def test_a_diagonal_ramp_is_written_small():
    """The filter is chosen by the art: unfiltered this ramp takes 6 times the bytes."""
    y, x = np.mgrid[0:256, 0:256]
    ramp = np.dstack([40 + (x + y) // 4, 60 + x // 3, 120 + y // 3]).astype(np.uint8)
    plain = png.join(
        [png.band_of(ramp[top : top + 32], "none") for top in range(0, 256, 32)],
        width=256,
        height=256,
        channels=3,
    )
    assert len(png.encode(ramp)) < len(plain) / 2


def test_the_bytes_of_a_band_do_not_depend_on_where_in_memory_it_was_made():
    """20,000 bands made twice, by deflaters at two addresses.

    Without a block before it, ISA-L notes the third byte of a band under a hash of its own address:
    one of 8,192 places, of which three decide about matches here, so that about 13 bands differ.
    """
    chance = np.random.default_rng(3)
    between, rest = chance.integers(0, 256, 8, np.uint8), np.zeros(700, np.uint8)
    for start in chance.integers(1, 256, (20_000, 5), np.uint8):
        first = np.append(np.uint8(0), start)  # the filter byte comes before the pixels
        parts = [start, between, first[:4], between, first[1:5], between[:4], first[2:6], between, rest]
        row = np.concatenate(parts)[None, :, None]
        here = png.band_of(row, "none")
        held = isal_zlib.compressobj(png.LEVEL, isal_zlib.DEFLATED, -15)  # takes the place of the last one
        elsewhere = png.band_of(row, "none")
        del held
        assert here == elsewhere
