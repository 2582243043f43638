"""The layout of a ZIP archive whose files are stored as they are: every byte's place, before one is read.

The same files always give the same bytes, so an archive can be sent while it is put
together and taken up again at any byte. Source: PKWARE, *APPNOTE.TXT* 6.3.10, ZIP64 included.
"""

import struct
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

LIMIT_32 = 0xFFFFFFFF
LIMIT_16 = 0xFFFF
UTF8 = 0x0800
EPOCH = (1 << 5) | 1  # 1980-01-01, the first day there is: archives do not tell the time
VERSION, VERSION_64 = 20, 45
FILE_MODE = 0o100644 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class ZipEntry:
    """A file of an archive. ``crc`` is its CRC-32."""

    name: str
    size_bytes: int
    crc: int


Part = bytes | tuple[int, int, int]  # bytes as they are, or (entry, first byte, one past the last) of a file


class ZipLayout:
    """Where everything lies. Memory: about 60 bytes an entry besides the entries."""

    def __init__(self, entries: Sequence[ZipEntry]) -> None:
        """``entries`` in the order of the archive."""
        self.entries = entries
        heads = [len(_local(entry)) for entry in entries]
        sizes = (head + entry.size_bytes for head, entry in zip(heads, entries, strict=True))
        self._starts = list(accumulate(sizes, initial=0))  # of local headers; the last is the directory's
        lengths = (len(_central(entry, start)) for entry, start in zip(entries, self._starts, strict=False))
        self._directory = list(accumulate(lengths, initial=self._starts[-1]))
        self._end = _end(len(entries), start=self._starts[-1], end=self._directory[-1])

    @property
    def size_bytes(self) -> int:
        """Of the whole archive."""
        return self._directory[-1] + len(self._end)

    def parts(self, start: int, end: int) -> Iterator[Part]:
        """What the bytes from ``start`` up to before ``end`` consist of, in order."""
        place = max(0, start)
        index = max(0, bisect_right(self._starts, place) - 1)
        while place < end and index < len(self.entries):
            yield from self._of_entry(index, place, end)
            index += 1
            place = max(place, self._starts[index])
        directory = max(0, bisect_right(self._directory, place) - 1)
        while place < end and directory < len(self.entries):
            base = self._directory[directory]
            record = _central(self.entries[directory], self._starts[directory])
            yield record[place - base : end - base]
            directory += 1
            place = self._directory[directory]
        if place < end:
            base = self._directory[-1]
            yield self._end[place - base : end - base]

    def _of_entry(self, index: int, start: int, end: int) -> Iterator[Part]:
        base, entry = self._starts[index], self.entries[index]
        head = _local(entry)
        if start < base + len(head):
            yield head[start - base : end - base]
        first = max(0, start - base - len(head))
        last = min(entry.size_bytes, end - base - len(head))
        if first < last:
            yield (index, first, last)


def _local(entry: ZipEntry) -> bytes:
    name, large = entry.name.encode(), entry.size_bytes >= LIMIT_32
    size = LIMIT_32 if large else entry.size_bytes
    extra = struct.pack("<HHQQ", 1, 16, entry.size_bytes, entry.size_bytes) if large else b""
    version = VERSION_64 if large else VERSION
    fixed = (0x04034B50, version, UTF8, 0, 0, EPOCH, entry.crc, size, size, len(name), len(extra))
    return struct.pack("<IHHHHHIIIHH", *fixed) + name + extra


def _central(entry: ZipEntry, start: int) -> bytes:
    name, large, far = entry.name.encode(), entry.size_bytes >= LIMIT_32, start >= LIMIT_32
    wide = ([entry.size_bytes, entry.size_bytes] if large else []) + ([start] if far else [])
    extra = struct.pack(f"<HH{len(wide)}Q", 1, 8 * len(wide), *wide) if wide else b""
    size, version = LIMIT_32 if large else entry.size_bytes, VERSION_64 if wide else VERSION
    fixed = (
        *(0x02014B50, (3 << 8) | version, version, UTF8, 0, 0, EPOCH, entry.crc, size, size),
        *(len(name), len(extra), 0, 0, 0, FILE_MODE, LIMIT_32 if far else start),
    )
    return struct.pack("<IHHHHHHIIIHHHHHII", *fixed) + name + extra


def _end(count: int, *, start: int, end: int) -> bytes:
    """The end of the directory, with the wide form before it where the short one is too narrow."""
    size, wide = end - start, b""
    if count >= LIMIT_16 or size >= LIMIT_32 or start >= LIMIT_32:
        record = (0x06064B50, 44, (3 << 8) | VERSION_64, VERSION_64, 0, 0, count, count, size, start)
        wide = struct.pack("<IQHHIIQQQQ", *record) + struct.pack("<IIQI", 0x07064B50, 0, end, 1)
    short = min(count, LIMIT_16)
    fixed = (0x06054B50, 0, 0, short, short, min(size, LIMIT_32), min(start, LIMIT_32), 0)
    return wide + struct.pack("<IHHHHIIH", *fixed)
