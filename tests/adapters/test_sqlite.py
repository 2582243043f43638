"""What is particular to the SQLite engine: plans, errors of files, a full disk, the log's size."""

import asyncio
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from cauldron.adapters.sqlite import SqliteStore
from cauldron.adapters.sqlite_file import Turnstile
from cauldron.adapters.sqlite_query import select
from cauldron.adapters.sqlite_sql import TableSql
from cauldron.domain.errors import CauldronError, Invalid, Refused, Unavailable
from cauldron.ports.storage import Claim, Index, Insert, Patch, Table
from tests.adapters.queries import QUERIES, TABLE


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store.db"


async def opened(path, *tables, **options):
    store = SqliteStore(path, **options)
    await store.open(tables or (TABLE,))
    return store


@pytest.mark.parametrize(("where", "order", "after", "sorting"), QUERIES, ids=repr)
def test_every_query_searches_an_index_and_scans_no_table(path, run, where, order, after, sorting):
    """``sorting``: equal or several ranges of the index must be merged; never the whole table."""
    run(_make(path))
    db = sqlite3.connect(path)
    for sql, params in select(TableSql(TABLE), where, order, after=after):
        plan = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {sql}", (*params, 10))]
        whole = [step for step in plan if step.startswith("SCAN") and "json_each" not in step]
        in_order = not where or where == {"status": "queued"}  # the partial index holds just these
        assert not whole or (in_order and "USING INDEX" in whole[0]), plan
        assert "sqlite" in sorting or not any("TEMP B-TREE FOR ORDER BY" in step for step in plan), plan
    db.close()


async def _make(path):
    await (await opened(path)).close()


def test_a_claim_and_a_patch_search_their_index(path, run):
    run(_make(path))
    table = TableSql(TABLE)
    db = sqlite3.connect(path)
    ((choose, params),) = select(table, {"status": "queued"}, ("rank",), columns="pos")
    patch = table.prepare(Patch("pieces", "a", {"x": 1}, {"status": "queued"}))
    for sql, values in ((choose, (*params, 5)), (patch.sql, patch.params)):
        (step,) = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {sql}", values)]
        assert "USING INDEX" in step
    db.close()


@pytest.mark.parametrize("limit", [1, 20, 700])
def test_a_group_failing_as_a_whole_is_tried_again_caller_by_caller(path, run, limit):
    """A statement SQLite itself refuses harms the caller who sent it and nobody else."""

    async def story():
        store = await opened(path)
        sqlite3.connect(path).execute('CREATE TRIGGER no BEFORE INSERT ON pieces WHEN new.id = "x" '
                                      "BEGIN SELECT json('{') ; END").connection.close()  # fmt: skip
        names = [f"d{n}" for n in range(limit)]
        names.insert(limit // 2, "x")
        results = await asyncio.gather(
            *(store.commit([Insert("pieces", {"_id": name})]) for name in names), return_exceptions=True
        )
        failed = [name for name, result in zip(names, results, strict=True) if result != [None]]
        assert failed == ["x"]
        assert isinstance(results[limit // 2], CauldronError)
        assert len(await store.find("pieces", {})) == limit
        await store.close()

    run(story())


def other_program(path):
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE theirs(a)")


def later_version(path):
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA application_id={0x4341554C}")
        db.execute("PRAGMA user_version=99")


@pytest.mark.parametrize(
    ("spoil", "error", "says"),
    [
        (lambda path: path.write_bytes(b"no database at all" * 500), Invalid, "not a database"),
        (other_program, Invalid, "another program"),
        (later_version, Refused, "later version"),
        (lambda path: path.mkdir(), Unavailable, "unable to open"),
    ],
    ids=["garbage", "another program's", "newer", "folder"],
)
def test_a_file_that_is_not_ours_is_refused_and_left_alone(path, run, spoil, error, says):
    spoil(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(error, match=says) as caught:
        run(opened(path))
    assert "store.db" in caught.value.message
    assert before is None or path.read_bytes() == before


def test_a_damaged_database_says_so(path, run):
    async def story():
        store = await opened(path)
        await store.commit([Insert("pieces", {"_id": f"d{n}", "x": "y" * 500}) for n in range(400)])
        await store.close()
        content = bytearray(path.read_bytes())
        content[8192:] = b"\xff" * (len(content) - 8192)
        path.write_bytes(content)
        with pytest.raises(Invalid, match="damaged"):
            damaged = await opened(path)
            try:
                await damaged.find("pieces", {})
            finally:
                await damaged.close()

    run(story())


def test_a_store_that_is_not_open_says_so(path, run):
    async def story():
        store = await opened(path)
        await store.close()
        await store.close()
        for asking in (
            store.get("pieces", ["a"]),
            store.find("pieces", {}),
            store.commit([Insert("pieces", {"_id": "a"})]),
        ):
            with pytest.raises(Unavailable):
                await asking
        with pytest.raises(Unavailable):
            await SqliteStore(path).get("pieces", ["a"])
        await store.open([TABLE])
        assert await store.get("pieces", ["a"]) == [None]
        await store.close()

    run(story())


@pytest.mark.parametrize(
    "url",
    ["", "postgres://x/y", "sqlite://", "sqlite:///", "sqlite://host/file", "sqlite:///a?synchronous=OFF"],
    ids=repr,
)
def test_urls_that_name_no_file_are_refused(url):
    with pytest.raises(Invalid):
        SqliteStore.for_url(url)


def test_urls_name_files_relative_or_absolute():
    assert SqliteStore.for_url("sqlite:////srv/my%20data/a.db").path == Path("/srv/my data/a.db")
    assert SqliteStore.for_url("sqlite:///a.db?synchronous=NORMAL").path == Path.cwd() / "a.db"


def test_declarations_that_make_no_sense_are_refused():
    for index in (
        Index(fields=()),
        Index(fields=("a", "b"), multi=True),
        Index(fields=('a"',)),
        Index(fields=("a",), where={"b": [1]}),
        Index(fields=("a",), where={"b": (None, 1)}),
    ):
        with pytest.raises(Invalid):
            TableSql(Table(name="t", indexes=(index,))).statements()
            [
                sql
                for each in TableSql(Table(name="t", indexes=(index,))).indexes
                for sql in each.statements("t")
            ]
    for name in ("", "1a", 'a"b', "a b", "a" * 64, "sqlite\n"):
        with pytest.raises(Invalid):
            TableSql(Table(name=name))


def test_the_log_stays_short_while_two_handles_write(path, run):
    """160 MB are written; the log is cut at 48, give or take what arrives meanwhile."""

    async def fill(store, who):
        longest = 0
        for n in range(100):
            docs = [{"_id": f"{who}:{n}:{k}", "pad": "x" * 40_000} for k in range(20)]
            await store.commit([Insert("t", doc) for doc in docs], atomic=False)
            longest = max(longest, Path(f"{path}-wal").stat().st_size)
        return longest

    async def story():
        stores = [await opened(path, Table(name="t")) for _ in range(2)]
        sizes = await asyncio.gather(*(fill(store, str(n)) for n, store in enumerate(stores)))
        assert max(sizes) < 128 * 1024 * 1024
        for store in stores:
            await store.close()
        assert not Path(f"{path}-wal").exists()

    run(story())


def test_a_copy_made_while_others_write_is_whole(path, tmp_path, run):
    async def story():
        store = await opened(path)
        pair = [Insert("pieces", {"_id": "a0"}), Insert("pieces", {"_id": "b0"})]
        await store.commit(pair)
        writing = asyncio.gather(
            *(store.commit([Insert("pieces", {"_id": f"{w}{n}"}) for w in "ab"]) for n in range(1, 200))
        )
        await store.backup_to(tmp_path / "copy.db")
        await writing
        copy = await opened(tmp_path / "copy.db")
        ids = [doc["_id"] for doc in await copy.find("pieces", {})]
        assert ids
        assert sorted(name[1:] for name in ids if name[0] == "a") == sorted(n[1:] for n in ids if n[0] == "b")
        with pytest.raises(Invalid):
            await store.backup_to(tmp_path / "copy.db")
        assert (await store.tables_info())["pieces"] == (
            400,
            sum(len(f'{{"_id":"a{n}"}}') * 2 for n in range(200)),
        )
        for each in (store, copy):
            await each.close()

    run(story())


def test_a_store_without_a_path_leaves_nothing(run):
    async def story():
        store = await opened(None)
        await store.commit([Insert("pieces", {"_id": "a"})])
        folder = store.path.parent
        assert folder.exists()
        await store.close()
        assert not folder.exists()

    run(story())


def test_reads_do_not_wait_for_a_writer_that_waits(path, run):
    async def story():
        store = await opened(path)
        await store.commit([Insert("pieces", {"_id": "a", "cook": "c"})])
        with Turnstile(path).entered():
            stuck = asyncio.create_task(store.commit([Insert("pieces", {"_id": "b"})]))
            await asyncio.sleep(0.05)
            async with asyncio.timeout(1):
                assert await store.get("pieces", ["a", "b"]) == [{"_id": "a", "cook": "c", "_v": 1}, None]
                assert len(await store.find("pieces", {"cook": "c"}, order=("-at",))) == 1
            assert not stuck.done()
        assert await stuck == [None]
        await store.close()

    run(story())


def test_a_caller_that_gives_up_harms_nobody(path, run):
    async def story():
        store = await opened(path)
        tasks = [asyncio.create_task(store.commit([Insert("pieces", {"_id": f"{n}"})])) for n in range(100)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert results[1::2] == [[None]] * 50
        claim = Claim(table="pieces", where={"status": "queued"}, order=("rank",), set={}, limit=1)
        assert await store.claim(claim) == []
        await store.close()

    run(story())


FULL = """
import asyncio, resource, signal, sys
from pathlib import Path
from cauldron.adapters.sqlite import SqliteStore
from cauldron.domain.errors import StorageFull
from cauldron.ports.storage import Insert, Table

async def main():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    store = SqliteStore(Path(sys.argv[1]))
    await store.open([Table(name="t")])
    other = SqliteStore(Path(sys.argv[1]))
    await other.open([Table(name="t")])
    resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, resource.RLIM_INFINITY))
    kept, refused = [], 0
    async def put(name):
        nonlocal refused
        try:
            await store.commit([Insert("t", {"_id": name, "pad": "x" * 3000}) for name in (name, name + "'")])
            kept.extend((name, name + "'"))
        except StorageFull:
            refused += 1
    for n in range(40):
        await asyncio.gather(*(put(f"{n}:{k}") for k in range(10)))
    assert kept and refused, (len(kept), refused)
    for handle in (store, other):
        assert sorted(d["_id"] for d in await handle.find("t", {}, limit=10_000)) == sorted(kept)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    before = len(kept)
    await asyncio.gather(*(put(f"more:{k}") for k in range(200)))
    assert len(kept) == before + 400
    await store.close()
    again = SqliteStore(Path(sys.argv[1]))
    await again.open([Table(name="t")])
    assert sorted(d["_id"] for d in await again.find("t", {}, limit=10_000)) == sorted(kept)
    await again.close()
    await other.close()

asyncio.run(main())
"""


def test_a_full_disk_loses_nothing_acknowledged_and_works_again_with_room(path):
    done = subprocess.run([sys.executable, "-c", FULL, str(path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
