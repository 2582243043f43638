"""What is particular to the MongoDB engine: plans, keys, gathering of writes, lost answers, addresses."""

import asyncio
import contextlib
import gc
from collections import Counter

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo.errors import OperationFailure

from cauldron.adapters.mongo import MongoStore
from cauldron.adapters.mongo_link import Link
from cauldron.adapters.mongo_query import MongoTable, select
from cauldron.domain.errors import (
    CauldronError,
    Duplicate,
    Invalid,
    Refused,
    StaleVersion,
    StorageFull,
    Unavailable,
)
from cauldron.ports.storage import Claim, Compare, Delete, Index, Insert, Patch, Put, Table
from tests.adapters.queries import QUERIES, TABLE
from tests.mongod import database, single

LOG = Table(
    name="log",
    feed=True,
    indexes=(Index(fields=("stream", "seq"), unique=True), Index(fields=("cmds",), unique=True, multi=True)),
)
CLAIM = Claim(
    table="pieces",
    where={"status": "queued"},
    order=("rank",),
    set={"status": "running", "worker": "w"},
    limit=3,
    increment=("deliveries",),
)


@pytest.fixture
def url():
    with database() as address:
        yield address


@pytest.fixture
def admin():
    with single().client() as client:
        yield client.admin


async def opened(url, *tables, **options):
    store = MongoStore(url, **options)
    await store.open(tables or (TABLE, LOG))
    return store


def told(run, url, story, *tables, **options):
    """Run ``story(store)`` and close; nothing may be left behind in the loop."""

    async def whole():
        store = await opened(url, *tables, **options)
        try:
            return await story(store)
        finally:
            await store.close()
            await asyncio.sleep(0.05)
            left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            assert not left, left

    return run(whole())


@contextlib.contextmanager
def failing(admin, commands, times=1, **how):
    """Make the server fail some commands of ours."""
    data = {"failCommands": list(commands), "appName": "cauldron", **how}
    mode = "alwaysOn" if times is None else {"times": times}
    admin.command({"configureFailPoint": "failCommand", "mode": mode, "data": data})
    try:
        yield
    finally:
        admin.command({"configureFailPoint": "failCommand", "mode": "off"})


def piece(n, **more):
    return {"_id": f"p{n}", "cook": "c", "status": "queued", "rank": n, **more}


def entry(n, stream="s"):
    return {"_id": f"{stream}:{n:05}", "stream": stream, "seq": n, "cmds": [f"{stream}{n}"]}


async def taken(watch, count, timeout_s=10.0):
    async with asyncio.timeout(timeout_s):
        return [await anext(watch) for _ in range(count)]


# plans


def stages(plan):
    inner = [*plan.get("inputStages", ()), *([plan["inputStage"]] if "inputStage" in plan else ())]
    return [plan["stage"], *(name for each in inner for name in stages(each))]


@pytest.fixture(scope="module")
def explained():
    """What the server does for a query of a table: ``explained("pieces", query)``."""
    with database() as url, asyncio.Runner() as runner, single().client() as client:
        runner.run(runner.run(opened(url)).close())
        tables = client[url.rpartition("/")[2].partition("?")[0]]

        def stages_of(table, query):
            find = {"find": table, "filter": query.filter, "sort": dict(query.sort), "hint": query.hint}
            return stages(tables.command("explain", find)["queryPlanner"]["winningPlan"])

        yield stages_of


@pytest.mark.parametrize(("where", "order", "after", "sorting"), QUERIES, ids=repr)
def test_every_query_reads_an_index_and_sorts_nothing_in_memory(explained, where, order, after, sorting):
    for query in select(MongoTable(TABLE), where, order, after=after):
        found = explained("pieces", query)
        assert "IXSCAN" in found or "IDHACK" in found, found
        assert "COLLSCAN" not in found
        assert "mongo" in sorting or "SORT" not in found, found


def test_the_newest_commit_of_a_stream_is_read_without_a_sort(explained):
    (query,) = select(MongoTable(LOG), {"stream": "s", "seq": Compare(">", 3)}, ("-seq",))
    assert explained("log", query) == ["FETCH", "IXSCAN"]


# documents


WILD = st.text(st.sampled_from("$%.0245F_t\0sev ä"), max_size=5)


@settings(suppress_health_check=list(HealthCheck), deadline=None, max_examples=60)
@given(top=st.dictionaries(WILD, st.dictionaries(WILD, st.integers() | st.none(), max_size=3), max_size=4))
def test_every_key_comes_back_wherever_it_stands(run, url, top):
    body = {
        key: {k: v for k, v in value.items() if v is None or abs(v) < 2**63} for key, value in top.items()
    }
    body = {key: value for key, value in body.items() if key not in ("_id", "_v")}

    async def story(store):
        for op in (Put("pieces", {"_id": "k", **body}), Put("pieces", {"_id": "k", **body}, 1)):
            await store.commit([op])
            [doc] = await store.get("pieces", ["k"])
            assert {k: v for k, v in doc.items() if k not in ("_id", "_v")} == body
        await store.commit([Patch("pieces", "k", {"inner": body})])
        assert (await store.get("pieces", ["k"]))[0]["inner"] == body
        await store.commit([Delete("pieces", "k")])

    told(run, url, story)


def test_paths_reach_fields_with_odd_names(run, url):
    async def story(store):
        await store.commit(
            [Insert("pieces", {"_id": "a", "$x": {"%24": 1}, "_t": 5, "list": [{"n": 1}], "0": {}})]
        )
        await store.commit([Patch("pieces", "a", {"$x.y": 2, "0.1": "one"}, {"$x.%24": 1, "_t": 5})])
        assert (await store.get("pieces", ["a"]))[0] == {
            "_id": "a",
            "$x": {"%24": 1, "y": 2},
            "_t": 5,
            "list": [{"n": 1}],
            "0": {"1": "one"},
            "_v": 2,
        }
        for path in ("list.0", "list.n", "list.0.n"):
            with pytest.raises(StaleVersion):
                await store.commit([Patch("pieces", "a", {path: 7})])
        with pytest.raises(Invalid):
            await store.commit([Patch("pieces", "a", {"b": {}, "b.c": 1})])

    told(run, url, story)


def test_an_array_equals_none_of_its_elements_but_in_an_index_over_them(run, url):
    async def story(store):
        await store.commit([Insert("pieces", {"_id": "a", "cook": ["c", None], "tags": ["t"]})])
        for wanted in ("c", None, ("c", "d"), Compare(">", "a")):
            assert await store.find("pieces", {"cook": wanted}, order=("-at",)) == []
            with pytest.raises(StaleVersion):
                await store.commit([Patch("pieces", "a", {"x": 1}, {"cook": wanted})])
            with pytest.raises(StaleVersion):
                await store.commit([Delete("pieces", "a", {"cook": wanted})])
        assert len(await store.find("pieces", {"tags": "t"})) == 1

    told(run, url, story)


def test_absent_unique_fields_are_no_duplicates_and_are_found(run, url):
    async def story(store):
        await store.commit([Insert("pieces", {"_id": n, "slug": None}) for n in "ab"])
        await store.commit([Insert("pieces", {"_id": n}) for n in "cd"])
        await store.commit([Insert("pieces", {"_id": "e", "slug": "s"})])
        assert [doc["_id"] for doc in await store.find("pieces", {"slug": None})] == ["a", "b", "c", "d"]
        assert [doc["_id"] for doc in await store.find("pieces", {}, order=("slug",))] == list("abcde")
        with pytest.raises(Duplicate) as caught:
            await store.commit([Patch("pieces", "a", {"slug": "s"})])
        assert caught.value.details["by_id"] is False

    told(run, url, story)


def test_a_feed_document_without_a_unique_field_is_refused(run, url):
    async def story(store):
        with pytest.raises(Invalid, match="seq is missing"):
            await store.commit([Insert("log", {"_id": "x", "stream": "s"})])

    told(run, url, story)


def test_nesting_beyond_the_server_is_refused_and_just_below_is_kept(run, url):
    async def story(store):
        for levels, fits in ((165, True), (175, False), (400, False)):
            doc = {"_id": f"d{levels}"}
            inner = doc
            for _ in range(levels):
                inner["a"] = {}
                inner = inner["a"]
            if fits:
                await store.commit([Insert("pieces", doc)])
                continue
            with pytest.raises(Invalid):
                await store.commit([Insert("pieces", doc)])

    told(run, url, story)


def test_a_document_that_grows_too_big_harms_no_neighbour(run, url):
    async def story(store):
        await store.commit(
            [Insert("pieces", piece(n, pad="x" * (9 << 20) if n == 3 else "")) for n in range(9)]
        )
        patches = [Patch("pieces", f"p{n}", {"more": "y" * (9 << 20) if n == 3 else n}) for n in range(9)]
        results = await asyncio.gather(*(store.commit([patch]) for patch in patches), return_exceptions=True)
        assert [n for n, result in enumerate(results) if result != [None]] == [3]
        assert isinstance(results[3], Invalid)
        assert (await store.get("pieces", ["p3"]))[0]["_v"] == 1

    told(run, url, story)


# gathering


def test_callers_at_once_share_commands_and_a_transaction_is_only_for_several_operations(run, url, admin):
    def counts():
        status = admin.command("serverStatus")
        commands = status["metrics"]["commands"]
        return (
            commands["insert"]["total"],
            commands["update"]["total"],
            status["transactions"]["totalStarted"],
        )

    async def story(store):
        before = counts()
        await asyncio.gather(*(store.commit([Insert("pieces", piece(n))]) for n in range(1000)))
        await asyncio.gather(*(store.commit([Patch("pieces", f"p{n}", {"x": n})]) for n in range(1000)))
        middle = counts()
        await store.commit([Patch("pieces", f"p{n}", {"y": n}) for n in range(1000)], atomic=False)
        after = counts()
        await store.commit([Patch("pieces", "p1", {"z": 1}), Insert("pieces", piece(1000))])
        return before, middle, after, counts()

    before, middle, after, last = told(run, url, story)
    assert middle[0] - before[0] < 20
    assert middle[1] - before[1] < 20
    assert after[1] - middle[1] < 5
    assert after[2] == before[2]
    assert last[2] == before[2] + 1


PATCHES = {
    "the same": lambda n: {"status": "done", "result": None},
    "its own": lambda n: {"status": "done", "result": {"n": n, "in": [{"n": n}], "text": "x" * n}},
    "mixed kinds": lambda n: {"status": "done", "result": (0, False, None, "0", [], {})[n % 6]},
    "escaped keys": lambda n: {"status": "done", "result": {"$n": n} if n == 7 else n},
}


@pytest.mark.parametrize("made", PATCHES.values(), ids=PATCHES)
def test_alike_patches_change_what_each_alone_would(run, url, made):
    """Some documents are absent, some not as expected: those are told, and left as they were."""

    async def story(store):
        held = {n for n in range(100) if n % 9 == 4}
        await store.commit(
            [Insert("pieces", piece(n, status="held" if n in held else "queued")) for n in range(90)]
        )
        patches = [Patch("pieces", f"p{n}", made(n), {"status": "queued"}) for n in range(100)]
        outcomes = await store.commit(patches, atomic=False)
        failed = {n for n, outcome in enumerate(outcomes) if outcome is not None}
        assert failed == held | set(range(90, 100))
        assert all(isinstance(outcomes[n], StaleVersion) and f"p{n}" in str(outcomes[n]) for n in failed)
        for n, doc in enumerate(await store.get("pieces", [f"p{n}" for n in range(90)])):
            there = {**piece(n), "status": "held"} if n in held else {**piece(n), **made(n)}
            assert doc == {**there, "_v": 1 if n in held else 2}
            assert type(doc.get("result")) is type(there.get("result"))

    told(run, url, story)


def test_alike_patches_share_statements(run, url, admin):
    def updates():
        return admin.command("serverStatus")["opcounters"]["update"]

    async def story(store):
        await store.commit([Insert("pieces", piece(n)) for n in range(200)])
        counts = [updates()]
        for made in list(PATCHES.values())[:2]:
            await store.commit([Patch("pieces", f"p{n}", made(n)) for n in range(200)], atomic=False)
            counts.append(updates())
        return counts

    first, same, own = told(run, url, story)
    assert same - first <= 2
    assert own - same <= 5


@pytest.mark.parametrize("times", [1, 2, 3])
def test_alike_patches_whose_answer_is_lost_count_once(run, url, admin, times):
    async def story(store):
        await store.commit([Insert("pieces", piece(n)) for n in range(9)])
        patches = [Patch("pieces", f"p{n}", {"x": [n]}, {"rank": Compare("<", 7)}) for n in range(12)]
        with failing(admin, ["update"], times, **LOST):
            outcomes = await store.commit(patches, atomic=False)
        assert [n for n, outcome in enumerate(outcomes) if outcome] == [7, 8, 9, 10, 11]
        docs = await store.get("pieces", [f"p{n}" for n in range(9)])
        assert [(doc["_v"], doc.get("x")) for doc in docs] == [(2, [n]) for n in range(7)] + [(1, None)] * 2

    told(run, url, story)


def test_one_of_many_alike_patches_that_cannot_be_made_harms_no_other(run, url):
    """One document would grow too big, one would take a name that is unique."""

    async def story(store):
        pad = {3: "x" * (15 << 20)}
        await store.commit([Insert("pieces", piece(n, pad=pad.get(n, ""))) for n in range(9)], atomic=False)
        await store.commit([Insert("pieces", piece(99, slug="s5"))])
        named = [Patch("pieces", f"p{n}", {"slug": f"s{n}"}) for n in range(9)]
        outcomes = await store.commit(named, atomic=False)
        assert [type(outcome).__name__ for outcome in outcomes if outcome] == ["Duplicate"]
        assert isinstance(outcomes[5], Duplicate)
        grown = [Patch("pieces", f"p{n}", {"more": "y" * (2 << 20)}) for n in range(9)]
        with pytest.raises(Invalid):
            await store.commit(grown, atomic=False)
        docs = await store.get("pieces", [f"p{n}" for n in range(9)])
        assert [doc["_v"] for doc in docs] == [3, 3, 3, 2, 3, 2, 3, 3, 3]

    told(run, url, story)


def test_what_was_written_first_in_a_commit_is_there_for_what_comes_later_in_it(run, url):
    async def story(store):
        ops = [
            Insert("pieces", piece(1)),
            Insert("log", entry(1)),
            Insert("pieces", piece(2)),
            Patch("pieces", "p1", {"status": "held"}, {"status": "queued"}),
            Delete("pieces", "p2"),
            Insert("pieces", piece(2, again=True)),
        ]
        assert await store.commit(ops, atomic=False) == [None] * 6
        first, second = await store.get("pieces", ["p1", "p2"])
        assert (first["status"], second["again"], second["_v"]) == ("held", True, 1)

    told(run, url, story)


def test_a_caller_that_gives_up_harms_nobody_and_close_finishes_the_rest(run, url):
    async def story(store):
        commits = [asyncio.create_task(store.commit([Insert("pieces", piece(n))])) for n in range(100)]
        pairs = [
            asyncio.create_task(store.commit([Insert("pieces", piece(n)), Insert("pieces", piece(n + 50))]))
            for n in range(200, 220)
        ]
        await asyncio.sleep(0)
        for task in [*commits[::2], *pairs[::2]]:
            task.cancel()
        results = await asyncio.gather(*commits, *pairs, return_exceptions=True)
        assert all(result in ([None], [None, None]) for result in (*results[1:100:2], *results[101::2]))

    told(run, url, story)


# answers that are lost


LOST = {"writeConcernError": {"code": 262, "errmsg": "too slow"}, "errorLabels": ["RetryableWriteError"]}


@pytest.mark.parametrize("times", [1, 2, 3, 5])
@pytest.mark.parametrize(
    "op",
    [
        Insert("pieces", piece(7)),
        Put("pieces", piece(8), 0),
        Put("pieces", piece(1, put=1)),
        Put("pieces", piece(1, put=1), 1),
        Patch("pieces", "p1", {"status": "held"}, {"status": "queued"}),
        Delete("pieces", "p1", {"status": "queued"}),
    ],
    ids=lambda op: f"{type(op).__name__} {getattr(op, 'expected', '')}",
)
def test_a_write_whose_answer_is_lost_counts_once(run, url, admin, op, times):
    """The server carries it out and answers with trouble, to us and to the driver's own try."""

    async def story(store):
        await store.commit([Insert("pieces", piece(1))])
        with failing(admin, ["insert", "update", "delete"], times, **LOST):
            assert await store.commit([op]) == [None]
        name = op.doc["_id"] if hasattr(op, "doc") else op.id
        [doc] = await store.get("pieces", [name])
        expected = {"p7": 1, "p8": 1, "p1": 2}[name]
        assert (doc and doc["_v"]) == (None if isinstance(op, Delete) else expected)

    told(run, url, story)


@pytest.mark.parametrize("times", [1, 2, 3])
@pytest.mark.parametrize("limit", [1, 3])
def test_a_claim_whose_answer_is_lost_takes_nothing_twice(run, url, admin, limit, times):
    claim = Claim(**{**{f: getattr(CLAIM, f) for f in CLAIM.__dataclass_fields__}, "limit": limit})

    async def story(store):
        await store.commit([Insert("pieces", piece(n)) for n in range(6)])
        with failing(admin, ["update", "findAndModify"], times, **LOST):
            docs = await store.claim(claim)
        assert [(doc["_id"], doc["deliveries"], doc["_v"]) for doc in docs] == [
            (f"p{n}", 1, 2) for n in range(limit)
        ]
        assert docs == await store.get("pieces", [f"p{n}" for n in range(limit)])
        assert len(await store.find("pieces", {"status": "queued"}, order=("rank",))) == 6 - limit

    told(run, url, story)


def test_losers_hear_the_truth_although_the_answer_was_lost(run, url, admin):
    async def story(store):
        await store.commit([Insert("pieces", piece(1, slug="a"))])
        with failing(admin, ["insert", "update"], 3, **LOST):
            outcomes = await store.commit(
                [
                    Insert("pieces", piece(1)),
                    Insert("pieces", piece(2, slug="a")),
                    Insert("pieces", piece(3)),
                    Patch("pieces", "p1", {"x": 1}, {"status": "held"}),
                    Patch("pieces", "p3", {"x": 1}),
                    Patch("pieces", "absent", {"x": 1}),
                ],
                atomic=False,
            )
        kinds = [type(outcome).__name__ for outcome in outcomes]
        assert kinds == ["Duplicate", "Duplicate", "NoneType", "StaleVersion", "NoneType", "StaleVersion"]

    told(run, url, story)


@pytest.mark.parametrize(
    "how", [{"closeConnection": True}, {"errorCode": 10107}, {"errorCode": 189}], ids=repr
)
def test_passing_trouble_reaches_no_caller(run, url, admin, how):
    async def story(store):
        commands = ["insert", "update", "delete", "find", "findAndModify", "commitTransaction"]
        with failing(admin, commands, 5, **how):
            await store.commit([Insert("pieces", piece(n)) for n in range(3)], atomic=False)
            await store.commit([Patch("pieces", "p0", {"x": 1}), Patch("pieces", "p1", {"x": 1})])
        with failing(admin, commands, 3, **how):
            assert len(await store.find("pieces", {"status": "queued"}, order=("rank",))) == 3
        with failing(admin, commands, 3, **how):
            assert len(await store.claim(CLAIM)) == 3
        docs = await store.get("pieces", ["p0", "p1", "p2"])
        assert [(doc["_v"], doc["status"]) for doc in docs] == [
            (3, "running"),
            (3, "running"),
            (2, "running"),
        ]

    told(run, url, story)


def test_no_primary_for_too_long_is_unavailable(run, url, admin):
    async def story(store):
        with failing(admin, ["insert", "find"], None, errorCode=10107):
            for asking in (store.commit([Insert("pieces", piece(1))]), store.find("pieces", {})):
                with pytest.raises(Unavailable):
                    await asking
        await store.commit([Insert("pieces", piece(1))])

    told(run, url, story, patience_s=0.3)


def test_a_full_disk_says_so_and_works_again_with_room(run, url, admin):
    async def story(store):
        with failing(admin, ["insert"], 1, errorCode=14031), pytest.raises(StorageFull):
            await store.commit([Insert("pieces", piece(1))])
        assert await store.commit([Insert("pieces", piece(1))]) == [None]

    told(run, url, story)


def test_a_server_that_falls_silent_is_reported_and_so_is_its_return(run, url, admin):
    async def story(store):
        slow = failing(admin, ["ping"], 1, blockConnection=True, blockTimeMS=1600)
        with structlog.testing.capture_logs() as logs, slow:
            for _ in range(80):
                await asyncio.sleep(0.05)
                if len(logs) > 1:
                    break
        return logs

    logs = told(run, url, story)
    assert [entry["event"] for entry in logs][:2] == ["store does not answer: waiting", "store answers again"]
    assert 400 < logs[1]["stalled_ms"] < 4000


# addresses


@pytest.mark.parametrize(
    "address",
    ["", "sqlite:///a", "mongodb://", "mongodb://h", "mongodb://h/", "mongodb://h:x/d", "mongodb://h/admin",
     "mongodb://[::1/d", "mongodb://h/a b", "mongodb://h/d\0"],
    ids=repr,
)  # fmt: skip
def test_addresses_that_cannot_be_used_are_refused(address):
    with pytest.raises(Invalid):
        MongoStore(address)


def test_the_login_is_never_shown(run):
    async def story():
        store = MongoStore("mongodb://anna:s3cr%40t@127.0.0.1:9/studio?authSource=admin", patience_s=0.2)
        with pytest.raises(Unavailable) as caught:
            await store.open([TABLE])
        return caught.value.message

    said = run(story())
    assert "127.0.0.1:9/studio" in said
    assert not any(word in said for word in ("anna", "s3cr%40t", "s3cr@t"))


def test_a_refused_login_is_invalid_and_not_shown(run, url):
    bad = url.replace("mongodb://", "mongodb://anna:s3cret@")
    with pytest.raises(Invalid) as caught:
        run(opened(bad))
    assert "anna" not in caught.value.message
    assert "s3cret" not in caught.value.message


def test_a_database_of_another_program_is_refused_and_left_alone(run, url):
    name = url.rpartition("/")[2].partition("?")[0]
    with single().client() as client:
        client[name].theirs.insert_one({"_id": 1})
        with pytest.raises(Invalid, match="another program"):
            run(opened(url))
        assert client[name].list_collection_names() == ["theirs"]


def test_a_database_of_a_later_version_is_refused(run, url):
    name = url.rpartition("/")[2].partition("?")[0]
    with single().client() as client:
        client[name].cauldron.insert_one({"_id": "layout", "layout": 99})
        with pytest.raises(Refused, match="later version"):
            run(opened(url))


def test_many_handles_open_one_database_at_once(run, url):
    async def story():
        stores = await asyncio.gather(*(opened(url) for _ in range(6)))
        await stores[0].commit([Insert("pieces", piece(1))])
        assert len(await stores[5].find("pieces", {})) == 1
        for store in stores:
            await store.close()

    run(story())


def test_a_changed_index_stands_beside_the_old_one(run, url):
    async def story():
        for where in ({"status": "queued"}, {"status": ("queued", "held")}):
            table = Table(name="pieces", indexes=(Index(fields=("rank",), where=where),))
            store = await opened(url, table)
            await store.commit([Insert("pieces", {"_id": str(where), "rank": 1, "status": "queued"})])
            found = await store.find("pieces", {"status": "queued"}, order=("rank",))
            await store.close()
        return found

    assert len(run(story())) == 2


def test_a_store_that_is_not_open_says_so(run, url):
    async def story():
        store = MongoStore(url)
        for _ in range(2):
            with pytest.raises(Unavailable):
                await store.get("pieces", ["a"])
            with pytest.raises(CauldronError):
                await store.commit([Insert("pieces", piece(1))])
            await store.open([TABLE])
            assert await store.get("pieces", ["a"]) == [None]
            await store.close()
            await store.close()

    run(story())


def test_sizes_are_counted_by_table(run, url):
    async def story(store):
        await store.commit([Insert("pieces", piece(n)) for n in range(20)])
        sizes = await store.tables_info()
        assert sizes["pieces"][0] == 20
        assert 20 * 60 < sizes["pieces"][1] < 20 * 400
        assert sizes["log"] == (0, 0)

    told(run, url, story)


# following


def test_a_scan_taken_up_again_shows_each_insert_once(run, url):
    """Half of the past is read; more is inserted before and after the reader comes back."""

    async def story(store):
        await store.commit([Insert("log", entry(n)) for n in range(1200)], atomic=False)
        first = store.watch("log", after="")
        seen = await taken(first, 700)
        await store.commit([Insert("log", entry(n, "t")) for n in range(100)], atomic=False)
        await first.aclose()
        second = store.watch("log", after=seen[-1][0])
        more = await taken(second, 550)
        await store.commit([Insert("log", entry(n, "u")) for n in range(50)], atomic=False)
        more += await taken(second, 100)
        names = [doc["_id"] for _, doc in seen + more]
        assert len(names) == len(set(names)) == 1350
        cursor = more[-1][0]
        await store.commit([Insert("log", entry(1, "v"))])
        [(_, last)] = await taken(store.watch("log", after=cursor), 1)
        assert last["_id"] == "v:00001"
        assert "_ts" not in last

    told(run, url, story)


def test_the_past_is_shown_in_the_order_of_commits_not_of_ids(run, url):
    async def story(store):
        order = ["z", "a", "m", "b"]
        for stream in order:
            await store.commit([Insert("log", entry(1, stream))])
        return [doc["stream"] for _, doc in await taken(store.watch("log", after=""), 4)] == order

    assert told(run, url, story)


def test_lost_history_is_made_good_by_scanning_again(run, url, admin):
    """A reader that was there all the time sees nothing twice; one that comes back late misses nothing."""

    async def story(store):
        live = store.watch("log", after="")
        await store.commit([Insert("log", entry(n)) for n in range(10)])
        seen = await taken(live, 10)
        with failing(admin, ["aggregate", "getMore"], 2, errorCode=286):
            await store.commit([Insert("log", entry(n)) for n in range(10, 30)])
            seen += await taken(live, 20)
        assert [doc["seq"] for _, doc in seen] == list(range(30))
        with failing(admin, ["aggregate"], 1, errorCode=286):
            late = store.watch("log", after=seen[14][0])
            found: set[int] = set()
            while not found >= set(range(15, 30)):
                found.add((await taken(late, 1))[0][1]["seq"])

    told(run, url, story)


def test_a_feed_goes_on_after_a_broken_connection(run, url, admin):
    async def story(store):
        feed, bell = store.watch("log"), store.watch("pieces")
        for n in range(6):
            with failing(admin, ["getMore", "aggregate"], 2, closeConnection=True):
                await store.commit([Insert("log", entry(n)), Insert("pieces", piece(n))], atomic=False)
                [(_, doc)] = await taken(feed, 1)
                assert doc["seq"] == n
                await taken(bell, 1)

    told(run, url, story)


def test_a_bell_rings_on_through_a_flood_and_is_still_when_it_is_over(run, url):
    async def story(store):
        other = await opened(url)
        bell = store.watch("pieces")
        for n in range(0, 2000, 50):
            await other.commit([Insert("pieces", piece(n + k)) for k in range(50)], atomic=False)
        await taken(bell, 3)
        await asyncio.sleep(0.6)
        bell._event.clear()
        await asyncio.sleep(0.5)
        assert not bell._event.is_set()
        await other.commit([Patch("pieces", "p1", {"x": 1})])
        await taken(bell, 1, timeout_s=0.5)
        await other.close()

    told(run, url, story)


def test_a_feed_that_nobody_holds_stops_reading(run, url):
    async def story(store):
        feed = store.watch("log", after="")
        await store.commit([Insert("log", entry(1))])
        await taken(feed, 1)
        task = feed._task
        del feed
        gc.collect()
        await asyncio.sleep(0.1)
        assert task.done()

    told(run, url, story)


def test_a_feed_waits_for_its_reader(run, url):
    async def story(store):
        feed = store.watch("log")
        for start in range(0, 3000, 500):
            await store.commit([Insert("log", entry(n)) for n in range(start, start + 500)], atomic=False)
        await asyncio.sleep(0.5)
        assert len(feed._state.items) <= 1000
        assert [doc["seq"] for _, doc in await taken(feed, 3000)] == list(range(3000))

    told(run, url, story)


# claims


def test_claimers_of_many_handles_share_a_table_fairly_and_exactly(run, url):
    async def story():
        stores = [await opened(url) for _ in range(4)]
        await stores[0].commit([Insert("pieces", piece(n)) for n in range(600)], atomic=False)

        async def claimer(store, limit):
            mine = []
            claim = Claim(**{**{f: getattr(CLAIM, f) for f in CLAIM.__dataclass_fields__}, "limit": limit})
            while len(mine) < 600:
                docs = await store.claim(claim)
                if not docs and not await store.find(
                    "pieces", {"status": "queued"}, order=("rank",), limit=1
                ):
                    return mine
                assert [doc["rank"] for doc in docs] == sorted(doc["rank"] for doc in docs)
                mine += [doc["_id"] for doc in docs]
            return mine

        shares = await asyncio.gather(
            *(claimer(s, limit) for s, limit in zip(stores, (1, 5, 5, 20), strict=True))
        )
        names = [name for share in shares for name in share]
        assert len(names) == len(set(names)) == 600
        assert min(map(len, shares)) > 10
        docs = await stores[0].get("pieces", names)
        assert {(doc["deliveries"], doc["_v"]) for doc in docs} == {(1, 2)}
        for store in stores:
            await store.close()

    run(story())


def test_a_flat_claim_answers_with_what_is_stored(run, url):
    async def story(store):
        for limit in (1, 3):
            await store.commit(
                [Insert("pieces", piece(n, deliveries=None if n % 2 else n)) for n in range(limit)]
            )
            docs = await store.claim(CLAIM)
            assert len(docs) == limit
            assert docs == await store.get("pieces", [doc["_id"] for doc in docs])
            await store.commit([Delete("pieces", doc["_id"]) for doc in docs])

    told(run, url, story)


def test_a_claim_answers_with_what_others_wrote_just_before(run, url):
    """Others patch what is queued while it is claimed: the answer is what is stored, not what was read."""

    async def story():
        here, there = await opened(url), await opened(url)
        for turn in range(30):
            names = [f"p{turn}-{n}" for n in range(20)]
            await here.commit([Insert("pieces", {**piece(n), "_id": name}) for n, name in enumerate(names)])
            guard = {"status": "queued"}
            patches = [Patch("pieces", name, {"note": turn}, guard) for name in names]
            claim = Claim(**{**{f: getattr(CLAIM, f) for f in CLAIM.__dataclass_fields__}, "limit": 20})
            docs, _ = await asyncio.gather(here.claim(claim), there.commit(patches, atomic=False))
            assert docs == await here.get("pieces", [doc["_id"] for doc in docs])
            await here.commit([Delete("pieces", name) for name in names], atomic=False)
        await here.close()
        await there.close()

    run(story())


def test_the_server_is_told_which_index_to_use_and_never_reads_a_whole_table(run, url):
    name = url.rpartition("/")[2].partition("?")[0]

    async def story(store):
        await store.commit([Insert("pieces", piece(n)) for n in range(50)], atomic=False)
        with single().client() as client:
            client[name].command("profile", 2)
        await store.find("pieces", {"cook": "c"}, order=("-at",))
        await store.find("pieces", {}, after=("p1",))
        one = Claim(**{**{f: getattr(CLAIM, f) for f in CLAIM.__dataclass_fields__}, "limit": 1})
        for claim in (one, CLAIM):
            await store.claim(claim)
        await store.commit([Patch("pieces", "p1", {"x": 1}, {"cook": "c"})])
        with single().client() as client:
            client[name].command("profile", 0)
            return list(client[name]["system.profile"].find({"ns": f"{name}.pieces"}))

    seen = told(run, url, story)
    plans = Counter(op.get("planSummary", "").partition(" ")[0] for op in seen)
    assert plans.keys() <= {"IXSCAN", "IDHACK"}, plans
    assert plans["IDHACK"] == 1  # the patch, by id alone
    chosen = [op["command"] for op in seen if {"find", "findAndModify"} & op["command"].keys()]
    assert len(chosen) == 4
    assert all(command["hint"] for command in chosen)


def test_what_the_server_says_is_told_without_the_login():
    link = Link("mongodb://anna:s3cr%40t@h1,h2/studio?authSource=admin", patience_s=1)
    said = link.translate(OperationFailure("user anna with s3cr@t or s3cr%40t via anna:s3cr%40t@h1", 18))
    assert isinstance(said, Invalid)
    assert "mongodb://h1,h2/studio" in said.message
    assert not any(word in said.message for word in ("anna", "s3cr"))
