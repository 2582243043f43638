"""Copying blobs from one store of blobs to another: only what is missing, as often as it is asked for."""

import asyncio
from collections.abc import Callable

from cauldron.domain.errors import Unavailable
from cauldron.ports.blobs import BlobStore

AT_ONCE = 16


async def copy_blobs(
    source: BlobStore, target: BlobStore, *, tell: Callable[[int], None] = lambda _done: None
) -> dict[str, int]:
    """Bring every blob of ``source`` into ``target``; returns ``{blobs, copied, copiedBytes}``.

    Raises:
        Unavailable: a blob of the source is damaged, or one of the two does not answer.
    """
    there = {digest: size async for digest, size in target.list()}
    found = {"blobs": 0, "copied": 0, "copiedBytes": 0}
    missing: list[tuple[str, int]] = []
    async for digest, size in source.list():
        found["blobs"] += 1
        if there.get(digest) != size:
            missing.append((digest, size))
    todo = iter(missing)

    async def some() -> None:
        for digest, size in todo:
            await _copy(source, target, digest)
            found["copied"] += 1
            found["copiedBytes"] += size
            tell(found["copied"])

    await asyncio.gather(*(some() for _ in range(AT_ONCE)))
    return found


async def _copy(source: BlobStore, target: BlobStore, digest: str) -> None:
    stored = await target.put_file(await source.local_path(digest))
    if stored != digest:
        await target.delete(stored)
        raise Unavailable(f"blob {digest} is damaged where it comes from", digest=digest)
