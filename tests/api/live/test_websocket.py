"""The WebSocket: messages of topics, commands answered by id, and everything a stranger may try."""

import asyncio
import random
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.api.live.live_world import expected, open_studio, owner_key, record, serving, start_cook
from tests.services.test_cooking import COLLECTION


class Client:
    """A connection that tells answers from messages."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.messages: list[dict[str, Any]] = []
        self._ids = self._seen = 0

    async def receive(self) -> dict[str, Any]:
        async with asyncio.timeout(5):
            return orjson.loads(await self.socket.recv())

    async def ask(self, command: str, payload: Any = None, *, name: str | None = None) -> dict[str, Any]:
        """The answer to a command; messages that come before it are kept."""
        self._ids += 1
        name = name or f"n{self._ids}"
        await self.socket.send(orjson.dumps({"id": name, "command": command, "payload": payload or {}}))
        while (message := await self.receive()).get("id") != name:
            self.messages.append(message)
        return message

    async def until(self, kind: str) -> dict[str, Any]:
        """The next message of a type; all messages are kept."""
        while True:
            if self._seen == len(self.messages):
                self.messages.append(await self.receive())
            self._seen += 1
            if self.messages[self._seen - 1]["type"] == kind:
                return self.messages[self._seen - 1]


@asynccontextmanager
async def opened(port: int, **more: Any):
    async with connect(f"ws://127.0.0.1:{port}/api/v1/ws", **({"max_queue": None} | more)) as socket:
        yield Client(socket)


def test_commands_are_carried_out_and_what_they_cause_is_told(run, home):
    """A whole cook over one connection: started, paused, resumed, stopped; pieces decided on."""

    async def story():
        async with open_studio(home) as studio, serving(studio) as port, opened(port) as client:
            collection = (await studio.collecting.save(COLLECTION, caller=studio.caller))["_id"]
            started = await client.ask("start", {"collectionId": collection, "amount": 4}, name="s")
            assert started["ok"]
            cook = started["result"]["cookId"]
            assert started["result"]["castId"] is None
            topic = {"topic": f"cook:{cook}"}
            assert (await client.ask("subscribe", topic))["ok"]
            assert (await client.until("snapshot"))["payload"]["cookId"] == cook
            paused = await client.ask("pause", {"cookId": cook, "reason": "tea"})
            assert paused["result"]["status"]["state"] == "Paused"
            assert (await client.until("cook.paused"))["payload"]["detail"] == "tea"
            await client.ask("resume", {"cookId": cook})
            async with studio.running():
                await client.until("cook.completed")
            made = [m["payload"]["pieceId"] for m in client.messages if m["type"] == "generationUpdate"]
            assert sorted(made) == [f"{cook}.{n}" for n in range(1, 5)]
            assert (await client.ask("approve", {"pieceId": made[0]}))["result"]["changed"]
            rejected = await client.ask("reject", {"pieceId": made[1], "reason": "dull"})
            assert rejected["result"]["changed"]
            told = (await client.until("cook.reviewed"))["payload"]
            while told["decision"] != "rejected":
                told = (await client.until("cook.reviewed"))["payload"]
            assert told["reason"] == "dull"
            assert (await client.ask("unsubscribe", topic))["result"]["removed"]
            assert not (await client.ask("unsubscribe", topic))["result"]["removed"]

    run(story())


def test_the_same_id_again_is_answered_with_the_first_answer(run, home):
    """On the same connection and, where a repetition would do harm, on another one."""

    async def story():
        async with open_studio(home) as studio, serving(studio) as port:
            collection = (await studio.collecting.save(COLLECTION, caller=studio.caller))["_id"]
            order = {"collectionId": collection, "amount": 2}
            async with opened(port) as client:
                first = await client.ask("start", order, name="once")
                assert await client.ask("start", order, name="once") == first
            async with studio.running():
                while (await studio.cooking.status(first["result"]["cookId"]))["state"] != "Completed":
                    await asyncio.sleep(0.02)
            async with opened(port) as client:
                again = await client.ask("start", order, name="once")
                assert again["result"]["cookId"] == first["result"]["cookId"]
                assert not again["result"]["fresh"]
            assert len(await studio.store.find("cooks", {})) == 1

    run(story())


REFUSED = {
    "unknown command": ("fly", {}, "invalid"),
    "a field that is not there": ("pause", {"cookId": "c1", "force": True}, "invalid_request"),
    "a number in words": ("start", {"collectionId": "k", "amount": "3"}, "invalid_request"),
    "true is no number": ("start", {"collectionId": "k", "amount": True}, "invalid_request"),
    "somebody else's cook": ("stop", {"cookId": "hers"}, "not_found"),
    "no such cook": ("stop", {"cookId": "none"}, "not_found"),
    "somebody else's topic": ("subscribe", {"topic": "cook:hers"}, "not_found"),
    "somebody else's account": ("subscribe", {"topic": "account:somebody"}, "invalid"),
    "no such piece": ("approve", {"pieceId": "c1.77"}, "not_found"),
    "a hostile name": ("approve", {"pieceId": "../../x\0"}, "not_found"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_is_answered_with_a_problem(run, home, case):
    command, payload, code = REFUSED[case]

    async def story():
        async with open_studio(home) as studio, serving(studio) as port, opened(port) as client:
            await start_cook(studio, "hers", owner="somebody")
            answer = await client.ask(command, payload)
            assert not answer["ok"]
            assert answer["problem"]["code"] == code
            assert (await client.ask("subscribe", {"topic": "account"}))["ok"]  # the connection lives on

    run(story())


def test_scopes_hold_as_they_do_on_routes(run, home):
    async def story():
        async with open_studio(home) as studio, serving(studio) as port:
            _, _, key = await owner_key(studio, "read")
            await start_cook(studio)
            async with opened(port, additional_headers={"Authorization": f"Bearer {key}"}) as client:
                answer = await client.ask("pause", {"cookId": "c1"})
                assert (answer["problem"]["status"], answer["problem"]["code"]) == (403, "forbidden")
                assert (await client.ask("subscribe", {"topic": "cook:c1"}))["ok"]

    run(story())


def test_a_key_may_come_with_the_first_message(run, home):
    async def story():
        async with open_studio(home) as studio, serving(studio) as port:
            _, _, key = await owner_key(studio)
            await start_cook(studio)
            async with opened(port) as client:
                assert (await client.ask("authenticate", {"key": key}))["ok"]
                assert (await client.ask("subscribe", {"topic": "cook:c1"}))["ok"]
            for wrong in ("pause", "authenticate"):
                async with opened(port) as client:
                    answer = await client.ask(wrong, {"key": "ck_" + "0" * 40})
                    assert answer["problem"]["status"] in (401, 422)
                    with pytest.raises(ConnectionClosed) as closed:
                        await client.receive()
                    assert closed.value.rcvd.code == 1008

    run(story())


def test_a_page_of_another_site_is_turned_away_at_the_door(run, home):
    async def story():
        async with open_studio(home) as studio, serving(studio) as port:
            with pytest.raises((InvalidStatus, ConnectionClosed)):
                async with opened(port, additional_headers={"Origin": "https://evil.example"}) as client:
                    await client.receive()
            own = f"http://127.0.0.1:{port}"
            async with opened(port, additional_headers={"Origin": own}) as client:
                assert (await client.ask("subscribe", {"topic": "account"}))["ok"]

    run(story())


def test_too_much_and_too_large_end_the_connection(run, home):
    async def story():
        async with open_studio(home) as studio, serving(studio) as port:
            async with opened(port) as client:
                with pytest.raises(ConnectionClosed) as closed:
                    await client.socket.send("x" * 70_000)
                    await client.receive()
                assert closed.value.rcvd.code == 1009
            async with opened(port) as client:
                codes = set()
                with pytest.raises(ConnectionClosed) as closed:
                    for n in range(200):
                        await client.socket.send(orjson.dumps({"id": f"{n}", "command": "pause"}))
                    while True:
                        codes.add((await client.receive())["problem"]["code"])
                assert closed.value.rcvd.code == 1008
            async with opened(port) as client:
                with pytest.raises(ConnectionClosed) as closed:
                    for n in range(100):
                        await client.socket.send(random.Random(n).randbytes(20))
                    while True:
                        assert (await client.receive())["ok"] is False
                assert closed.value.rcvd.code == 1008

    run(story())


def test_a_subscription_goes_on_from_an_id_and_tells_the_log_once(run, home):
    async def story():
        async with open_studio(home) as studio, serving(studio) as port:
            await start_cook(studio)
            last, facts = None, []
            rng, piece = random.Random(3), 1
            for round_ in range(12):
                async with opened(port) as client:
                    more = {} if last is None else {"lastEventId": last}
                    await client.ask("subscribe", {"topic": "cook:c1"} | more)
                    size = rng.randrange(1, 9)
                    await record(studio, "c1", *range(piece, piece + size))
                    piece += size
                    wanted = rng.randrange(1, size + 1) if round_ < 11 else 1 << 30
                    seen = client.messages
                    while wanted > 0 and len(facts) < piece - 1:
                        seen = seen or [await client.receive()]
                        message = seen.pop(0)
                        if "eventId" in message:
                            last = message["eventId"]
                        if message["type"] == "generationUpdate":
                            facts.append((message["type"], message["payload"]))
                            wanted -= 1
            assert facts == (await expected(studio, "c1"))[2:]

    run(story())


def test_a_revoked_key_ends_the_connection(run, home):
    async def story():
        async with open_studio(home) as studio, serving(studio) as port:
            who, key_id, key = await owner_key(studio)
            async with opened(port, additional_headers={"Authorization": f"Bearer {key}"}) as client:
                await client.ask("subscribe", {"topic": "account"})
                await client.until("snapshot")
                await studio.identity.keys.revoke(who, key_id)
                async with asyncio.timeout(10):
                    message = orjson.loads(await client.socket.recv())
                    assert message == {"type": "goodbye", "payload": {"reason": "revoked"}}
                    with pytest.raises(ConnectionClosed):
                        await client.socket.recv()

    run(story())


def test_a_client_that_does_not_read_is_dropped(run, home):
    async def story():
        async with open_studio(home) as studio, serving(studio) as port:
            studio.feeds.stalled_s = 1.0
            await start_cook(studio)
            async with opened(port, max_queue=1) as client:
                await client.ask("subscribe", {"topic": "cook:c1"})
                client.socket.transport.pause_reading()
                for first in range(1, 12_001, 100):
                    await record(studio, "c1", *range(first, first + 100))
                async with asyncio.timeout(10):
                    while studio.feeds.readers:
                        await asyncio.sleep(0.05)
                client.socket.transport.abort()

    run(story())
