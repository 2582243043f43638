"""Finished exports in folders below one root: what is in them, and their bytes."""

import asyncio
import os
import stat
import zlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from cauldron.domain.errors import NotFound, Unavailable
from cauldron.domain.export import WORK_FOLDER
from cauldron.domain.zip_layout import ZipEntry

CHUNK_BYTES = 256 * 1024
SUM_BYTES = 4 * 1024 * 1024
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class ExportShelf:
    """Reads the folders below ``root``. Links are never followed."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def folder(self, place: str) -> Path:
        """Where an export lies; ``place`` is of our own making."""
        return self._root / place

    async def index(self, place: str) -> list[ZipEntry]:
        """Every file with size and checksum, by name. Reads each one once."""
        folder = self.folder(place)
        names = await asyncio.to_thread(lambda: sorted(_files(folder)))
        return [await asyncio.to_thread(_entry, folder, name) for name in names]

    async def read(self, place: str, name: str, *, start: int, end: int) -> AsyncIterator[bytes]:
        """Bytes of a file.

        Raises:
            NotFound: it is gone. Unavailable: it is shorter than it was.
        """
        try:
            handle = await asyncio.to_thread(os.open, self.folder(place) / name, _READ)
        except OSError as gone:
            raise NotFound("the export has been removed") from gone
        try:
            while start < end:
                data = await asyncio.to_thread(os.pread, handle, min(CHUNK_BYTES, end - start), start)
                if not data:
                    raise Unavailable("the export has changed while it was read")
                start += len(data)
                yield data
        finally:
            os.close(handle)


def _files(folder: Path) -> Iterator[str]:
    for base, folders, names in os.walk(folder, followlinks=False):
        folders[:] = [each for each in folders if each != WORK_FOLDER]
        for name in names:
            path = Path(base) / name
            if stat.S_ISREG(path.lstat().st_mode):
                yield path.relative_to(folder).as_posix()


def _entry(folder: Path, name: str) -> ZipEntry:
    crc = size_bytes = 0
    with os.fdopen(os.open(folder / name, _READ), "rb") as file:
        while data := file.read(SUM_BYTES):
            crc = zlib.crc32(data, crc)
            size_bytes += len(data)
    return ZipEntry(name=name, size_bytes=size_bytes, crc=crc)
