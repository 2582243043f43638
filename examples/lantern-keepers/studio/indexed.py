"""Small PNGs: 256 colours with alpha, chosen per picture, opaque pixels kept opaque."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Colours = NDArray[np.float64]  # (n, 4): premultiplied red, green, blue, and alpha, 0–255
ENTRIES = 255  # one more is kept for "nothing"
ROUNDS = 8
FEWEST = 72


def indexed(picture: Image.Image) -> Image.Image:
    """The picture with a palette of at most 256 RGBA colours (mode ``P`` with alpha).

    Transparent, opaque and translucent pixels have palettes of their own, so edges stay
    soft and bodies stay solid. Colours are split at the largest spread and settled by
    k-means in premultiplied space, weighted by the square root of how often they occur.
    """
    pixels = np.asarray(picture.convert("RGBA"))
    flat = np.ascontiguousarray(pixels).view(np.uint32).ravel()
    keys, inverse, counts = np.unique(flat, return_inverse=True, return_counts=True)
    straight = keys.view(np.uint8).reshape(-1, 4).astype(np.float64)
    colours = straight.copy()
    colours[:, :3] *= straight[:, 3:] / 255
    weights = np.sqrt(counts)
    opaque, nothing = straight[:, 3] == 255, straight[:, 3] == 0
    palette, label = [np.zeros((1, 4))], np.zeros(len(keys), np.int64)
    size = 1
    for part, share in _shares(opaque, ~opaque & ~nothing, weights):
        found, chosen = _palette(colours[part], weights[part], share)
        label[part] = chosen + size
        palette.append(found)
        size += len(found)
    return _picture(np.concatenate(palette), label[inverse].reshape(pixels.shape[:2]))


def _shares(
    opaque: NDArray[np.bool_], soft: NDArray[np.bool_], weights: NDArray[np.float64]
) -> list[tuple[NDArray[np.bool_], int]]:
    parts = [(opaque, float(weights[opaque].sum())), (soft, float(weights[soft].sum()))]
    parts = [(part, weight) for part, weight in parts if weight > 0]
    if len(parts) < 2:
        return [(part, ENTRIES) for part, _ in parts]
    first = round(ENTRIES * parts[0][1] / (parts[0][1] + parts[1][1]))
    first = min(max(first, FEWEST), ENTRIES - FEWEST)
    return [(parts[0][0], first), (parts[1][0], ENTRIES - first)]


def _palette(
    colours: Colours, weights: NDArray[np.float64], wanted: int
) -> tuple[Colours, NDArray[np.int64]]:
    if len(colours) <= wanted:
        return colours, np.arange(len(colours))
    centres = _split(colours, weights, wanted)
    for _ in range(ROUNDS):
        nearest = _nearest(colours, centres)
        total = np.bincount(nearest, weights, len(centres))
        for channel in range(4):
            moved = np.bincount(nearest, weights * colours[:, channel], len(centres))
            centres[:, channel] = np.where(total > 0, moved / np.maximum(total, 1e-9), centres[:, channel])
    return centres, _nearest(colours, centres)


def _split(colours: Colours, weights: NDArray[np.float64], wanted: int) -> Colours:
    """Starting colours: boxes cut at their weighted mean, the one of largest spread first."""
    boxes = [np.arange(len(colours))]
    spreads = [_spread(colours, weights)]
    while len(boxes) < wanted:
        worst = int(np.argmax([s[0] for s in spreads]))
        axis, members = spreads[worst][1], boxes[worst]
        values = colours[members, axis]
        cut = values > np.average(values, weights=weights[members])
        if not cut.any() or cut.all():
            spreads[worst] = (-1.0, 0)
            if max(s[0] for s in spreads) < 0:
                break
            continue
        boxes[worst], other = members[~cut], members[cut]
        spreads[worst] = _spread(colours[boxes[worst]], weights[boxes[worst]])
        boxes.append(other)
        spreads.append(_spread(colours[other], weights[other]))
    return np.array([np.average(colours[b], axis=0, weights=weights[b]) for b in boxes])


def _spread(colours: Colours, weights: NDArray[np.float64]) -> tuple[float, int]:
    mean = np.average(colours, axis=0, weights=weights)
    scatter = ((colours - mean) ** 2 * weights[:, None]).sum(axis=0)
    axis = int(np.argmax(scatter))
    return float(scatter[axis]), axis


def _nearest(colours: Colours, centres: Colours) -> NDArray[np.int64]:
    out = np.empty(len(colours), np.int64)
    for start in range(0, len(colours), 4096):
        block = colours[start : start + 4096].astype(np.float32)
        distance = np.zeros((len(block), len(centres)), np.float32)
        for channel in range(4):
            distance += (block[:, channel, None] - centres[None, :, channel].astype(np.float32)) ** 2
        out[start : start + 4096] = distance.argmin(axis=1)
    return out


def _picture(premultiplied: Colours, index: NDArray[np.int64]) -> Image.Image:
    alpha = np.clip(np.rint(premultiplied[:, 3]), 0, 255)
    rgb = premultiplied[:, :3] * 255 / np.maximum(premultiplied[:, 3:], 1)
    table = np.concatenate([np.clip(np.rint(rgb), 0, 255), alpha[:, None]], axis=1).astype(np.uint8)
    order = np.lexsort((table[:, :3] @ np.array([2, 5, 1], np.int64), table[:, 3]))
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    out = Image.fromarray(place[index].astype(np.uint8), "P")
    out.putpalette(table[order, :3].tobytes())
    out.info["transparency"] = table[order, 3].tobytes()
    return out
