"""Records of the earlier system from dump files, a block at a time.

A dump is a folder of ``<collection>.bson`` or ``.json`` (both also ``.gz``), or a folder
of such folders, one per database. Nothing is written, and nothing is held but a block.
"""

import asyncio
import gzip
import json
import zlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import IO

from cauldron.adapters.legacy_source.values import MAX_DOCUMENT_BYTES
from cauldron.domain.errors import NotFound
from cauldron.ports.legacy import Block, Fault, Part

BLOCK_BYTES = 1024 * 1024
SUFFIXES = (".bson", ".bson.gz", ".json", ".json.gz", ".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz")
READ_ERRORS = (OSError, EOFError, zlib.error)
MAX_JSON_CHARS = 128 * 1024 * 1024  # of one document in a JSON array


class DumpSource:
    """Dump files below one or more folders; a name in both is read twice, once per database."""

    def __init__(self, folders: list[Path]) -> None:
        self._folders = folders
        self.faults: list[Fault] = []

    async def parts(self) -> list[Part]:
        """Every collection file, by database and name. Raises NotFound."""
        found: list[Part] = []
        for folder in self._folders:
            if not folder.is_dir():
                raise NotFound(f"{folder}: no such folder", path=str(folder))
            found += _parts_below(folder, self.faults)
        if not found:
            raise NotFound("no .bson or .json files there; a dump has a file per collection")
        return sorted(found, key=lambda part: (part.database, part.collection, part.place))

    async def blocks(self, part: Part) -> AsyncIterator[Block]:
        """The documents of a file in order; what is cut off at its end is told in ``faults``."""
        reading = _Reading(part, self.faults)
        pages = reading.bson() if ".bson" in Path(part.place).suffixes else reading.json()
        while True:
            block = await asyncio.to_thread(next, pages, None)
            if block is None:
                return
            yield block

    async def close(self) -> None:
        """Nothing is held between blocks."""


def _parts_below(folder: Path, faults: list[Fault]) -> Iterator[Part]:
    inner = [entry for entry in sorted(folder.iterdir()) if entry.is_dir()]
    for place in [folder, *inner]:
        for file in sorted(place.iterdir()):
            suffix = next((s for s in sorted(SUFFIXES, key=len)[::-1] if file.name.endswith(s)), None)
            if suffix is None or ".metadata." in file.name or not file.is_file():
                continue
            name = file.name.removesuffix(suffix)
            if not file.resolve().is_relative_to(folder.resolve()):
                faults.append(Fault(part=name, documents=0, reason="a link that leads out of the folder"))
                continue
            size = file.stat().st_size
            yield Part(database=place.name, collection=name, place=str(file), size_bytes=size)


class _Reading:
    """Reads one file; every method is a plain generator, run in a thread."""

    def __init__(self, part: Part, faults: list[Fault]) -> None:
        self._part, self._faults = part, faults
        self._count = 0
        self._broken = ""  # why the file could not be read on

    def _open(self) -> IO[bytes]:
        path = Path(self._part.place)
        return gzip.open(path, "rb") if path.name.endswith(".gz") else path.open("rb")  # type: ignore[return-value]

    def _fault(self, reason: str) -> None:
        self._faults.append(Fault(part=self._part.name, documents=self._count, reason=reason))

    def _block(self, form: str, data: bytes, count: int) -> Block:
        block = Block(form=form, data=data, first=self._count)
        self._count += count
        return block

    def bson(self) -> Iterator[Block]:
        """Blocks of a ``.bson`` file: documents one after the other."""
        held = b""
        for chunk in self._chunks():
            held += chunk
            end, count, wrong = _whole_documents(held)
            if count:
                yield self._block("bson", held[:end], count)
                held = held[end:]
            if wrong:
                self._fault("damaged: no document begins here")
                return
        self._end(len(held))

    def _end(self, left: int) -> None:
        """The file is over: tell what is wrong with its end, once."""
        if self._broken:
            self._fault(f"cut off: {self._broken}")
        elif left:
            self._fault(f"cut off: {left} bytes of an unfinished document at the end")

    def _chunks(self) -> Iterator[bytes]:
        """The file in pieces; a damaged end is told, not raised."""
        try:
            with self._open() as file:
                while chunk := file.read(BLOCK_BYTES):
                    yield chunk
        except READ_ERRORS as error:
            self._broken = type(error).__name__

    def json(self) -> Iterator[Block]:
        """Blocks of a JSON file: a document per line, or an array, or documents over several lines."""
        chunks = self._chunks()
        head = next(chunks, b"")
        first = head.lstrip(b"\xef\xbb\xbf \t\r\n")
        whole_line = first.split(b"\n", 1)[0].rstrip(b"\r, ")
        if first.startswith(b"{") and whole_line.endswith(b"}") and _is_object(whole_line):
            yield from self._lines(first, chunks)
        else:
            yield from self._values(head, chunks)

    def _lines(self, held: bytes, chunks: Iterator[bytes]) -> Iterator[Block]:
        for chunk in chunks:
            end = held.rfind(b"\n") + 1
            if len(held) >= BLOCK_BYTES and end:
                yield self._line_block(held[:end])
                held = held[end:]
            held += chunk
        end = held.rfind(b"\n") + 1
        if held[end:].strip() and not _is_object(held[end:].strip()):
            tail, held = held[end:], held[:end]
        else:
            tail = b""
        if held.strip():
            yield self._line_block(held)
        self._end(len(tail))

    def _line_block(self, data: bytes) -> Block:
        return self._block("json", data, sum(1 for line in data.split(b"\n") if line.strip()))

    def _values(self, head: bytes, chunks: Iterator[bytes]) -> Iterator[Block]:
        """Values found one after the other, whatever stands between them."""
        scanner, text, more = json.JSONDecoder(), head.decode("utf-8-sig", "replace"), True
        found: list[str] = []
        size, at = 0, 0
        while True:
            at = _next_value(text, at)
            end = _end_of_value(scanner, text, at)
            if end is None and more and len(text) - at < MAX_JSON_CHARS:
                chunk = next(chunks, b"")
                more = bool(chunk)
                text, at = text[at:] + chunk.decode("utf-8", "replace"), 0
                continue
            if end is None:
                break
            found.append(" ".join(text[at:end].split("\n")))
            size, at = size + end - at, end
            if size >= BLOCK_BYTES:
                yield self._block("json", "\n".join(found).encode(), len(found))
                found, size = [], 0
        if found:
            yield self._block("json", "\n".join(found).encode(), len(found))
        self._end(len(text[at:].strip(" \t\r\n,[]")))


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _next_value(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n,[]":
        at += 1
    return at


def _end_of_value(scanner: json.JSONDecoder, text: str, at: int) -> int | None:
    if at >= len(text):
        return None
    try:
        return scanner.raw_decode(text, at)[1]
    except (ValueError, RecursionError):
        return None


def _whole_documents(data: bytes) -> tuple[int, int, bool]:
    """(end of the last whole document, how many there are, whether what follows is no document)."""
    at, count, size = 0, 0, len(data)
    while size - at >= 5:
        length = int.from_bytes(data[at : at + 4], "little")
        if not 5 <= length <= MAX_DOCUMENT_BYTES:
            return at, count, True
        if at + length > size:
            break
        if data[at + length - 1]:
            return at, count, True
        at, count = at + length, count + 1
    return at, count, False
