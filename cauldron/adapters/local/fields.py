"""Patterns computed pixel by pixel: Voronoi cells and moiré."""

import numpy as np
from numpy.typing import NDArray

from cauldron.adapters.local.motif import Motif
from cauldron.adapters.local.palettes import Levels, rounded
from cauldron.adapters.local.png import Pixels

SLAB_ROWS = 128
Field = NDArray[np.float32]


def voronoi(motif: Motif) -> Pixels:
    """Cells around scattered points, with borders of even width and a soft light inside.

    The distance to a border is exact: (d2² − d1²) / 2·|p2 − p1| for the two nearest points.
    """
    columns, rows = (side + 5 for side in motif.grid())
    jitter = 0.5 * motif.disorder
    spread = (motif.chance.floats(rows, columns, 2) * 2 - 1) * jitter
    sites: Field = (spread + 0.5).astype(np.float32)
    inks = np.array(motif.inks, np.float32)[:, :3]
    tints = inks[(motif.chance.floats(rows, columns) * len(inks)).astype(int)]
    tints = np.clip(tints * (0.9 + 0.2 * motif.chance.floats(rows, columns, 1)), 0, 255)
    out = np.empty((motif.height, motif.width, 3), np.uint8)
    for top in range(0, motif.height, SLAB_ROWS):
        height = min(SLAB_ROWS, motif.height - top)
        levels = _voronoi_slab(motif, sites, tints.astype(np.float32), top=top, height=height)
        out[top : top + height] = rounded(levels, top=top)
    return out


def _voronoi_slab(
    motif: Motif, sites: NDArray[np.float32], tints: Levels, *, top: int, height: int
) -> Levels:
    x = ((np.arange(motif.width, dtype=np.float32) + 0.5) / np.float32(motif.cell) + 2)[None, :]
    y = ((np.arange(top, top + height, dtype=np.float32) + 0.5) / np.float32(motif.cell) + 2)[:, None]
    column, row = np.floor(x).astype(np.intp), np.floor(y).astype(np.intp)
    best = np.full((height, motif.width), 1e9, np.float32)
    nearest, second = [np.zeros_like(best) for _ in range(3)], [np.zeros_like(best) for _ in range(3)]
    other = best.copy()
    owner = np.zeros((height, motif.width), np.intp)
    for dy in range(-2, 3):
        for dx in range(-2, 3):
            r, c = row + dy, column + dx
            px, py = sites[r, c, 0] + c - x, sites[r, c, 1] + r - y
            distance = px * px + py * py
            closer = distance < best
            later = ~closer & (distance < other)
            for kept, old, new in zip(second, nearest, (px, py, distance), strict=True):
                kept[...] = np.where(closer, old, np.where(later, new, kept))
                old[...] = np.where(closer, new, old)
            other = np.where(closer, best, np.where(later, distance, other))
            best = np.where(closer, distance, best)
            owner = np.where(closer, r * sites.shape[1] + c, owner)
    apart = np.hypot(second[0] - nearest[0], second[1] - nearest[1])
    border = (other - best) / (2 * np.maximum(apart, np.float32(1e-3)))  # cells
    inside = np.clip((border - np.float32(motif.thickness * 0.12)) * np.float32(motif.cell) + 0.5, 0, 1)
    light = np.float32(0.82) + np.float32(0.3) * np.clip(border * 2, 0, 1)
    colors = np.minimum(tints.reshape(-1, 3)[owner] * light[:, :, None], 255)
    ground = np.array(motif.background[:3], np.float32)
    levels: Levels = ground + (colors - ground) * inside[:, :, None]
    return levels


def moire(motif: Motif) -> Pixels:
    """Rings around three centres, laid over each other so that they interfere."""
    side = min(motif.width, motif.height)
    spread = 0.05 + 0.3 * motif.disorder
    turn = motif.chance.float(0, 2 * np.pi)
    centres = [
        (
            motif.width / 2 + side * spread * np.cos(turn + k * 2.0944) * motif.chance.float(0.6, 1.2),
            motif.height / 2 + side * spread * np.sin(turn + k * 2.0944) * motif.chance.float(0.6, 1.2),
        )
        for k in range(3)
    ]
    inks = np.array(motif.inks, np.float32)[:, :3]
    chosen = [inks[len(inks) // 3], inks[(2 * len(inks)) // 3], inks[-1]]
    period = motif.cell * 0.5
    ground = np.array(motif.background[:3], np.float32)
    out = np.empty((motif.height, motif.width, 3), np.uint8)
    for top in range(0, motif.height, SLAB_ROWS):
        y = (np.arange(top, min(top + SLAB_ROWS, motif.height), dtype=np.float32) + 0.5)[:, None]
        x = (np.arange(motif.width, dtype=np.float32) + 0.5)[None, :]
        light: Levels = np.broadcast_to(1 - ground / np.float32(255), (y.shape[0], motif.width, 3)).copy()
        for (cx, cy), ink in zip(centres, chosen, strict=True):
            ring = _rings(np.hypot(x - np.float32(cx), y - np.float32(cy)), period, motif.thickness)
            light *= 1 - ring[:, :, None] * (ink / np.float32(255)) * np.float32(0.85)
        out[top : top + y.shape[0]] = rounded((1 - light) * np.float32(255), top=top)
    return out


def _rings(distance: Field, period: float, thickness: float) -> Field:
    """1 on rings of ``thickness`` × period, 0 between them, one pixel soft."""
    place = np.abs((distance / np.float32(period)) % 1 - np.float32(0.5)) * np.float32(period)
    edge = np.float32(period * (0.075 + 0.175 * thickness))
    ring: Field = np.clip(edge - place + np.float32(0.5), 0, 1)
    return ring
