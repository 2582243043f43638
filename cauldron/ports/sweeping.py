"""What a blob store offers to whoever removes blobs that nothing refers to."""

from typing import Protocol

from cauldron.ports.blobs import BlobStore


class BlobSweep(BlobStore, Protocol):
    """A blob store that knows when each blob was used last.

    Guarantees: (1) putting a content that is stored, and asking for the size of a
    blob, count as using it, to within an hour; (2) ``discard`` never takes away a
    blob that was used at or after the instant given, however close the race.
    """

    async def touched_ms(self, digest: str) -> int | None:
        """When the blob was used last (ms since 1970 UTC); None when it is not stored."""
        ...

    async def discard(self, digest: str, *, touched_before_ms: int) -> bool:
        """Remove a blob unless it was used at or after that instant; whether it is gone."""
        ...
