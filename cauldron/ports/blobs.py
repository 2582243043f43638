"""Content-addressed storage of bytes: a digest names a content for ever."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol


class BlobStore(Protocol):
    """Immutable blobs by SHA-256.

    Guarantees: (1) ``put`` returns only when the content is durable; (2) a blob
    is whole or absent, never partial; (3) putting the same content twice is one
    blob; (4) a read returns exactly the content whose digest was asked for.
    Digests are 64 lower-case hex digits.
    """

    async def put(self, data: bytes) -> str:
        """Store ``data``; return its digest. Raises StorageFull, Unavailable."""
        ...

    async def put_file(self, path: Path) -> str:
        """Store a file's content by streaming it; return its digest."""
        ...

    async def get(self, digest: str) -> bytes:
        """The content. Raises NotFound."""
        ...

    async def local_path(self, digest: str) -> Path:
        """A local, read-only file with the content (a cached copy if remote). Raises NotFound."""
        ...

    async def size(self, digest: str) -> int | None:
        """Size in bytes, or None when it is not stored."""
        ...

    def list(self) -> AsyncIterator[tuple[str, int]]:
        """Every (digest, size in bytes), in no particular order."""
        ...

    async def delete(self, digest: str) -> None:
        """Forget a blob; deleting what is absent is no error."""
        ...
