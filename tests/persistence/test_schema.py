"""Versions of documents: raised on reading, raised for good by a backfill that may be killed and repeated."""

import pytest

from cauldron.adapters.sqlite import SqliteStore
from cauldron.bootstrap import Studio
from cauldron.config import Settings
from cauldron.persistence import schema
from cauldron.persistence.schema import Upcasting, backfill, changes_for, raised, standing, version_of
from cauldron.ports.storage import Claim, Index, Insert, Patch, Table

TABLE = "things"
UPS = {
    TABLE: {
        1: lambda doc: {"size": len(doc.get("name", ""))},
        2: lambda doc: {"label": f"{doc['name']}:{doc['size']}"},
    }
}
TABLES = (*schema.TABLES, Table(name=TABLE, indexes=(Index(fields=("name",)),)))


@pytest.fixture
def store(run):
    made = SqliteStore(None)
    run(made.open(TABLES))
    yield made
    run(made.close())


def fill(store, run, count=1_200):
    docs = [
        {"_id": f"{n:05}", "name": "a" * (n % 5), **({"schemaVersion": n % 4} if n % 4 else {})}
        for n in range(count)
    ]
    for doc in docs:
        if doc.get("schemaVersion", 1) >= 2:
            doc["size"] = len(doc["name"])
        if doc.get("schemaVersion", 1) >= 3:
            doc["label"] = "mine"
    run(store.commit([Insert(TABLE, doc) for doc in docs]))
    return docs


def test_a_document_is_raised_step_by_step_and_a_new_one_is_left_alone():
    assert raised(TABLE, {"name": "abc"}, UPS) == {
        "name": "abc",
        "size": 3,
        "label": "abc:3",
        "schemaVersion": 3,
    }
    newest = {"name": "abc", "schemaVersion": 3}
    assert raised(TABLE, newest, UPS) is newest
    assert raised("other", newest, UPS) is newest
    assert version_of({"schemaVersion": True}) == 1


def test_whatever_is_read_is_of_the_newest_version_and_the_store_is_unchanged(store, run):
    fill(store, run, count=8)
    up = Upcasting(store, UPS)
    found = run(up.find(TABLE, {}))
    assert {doc["schemaVersion"] for doc in found} == {3}
    assert run(up.get(TABLE, ["00000", "missing"]))[0]["label"] == ":0"
    claim = Claim(table=TABLE, where={"name": "a"}, order=("name",), set={"taken": True}, limit=1)
    assert run(up.claim(claim))[0]["schemaVersion"] == 3
    assert "schemaVersion" not in run(store.get(TABLE, ["00000"]))[0]


def test_a_backfill_raises_everything_once_and_says_so(store, run):
    docs = fill(store, run)
    behind = sum(doc.get("schemaVersion", 1) < 3 for doc in docs)
    assert run(standing(store, TABLE, UPS)).behind == behind
    rehearsed = run(backfill(store, TABLE, clock=lambda: 5, apply=False, ups=UPS))
    assert run(standing(store, TABLE, UPS)).behind == behind
    done = run(backfill(store, TABLE, clock=lambda: 5, apply=True, ups=UPS))
    assert rehearsed == done
    assert (done["documents"], done["raised"]) == (len(docs), behind)
    assert done["fields"]["label"] == behind
    after = run(standing(store, TABLE, UPS))
    assert (after.behind, after.done, after.version) == (0, True, 3)
    stored = run(store.find(TABLE, {}, limit=5_000))
    assert {doc["schemaVersion"] for doc in stored} == {3}
    assert {doc["label"] for doc in stored if int(doc["_id"]) % 4 == 3} == {"mine"}
    again = run(backfill(store, TABLE, clock=lambda: 5, apply=True, ups=UPS))
    assert again["raised"] == 0


def test_a_backfill_goes_on_from_its_checkpoint_and_never_overwrites_a_writer(store, run):
    fill(store, run)
    state = {
        "_id": f"schema:{TABLE}:3",
        "status": "running",
        "after": "00599",
        "documents": 600,
        "raised": 450,
    }
    run(store.commit([Insert(schema.MIGRATIONS, state)]))
    done = run(backfill(store, TABLE, clock=lambda: 5, apply=True, ups=UPS))
    assert done["documents"] == 1_200
    assert "schemaVersion" not in run(store.get(TABLE, ["00000"]))[0], (
        "before the checkpoint nothing is read again"
    )
    assert run(store.get(TABLE, ["00600"]))[0]["schemaVersion"] == 3

    class Meddling:
        """A store beside which somebody raises a document between reading and writing."""

        def __getattr__(self, name):
            return getattr(store, name)

        async def commit(self, ops, *, atomic=True):
            for op in ops:
                if isinstance(op, Patch) and op.id == "00004":
                    await store.commit([Patch(TABLE, "00004", {"schemaVersion": 3, "label": "theirs"})])
            return await store.commit(ops, atomic=atomic)

    run(store.commit([Patch(schema.MIGRATIONS, f"schema:{TABLE}:3", {"status": "running", "after": None})]))
    run(backfill(Meddling(), TABLE, clock=lambda: 5, apply=True, ups=UPS))
    assert run(store.get(TABLE, ["00004"]))[0]["label"] == "theirs"


def test_generation_outputs_of_version_1_get_what_the_audit_asks_for():
    old = {
        "status": "completed",
        "requestTimestamp": "2025-08-30T10:00:00.000Z",
        "responseTimestamp": "2025-08-30T10:00:18.250Z",
        "notificationPlatform": "telegram",
    }
    new = raised("generationOutputs", old)
    assert new == old | {
        "schemaVersion": 2, "status": "success", "durationMs": 18_250, "pointsSpent": 0,
        "protocolNetPoints": 0, "costSource": "unknown", "deliveryStatus": "skipped",
    }  # fmt: skip
    assert changes_for("generationOutputs", {"responseTimestamp": "x"})["durationMs"] is None


def test_a_studio_reads_records_of_an_earlier_version_as_of_today_until_they_are_raised(run, tmp_path):
    """Outputs once said completed, and nothing of points or deliveries."""

    async def story():
        studio = Studio(Settings(home=tmp_path))
        await studio.open()
        await studio.stored.commit([Insert("generationOutputs", {"_id": "old", "status": "completed"})])
        [read] = await studio.store.get("generationOutputs", ["old"])
        [kept] = await studio.stored.get("generationOutputs", ["old"])
        await studio.stored.open(schema.TABLES)
        behind = await schema.standing(studio.stored, "generationOutputs")
        await studio.close()
        return read, kept, behind

    read, kept, behind = run(story())
    assert (read["status"], read["schemaVersion"], read["pointsSpent"]) == ("success", 2, 0)
    assert kept["status"] == "completed"
    assert behind.behind == 1
