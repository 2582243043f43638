"""The commands: rehearsing, writing, what was cooking being paused, and what is malformed."""

import json

import bson
import pytest
from typer.testing import CliRunner

from cauldron.cli import app as cli
from tests.legacy_world import World, write_bson

HATS = {"title": "Hat", "traits": [{"name": n, "prompt": f"a {n}"} for n in ("crown", "cap", "hood")]}
EYES = {"title": "Eyes", "traits": ["blue|blue eyes|0.5", "green|green eyes|0.2", "red"]}
KEY = 8_123_456_789_012


@pytest.fixture
def work(home):
    """Run a worker until nothing is queued."""

    def run():
        assert CliRunner().invoke(cli.app, ["worker", "--until-idle"]).exit_code == 0

    return run


@pytest.fixture
def call(home):
    """Run a command; returns (exit status, JSON on stdout)."""
    runner = CliRunner()

    def run(*words):
        done = runner.invoke(cli.app, [*words, "--json"])
        lines = done.stdout.strip().splitlines()
        return done.exit_code, json.loads(lines[-1]) if lines else done.output

    return run


@pytest.fixture
def cooking_dump(tmp_path):
    """One collection of the time before 2025, five of nine pieces made, cooking."""
    gallery = {
        "_id": bson.ObjectId(), "collectionId": KEY, "name": "Old foxes", "userId": 77,
        "size": 9,
        "config": {"masterPrompt": "[Hat], [Eyes]", "traitTypes": [HATS, EYES], "workflow": "MAKE"},
    }  # fmt: skip
    whose = {"userId": 77, "collectionId": KEY}
    entry = {**whose, "status": "active", "targetSupply": 9, "generationCount": 5}
    place = tmp_path / "dump" / "station"
    place.mkdir(parents=True)
    (place / "gallery.bson").write_bytes(bson.encode(gallery))
    (place / "global_status.bson").write_bytes(bson.encode({"type": "globalStatus", "cooking": [entry]}))
    return str(tmp_path / "dump")


ANNA = ("--account", "telegram:77=local", "--tool", "MAKE=text.template", "--input", "prompt=template")


def test_what_was_cooking_is_paused_and_goes_on_only_by_hand(call, work, cooking_dump):
    status, found = call("migrate", "legacy", "--from", cooking_dump, "--apply", *ANNA)
    assert status == 0
    cook = f"rest-{KEY}"
    assert found["paused"] == [{"collection": str(KEY), "cook": cook, "left": 4}]
    _, paused = call("cook", "status", cook)
    assert (paused["state"], paused["pauseReason"], paused["targetSupply"]) == (
        "Paused",
        "paused_at_migration",
        4,
    )
    work()
    assert call("cook", "status", cook)[1]["generationCount"] == 0, "nothing may run by itself"
    assert call("migrate", "legacy", "--from", cooking_dump, "--apply", *ANNA)[1]["written"]["inserted"] == 0
    assert call("cook", "resume", cook)[0] == 0
    work()
    _, done = call("cook", "status", cook)
    assert (done["state"], done["generationCount"], done["failed"]) == ("Completed", 4, 0)
    status, checked = call("rebuild", "--check")
    assert (status, checked["differing"], checked["cooks"]) == (0, 0, 1)
    again = call("migrate", "legacy", "--from", cooking_dump, "--apply", *ANNA)[1]
    assert again["written"]["inserted"] == 0
    assert call("cook", "status", cook)[1]["state"] == "Completed"


def test_where_no_plan_can_be_made_the_record_says_why(call, cooking_dump):
    _, found = call("migrate", "legacy", "--from", cooking_dump, "--apply", "--account", "*=local")
    assert found["paused"][0]["cook"] is None
    _, record = call("cook", "status", f"studio-{KEY}")
    assert record["state"] == "Stopped"
    assert "MAKE" in record["pauseDetail"]


def test_a_world_is_rehearsed_then_written_and_told_of(call, tmp_path):
    write_bson(World(3, documents=400), tmp_path / "dump")
    places = ("--from", str(tmp_path / "dump"))
    status, rehearsed = call("migrate", "legacy", *places, "--report", str(tmp_path / "report.jsonl"))
    assert (status, rehearsed["applied"]) == (0, False)
    lines = [json.loads(line) for line in (tmp_path / "report.jsonl").read_text().splitlines()]
    assert len(lines) == rehearsed["documents"]
    assert not (tmp_path / "report.jsonl.unfinished").exists()
    status, applied = call("migrate", "legacy", *places, "--apply")
    assert applied["records"] == rehearsed["records"]
    assert applied["written"]["inserted"] == sum(applied["records"].values())
    _, standing = call("migrate", "status")
    assert standing["migrations"][0]["status"] == "done"
    assert standing["tables"] == [{"table": "generationOutputs", "version": 2, "behind": 0, "done": False}]
    status, up = call("migrate", "up")
    assert (status, up["tables"][0]["raised"]) == (0, 0)
    assert call("migrate", "status")[1]["tables"][0]["done"] is True
    assert call("rebuild", "--check")[1]["differing"] == 0


def test_a_damaged_dump_is_migrated_as_far_as_it_goes_and_ends_with_1(call, tmp_path):
    (tmp_path / "casts.bson").write_bytes(bson.encode({"_id": "a", "status": "completed"}) + b"\x99")
    status, found = call("migrate", "legacy", "--from", str(tmp_path))
    assert status == 1
    assert found["faults"][0]["wholeDocuments"] == found["records"]["casts"] == 1


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (("--from", "nowhere"), 1),
        (("--from", "mongodb://a/b", "--from", "mongodb://c/d"), 2),
        (("--from", ".", "--cutoff", "yesterday"), 2),
        (("--from", ".", "--account", "nobody"), 2),
        (("--from", ".", "--report", "no/such/folder/x.jsonl"), 2),
    ],
)
def test_what_is_malformed_ends_with_2_and_what_is_not_there_with_1(call, words, status):
    assert call("migrate", "legacy", *words)[0] == status
