"""The two changes that a feed admits, on every engine: a document put anew at its place, and one removed."""

import asyncio

import pytest

from cauldron.domain.errors import Duplicate, Invalid, StaleVersion
from cauldron.ports.storage import Compare, Delete, Expunge, Index, Insert, Patch, Put, Redact, Table

LOG = Table(
    name="log",
    feed=True,
    indexes=(Index(fields=("stream", "seq"), unique=True), Index(fields=("cmds",), unique=True, multi=True)),
)


def entry(n, **more):
    return {"_id": f"s:{n:03}", "stream": "s", "seq": n, "cmds": [f"k{n}"], "text": f"secret {n}", **more}


@pytest.fixture
def two(engine, run):
    one, other = run(engine.open(LOG)), run(engine.open(LOG))
    run(one.commit([Insert("log", entry(n)) for n in (1, 2, 3)]))
    return one, other


async def read(store, after, count):
    watch, found = store.watch("log", after=after), []
    async with asyncio.timeout(10):
        while len(found) < count:
            cursor, doc = await anext(watch)
            if doc is not None:
                found.append((cursor, doc))
    await watch.aclose()
    return found


def test_a_redacted_document_keeps_its_place_in_the_feed(two, run):
    one, other = two
    (first, _), *_ = run(read(one, "", 3))
    assert run(one.commit([Redact("log", entry(2, text=""), 1)])) == [None]
    run(one.commit([Insert("log", entry(4))]))
    assert [(d["seq"], d["text"]) for _, d in run(read(other, "", 4))] == [
        (1, "secret 1"), (2, ""), (3, "secret 3"), (4, "secret 4"),
    ]  # fmt: skip
    assert [d["seq"] for _, d in run(read(other, first, 3))] == [2, 3, 4]


def test_a_reader_who_has_passed_it_sees_nothing_of_the_change(two, run):
    one, other = two
    *_, (last, _) = run(read(other, "", 3))
    run(one.commit([Redact("log", entry(2, text=""), 1), Expunge("log", "s:001")], atomic=False))
    run(one.commit([Insert("log", entry(4))]))
    assert [d["seq"] for _, d in run(read(other, last, 1))] == [4]


def test_a_reader_in_front_of_what_is_removed_goes_on_behind_it(two, run):
    one, other = two
    (first, _), *_ = run(read(other, "", 3))
    run(one.commit([Expunge("log", "s:002"), Expunge("log", "s:001")], atomic=False))
    assert [d["seq"] for _, d in run(read(other, first, 1))] == [3]
    assert [d["seq"] for _, d in run(read(other, "", 1))] == [3]
    assert run(other.get("log", ["s:001", "s:003"]))[0] is None


def test_indexes_follow_both_changes(two, run):
    one, other = two
    run(
        one.commit(
            [Redact("log", entry(2, text="", cmds=["gone"]), 1), Expunge("log", "s:003")], atomic=False
        )
    )
    assert run(other.find("log", {"cmds": ("k2", "k3")})) == []
    assert [d["seq"] for d in run(other.find("log", {"cmds": ("gone",)}))] == [2]
    found = run(other.find("log", {"stream": "s", "seq": Compare(">", 0)}, order=("seq",)))
    assert [d["seq"] for d in found] == [1, 2]
    with pytest.raises(Duplicate):
        run(one.commit([Insert("log", entry(9, cmds=["gone"]))]))


def test_a_redaction_names_the_version_that_it_was_made_from(two, run):
    one, other = two
    run(one.commit([Redact("log", entry(2, text="a"), 1)]))
    with pytest.raises(StaleVersion):
        run(other.commit([Redact("log", entry(2, text="b"), 1)]))
    assert run(other.commit([Redact("log", entry(2, text="b"), 2)])) == [None]
    assert run(one.get("log", ["s:002"]))[0]["_v"] == 3
    for unnamed in (None, 0):
        with pytest.raises(ValueError, match="version"):
            Redact("log", entry(2), unnamed)


def test_what_is_not_there_cannot_be_redacted(two, run):
    one, _ = two
    with pytest.raises(StaleVersion):
        run(one.commit([Redact("log", entry(7), 1)]))
    assert run(one.commit([Expunge("log", "s:007")])) == [None]


REFUSED = {
    "put": Put("log", entry(1), None),
    "put by version": Put("log", entry(1), 1),
    "patch": Patch("log", "s:001", {"text": ""}),
    "delete": Delete("log", "s:001"),
}


@pytest.mark.parametrize("op", REFUSED.values(), ids=REFUSED)
def test_nothing_else_changes_a_feed(two, run, op):
    with pytest.raises(Invalid, match="append-only"):
        run(two[0].commit([op]))
