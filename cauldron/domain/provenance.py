"""Proof of what a collection is: BAYC-style hash, Merkle tree with a proof per piece, seed commitment."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from cauldron.domain.hashing import content_hash
from cauldron.domain.rarity import TraitValue

LEAF, NODE = b"\x00", b"\x01"  # keep leaves and inner nodes apart (RFC 9162 §2.1.1)


def bayc_hash(image_hashes: Iterable[str]) -> str:
    """SHA-256 of the images' SHA-256 hex digests, joined as text in token order.

    Source: the provenance record of Bored Ape Yacht Club, which most collections follow.
    """
    whole = hashlib.sha256()
    for digest in image_hashes:
        whole.update(digest.encode("ascii"))
    return whole.hexdigest()


def traits_hash(traits: Mapping[str, TraitValue]) -> str:
    """SHA-256 of the traits as canonical JSON ``{trait: value}``, 64 hex digits."""
    return content_hash(dict(traits))


def seed_commitment(*, seed: str, plan_hash: str, collection_hash: str) -> str:
    """A hash that binds seed, plan and collection; whoever knows the three can open it.

    A short seed can be guessed from it: choose a long one where that matters.
    """
    return content_hash({"collectionHash": collection_hash, "planHash": plan_hash, "seed": seed})


def leaf_hash(*, image: str, metadata: str, traits: str, others: Sequence[str] = ()) -> bytes:
    """The leaf of one piece: SHA-256(00 ‖ image ‖ metadata ‖ traits ‖ other files), 32 bytes each."""
    parts = (image, metadata, traits, *others)
    return hashlib.sha256(LEAF + b"".join(bytes.fromhex(part) for part in parts)).digest()


class MerkleTree:
    """A binary hash tree over leaves in token order; an odd last node moves up unchanged.

    Root and proofs equal those of RFC 9162 §2.1 for the same leaf hashes.
    Memory: 2 × leaves × 32 bytes, and as many objects.
    """

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self._levels: list[list[bytes]] = [list(leaves)]
        while len(self._levels[-1]) > 1:
            self._levels.append(_parents(self._levels[-1]))

    @property
    def root(self) -> str:
        """64 hex digits; of an empty tree the hash of nothing."""
        top = self._levels[-1]
        return (top[0] if top else hashlib.sha256().digest()).hex()

    def proof(self, index: int) -> list[str]:
        """The sibling hashes from leaf ``index`` (0-based) up to the root, hex."""
        path = []
        for level in self._levels[:-1]:
            sibling = index ^ 1
            if sibling < len(level):
                path.append(level[sibling].hex())
            index //= 2
        return path


def _parents(level: Sequence[bytes]) -> list[bytes]:
    paired = [hashlib.sha256(NODE + level[i] + level[i + 1]).digest() for i in range(0, len(level) - 1, 2)]
    return paired + list(level[-1:]) if len(level) % 2 else paired


def proves(*, leaf: bytes, index: int, size: int, path: Sequence[str], root: str) -> bool:
    """Whether ``path`` shows that ``leaf`` is number ``index`` (0-based) of ``size`` under ``root``."""
    if not 0 <= index < size:
        return False
    node, steps = leaf, list(path)
    while size > 1:
        if index % 2 or index + 1 < size:
            if not steps:
                return False
            try:
                other = bytes.fromhex(steps.pop(0))
            except ValueError:
                return False
            pair = other + node if index % 2 else node + other
            node = hashlib.sha256(NODE + pair).digest()
        index, size = index // 2, (size + 1) // 2
    return not steps and node.hex() == root
