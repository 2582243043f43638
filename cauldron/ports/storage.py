"""The storage kernel: a few verbs over documents, with operations as data.

Implemented once per engine; event streams, job queue and records are written
once above it. Documents are JSON objects with a string ``_id``; the engine keeps
an integer version beside each (1 after an insert, +1 at every change), which it
hands out as ``_v``. Filters and sorts name declared indexes only.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

Doc = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """An index over ``fields`` (dotted paths; a leading ``-`` sorts descending).

    ``where`` makes it partial: only documents whose fields equal these values
    are indexed (a value that is a tuple admits any of its members). ``multi``
    indexes every element of the array in the single field named.
    """

    fields: tuple[str, ...]
    unique: bool = False
    where: Mapping[str, Any] = field(default_factory=dict)
    multi: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A named set of documents. ``feed`` tables are append-only and can be followed."""

    name: str
    indexes: tuple[Index, ...] = ()
    feed: bool = False


@dataclass(frozen=True, slots=True)
class Insert:
    """Add a document; fails with Duplicate when its id or a unique field exists."""

    table: str
    doc: Doc


@dataclass(frozen=True, slots=True)
class Put:
    """Replace a document, or add it when ``expected`` is 0; ``None`` replaces or adds whatever is there."""

    table: str
    doc: Doc
    expected: int | None = None


@dataclass(frozen=True, slots=True)
class Patch:
    """Set some fields (dotted paths; a value of ``None`` sets null) of a document.

    Applied only when every ``guard`` holds: a path mapped to a value must equal
    it, to a tuple must be one of its members, to ``("<", x)``-style
    :class:`Compare` must compare so. A missing document or failed guard is
    ``StaleVersion``.
    """

    table: str
    id: str
    set: Mapping[str, Any]
    guard: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove a document, under the same guards; removing what is absent is no error."""

    table: str
    id: str
    guard: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Redact(Put):
    """Put a document of a feed anew at its place: how personal data leaves the log.

    ``expected`` is its version. With :class:`Expunge` the only change that a feed
    admits (docs/adr/0013); readers that have passed the document see nothing of it.
    """

    def __post_init__(self) -> None:
        if not self.expected:
            raise ValueError("what is redacted is named with its version")


@dataclass(frozen=True, slots=True)
class Expunge(Delete):
    """Remove a document of a feed: whole streams of test records leave the log so."""


Op = Insert | Put | Patch | Delete


@dataclass(frozen=True, slots=True)
class Compare:
    """A comparison in a filter or guard: ``<``, ``<=``, ``>``, ``>=``, ``!=``."""

    op: str
    value: Any


Where = Mapping[str, Any]  # path -> value (equal) | tuple (any of) | Compare | list[Compare] (all)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Take up to ``limit`` documents that match, oldest by ``order`` first, and patch them.

    Atomic per document: two claimers never get the same one.
    """

    table: str
    where: Where
    order: tuple[str, ...]
    set: Mapping[str, Any]
    limit: int
    increment: tuple[str, ...] = ()  # integer fields that grow by one


class Store(Protocol):
    """One engine.

    Guarantees: (1) ``commit`` returns only when its effects are durable; (2) with
    ``atomic`` all operations take effect or none does; (3) without it each
    operation stands alone, and one that fails harms no other; (4) an ``Insert``,
    ``Put``, ``Patch`` or ``Delete`` of one document is atomic on every engine;
    (5) claims are exclusive; (6) a reader of a feed sees every document inserted
    after its cursor exactly once per cursor, in an order that keeps the order of
    commits of one handle; (7) what a handle committed, every handle then reads.
    """

    async def open(self, tables: Sequence[Table]) -> None:
        """Create what is missing (idempotent, safe from many processes at once)."""
        ...

    async def get(self, table: str, ids: Sequence[str]) -> list[Doc | None]:
        """Documents by id, in the order asked for; None where there is none."""
        ...

    async def find(
        self,
        table: str,
        where: Where,
        *,
        order: tuple[str, ...] = ("_id",),
        limit: int = 1000,
        after: Sequence[Any] | None = None,
    ) -> list[Doc]:
        """Matching documents in ``order`` (``_id`` always breaks ties).

        ``after`` is the values of the ``order`` fields plus the ``_id`` of the
        last document of the page before.
        """
        ...

    async def commit(self, ops: Sequence[Op], *, atomic: bool = True) -> list[Exception | None]:
        """Carry out operations durably.

        Returns:
            One entry per operation: None when it took effect, else its Duplicate
            or StaleVersion. With ``atomic`` the first such failure is raised instead.

        Raises:
            StorageFull: no room; nothing of this call took effect.
            Unavailable: the engine did not answer.
        """
        ...

    async def claim(self, claim: Claim) -> list[Doc]:
        """The claimed documents after patching, in ``order``."""
        ...

    def watch(self, table: str, *, after: str | None = None) -> AsyncIterator[tuple[str, Doc | None]]:
        """Follow a table.

        A feed table yields ``(cursor, document)`` for every insert after the
        opaque cursor ``after`` (``""`` is the beginning, None is now). Other
        tables yield ``("", None)`` whenever something may have changed: a
        doorbell that may ring too often, never too late by more than 50 ms at rest.
        """
        ...

    async def close(self) -> None:
        """Finish what was accepted, then let go of everything."""
        ...
