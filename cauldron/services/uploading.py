"""Uploads: pictures that people bring, looked at, encoded anew and kept under their content."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cauldron.domain.errors import Refused
from cauldron.domain.media import MediaRef
from cauldron.domain.times import iso
from cauldron.ports.blobs import BlobStore
from cauldron.ports.pictures import Picture, Pictures
from cauldron.ports.storage import Doc, Insert, Op, Store
from cauldron.ports.system import Clock, NewId
from cauldron.services.casting import Caller
from cauldron.services.media_grants import grants

TABLE = "uploads"
MOST_OF_A_GUEST = 40


@dataclass(slots=True)
class Uploading:
    """Takes pictures in."""

    store: Store
    blobs: BlobStore
    pictures: Pictures
    clock: Clock
    new_id: NewId

    async def check_guest(self, account: str, *, count: int) -> None:
        """Whether a guest may bring ``count`` more pictures. Raises Refused."""
        found = await self.store.find(TABLE, {"owner": account}, order=("-createdAt",), limit=MOST_OF_A_GUEST)
        if len(found) + count > MOST_OF_A_GUEST:
            raise Refused(f"a guest may bring {MOST_OF_A_GUEST} pictures; sign in to bring more")

    async def take(self, path: Path, *, caller: Caller, actor: str) -> Doc:
        """Keep the picture in a file; returns the ``uploads`` record. Its name is no part of it.

        Raises:
            InvalidMany: it is no picture, is too large or is damaged.
            StorageFull: no room.
        """
        picture = await self.pictures.taken(path)
        digest = await self.blobs.put(picture.data)
        doc = self._record(picture, _reference(picture, digest), caller=caller, actor=actor)
        allowed = grants(
            doc["ref"], account=caller.account, environment=caller.environment, at=doc["createdAt"]
        )
        ops: list[Op] = [*allowed, Insert(TABLE, doc)]
        await self.store.commit(ops, atomic=False)
        return doc

    def _record(self, picture: Picture, ref: MediaRef, *, caller: Caller, actor: str) -> dict[str, Any]:
        return {
            "_id": self.new_id(),
            "owner": caller.account,
            "actor": actor,
            "environment": caller.environment,
            "ref": dict(ref),
            "frames": picture.frames,
            "createdAt": iso(self.clock()),
        }


def _reference(picture: Picture, digest: str) -> MediaRef:
    return MediaRef(
        media=f"sha256:{digest}",
        mime=picture.mime,
        sizeBytes=len(picture.data),
        width=picture.width,
        height=picture.height,
    )
