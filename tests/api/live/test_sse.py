"""Streams over a real server: nothing is missing, nothing comes twice, whatever happens to connections."""

import asyncio
import random
from collections.abc import Callable
from contextlib import AsyncExitStack, contextmanager

import httpx2
import pytest

from cauldron.services import feed_resuming
from tests import mongod
from tests.api.live.live_world import (
    Event,
    Parser,
    Wire,
    buffering,
    expected,
    open_studio,
    owner_key,
    record,
    review,
    serving,
    start_cook,
    stop,
    until,
)

CUTS = [pytest.param(40, id="40 cuts"), pytest.param(500, id="500 cuts", marks=pytest.mark.slow)]
ENGINES = ("sqlite", "mongo")


@contextmanager
def database(engine: str):
    """The URL of a fresh database, empty for the file in the home."""
    if engine == "sqlite":
        yield ""
    else:
        with mongod.database() as url:
            yield url


async def write_log(studio, *, commits: int, rng: random.Random, pause_s: float = 0.0) -> None:
    """A busy cook: pieces end, some break, some are reviewed."""
    piece = 1
    for _ in range(commits):
        size = rng.choice((1, 1, 2, 3, 12))
        await record(studio, "c1", *range(piece, piece + size))
        piece += size
        if rng.random() < 0.2:
            await review(studio, "c1", rng.choice(("approve", "reject")), piece - 1)
        await asyncio.sleep(pause_s * rng.random())


class Reading:
    """A client that reads a stream over many connections, as an EventSource does."""

    def __init__(self, port: int, path: str = "/api/v1/cooks/c1/stream") -> None:
        self.port, self.path = port, path
        self.events: list[Event] = []
        self.last_id = ""
        self.connections = 0

    async def connect(self, *, until: Callable[[], bool], cut_after: int = 1 << 40) -> None:
        """One connection: it ends when ``until`` holds, at the server's end, or cut after so many bytes."""
        wire = await Wire.open(self.port, self.path, last_id=self.last_id)
        self.connections += 1
        assert wire.status == 200, wire.status
        parser = Parser(self.last_id)
        try:
            while cut_after > 0 and not until():
                try:
                    async with asyncio.timeout(0.5):
                        data = await wire.read(min(cut_after, 1 << 16))
                except TimeoutError:
                    continue
                if not data:
                    return
                cut_after -= len(data)
                self.events += parser.feed(data)
        finally:
            self.last_id = parser.last_id
            wire.close()

    @property
    def facts(self) -> list[tuple[str, object]]:
        """What has been told of the log."""
        kept = [event for event in self.events if event.own_id and event.type != "snapshot"]
        return [(event.type, event.data["payload"]) for event in kept]

    def has(self, count: int) -> Callable[[], bool]:
        return lambda: len(self.facts) >= count

    def saw(self, kind: str) -> Callable[[], bool]:
        return lambda: any(event.type == kind for event in self.events)


@pytest.mark.parametrize("cuts", CUTS)
@pytest.mark.parametrize("engine", ENGINES)
def test_a_stream_cut_at_random_bytes_tells_the_log_without_gap_or_double(run, home, engine, cuts):
    cut_often(run, home, engine=engine, cuts=cuts)


@pytest.mark.parametrize("cuts", CUTS)
def test_a_stream_cut_behind_a_proxy_that_buffers_tells_the_log_too(run, home, cuts):
    cut_often(run, home, engine="sqlite", cuts=cuts, hold_bytes=700)


def cut_often(run, home, *, engine: str, cuts: int, hold_bytes: int = 0) -> None:
    """Read a busy cook over so many connections, each cut after a random number of bytes."""
    rng = random.Random(cuts)

    async def story():
        with database(engine) as url:
            async with AsyncExitStack() as stack:
                studio = await stack.enter_async_context(open_studio(home, url))
                port = await stack.enter_async_context(serving(studio))
                if hold_bytes:  # what a proxy holds back comes with more, or with the next heartbeat
                    studio.feeds.heartbeat_s = 0.05
                    port = await stack.enter_async_context(buffering(port, hold_bytes=hold_bytes))
                await start_cook(studio)
                reading = Reading(port)
                await reading.connect(until=reading.saw("snapshot"))
                writing = asyncio.create_task(
                    write_log(studio, commits=3 * cuts, rng=random.Random(1), pause_s=0.02)
                )
                for _ in range(cuts):
                    cut = rng.choice((rng.randrange(1, 400), rng.randrange(400, 6000)))
                    await reading.connect(until=lambda: False, cut_after=cut)
                await writing
                log = (await expected(studio, "c1"))[2:]  # after CookStarted and PiecesQueued
                await reading.connect(until=reading.has(len(log)))
                assert reading.facts == log
                assert not reading.saw("reset")()
                assert reading.connections >= cuts + 2

    run(story(), timeout_s=60 if cuts < 100 else 600)


def test_a_stream_begins_with_retry_a_snapshot_and_what_follows(run, home):
    async def story():
        async with open_studio(home) as studio, serving(studio) as port:
            await start_cook(studio)
            await record(studio, "c1", 1, 2)
            wire = await Wire.open(port, "/api/v1/cooks/c1/stream")
            parser = Parser()
            [first] = await events_of(wire, parser, 1)
            assert bytes(parser.raw).startswith(b"retry: 2000\n\n")
            assert (first.type, first.data["payload"]["status"]["generationCount"]) == ("snapshot", 2)
            assert first.data["payload"]["cookId"] == "c1" and first.data["payload"]["castId"] is None
            assert wire.headers["cache-control"] == "no-store"
            assert wire.headers["x-accel-buffering"] == "no"
            assert "content-encoding" not in wire.headers
            await record(studio, "c1", 3)
            [piece] = await events_of(wire, parser, 1)
            assert (piece.type, piece.data["payload"]["pieceId"]) == ("generationUpdate", "c1.3")
            [counters] = await events_of(wire, parser, 1)
            assert (counters.type, counters.own_id) == ("generationProgress", False)
            assert counters.data["payload"]["generationCount"] == 3
            wire.close()

    run(story())


async def events_of(wire: Wire, parser: Parser, count: int, within_s: float = 5.0) -> list[Event]:
    """The next ``count`` events of a connection."""
    found: list[Event] = []
    async with asyncio.timeout(within_s):
        while len(found) < count:
            data = await wire.read()
            assert data, "the server ended the stream"
            found += parser.feed(data)
    return found


@pytest.mark.parametrize("engine", ENGINES)
def test_a_long_absence_is_replayed_from_the_log(run, home, engine):
    """More than a ring holds happens meanwhile; the stream goes on as if it had been there."""

    async def story():
        with database(engine) as url:
            async with open_studio(home, url) as studio, serving(studio) as port:
                await start_cook(studio)
                reading = Reading(port)
                await reading.connect(until=reading.saw("snapshot"))
                for first in range(1, 3001, 100):
                    await record(studio, "c1", *range(first, first + 100))
                await reading.connect(until=reading.has(3000))
                assert reading.facts == (await expected(studio, "c1"))[2:]
                assert not reading.saw("reset")()

    run(story())


def test_after_a_restart_of_the_server_a_stream_goes_on(run, home):
    async def story():
        async with AsyncExitStack() as stack:
            studio = await stack.enter_async_context(open_studio(home))
            async with serving(studio) as port:
                await start_cook(studio)
                reading = Reading(port)
                await reading.connect(until=reading.saw("snapshot"))
                await record(studio, "c1", 1, 2, 3)
                await reading.connect(until=reading.has(3))
                reading.events = [event for event in reading.events if event.own_id][:-1]
                reading.last_id = reading.events[-1].id  # in the middle of a commit
        async with open_studio(home) as studio:
            for piece in range(4, 40):
                await record(studio, "c1", piece)
            async with serving(studio) as reading.port:
                await record(studio, "c1", 40)
                await reading.connect(until=reading.has(40))
                assert reading.facts == (await expected(studio, "c1"))[2:]
                assert not reading.saw("reset")()

    run(story())


def test_shutting_down_says_goodbye_to_every_stream(run, home):
    async def story():
        async with open_studio(home) as studio:
            async with serving(studio) as port:
                await start_cook(studio)
                wire, parser = await Wire.open(port, "/api/v1/cooks/c1/stream"), Parser()
                await events_of(wire, parser, 1)
            [last] = await events_of(wire, parser, 1)
            assert (last.type, last.data["payload"]) == ("goodbye", {"reason": "shutdown"})
            assert await wire.read() == b""

    run(story())


ANOTHER_HISTORY = {
    "of another instant": lambda seq, check: f"1.{check + 1:x}.{seq}.0",
    "beyond the end of the log": lambda seq, check: f"1.{check:x}.{seq + 7}.0",
    "of another version": lambda seq, check: f"0.{check:x}.{seq}.0",
    "not one of ours": lambda seq, check: "42",
    "with more parts than the commit has": lambda seq, check: f"1.{check:x}.{seq}.77",
    "hostile": lambda seq, check: "1." + "9" * 500 + ".1.1",
}


@pytest.mark.parametrize("change", ANOTHER_HISTORY)
def test_an_id_of_another_history_begins_anew_with_a_reset(run, home, change):
    async def story():
        async with open_studio(home) as studio, serving(studio) as port:
            await start_cook(studio)
            await record(studio, "c1", 1)
            reading = Reading(port)
            await reading.connect(until=reading.saw("snapshot"))
            _, check, seq, _ = reading.last_id.split(".")
            reading.last_id = ANOTHER_HISTORY[change](int(seq), int(check, 16))
            reading.events.clear()
            await record(studio, "c1", 2)
            await reading.connect(until=reading.saw("reset"))
            [event] = reading.events
            assert event.data["payload"]["status"]["generationCount"] == 2
            await record(studio, "c1", 3)
            await reading.connect(until=reading.has(2))
            assert [body["piece"] for _, body in reading.facts[1:]] == [3]

    run(story())


def test_too_much_to_replay_is_a_reset_with_a_snapshot(run, home, monkeypatch):
    monkeypatch.setattr(feed_resuming, "MAX_REPLAY", 50)

    async def story():
        async with open_studio(home) as studio, serving(studio) as port:
            await start_cook(studio)
            reading = Reading(port)
            await reading.connect(until=reading.saw("snapshot"))
            for piece in range(1, 200):
                await record(studio, "c1", piece)
        async with open_studio(home) as studio, serving(studio) as reading.port:
            await reading.connect(until=reading.saw("reset"))
            reset = next(event for event in reading.events if event.type == "reset")
            assert reset.data["payload"]["status"]["generationCount"] == 199
            await record(studio, "c1", 200)
            await reading.connect(until=lambda: reading.events[-1].type == "generationUpdate")
            assert reading.events[-1].data["payload"]["piece"] == 200

    run(story())


def test_another_account_meets_the_same_answer_as_for_what_is_missing(run, home):
    async def story():
        async with open_studio(home) as studio, serving(studio) as port:
            await start_cook(studio, "hers", owner="somebody")
            bodies = []
            for cook in ("hers", "none"):
                wire = await Wire.open(port, f"/api/v1/cooks/{cook}/stream")
                assert wire.status == 404
                bodies.append((await wire.read()).replace(cook.encode(), b"*"))
            assert bodies[0] == bodies[1]
            wire = await Wire.open(port, "/api/v1/events?topics=account,cook:hers")
            assert wire.status == 404

    run(story())


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("topics=cook:c1,account", 200),
        ("topics=" + ",".join(f"cook:{n}" for n in range(21)), 422),
        ("topics=account:somebody", 422),
        ("topics=cook:../etc", 422),
        ("topics=cook:", 422),
        ("topics=%00", 422),
    ],
)
def test_topics_are_checked(run, home, query, status):
    async def story():
        async with open_studio(home) as studio, serving(studio) as port:
            await start_cook(studio)
            wire = await Wire.open(port, f"/api/v1/events?{query}")
            assert wire.status == status
            wire.close()

    run(story())


def test_several_topics_share_one_stream_and_one_id(run, home):
    """Cut between topics, every cook's log is told once; the account hears what is not about pieces."""

    async def story():
        async with open_studio(home) as studio, serving(studio) as port:
            for cook in ("c1", "c2", "c3"):
                await start_cook(studio, cook)
            reading = Reading(port, "/api/v1/events?topics=cook:c1,cook:c2,cook:c3,account")
            await reading.connect(
                until=lambda: sum(event.type == "snapshot" for event in reading.events) == 4
            )
            rng = random.Random(7)
            for piece in range(1, 61):
                await record(studio, rng.choice(("c1", "c2", "c3")), piece)
                if piece % 4 == 0:
                    await reading.connect(until=lambda: False, cut_after=rng.randrange(1, 5000))
            logs = {cook: (await expected(studio, cook))[2:] for cook in ("c1", "c2", "c3")}
            await reading.connect(until=reading.has(60))
            for cook, log in logs.items():
                assert [fact for fact in reading.facts if fact[1]["cookId"] == cook] == log
            assert not reading.saw("reset")()

    run(story())


def test_the_account_hears_of_its_cooks_but_not_of_every_piece(run, home):
    async def story():
        async with open_studio(home) as studio, serving(studio) as port:
            await start_cook(studio, "hers", owner="somebody")
            reading = Reading(port, "/api/v1/events")
            await reading.connect(until=reading.saw("snapshot"))
            await start_cook(studio)
            await record(studio, "c1", 1, 2)
            await record(studio, "hers", 1)
            await review(studio, "c1", "approve", 1)
            await reading.connect(until=reading.has(3))
            assert [kind for kind, _ in reading.facts] == ["cook.started", "cook.queued", "cook.reviewed"]
            await stop(studio, "hers")
            await stop(studio, "c1", "enough")
            await reading.connect(until=reading.has(4))
            assert reading.facts[-1][1]["reason"] == "enough"
            assert {body["cookId"] for _, body in reading.facts} == {"c1"}

    run(story())


def test_an_account_may_open_so_many_streams(run, home):
    async def story():
        async with open_studio(home) as studio, serving(studio) as port:
            studio.feeds.max_per_account = 2
            await start_cook(studio)
            wires = [await Wire.open(port, "/api/v1/cooks/c1/stream") for _ in range(2)]
            third = await Wire.open(port, "/api/v1/cooks/c1/stream")
            assert third.status == 429
            wires[0].close()
            await until(lambda: len(studio.feeds.readers) == 1)
            again = await Wire.open(port, "/api/v1/cooks/c1/stream")
            assert again.status == 200
            again.close()
            wires[1].close()

    run(story())


def test_who_asks_for_the_head_of_a_stream_gets_just_that(run, home):
    async def story():
        async with open_studio(home) as studio, serving(studio) as port:
            await start_cook(studio)
            async with httpx2.AsyncClient(timeout=5) as client:
                answer = await client.head(f"http://127.0.0.1:{port}/api/v1/cooks/c1/stream")
            assert answer.status_code == 200
            assert answer.headers["content-type"].startswith("text/event-stream")
            assert answer.content == b""
            await until(lambda: not studio.feeds.readers)

    run(story())


def test_a_client_that_goes_at_any_moment_leaves_nothing_behind(run, home):
    async def story():
        async with open_studio(home) as studio, serving(studio) as port:
            studio.feeds.heartbeat_s = 0.3  # uvicorn reads no further than a second request: a write notices
            await start_cook(studio)
            request = b"GET /api/v1/cooks/c1/stream HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
            for n in range(40):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(request * (1 + n % 2))  # some ask for a second stream before they have the first
                await asyncio.sleep(n % 8 * 0.001)
                writer.transport.abort()
            await until(lambda: not studio.feeds.readers)
            assert (await Wire.open(port, "/api/v1/cooks/c1/stream")).status == 200

    run(story())


def test_the_metrics_count_open_streams(run, home):
    async def story():
        async with open_studio(home) as studio, serving(studio) as port:
            await start_cook(studio)
            wires = [await Wire.open(port, "/api/v1/cooks/c1/stream") for _ in range(3)]
            scrape = await Wire.open(port, "/metrics")
            assert b"cauldron_sse_clients 3.0" in await scrape.read(1 << 20)
            for wire in wires:
                wire.close()

    run(story())


def test_a_quiet_stream_is_kept_alive_with_comments(run, home):
    async def story():
        async with open_studio(home) as studio, serving(studio) as port:
            studio.feeds.heartbeat_s = 0.3
            await start_cook(studio)
            wire, parser = await Wire.open(port, "/api/v1/cooks/c1/stream"), Parser()
            async with asyncio.timeout(5):
                while parser.comments < 3:
                    parser.feed(await wire.read())
            wire.close()
            await until(lambda: not studio.feeds.readers)

    run(story())


def test_a_client_that_does_not_read_is_dropped_and_costs_little(run, home):
    """It may hold a kernel's buffer and ours; the others go on."""

    async def story():
        async with open_studio(home) as studio, serving(studio) as port:
            studio.feeds.stalled_s = 1.0
            await start_cook(studio)
            stalled = await Wire.open(port, "/api/v1/cooks/c1/stream")
            stalled.reader._transport.pause_reading()  # the kernel's buffers fill up, then ours
            reading = Reading(port)
            await reading.connect(until=reading.saw("snapshot"))
            following = asyncio.create_task(reading.connect(until=reading.has(9000)))
            held = 0
            for first in range(1, 9001, 100):
                await record(studio, "c1", *range(first, first + 100))
                held = max(held, sum(_unsent(reader) for reader in studio.feeds.readers))
            await following
            assert len(reading.facts) == 9000
            await until(lambda: not studio.feeds.readers)
            assert held < 1_000_000
            stalled.close()

    run(story())


def _unsent(reader) -> int:
    return reader.abort.__self__.get_write_buffer_size() if reader.abort else 0


def test_a_revoked_key_ends_its_streams_within_ten_seconds(run, home):
    async def story():
        async with open_studio(home) as studio, serving(studio) as port:
            who, key_id, text = await owner_key(studio)
            await start_cook(studio)
            bearer = {"Authorization": f"Bearer {text}"}
            assert (await Wire.open(port, "/api/v1/cooks/c1/stream")).status == 401
            wire = await Wire.open(port, "/api/v1/cooks/c1/stream", headers=bearer)
            parser = Parser()
            await events_of(wire, parser, 1)
            await studio.identity.keys.revoke(who, key_id)
            [last] = await events_of(wire, parser, 1, within_s=10)
            assert (last.type, last.data["payload"]) == ("goodbye", {"reason": "revoked"})

    run(story())
