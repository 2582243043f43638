"""The guarantees of the ``Store`` port, on every engine, with two handles on one set of data."""

import asyncio
import contextlib
import copy
import itertools
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cauldron.domain.errors import Duplicate, Invalid, StaleVersion
from cauldron.ports.storage import Claim, Compare, Delete, Index, Insert, Patch, Put, Table

JOBS = Table(
    name="jobs",
    indexes=(
        Index(fields=("rank",), where={"status": "queued"}),
        Index(fields=("holder",), where={"status": "running"}),
        Index(fields=("key",), unique=True),
    ),
)
THINGS = Table(
    name="things",
    indexes=(
        Index(fields=("a", "-b")),
        Index(fields=("-b", "a")),
        Index(fields=("deep.c",)),
        Index(fields=("tags",), multi=True),
        Index(fields=("a",), where={"state": ("on", "dim")}),
    ),
)
LOG = Table(
    name="log",
    feed=True,
    indexes=(Index(fields=("stream", "seq"), unique=True), Index(fields=("cmds",), unique=True, multi=True)),
)
TABLES = (JOBS, THINGS, LOG)
SHARED = settings(suppress_health_check=list(HealthCheck), deadline=None, max_examples=60)
RESTART = itertools.count()


@pytest.fixture
def two(engine, run):
    return run(engine.open(*TABLES)), run(engine.open(*TABLES))


def job(n, **more):
    return {"_id": f"j{n:04}", "status": "queued", "rank": n, "key": f"k{n}", **more}


def bare(doc):
    return {key: value for key, value in doc.items() if key != "_v"}


async def taken(watch, count, timeout_s=5.0):
    async with asyncio.timeout(timeout_s):
        return [await anext(watch) for _ in range(count)]


async def silent(watch, for_s=0.1):
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(for_s):
            return await anext(watch)
    return None


# (7) and the life of a document


def test_what_one_handle_commits_the_other_reads(two, run):
    here, there = two

    async def story():
        for n in range(50):
            await here.commit([Insert("jobs", job(n))])
            assert (await there.get("jobs", [f"j{n:04}"]))[0]["rank"] == n
            assert len(await there.find("jobs", {"status": "queued"}, order=("rank",))) == n + 1
            await there.commit([Patch("jobs", f"j{n:04}", {"note": n})])
            assert (await here.get("jobs", [f"j{n:04}"]))[0]["note"] == n

    run(story())


def test_versions_count_changes_and_put_replaces_the_expected_one_only(two, run):
    here, there = two

    async def story():
        assert await here.commit([Put("things", {"_id": "t", "a": 1}, expected=0)]) == [None]
        with pytest.raises(StaleVersion):
            await there.commit([Put("things", {"_id": "t", "a": 2}, expected=0)])
        assert await there.commit([Put("things", {"_id": "t", "a": 2}, expected=1)]) == [None]
        with pytest.raises(StaleVersion):
            await here.commit([Put("things", {"_id": "t", "a": 3}, expected=1)])
        await here.commit([Patch("things", "t", {"b": 4})])
        assert await there.get("things", ["t"]) == [{"_id": "t", "a": 2, "b": 4, "_v": 3}]
        await here.commit([Put("things", {"_id": "t", "a": 9, "_v": 77})])
        await here.commit([Put("things", {"_id": "u"})])
        assert await there.get("things", ["u", "x", "t"]) == [
            {"_id": "u", "_v": 1},
            None,
            {"_id": "t", "a": 9, "_v": 4},
        ]
        with pytest.raises(StaleVersion):
            await there.commit([Put("things", {"_id": "nobody"}, expected=1)])

    run(story())


def test_get_answers_in_the_order_asked_for_however_many(two, run):
    here, there = two

    async def story():
        await here.commit([Insert("jobs", job(n)) for n in range(300)])
        ids = [f"j{n:04}" for n in range(299, -1, -1)] + ["absent", "j0007"]
        docs = await there.get("jobs", ids)
        assert [doc and doc["_id"] for doc in docs] == [*ids[:300], None, "j0007"]

    run(story())


def test_delete_obeys_its_guard_and_does_not_mind_absence(two, run):
    here, there = two

    async def story():
        await here.commit([Insert("jobs", job(1))])
        assert await there.commit([Delete("jobs", "nobody")]) == [None]
        assert await there.commit([Delete("jobs", "nobody", {"status": "queued"})]) == [None]
        with pytest.raises(StaleVersion):
            await there.commit([Delete("jobs", "j0001", {"status": "running"})])
        assert await there.commit([Delete("jobs", "j0001", {"status": "queued"})]) == [None]
        assert await here.get("jobs", ["j0001"]) == [None]

    run(story())


@pytest.mark.parametrize(
    ("guard", "holds"),
    [
        ({"rank": 5}, True),
        ({"rank": 6}, False),
        ({"rank": (4, 5)}, True),
        ({"rank": ()}, False),
        ({"rank": Compare("<", 6)}, True),
        ({"rank": Compare(">=", 6)}, False),
        ({"rank": Compare("!=", 5)}, False),
        ({"rank": Compare("<", "a")}, False),
        ({"key": Compare(">", 1)}, False),
        ({"rank": [Compare(">", 4), Compare("<=", 5)]}, True),
        ({"absent": None}, True),
        ({"absent": Compare("!=", None)}, False),
        ({"absent": Compare("!=", 3)}, True),
        ({"absent": (None, 3)}, True),
        ({"deep.er": "yes"}, True),
        ({"deep.er.still": None}, True),
        ({"_v": 1}, True),
        ({"_v": 2}, False),
        ({"rank": 5, "status": "running"}, False),
    ],
    ids=repr,
)
def test_a_patch_applies_when_every_guard_holds(two, run, guard, holds):
    here, there = two

    async def story():
        await here.commit([Insert("jobs", job(5, deep={"er": "yes"}))])
        outcome = (await there.commit([Patch("jobs", "j0005", {"hit": True}, guard)], atomic=False))[0]
        assert (outcome is None) is holds
        assert isinstance(outcome, StaleVersion) is not holds
        assert ("hit" in (await here.get("jobs", ["j0005"]))[0]) is holds

    run(story())


def test_a_patch_makes_missing_parents_and_never_half_succeeds(two, run):
    here, there = two

    async def story():
        await here.commit([Insert("things", {"_id": "t", "x": {"y": 1}, "n": None, "s": 5})])
        await there.commit([Patch("things", "t", {"x.z": {"q": [1]}, "new.in.deep": "v", "x.y": None})])
        assert bare((await here.get("things", ["t"]))[0]) == {
            "_id": "t",
            "x": {"y": None, "z": {"q": [1]}},
            "n": None,
            "s": 5,
            "new": {"in": {"deep": "v"}},
        }
        for path in ("n.a", "s.a", "x.y.a"):
            with pytest.raises(StaleVersion):
                await there.commit([Patch("things", "t", {"a": 1, path: 2})])
        assert "a" not in (await here.get("things", ["t"]))[0]

    run(story())


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def same(left: Any, right: Any) -> bool:
    """Equal, and of the same types all the way down."""
    return repr(left) == repr(right)


@SHARED
@given(value=json_values, patched=json_values)
def test_documents_come_back_exactly(two, run, value, patched):
    here, there = two

    async def story():
        name = f"d{next(RESTART)}"
        await here.commit([Insert("things", {"_id": name, "free": value})])
        assert same(bare((await there.get("things", [name]))[0]), {"_id": name, "free": value})
        await there.commit([Patch("things", name, {"set": patched, "in.side": patched})])
        (doc,) = await here.find("things", {"_id": name})
        assert same(bare(doc), {"_id": name, "free": value, "set": patched, "in": {"side": patched}})

    run(story())


# (2) (3) (4) several operations, several callers


def test_an_atomic_commit_takes_effect_as_a_whole_or_not_at_all(two, run):
    here, there = two

    async def story():
        await here.commit([Insert("jobs", job(1))])
        for bad, error in (
            (Insert("jobs", job(1, key="other")), Duplicate),
            (Insert("jobs", job(3, key="k1")), Duplicate),
            (Patch("jobs", "absent", {"a": 1}), StaleVersion),
        ):
            with pytest.raises(error):
                await there.commit(
                    [Patch("jobs", "j0001", {"seen": 1}), Insert("jobs", job(2)), bad, Insert("jobs", job(4))]
                )
        assert [doc["_id"] for doc in await here.find("jobs", {})] == ["j0001"]
        assert (await here.get("jobs", ["j0001"]))[0] == {**job(1), "_v": 1}

    run(story())


def test_operations_that_stand_alone_do_not_harm_each_other(two, run):
    here, there = two

    async def story():
        await here.commit([Insert("jobs", job(1))])
        outcomes = await there.commit(
            [
                Insert("jobs", job(2)),
                Insert("jobs", job(1, key="x")),
                Insert("jobs", job(3, key="k2")),
                Patch("jobs", "j0002", {"key": "k1"}),
                Patch("jobs", "j0002", {"rank": 20}),
                Put("jobs", job(4, key="k1")),
                Put("jobs", job(5), expected=3),
                Insert("jobs", job(6)),
            ],
            atomic=False,
        )
        kinds = [type(each) for each in outcomes]
        good = type(None)
        assert kinds == [good, Duplicate, Duplicate, Duplicate, good, Duplicate, StaleVersion, good]
        assert [(d["_id"], d["rank"]) for d in await here.find("jobs", {})] == [
            ("j0001", 1),
            ("j0002", 20),
            ("j0006", 6),
        ]

    run(story())


def test_callers_that_fail_do_not_harm_their_neighbours(two, run):
    """Many callers at once share a transaction; every third one is refused as a whole."""
    here, there = two

    async def caller(store, n):
        ops = [Insert("jobs", job(n)), Insert("jobs", job(1000 + n))]
        if n % 3 == 0:
            ops.append(Insert("jobs", job(2000 + n, key=f"k{n}")))
        try:
            return await store.commit(ops)
        except Duplicate:
            return "refused"

    async def story():
        results = await asyncio.gather(*(caller((here, there)[n % 2], n) for n in range(200)))
        kept = sorted(n for n in range(200) if n % 3)
        assert [n for n, result in enumerate(results) if result == [None, None]] == kept
        ids = {doc["_id"] for doc in await here.find("jobs", {})}
        assert ids == {f"j{n + more:04}" for n in kept for more in (0, 1000)}

    run(story())


def test_a_malformed_operation_is_refused_before_anything_is_written(two, run):
    here, there = two
    bad_docs = [
        {},
        {"_id": 5},
        {"_id": ""},
        {"_id": "a\0b"},
        {"_id": "x", "n": float("nan")},
        {"_id": "x", "n": [None, {"m": float("inf")}]},
        {"_id": "x", "n": 2**64},
        {"_id": "x", 5: 1},
        {"_id": "x", "s": "\ud800"},
        {"_id": "x", "s": {1, 2}},
        {"_id": "x", "a": "indexed\0text"},
        {"_id": "x", "big": "y" * (16 * 1024 * 1024)},
    ]
    bad_ops = [
        *(Insert("things", doc) for doc in bad_docs),
        Put("things", {"_id": None}),
        Patch("things", "x", {"_id": "y"}),
        Patch("things", "x", {"_v": 1}),
        Patch("things", "x", {'a"b': 1}),
        Patch("things", "x", {"a..b": 1}),
        Patch("things", "x", {"": 1}),
        Patch("things", "x", {"a": "\0"}),
        Patch("things", "x", {"c": 1}, {"a": [1, 2]}),
        Patch("things", "x", {"c": 1}, {"a": {"b": 1}}),
        Patch("things", "x", {"c": 1}, {"a": Compare("~", 1)}),
        Patch("things", "x", {"c": 1}, {"a": Compare("<", None)}),
        Patch("things", "x", {"c": 1}, {"a": 2**63}),
        Insert("nowhere", {"_id": "x"}),
        Put("log", {"_id": "x"}),
        Patch("log", "x", {"a": 1}),
        Delete("log", "x"),
    ]

    async def story():
        for op in bad_ops:
            with pytest.raises(Invalid):
                await here.commit([Insert("things", {"_id": "good"}), op], atomic=False)
        assert await there.find("things", {}) == []

    run(story())


# unique, partial and multi indexes


def test_a_multi_index_finds_every_element_and_forgets_what_was_removed(two, run):
    here, there = two

    async def tagged(wanted):
        return [doc["_id"] for doc in await there.find("things", {"tags": wanted})]

    async def story():
        await here.commit(
            [
                Insert("things", {"_id": "a", "tags": ["x", "y", "x"]}),
                Insert("things", {"_id": "b", "tags": ["y", None, 3]}),
                Insert("things", {"_id": "c", "tags": "y"}),
                Insert("things", {"_id": "d", "tags": {"k": "y"}}),
                Insert("things", {"_id": "e"}),
            ]
        )
        assert await tagged("y") == ["a", "b", "c"]
        assert await tagged("x") == ["a"]
        assert await tagged(3) == ["b"]
        assert await tagged(("x", 3)) == ["a", "b"]
        page = await there.find("things", {"tags": "y"}, limit=1, after=("a",))
        assert [doc["_id"] for doc in page] == ["b"]
        await here.commit([Patch("things", "a", {"tags": ["z"]}), Delete("things", "c")])
        assert await tagged("y") == ["b"]
        assert await tagged("z") == ["a"]

    run(story())


def test_a_unique_multi_index_refuses_one_element_shared_by_two_documents(two, run):
    here, there = two

    async def story():
        await here.commit([Insert("log", {"_id": "s:1", "stream": "s", "seq": 1, "cmds": ["a", "b"]})])
        outcomes = await there.commit(
            [
                Insert("log", {"_id": "s:2", "stream": "s", "seq": 2, "cmds": ["c", "b"]}),
                Insert("log", {"_id": "s:3", "stream": "s", "seq": 3, "cmds": ["c", "c"]}),
            ],
            atomic=False,
        )
        assert isinstance(outcomes[0], Duplicate)
        assert outcomes[1] is None
        (found,) = await here.find("log", {"cmds": "c"})
        assert found["_id"] == "s:3"

    run(story())


def test_of_two_handles_that_append_the_same_version_one_wins(two, run):
    async def append(store, who, seq):
        doc = {"_id": f"s:{seq}", "stream": "s", "seq": seq, "cmds": [f"{who}{seq}"]}
        return (await store.commit([Insert("log", doc)], atomic=False))[0]

    async def story():
        for seq in range(1, 60):
            results = await asyncio.gather(append(two[0], "a", seq), append(two[1], "b", seq))
            assert sorted(type(each).__name__ for each in results) == ["Duplicate", "NoneType"]

    run(story())


def test_tables_can_be_opened_again_with_new_indexes_over_old_documents(engine, run):
    async def story():
        old = await engine.open(Table(name="t"))
        await old.commit([Insert("t", {"_id": f"d{n}", "n": n % 3, "tags": [n, "t"]}) for n in range(9)])
        new = await engine.open(
            Table(name="t", indexes=(Index(fields=("n",)), Index(fields=("tags",), multi=True)))
        )
        assert [doc["_id"] for doc in await new.find("t", {"n": 1})] == ["d1", "d4", "d7"]
        assert [doc["_id"] for doc in await new.find("t", {"tags": 5})] == ["d5"]
        await old.commit([Insert("t", {"_id": "later", "tags": [5]})])
        assert [doc["_id"] for doc in await new.find("t", {"tags": 5})] == ["d5", "later"]

    run(story())


# find


def picked(doc, path):
    for part in path.split("."):
        doc = doc.get(part) if isinstance(doc, dict) else None
    return doc


def compares(value, wanted):
    if wanted.op == "!=":
        return value != wanted.value
    if value is None or isinstance(value, str) is not isinstance(wanted.value, str):
        return False
    return {"<": value < wanted.value, "<=": value <= wanted.value}.get(wanted.op) or {
        ">": value > wanted.value,
        ">=": value >= wanted.value,
    }.get(wanted.op, False)


def matches(doc, where):
    def one(value, wanted):
        if isinstance(wanted, Compare):
            return compares(value, wanted)
        if isinstance(wanted, list):
            return all(compares(value, each) for each in wanted)
        return value in wanted if isinstance(wanted, tuple) else value == wanted

    return all(one(picked(doc, path), wanted) for path, wanted in where.items())


def rank(value):
    if value is None:
        return (0, 0)
    return (2, value) if isinstance(value, str) else (1, value)


def in_order(docs, order):
    """Sorted by ``order``, then by id; nulls before numbers before texts."""
    docs = sorted(docs, key=lambda doc: doc["_id"])
    for field in reversed(order):
        path = field.removeprefix("-")
        docs.sort(key=lambda doc, path=path: rank(picked(doc, path)), reverse=field.startswith("-"))
    return docs


exact_floats = st.integers(-40, 40).map(lambda n: n / 8)
scalars = (
    st.none() | st.integers(-3, 3) | exact_floats | st.sampled_from(["", "a", "b", "ä", "\U0001f600", "'"])
)
present = scalars.filter(lambda value: value is not None)
compare = st.builds(Compare, st.sampled_from(["<", "<=", ">", ">="]), present) | st.builds(
    Compare, st.just("!="), scalars
)
wanteds = scalars | st.lists(scalars, max_size=3).map(tuple) | compare | st.lists(compare, max_size=2)
documents = st.lists(
    st.fixed_dictionaries(
        {}, optional={"a": scalars, "b": scalars, "deep": st.fixed_dictionaries({"c": scalars})}
    ).flatmap(lambda doc: st.sampled_from(["on", "dim", "off"]).map(lambda s: {**doc, "state": s})),
    max_size=14,
)
orders = st.sampled_from(
    [
        ("_id",),
        ("-_id",),
        ("a",),
        ("-a",),
        ("a", "-b"),
        ("-a", "b"),
        ("-b",),
        ("b", "-a"),
        ("a", "b"),
        ("deep.c",),
    ]
)


async def refill(store, docs):
    for old in await store.find("things", {}):
        await store.commit([Delete("things", old["_id"])])
    made = [{"_id": f"n{n:02}", **doc} for n, doc in enumerate(docs)]
    if made:
        await store.commit([Insert("things", doc) for doc in made])
    return made


@SHARED
@given(
    docs=documents,
    where=st.dictionaries(st.sampled_from(["a", "b", "deep.c", "state"]), wanteds, max_size=2),
    order=orders,
)
def test_find_is_a_filter_and_a_sort_of_all_documents(two, run, docs, where, order):
    """Whatever filter is admitted; one that no index serves is refused, never scanned."""
    here, there = two

    async def story():
        made = await refill(here, docs)
        try:
            found = await there.find("things", where, order=order)
        except Invalid:
            return
        assert [bare(doc) for doc in found] == in_order([d for d in made if matches(d, where)], order)

    run(story())


changes = st.lists(
    st.tuples(
        st.integers(0, 4),
        st.sampled_from(["put", "put expecting", "delete"])
        | st.tuples(st.sampled_from(["a", "b", "state", "deep.c", "deep.d"]), scalars)
        | st.tuples(
            st.just("deep"), st.dictionaries(st.sampled_from("cd"), scalars) | st.none() | st.just(5)
        ),
        st.fixed_dictionaries({}, optional={"a": scalars, "b": scalars, "deep": st.just({"c": 1})}),
    ),
    max_size=12,
)


async def carry_out(store, name, kind, *, doc, model):
    """One change of one document, in the store and in the model of what it should hold."""
    if kind == "delete":
        await store.commit([Delete("things", name)])
        model.pop(name, None)
    elif isinstance(kind, tuple):
        path, value = kind
        if await store.commit([Patch("things", name, {path: value})], atomic=False) == [None]:
            *parents, last = path.split(".")
            inner = model[name]
            for part in parents:
                inner = inner.setdefault(part, {})
            inner[last] = copy.deepcopy(value)
    else:
        (known,) = await store.get("things", [name])
        expected = known["_v"] if known and kind == "put expecting" else None
        await store.commit([Put("things", {"_id": name, **doc}, expected=expected)])
        model[name] = {"_id": name, **copy.deepcopy(doc)}


@SHARED
@given(changes=changes, wanted=scalars)
def test_indexes_follow_every_kind_of_change(two, run, changes, wanted):
    here, there = two

    async def story():
        model = {doc["_id"]: doc for doc in await refill(here, [{}] * 5)}
        for n, kind, doc in changes:
            await carry_out(here, f"n{n:02}", kind, doc=doc, model=model)
        docs = list(model.values())
        for where, order in (
            ({}, ("_id",)),
            ({}, ("a", "-b")),
            ({}, ("-b", "a")),
            ({}, ("deep.c",)),
            ({"a": wanted}, ("-b",)),
            ({"deep.c": wanted}, ("_id",)),
            ({"b": wanted}, ("a",)),
            ({"state": "on"}, ("a",)),
        ):
            found = [bare(doc) for doc in await there.find("things", where, order=order)]
            assert found == in_order([d for d in docs if matches(d, where)], order), (where, order)

    run(story())


@SHARED
@given(
    docs=documents,
    fixed=st.none() | scalars,
    order=orders.filter(lambda o: o != ("a", "b")),
    limit=st.integers(1, 4),
)
def test_pages_put_together_are_the_whole_list(two, run, docs, fixed, order, limit):
    here, there = two
    where = {} if fixed is None else {"a": fixed}

    async def story():
        made = await refill(here, docs)
        whole = in_order([d for d in made if matches(d, where)], order)
        seen, after = [], None
        while page := await there.find("things", where, order=order, limit=limit, after=after):
            seen += [bare(doc) for doc in page]
            after = [picked(page[-1], field.removeprefix("-")) for field in order]
            if order[-1].removeprefix("-") != "_id":
                after.append(page[-1]["_id"])
            assert len(seen) <= len(whole)
        assert seen == whole

    run(story())


@SHARED
@given(value=st.floats(allow_nan=False, allow_infinity=False))
def test_every_float_finds_itself_and_ends_its_page(two, run, value):
    here, there = two

    async def story():
        await refill(here, [{"a": value}, {"a": value}])
        assert len(await there.find("things", {"a": value})) == 2
        assert len(await there.find("things", {"a": (value,)})) == 2
        assert len(await there.find("things", {"a": Compare(">=", value)})) == 2
        (second,) = await there.find("things", {}, order=("a",), after=(value, "n00"))
        assert second["_id"] == "n01"

    run(story())


@pytest.mark.parametrize(
    ("where", "order", "more"),
    [
        ({"unknown": 1}, ("_id",), {}),
        ({}, ("unknown",), {}),
        ({"state": "off"}, ("_id",), {}),
        ({"b": 1}, ("deep.c",), {"after": (1,)}),
        ({}, ("_id",), {"limit": 0}),
        ({"a": [1]}, ("_id",), {}),
        ({"a": 2**63}, ("_id",), {}),
        ({"a": "x\0"}, ("_id",), {}),
        ({"a": Compare("like", "x")}, ("_id",), {}),
        ({}, ("a",), {"after": ({}, "x")}),
    ],
    ids=repr,
)
def test_a_query_that_no_index_serves_is_refused(two, run, where, order, more):
    with pytest.raises(Invalid):
        run(two[0].find("things", where, order=order, **more))


# (5) claims


def claim(limit=1, **change):
    return Claim(
        table="jobs",
        where={"status": "queued"},
        order=("rank",),
        set={"status": "running", **change},
        limit=limit,
        increment=("attempt", "meta.runs"),
    )


def test_claims_are_exclusive_between_handles(two, run):
    here, there = two

    async def claimer(store, who):
        mine = []
        while docs := await store.claim(claim(7, holder=who)):
            mine += [doc["_id"] for doc in docs]
        return mine

    async def story():
        await here.commit([Insert("jobs", job(n)) for n in range(500)])
        shares = await asyncio.gather(*(claimer((here, there)[n % 2], f"w{n}") for n in range(6)))
        assert sorted(itertools.chain(*shares)) == [f"j{n:04}" for n in range(500)]
        for n, share in enumerate(shares):
            held = await there.find("jobs", {"status": "running", "holder": f"w{n}"})
            assert sorted(share) == [doc["_id"] for doc in held]

    run(story())


def test_a_claim_takes_the_first_in_order_and_answers_with_what_it_wrote(two, run):
    here, there = two

    async def story():
        ranks = [30, 10, 20, 10, None]
        await here.commit([Insert("jobs", job(n, rank=rank)) for n, rank in enumerate(ranks)])
        await here.commit([Patch("jobs", "j0003", {"attempt": 4, "meta": {"runs": 1}})])
        docs = await there.claim(claim(4, holder="w", rank=0))
        assert [doc["_id"] for doc in docs] == ["j0004", "j0001", "j0003", "j0002"]
        assert [doc["attempt"] for doc in docs] == [1, 1, 5, 1]
        assert [doc["meta"]["runs"] for doc in docs] == [1, 1, 2, 1]
        assert {doc["rank"] for doc in docs} == {0}
        assert docs == await here.get("jobs", [doc["_id"] for doc in docs])
        assert [doc["_id"] for doc in await here.claim(claim(4))] == ["j0000"]
        assert await here.claim(claim(4)) == []

    run(story())


# (6) watching


def test_a_feed_shows_every_insert_of_every_handle_exactly_once(two, run):
    here, there = two

    async def write(store, who):
        for n in range(80):
            doc = {"_id": f"{who}:{n:03}", "stream": who, "seq": n, "cmds": [f"{who}{n}"]}
            await store.commit([Insert("log", doc)])

    async def story():
        await here.commit([Insert("log", {"_id": "past", "stream": "p", "seq": 0, "cmds": []})])
        everything, news = here.watch("log", after=""), there.watch("log")
        writing = asyncio.gather(write(here, "a"), write(there, "b"), write(here, "c"))
        seen, fresh = await taken(everything, 241), await taken(news, 240)
        await writing
        assert seen[0][1]["_id"] == "past"
        assert [doc["_id"] for _, doc in seen[1:]] == [doc["_id"] for _, doc in fresh]
        for who in "abc":
            assert [d["seq"] for _, d in fresh if d["stream"] == who] == list(range(80))
        middle, _ = seen[100]
        again = await taken(there.watch("log", after=middle), 140)
        assert again == seen[101:]
        assert await silent(everything) is None

    run(story())


def test_a_feed_goes_on_over_page_bounds(two, run):
    here, there = two

    async def story():
        docs = [{"_id": f"e{n:05}", "stream": "e", "seq": n, "cmds": []} for n in range(1300)]
        await here.commit([Insert("log", doc) for doc in docs])
        seen = await taken(there.watch("log", after=""), 1300)
        assert [doc["seq"] for _, doc in seen] == list(range(1300))

    run(story())


def test_a_commit_while_the_feed_is_being_read_is_not_missed(two, run):
    """300 documents of 4 kB take milliseconds to read; one more arrives in the midst of it."""
    here, _ = two

    async def story():
        watch = here.watch("log")
        for turn in range(8):
            names = [f"{turn}:{n:03}" for n in range(301)]
            docs = [
                {"_id": name, "stream": f"t{turn}", "seq": n, "cmds": [], "pad": "x" * 4000}
                for n, name in enumerate(names)
            ]
            reading = asyncio.create_task(taken(watch, 301))
            await here.commit([Insert("log", doc) for doc in docs[:-1]])
            await here.commit([Insert("log", docs[-1])])
            assert [doc["_id"] for _, doc in await reading] == names

    run(story())


def test_a_refused_insert_is_never_shown(two, run):
    here, there = two

    async def story():
        watch = there.watch("log")
        for n in (1, 2):
            doc = {"_id": f"x{n}", "stream": "s", "seq": n, "cmds": []}
            with pytest.raises(Duplicate):
                await here.commit([Insert("log", doc), Insert("log", doc)])
            await here.commit([Insert("log", doc)])
        assert [doc["seq"] for _, doc in await taken(watch, 2)] == [1, 2]
        assert await silent(watch) is None

    run(story())


@pytest.mark.parametrize("cursor", ["x", "-1", "1.5", "9" * 40, "١"])
def test_a_cursor_that_is_none_is_refused(two, run, cursor):
    with pytest.raises(Invalid):
        run(_start(two[0], cursor))


async def _start(store, cursor):
    store.watch("log", after=cursor)


def test_a_doorbell_rings_for_changes_and_for_nothing_else(two, run):
    here, there = two

    async def story():
        mine, other, far = here.watch("jobs"), here.watch("things"), there.watch("jobs")
        await here.commit([Insert("jobs", job(1))])
        assert await taken(mine, 1) == [("", None)]
        assert await taken(far, 1) == [("", None)]
        assert await silent(other) is None
        for store in two:
            await store.claim(claim(1))
        await taken(mine, 1)
        while await silent(far):
            pass
        for store in two:
            assert await store.claim(claim(1)) == []
            await store.commit([Patch("jobs", "absent", {"a": 1})], atomic=False)
        assert await silent(mine) is None
        assert await silent(far) is None
        await there.commit([Insert("things", {"_id": "t"})])
        assert await taken(other, 1) == [("", None)]

    run(story())


def test_a_commit_between_two_looks_rings_although_nobody_waited(two, run):
    here, there = two

    async def story():
        watch = there.watch("jobs")
        await here.commit([Insert("jobs", job(1))])
        await asyncio.sleep(0.05)
        assert await taken(watch, 1, timeout_s=0.5) == [("", None)]

    run(story())


# closing


def test_close_finishes_what_was_accepted_and_ends_watches(engine, run):
    async def story():
        store, other = await engine.open(*TABLES), await engine.open(*TABLES)
        watch = asyncio.create_task(taken(store.watch("things"), 1))
        writes = [asyncio.create_task(store.commit([Insert("jobs", job(n))])) for n in range(100)]
        await asyncio.sleep(0)
        await store.close()
        assert await asyncio.gather(*writes) == [[None]] * 100
        assert len(await other.find("jobs", {})) == 100
        with pytest.raises(StopAsyncIteration):
            await watch

    run(story())
