"""Where exports go, how they are read back, how metadata is written, and who draws contact sheets."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from cauldron.domain.errors import Problem
from cauldron.domain.export import ExportPiece, ExportSpec

Content: TypeAlias = bytes | Path | Callable[[], Iterable[bytes]]  # bytes, a local file, or a stream


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing found in an export. ``kind`` is ``file``, or what else it is: never followed."""

    name: str  # relative, parts joined by "/"
    kind: str  # file | link | other
    size_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FileOut:
    """A file wanted in an export. ``sha256`` is what the content must have, when known."""

    name: str
    content: Content
    sha256: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A file that an export holds. ``written`` is false when an earlier run had written it."""

    name: str
    sha256: str
    size_bytes: int
    written: bool = False


class ExportSource(Protocol):
    """Reads an export.

    Guarantees: (1) nothing outside the export is ever read: links are named,
    not followed; (2) no more than the limit is held in memory. ``place`` tells
    people where it is.
    """

    @property
    def place(self) -> str: ...

    def entries(self) -> AsyncIterator[Entry]:
        """Everything below the root except folders, in order of name; also what is out of place."""
        ...

    async def read(self, names: Sequence[str], *, limit_bytes: int) -> list[bytes | None]:
        """Contents in the order asked for; None where there is no file or it is larger."""
        ...

    async def digest(self, names: Sequence[str]) -> list[Stored | None]:
        """Hash and size in the order asked for; None where there is no file."""
        ...


class ExportTarget(ExportSource, Protocol):
    """Takes an export.

    Guarantees: (3) under its name a file is whole or absent, never partial, also
    after a kill; (4) a file that already has the content wanted is left alone;
    (5) one writer at a time; (6) after ``sync`` what was written survives a power cut.
    """

    def writing(self) -> AbstractAsyncContextManager[None]:
        """Hold the target for one writer and clear what a killed one left half-written.

        Raises:
            Refused: another export is being written there, or it is no place to write to.
        """
        ...

    async def ensure(self, files: Sequence[FileOut]) -> list[Stored]:
        """Make every name hold exactly its content; in the order given.

        Raises:
            Refused: a content is not what its hash promised, or the name is taken by a folder.
            StorageFull: no room; the files already reported stay.
        """
        ...

    async def remove(self, names: Sequence[str]) -> None:
        """Remove files; removing what is absent is no error."""
        ...

    async def sync(self, names: Sequence[str] | None = None) -> None:
        """Return when these files, or else everything written, are durable."""
        ...


class MetadataFormat(Protocol):
    """A standard that token metadata can be written after."""

    name: str

    def file_name(self, token: int) -> str:
        """Path of a token's document inside the export."""
        ...

    def token(
        self,
        spec: ExportSpec,
        piece: ExportPiece,
        *,
        attributes: Sequence[Mapping[str, Any]],
        prompt: str | None,
    ) -> Mapping[str, Any]:
        """The document of one token; ``prompt`` names the prompt attribute, None leaves it out."""
        ...

    def contract(self, spec: ExportSpec, *, image: str | None) -> Mapping[str, Any]:
        """The document of the whole collection."""
        ...

    def problems(self, document: Any, *, path: str, kind: str = "token") -> list[Problem]:
        """What is wrong with a document by the standard's schema; ``kind`` is token or contract."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One picture of a contact sheet: a local file and the text shown with it."""

    path: Path
    mime: str
    label: str


class SheetRenderer(Protocol):
    """Draws many small pictures on one; equal tiles give equal bytes."""

    async def render(self, tiles: Sequence[Tile], *, title: str, caption: str) -> bytes:
        """A JPEG of the tiles in rows, with a heading. A file that cannot be read is drawn as a blank."""
        ...
