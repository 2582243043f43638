"""Live events: a stream that goes on after every loss, from the last event that was received."""

import json
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any

from cauldron.client.asking import ATTEMPTS, BUSY, pause_s, problem_in
from cauldron.client.errors import Broken, Throttled, Unreachable
from cauldron.client.flows import Answer, Ask, Emit, Lost, Open, Read, Step, Wait

SILENCE_S = 45.0  # the server sends something every 15 s
LOSSES = 12  # of a stream in a row: about half a minute, in which a server may restart
MOST_EVENT_BYTES = 16 * 1024 * 1024
BEGINNINGS = ("snapshot", "reset")


@dataclass(frozen=True, slots=True)
class Event:
    """One message of a stream.

    ``type`` is ``snapshot``, ``reset`` (forget what came before: ``payload`` is the state now),
    ``generationUpdate``, ``cook.paused``, …; ``id`` is where a later stream may go on.
    """

    type: str
    topic: str
    ts: str
    payload: Mapping[str, Any]
    id: str

    @property
    def is_beginning(self) -> bool:
        """Whether the payload is the whole state, in place of all that came before."""
        return self.type in BEGINNINGS


class Parser:
    """Bytes of ``text/event-stream`` to events; only whole ones count."""

    def __init__(self, last_id: str = "") -> None:
        self.last_id = last_id
        self.retry_ms = 2000
        self._rest = b""

    def feed(self, data: bytes) -> list[Event]:
        """The events that are whole now."""
        text = (self._rest + data).replace(b"\r\n", b"\n")
        *blocks, self._rest = text.split(b"\n\n")
        if len(self._rest) > MOST_EVENT_BYTES:
            raise Lost("an event without end")
        return [event for block in blocks if (event := self._event(block)) is not None]

    def _event(self, block: bytes) -> Event | None:
        fields: dict[str, str] = {}
        for line in block.decode("utf-8").split("\n"):
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        if fields.get("retry", "").isdigit():
            self.retry_ms = int(fields["retry"])
        self.last_id = fields.get("id", self.last_id)
        if "data" not in fields:
            return None
        body = json.loads(fields["data"])
        return Event(
            type=body["type"],
            topic=body.get("topic", ""),
            ts=body.get("ts", ""),
            payload=body["payload"],
            id=self.last_id,
        )


class Following:
    """One stream over as many connections as it takes."""

    def __init__(self, ask: Ask, *, last_id: str = "") -> None:
        self._ask = ask
        self._parser = Parser(last_id)
        self._open = False
        self._failures = 0

    def next(self) -> Generator[Step, Any, list[Event]]:
        """The next events, at least one.

        Raises:
            Refused: the stream is not there, or may not be read. Unreachable: the server is gone.
        """
        while True:
            try:
                if not self._open:
                    yield from self._connect()
                data = yield Read()
                if data:
                    self._failures = 0
                    events = [event for event in self._parser.feed(data) if event.type != "goodbye"]
                    if events:
                        return events
                    continue
            except Lost as lost:
                self._failures += 1
                if self._failures >= LOSSES:
                    raise Unreachable(f"the stream was lost {LOSSES} times: {lost}") from lost
            yield from self._again()

    def _again(self) -> Generator[Step, Any, None]:
        self._open = False
        self._parser = Parser(self._parser.last_id)  # half an event is sent again whole
        yield Wait(max(pause_s(max(1, self._failures)), self._parser.retry_ms / 1000 * 0.1))

    def _connect(self) -> Generator[Step, Any, None]:
        headers = {"Accept": "text/event-stream"}
        if self._parser.last_id:
            headers["Last-Event-ID"] = self._parser.last_id
        ask = Ask(method="GET", path=self._ask.path, query=self._ask.query, headers=headers)
        for attempt in range(1, ATTEMPTS + 1):
            answer: Answer = yield Open(ask, SILENCE_S)
            if answer.status == 200:
                self._open = True
                return
            problem = problem_in(answer)
            passing = isinstance(problem, Throttled | Broken) and problem.status in BUSY
            if not passing or attempt == ATTEMPTS:
                raise problem
            yield Wait(problem.retry_after_s or pause_s(attempt))


def follow(ask: Ask, *, last_id: str = "") -> Generator[Step, Any, Event]:
    """Emits every event of a stream; it never ends by itself."""
    following = Following(ask, last_id=last_id)
    while True:
        for event in (yield from following.next()):
            yield Emit(event)
