"""``cauldron migrate engine``: a cook goes on where its store went, and a killed copy is resumed."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from cauldron.adapters.mongo import MongoStore
from cauldron.adapters.sqlite import SqliteStore
from cauldron.bootstrap import studio
from cauldron.cli import migrate
from cauldron.cli.move import EVERY_TABLE
from cauldron.cli.session import store_file
from cauldron.config import load_settings
from cauldron.ports.storage import Insert
from cauldron.services import moving
from cauldron.services.cooking import Wanted
from tests import s3server
from tests.flows.commands import Shell, kill_all, make_collection
from tests.mongod import database

DOCUMENTS = 12_000


def test_a_half_made_cook_moves_up_and_is_finished_there(
    home: Path, tmp_path: Path, run: Any, monkeypatch: pytest.MonkeyPatch
):
    """Paused in the middle on SQLite and a folder; finished on MongoDB and S3 as if nothing had happened."""
    for name, value in s3server.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    source, blobs = make_collection(tmp_path / "art", supply=60, size=256), s3server.shared().url()

    async def half() -> str:
        async with studio(load_settings(home=home)) as app:
            record = await store_file(app, source)
            started = await app.cooking.start(Wanted(collection_id=record["_id"]), caller=app.caller)
            async with app.running():
                while (await app.cooking.status(started.cook_id))["generationCount"] < 15:
                    await asyncio.sleep(0.02)
                await app.cooking.pause(started.cook_id, actor="local")
            return started.cook_id

    async def rest(cook_id: str) -> dict[str, Any]:
        async with studio(load_settings(home=tmp_path / "new", database_url=url, blobs_url=blobs)) as app:
            assert (await app.cooking.status(cook_id))["state"] == "Paused"
            await app.cooking.resume(cook_id, actor="local")
            async with app.running():
                while (status := await app.cooking.status(cook_id))["state"] != "Completed":
                    await asyncio.sleep(0.05)
            return status

    cook_id = run(half(), timeout_s=120)
    shell = Shell(home=home, cwd=tmp_path)
    with database() as url:
        there = ("migrate", "engine", "--from", f"sqlite:///{home}/cauldron.db", "--to", url)
        moved = shell.ok(*there, "--blobs", blobs)
        assert moved["ok"]
        assert moved["blobs"]["copied"] == moved["blobs"]["blobs"] > 15
        status = run(rest(cook_id), timeout_s=120)
        assert (status["generationCount"], status["failed"]) == (60, 0)
        shut = shell("cook", "list")
        assert (shut.code, "was moved to mongodb://" in shut.err) == (1, True)
        later = shell(*there, "--verify")
        assert (later.code, "DIFFER" in later.out) == (1, True)  # it went on there


def test_a_copy_killed_half_way_is_resumed_to_the_same_result(home: Path, tmp_path: Path, run: Any):
    async def fill() -> None:
        store = SqliteStore(home / "cauldron.db", synchronous="NORMAL")
        await store.open(EVERY_TABLE)
        docs = [
            {"_id": f"{n:06d}", "cookId": f"c{n % 7}", "number": n, "state": "generated", "pad": "x" * 400}
            for n in range(DOCUMENTS)
        ]
        await store.commit([Insert("pieces", doc) for doc in docs], atomic=False)
        await store.close()

    async def copied(url: str) -> int:
        store = MongoStore(url)
        await store.open(EVERY_TABLE)
        [point] = await store.get(moving.MOVES, ["table:pieces"])
        await store.close()
        return point["documents"] if point is not None else 0

    run(fill())
    shell = Shell(home=home, cwd=tmp_path)
    with database() as url:
        words = ("migrate", "engine", "--from", f"sqlite:///{home}/cauldron.db", "--to", url)
        killed = shell.start(*words)
        end = time.monotonic() + 60
        while not run(copied(url)) and time.monotonic() < end:
            time.sleep(0.01)
        kill_all(killed)
        before = run(copied(url))
        assert 0 < before < DOCUMENTS
        assert shell("cook", "list").code == 1  # shut meanwhile
        found = shell.ok(*words)
        assert found["ok"]
        assert found["tables"]["pieces"]["documents"] == DOCUMENTS
        assert found["tables"]["pieces"]["copied"] <= DOCUMENTS - before


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--from", "sqlite:///gone.db", "--to", "mongodb://h/db"), 1, "no such file"),
        (("--from", "sqlite:///gone.db"), 2, "--to: say where to"),
        (
            ("--from", "mongodb://a:hush@h/db", "--to", "mongodb://b:hush@h/db"),
            2,
            "--to: is the store it comes from",
        ),
        (("--from", "redis://:hush@h", "--to", "mongodb://h/db"), 2, "--from: must be sqlite"),
    ],
)
def test_a_move_that_cannot_be_is_said_and_coded(
    home: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], code: int, said: str
):
    monkeypatch.chdir(home)
    app = typer.Typer()
    migrate.register(app)
    answer = CliRunner().invoke(app, ["migrate", "engine", *words])
    assert (answer.exit_code, said in answer.stderr) == (code, True), answer.output
    assert "hush" not in answer.output
