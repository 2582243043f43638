"""Where records of the earlier system come from: dump files or a live database, a block at a time."""

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One collection of one database. ``size_bytes`` 0: not known."""

    database: str
    collection: str
    place: str  # what to read: a file, or the name again
    size_bytes: int = 0

    @property
    def name(self) -> str:
        """``database.collection``."""
        return f"{self.database}.{self.collection}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Whole documents as they were written, about a megabyte of them; it can be sent to another process."""

    form: str  # bson | json
    data: bytes
    first: int  # 0-based number of its first document in the part


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Why a part could not be read to its end, after how many whole documents."""

    part: str
    documents: int
    reason: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A document that cannot be taken apart."""

    reason: str


class LegacySource(Protocol):
    """A place to read from. Reading is repeatable: the same documents in the same order."""

    @property
    def faults(self) -> Sequence[Fault]:
        """What was found damaged so far."""
        ...

    async def parts(self) -> list[Part]:
        """Every collection there is, by name."""
        ...

    def blocks(self, part: Part) -> AsyncIterator[Block]:
        """The documents of a part in order. Damage ends it early and is told in ``faults``."""
        ...

    async def close(self) -> None: ...


class Decode(Protocol):
    """Takes a block apart into plain JSON documents; a function that can be sent to another process."""

    def __call__(self, block: Block) -> Iterator[dict[str, Any] | Unreadable]: ...
