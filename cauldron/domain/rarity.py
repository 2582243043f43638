"""OpenRarity scores and ranks: how surprising each piece is within its collection."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

TraitValue: TypeAlias = str | int | float
TRAIT_COUNT = "meta_trait:trait_count"
REL_TOLERANCE = 1e-9  # scores closer than this share a rank

_Ints: TypeAlias = npt.NDArray[np.int64]
_Floats: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rarity:
    """Scores of a whole collection, all in the order the pieces were given in."""

    scores: tuple[float, ...]  # information / entropy, no unit, higher is rarer
    ranks: tuple[int, ...]  # 1 is the rarest; ties share a rank: 1, 2, 2, 2, 5
    information: tuple[float, ...]  # bits
    unique_attributes: tuple[int, ...]  # attributes no other piece has
    entropy: float  # bits, of the collection


def open_rarity(traits: Sequence[Mapping[str, TraitValue]], *, trait_count: bool = True) -> Rarity:
    """Score and rank pieces by OpenRarity.

    Names and values are compared without case and outer white space. A trait a
    piece lacks counts as one more value of it; numbers are not scored.

    Args:
        traits: one mapping of trait name to value per piece.
        trait_count: score the number of traits of a piece (those that are not
            empty and not ``none``) as one more trait, as the reference
            implementation has done since its version 0.7.

    Returns:
        One entry per piece: score = Σ −log2 p(attribute) / entropy of the
        collection; ranks by (unique attributes, score) descending.

    Cost: O(pieces × traits). Source: OpenRarity 0.7.5, multi-factor sort.
    """
    count = len(traits)
    information = np.zeros(count)
    unique = np.zeros(count, dtype=np.int64)
    entropy = 0.0
    for codes in _columns(traits, trait_count=trait_count):
        sizes = np.bincount(codes + 1)  # index 0 holds the pieces without the trait
        shares = sizes[sizes > 0] / count
        bits = np.zeros(len(sizes))
        bits[sizes > 0] = -np.log2(shares)
        information += bits[codes + 1]
        unique += (sizes[codes + 1] == 1) & (codes >= 0)
        entropy -= float(np.dot(shares, np.log2(shares)))
    scores = information / (entropy if entropy > 0 else 1.0)
    return Rarity(
        scores=tuple(scores.tolist()),
        ranks=tuple(_ranks(scores, unique).tolist()),
        information=tuple(information.tolist()),
        unique_attributes=tuple(unique.tolist()),
        entropy=entropy,
    )


def _columns(traits: Sequence[Mapping[str, TraitValue]], *, trait_count: bool) -> list[_Ints]:
    """One array per scored trait, by name: the code of each piece's value, −1 for none."""
    names: dict[str, None] = {}
    for piece in traits:
        names.update(dict.fromkeys(piece))
    if len({_normal(name) for name in names}) < len(names):  # one trait spelt in several ways
        spelt = [{_normal(name): value for name, value in piece.items()} for piece in traits]
        return _columns(spelt, trait_count=trait_count)
    totals = np.zeros(len(traits), dtype=np.int64)
    by_name: dict[str, list[TraitValue | None]] = {}
    for name in names:
        values = [piece.get(name) for piece in traits]
        totals += _present(values)
        by_name[_normal(name)] = values
    if trait_count and names:
        by_name[TRAIT_COUNT] = [str(total) for total in totals.tolist()]
    encoded = (_encode(by_name[name]) for name in sorted(by_name))
    return [codes for codes in encoded if codes.max() >= 0]


def _encode(values: list[TraitValue | None]) -> _Ints:
    """Value codes of one trait, −1 where a piece has no text for it."""
    code_of: dict[str, int] = {}
    seen = {
        value: code_of.setdefault(_normal(value), len(code_of)) if isinstance(value, str) else -1
        for value in dict.fromkeys(values)
    }
    return np.fromiter((seen[value] for value in values), dtype=np.int64, count=len(values))


def _present(values: list[TraitValue | None]) -> _Ints:
    """1 where a piece has the trait and its value is neither empty nor ``none``."""
    real = {
        value: value is not None and not (isinstance(value, str) and _normal(value) in ("", "none"))
        for value in dict.fromkeys(values)
    }
    return np.fromiter((real[value] for value in values), dtype=np.int64, count=len(values))


def _normal(text: str) -> str:
    return text.lower().strip()


def _ranks(scores: _Floats, unique: _Ints) -> _Ints:
    """Ranks by (unique, score) descending; neighbours with close scores tie."""
    if not len(scores):
        return np.zeros(0, dtype=np.int64)
    order = np.lexsort((-scores, -unique))
    high, low = scores[order][:-1], scores[order][1:]
    close = np.abs(high - low) <= REL_TOLERANCE * np.maximum(np.abs(high), np.abs(low))
    places = np.arange(1, len(scores) + 1)
    places[1:][close] = 0
    ranks = np.empty(len(scores), dtype=np.int64)
    ranks[order] = np.maximum.accumulate(places)
    return ranks
