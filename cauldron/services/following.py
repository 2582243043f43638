"""A follower of an events table: every commit at least once, by one process at a time."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from cauldron.domain import codec
from cauldron.domain.errors import CauldronError
from cauldron.persistence.leases import Leases
from cauldron.persistence.streams import Commit
from cauldron.ports.storage import Put, Store
from cauldron.ports.system import Clock
from cauldron.services.outliving import outliving

log = structlog.get_logger("cauldron.follower")
SAVE_EVERY = 200  # commits between two writes of the cursor, or a second


@dataclass(slots=True)
class Follower:
    """Hands commits to ``handle``, which must bear seeing one twice.

    Its cursor is kept under ``name``; the lease of the same name sees to it that
    the processes of one store take turns rather than all do the same.
    """

    name: str
    table: str
    store: Store
    leases: Leases
    clock: Clock
    handle: Callable[[Commit], Awaitable[None]]
    renew_every_s: float = 1.0
    whole: bool = True  # False: events lack their detail, which is cheaper
    _cursor: str = ""
    _unsaved: int = 0
    _at: int = 0  # instant of the newest commit that was handled

    async def run(self) -> None:
        """Follow until cancelled, whenever the lease can be had."""
        while True:
            # what follows in the log must not wait for a restart
            with outliving(log, "follower stopped: trying again", name=self.name):
                if await self.leases.acquire(self._lease):
                    await self._while_held()
            await asyncio.sleep(self.renew_every_s)

    @property
    def _lease(self) -> str:
        return f"follower:{self.name}"

    async def _while_held(self) -> None:
        [known] = await self.store.get("cursors", [self.name])
        self._cursor = known["cursor"] if known else ""
        self._at = known.get("at", 0) if known else 0
        following = asyncio.create_task(self._follow())
        try:
            while not following.done() and await self.leases.acquire(self._lease):
                await self._save()
                await asyncio.wait([following], timeout=self.renew_every_s)
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            with contextlib.suppress(CauldronError):
                await self.leases.release(self._lease)
        if not following.cancelled() and (failure := following.exception()) is not None:
            raise failure

    async def _follow(self) -> None:
        async for cursor, commit in self.store.watch(self.table, after=self._cursor):
            if commit is not None:
                await self.handle(codec.upcast(codec.unpack(commit) if self.whole else commit))
                self._at = max(self._at, commit["ts"])
            self._cursor = cursor
            self._unsaved += 1
            if self._unsaved >= SAVE_EVERY:
                await self._save()

    async def _save(self) -> None:
        if self._unsaved:
            self._unsaved = 0
            body = {
                "_id": self.name,
                "table": self.table,
                "cursor": self._cursor,
                "at": self._at,
                "savedAt": self.clock(),
            }
            await self.store.commit([Put("cursors", body, None)])
