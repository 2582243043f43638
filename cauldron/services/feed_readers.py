"""One open connection that reads topics: woken when something is new, ended when it may not go on."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from cauldron.domain.identity import Principal
from cauldron.services.feed_rings import Batch, Cursor, Topic

Replay = Callable[[Cursor], Awaitable[Batch]]
News = Sequence[tuple[Cursor, Batch]]


class Over(Exception):
    """The stream ends; ``reason`` is told to the client: shutdown, revoked, left."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Reader:
    """A cursor per topic, and the state of one connection. Not for use by two tasks at once."""

    __slots__ = (
        "_bell",
        "_ended",
        "_replay",
        "abort",
        "cursors",
        "heartbeat_due",
        "sending_since",
        "sink",
        "spoke_at",
        "task",
        "via",
        "who",
    )

    def __init__(self, who: Principal, replay: Replay, *, via: str, now: float) -> None:
        self.who = who
        self.via = via  # sse | websocket
        self.cursors: list[Cursor] = []
        self.heartbeat_due = False
        self.sending_since: float | None = None  # a send that has not returned
        self.spoke_at = now  # the end of the last send
        self.task: asyncio.Task[object] | None = None  # what sends; cancelled when a send takes too long
        self.abort: Callable[[], None] | None = None  # closes the connection without waiting for it
        self.sink: Callable[[], None] | None = None  # told instead of whoever awaits news
        self._replay = replay
        self._bell: asyncio.Future[None] | None = None
        self._ended = ""

    def add(self, topic: Topic, last_id: str | None) -> Cursor:
        """Read one more topic, from after ``last_id`` or from a snapshot."""
        cursor = Cursor(topic, last_id)
        self.cursors.append(cursor)
        topic.readers.add(self)
        self.wake()
        return cursor

    def remove(self, name: str, *, left_at: float) -> bool:
        """Read a topic no longer; False when it was not read."""
        gone = [cursor for cursor in self.cursors if cursor.topic.name == name]
        for cursor in gone:
            self.cursors.remove(cursor)
            cursor.topic.readers.discard(self)
            cursor.topic.left_at = left_at
        return bool(gone)

    def wake(self) -> None:
        """Something may be new."""
        if self.sink is not None:
            self.sink()
            return
        bell = self._bell
        if bell is not None and not bell.done():
            bell.set_result(None)

    def end(self, reason: str) -> None:
        """The next look for news raises Over."""
        self._ended = self._ended or reason
        self.wake()

    def drop(self, reason: str) -> None:
        """End it now, whatever it is doing: the client does not read what it is sent."""
        self._ended = self._ended or reason
        if self.abort is not None:
            self.abort()  # and the send returns
        elif self.task is not None:
            self.task.cancel()

    @property
    def ended(self) -> bool:
        """Whether the next look for news raises Over."""
        return bool(self._ended)

    def at_hand(self) -> tuple[News, bool]:
        """What is new on each topic and need not be read from the log, and whether something must be.

        Raises:
            Over: the stream ends.
        """
        if self._ended:
            raise Over(self._ended)
        found, behind = [], False
        for cursor in self.cursors:
            batch = None if cursor.behind else cursor.take()
            if batch is not None:
                found.append((cursor, batch))
            behind = behind or cursor.behind
        return found, behind

    async def look(self) -> News:
        """What is new on each topic, perhaps nothing.

        Raises:
            Over: the stream ends.
        """
        if self._ended:
            raise Over(self._ended)
        return await self._look()

    async def news(self) -> News:
        """What is new on each topic, in the end; empty when a heartbeat is due.

        Raises:
            Over: the stream ends.
        """
        while True:
            if self._ended:
                raise Over(self._ended)
            found = await self._look()
            if found:
                return found
            if self.heartbeat_due:
                self.heartbeat_due = False
                return ()
            self._bell = asyncio.get_running_loop().create_future()
            try:
                await self._bell
            finally:
                self._bell = None

    async def _look(self) -> list[tuple[Cursor, Batch]]:
        found = []
        for cursor in list(self.cursors):
            batch = cursor.take()
            if cursor.behind:
                batch = await self._replay(cursor)
            if batch is not None:
                found.append((cursor, batch))
        return found
