"""Which stored blobs something refers to: a few bytes per blob, whatever the number of references.

Marking errs on the side of keeping: every run of 64 hex digits in a document counts
as a reference, and blobs are told apart by the first 64 bits of their digest.
"""

import re
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

DIGEST = re.compile(rb"(sha256:)?([0-9a-f]{64})")
DOCUMENTS = (b"{", b"CAULDRON")  # what a blob that names others begins with: JSON, or a plan


def references(text: bytes) -> tuple[set[str], set[str]]:
    """The digests in a text: those of media (``sha256:…``), and the bare ones.

    A bare digest may name a document: a plan, an execution snapshot, token numbers.
    """
    media: set[str] = set()
    bare: set[str] = set()
    for typed, digest in DIGEST.findall(text):
        (media if typed else bare).add(digest.decode())
    return media, bare


def is_document(content: bytes) -> bool:
    """Whether a blob may name other blobs."""
    return content.startswith(DOCUMENTS)


class Marks:
    """The blobs that were stored when marking began, and which of them are referred to."""

    def __init__(self, digests: Iterable[str]) -> None:
        """``digests`` are all stored blobs; memory: 10 bytes each."""
        self._keys: NDArray[np.uint64] = np.unique(_keys(digests))
        self._marked = np.zeros(len(self._keys), dtype=np.bool_)
        self._read = np.zeros(len(self._keys), dtype=np.bool_)

    def __len__(self) -> int:
        return len(self._keys)

    def mark(self, digests: Iterable[str]) -> None:
        """Something refers to these."""
        at, stored = self._find(list(digests))
        self._marked[at[stored]] = True

    def to_read(self, digests: Iterable[str]) -> list[str]:
        """Mark digests; returns those that are stored and were not returned before, to be read."""
        wanted = list(digests)
        at, stored = self._find(wanted)
        self._marked[at[stored]] = True
        fresh = [index for index in np.flatnonzero(stored) if not self._read[at[index]]]
        self._read[at[fresh]] = True
        return [wanted[index] for index in fresh]

    def is_unreferenced(self, digest: str) -> bool:
        """Whether a blob was stored at the beginning and nothing refers to it."""
        at, stored = self._find([digest])
        return bool(stored[0]) and not self._marked[at[0]]

    def _find(self, digests: list[str]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        keys = _keys(digests)
        at = np.searchsorted(self._keys, keys)
        if not len(self._keys):
            return at, np.zeros(len(keys), dtype=np.bool_)
        at[at == len(self._keys)] = 0
        return at, self._keys[at] == keys


def _keys(digests: Iterable[str]) -> NDArray[np.uint64]:
    return np.fromiter((int(digest[:16], 16) for digest in digests), dtype=np.uint64)
