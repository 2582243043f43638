"""Clean-ups: what is referred to or in use stays, the rest goes, and being killed half-way does no harm."""

import asyncio
import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cauldron.adapters.fs import BlobFiles, FsBlobs
from cauldron.domain.blob_marks import Marks, references
from cauldron.domain.errors import Invalid, Refused
from cauldron.domain.plan import MAGIC
from cauldron.domain.times import iso
from cauldron.ports.storage import Insert, Put
from cauldron.services.marking import Sweeping
from tests.contracts.conftest import STORES
from tests.kitchen import Tapped, wall_ms
from tests.upkeep import ALL_TABLES, DAY_MS, HOUR_MS, NAMES, World, cook_and_cast, old, ref


@pytest.fixture(params=STORES)
def world(request, tmp_path, run):
    engine = STORES[request.param](tmp_path)
    yield World(run(engine.open(*ALL_TABLES)), tmp_path)
    run(engine.close())


def tasks(found):
    return {task["task"]: task["records"] for task in found}


async def without_versions(world):
    return sorted(json.dumps({k: v for k, v in doc.items() if k != "_v"}) for doc in await world.everything())


def test_records_of_tests_go_with_their_streams_and_live_ones_stay(world, run):
    async def story():
        await cook_and_cast(world)
        live = await without_versions(world)
        await cook_and_cast(world, name="t", environment="test", owner="tim")
        world.ahead_ms = 2 * DAY_MS
        everything = await without_versions(world)
        [found] = await world.cleaning().run(["test-records"], apply=False)
        assert found["records"] > 20
        assert found["sizeBytes"] > 5_000
        assert await without_versions(world) == everything, "a dry run changes nothing"
        [done] = await world.cleaning().run(["test-records"], apply=True)
        assert done["byTable"] == found["byTable"]
        left = await without_versions(world)
        expected = set(live)
        assert {doc for doc in left if '"leases"' not in doc} >= expected
        extra = [json.loads(doc)["_id"] for doc in left if doc not in expected]
        assert not [name for name in extra if name.startswith(("k-t", "c-t", "x-t", "cook:c-t"))]
        assert await world.faults() == {}
        [again] = await world.cleaning().run(["test-records"], apply=True)
        assert again["records"] == 0

    run(story())


def test_test_records_that_are_young_or_under_way_stay(world, run):
    async def story():
        await cook_and_cast(world, environment="test")
        [young] = await world.cleaning().run(["test-records"], apply=True)
        assert (young["records"], young["left"] > 10) == (0, True)
        await world.k.start(3, cook_id="busy", environment="test", collection_id="k-a")
        [found] = await world.cleaning(test_ms=-1000).run(["test-records"], apply=True)
        assert found["records"] > 0
        assert await world.store.get("cooks", ["c-a", "busy"]) != [None, None]
        [gone, busy] = await world.store.get("cooks", ["c-a", "busy"])
        assert gone is None or gone["collectionId"] == "k-a", "the collection of a busy cook is in use"
        assert busy is not None
        assert (await world.store.get("collections", ["k-a"]))[0] is not None

    run(story())


def test_in_an_environment_for_tests_nothing_is_a_stray(world, run):
    async def story():
        await cook_and_cast(world, environment="test")
        world.environment, world.ahead_ms = "test", 2 * DAY_MS
        [found] = await world.cleaning().run(["test-records"], apply=True)
        assert found["records"] == 0
        assert "environment for tests" in found["why"]

    run(story())


def test_done_jobs_of_ended_cooks_go_when_old(world, run):
    async def story():
        await cook_and_cast(world)
        await world.k.start(2, cook_id="going", collection_id="k-a")
        job = {"_id": "going.9", "status": "done", "parent": "going", "updatedAt": wall_ms()}
        letter = {"_id": "c-a.9", "status": "failed", "parent": "c-a", "updatedAt": wall_ms()}
        await world.store.commit([Insert("cook_jobs", doc) for doc in (job, letter)])
        assert tasks(await world.cleaning().run(["ended-jobs"], apply=True)) == {"ended-jobs": 0}
        world.ahead_ms = 31 * DAY_MS
        [found] = await world.cleaning().run(["ended-jobs"], apply=True)
        assert (found["records"], found["left"]) == (3, 1), "that of the cook that goes on is left"
        assert all(await world.store.get("cook_jobs", ["going.9", "c-a.9"]))
        assert (await world.casting.jobs.get(world.casts["a"]))["status"] == "done", "casts keep theirs"
        assert await world.faults("projections", "links", "schema") == {}

    run(story())


def test_old_rows_go_and_cursors_stay(world, run):
    async def story():
        now = wall_ms()
        rows = [
            Put("workers", {"_id": "dead", "until": now - 2 * DAY_MS}, None),
            Put("workers", {"_id": "alive", "until": now + 10_000}, None),
            Put("leases", {"_id": "l", "holder": "x", "until": now - 2 * DAY_MS, "ttlMs": 1}, None),
            Put("gates", {"_id": "orphan", "closed": True, "at": 1}, None),
            Put("gates", {"_id": "c1", "closed": True, "at": 1}, None),
            Put("cursors", {"_id": "casts", "cursor": "1", "savedAt": 1}, None),
        ]
        await world.k.start(2, cook_id="c1")
        await world.store.commit(rows, atomic=False)
        assert tasks(await world.cleaning().run(["old-rows"], apply=True)) == {"old-rows": 3}
        left = {doc["_id"] for doc in await world.everything()}
        assert {"alive", "c1", "casts"} <= left
        assert not {"dead", "l", "orphan"} & left

    run(story())


def test_old_plans_are_forgotten_but_not_those_that_a_cook_names(world, run):
    async def story():
        await cook_and_cast(world)
        await world.put("looked at", MAGIC + b"{}")
        row = {"_id": "p", "blob": world.media["looked at"], "planHash": "h", "createdAt": iso(0)}
        await world.store.commit([Insert("plans", row)])
        old(world)
        found = await world.cleaning().run(["old-rows", "blobs"], apply=True)
        assert tasks(found) == {"old-rows": 1, "blobs": 0}, "who is about to cook from it still finds it"
        old(world)
        assert tasks(await world.cleaning().run(["blobs"], apply=True)) == {"blobs": 1}
        world.ahead_ms = 31 * DAY_MS
        assert tasks(await world.cleaning().run(["old-rows"], apply=True)) == {"old-rows": 1}
        old(world)
        await world.cleaning().run(["blobs"], apply=True)
        assert await world.stored() == set(world.media) - {"looked at"}

    run(story())


def test_blobs_that_nothing_refers_to_go_and_all_others_stay(world, run):
    async def story():
        await cook_and_cast(world)
        named = set(world.media)
        await world.put("stray")
        await world.put("stray document", b'{"names": "%s"}' % world.media["a-layer"].encode())
        old(world)
        [found] = await world.cleaning().run(["blobs"], apply=False)
        assert (found["records"], await world.stored()) == (2, set(world.media))
        [done] = await world.cleaning().run(["blobs"], apply=True)
        assert done["sizeBytes"] == found["sizeBytes"] > 0
        assert await world.stored() == named, "layers are named by a snapshot, options by a plan"
        assert await world.faults("blobs-missing") == {}

    run(story())


def test_a_young_blob_stays_and_so_does_what_a_young_document_names(world, run):
    async def story():
        await world.put("old stray")
        await world.put("layer of a cook that is being started")
        old(world)
        await world.put("young stray")
        recipe = json.dumps({"collection": ref(world.media["layer of a cook that is being started"])})
        await world.put("young recipe", recipe.encode())
        await world.cleaning(idle=False).run(["blobs"], apply=True)
        assert await world.stored() == set(world.media) - {"old stray"}

    run(story())


def test_a_blob_that_is_put_or_asked_for_again_is_young(world, run):
    async def story():
        for name in ("put again", "asked for", "forgotten"):
            await world.put(name)
        old(world)
        await world.put("put again")
        assert await world.blobs.size(world.media["asked for"])
        await world.cleaning().run(["blobs"], apply=True)
        assert await world.stored() == {"put again", "asked for"}

    run(story())


def test_a_short_grace_needs_a_studio_at_rest(world, run):
    with pytest.raises(Invalid, match="2 hours"):
        run(world.cleaning(idle=False, grace_ms=HOUR_MS).run(apply=True))
    run(world.cleaning(idle=True, grace_ms=HOUR_MS).run(apply=True))
    run(world.cleaning(idle=False, grace_ms=2 * HOUR_MS).run(apply=True))


def test_an_unknown_task_is_refused(world, run):
    with pytest.raises(Invalid, match="'blob' is no task"):
        run(world.cleaning().run(["blob"], apply=False))


def test_one_clean_up_at_a_time_and_a_killed_one_frees_the_next_by_its_lease(world, run):
    async def story():
        dead = world.cleaning(holder="dead")
        await dead._hold()  # a process that was killed here
        with pytest.raises(Refused, match="another clean-up"):
            await world.cleaning().run(apply=False)
        world.ahead_ms = 61_000
        await world.cleaning().run(apply=False)
        await world.cleaning().run(apply=False)

    run(story())


class Killed(BaseException):
    """The process ends here."""


def test_killed_after_any_write_a_second_run_finishes_the_work(world, run):
    """A clean-up in steps of two documents is cut after its n-th write; then it runs to its end."""

    async def story():
        writes = 0
        for cut in range(1, 200, 3):
            await cook_and_cast(world, name=f"t{cut}", environment="test")
            await world.put(f"stray {cut}")
            old(world)
            world.ahead_ms = 2 * DAY_MS
            writes = 0

            async def tap(point, cut=cut):
                nonlocal writes
                writes += point.startswith("after:") and "lease" not in point
                if writes >= cut:
                    raise Killed

            whole = world.store
            world.store = Tapped(whole, tap)
            finished = True
            try:
                await world.cleaning(holder="one", batch=2, plans_ms=DAY_MS).run(apply=True)
            except Killed:
                finished = False
            world.store = whole
            await world.cleaning(holder="one", batch=2, plans_ms=DAY_MS).run(apply=True)
            world.ahead_ms = 0
            left = [d["_id"] for d in await world.everything() if f"t{cut}" in json.dumps(d)]
            assert left == [], f"cut after write {cut}"
            assert await world.stored() == set()
            if finished:
                assert cut > 5
                return

    run(story(), timeout_s=120)


# Mark and sweep by itself: whatever refers to what, nothing that is referred to is taken.

TABLES = ("collections", "cook_jobs", "cook_events", "generationOutputs", "spells", "cursors")


@st.composite
def graphs(draw):
    """(blobs: index -> those it names, or None for a picture; table -> those its one record names)"""
    count = draw(st.integers(1, 8))
    names = st.sets(st.integers(0, count - 1), max_size=3)
    blobs = [draw(st.none() | names) for _ in range(count)]
    roots = {table: draw(names) for table in draw(st.sets(st.sampled_from(TABLES)))}
    return blobs, roots, draw(st.booleans()), draw(st.sets(st.integers(0, count - 1)))


def reachable(blobs, roots):
    found, todo = set(), set(roots)
    while todo:
        index = todo.pop()
        if index not in found:
            found.add(index)
            todo |= blobs[index] or set()
    return found


class Shelf:
    """Blobs in memory: digest -> content; ``young`` ones have just been used."""

    def __init__(self, contents, young):
        self.contents, self.young = contents, young

    async def list(self):
        for digest, content in list(self.contents.items()):
            yield digest, len(content)

    async def get(self, digest):
        return self.contents[digest]

    async def touched_ms(self, digest):
        return 2_000 if digest in self.young else 0

    async def discard(self, digest, *, touched_before_ms):
        if await self.touched_ms(digest) >= touched_before_ms:
            return False
        del self.contents[digest]
        return True


class Shop:
    """A store whose tables hold one record each."""

    def __init__(self, tables):
        self.tables = tables

    async def find(self, table, where, *, limit, after):
        return [dict(self.tables[table])] if table in self.tables and after is None else []


@settings(max_examples=100, suppress_health_check=list(HealthCheck), deadline=None)
@given(graphs())
def test_whatever_refers_to_what_nothing_referred_to_is_taken_and_all_else_is(graph):
    blobs, roots, typed, young = graph
    digests = [f"{index:064x}"[::-1] for index in range(1, len(blobs) + 1)]

    def name(index):  # pictures by type, documents bare, as records do
        return ref(digests[index]) if blobs[index] is None and typed else {"config": digests[index]}

    contents = {
        digest: b"\x89PNG" if named is None else MAGIC + json.dumps([name(i) for i in named]).encode()
        for digest, named in zip(digests, blobs, strict=True)
    }
    tables = {table: {"_id": "x", "deep": [name(i) for i in named]} for table, named in roots.items()}
    shelf = Shelf(contents, {digests[i] for i in young})
    sweeping = Sweeping(Shop(tables), shelf, TABLES)

    async def sweep():
        marks = await sweeping.mark(touched_before_ms=1_000)
        async for digest, _ in sweeping.unreferenced(marks, touched_before_ms=1_000):
            await sweeping.take(marks, digest, touched_before_ms=1_000)

    asyncio.run(sweep())
    kept = reachable(blobs, {i for named in roots.values() for i in named} | young)
    assert set(contents) == {digests[i] for i in kept}


def test_a_document_that_is_named_as_a_medium_first_is_still_read():
    layer, recipe = "a" * 64, "b" * 64
    shelf = Shelf({layer: b"\x89PNG", recipe: json.dumps(ref(layer)).encode()}, set())
    tables = {
        "collections": {"_id": "x", "said": f"sha256:{recipe}"},
        "cook_events": {"_id": "y", "c": recipe},
    }

    async def sweep():
        sweeping = Sweeping(Shop(tables), shelf, TABLES)
        marks = await sweeping.mark(touched_before_ms=1_000)
        return [digest async for digest, _ in sweeping.unreferenced(marks, touched_before_ms=1_000)]

    assert asyncio.run(sweep()) == []


@given(st.lists(st.text("0123456789abcdef", min_size=64, max_size=64), max_size=20), st.data())
def test_marks_tell_apart_what_is_stored_marked_and_neither(digests, data):
    marks = Marks(digests)
    assert len(marks) == len({d[:16] for d in digests})
    marked = data.draw(st.sets(st.sampled_from(digests), max_size=5)) if digests else set()
    marks.mark([*marked, "f" * 63 + "e"])
    for digest in digests:
        assert marks.is_unreferenced(digest) == (digest[:16] not in {m[:16] for m in marked})
    read = marks.to_read(digests)
    assert {d[:16] for d in read} == {d[:16] for d in digests}
    assert marks.to_read(digests) == []


def test_references_are_found_in_packed_and_binary_text():
    media, bare = "1" * 64, "2" * 64
    packed = json.dumps({"detail": json.dumps({"output": ref(media)}), "plan": bare})
    assert references(packed.encode()) == ({media}, {bare})
    assert references(b"\0\xff" + bare.encode() + b"\0") == (set(), {bare})


def test_a_blob_put_while_it_is_taken_away_is_never_lost(tmp_path):
    """Two threads of a store: one puts the content again and again, one discards what is old."""
    files = BlobFiles(tmp_path / "blobs")
    digest = files.put_bytes(b"content")
    blobs = FsBlobs(tmp_path / "blobs")

    async def story():
        lost = 0
        for _ in range(150):
            await blobs.put(b"content")
            os.utime(files.path(digest), (0, 0))
            before = wall_ms() - HOUR_MS
            put, _ = await asyncio.gather(
                blobs.put(b"content"), blobs.discard(digest, touched_before_ms=before)
            )
            lost += await blobs.size(put) is None
        assert lost == 0
        os.utime(files.path(digest), (0, 0))
        assert await blobs.discard(digest, touched_before_ms=wall_ms())
        assert await blobs.discard(digest, touched_before_ms=wall_ms()), "gone is gone"
        assert await blobs.touched_ms(digest) is None

    asyncio.run(story())


def test_a_blob_that_is_used_while_it_is_being_moved_aside_is_put_back(tmp_path, monkeypatch):
    files = BlobFiles(tmp_path / "blobs")
    digest = files.put_bytes(b"content")
    os.utime(files.path(digest), (0, 0))
    rename = Path.rename

    def just_too_late(self, target):
        os.utime(self)
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", just_too_late)
    assert files.discard(digest, touched_before_ms=wall_ms() - HOUR_MS) is False
    assert files.read(digest) == b"content"


def test_the_names_of_tables_are_those_of_the_store(world):
    assert {"collections", "cook_events", "generationOutputs", "plans"} <= NAMES
