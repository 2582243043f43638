"""The one way in: load the stream, decide, append one durable commit.

Nobody else appends events. A command is decided against the folded state, which
is kept between commands and brought up to date by the stream's tail; a writer
that was faster costs a second look, never a wrong answer.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

import structlog

from cauldron.domain import codec
from cauldron.domain.errors import CauldronError, Duplicate, StaleVersion
from cauldron.domain.events import Event
from cauldron.persistence.streams import Commit, Streams, first_answer
from cauldron.ports.system import Clock

log = structlog.get_logger("cauldron.dispatch")
S = TypeVar("S")
MAX_ATTEMPTS = 50
KEPT_STATES = 256


class Command(Protocol):
    """Anything with a natural key."""

    @property
    def key(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Decider(Generic[S]):
    """A pure state machine: an empty state, ``decide`` and ``evolve``."""

    initial: Callable[[], S]
    decide: Callable[[S, Any], list[Event]]
    evolve: Callable[..., None]  # (state, event, *, ts)
    whole: bool = True  # False: ``evolve`` and ``fold`` never look at codec.DETAIL
    fold: Callable[[S, list[Commit]], int] | None = None  # whole pages at once; returns the last seq


@dataclass(slots=True)
class Folded(Generic[S]):
    """A stream's state, as of ``seq``; ``lock`` serialises this process's writers."""

    state: S
    seq: int = 0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(slots=True)
class Outcome:
    """What became of a batch: one entry per command, and the commit if there was one."""

    events: list[list[Event] | CauldronError]
    commit: Commit | None = None
    replayed: bool = False


class Dispatcher(Generic[S]):
    """Carries out commands on the streams of one kind."""

    def __init__(self, streams: Streams, decider: Decider[S], *, clock: Clock) -> None:
        self.streams = streams
        self._decider = decider
        self._clock = clock
        self._folded: OrderedDict[str, Folded[S]] = OrderedDict()

    async def load(self, stream: str) -> Folded[S]:
        """The stream's state, brought up to date."""
        folded = self._slot(stream)
        async with folded.lock:
            await self._refresh(stream, folded)
        return folded

    def forget(self, stream: str) -> None:
        """Drop the kept state; the next command folds the stream anew."""
        self._folded.pop(stream, None)

    async def handle(self, stream: str, command: Command, *, actor: str) -> Outcome:
        """Carry out one command; a repeated one is answered with its first result.

        Raises:
            CauldronError: the decision refused it.
        """
        outcome = await self.handle_many(stream, [command], actor=actor)
        first = outcome.events[0]
        if not isinstance(first, CauldronError):
            return outcome
        earlier = await self.streams.find_command(command.key)
        if earlier is None:
            raise first
        return Outcome([first_answer(earlier, command.key)], None, replayed=True)

    async def handle_many(self, stream: str, commands: Sequence[Command], *, actor: str) -> Outcome:
        """Carry out commands in one commit, each decided after the one before.

        A command that is refused is set aside in ``events``; the others go on.
        At most :data:`cauldron.domain.codec.MAX_COMMANDS` commands.
        """
        folded = self._slot(stream)
        async with folded.lock:
            for attempt in range(1, MAX_ATTEMPTS + 1):
                await self._refresh(stream, folded)
                try:
                    return await self._try(stream, folded, commands, actor)
                except StaleVersion:
                    log.info("append contended", stream=stream, attempt=attempt)
                except BaseException:
                    self._reset(folded)
                    raise
        raise StaleVersion(f"{stream} is contended", attempts=MAX_ATTEMPTS)

    async def _try(self, stream: str, folded: Folded[S], commands: Sequence[Command], actor: str) -> Outcome:
        ts = self._clock()
        results, caused = self._decide_all(folded.state, commands, ts)
        if not caused:
            return await self._unchanged(commands, results)
        keys = list(dict.fromkeys(commands[c].key for c, _ in caused))
        place = {key: i for i, key in enumerate(keys)}
        events = [(place[commands[c].key], event) for c, event in caused]
        commit = codec.commit_document(stream, folded.seq + 1, keys=keys, events=events, actor=actor, ts=ts)
        try:
            await self.streams.append(commit)
        except StaleVersion:
            self._reset(folded)
            raise
        except Duplicate as seen:
            self._reset(folded)
            return await self._again(stream, folded, commands, actor, set(seen.details["keys"]))
        folded.seq += 1
        return Outcome(results, commit)

    def _decide_all(
        self, state: S, commands: Sequence[Command], ts: int
    ) -> tuple[list[list[Event] | CauldronError], list[tuple[int, Event]]]:
        results: list[list[Event] | CauldronError] = []
        caused: list[tuple[int, Event]] = []
        seen: set[str] = set()
        decide, evolve = self._decider.decide, self._decider.evolve
        for index, command in enumerate(commands):
            try:
                events = [] if command.key in seen else decide(state, command)
            except CauldronError as refusal:
                results.append(refusal)
                continue
            seen.add(command.key)
            for event in events:
                evolve(state, event, ts=ts)
                caused.append((index, event))
            results.append(events)
        return results, caused

    async def _unchanged(
        self, commands: Sequence[Command], results: list[list[Event] | CauldronError]
    ) -> Outcome:
        """Nothing new happened: a single repeated command gets its first answer."""
        if len(commands) == 1:
            earlier = await self.streams.find_command(commands[0].key)
            if earlier is not None:
                return Outcome([first_answer(earlier, commands[0].key)], None, replayed=True)
        return Outcome(results)

    async def _again(
        self, stream: str, folded: Folded[S], commands: Sequence[Command], actor: str, known: set[str]
    ) -> Outcome:
        """Some keys are recorded already: answer those, carry out the rest."""
        await self._refresh(stream, folded)
        rest = [command for command in commands if command.key not in known]
        outcome = await self._try(stream, folded, rest, actor) if rest else Outcome([])
        fresh = iter(outcome.events)
        merged: list[list[Event] | CauldronError] = []
        for command in commands:
            if command.key not in known:
                merged.append(next(fresh))
                continue
            earlier = await self.streams.find_command(command.key)
            merged.append(first_answer(earlier, command.key) if earlier else [])
        return Outcome(merged, outcome.commit, replayed=not rest)

    def _slot(self, stream: str) -> Folded[S]:
        folded = self._folded.get(stream)
        if folded is None:
            folded = self._folded[stream] = Folded(self._decider.initial())
            self._shed()
        self._folded.move_to_end(stream)
        return folded

    def _shed(self) -> None:
        for stream in list(self._folded)[: max(0, len(self._folded) - KEPT_STATES)]:
            if not self._folded[stream].lock.locked():
                del self._folded[stream]

    def _reset(self, folded: Folded[S]) -> None:
        folded.state, folded.seq = self._decider.initial(), 0

    async def _refresh(self, stream: str, folded: Folded[S]) -> None:
        evolve, fold = self._decider.evolve, self._decider.fold
        async for page in self.streams.read(stream, after=folded.seq, whole=self._decider.whole):
            if fold is not None:
                folded.seq = fold(folded.state, page)
                continue
            for commit in page:
                for event in commit["events"]:
                    evolve(folded.state, Event(event["type"], event["data"]), ts=commit["ts"])
                folded.seq = commit["seq"]
