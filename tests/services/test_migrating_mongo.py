"""The same migration into a MongoDB, and out of a live one, on a real server."""

import bson
import pymongo

from cauldron.adapters.legacy_source import decode
from cauldron.adapters.legacy_source.live import MongoSource
from tests import mongod
from tests.legacy_runs import QUEUES, everything, migrate, opened
from tests.legacy_world import World, write_bson
from tests.services.test_migrating import check_truth, migrated


def fill(url, world):
    """The world as the collections of a live database; names of its two databases fall together."""
    with pymongo.MongoClient(url) as client:
        batches = {}
        for _, collection, doc in world.documents():
            batches.setdefault(collection, []).append(bson.decode(bson.encode(doc)))
        for collection, docs in batches.items():
            client.get_default_database()[collection].insert_many(docs)


def test_a_mongodb_as_target_gets_the_same_records(tmp_path, run):
    world = World(9, documents=1_200)
    write_bson(world, tmp_path)

    async def both(url):
        async with opened(url) as store:
            summary = await migrate(store, [str(tmp_path)], apply=True)
            again = await migrate(store, [str(tmp_path)], apply=True)
            docs, queues = await everything(store, versions=False), await everything(store, QUEUES)
        async with opened(None) as store:
            await migrate(store, [str(tmp_path)], apply=True)
            return summary, again, docs, queues, await everything(store, versions=False)

    with mongod.database() as url:
        summary, again, docs, queues, on_sqlite = run(both(url), timeout_s=120)
    check_truth(summary, docs, queues, world.truth)
    assert again["written"]["inserted"] == 0
    assert docs == on_sqlite


def test_a_live_mongodb_gives_what_its_dump_gives(tmp_path, run):
    write_bson(World(9, documents=1_200), tmp_path)
    with mongod.database() as url:
        fill(url, World(9, documents=1_200))
        summary, live, _ = run(migrated([url]), timeout_s=120)
    dumped, wanted, _ = run(migrated([str(tmp_path)]))
    assert summary["totals"] == dumped["totals"]
    same = [
        n for n in wanted if n.split("/")[0] in ("generationOutputs", "pieces", "casts", "cooks", "spells")
    ]
    assert {n: live[n] for n in same} == {n: wanted[n] for n in same}


def test_a_live_collection_is_read_in_the_order_of_its_ids_whatever_their_types(run):
    ids = [5, "text", bson.ObjectId(), 2.5, "another", bson.ObjectId()]

    async def read(url):
        source = MongoSource(url)
        try:
            (part,) = await source.parts()
            return [doc async for block in source.blocks(part) for doc in decode(block)]
        finally:
            await source.close()

    with mongod.database() as url:
        with pymongo.MongoClient(url) as client:
            client.get_default_database()["casts"].insert_many([{"_id": one} for one in ids])
        found = run(read(url))
    assert [doc["_id"] for doc in found] == [2.5, 5, "another", "text", str(ids[2]), str(ids[5])]


def test_a_lost_connection_is_taken_up_where_it_was(run):
    """The server hangs up in the middle of a cursor, whose documents have ids of several types."""
    ids = [*range(1_500), *(f"text {n:05}" for n in range(1_500))]

    async def read(url):
        source = MongoSource(url)
        try:
            (part,) = await source.parts()
            return [doc["_id"] async for block in source.blocks(part) for doc in decode(block)]
        finally:
            await source.close()

    with mongod.database() as url, pymongo.MongoClient(url) as client:
        casts = client.get_default_database()["casts"]
        casts.insert_many([{"_id": one} for one in ids])
        fault = {"failCommands": ["getMore"], "closeConnection": True, "namespace": casts.full_name}
        before = client.admin.command("configureFailPoint", "failCommand", mode={"times": 2}, data=fault)
        try:
            assert run(read(url)) == ids
            after = client.admin.command("configureFailPoint", "failCommand", mode="off")
            assert after["count"] - before["count"] == 2, "the server must have hung up twice"
        finally:
            client.admin.command("configureFailPoint", "failCommand", mode="off")
