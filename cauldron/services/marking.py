"""Mark and sweep over blobs: follow every reference of the store, take what nothing refers to.

Safe beside running processes: what a process has put or asked for within the grace
period is left alone, documents among it count as references, and tables are read in
the order in which references travel (definitions, jobs, events, records), so that
one that moves while it is looked for is met at the latest where it arrives.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from dataclasses import dataclass

import orjson

from cauldron.domain.blob_marks import Marks, is_document, references
from cauldron.domain.errors import NotFound
from cauldron.persistence.tables import CAST_EVENTS, CAST_JOBS, COOK_EVENTS, COOK_JOBS
from cauldron.ports.storage import Store
from cauldron.ports.sweeping import BlobSweep
from cauldron.services.auditing import pages

FIRST = ("collections", "spells", "spell_versions", "tools", "plans", COOK_JOBS, CAST_JOBS)
THEN = (COOK_EVENTS, CAST_EVENTS)
PAGE = 500
Tick = Callable[[], Awaitable[None]]
LARGEST_DOCUMENT_BYTES = 256 * 1024 * 1024


@dataclass(slots=True)
class Sweeping:
    """Finds and takes the blobs of one store that nothing refers to."""

    store: Store
    blobs: BlobSweep
    tables: Collection[str]

    async def mark(self, *, touched_before_ms: int, tick: Tick | None = None) -> Marks:
        """Every blob that is stored now, with those marked that something refers to.

        Blobs used at or after ``touched_before_ms`` are not marked by it, but what they name is.
        ``tick`` is awaited after every page.
        """
        marks = Marks([digest async for digest, _ in self.blobs.list()])
        first = [table for table in FIRST if table in self.tables]
        then = [table for table in THEN if table in self.tables]
        records = sorted(set(self.tables) - set(FIRST) - set(THEN))
        for table in (*first, *then, *records):
            async for page in pages(self.store, table, size=PAGE):
                await self._follow(marks, orjson.dumps(page))
                if tick is not None:
                    await tick()
        async for digest, size_bytes in self.blobs.list():
            if size_bytes <= LARGEST_DOCUMENT_BYTES and await self._is_young(digest, touched_before_ms):
                await self._follow(marks, await self._document(digest))
        return marks

    async def _is_young(self, digest: str, touched_before_ms: int) -> bool:
        touched = await self.blobs.touched_ms(digest)
        return touched is not None and touched >= touched_before_ms

    async def _follow(self, marks: Marks, text: bytes) -> None:
        """Mark what a text refers to; blobs named without a type may be documents that name others."""
        media, bare = references(text)
        marks.mark(media)
        pending = marks.to_read(bare)
        while pending:  # one document in memory at a time
            media, bare = references(await self._document(pending.pop()))
            marks.mark(media)
            pending += marks.to_read(bare)

    async def _document(self, digest: str) -> bytes:
        """The content of a blob that may name others; empty for any other."""
        try:
            content = await self.blobs.get(digest)
        except NotFound:
            return b""
        return content if is_document(content) else b""

    async def unreferenced(self, marks: Marks, *, touched_before_ms: int) -> AsyncIterator[tuple[str, int]]:
        """(digest, size in bytes) of the blobs to take."""
        async for digest, size_bytes in self.blobs.list():
            if marks.is_unreferenced(digest) and not await self._is_young(digest, touched_before_ms):
                yield digest, size_bytes

    async def take(self, marks: Marks, digest: str, *, touched_before_ms: int) -> bool:
        """Remove a blob if nothing refers to it and nobody has used it since; whether it is gone."""
        return marks.is_unreferenced(digest) and await self.blobs.discard(
            digest, touched_before_ms=touched_before_ms
        )
