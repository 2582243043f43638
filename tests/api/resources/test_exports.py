"""Exports over HTTP: durable jobs, cancelled and taken up again; archives that can be resumed."""

import asyncio
import io
import zipfile
from pathlib import Path
from typing import Any

import pytest

from cauldron.adapters.directory import Directory
from cauldron.services.verifying import verify
from tests.api.resources.desk import Desk, Desks


async def approved(desk: Desk, supply: int = 8) -> str:
    cook = await desk.made(supply, output=await desk.picture())
    await desk.studio.reviewing.review(cook, "approve", pieces=None, actor="ann")
    return cook


async def at(desk: Desk, export: str, *states: str) -> dict[str, Any]:
    async with asyncio.timeout(40):
        while True:
            doc = (await desk.client.get(f"/api/v1/exports/{export}")).json()
            if doc["status"] in states:
                return doc
            await asyncio.sleep(0.05)


def test_an_export_is_carried_out_and_downloaded_in_pieces(desks: Desks, tmp_path: Path, run: Any):
    async def story() -> None:
        desk = await desks.open()
        cook = await approved(desk)
        key = {"Idempotency-Key": "once"}
        asked = await desk.client.post(f"/api/v1/cooks/{cook}/exports", json={"to": "drop"}, headers=key)
        assert (asked.status_code, asked.json()["status"]) == (202, "queued")
        export = asked.json()["exportId"]
        early = await desk.client.get(f"/api/v1/exports/{export}/download")
        assert early.status_code == 409
        again = await desk.client.post(f"/api/v1/cooks/{cook}/exports", json={"to": "drop"})
        assert (again.status_code, again.json()["details"]["export"]) == (409, export)
        async with desk.studio.running():
            done = await at(desk, export, "done", "failed")
        assert done["status"] == "done", done
        assert (done["pieces"], done["written"], done["total"]) == (8, 8, 8)
        path = f"/api/v1/exports/{export}/download"
        whole = await desk.client.get(path)
        assert len(whole.content) == done["archiveBytes"] == int(whole.headers["content-length"])
        with zipfile.ZipFile(io.BytesIO(whole.content)) as archive:
            assert archive.testzip() is None
            archive.extractall(tmp_path / "out")
        report = await verify(Directory(tmp_path / "out"))
        assert (report.ok, report.pieces) == (True, 8)
        half = len(whole.content) // 2
        tag = whole.headers["etag"]
        rest = await desk.client.get(path, headers={"Range": f"bytes={half}-", "If-Range": tag})
        assert rest.status_code == 206
        assert whole.content[:half] + rest.content == whole.content
        listed = (await desk.client.get(f"/api/v1/exports?cookId={cook}")).json()["items"]
        assert [each["exportId"] for each in listed] == [export]
        [record] = await desk.studio.store.get("exports", [export])
        assert (record["to"], record["pieces"]) == ("drop", 8)
        assert str(desks.home) not in asked.text + str(listed)

    run(story(), timeout_s=90)


def test_an_export_goes_on_after_its_worker_is_gone(desks: Desks, run: Any):
    async def story() -> None:
        desk = await desks.open(lease_ms=400)
        cook = await approved(desk, 40)
        asked = await desk.client.post(f"/api/v1/cooks/{cook}/exports")
        export = asked.json()["exportId"]
        jobs = desk.studio.workshop.export_queue
        from cauldron.persistence.jobs import Lease

        claimed = await jobs.claim(Lease(id="x", worker="dead"), limit=1, now=desk.studio.clock())
        assert [job["_id"] for job in claimed] == [export]
        other = await desks.open(lease_ms=400)
        async with other.studio.running():
            done = await at(desk, export, "done", "failed")
        assert (done["status"], done["pieces"]) == ("done", 40)

    run(story(), timeout_s=90)


def test_an_export_is_cancelled_before_it_begins(desks: Desks, run: Any):
    async def story() -> None:
        desk = await desks.open()
        cook = await approved(desk)
        export = (await desk.client.post(f"/api/v1/cooks/{cook}/exports")).json()["exportId"]
        for _ in range(2):
            answer = await desk.client.post(f"/api/v1/exports/{export}/cancel")
            assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
        async with desk.studio.running():
            await asyncio.sleep(0.3)
        assert (await desk.client.get(f"/api/v1/exports/{export}")).json()["status"] == "cancelled"
        assert not list((desks.home / "exports").rglob("*.png"))

    run(story(), timeout_s=90)


def test_a_running_export_stops_when_it_is_cancelled(desks: Desks, run: Any):
    async def story() -> None:
        desk = await desks.open()
        cook = await approved(desk)
        job = (await desk.client.post(f"/api/v1/cooks/{cook}/exports", json={"to": "big"})).json()
        folder = desks.home / "exports/local/big"
        started = asyncio.Event()

        class Slow(Directory):
            async def ensure(self, files: Any) -> Any:
                started.set()
                await asyncio.sleep(0.2)
                return await super().ensure(files)

        executor = desk.studio.workshop.exporter.executor
        executor.target, executor.tell_every_s = Slow, 0.05
        async with desk.studio.running():
            await asyncio.wait_for(started.wait(), 20)
            await desk.client.post(f"/api/v1/exports/{job['exportId']}/cancel")
            ended = await at(desk, job["exportId"], "cancelled", "done", "failed")
        assert ended["status"] == "cancelled", ended
        assert not (folder / "manifest.json").exists()

    run(story(), timeout_s=90)


def test_what_cannot_be_exported_says_why(desks: Desks, run: Any):
    async def story() -> None:
        desk = await desks.open()
        cook = await desk.made(3)
        said = await desk.client.post(f"/api/v1/cooks/{cook}/exports")
        assert (said.status_code, said.json()["code"]) == (409, "not_exportable")
        assert "no piece is approved" in said.json()["detail"]
        await desk.client.post(f"/api/v1/pieces/{cook}.1/approve")
        said = await desk.client.post(f"/api/v1/cooks/{cook}/exports")
        assert (said.status_code, said.json()["code"]) == (409, "not_exportable")
        assert "2 pieces wait for review" in said.json()["detail"]
        asked = await desk.client.post(f"/api/v1/cooks/{cook}/exports", json={"partial": True})
        assert asked.status_code == 202, asked.text
        await desk.client.post(f"/api/v1/pieces/{cook}.1/reset")  # before anybody has begun it
        async with desk.studio.running():
            ended = await at(desk, asked.json()["exportId"], "failed", "done")
        assert ended["error"]["code"] == "not_exportable"
        [job] = await desk.studio.store.get("export_jobs", [ended["exportId"]])
        assert job["attempt"] == 1, "what is refused is not tried again"

    run(story(), timeout_s=90)


@pytest.mark.parametrize(
    "name", ["../up", "/etc", ".hidden", "a/b", "a\\b", "a b", "x" * 101, "nul\u0000", "é"]
)
def test_a_name_leads_nowhere_else(name: str, desks: Desks, run: Any):
    async def story() -> None:
        desk = await desks.open()
        cook = await desk.cook(2)
        answer = await desk.client.post(f"/api/v1/cooks/{cook}/exports", json={"to": name})
        assert answer.status_code == 422, answer.text

    run(story())


def test_exports_belong_to_their_account_also_by_name(desks: Desks, run: Any):
    async def story() -> None:
        ann, bob = await desks.open("ann@example.com"), await desks.open("bob")
        mine, theirs = await approved(ann, 2), await approved(bob, 3)
        body = {"to": "same"}
        one = (await ann.client.post(f"/api/v1/cooks/{mine}/exports", json=body)).json()["exportId"]
        two = (await bob.client.post(f"/api/v1/cooks/{theirs}/exports", json=body)).json()["exportId"]
        for path in ("", "/download"):
            assert (await bob.client.get(f"/api/v1/exports/{one}{path}")).status_code == 404
        assert (await bob.client.post(f"/api/v1/exports/{one}/cancel")).status_code == 404
        assert (await bob.client.post(f"/api/v1/cooks/{mine}/exports")).status_code == 404
        async with ann.studio.running():
            assert (await at(ann, one, "done", "failed"))["pieces"] == 2
            assert (await at(bob, two, "done", "failed"))["pieces"] == 3
        assert [e["exportId"] for e in (await bob.client.get("/api/v1/exports")).json()["items"]] == [two]

    run(story(), timeout_s=90)


def test_a_later_export_of_the_name_takes_the_place(desks: Desks, run: Any):
    async def story() -> None:
        desk = await desks.open()
        cook = await approved(desk, 3)
        found = []
        async with desk.studio.running():
            for _ in range(2):
                asked = await desk.client.post(f"/api/v1/cooks/{cook}/exports", json={"to": "drop"})
                found.append(asked.json()["exportId"])
                await at(desk, found[-1], "done", "failed")
        answers = [await desk.client.get(f"/api/v1/exports/{each}/download") for each in found]
        assert [answer.status_code for answer in answers] == [409, 200]

    run(story(), timeout_s=90)
