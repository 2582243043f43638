"""The Python client against a real server: the whole way round, blocking or awaited, and what it survives."""

import asyncio
import json
import re
import socket
import threading
from collections.abc import Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from cauldron import client as api
from cauldron.client.asking import exchange
from cauldron.client.events import Parser
from cauldron.client.flows import Answer, Ask, Wait
from cauldron.services.replaying import InFlight
from tests.api.live.live_world import open_studio, owner_key, record, review, serving, start_cook, stop
from tests.services.test_cooking import COLLECTION

HOWTO = Path(__file__).parents[2] / "docs/howto/python-client.md"


@asynccontextmanager
async def house(home: Path, *, work: bool = True):
    """A studio, at work or not, behind a server: the studio, the server's address, an owner's key."""
    async with AsyncExitStack() as stack:
        studio = await stack.enter_async_context(open_studio(home))
        port = await stack.enter_async_context(serving(studio))
        if work:
            await stack.enter_async_context(studio.running())
        _, _, key = await owner_key(studio)
        yield studio, f"http://127.0.0.1:{port}", key


async def in_thread(work: Callable[[], Any]) -> Any:
    """What blocks runs beside the server's loop."""
    return await asyncio.to_thread(work)


def test_a_whole_collection_blocking(run, home):
    def story(url: str, key: str) -> None:
        with api.Client(url, key) as studio:
            assert studio.collections.validate(COLLECTION)["ok"]
            collection = studio.collections.create(COLLECTION)["collectionId"]
            assert [each["collectionId"] for each in studio.collections.list()] == [collection]
            assert studio.collections.count(collection)["combinations"] == 48
            cook = studio.cooks.start(collection, amount=12)["cookId"]
            status = studio.cooks.wait(cook)
            assert (status["state"], status["generationCount"]) == ("Completed", 12)
            pieces = list(studio.pieces.list(cook))
            assert [piece["number"] for piece in pieces] == list(range(1, 13))
            popped = studio.pieces.pop(cook, limit=3)
            assert studio.pieces.approve(popped[0]["pieceId"])["state"] == "approved"
            assert studio.pieces.reject(popped[1]["pieceId"], reason="dull")["reviewReason"] == "dull"
            rest = [(piece["pieceId"], "approve") for piece in pieces[2:]]
            assert all(result["status"] == 200 for result in studio.pieces.decide(rest))
            assert studio.cooks.get(cook)["status"]["cookId"] == cook
            assert [each["cookId"] for each in studio.cooks.list()] == [cook]
            assert any(row["type"] == "CookCompleted" for row in studio.cooks.events(cook))

    async def with_house():
        async with house(home) as (_, url, key):
            await in_thread(lambda: story(url, key))

    run(with_house())


def test_a_cast_and_an_upload_awaited(run, home):
    async def story():
        async with house(home) as (_, url, key), api.AsyncClient(url, key) as studio:
            started = await studio.casts.start(
                {"template": "Good morning"}, tool="text.template", key="only once"
            )
            again = await studio.casts.start(
                {"template": "Good morning"}, tool="text.template", key="only once"
            )
            assert started["castId"] == again["castId"]
            cast = await studio.casts.wait(started["castId"])
            assert cast["status"] == "completed"
            assert [each["castId"] async for each in studio.casts.list()] == [started["castId"]]
            picture = BytesIO()
            Image.new("RGB", (9, 7), "teal").save(picture, "PNG")
            kept = await studio.media.upload("teal.png", picture.getvalue(), mime="image/png")
            back = Image.open(BytesIO(await studio.media.get(kept["ref"])))
            assert (back.size, back.getpixel((0, 0))[:3]) == ((9, 7), (0, 128, 128))

    run(story())


KINDS = [
    (lambda s: s.cooks.status("none"), api.NotFound, "not_found"),
    (lambda s: s.collections.create({"cauldron": 1}), api.Invalid, "invalid_document"),
    (lambda s: s.casts.start({}), api.Invalid, None),
    (lambda s: s.pieces.approve("../x"), api.NotFound, None),
]


@pytest.mark.parametrize("case", range(len(KINDS)))
def test_a_problem_becomes_an_exception_that_carries_it(run, home, case):
    ask, kind, code = KINDS[case]

    async def story():
        async with house(home) as (_, url, key), api.AsyncClient(url, key) as studio:
            with pytest.raises(kind) as failed:
                await ask(studio)
            assert code is None or failed.value.code == code
            assert failed.value.problem["status"] == failed.value.status

    run(story())


def test_an_edit_of_a_changed_collection_and_a_bad_key(run, home):
    async def story():
        async with house(home) as (_, url, key):
            async with api.AsyncClient(url, key) as studio:
                made = await studio.collections.create(COLLECTION)
                mine = await studio.collections.get(made["collectionId"])
                changed = COLLECTION | {"supply": 20}
                await studio.collections.replace(made["collectionId"], changed, etag=mine["etag"])
                with pytest.raises(api.Changed):
                    await studio.collections.replace(made["collectionId"], changed, etag=mine["etag"])
            async with api.AsyncClient(url, key[:-3] + "xyz") as stranger:
                with pytest.raises(api.Unauthenticated):
                    await stranger.cooks.status("c")

    run(story())


class Cutting:
    """A proxy on loopback that cuts every connection after so many bytes of the answer."""

    def __init__(self, port: int, budget: Callable[[], int], *, hold: int = 1) -> None:
        self._target, self._budget, self._hold = port, budget, hold
        self.connections = 0

    async def __aenter__(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self._server.sockets[0].getsockname()[1]

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        there, back = await asyncio.open_connection("127.0.0.1", self._target)
        forward = asyncio.create_task(self._forward(reader, back))
        left, held = self._budget(), b""
        with suppress(OSError):
            while left > 0 and (data := await there.read(min(left, 1 << 14))):
                left -= len(data)
                held += data
                if len(held) >= self._hold or left <= 0:  # it buffers, as proxies do
                    writer.write(held)
                    await writer.drain()
                    held = b""
            writer.write(held)
        forward.cancel()
        writer.close()
        back.close()

    @staticmethod
    async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 14):
            writer.write(data)
            await writer.drain()


@pytest.mark.parametrize("hold", [1, 700], ids=["a proxy that cuts", "a proxy that cuts and buffers"])
def test_a_stream_survives_cuts_without_gap_or_double(run, home, hold):
    import random

    rng = random.Random(5)

    async def story():
        async with house(home, work=False) as (studio, url, key):
            port = int(url.rpartition(":")[2])
            await start_cook(studio)
            cutting = Cutting(port, lambda: rng.randrange(600, 4000), hold=hold)
            async with cutting as through, api.AsyncClient(f"http://127.0.0.1:{through}", key) as reader:
                seen: list[int] = []
                began = asyncio.Event()

                async def follow() -> None:
                    async for event in reader.cooks.stream("c1"):
                        assert event.type != "reset"
                        began.set()
                        if event.type == "generationUpdate":
                            seen.append(event.payload["piece"])
                        if event.type == "cook.stopped":
                            return

                following = asyncio.create_task(follow())
                await began.wait()
                for piece in range(1, 61):
                    await record(studio, "c1", piece)
                await stop(studio, "c1")
                # What a proxy holds back comes when there is more, or with the next heartbeat.
                studio.feeds.heartbeat_s = 0.05
                await asyncio.wait_for(following, 30)
                assert seen == list(range(1, 61))
                assert cutting.connections > 5

    run(story())


def test_a_lost_answer_does_not_make_a_second_cook(run, home):
    """The proxy swallows the first answer; the retry carries the same key."""

    async def story():
        async with house(home) as (studio, url, key):
            budgets = iter([10, 10])
            cutting = Cutting(int(url.rpartition(":")[2]), lambda: next(budgets, 1 << 30))
            async with cutting as through, api.AsyncClient(f"http://127.0.0.1:{through}", key) as client:
                direct = api.AsyncClient(url, key)
                collection = (await direct.collections.create(COLLECTION))["collectionId"]
                await direct.close()
                cook = await client.cooks.start(collection, amount=2)
                assert len(await studio.store.find("cooks", {})) == 1
                assert cook["cookId"]
            assert cutting.connections >= 3

    run(story())


def test_a_request_that_is_still_being_carried_out_is_waited_for():
    flow = exchange(Ask(method="POST", path="/x"))
    first = next(flow)
    busy = json.dumps({"status": 409, "code": InFlight.code, "detail": "wait"}).encode()
    assert isinstance(flow.send(Answer(409, {"content-type": "application/problem+json"}, busy)), Wait)
    assert flow.send(None).headers == first.headers
    with pytest.raises(StopIteration) as end:
        flow.send(Answer(201, {}, b"{}"))
    assert end.value.value.status == 201


@pytest.mark.parametrize("client", [api.Client, api.AsyncClient])
def test_an_address_or_a_key_that_cannot_be_one_is_told_at_once(client):
    for url, key in (("127.0.0.1:8420", "ck_x"), ("", None), ("http://x", "two words"), ("http://x", "ключ")):
        with pytest.raises(ValueError):
            client(url, key)


def test_a_key_from_a_file_or_an_empty_variable_will_do(run, home):
    async def story():
        async with house(home) as (_, url, key):
            async with api.AsyncClient(url, f"{key}\n") as client:
                assert [each async for each in client.collections.list()] == []
            async with api.AsyncClient(url, "") as client:
                with pytest.raises(api.Unauthenticated):
                    await client.cooks.status("c")

    run(story())


def test_a_server_that_is_gone_is_unreachable_not_endless(monkeypatch):
    monkeypatch.setattr("cauldron.client.asking.FIRST_WAIT_S", 0.01)
    monkeypatch.setattr("cauldron.client.asking.MOST_WAIT_S", 0.02)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with api.Client(f"http://127.0.0.1:{port}") as studio:
        with pytest.raises(api.Unreachable):
            studio.cooks.status("c")
        with pytest.raises(api.Unreachable):
            next(studio.cooks.stream("c"))


def test_a_reset_is_handed_on_as_a_beginning(run, home):
    async def story():
        async with house(home, work=False) as (studio, url, key), api.AsyncClient(url, key) as client:
            await start_cook(studio)
            stream = client.cooks.stream("c1", last_id="1.ff.99.0")
            first = await anext(stream)
            assert (first.type, first.is_beginning) == ("reset", True)
            assert first.payload["status"]["state"] == "Cooking"
            await review_after_a_piece(studio)
            kinds = [(await anext(stream)).type for _ in range(2)]
            assert kinds == ["generationUpdate", "cook.reviewed"]
            await stream.aclose()

    run(story())


async def review_after_a_piece(studio) -> None:
    await record(studio, "c1", 1)
    await review(studio, "c1", "approve", 1)


def test_leaving_a_blocking_stream_closes_its_connection(run, home):
    def watch(url: str, key: str) -> str:
        with api.Client(url, key) as studio:
            for event in studio.cooks.stream("c1"):
                return event.type
        return ""

    async def story():
        async with house(home, work=False) as (studio, url, key):
            await start_cook(studio)
            assert await in_thread(lambda: watch(url, key)) == "snapshot"
            async with asyncio.timeout(5):
                while studio.feeds.readers:
                    await asyncio.sleep(0.01)

    run(story())


def test_events_are_parsed_whole_however_they_are_cut():
    text = (
        b"retry: 900\n\n: hello\n\nid: 1.a.1.0\nevent: cook.paused\n"
        b'data: {"type":"cook.paused","topic":"cook:c","ts":"t","payload":{"n":"\xc3\xa9"}}\n\n'
        b'event: generationProgress\ndata: {"type":"generationProgress","payload":{}}\n\n'
    )
    for cut in range(len(text)):
        parser = Parser()
        events = parser.feed(text[:cut]) + parser.feed(text[cut:])
        assert [(e.type, e.id) for e in events] == [
            ("cook.paused", "1.a.1.0"),
            ("generationProgress", "1.a.1.0"),
        ]
        assert events[0].payload == {"n": "é"}
        assert parser.retry_ms == 900


def test_the_examples_of_the_guide_run(run, home, capsys):
    examples = re.findall(r"```python\n(.*?)```", HOWTO.read_text(encoding="utf-8"), re.DOTALL)
    assert len(examples) >= 3

    def play(url: str, key: str) -> None:
        names: dict[str, Any] = {"URL": url, "KEY": key, "COLLECTION": COLLECTION, "__name__": "guide"}
        for example in examples:
            exec(compile(example, str(HOWTO), "exec"), names)

    async def story():
        async with house(home) as (_, url, key):
            worker = threading.Thread(target=lambda: None)
            worker.start()
            await in_thread(lambda: play(url, key))

    run(story(), timeout_s=60)
    assert "Completed" in capsys.readouterr().out
