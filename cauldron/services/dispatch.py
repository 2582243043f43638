"""The one way in: load the stream, decide, append one durable commit.

Nobody else appends events. A command is decided against the folded state, which
is kept between commands and brought up to date by the stream's tail; a writer
that was faster costs a second look, never a wrong answer.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

import structlog

from cauldron.domain import codec
from cauldron.domain.errors import CauldronError, Duplicate, Invalid, StaleVersion
from cauldron.domain.events import Event
from cauldron.persistence.streams import Commit, Streams, first_answer
from cauldron.ports.system import Clock

log = structlog.get_logger("cauldron.dispatch")
S = TypeVar("S")
Result = list[Event] | CauldronError
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
    """A stream's state, as of ``seq``; ``lock`` serialises this process's writers.

    While ``ahead`` the state holds events that are not committed, or never were:
    it is true only between commands, which is where ``load`` hands it out.
    """

    state: S
    seq: int = 0
    ahead: bool = False
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(slots=True)
class Outcome:
    """What became of a batch: one entry per command, and the commit if there was one.

    ``replayed`` says that every entry is the answer to an earlier arrival.
    """

    events: list[Result]
    commit: Commit | None = None
    replayed: bool = False


class Dispatcher(Generic[S]):
    """Carries out commands on the streams of one kind."""

    def __init__(self, streams: Streams, decider: Decider[S], *, clock: Clock) -> None:
        self.streams = streams
        self._decider = decider
        self._clock = clock
        self._folded: OrderedDict[str, Folded[S]] = OrderedDict()

    async def load(self, stream: str, *, fresh: bool = True) -> Folded[S]:
        """The stream's state, brought up to date, or as last seen when not ``fresh``.

        Read what you need before the next ``await``: the state is changed in
        place, and later on may hold what is only about to be committed.
        """
        folded = self._slot(stream)
        async with folded.lock:
            if fresh or folded.ahead:
                await self._refresh(stream, folded)
        return folded

    def seen(self, stream: str) -> int:
        """The last ``seq`` of a stream that this process has folded or appended; 0 when none is kept."""
        folded = self._folded.get(stream)
        return folded.seq if folded is not None else 0

    def take(self, stream: str, commit: Commit) -> bool:
        """Fold a commit that the log shows, if it is the next one of a state that is kept.

        Returns:
            Whether the state is now as the log was at that commit, or further on.
        """
        folded = self._folded.get(stream)
        if folded is None or folded.ahead or folded.lock.locked():
            return False
        if commit["seq"] == folded.seq + 1:
            folded.ahead = True  # until it is folded whole
            folded.seq, folded.ahead = self._fold(folded.state, [commit]), False
        return folded.seq >= int(commit["seq"])

    @asynccontextmanager
    async def holding(self, stream: str) -> AsyncIterator[Folded[S]]:
        """The stream's state, up to date; no command of this process moves it in the block."""
        folded = self._slot(stream)
        async with folded.lock:
            await self._refresh(stream, folded)
            yield folded

    async def handle(self, stream: str, command: Command, *, actor: str) -> Outcome:
        """Carry out one command; a repeated one is answered with its first result.

        Raises:
            CauldronError: the decision refused it.
        """
        outcome = await self.handle_many(stream, [command], actor=actor)
        if isinstance(outcome.events[0], CauldronError):
            raise outcome.events[0]
        return outcome

    async def handle_many(self, stream: str, commands: Sequence[Command], *, actor: str) -> Outcome:
        """Carry out commands in one commit, each decided after the one before.

        A command that is refused is set aside in ``events``; the others go on.

        Raises:
            Invalid: more than :data:`cauldron.domain.codec.MAX_COMMANDS` commands.
            StaleVersion: others were faster, again and again.
        """
        if len(commands) > codec.MAX_COMMANDS:
            raise Invalid(f"a commit holds {codec.MAX_COMMANDS} commands, not {len(commands)}")
        folded = self._slot(stream)
        async with folded.lock:
            for attempt in range(1, MAX_ATTEMPTS + 1):
                await self._refresh(stream, folded)
                try:
                    return await self._try(stream, folded, commands, actor)
                except StaleVersion:
                    log.info("append contended", stream=stream, attempt=attempt)
        raise StaleVersion(f"{stream} is contended", attempts=MAX_ATTEMPTS)

    async def _try(self, stream: str, folded: Folded[S], commands: Sequence[Command], actor: str) -> Outcome:
        ts = self._clock()
        results, caused, last = self._decide_all(folded, commands, ts)
        if not caused:
            known = await self._first_answers(commands, results)
            return Outcome(results, None, replayed=known == len(commands))
        keys = list(dict.fromkeys(commands[c].key for c, _ in caused))
        place = {key: i for i, key in enumerate(keys)}
        events = [(place[commands[c].key], event) for c, event in caused]
        commit = codec.commit_document(stream, folded.seq + 1, keys=keys, events=events, actor=actor, ts=ts)
        try:
            await self.streams.append(commit)
        except Duplicate as seen:
            return await self._again(stream, folded, commands, actor, set(seen.details["keys"]))
        for event in last:
            self._decider.evolve(folded.state, event, ts=ts)
        folded.seq, folded.ahead = folded.seq + 1, False
        if any(not result or isinstance(result, CauldronError) for result in results):
            await self._first_answers(commands, results)
        return Outcome(results, commit)

    def _decide_all(
        self, folded: Folded[S], commands: Sequence[Command], ts: int
    ) -> tuple[list[Result], list[tuple[int, Event]], list[Event]]:
        """Results, (command, event) pairs, and the last events: folded only once they are committed.

        So a command on its own never touches the state before it is durable.
        """
        results: list[Result] = []
        caused: list[tuple[int, Event]] = []
        pending: list[Event] = []
        first: dict[str, int] = {}
        for index, command in enumerate(commands):
            if command.key in first:
                results.append(results[first[command.key]])
                continue
            for event in pending:
                folded.ahead = True
                self._decider.evolve(folded.state, event, ts=ts)
            pending = []
            try:
                pending = self._decider.decide(folded.state, command)
            except CauldronError as refusal:
                results.append(refusal)
                continue
            first[command.key] = index
            caused += [(index, event) for event in pending]
            results.append(pending)
        return results, caused, pending

    async def _first_answers(self, commands: Sequence[Command], results: list[Result]) -> int:
        """Put first results in place of empty and refused ones; returns how many were repeated."""
        unsure = [i for i, r in enumerate(results) if not r or isinstance(r, CauldronError)]
        earlier = await self.streams.find_commands([commands[i].key for i in unsure])
        known = [i for i in unsure if commands[i].key in earlier]
        for index in known:
            key = commands[index].key
            results[index] = first_answer(earlier[key], key)
        return len(known)

    async def _again(
        self, stream: str, folded: Folded[S], commands: Sequence[Command], actor: str, known: set[str]
    ) -> Outcome:
        """Some keys are recorded already: answer those, carry out the rest."""
        await self._refresh(stream, folded)
        rest = [command for command in commands if command.key not in known]
        outcome = await self._try(stream, folded, rest, actor) if rest else Outcome([])
        fresh, merged = iter(outcome.events), list[Result]()
        for command in commands:
            merged.append([] if command.key in known else next(fresh))
        await self._first_answers(commands, merged)
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

    async def _refresh(self, stream: str, folded: Folded[S]) -> None:
        """Fold what is new; a state that ran ahead is replaced by a fresh fold, all at once."""
        state, seq = (self._decider.initial(), 0) if folded.ahead else (folded.state, folded.seq)
        async for page in self.streams.read(stream, after=seq, whole=self._decider.whole):
            before, folded.ahead = folded.ahead, True  # until the page is folded whole
            seq = self._fold(state, page)
            folded.ahead = before
            if not before:
                folded.seq = seq
        folded.state, folded.seq, folded.ahead = state, seq, False

    def _fold(self, state: S, page: list[Commit]) -> int:
        if self._decider.fold is not None:
            return self._decider.fold(state, page)
        for commit in page:
            for event in commit["events"]:
                self._decider.evolve(state, Event(event["type"], event["data"]), ts=commit["ts"])
        return int(page[-1]["seq"])
