"""Callbacks end to end: signed, delivered once, tried again, given up; whoever dies in between."""

import asyncio
import base64
import hashlib
import hmac
import json
import signal
import subprocess
import sys
from typing import Any

import pytest

from cauldron.adapters.webhook_sender import CheckedSender
from cauldron.persistence.tables import DELIVERIES
from tests.api.resources.desk import DOCUMENT, Desk, Desks
from tests.api.resources.receiver import receiving

TEMPLATE: dict[str, Any] = {"tool": "text.template", "inputs": {"template": "good morning"}}
LISTED = {"callback_hosts": ["127.0.0.1"]}


async def told(desk: Desk, run_id: str, *states: str) -> dict[str, Any]:
    async with asyncio.timeout(30):
        while True:
            items = (await desk.client.get(f"/api/v1/callbacks/deliveries?runId={run_id}")).json()["items"]
            if items and items[0]["status"] in states:
                return items[0]
            await asyncio.sleep(0.02)


async def cast(desk: Desk, url: str) -> str:
    answer = await desk.client.post("/api/v1/casts", json=TEMPLATE | {"callbackUrl": url})
    assert answer.status_code == 202, answer.text
    return answer.json()["castId"]


def test_the_end_of_a_cast_is_told_once_and_signed(desks: Desks, run: Any):
    async def story() -> None:
        desk = await desks.open(**LISTED)
        secret = (await desk.client.post("/api/v1/callbacks/secret")).json()["secret"]
        async with receiving() as receiver, desk.studio.running():
            other = await desks.open(**LISTED)
            async with other.studio.running():
                run_id = await cast(desk, receiver.url)
                delivery = await told(desk, run_id, "sent")
                await asyncio.sleep(0.3)
        assert len(receiver.got) == 1
        [got] = receiver.got
        assert got.path == "/hook?token=1"
        assert got.headers["host"] == f"127.0.0.1:{receiver.port}"
        assert got.headers["webhook-id"] == delivery["deliveryId"]
        signed = f"{got.headers['webhook-id']}.{got.headers['webhook-timestamp']}.".encode() + got.body
        key = base64.b64decode(secret.removeprefix("whsec_"))
        wanted = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        assert got.headers["webhook-signature"] == f"v1,{wanted}"
        body = json.loads(got.body)
        assert (body["type"], body["data"]["castId"]) == ("cast.completed", run_id)
        assert body["data"]["outputs"] == {"text": "good morning"}
        assert (delivery["attempts"], delivery["answer"]) == (1, 204)
        step = (await desk.client.get(f"/api/v1/casts/{run_id}")).json()["steps"][0]
        assert (step["notificationPlatform"], step["deliveryStatus"], step["deliveryAttempts"]) == (
            "webhook", "sent", 1,
        )  # fmt: skip
        assert step["deliveryTimestamp"] == delivery["deliveredAt"]

    run(story(), timeout_s=90)


def test_a_secret_is_shown_once_and_the_old_one_signs_for_a_day(desks: Desks, run: Any):
    async def story() -> None:
        desk, client = (d := await desks.open(**LISTED)), d.client
        assert (await client.get("/api/v1/callbacks/secret")).json() == {"createdAt": None}
        one = (await client.post("/api/v1/callbacks/secret")).json()
        two = (await client.post("/api/v1/callbacks/secret")).json()
        assert one["secret"] != two["secret"]
        shown = await client.get("/api/v1/callbacks/secret")
        assert "whsec" not in shown.text
        service = desk.studio.workshop.webhook_secrets
        assert await service.current("local") == [two["secret"], one["secret"]]
        service.clock = lambda: desk.studio.clock() + 25 * 3_600_000
        assert await service.current("local") == [two["secret"]]

    run(story())


@pytest.mark.parametrize("manner", [500, 404, "redirect", "silent", "junk", "slow"])
def test_what_is_not_accepted_is_tried_again_under_the_same_id(manner: int | str, desks: Desks, run: Any):
    async def story() -> None:
        desk = await desks.open(**LISTED)
        workshop = desk.studio.workshop
        workshop.sender = CheckedSender(workshop.gate.admits_text, time_s=0.4)
        now = desk.studio.clock
        async with receiving(manner) as receiver, desk.studio.running():
            run_id = await cast(desk, receiver.url)
            first = await told(desk, run_id, "pending", "sending")
            async with asyncio.timeout(20):
                while not (first := await told(desk, run_id, "pending"))["attempts"]:
                    await asyncio.sleep(0.02)
            assert first["error"]
            receiver.manner = 200
            workshop.callbacks.clock = lambda: now() + 10_000
            second = await told(desk, run_id, "sent")
        assert second["attempts"] == 2
        assert len({got.headers["webhook-id"] for got in receiver.got}) == 1
        assert {got.path for got in receiver.got} == {"/hook?token=1"}

    run(story(), timeout_s=90)


def test_an_endless_answer_is_not_listened_to(desks: Desks, run: Any):
    async def story() -> None:
        desk = await desks.open(**LISTED)
        async with receiving("endless") as receiver, desk.studio.running():
            delivery = await told(desk, await cast(desk, receiver.url), "sent")
        assert delivery["answer"] == 200

    run(story(), timeout_s=90)


def test_who_says_gone_or_never_answers_is_given_up_and_can_be_tried_by_hand(desks: Desks, run: Any):
    async def story() -> None:
        desk = await desks.open(**LISTED)
        async with receiving(410) as receiver, desk.studio.running():
            run_id = await cast(desk, receiver.url)
            gone = await told(desk, run_id, "dropped")
            assert (gone["attempts"], gone["answer"]) == (1, 410)
            step = (await desk.client.get(f"/api/v1/casts/{run_id}")).json()["steps"][0]
            assert (step["deliveryStatus"], step["deliveryError"]) == ("dropped", "answered with 410")
            receiver.manner = 200
            path = f"/api/v1/callbacks/deliveries/{gone['deliveryId']}"
            assert (await desk.client.post(f"{path}/retry")).status_code == 202
            await told(desk, run_id, "sent")
            assert (await desk.client.post(f"{path}/retry")).status_code == 409

    run(story(), timeout_s=90)


def test_an_address_that_was_open_and_is_closed_now_is_not_gone_to(desks: Desks, run: Any):
    async def story() -> None:
        desk = await desks.open(**LISTED)
        async with receiving() as receiver:
            run_id = await cast(desk, receiver.url)
            later = await desks.open()
            async with later.studio.running():
                dropped = await told(desk, run_id, "dropped")
        assert dropped["error"].startswith("refused")
        assert receiver.got == []

    run(story(), timeout_s=90)


def test_a_cook_tells_that_it_is_done_and_its_outputs_say_so(desks: Desks, run: Any):
    async def story() -> None:
        desk = await desks.open(**LISTED)
        record = await desk.studio.collecting.save(DOCUMENT | {"supply": 600}, caller=desk.studio.caller)
        async with receiving() as receiver:
            path = f"/api/v1/collections/{record['_id']}/cook/start"
            inside = await desk.client.post(path, json={"callbackUrl": "http://10.0.0.1/"})
            assert inside.status_code == 422
            started = await desk.client.post(path, json={"callbackUrl": receiver.url})
            cook = started.json()["cookId"]
            await desk.end(cook, range(1, 601))
            async with desk.studio.running():
                await told(desk, cook, "sent")
        body = json.loads(receiver.got[0].body)
        assert (body["type"], body["data"]["generated"]) == ("cook.completed", 600)
        where = {"cookId": cook}
        outputs = await desk.studio.store.find("generationOutputs", where, order=("cookId",))
        assert len(outputs) == 600
        assert {o["deliveryStatus"] for o in outputs} == {"sent"}

    run(story(), timeout_s=90)


SENDER = """
import asyncio, sys
from pathlib import Path
from cauldron.bootstrap import Studio
from cauldron.config import Settings

async def main():
    studio = Studio(Settings(home=Path(sys.argv[1]), database_url=sys.argv[2], callback_hosts=["127.0.0.1"]))
    await studio.open()
    print("ready", flush=True)
    while True:
        await studio.workshop.callbacks.send_due()
        await asyncio.sleep(0.01)

asyncio.run(main())
"""


def test_a_sender_that_is_killed_leaves_its_message_to_another(desks: Desks, run: Any):
    async def story() -> None:
        desk = await desks.open(**LISTED)
        async with receiving("slow") as receiver:
            run_id = await cast(desk, receiver.url)
            await desk.client.post(f"/api/v1/casts/{run_id}/cancel")
            [commit] = [
                c
                for c in await desk.studio.casting.casts.streams.tail(f"cast:{run_id}", after=0)
                if c["events"][0]["type"] == "CastCancelled"
            ]
            await desk.studio.workshop.callbacks.absorb(commit)
            await desk.studio.workshop.callbacks.absorb(commit)
            command = [sys.executable, "-c", SENDER, str(desks.home), desks.database_url]
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
            async with asyncio.timeout(30):
                while not receiver.got:
                    await asyncio.sleep(0.02)
            process.send_signal(signal.SIGKILL)
            process.wait()
            [doc] = await desk.studio.store.find(DELIVERIES, {"owner": "local"}, order=("-createdAt",))
            assert doc["status"] == "sending"
            receiver.manner = 204
            callbacks, now = desk.studio.workshop.callbacks, desk.studio.clock
            assert await callbacks.send_due() == 0
            callbacks.clock = lambda: now() + 61_000
            assert await callbacks.send_due() == 1
        sent = await told(desk, run_id, "sent")
        assert sent["attempts"] == 2
        assert len({got.headers["webhook-id"] for got in receiver.got}) == 1
        assert json.loads(receiver.got[0].body)["type"] == "cast.cancelled"

    run(story(), timeout_s=90)


def test_deliveries_of_others_are_not_there(desks: Desks, run: Any):
    async def story() -> None:
        ann, bob = await desks.open("ann", **LISTED), await desks.open("bob", **LISTED)
        async with receiving() as receiver, ann.studio.running():
            run_id = await cast(ann, receiver.url)
            delivery = await told(ann, run_id, "sent")
        path = f"/api/v1/callbacks/deliveries/{delivery['deliveryId']}"
        assert (await bob.client.get(path)).status_code == 404
        assert (await bob.client.post(f"{path}/retry")).status_code == 404
        assert (await bob.client.get("/api/v1/callbacks/deliveries")).json()["items"] == []

    run(story(), timeout_s=90)
