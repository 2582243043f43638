"""Stored media in memory, and small pictures to put there."""

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cauldron.domain.errors import NotFound


class Shelf:
    """Media in memory, by content; a folder for those who want a path."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stored: dict[str, bytes] = {}
        self.reads = 0

    def put(self, data: bytes, mime: str = "image/png"):
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self._stored[digest] = data
        return {"media": digest, "mime": mime, "sizeBytes": len(data)}

    def image(self, image, format="PNG", **options):
        buffer = io.BytesIO()
        picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
        picture.save(buffer, format, **options)
        return self.put(buffer.getvalue(), f"image/{format.lower()}")

    def read(self, ref) -> bytes:
        self.reads += 1
        if ref["media"] not in self._stored:
            raise NotFound("no such media")
        return self._stored[ref["media"]]

    def path(self, ref) -> Path:
        file = self._folder / ref["media"].replace(":", "-")
        file.write_bytes(self.read(ref))
        return file


@pytest.fixture
def shelf(tmp_path):
    return Shelf(tmp_path)


@pytest.fixture(scope="session")
def session_shelf(tmp_path_factory):
    return Shelf(tmp_path_factory.mktemp("shelf"))


@pytest.fixture(scope="session")
def portrait():
    """A soft-edged figure on transparency, 96 × 80, with colour and detail."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[0:80, 0:96]
    pixels = rng.integers(20, 235, (80, 96, 4), dtype=np.uint8)
    pixels[..., 0] = 40 + 2 * x
    pixels[..., 1] = 30 + 2 * y
    away = np.hypot(x - 48, y - 40)
    pixels[..., 3] = np.clip((36 - away) * 40, 0, 255)
    return Image.fromarray(pixels)
