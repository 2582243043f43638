"""Erasing: nothing personal is left anywhere, the books are what they were, and everything agrees."""

import json
import sqlite3

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cauldron.domain import codec, erasure
from cauldron.domain.cook_state import Cook, fold_commits
from cauldron.domain.errors import Invalid, NotFound, Refused
from cauldron.domain.status import status_document
from cauldron.ports.storage import Insert, Put
from tests.contracts.conftest import STORES
from tests.kitchen import Tapped
from tests.upkeep import ALL_TABLES, HOUR_MS, SECRET, World, cook_and_cast, old, only_collection


@pytest.fixture(params=STORES)
def world(request, tmp_path, run):
    engine = STORES[request.param](tmp_path)
    yield World(run(engine.open(*ALL_TABLES)), tmp_path)
    run(engine.close())


async def secrets_left(world):
    return [doc["_id"] for doc in await world.everything() if SECRET in json.dumps(doc)]


BOOKS = ("costUsd", "generationCount", "durationMs", "status", "state", "approved", "rejected", "pieces")
HELD = ("cooks", "cook_status", "pieces", "generationOutputs", "casts", "exports")


async def books(world):
    """What must survive: money, counts, states, by record."""
    kept = {}
    for table in HELD:
        for doc in await world.store.find(table, {}, limit=1000):
            kept[table, doc["_id"]] = {key: doc[key] for key in BOOKS if key in doc}
    return kept


def test_a_collection_is_erased_and_its_books_stay(world, run):
    async def story():
        await cook_and_cast(world)
        await cook_and_cast(world, name="b", owner="bob")
        before = await books(world)
        everything = await world.everything()
        plan = await world.erasing().run("collection", "k-a", apply=False)
        assert [d["_id"] for d in await world.everything()] == [d["_id"] for d in everything]
        assert plan["commits"] >= 3
        done = await world.erasing().run("collection", "k-a", apply=True)
        assert (done["records"], done["commits"]) == (plan["records"], plan["commits"])
        assert await books(world) == before
        left = await secrets_left(world)
        assert left
        others = ("b", "cast:", *world.casts.values())
        assert all(
            name.split(":")[-1].endswith("-b") or name.startswith(others) or "-b" in name for name in left
        )
        gone = {
            "a-piece-1",
            "a-piece-2",
            "a-piece-3",
            "a-layer",
            "a-option",
            "a-definition",
            "a-plan",
            "a-recipe",
        }
        assert await world.stored() == set(world.media) - gone
        world.ahead_ms = 120_000
        assert await world.faults() == {}, "audit and rebuild agree with what is left"

    run(story())


def test_a_tombstone_says_that_a_collection_was_there(world, run):
    async def story():
        await cook_and_cast(world)
        await world.erasing().run("collection", "k-a", apply=True)
        [stone] = await world.store.get("collections", ["k-a"])
        assert (stone["owner"], stone["supply"], stone["definition"]) == ("ann", 3, {})
        first = stone["erasedAt"]
        world.ahead_ms = 5_000
        again = await world.erasing().run("collection", "k-a", apply=True)
        assert (again["commits"], again["blobs"]) == (0, 0)
        [stone] = await world.store.get("collections", ["k-a"])
        assert stone["erasedAt"] == first

    run(story())


def test_the_log_keeps_its_shape_and_says_that_it_was_redacted(world, run):
    async def story():
        await cook_and_cast(world)
        where = {"stream": "cook:c-a"}
        before = await world.store.find("cook_events", where, order=("seq",))
        await world.erasing().run("collection", "k-a", apply=True)
        after = await world.store.find("cook_events", where, order=("seq",))
        skeleton = ("_id", "stream", "seq", "cmds", "actor", "ts")
        assert [{k: c[k] for k in skeleton} for c in after] == [{k: c[k] for k in skeleton} for c in before]
        types = [[e["type"] for e in c["events"]] for c in before]
        assert [[e["type"] for e in c["events"]] for c in after] == types
        assert all(c["erasedAt"] for c in after)
        one, other = Cook(), Cook()
        fold_commits(one, before)
        fold_commits(other, after)
        assert status_document(one, seq=1) == status_document(other, seq=1)

    run(story())


def test_a_cast_is_erased(world, run):
    async def story():
        await cook_and_cast(world)
        cast = world.casts["a"]
        before = await books(world)
        await world.erasing().run("cast", cast, apply=True)
        assert await books(world) == before
        assert not [name for name in await secrets_left(world) if cast in name]
        assert await world.stored() == set(world.media) - {"a-cast-image"}
        [record] = await world.store.get("casts", [cast])
        assert (record["outputs"], record["spellName"], record["status"]) == ({}, "", "completed")
        assert (await world.casting.jobs.get(cast)) is None
        world.ahead_ms = 120_000
        assert await world.faults() == {}

    run(story())


def test_an_account_is_erased_with_all_it_owns_and_others_are_not(world, run):
    async def story():
        await cook_and_cast(world)
        await cook_and_cast(world, name="b", owner="bob")
        spell = {
            "_id": "s1",
            "owner": "ann",
            "environment": "live",
            "slug": "s",
            "deleted": False,
            "draft": SECRET,
        }
        version = {
            "_id": "s1@1",
            "spellId": "s1",
            "version": 1,
            "owner": "ann",
            "contentHash": "h",
            "document": SECRET,
        }
        aside = {"_id": "old:1", "reason": "x", "legacyId": "1", "document": {"user": "ann", "text": SECRET}}
        other = {"_id": "old:2", "reason": "x", "legacyId": "2", "document": {"user": "bob"}}
        ops = [Insert("spells", spell), Insert("spell_versions", version)]
        ops += [Insert("legacy_set_aside", doc) for doc in (aside, other)]
        await world.store.commit(ops)
        before = await books(world)
        await world.erasing().run("account", "ann", apply=True)
        assert await books(world) == before
        for doc in await world.everything():
            whose = doc.get("owner") or doc.get("actor") or doc.get("userId")
            if SECRET in json.dumps(doc):
                assert whose in ("bob", "system"), doc["_id"]
                assert "-a" not in doc["_id"]
        assert {n for n in await world.stored() if n.startswith("a-")} == set()
        assert set(await world.stored()) == {n for n in world.media if n.startswith("b-")}
        assert await world.store.get("spells", ["s1"]) == [None]
        assert [bool(d) for d in await world.store.get("legacy_set_aside", ["old:1", "old:2"])] == [
            False,
            True,
        ]
        world.ahead_ms = 120_000
        assert await world.faults() == {}

    run(story())


def test_what_two_collections_share_stays_until_both_are_gone(world, run):
    async def story():
        await cook_and_cast(world)
        await cook_and_cast(world, name="b", owner="bob")
        [kept] = await world.store.get("collections", ["k-b"])
        kept["definition"] = {"shared": f"sha256:{world.media['a-layer']}"}
        await world.store.commit([Put("collections", kept, None)])
        await world.erasing().run("collection", "k-a", apply=True)
        assert "a-layer" in await world.stored()
        await world.erasing().run("collection", "k-b", apply=True)
        assert "a-layer" not in await world.stored()

    run(story())


def test_young_media_wait_for_the_clean_up_while_something_is_at_work(world, run):
    async def story():
        await cook_and_cast(world)
        with pytest.raises(Invalid, match="nothing is at work"):
            await world.erasing(idle=False).run("collection", "k-a", apply=True)
        done = await world.erasing(idle=False, grace_ms=2 * HOUR_MS).run("collection", "k-a", apply=True)
        assert (done["blobs"], done["blobsYoung"]) == (0, 5), "beside three that young documents name"
        assert await secrets_left(world) == [d for d in await secrets_left(world) if world.casts["a"] in d]
        old(world)
        await world.cleaning().run(["blobs"], apply=True)
        assert await world.stored() == {"a-cast-image"}

    run(story())


def test_what_is_not_over_or_not_there_is_refused(world, run):
    async def story():
        await cook_and_cast(world)
        await world.k.start(2, cook_id="going", collection_id="k-a")
        for kind, name in (("collection", "k-a"), ("account", "ann")):
            with pytest.raises(Refused, match="cook going is Cooking: stop it first"):
                await world.erasing().run(kind, name, apply=True)
        inner = {"_id": "c-a.1.1", "cookId": "c-a", "owner": "ann", "status": "completed"}
        running = {"_id": "r", "cookId": None, "owner": "zoe", "status": "running"}
        await world.store.commit([Insert("casts", inner), Insert("casts", running)])
        with pytest.raises(Refused, match="part of cook c-a"):
            await world.erasing().run("cast", "c-a.1.1", apply=True)
        for kind, name in (("cast", "r"), ("account", "zoe")):
            with pytest.raises(Refused, match="cancel it first"):
                await world.erasing().run(kind, name, apply=True)
        for kind in ("collection", "cast", "account"):
            with pytest.raises(NotFound):
                await world.erasing().run(kind, "nobody", apply=True)
        with pytest.raises(Invalid, match="'cook' cannot be erased"):
            await world.erasing().run("cook", "c-a", apply=True)

    run(story())


def test_imported_records_without_a_stream_are_redacted_too(world, run):
    async def story():
        await cook_and_cast(world)
        [output] = await world.store.get("generationOutputs", ["c-a.1.1.0"])
        [piece] = await world.store.get("pieces", ["c-a.1"])
        more = {"imported": True, "legacy": {"prompt": SECRET}, "legacyId": "x", "seq": 0, "cookId": None}
        output |= more | {"_id": "old-output", "pieceId": None, "statusReason": SECRET, "status": "failed"}
        output |= {"error": {"code": "failed", "message": SECRET}}
        piece |= more | {"_id": "old-piece", "traits": {"Hat": SECRET}, "outputId": "old-output"}
        await world.store.commit([Put("generationOutputs", output, 0), Put("pieces", piece, 0)])
        await world.erasing().run("collection", "k-a", apply=True)
        assert not [d for d in await secrets_left(world) if world.casts["a"] not in d]
        [left] = await world.store.get("generationOutputs", ["old-output"])
        assert (left["costUsd"], left["error"]["code"], left["legacy"]) == (output["costUsd"], "failed", {})
        assert await world.faults("schema") == {}

    run(story())


class Killed(BaseException):
    """The process ends here."""


def test_killed_after_any_write_a_second_run_finishes_the_work(world, run):
    async def story():
        for cut in range(1, 60):
            name = f"e{cut}"
            await cook_and_cast(world, name=name, owner=name)
            await only_collection(world, f"{name}-never-cooked", environment="live", owner=name)
            writes = 0

            async def tap(point, cut=cut):
                nonlocal writes
                writes += point.startswith("after:")
                if writes >= cut:
                    raise Killed

            whole, finished = world.store, True
            world.store = Tapped(whole, tap)
            try:
                await world.erasing().run("account", name, apply=True)
            except Killed:
                finished = False
            world.store = whole
            await world.erasing().run("account", name, apply=True)
            assert await secrets_left(world) == [], f"cut after write {cut}"
            old(world)
            await world.cleaning(holder="one").run(["blobs"], apply=True)
            assert await world.stored() == set()
            if finished:
                world.ahead_ms = 120_000
                assert await world.faults() == {}
                assert cut > 5
                return

    run(story(), timeout_s=120)


def test_the_bytes_leave_the_file_of_the_embedded_store(tmp_path, run):
    """SQLite keeps what was overwritten in free pages until the file is compacted."""

    async def story():
        engine = STORES["sqlite"](tmp_path)
        world = World(await engine.open(*ALL_TABLES), tmp_path)
        await cook_and_cast(world)
        await world.erasing().run("account", "ann", apply=True)
        await engine.close()
        with sqlite3.connect(engine.path) as db:
            db.execute("VACUUM")
        db.close()
        assert SECRET.encode() not in engine.path.read_bytes()

    run(story())


texts = st.text(max_size=8)
STEP = st.fixed_dictionaries(
    {
        "step": texts,
        "toolId": texts,
        "status": st.sampled_from(["success", "failed"]),
        "costMicroUsd": st.integers(0, 9),
        "inputs": st.dictionaries(texts, texts, max_size=2),
        "outputs": st.dictionaries(texts, texts, max_size=2),
    },
    optional={
        "error": st.fixed_dictionaries({"code": texts, "message": texts}),
        "runId": texts,
        "cacheKey": texts,
    },
)
PIECE, WORDS = st.integers(1, 9), st.dictionaries(texts, texts, max_size=2)
STEPS = st.lists(STEP, max_size=2)
DATA = {
    "PieceGenerated": st.fixed_dictionaries({"piece": PIECE, "output": WORDS, "steps": STEPS}),
    "GenerationFailed": st.fixed_dictionaries({"piece": PIECE, "error": WORDS, "steps": STEPS}),
    "CookPaused": st.fixed_dictionaries({"reason": texts}, optional={"detail": texts}),
    "CookCompleted": st.fixed_dictionaries({"generated": PIECE, "failed": PIECE}),
    "CastStarted": st.fixed_dictionaries({"castId": texts, "inputs": WORDS}),
    "CastFailed": st.fixed_dictionaries({"steps": STEPS, "outputs": WORDS, "error": WORDS}),
}
EVENTS = st.one_of(st.tuples(st.just(kind), data) for kind, data in DATA.items())


@settings(suppress_health_check=list(HealthCheck), deadline=None)
@given(st.lists(EVENTS, min_size=1, max_size=4), st.integers(1, 99))
def test_redacting_twice_is_redacting_once_and_costs_stay(events, at):
    commit = codec.pack(
        {
            "_id": "s:1",
            "stream": "s",
            "seq": 1,
            "cmds": ["k"],
            "actor": "ann",
            "ts": 5,
            "events": [{"type": kind, "v": 1, "data": data, "c": 0} for kind, data in events],
        }
    )
    once = erasure.redacted_commit(commit, at=at)
    assert erasure.redacted_commit(once, at=at + 1) == once
    before, after = codec.unpack(commit), codec.unpack(once)
    for old_event, new_event in zip(before["events"], after["events"], strict=True):
        old_steps, new_steps = (e["data"].get("steps", []) for e in (old_event, new_event))
        assert [s["costMicroUsd"] for s in old_steps] == [s["costMicroUsd"] for s in new_steps]
        assert all(s["inputs"] == {} and s["outputs"] == {} and "cacheKey" not in s for s in new_steps)
