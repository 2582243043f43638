"""Measures of layer art: clipping, fringes, difference of silhouettes and colours."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.float64]


def pixels(path: Path) -> NDArray[np.uint8]:
    """The picture as RGBA, [height, width, 4]."""
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGBA"))


def edge_alpha(rgba: NDArray[np.uint8], *, width: int = 2) -> int:
    """The greatest alpha within ``width`` pixels of the canvas edge."""
    inner = np.zeros(rgba.shape[:2], bool)
    inner[width:-width, width:-width] = True
    return int(rgba[..., 3][~inner].max())


def alien_fringe(rgba: NDArray[np.uint8], *, tolerance: int = 48) -> float:
    """The share of antialiased edge pixels whose colour none of the solid pixels around them has.

    Edge pixels lie between solid (255) and empty (0) ones; a colour is alien when a
    channel leaves the range of the solid pixels of the 5 × 5 around it by more than
    ``tolerance``. A picture cut out of a white or black ground has nearly all of them.
    """
    padded = np.pad(rgba, ((2, 2), (2, 2), (0, 0))).astype(int)
    rows, columns = np.nonzero((padded[..., 3] >= 64) & (padded[..., 3] < 255))
    near = _around(padded, rows, columns, reach=1)[..., 3]
    edge = (near == 255).any(axis=0) & (near == 0).any(axis=0)
    rows, columns = rows[edge], columns[edge]
    wide = _around(padded, rows, columns, reach=2)
    solid = (wide[..., 3] == 255)[..., None]
    most = np.where(solid, wide[..., :3], 0).max(axis=0) + tolerance
    least = np.where(solid, wide[..., :3], 255).min(axis=0) - tolerance
    own = padded[rows, columns, :3]
    alien = ((own > most) | (own < least)).any(axis=1)
    return float(alien.mean()) if len(alien) else 0.0


def _around(
    rgba: NDArray[np.int_], rows: NDArray[np.int_], columns: NDArray[np.int_], *, reach: int
) -> NDArray[np.int_]:
    """The pixels around some pixels, [offset, pixel, 4]."""
    offsets = range(-reach, reach + 1)
    return np.stack([rgba[rows + dy, columns + dx] for dy in offsets for dx in offsets])


def small(path: Path, side: int = 128) -> Pixels:
    """The picture at thumbnail size, colours premultiplied, 0–255."""
    with Image.open(path) as picture:
        shrunk = picture.convert("RGBA").resize((side, side), Image.Resampling.BOX)
    values = np.asarray(shrunk).astype(float)
    values[..., :3] *= values[..., 3:] / 255
    return values


def difference(one: Pixels, other: Pixels) -> float:
    """Mean difference (0–255) in the tenth of their common area where two pictures differ most."""
    area = (one[..., 3] > 8) | (other[..., 3] > 8)
    apart = np.sort(np.abs(one - other).mean(axis=-1)[area])
    return float(apart[-max(40, len(apart) // 10) :].mean())


def colour(rgba: Pixels, where: NDArray[np.bool_]) -> Pixels:
    """The mean colour of some pixels in OKLab. Source: Ottosson, 2020."""
    share = rgba[where][:, :3].mean(axis=0) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    to_lms = [[0.4122, 0.5363, 0.0514], [0.2119, 0.6807, 0.1074], [0.0883, 0.2817, 0.63]]
    to_lab = [[0.2105, 0.7936, -0.0041], [1.978, -2.4286, 0.4506], [0.0259, 0.7828, -0.8087]]
    return np.array(to_lab) @ np.cbrt(np.array(to_lms) @ linear)
