"""The recent past of a topic, encoded once, and how far each reader has come in it.

A reader costs a cursor, never a queue: whoever is slow falls out of the ring and is
served from the log, or starts over from a snapshot.
"""

import asyncio
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from cauldron.domain.envelopes import Heading, Place, place_of

MAX_ENTRIES = 256  # of a ring, and at least the newest commit; up to twice as many before it is cut
MAX_BYTES = 1 << 17
FLUSH_GAP_S = 0.05  # between two times that the readers of a topic are woken
ASIDE_WAIT_S = 0.15  # for a message that is going out anyway


class Entry(NamedTuple):
    """One message of a topic: its id, its type and its JSON text."""

    id: bytes
    type: str
    json: bytes
    place: Place


class Aside(NamedTuple):
    """A message without an id: only the newest of its key is worth telling."""

    tick: int
    type: str
    json: bytes


class Batch:
    """What a reader at one point has not had yet. Readers at the same point share it.

    ``rendered`` is for those who send: the bytes for a transport, made once.
    """

    __slots__ = ("asides", "entries", "next", "rendered", "tick")

    def __init__(self, entries: Sequence[Entry], asides: Sequence[Aside], *, next_n: int, tick: int) -> None:
        self.entries = entries
        self.asides = asides
        self.next = next_n
        self.tick = tick
        self.rendered: dict[str, bytes] = {}


class Ring:
    """The newest messages of a topic, counted from 0; whole commits leave it at the old end.

    ``floor`` is the place right before the oldest message held, ``newest`` the one after the last.
    """

    __slots__ = ("_asides", "_batches", "_entries", "_size", "base", "floor", "newest", "tick")

    def __init__(self, floor: Place) -> None:
        self.base = 0
        self.floor = floor
        self.newest = floor
        self.tick = 0
        self._entries: list[Entry] = []
        self._size = 0
        self._asides: dict[str, Aside] = {}
        self._batches: dict[tuple[int, int], Batch] = {}

    @property
    def head(self) -> int:
        """The number that the next message will have."""
        return self.base + len(self._entries)

    def append(self, entries: Sequence[Entry], newest: Place) -> None:
        """Add the messages of a commit, after all of which a reader is at ``newest``."""
        self.newest = newest
        self._entries += entries
        self._size += sum(len(entry.json) for entry in entries)
        self._batches.clear()
        if len(self._entries) > 2 * MAX_ENTRIES or self._size > 2 * MAX_BYTES:
            self._trim(len(entries))

    def _trim(self, newest: int) -> None:
        """Let whole commits go until the bounds are kept; the newest commit stays."""
        cut = kept = 0
        count, size, limit = len(self._entries), self._size, len(self._entries) - newest
        while cut < limit and (count - cut > MAX_ENTRIES or size - kept > MAX_BYTES):
            seq = self._entries[cut].place.seq
            while cut < limit and self._entries[cut].place.seq == seq:
                kept += len(self._entries[cut].json)
                cut += 1
        self._forget(cut)

    def _forget(self, cut: int) -> None:
        if cut:
            self.floor = self._entries[cut - 1].place._replace(part=0)
            self._size -= sum(len(entry.json) for entry in self._entries[:cut])
            del self._entries[:cut]
            self.base += cut

    def aside(self, key: str, kind: str, json: bytes) -> None:
        """Replace the message without an id of this key."""
        self.tick += 1
        self._asides.pop(key, None)
        self._asides[key] = Aside(self.tick, kind, json)
        if len(self._asides) > 64:
            del self._asides[next(iter(self._asides))]
        self._batches.clear()

    def since(self, n: int, tick: int) -> Batch | None:
        """What follows message ``n`` - 1 and aside ``tick``; None when nothing does."""
        if n >= self.head and tick >= self.tick:
            return None
        batch = self._batches.get((n, tick))
        if batch is None:
            asides = [each for each in self._asides.values() if each.tick > tick]
            entries = self._entries[n - self.base :]
            batch = self._batches[n, tick] = Batch(entries, asides, next_n=self.head, tick=self.tick)
        return batch

    def find(self, place: Place) -> int | None:
        """The number of the message right after a place; None when the ring cannot say."""
        if not self.floor.seq <= place.seq <= self.newest.seq:
            return None
        if place in (self.floor, self.newest):
            return self.base if place == self.floor else self.head
        end = bisect_right(self._entries, place.seq, key=_seq)
        start = bisect_right(self._entries, place.seq - 1, key=_seq)
        if start == end or self._entries[start].place.check != place.check or place.part > end - start:
            return None
        return self.base + (start + place.part if place.part else end)


def _seq(entry: Entry) -> int:
    return entry.place.seq


Clock = Callable[[], float]  # seconds of the event loop


class Listener(Protocol):
    """Somebody to wake when a topic has news."""

    def wake(self) -> None: ...


class Topic:
    """A ring and those who read it. ``heading`` is None for an account, and for a record without a log."""

    def __init__(
        self, name: str, ring: Ring, *, heading: Heading | None = None, epoch: str = "", now: Clock
    ) -> None:
        self.name = name
        self.ring = ring
        self.heading = heading
        self.epoch = epoch  # of an account's ring: its numbers mean nothing elsewhere
        self.lock = asyncio.Lock()  # held while messages are added
        self.readers: set[Listener] = set()
        self.left_at = now()  # when the last reader left
        self._now = now
        self._flushed_at = 0.0
        self._flushing: asyncio.TimerHandle | None = None

    def publish(self, entries: Sequence[Entry], newest: Place) -> None:
        """Add the messages of a commit; readers are woken now, or soon when they just were."""
        self.ring.append(entries, newest)
        if entries:
            self._flush_soon()

    def publish_wide(self, entries: Sequence[Entry]) -> None:
        """Add messages of a stream to an account's ring, under ids of its own."""
        first = self.ring.head + 1
        places = [Place(n, 0, 0) for n in range(first, first + len(entries))]
        for entry, place in zip(entries, places, strict=True):
            name = account_id(self.epoch, place.seq).encode()
            self.publish([entry._replace(id=name, place=place)], place)

    def aside(self, key: str, kind: str, json: bytes) -> None:
        """Tell the newest counters, along with the next messages if there are some soon."""
        self.ring.aside(key, kind, json)
        if self._flushing is None and self.readers:
            self._flushing = asyncio.get_running_loop().call_later(ASIDE_WAIT_S, self._flush)

    def _flush_soon(self) -> None:
        if not self.readers:
            return
        wait_s = self._flushed_at + FLUSH_GAP_S - self._now()
        if wait_s <= 0:
            self._flush()
        elif self._flushing is None:
            self._flushing = asyncio.get_running_loop().call_later(wait_s, self._flush)

    def _flush(self) -> None:
        if self._flushing is not None:
            self._flushing.cancel()
        self._flushing, self._flushed_at = None, self._now()
        for reader in self.readers:
            reader.wake()

    def start_over(self, epoch: str) -> None:
        """Nobody can go on from where they are."""
        self.epoch = epoch
        base = self.ring.head + 1
        self.ring = Ring(Place(base, 0, 0))
        self.ring.base = base
        self._flush()


def account_id(epoch: str, n: int) -> str:
    """The id of the message after which ``n`` of an account's ring have been told."""
    return f"a.{epoch}.{n}"


def number_in(text: str, epoch: str) -> int | None:
    """The number in an account's id, if it is of this epoch."""
    kind, _, rest = text.partition(".")
    known, _, number = rest.partition(".")
    if kind != "a" or known != epoch or not (number.isascii() and number.isdigit() and len(number) < 16):
        return None
    return int(number)


class Cursor:
    """One reader's way through one topic.

    ``id`` is that of the last message it had, ``n`` the number of the next one in
    the ring. With ``lost`` it needs a snapshot before anything else.
    """

    __slots__ = ("behind", "id", "lost", "n", "page", "replayed", "sent", "tick", "topic")

    def __init__(self, topic: Topic, last_id: str | None) -> None:
        self.topic = topic
        self.id = (last_id or "").encode()
        self.sent = self.id or b"-"  # of the last message that was sent on, where several topics share ids
        self.n = -1  # not placed yet
        self.tick = 0
        self.replayed = 0  # messages read from the log since it was last in the ring
        self.page = 8  # commits to read next
        self.lost = "" if last_id else "snapshot"
        self.behind = True

    def take(self) -> Batch | None:
        """What is new, from the ring; None with ``behind`` when the log must be asked."""
        ring = self.topic.ring
        if self.n < ring.base:
            self.behind = True
            return None
        batch = ring.since(self.n, self.tick)
        if batch is not None:
            self.n, self.tick = batch.next, batch.tick
            if batch.entries:
                self.id = batch.entries[-1].id
        return batch

    def settle(self, n: int) -> None:
        """The reader is in the ring, at message ``n``."""
        self.n, self.behind, self.replayed, self.page, self.lost = n, False, 0, 8, ""

    @property
    def place(self) -> Place | None:
        """The place in a stream's log that its last id names."""
        return place_of(self.id.decode("latin-1"))
