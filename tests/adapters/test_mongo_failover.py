"""Three nodes: primaries killed, frozen and stepped down under load, the oplog rolled over."""

import asyncio
import contextlib
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import structlog
from pymongo.errors import PyMongoError

from cauldron.adapters.mongo import MongoStore
from cauldron.domain.errors import Duplicate, StaleVersion
from cauldron.ports.storage import Claim, Index, Insert, Patch, Put, Table
from tests.mongod import ReplicaSet, database

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
JOBS = Table(name="jobs", indexes=(Index(fields=("rank",), where={"status": "queued"}),))
LOG = Table(name="log", feed=True, indexes=(Index(fields=("stream", "seq"), unique=True),))


@pytest.fixture(scope="module")
def three():
    nodes = ReplicaSet(nodes=3, election_ms=1500)
    yield nodes
    nodes.stop()


class Load:
    """Writers of every kind, and what was acknowledged to each."""

    def __init__(self, store):
        self.store = store
        self.stopping = False
        self.appended = Counter()  # stream -> commits acknowledged
        self.counted = Counter()  # counter -> additions acknowledged
        self.claimed = []
        self.enqueued = 0
        self.pairs = 0

    async def append(self, stream):
        while not self.stopping:
            seq = self.appended[stream] + 1
            doc = {"_id": f"{stream}:{seq:06}", "stream": stream, "seq": seq}
            assert await self.store.commit([Insert("log", doc)]) == [None]
            self.appended[stream] = seq

    async def count(self, name):
        """Each addition is guarded by the value before: one that is lost or doubled shows."""
        await self.store.commit([Put("jobs", {"_id": name, "n": 0}, 0)])
        while not self.stopping:
            n = self.counted[name]
            op = Patch("jobs", name, {"n": n + 1}, {"n": n})
            assert await self.store.commit([op], atomic=False) == [None]
            self.counted[name] = n + 1

    async def enqueue(self):
        while not self.stopping:
            first = self.enqueued
            jobs = [{"_id": f"j{n:06}", "status": "queued", "rank": n} for n in range(first, first + 20)]
            assert await self.store.commit([Insert("jobs", job) for job in jobs], atomic=False) == [None] * 20
            self.enqueued += 20

    async def claim(self, limit):
        claim = Claim(
            table="jobs",
            where={"status": "queued"},
            order=("rank",),
            set={"status": "done"},
            limit=limit,
            increment=("deliveries",),
        )
        while not self.stopping:
            docs = await self.store.claim(claim)
            self.claimed += [doc["_id"] for doc in docs]
            if not docs:
                await asyncio.sleep(0.01)

    async def transact(self):
        while not self.stopping:
            n = self.pairs
            pair = [Insert("jobs", {"_id": f"{side}{n:06}"}) for side in ("left", "right")]
            assert await self.store.commit(pair) == [None, None]
            self.pairs += 1

    def start(self):
        writers = [
            *(self.append(f"s{n}") for n in range(3)),
            *(self.count(f"c{n}") for n in range(3)),
            *(self.enqueue(), self.claim(1), self.claim(7), self.transact()),
        ]
        return [asyncio.create_task(writer) for writer in writers]


async def all_of(store, table):
    docs, after = [], None
    while page := await store.find(table, {}, limit=2000, after=after):
        docs += page
        after = [page[-1]["_id"]]
    return {doc["_id"]: doc for doc in docs}


async def check(load, store, seen):
    """What was acknowledged is there once; what is there was acknowledged, or was under way at the end."""
    log, jobs = await all_of(store, "log"), await all_of(store, "jobs")
    for stream, last in load.appended.items():
        there = sorted(doc["seq"] for doc in log.values() if doc["stream"] == stream)
        assert there == list(range(1, last + 1))
    for name, n in load.counted.items():
        assert (jobs[name]["n"], jobs[name]["_v"]) == (n, n + 1)
    queued = {name for name in jobs if name.startswith("j")}
    assert len(queued) == load.enqueued
    taken = Counter(load.claimed)
    assert not taken or max(taken.values()) == 1
    assert {name for name in queued if jobs[name]["status"] == "done"} == set(taken)
    assert {jobs[name]["deliveries"] for name in taken} <= {1}
    for n in range(load.pairs):
        assert f"left{n:06}" in jobs
        assert f"right{n:06}" in jobs
    assert sum(name.startswith("left") for name in jobs) == load.pairs
    ids = [doc["_id"] for _, doc in seen]
    assert len(ids) == len(set(ids))
    assert set(ids) == set(log)
    for stream in load.appended:
        assert [name for name in ids if name.startswith(stream)] == sorted(
            n for n in ids if n.startswith(stream)
        )


async def follow(feed, seen):
    async for cursor, doc in feed:
        seen.append((cursor, doc))


async def under_load(url, disturb):
    """Write, follow, disturb; then stop, wait for the feed, and check everything."""
    store = MongoStore(url)
    await store.open([JOBS, LOG])
    load, seen = Load(store), []
    following = asyncio.create_task(follow(store.watch("log", after=""), seen))
    with structlog.testing.capture_logs() as logs:
        tasks = load.start()
        await asyncio.sleep(1.0)
        await disturb(load)
        await asyncio.sleep(1.0)
        load.stopping = True
        await asyncio.gather(*tasks)
    total = sum(load.appended.values())
    async with asyncio.timeout(20):
        while len(seen) < total:
            await asyncio.sleep(0.05)
    await check(load, store, seen)
    await store.close()
    await following
    return load, logs


async def moving(load, *, timeout_s=40.0):
    """Wait until acknowledged writes go on."""
    before = sum(load.appended.values())
    async with asyncio.timeout(timeout_s):
        while sum(load.appended.values()) < before + 20:
            await asyncio.sleep(0.02)


def test_a_primary_killed_three_times_under_load_loses_and_doubles_nothing(three, run):
    stalls = []

    async def disturb(load):
        loop = asyncio.get_running_loop()
        for _ in range(3):
            port = await asyncio.to_thread(three.primary)
            began = loop.time()
            three.kill(port)
            await moving(load)
            stalls.append(loop.time() - began)
            three.start(port)
            await asyncio.to_thread(three.synced)
            await moving(load)

    with database(three) as url:
        load, logs = run(under_load(url, disturb), timeout_s=240)
    done = [sum(load.appended.values()), sum(load.counted.values()), len(load.claimed), load.pairs]
    print(f"stalls (s) {[round(s, 2) for s in stalls]}; appended, counted, claimed, pairs: {done}")
    assert max(stalls) < 25
    assert any(entry["event"].startswith("store") and "stalled_ms" in entry for entry in logs), logs


def test_a_primary_that_steps_down_three_times_loses_and_doubles_nothing(three, run):
    def step_down():
        closing = contextlib.suppress(PyMongoError)  # it closes connections
        with three.client(three.primary()) as client, closing:
            client.admin.command({"replSetStepDown": 5, "secondaryCatchUpPeriodSecs": 3})
        three.primary()

    async def disturb(load):
        for _ in range(3):
            await asyncio.to_thread(step_down)
            await moving(load)

    with database(three) as url:
        run(under_load(url, disturb), timeout_s=180)


def test_a_frozen_primary_is_left_behind_and_its_late_writes_count_for_nothing(three, run):
    async def disturb(load):
        port = await asyncio.to_thread(three.primary)
        three.freeze(port)
        try:
            await moving(load)
        finally:
            three.thaw(port)
        await asyncio.to_thread(three.synced)
        await moving(load)

    with database(three) as url:
        run(under_load(url, disturb), timeout_s=180)


def test_two_writers_of_one_stream_never_both_win_across_an_election(three, run):
    async def story(url):
        stores = [MongoStore(url) for _ in range(2)]
        for store in stores:
            await store.open([LOG])
        wins = Counter()

        async def race(who, store):
            for seq in range(1, 400):
                doc = {"_id": f"s:{seq:06}", "stream": "s", "seq": seq, "who": who}
                try:
                    await store.commit([Insert("log", doc)])
                    wins[seq, who] += 1
                except (Duplicate, StaleVersion):
                    pass

        racing = asyncio.gather(*(race(n, store) for n, store in enumerate(stores)))
        await asyncio.sleep(0.3)
        port = await asyncio.to_thread(three.primary)
        three.kill(port)
        await racing
        three.start(port)
        docs = await all_of(stores[0], "log")
        assert wins == Counter({(doc["seq"], doc["who"]): 1 for doc in docs.values()})
        assert len(docs) == 399
        for store in stores:
            await store.close()
        await asyncio.to_thread(three.synced)

    with database(three) as url:
        run(story(url), timeout_s=120)


def test_an_oplog_that_rolled_over_costs_a_reader_nothing(run):
    """A small oplog; the reader's place is flooded out of it before it comes back."""
    nodes = ReplicaSet(oplog_mb=1, checkpoint_s=1)

    def oplog_start():
        with nodes.client() as client:
            return client.local.oplog.rs.find_one(sort=[("$natural", 1)])["ts"]

    async def story(url):
        store = MongoStore(url)
        await store.open([JOBS, LOG])
        feed = store.watch("log")
        for n in range(50):
            if n == 49:
                await asyncio.sleep(6)  # what was inserted up to 5 s before a lost place may be shown again
            await store.commit([Insert("log", {"_id": f"a:{n:04}", "stream": "a", "seq": n})])
        seen = [await anext(feed) for _ in range(50)]
        scan = store.watch("log", after="")
        scanned = [await anext(scan) for _ in range(50)]
        assert [doc for _, doc in scanned] == [doc for _, doc in seen]
        for each in (feed, scan):
            await each.aclose()
        for n in range(50, 100):
            await store.commit([Insert("log", {"_id": f"a:{n:04}", "stream": "a", "seq": n})])
        with nodes.client() as client:
            place = client.admin.command("ping")["operationTime"]
        for flood in range(400):
            docs = [{"_id": f"f{flood:04}:{k}", "pad": "x" * 400_000} for k in range(20)]
            await store.commit([Insert("jobs", doc) for doc in docs], atomic=False)
            if flood % 10 == 9 and oplog_start() > place:
                break
        else:
            pytest.fail("the oplog does not roll over")
        await asyncio.sleep(1)  # until what is read as of a moment ago does not have it either
        with structlog.testing.capture_logs() as logs:
            late, later = (store.watch("log", after=places[-1][0]) for places in (seen, scanned))
            for reader in (late, later):
                more = [await anext(reader) for _ in range(50)]
                assert [doc["seq"] for _, doc in more] == list(range(50, 100))
            await store.commit([Insert("log", {"_id": "a:new", "stream": "a", "seq": 100})])
            for reader in (late, later):
                assert (await anext(reader))[1]["_id"] == "a:new"
        await store.close()
        return [entry["event"] for entry in logs]

    try:
        with database(nodes) as url:
            assert run(story(url), timeout_s=180).count("feed history lost: scanning again") == 2
    finally:
        nodes.stop()


def test_the_contract_holds_on_three_nodes():
    command = [sys.executable, "-m", "pytest", "-q", "-k", "mongo", "tests/contracts/test_store.py"]
    environ = {**os.environ, "MONGO_NODES": "3", "REQUIRE_MONGO": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-5000:]
