"""Small versions of pictures for galleries, made once and kept among the blobs.

The record that leads to one does not count as a reference: clean-ups take thumbnails
that nobody has asked for, and the next who asks has them made again.
"""

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path

from cauldron.domain.errors import NotFound, Refused
from cauldron.ports.blobs import BlobStore
from cauldron.ports.pictures import Pictures
from cauldron.ports.storage import Put, Store

TABLE = "thumbnails"
EDGES = (64, 128, 256, 512, 1024)  # pixels
PICTURES = ("image/png", "image/apng", "image/jpeg", "image/webp", "image/gif")
MAX_SOURCE_BYTES = 128 * 2**20


@dataclass(slots=True)
class Thumbnails:
    """Makes and finds thumbnails."""

    store: Store
    blobs: BlobStore
    pictures: Pictures

    async def path(self, digest: str, *, mime: str, edge: int) -> Path:
        """A local file with the thumbnail, a WebP, of a stored picture.

        Raises:
            NotFound: the picture is not stored. Refused: it is none that can be made small.
            InvalidMany: it is damaged.
        """
        if mime not in PICTURES or edge not in EDGES:
            raise Refused(f"there is no thumbnail of {mime} with {edge} pixels")
        key = hashlib.sha256(f"{digest}:{edge}".encode()).hexdigest()[:32]
        [known] = await self.store.get(TABLE, [key])
        if known is not None:
            made = _read(known["blob"])
            if await self.blobs.size(made) is not None:
                return await self.blobs.local_path(made)
        return await self._made(key, digest, edge)

    async def _made(self, key: str, digest: str, edge: int) -> Path:
        size_bytes = await self.blobs.size(digest)
        if size_bytes is None:
            raise NotFound(f"media {digest} is not stored")
        if size_bytes > MAX_SOURCE_BYTES:
            raise Refused(f"there is no thumbnail of a picture over {MAX_SOURCE_BYTES:,} bytes")
        picture = await self.pictures.thumbnail(await self.blobs.local_path(digest), edge=edge)
        made = await self.blobs.put(picture.data)
        await self.store.commit([Put(TABLE, {"_id": key, "blob": _written(made)}, None)])
        return await self.blobs.local_path(made)


def _written(digest: str) -> str:
    """A digest in a form that is not taken for a reference."""
    return base64.b64encode(bytes.fromhex(digest)).decode()


def _read(text: str) -> str:
    return base64.b64decode(text).hex()
