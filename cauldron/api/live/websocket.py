"""``/api/v1/ws``: the messages of the event streams, and commands that are answered by their id.

A client sends ``{id, command, payload}`` and gets ``{id, ok, result}`` or ``{id, ok, problem}``;
messages of topics come as ``{topic, eventId, type, ts, payload}`` in between. Browsers are
let in by cookie and Origin, others by the header of a key or by a first message
``authenticate``: nothing secret stands in the address.
"""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Sequence

import orjson
import structlog
from pydantic import Field
from starlette.requests import HTTPConnection
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.types import Message, Receive, Scope, Send

from cauldron.api.access import studio_of
from cauldron.api.live.commands import Order, Result, carry_out, parsed
from cauldron.api.live.connection import MAX_MESSAGE_BYTES, abort_of, keep_little
from cauldron.api.live.topics import MAX_TOPICS, check_owned, named
from cauldron.api.problems import problem_of
from cauldron.api.shapes import Body
from cauldron.bootstrap import Studio
from cauldron.domain.errors import CauldronError, Invalid, Refused
from cauldron.domain.identity import Principal, Throttled, Unauthenticated
from cauldron.services.feed_readers import Over, Reader
from cauldron.services.feed_rings import Batch

log = structlog.get_logger("cauldron.live")
WHO_WITHIN_S = 10.0
ANSWERS = 256  # kept to answer a repeated command as before
RATE_PER_S, BURST = 20.0, 40.0  # commands
FAULTS = 20  # malformed messages and excess, then the connection ends
POLICY, TOO_BIG, LATER = 1008, 1009, 1013  # close codes of RFC 6455


class SubscribeBody(Body):
    """A topic to read, from after the id of a message if one is known."""

    topic: str = Field(max_length=200)
    last_event_id: str | None = Field(default=None, max_length=200)


class TopicBody(Body):
    """A topic to read no longer."""

    topic: str = Field(max_length=200)


class KeyBody(Body):
    """Who opens the connection."""

    key: str = Field(max_length=300)


class Closed(Exception):
    """The connection is to end with this code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


class CommandSocket:
    """The endpoint."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection until either side ends it."""
        connection = HTTPConnection(scope)
        await receive()
        await send({"type": "websocket.accept"})
        session = Session(studio_of(connection), receive, send)
        code, reason = 1000, ""
        try:
            await session.run(scope)
        except Closed as end:
            code, reason = end.code, end.reason
        if session.open:
            with contextlib.suppress(Exception):  # it has gone meanwhile
                await send({"type": "websocket.close", "code": code, "reason": reason})


class Session:
    """One connection: what it reads, what it was answered."""

    def __init__(self, studio: Studio, receive: Receive, send: Send) -> None:
        self.studio = studio
        self.open = True
        self._receive, self._send = receive, send
        self._sending = asyncio.Lock()
        self._answers: OrderedDict[str, bytes] = OrderedDict()
        self._allowance, self._counted_at, self._faults = BURST, _now(), 0

    async def run(self, scope: Scope) -> None:
        """Find out who it is, then hear and tell side by side."""
        who = scope["state"].get("principal") or await self._authenticated()
        who.need("read")
        try:
            with self.studio.feeds.reading(who, via="websocket") as reader:
                reader.abort = abort_of(scope)
                keep_little(scope)
                tasks = [asyncio.create_task(each) for each in (self._hear(reader), self._tell(reader))]
                try:
                    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for task in tasks:
                        task.cancel()
                    done = await asyncio.gather(*tasks, return_exceptions=True)
                for outcome in done:
                    if isinstance(outcome, Closed):
                        raise outcome
        except Throttled as full:
            raise Closed(LATER, full.code) from full

    async def _authenticated(self) -> Principal:
        """Who the first message says it is."""
        try:
            async with asyncio.timeout(WHO_WITHIN_S):
                message = await self._message()
        except TimeoutError:
            raise Closed(POLICY, "nobody said who they are") from None
        name, command, payload = _parts(message)
        try:
            if command != "authenticate":
                raise Unauthenticated("the first message must be authenticate, with a key")
            body = parsed(KeyBody, payload)
            who = await self.studio.identity.authenticator.key(body.key)
        except CauldronError as error:
            await self._say(_refusal(name, error))
            raise Closed(POLICY, error.code) from error
        await self._say(orjson.dumps({"id": name, "ok": True, "result": {"account": who.account}}))
        return who

    async def _message(self) -> object:
        """The next message as JSON."""
        message: Message = await self._receive()
        if message["type"] != "websocket.receive":
            self.open = False
            raise Closed(1000, "left")
        data = message.get("text")
        raw = data.encode() if data is not None else message.get("bytes") or b""
        if len(raw) > MAX_MESSAGE_BYTES:
            raise Closed(TOO_BIG, "message too large")
        try:
            return orjson.loads(raw)
        except ValueError:
            return None

    async def _hear(self, reader: Reader) -> None:
        while True:
            message = await self._message()
            name, command, payload = _parts(message)
            known = self._answers.get(name)
            if known is None:
                known = await self._answer(reader, name, command, payload)
            await self._say(known, reader)
            if self._faults > FAULTS:
                raise Closed(POLICY, "too much that is malformed or too fast")

    async def _answer(self, reader: Reader, name: str, command: str, payload: object) -> bytes:
        """Carry out one command; what is answered under an id stays the answer."""
        try:
            if not name:
                raise Invalid("a message is {id, command, payload}; id has 1 to 100 characters")
            self._count(reader.who)
            result = await self._carry_out(reader, Order(self.studio, reader.who, command, name), payload)
        except CauldronError as error:
            self._faults += isinstance(error, Invalid | Throttled)
            return _refusal(name, error)
        except Exception as error:
            log.error("command failed", command=command, error=type(error).__name__, exc_info=error)
            broken = {"code": "internal_error", "status": 500, "detail": "something broke here"}
            return orjson.dumps({"id": name, "ok": False, "problem": broken})
        answer = orjson.dumps({"id": name, "ok": True, "result": result})
        self._answers[name] = answer
        if len(self._answers) > ANSWERS:
            self._answers.popitem(last=False)
        return answer

    async def _carry_out(self, reader: Reader, order: Order, payload: object) -> Result:
        if order.name == "subscribe":
            return await self._subscribe(reader, parsed(SubscribeBody, payload))
        if order.name == "unsubscribe":
            topic = named(parsed(TopicBody, payload).topic, reader.who)
            return {"topic": topic, "removed": reader.remove(topic, left_at=_now())}
        return await carry_out(order, payload)

    async def _subscribe(self, reader: Reader, body: SubscribeBody) -> Result:
        topic = named(body.topic, reader.who)
        await check_owned(self.studio, [topic], reader.who)
        if len(reader.cursors) >= MAX_TOPICS:
            raise Refused(f"at most {MAX_TOPICS} topics on one connection", limit=MAX_TOPICS)
        if any(cursor.topic.name == topic for cursor in reader.cursors):
            raise Refused(f"{topic} is read already", topic=topic)
        reader.add(await self.studio.feeds.topic(topic), body.last_event_id)
        return {"topic": topic}

    def _count(self, who: Principal) -> None:
        """Raises Throttled: commands come too fast."""
        now = _now()
        self._allowance = min(BURST, self._allowance + (now - self._counted_at) * RATE_PER_S)
        self._counted_at = now
        if self._allowance < 1:
            raise Throttled(f"at most {RATE_PER_S:g} commands a second", retry_after_s=1)
        self._allowance -= 1
        most = 0 if who.via == "local" else self.studio.settings.rate_limit_writes
        if most:
            left = self.studio.limiter.take(f"write:{who.credential or who.user}", limit=most, window_s=60)
            if not left.allowed:
                raise Throttled("too many commands", retry_after_s=left.reset_s)

    async def _tell(self, reader: Reader) -> None:
        while True:
            try:
                news = await reader.news()
            except Over as over:
                goodbye = {"type": "goodbye", "payload": {"reason": over.reason}}
                await self._say(orjson.dumps(goodbye), reader)
                raise Closed(1001, over.reason) from over
            except CauldronError as failure:  # the store is away
                log.warning("stream ended", code=failure.code, account=reader.who.account)
                raise Closed(LATER, "unavailable") from failure
            for _, batch in news:
                for text in _frames(batch):
                    await self._say(text, reader)
            reader.spoke_at = _now()

    async def _say(self, text: bytes, reader: Reader | None = None) -> None:
        async with self._sending:
            if reader is not None:
                reader.sending_since = _now()
            await self._send({"type": "websocket.send", "text": text.decode()})
            if reader is not None:
                reader.sending_since = None


def _frames(batch: Batch) -> Sequence[bytes]:
    frames = [b'{"eventId":"%b",%b' % (entry.id, entry.json[1:]) for entry in batch.entries]
    return frames + [aside.json for aside in batch.asides]


def _parts(message: object) -> tuple[str, str, object]:
    """Id, command and payload; empty ones where the message is malformed."""
    if not isinstance(message, dict) or set(message) - {"id", "command", "payload"}:
        return "", "", None
    name, command = message.get("id"), message.get("command")
    if not isinstance(name, str) or not isinstance(command, str) or not 1 <= len(name) <= 100:
        return "", "", None
    return name, command, message.get("payload", {})


def _refusal(name: str, error: CauldronError) -> bytes:
    body = orjson.loads(problem_of(error).body)
    return orjson.dumps({"id": name or None, "ok": False, "problem": body})


def _now() -> float:
    return asyncio.get_running_loop().time()


ROUTES: Sequence[BaseRoute] = (WebSocketRoute("/api/v1/ws", CommandSocket(), name="socket"),)
