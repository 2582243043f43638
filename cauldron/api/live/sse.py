"""Server-sent events: ``GET /api/v1/cooks/:id/stream``, ``…/casts/:id/stream``, ``/api/v1/events``.

Raw ASGI: the server takes bytes for a client that has gone without a word, so both ends
are watched here. What is sent is made once for all clients at the same point.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import structlog
from starlette.requests import Request
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from cauldron.api.access import principal_of, studio_of
from cauldron.api.live.connection import abort_of, keep_little, when_gone
from cauldron.api.live.direct import DirectStream, chunk
from cauldron.api.live.tails import TAIL
from cauldron.api.live.topics import SEPARATOR, check_owned, last_ids, named, parse_topics
from cauldron.domain.errors import CauldronError
from cauldron.domain.identity import Principal
from cauldron.services.feed_readers import News, Over, Reader
from cauldron.services.feed_rings import Batch, Cursor
from cauldron.services.feeds import Feeds

log = structlog.get_logger("cauldron.live")
RETRY_MS = 2000
MAX_ID_BYTES = 2048
HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
    (b"referrer-policy", b"no-referrer"),
]
HEARTBEAT = b": still here\n\n"
FIRST = f"retry: {RETRY_MS}\n\n".encode()


class EventStream:
    """One endpoint; ``kind`` is the kind of the topic in its path, or empty for ``?topics=``."""

    def __init__(self, kind: str = "") -> None:
        self._kind = kind

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, until the client goes or may not go on."""
        request = Request(scope, receive)
        studio, who = studio_of(request), principal_of(request)
        who.need("read")
        if self._kind:
            topics = [named(f"{self._kind}:{request.path_params['id']}", who)]
        else:
            topics = parse_topics(request.query_params.get("topics"), who)
        await check_owned(studio, topics, who)
        await stream(request, send, topics=topics, who=who)


async def stream(request: Request, send: Send, *, topics: Sequence[str], who: Principal) -> None:
    """Answer with events of topics that ``who`` may read, until the client goes or may not go on."""
    studio, scope = studio_of(request), request.scope
    given = request.headers.get("last-event-id") or request.query_params.get("lastEventId") or ""
    ids = last_ids(given[:MAX_ID_BYTES], len(topics))
    reader = studio.feeds.admit(who)
    try:
        reader.abort = abort_of(scope)
        for name, last_id in zip(topics, ids, strict=True):
            reader.add(await studio.feeds.topic(name), last_id)
        keep_little(scope)
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        noticed = when_gone(scope, partial(reader.end, "left"))
    except BaseException:
        studio.feeds.leave(reader)
        raise
    tail = _Tail(studio.feeds, reader, scope, noticed)
    if TAIL in scope["state"]:
        scope["state"][TAIL] = tail
    else:
        await tail(request.receive, send)


@dataclass(frozen=True, slots=True)
class _Tail:
    """The events, until the end: straight to the connection, or through the server."""

    feeds: Feeds
    reader: Reader
    scope: Scope
    noticed: bool  # whether the server tells that the client has gone; else a task watches

    async def __call__(self, receive: Receive, send: Send) -> None:
        leave = partial(self.feeds.leave, self.reader)
        direct = DirectStream(
            self.reader, render=_chunk, goodbye=_goodbye, heartbeat=chunk(HEARTBEAT), leave=leave
        )
        if self.scope["method"] == "GET" and direct.take_over(self.scope, FIRST):
            return
        watching = None if self.noticed else asyncio.create_task(_end_with_client(receive, self.reader))
        try:
            await _pump(self.reader, send)
        finally:
            leave()
            if watching is not None:
                watching.cancel()


async def _end_with_client(receive: Receive, reader: Reader) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    reader.end("left")


async def _pump(reader: Reader, send: Send) -> None:
    now = asyncio.get_running_loop().time
    data, more = FIRST, True
    while True:
        reader.sending_since = now()
        await send({"type": "http.response.body", "body": data, "more_body": more})
        reader.sending_since, reader.spoke_at = None, now()
        if not more:
            return
        try:
            news = await reader.news()
            data = _bytes(news, reader.cursors) if news else HEARTBEAT
        except Over as over:
            if over.reason == "left":
                return
            data, more = _goodbye(over.reason), False
        except CauldronError as failure:  # the store is away: the client comes back and goes on
            log.warning("stream ended", code=failure.code, account=reader.who.account)
            data, more = _goodbye("unavailable"), False


def _bytes(news: News, cursors: Sequence[Cursor]) -> bytes:
    """What the client is sent. For a single topic it is the same for all readers at one point."""
    if len(cursors) == 1:
        [(_, batch)] = news
        data = batch.rendered.get("sse")
        if data is None:
            data = batch.rendered["sse"] = _rendered(batch)
        return data
    return b"".join(_rendered_among(batch, cursor, cursors) for cursor, batch in news)


def _chunk(news: News, cursors: Sequence[Cursor]) -> bytes:
    """The same as a part of a chunked answer."""
    if len(cursors) != 1:
        return chunk(_bytes(news, cursors))
    rendered = news[0][1].rendered
    data = rendered.get("chunk")
    if data is None:
        data = rendered["chunk"] = chunk(_bytes(news, cursors))
    return data


def _rendered(batch: Batch) -> bytes:
    return b"".join(
        [b"id: %b\nevent: %b\ndata: %b\n\n" % (e.id, e.type.encode(), e.json) for e in batch.entries]
        + [b"event: %b\ndata: %b\n\n" % (a.type.encode(), a.json) for a in batch.asides]
    )


def _rendered_among(batch: Batch, own: Cursor, cursors: Sequence[Cursor]) -> bytes:
    """The same under ids that say how far each of several topics has come.

    The other cursors may have taken more already than was sent; see :meth:`Reader.news`.
    """
    parts = []
    for entry in batch.entries:
        ids = SEPARATOR.encode().join(entry.id if c is own else c.sent for c in cursors)
        parts.append(b"id: %b\nevent: %b\ndata: %b\n\n" % (ids, entry.type.encode(), entry.json))
    if batch.entries:
        own.sent = batch.entries[-1].id
    parts += [b"event: %b\ndata: %b\n\n" % (a.type.encode(), a.json) for a in batch.asides]
    return b"".join(parts)


def _goodbye(reason: str) -> bytes:
    return b'event: goodbye\ndata: {"type":"goodbye","payload":{"reason":"%b"}}\n\n' % reason.encode()


ROUTES: Sequence[BaseRoute] = (
    Route("/api/v1/cooks/{id}/stream", EventStream("cook"), methods=["GET"], name="cook stream"),
    Route("/api/v1/casts/{id}/stream", EventStream("cast"), methods=["GET"], name="cast stream"),
    Route("/api/v1/events", EventStream(), methods=["GET"], name="event stream"),
)
