"""Readers that are not in the ring: from the log, page by page, or from a snapshot."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cauldron.domain import codec
from cauldron.domain.envelopes import Envelope, Heading, Place, encode, envelopes
from cauldron.persistence.streams import Commit, Streams
from cauldron.ports.storage import Compare
from cauldron.ports.system import Clock
from cauldron.services.feed_rings import Batch, Cursor, Entry, Topic, account_id, number_in

MAX_REPLAY = 5000  # messages from the log for one reader, before it starts over
MANY = 500  # messages of a page
MAX_PAGE = 128  # commits

Snapshot = Callable[[str], Awaitable[tuple[dict[str, Any], int]]]  # id -> (payload, seq of the log)
Progress = Callable[[str, bool], Awaitable[Envelope]]  # id, and whether the log may hold more than was seen
Take = Callable[[str, Commit], bool]  # whether what is kept of a stream is as new as a commit


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One kind of stream: where its log is, what its state is now, what its counters are."""

    streams: Streams
    snapshot: Snapshot
    progress: Progress | None = None
    take: Take = lambda stream, commit: False


@dataclass(frozen=True, slots=True, kw_only=True)
class Resuming:
    """Finds out where a reader goes on. ``catch_up`` publishes what the log holds past a topic's ring."""

    sources: Mapping[str, Source]
    account_snapshot: Callable[[str], Awaitable[dict[str, Any]]]
    catch_up: Callable[[Topic], Awaitable[None]]
    clock: Clock

    async def __call__(self, cursor: Cursor) -> Batch:
        """The next messages of a reader whose place is not in the ring, perhaps none."""
        topic = cursor.topic
        if topic.epoch:
            return await self._of_account(cursor)
        place = cursor.place
        if cursor.lost or place is None:
            return await self._restart(cursor, cursor.lost or "reset")
        if place.seq > topic.ring.newest.seq:  # another process has shown it already
            await self.catch_up(topic)
        n = topic.ring.find(place)
        if n is not None:
            cursor.settle(n)
            return cursor.take() or _nothing(cursor)
        behind = topic.ring.newest.seq - place.seq
        if topic.heading is None or not 0 <= behind <= MAX_REPLAY or cursor.replayed > MAX_REPLAY:
            return await self._restart(cursor, "reset")
        return await self._from_log(cursor, place, topic.heading)

    async def _from_log(self, cursor: Cursor, place: Place, heading: Heading) -> Batch:
        """A page of the log after a place, if the log still has that place."""
        streams, newest = self.sources[heading.kind].streams, cursor.topic.ring.newest.seq
        where = {"stream": heading.topic, "seq": [Compare(">=", place.seq), Compare("<=", newest)]}
        found = await streams.store.find(streams.table, where, order=("seq",), limit=cursor.page)
        commits = [codec.upcast(codec.unpack(commit)) for commit in found]
        entries = [entry for commit in commits for entry in entries_of(heading, commit)]
        known = sum(entry.place.seq == place.seq for entry in entries)
        if not _continues(place, commits) or place.part > known:
            return await self._restart(cursor, "reset")
        fresh = entries[place.part or known :]
        cursor.replayed += len(fresh)
        cursor.page = 8 if len(entries) > MANY else min(MAX_PAGE, 2 * cursor.page)
        cursor.id = Place(commits[-1]["seq"], 0, commits[-1]["ts"]).text().encode()
        return Batch(fresh, (), next_n=-1, tick=cursor.tick)

    async def _of_account(self, cursor: Cursor) -> Batch:
        topic, ring = cursor.topic, cursor.topic.ring
        n = number_in(cursor.id.decode("latin-1"), topic.epoch)
        if not cursor.lost and n is not None and ring.base <= n <= ring.head:
            cursor.settle(n)
            return cursor.take() or _nothing(cursor)
        at = Place(ring.head, 0, 0)  # before reading: what happens meanwhile is told again
        payload = await self.account_snapshot(topic.name.partition(":")[2])
        return self._begin(cursor, Envelope(cursor.lost or "reset", payload), at, n=at.seq)

    async def _restart(self, cursor: Cursor, kind: str) -> Batch:
        """A snapshot, and the place in the log that it shows."""
        topic = cursor.topic
        source = self.sources[topic.name.partition(":")[0]]
        payload, seq = await source.snapshot(topic.name.partition(":")[2])
        message, place = Envelope(kind, payload), Place(0, 0, 0)
        if topic.heading is None:  # a record without a log
            return self._begin(cursor, message, place, n=topic.ring.head)
        if topic.ring.newest.seq < seq:
            await self.catch_up(topic)
        streams = source.streams
        [commit] = await streams.store.get(streams.table, [codec.commit_id(topic.name, seq)])
        place = Place(seq, 0, commit["ts"]) if commit is not None else topic.ring.newest
        return self._begin(cursor, message, place, n=topic.ring.find(place))

    def _begin(self, cursor: Cursor, message: Envelope, place: Place, *, n: int | None) -> Batch:
        topic = cursor.topic
        text = account_id(topic.epoch, place.seq) if topic.epoch else place.text()
        cursor.id, cursor.lost, cursor.replayed = text.encode(), "", 0
        if n is not None:
            cursor.settle(n)
        cursor.tick = topic.ring.tick
        json = encode(message, topic=topic.name, ts=self.clock())
        return Batch([Entry(cursor.id, message.type, json, place)], (), next_n=cursor.n, tick=cursor.tick)


def _continues(place: Place, commits: Sequence[Commit]) -> bool:
    """Whether the log from a place on is the one that the place was handed out for."""
    if not commits:
        return False
    first = commits[0]
    return place.seq == 0 or (first["seq"] == place.seq and first["ts"] == place.check)


def _nothing(cursor: Cursor) -> Batch:
    return Batch((), (), next_n=cursor.n, tick=cursor.tick)


def entries_of(heading: Heading, commit: Commit) -> list[Entry]:
    """The messages of a whole commit, encoded."""
    return encoded(heading, commit, envelopes(heading, commit))


def encoded(heading: Heading, commit: Commit, messages: Sequence[Envelope]) -> list[Entry]:
    """Messages of a commit with their ids and JSON text; the last one's place is after all of it."""
    seq, ts, last = commit["seq"], commit["ts"], len(messages)
    entries = []
    for part, message in enumerate(messages, 1):
        place = Place(seq, part if part < last else 0, ts)
        json = encode(message, topic=heading.topic, ts=ts)
        entries.append(Entry(place.text().encode(), message.type, json, place))
    return entries
