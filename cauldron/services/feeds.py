"""Live feeds: one follower of the event log per process, any number of readers.

Every commit is read and encoded once and kept for a while in the ring of its stream's
topic and of its account's. A reader that was away is served from the ring, else from
the log, else it starts over from a snapshot: without gaps, and nothing twice. A
stream's own numbers, not the order in which the store shows commits, say what is next.
"""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import structlog

from cauldron.domain import codec
from cauldron.domain.envelopes import Heading, Place, encode, envelopes, heading_of
from cauldron.domain.errors import CauldronError
from cauldron.domain.identity import Principal, Throttled
from cauldron.ports.storage import Doc
from cauldron.ports.system import Clock, NewId
from cauldron.services.feed_readers import Reader
from cauldron.services.feed_resuming import Resuming, Source, encoded, entries_of
from cauldron.services.feed_rings import Ring, Topic

log = structlog.get_logger("cauldron.feeds")
HEARTBEAT_S = 15.0
STALLED_S = 20.0  # a send that takes longer ends its connection
STANDING_S = 5.0  # how often it is asked whether readers may go on
SWEEP_S = 1.0
PROGRESS_S = 0.2
LINGER_S = 60.0  # a topic without readers
ACCOUNT_LINGER_S = 600.0
KEPT = 4096  # headings, and ids of commits shown
SLICE = 250  # readers looked at in one go
RECENT = 8  # commits that a new topic's ring begins with
MAX_PER_ACCOUNT = 64  # open streams

Standing = Callable[[Sequence[Principal]], Awaitable[Sequence[bool]]]
Following = AsyncIterator[tuple[str, Doc | None]]


class TooManyStreams(Throttled):
    """The account has as many open streams as it may have."""

    code = "too_many_streams"


async def everybody_stays(principals: Sequence[Principal]) -> Sequence[bool]:
    """The standing of principals where nothing can be revoked."""
    return [True] * len(principals)


@dataclass(slots=True, kw_only=True)
class Feeds:
    """The feeds of one process. It follows the log only while somebody reads."""

    sources: Mapping[str, Source]  # "cook", "cast"
    account_snapshot: Callable[[str], Awaitable[dict[str, Any]]]
    clock: Clock
    new_id: NewId
    standing: Standing = everybody_stays
    max_per_account: int = MAX_PER_ACCOUNT
    heartbeat_s: float = HEARTBEAT_S
    stalled_s: float = STALLED_S
    readers: set[Reader] = field(default_factory=set)
    topics: dict[str, Topic] = field(default_factory=dict)
    _open: dict[str, int] = field(default_factory=dict)  # readers by account
    _headings: OrderedDict[str, Heading | None] = field(default_factory=OrderedDict)
    _accounts: set[str] = field(default_factory=set)  # names of topics
    _shown: OrderedDict[str, None] = field(default_factory=OrderedDict)
    _due: dict[str, bool] = field(default_factory=dict)  # cooks whose counters changed -> all of it was seen
    _opening: asyncio.Lock = field(default_factory=asyncio.Lock)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _resuming: Resuming = field(init=False)
    _closed: bool = False

    def __post_init__(self) -> None:
        self._resuming = Resuming(
            sources=self.sources,
            account_snapshot=self.account_snapshot,
            catch_up=self.catch_up,
            clock=self.clock,
        )

    @contextmanager
    def reading(self, who: Principal, *, via: str = "sse") -> Iterator[Reader]:
        """A reader for one connection, as :meth:`admit` and :meth:`leave`."""
        reader = self.admit(who, via=via)
        try:
            yield reader
        finally:
            self.leave(reader)

    def admit(self, who: Principal, *, via: str = "sse") -> Reader:
        """A reader for one connection of this task, counted against its account until it leaves.

        Raises:
            TooManyStreams: the account has its share.
        """
        open_now = self._open.get(who.account, 0)
        if open_now >= self.max_per_account:
            raise TooManyStreams(
                f"this account has {open_now} open streams: close one, or read several topics on one",
                retry_after_s=5,
                limit=self.max_per_account,
            )
        reader = Reader(who, self._resuming, via=via, now=_now())
        reader.task = asyncio.current_task()
        self.readers.add(reader)
        self._open[who.account] = open_now + 1
        if self._closed:
            reader.end("shutdown")
        return reader

    def leave(self, reader: Reader) -> None:
        """The connection is gone."""
        if reader not in self.readers:
            return
        self.readers.discard(reader)
        account = reader.who.account
        self._open[account] -= 1
        if not self._open[account]:
            del self._open[account]
        for cursor in list(reader.cursors):
            reader.remove(cursor.topic.name, left_at=_now())

    def open_streams(self, via: str) -> int:
        """How many connections of a kind are open in this process."""
        return sum(reader.via == via for reader in self.readers)

    async def topic(self, name: str) -> Topic:
        """The topic ``cook:<id>``, ``cast:<id>`` or ``account:<id>``; who asks may read it."""
        async with self._opening:
            self._start()
            if name not in self.topics:
                made = self._account(name) if name.startswith("account:") else await self._stream(name)
                self.topics[name] = made
                if made.epoch:
                    self._accounts.add(name)
                await self.catch_up(made)  # with what was shown while nobody listened
            topic = self.topics[name]
            topic.left_at = _now()  # whoever asks is about to read it
            return topic

    def _account(self, name: str) -> Topic:
        return Topic(name, Ring(Place(0, 0, 0)), epoch=self.new_id()[-12:], now=_now)

    async def _stream(self, name: str) -> Topic:
        """A topic whose ring begins with the newest commits."""
        heading = await self._heading(name)
        streams = self._source(name).streams
        recent = await streams.store.find(streams.table, {"stream": name}, order=("-seq",), limit=RECENT)
        commits = [codec.upcast(codec.unpack(commit)) for commit in reversed(recent)]
        floor = Place(0, 0, 0)
        if commits and commits[0]["seq"] > 1:  # the oldest serves as the place to begin at
            floor = _after(commits.pop(0))
        topic = Topic(name, Ring(floor), heading=heading, now=_now)
        if heading is not None:
            for commit in commits:
                topic.ring.append(entries_of(heading, commit), _after(commit))
        return topic

    def _source(self, stream: str) -> Source:
        return self.sources[stream.partition(":")[0]]

    async def _heading(self, stream: str, commit: Doc | None = None) -> Heading | None:
        """What the messages of a stream name; kept, as every commit asks. None: it has no log."""
        if stream in self._headings:
            self._headings.move_to_end(stream)
            return self._headings[stream]
        first = commit
        if first is None or first["seq"] != 1:
            streams = self._source(stream).streams
            [first] = await streams.store.get(streams.table, [codec.commit_id(stream, 1)])
        heading = None if first is None else heading_of(codec.upcast(first))
        if heading is not None:
            self._headings[stream] = heading
            if len(self._headings) > KEPT:
                self._headings.popitem(last=False)
        return heading

    # -- following the log ---------------------------------------------------------------

    def _start(self) -> None:
        """Follow from this moment: whatever a topic reads of the log afterwards is not missed."""
        if self._tasks or self._closed:
            return
        loops: list[Coroutine[Any, Any, None]] = [self._sweep(), self._tell_progress()]
        for source in self.sources.values():
            loops.append(self._follow(source, source.streams.store.watch(source.streams.table)))
        self._tasks = [asyncio.create_task(loop) for loop in loops]

    async def _follow(self, source: Source, following: Following) -> None:
        """Publish what is committed; a failure of the store is waited out."""
        store, table = source.streams.store, source.streams.table
        cursor: str | None = None
        while True:
            try:
                async for place, commit in following:
                    if commit is not None:
                        await self.absorb(commit)
                    cursor = place
                return  # the store has closed
            except CauldronError as failure:
                log.warning("feed stopped: trying again", table=table, code=failure.code)
            except Exception:
                log.exception("feed stopped: trying again", table=table)
            await asyncio.sleep(0.5)
            following = store.watch(table, after=cursor)
            if cursor is None:
                await self._start_over(source)

    async def _start_over(self, source: Source) -> None:
        """Commits may have passed unseen: logs are read, accounts begin anew."""
        for topic in list(self.topics.values()):
            if topic.epoch:
                topic.start_over(self.new_id()[-12:])
            elif self._source(topic.name) is source and topic.heading is not None:
                with contextlib.suppress(CauldronError):
                    await self.catch_up(topic)

    async def absorb(self, commit: Doc) -> None:
        """Publish a commit that the store shows; one that was published before changes nothing."""
        stream = commit["stream"]
        kind = stream.partition(":")[0]
        topic = self.topics.get(stream)
        if kind not in self.sources or not (topic or self._accounts):
            return
        heading = await self._heading(stream, commit)
        if heading is None:
            return
        account = self.topics.get(f"account:{heading.owner}")
        if account is not None and self._is_new(commit["_id"]):
            whole = codec.upcast(codec.unpack(commit))
            messages = envelopes(heading, whole)
            entries = encoded(heading, whole, messages)
            account.publish_wide([e for e, each in zip(entries, messages, strict=True) if each.wide])
            self._due[stream] = self.sources[kind].take(stream, whole)
        if topic is not None:
            await self._append(topic, heading, commit)

    def _is_new(self, commit_id: str) -> bool:
        if commit_id in self._shown:
            return False
        self._shown[commit_id] = None
        if len(self._shown) > KEPT:
            self._shown.popitem(last=False)
        return True

    async def _append(self, topic: Topic, heading: Heading, commit: Doc) -> None:
        """Add a commit to its stream's topic; what is missing before it comes first."""
        topic.heading = heading
        if commit["seq"] > topic.ring.newest.seq + 1:
            await self.catch_up(topic)
        async with topic.lock:
            if commit["seq"] == topic.ring.newest.seq + 1:
                self._publish(topic, heading, codec.upcast(codec.unpack(commit)))

    async def catch_up(self, topic: Topic) -> None:
        """Publish what the log holds past a topic's ring."""
        heading = topic.heading
        if heading is None:
            return
        async with topic.lock:
            newest = topic.ring.newest.seq
            async for page in self._source(topic.name).streams.read(topic.name, after=newest):
                for commit in page:
                    self._publish(topic, heading, commit)

    def _publish(self, topic: Topic, heading: Heading, commit: Doc) -> None:
        topic.publish(entries_of(heading, commit), _after(commit))
        self._due[topic.name] = self._source(topic.name).take(topic.name, commit)

    async def _tell_progress(self) -> None:
        while True:
            await asyncio.sleep(PROGRESS_S)
            due, self._due = self._due, {}
            for name, seen in due.items():
                with contextlib.suppress(CauldronError):  # the next commit asks again
                    await self._progress(name, fresh=not seen)
                await asyncio.sleep(0)  # news goes first

    async def _progress(self, name: str, *, fresh: bool) -> None:
        source, heading = self._source(name), self._headings.get(name)
        if source.progress is None or heading is None:
            return
        both = [self.topics.get(name), self.topics.get(f"account:{heading.owner}")]
        heard = [topic for topic in both if topic is not None and topic.readers]
        if heard:
            message = await source.progress(name.partition(":")[2], fresh)
            text = encode(message, topic=name, ts=self.clock())
            for topic in heard:
                topic.aside(name, message.type, text)

    # -- upkeep --------------------------------------------------------------------------

    async def _sweep(self) -> None:
        """Every second: heartbeats, stalled connections, revoked readers, topics nobody reads."""
        asked_at = _now()
        while True:
            await asyncio.sleep(min(SWEEP_S, self.heartbeat_s / 3, self.stalled_s / 3))
            now = _now()
            async for reader in _in_slices(self.readers):
                self._look_at(reader, now)
            if now - asked_at >= STANDING_S:
                asked_at = now
                with contextlib.suppress(CauldronError):
                    await self._dismiss()
            self._let_go(now)

    def _look_at(self, reader: Reader, now: float) -> None:
        if reader.sending_since is not None:
            if now - reader.sending_since > self.stalled_s:
                log.info("stalled stream dropped", account=reader.who.account)
                reader.drop("stalled")
        elif now - reader.spoke_at >= self.heartbeat_s:
            reader.heartbeat_due = True
            reader.wake()

    async def _dismiss(self) -> None:
        """End the streams of those whose key or session is not valid any more."""
        people: dict[Principal, list[Reader]] = {}
        async for reader in _in_slices(self.readers):
            people.setdefault(reader.who, []).append(reader)
        stays = await self.standing(list(people))
        for who, may_stay in zip(list(people), stays, strict=True):
            for reader in () if may_stay else people[who]:
                reader.end("revoked")

    def _let_go(self, now: float) -> None:
        for name, topic in list(self.topics.items()):
            linger_s = ACCOUNT_LINGER_S if topic.epoch else LINGER_S
            if not topic.readers and now - topic.left_at > linger_s:
                del self.topics[name]
                self._accounts.discard(name)
        if not self.topics and not self.readers:
            for task in self._tasks:
                task.cancel()
            self._tasks = []

    def say_goodbye(self) -> None:
        """The server shuts down: every stream ends with a message that says so."""
        self._closed = True
        for reader in list(self.readers):
            reader.end("shutdown")

    async def close(self) -> None:
        """Stop following."""
        self.say_goodbye()
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _in_slices(readers: Iterable[Reader]) -> AsyncIterator[Reader]:
    """All of them as they are now; what is to be sent meanwhile does not wait for thousands."""
    for n, reader in enumerate(list(readers), 1):
        yield reader
        if n % SLICE == 0:
            await asyncio.sleep(0)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _after(commit: Doc) -> Place:
    return Place(commit["seq"], 0, commit["ts"])
