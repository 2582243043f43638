"""A whole legacy database is brought over and compared with the truth of the world that wrote it."""

import gzip
import itertools
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import orjson
import pytest

from cauldron.domain.collection import parse_collection
from cauldron.domain.errors import NotFound, Refused
from cauldron.domain.spell_document import parse_spell
from cauldron.ports.storage import Insert, Patch
from tests.legacy_runs import QUEUES, everything, migrate, opened
from tests.legacy_world import CANARY, World, write_bson, write_json

SMALL = 1_500
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def dump(tmp_path_factory):
    """A dump of a small world, and its truth."""
    folder = tmp_path_factory.mktemp("dump")
    world = World(7, documents=SMALL)
    write_bson(world, folder)
    return folder, world.truth


async def migrated(places, url=None, **wanted):
    async with opened(url) as store:
        summary = await migrate(store, places, apply=True, **wanted)
        return summary, await everything(store), await everything(store, QUEUES)


def of(docs, table):
    return [doc for name, doc in docs.items() if name.startswith(f"{table}/")]


def micro(doc):
    return round(doc["costUsd"] * 1_000_000)


def check_truth(summary, docs, queues, truth):
    """Everything the world knows about itself, in the records and in the summary."""
    outputs = of(docs, "generationOutputs")
    assert Counter(o["status"] for o in outputs) == +truth.outputs
    assert sum(map(micro, outputs)) == truth.cost_micro == summary["totals"]["costMicroUsd"]
    assert Counter(p["state"] for p in of(docs, "pieces")) == +truth.pieces
    assert Counter(c["status"] for c in of(docs, "casts")) == +truth.casts
    assert Counter(c["status"] for c in of(docs, "cooks")) == +truth.cooks
    assert summary["totals"]["cooks"] == dict(+truth.cooks)
    casts = {c["_id"]: micro(c) for c in of(docs, "casts")}
    assert {cast: casts[cast] for cast in truth.cast_cost} == truth.cast_cost
    cooks = {c["_id"]: c for c in of(docs, "cooks")}
    assert {cook: micro(cooks[cook]) for cook in truth.cook_cost} == truth.cook_cost
    made = Counter({c["_id"]: c["generationCount"] for c in of(docs, "cook_status")})
    assert +made == +truth.cook_made
    assert {o["_id"]: (o["castId"], o["cookId"]) for o in outputs} == truth.links
    assert {c["legacyId"]: c["name"] for c in of(docs, "collections")} == truth.collections
    assert {s["legacyId"] for s in of(docs, "spells")} == truth.spells
    kept = Counter(summary["setAside"]) - Counter(("declared_elsewhere", "no_counterpart"))
    assert kept == truth.set_aside
    assert sum(part.get("later", 0) for part in summary["collections"].values()) == truth.later
    assert not queues, "nothing may be run again, nothing pretends to be an event of ours"
    assert {o["deliveryStatus"] for o in outputs} <= {"sent", "skipped", "dropped"}


def test_what_is_migrated_is_what_happened(dump, run):
    folder, truth = dump
    check_truth(*run(migrated([str(folder)])), truth)


@pytest.mark.slow
def test_a_full_sized_world_is_migrated_as_it_happened(tmp_path, run):
    world = World(11, documents=25_000)
    write_bson(world, tmp_path)
    found = run(migrated([str(tmp_path)], processes=2), timeout_s=900)
    check_truth(*found, world.truth)
    assert found[0]["documents"] >= 20_000


def test_every_document_is_told_of_and_every_link_leads_to_a_record(dump, run):
    folder, _ = dump
    lines = []

    async def told():
        async with opened(None) as store:
            await migrate(store, [str(folder)], apply=True, line=lines.append)
            return await everything(store)

    docs = run(told())
    rows = [orjson.loads(line) for line in lines]
    real = [row for row in rows if not row["in"].startswith("(")]
    assert len({(row["in"], row["id"]) for row in real}) == len(real)
    assert {name for row in rows for name in row["to"]} == set(docs)
    for row in real:
        assert row["verdict"] == "later" or row["to"], "a document that leads nowhere is lost"
    for output in of(docs, "generationOutputs"):
        assert output["castId"] is None or f"casts/{output['castId']}" in docs
        assert output["cookId"] is None or f"cooks/{output['cookId']}" in docs
        assert output["pieceId"] is None or f"pieces/{output['pieceId']}" in docs
    numbers = Counter((p["cookId"], p["number"]) for p in of(docs, "pieces"))
    assert max(numbers.values()) == 1, "a number of a piece is never used twice"


def test_a_rehearsal_tells_the_same_and_writes_nothing(dump, run):
    folder, _ = dump

    async def both():
        async with opened(None) as store:
            rehearsed = await migrate(store, [str(folder)])
            assert (
                await everything(store, [*QUEUES, "generationOutputs", "legacy_set_aside", "migrations"])
                == {}
            )
            return rehearsed, await migrate(store, [str(folder)], apply=True)

    rehearsed, applied = run(both())
    assert rehearsed["applied"] is False
    for key in ("documents", "collections", "records", "rules", "setAside", "totals", "notRead"):
        assert rehearsed[key] == applied[key], key


def test_a_second_run_changes_nothing_not_even_what_people_changed_since(dump, run):
    folder, _ = dump

    async def twice():
        async with opened(None) as store:
            await migrate(store, [str(folder)], apply=True)
            before = await everything(store)
            piece = next(name for name in before if name.startswith("pieces/")).removeprefix("pieces/")
            await store.commit([Patch("pieces", piece, {"state": "approved", "reviewedBy": "me"})])
            before = await everything(store)
            second = await migrate(store, [str(folder)], apply=True)
            return before, second, await everything(store)

    before, second, after = run(twice())
    assert second["written"] == {
        "inserted": 0, "existed": len(before), "corrected": 0, "refused": [], "refusedCount": 0,
    }  # fmt: skip
    assert after == before


def test_a_record_that_is_there_is_never_overwritten_not_even_by_a_first_run(dump, run):
    folder, truth = dump
    mine = {"_id": min(truth.links), "toolDisplayName": "mine"}

    async def first():
        async with opened(None) as store:
            await store.commit([Insert("generationOutputs", mine)])
            summary = await migrate(store, [str(folder)], apply=True)
            return summary, (await store.get("generationOutputs", [mine["_id"]]))[0]

    summary, there = run(first())
    assert there == mine | {"_v": 1}
    assert summary["written"]["existed"] == 1


@pytest.mark.parametrize("form", ["canonical", "relaxed", "array", "gz", "two processes"])
def test_the_form_of_the_dump_makes_no_difference(dump, tmp_path, run, form):
    folder, _ = dump
    wanted = {}
    places = [str(tmp_path)]
    if form == "gz":
        write_bson(World(7, documents=SMALL), tmp_path, opener=gzip.open, suffix=".bson.gz")
    elif form == "two processes":
        places, wanted = [str(folder)], {"processes": 2}
    else:
        write_json(World(7, documents=SMALL), tmp_path, style=form)
    summary, docs, _ = run(migrated(places, **wanted))
    reference, wanted_docs, _ = run(migrated([str(folder)]))
    assert docs == wanted_docs
    assert summary["rules"] == reference["rules"]
    assert summary["totals"] == reference["totals"]


def test_notes_that_do_not_fit_into_memory_are_put_aside_and_found_again(dump, run):
    folder, truth = dump
    summary, docs, queues = run(migrated([str(folder)], notes=20))
    check_truth(summary, docs, queues, truth)
    assert docs == run(migrated([str(folder)]))[1]


def test_no_secret_reaches_the_store_or_the_report(dump, tmp_path, run):
    folder, _ = dump
    raw = b"".join(path.read_bytes() for path in folder.rglob("*.bson"))
    assert raw.count(CANARY.encode()) > 100, "the world must have secrets to lose"
    lines = []

    async def written():
        async with opened(tmp_path / "target.db") as store:
            await migrate(store, [str(folder)], apply=True, line=lines.append)

    run(written())
    found = b"".join([*(path.read_bytes() for path in tmp_path.iterdir()), *lines])
    for form in (CANARY.encode(), CANARY.encode().hex().encode()):
        assert form not in found


def test_imported_collections_are_valid_or_say_what_is_wrong(dump, run):
    _, docs, _ = run(migrated([str(dump[0])]))
    drafts = 0
    for doc in of(docs, "collections"):
        if doc["draft"]:
            drafts += 1
            assert doc["problems"] and all(p["path"] and p["message"] for p in doc["problems"])
        else:
            assert parse_collection(doc["definition"]).version_hash == doc["version"]
    assert 0 < drafts < len(of(docs, "collections")) / 2
    slugs = Counter((doc["owner"], doc["slug"]) for doc in of(docs, "collections"))
    assert max(slugs.values()) == 1
    for doc in of(docs, "spells"):
        assert parse_spell(doc["draft"]).slug == doc["slug"]
        assert doc["publishedVersion"] is None


def test_old_ids_are_found_by_an_index(dump, run):
    folder, truth = dump

    async def found():
        async with opened(None) as store:
            await migrate(store, [str(folder)], apply=True)
            some = [*truth.links][:20]
            where = {"imported": True, "legacyId": tuple(some)}
            outputs = await store.find("generationOutputs", where, order=("legacyId",))
            spells = await store.find(
                "spells", {"imported": True, "legacyId": min(truth.spells)}, order=("legacyId",)
            )
            return some, outputs, spells

    some, outputs, spells = run(found())
    assert {o["legacyId"] for o in outputs} == set(some)
    assert len(spells) == 1


def test_unknown_fields_are_kept_beside_the_record(dump, run):
    _, docs, _ = run(migrated([str(dump[0])]))
    legacy = [o["legacy"] for o in of(docs, "generationOutputs")]
    assert any(each.get("futureField") == {"deep": [1, 2.5]} for each in legacy)
    assert any("costRate" in each.get("metadata", {}) for each in legacy)
    assert not any("spell" in each.get("metadata", {}) for each in legacy)


def test_owners_and_tools_can_be_named_anew(dump, run):
    wanted = {"accounts": {"*": "local", "telegram:123456789": "anna"}, "tools": {"MAKE": "text.card"}}
    _, docs, _ = run(migrated([str(dump[0])], **wanted))
    owners = {o["owner"] for o in of(docs, "generationOutputs")}
    assert owners == {"local", "anna"}
    assert all(o["toolId"] == "text.card" for o in of(docs, "generationOutputs") if o["owner"] == "anna")


def test_a_cut_off_lets_younger_deliveries_be_owed(dump, run):
    _, docs, _ = run(migrated([str(dump[0])], cutoff_ms=0))
    owed = [o for o in of(docs, "generationOutputs") if o["deliveryStatus"] == "pending"]
    assert owed
    assert {o["notificationPlatform"] for o in owed}.isdisjoint({"none", "cook"})


def test_a_cut_off_dump_tells_how_many_documents_were_whole(dump, tmp_path, run):
    folder, _ = dump
    place = tmp_path / "noema"
    place.mkdir()
    whole = (folder / "noema/generationOutputs.bson").read_bytes()
    (place / "generationOutputs.bson").write_bytes(whole[: len(whole) * 2 // 3])
    zipped = gzip.compress((folder / "noema/casts.bson").read_bytes())
    (place / "casts.bson.gz").write_bytes(zipped[: len(zipped) // 2])
    (place / "cooks.bson").write_bytes(b"\x00\x01\x02\x03rubbish")
    summary, docs, _ = run(migrated([str(tmp_path)]))
    faults = {fault["in"]: fault for fault in summary["faults"]}
    assert set(faults) == {"noema.generationOutputs", "noema.casts", "noema.cooks"}
    assert faults["noema.generationOutputs"]["wholeDocuments"] > 100
    assert "cut off" in faults["noema.generationOutputs"]["reason"]
    assert "damaged" in faults["noema.cooks"]["reason"]
    assert of(docs, "generationOutputs")


def test_the_same_documents_in_two_databases_are_counted_once(dump, tmp_path, run):
    folder, truth = dump
    for name in ("noema", "station"):
        (tmp_path / name).mkdir()
        for file in (folder / "noema").glob("*.bson"):
            (tmp_path / name / file.name).write_bytes(file.read_bytes())
    summary, docs, _ = run(migrated([str(tmp_path)]))
    alone, wanted, _ = run(migrated([str(folder / "noema")]))
    assert summary["totals"] == alone["totals"]
    assert {n for n in docs if "set_aside" not in n} == {n for n in wanted if "set_aside" not in n}
    assert truth.cost_micro >= summary["totals"]["costMicroUsd"]


def test_a_folder_without_known_collections_is_refused(tmp_path, run):
    with pytest.raises(NotFound):
        run(migrated([str(tmp_path)]))
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(Refused):
        run(migrated([str(tmp_path)]))


def _nobody_is_left(group):
    """Helpers end with their parent, however it ended."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail("a helper process outlived the migration that was killed")


def test_a_run_that_is_killed_goes_on_to_the_same_result(tmp_path, run):
    """SIGKILL after a random number of commits, again and again, until a run comes to its end."""
    world = World(5, documents=2_500)
    write_bson(world, tmp_path / "dump")
    target, chance, checkpoints = tmp_path / "target.db", random.Random(3), []

    async def checkpoint():
        async with opened(target) as store:
            return [doc["documents"] for doc in await store.find("migrations", {})]

    for attempt in range(6):
        ended = _killed(
            tmp_path, target, after=chance.randrange(1, 7) if attempt < 5 else 10_000, attempt=attempt
        )
        if ended:
            break
        checkpoints += run(checkpoint())
    assert ended
    assert len(set(checkpoints)) >= 2, "runs must have been killed between checkpoints"

    async def what_is_there():
        async with opened(target) as store:
            found = await everything(store)
            again = await migrate(store, [str(tmp_path / "dump")], apply=True)
            assert await everything(store) == found
            return again, found, await everything(store, QUEUES)

    again, docs, queues = run(what_is_there())
    assert again["written"]["inserted"] == 0
    check_truth(again, docs, queues, world.truth)
    _, clean, _ = run(migrated([str(tmp_path / "dump")]))
    assert docs == clean


def _killed(folder, target, *, after, attempt):
    """Run it in a process and kill that after some commits; whether it came to its end before."""
    helpers = "2" if attempt == 1 else "0"
    command = [sys.executable, "-m", "tests.legacy_runs", str(target), helpers, str(folder / "dump")]
    quiet = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    with subprocess.Popen(command, cwd=ROOT, start_new_session=True, **quiet) as process:
        lines = list(itertools.islice(process.stdout, after))
        process.send_signal(signal.SIGKILL)
        lines += process.stdout.readlines()
    _nobody_is_left(process.pid)
    return "done\n" in lines
