"""Blocks of documents mapped one by one, here or in processes beside this one, kept in order."""

import asyncio
import gc
import marshal
import multiprocessing
import multiprocessing.connection
import os
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any, NamedTuple

from cauldron.domain.legacy.early import map_studio
from cauldron.domain.legacy.exports import map_export
from cauldron.domain.legacy.mapping import (
    SET_ASIDE,
    Facts,
    Later,
    Mapped,
    SetAside,
    Setting,
    set_aside_record,
)
from cauldron.domain.legacy.outputs import map_output
from cauldron.domain.legacy.spells import map_spell
from cauldron.domain.legacy.values import id_of
from cauldron.ports.legacy import Block, Decode, Part, Unreadable

Doc = dict[str, Any]
Mapper = Callable[[Doc, Setting], Mapped]
MAPPERS: Mapping[str, Mapper] = {
    "outputs": map_output,
    "studio": map_studio,
    "spells": map_spell,
    "exports": map_export,
}
LATER = "later"
QUIET_GC = (50_000, 20, 20)  # blocks are short-lived trees: looking for cycles in them is in vain


class Entry(NamedTuple):
    """One document after mapping. ``verdict``: mapped, later, or the reason it was set aside."""

    doc_id: str
    verdict: str
    detail: str
    mapped: Mapped


MAPPED = "mapped"
NOTHING = Mapped([], [])


def entry_of(doc: Doc | Unreadable, place: str, *, source: str, make: Callable[[Doc], Mapped]) -> Entry:
    """Map one document; whatever is wrong with it becomes its verdict. ``place`` names what has no id."""
    if isinstance(doc, Unreadable):
        record = set_aside_record(source, place, {}, reason="unreadable", detail=doc.reason)
        return Entry(place, "unreadable", doc.reason, Mapped([(SET_ASIDE, record)], []))
    doc_id = id_of(doc, "_id") or place
    try:
        return Entry(doc_id, MAPPED, "", make(doc))
    except Later:
        return Entry(doc_id, LATER, "", NOTHING)
    except SetAside as aside:
        return aside_entry(doc, doc_id, aside, source=source)
    except Exception as failure:  # one document never stops a migration; it is kept and reported
        return aside_entry(doc, doc_id, SetAside("not_mapped", type(failure).__name__), source=source)


def aside_entry(doc: Doc, doc_id: str, aside: SetAside, *, source: str) -> Entry:
    """A document that is kept as it was."""
    record = set_aside_record(source, doc_id, doc, reason=aside.reason, detail=aside.detail)
    return Entry(doc_id, aside.reason, aside.detail, Mapped([(SET_ASIDE, record)], []))


class Job(NamedTuple):
    """What a process is asked to do with a block."""

    kind: str
    source: str
    block: Block
    records: bool  # whether the records are wanted, or only what is known of them


def map_block(decode: Decode, setting: Setting, job: Job) -> Iterator[Entry]:
    """Every document of a block, mapped."""
    mapper = MAPPERS[job.kind]

    def make(doc: Doc) -> Mapped:
        return mapper(doc, setting)

    for number, doc in enumerate(decode(job.block), job.block.first):
        yield entry_of(doc, f"#{number}", source=job.source, make=make)


def packed(entries: Iterable[Entry], *, records: bool) -> bytes:
    """Entries as bytes for another process: plain tuples, and of records only what is wanted."""
    return marshal.dumps(
        [
            (
                e.doc_id,
                e.verdict,
                e.detail,
                m.records if records else _outlined(m.records),
                m.notes,
                _plain(m.facts),
            )
            for e, m in ((entry, entry.mapped) for entry in entries)
        ]
    )


def _plain(facts: Facts | None) -> tuple[Any, ...] | None:
    return None if facts is None else tuple(facts)


def unpacked(data: bytes) -> list[Entry]:
    """The entries that :func:`packed` made."""
    return [
        Entry(doc_id, verdict, detail, Mapped(records, notes, None if facts is None else Facts(*facts)))
        for doc_id, verdict, detail, records, notes, facts in marshal.loads(data)  # noqa: S302 - from our own process
    ]


def _outlined(records: list[tuple[str, Doc]]) -> list[tuple[str, Doc]]:
    """Records with nothing but what counting looks at: a fraction to send between processes."""
    return [(table, {"_id": d["_id"], "status": d.get("status") or d.get("state")}) for table, d in records]


_here: list[Any] = []  # decode and setting of a process of the pool


def _prepare(decode: Decode, setting: Setting) -> None:
    gc.set_threshold(*QUIET_GC)
    _here[:] = [decode, setting]
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A parent that was killed cannot say goodbye, and the pool's pipes stay open."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
    os._exit(1)


def _map_there(job: Job) -> bytes:
    return packed(map_block(_here[0], _here[1], job), records=job.records)


class Blocks:
    """Maps the blocks of a part in order, ahead of who takes them."""

    def __init__(self, decode: Decode, setting: Setting, *, processes: int, records: bool) -> None:
        """``processes`` 0 maps here; otherwise that many help."""
        self._decode, self._setting, self._records = decode, setting, records
        self._ahead = processes + 2
        self._pool = None
        if processes:
            self._pool = ProcessPoolExecutor(
                processes,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_prepare,
                initargs=(decode, setting),
            )

    async def mapped(self, kind: str, part: Part, blocks: AsyncIterator[Block]) -> AsyncIterator[list[Entry]]:
        """The entries of every block, in order."""
        waiting: deque[Future[bytes]] = deque()
        async for block in blocks:
            job = Job(kind, part.name, block, self._records)
            if self._pool is None:
                yield list(map_block(self._decode, self._setting, job))
                continue
            waiting.append(self._pool.submit(_map_there, job))
            if len(waiting) >= self._ahead:
                yield unpacked(await asyncio.wrap_future(waiting.popleft()))
        while waiting:
            yield unpacked(await asyncio.wrap_future(waiting.popleft()))

    def close(self) -> None:
        """End the processes."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
