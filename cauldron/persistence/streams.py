"""Append-only event streams over the kernel: one commit document per state change."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from cauldron.domain import codec
from cauldron.domain.errors import Duplicate, StaleVersion
from cauldron.domain.events import Event
from cauldron.ports.storage import Compare, Insert, Store

FIRST_PAGE = 8  # commits read at first: one may hold 500 events
MAX_PAGE = 500  # commits read at a time
PAGE_EVENTS = 2_000  # events read at a time, about
Commit = dict[str, Any]


class Streams:
    """The streams of one events table.

    A stream is named ``<kind>:<id>``; its commits are numbered 1, 2, 3 … without
    gaps. The unique ``(stream, seq)`` is the fence between writers, the unique
    command keys make a repeated command recognisable.
    """

    def __init__(self, store: Store, table: str) -> None:
        self.store = store
        self.table = table

    async def append(self, commit: Commit) -> None:
        """Add a commit made by :func:`cauldron.domain.codec.commit_document`.

        Raises:
            StaleVersion: another writer took this ``seq``.
            Duplicate: one of the command keys is recorded already; ``keys`` in
                its details names them.
        """
        try:
            await self.store.commit([Insert(self.table, codec.pack(commit))])
        except Duplicate:
            known = await self.known_keys(commit["cmds"])
            if known:
                raise Duplicate("the command was carried out before", keys=sorted(known)) from None
            raise StaleVersion(f"{commit['stream']} moved past {commit['seq'] - 1}") from None

    async def known_keys(self, keys: Sequence[str]) -> set[str]:
        """Which of these command keys are recorded in any stream."""
        if not keys:
            return set()
        wanted = set(keys)
        found = await self.store.find(self.table, {"cmds": tuple(wanted)}, limit=len(wanted))
        return {key for commit in found for key in commit["cmds"] if key in wanted}

    async def find_commands(self, keys: Sequence[str]) -> dict[str, Commit]:
        """The commits that carried out the commands with these keys; unknown ones are absent."""
        wanted = set(keys)
        if not wanted:
            return {}
        commits = await self.store.find(self.table, {"cmds": tuple(wanted)}, limit=len(wanted))
        whole = [codec.upcast(codec.unpack(commit)) for commit in commits]
        return {key: commit for commit in whole for key in commit["cmds"] if key in wanted}

    async def find_command(self, key: str) -> Commit | None:
        """The commit that carried out the command with this key."""
        return (await self.find_commands([key])).get(key)

    async def read(self, stream: str, *, after: int = 0, whole: bool = True) -> AsyncIterator[list[Commit]]:
        """Pages of commits of a stream with ``seq`` past ``after``, in order.

        Without ``whole`` their events lack the detail that folding never looks at.
        """
        limit = FIRST_PAGE
        while True:
            where = {"stream": stream, "seq": Compare(">", after)}
            page = await self.store.find(self.table, where, order=("seq",), limit=limit)
            if page:
                after = page[-1]["seq"]
                yield [codec.upcast(codec.unpack_in_place(commit) if whole else commit) for commit in page]
            if len(page) < limit:
                return
            events = sum(len(commit["events"]) for commit in page)
            limit = max(1, min(MAX_PAGE, PAGE_EVENTS * len(page) // max(1, events)))

    async def tail(self, stream: str, *, after: int) -> list[Commit]:
        """All commits past ``after``; for tails known to be short."""
        return [commit async for page in self.read(stream, after=after) for commit in page]


def first_answer(commit: Commit, key: str) -> list[Event]:
    """What the command with ``key`` caused when it was first carried out."""
    return codec.events_of(commit, key=key)
