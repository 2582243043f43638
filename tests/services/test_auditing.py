"""Audits: a sound store has no findings, and each rule catches what is planted for it, on every engine."""

import asyncio
import json

import pytest

from cauldron.domain.audit import RULES, compare
from cauldron.domain.errors import Invalid
from cauldron.domain.times import iso
from cauldron.persistence.ledger_tables import BOOK, MARKS
from cauldron.persistence.tables import RESOURCES
from cauldron.services.audit_fixing import ACTIONS, Fixing
from cauldron.services.audit_streams import stream_firsts
from cauldron.services.auditing import SCHEMAS, pages
from tests.contracts.conftest import STORES
from tests.kitchen import wall_ms
from tests.upkeep import ALL_TABLES, DAY_MS, World, cook_and_cast

OUT, PIECE, COOK, JOB = "c-a.1.1.0", "c-a.1", "c-a", "c-a.1"
CAST = "the cast"  # stands for the id of the stand-alone cast
AGO, RECENT = iso(wall_ms() - 2 * DAY_MS), "a minute ago"
OLD_MS = wall_ms() - 2 * DAY_MS


@pytest.fixture(params=STORES, scope="module")
def shared(request, tmp_path_factory):
    """A sound world per engine: what a test plants in it, it mends again."""
    with asyncio.Runner() as runner:
        folder = tmp_path_factory.mktemp(request.param)
        engine = STORES[request.param](folder)
        world = World(runner.run(engine.open(*ALL_TABLES)), folder)
        runner.run(cook_and_cast(world))
        yield world, runner.run
        runner.run(engine.close())


@pytest.fixture
def world(shared):
    world, do = shared
    yield world
    do(world.mend())
    world.ahead_ms, world.environment = 0, "live"


@pytest.fixture
def do(shared):
    return shared[1]


def plant(world, do, *faults):
    for table, doc_id, fields in faults:
        doc_id = world.casts["a"] if doc_id == CAST else doc_id
        if fields is None:
            do(world.remove(table, doc_id))
        else:
            recent = iso(wall_ms() - 60_000)  # now: this file may have been read long ago
            fields = {name: recent if value == RECENT else value for name, value in fields.items()}
            do(world.plant(table, doc_id, **fields))


def test_a_sound_store_has_no_findings_today_and_in_two_days(world, do):
    report = do(world.audit())
    assert report["ok"]
    assert {r["rule"]: r["found"] for r in report["rules"].values() if r["found"]} == {}
    for name in ("schema", "links", "projections", "blobs-missing", "cost-missing", "test-records"):
        assert report["rules"][name]["checked"] > 0, name
    assert report["records"] >= 3 + 4 + 1 + 1 + 1 + 1 + 1
    world.ahead_ms = 2 * DAY_MS + 5000
    assert do(world.faults()) == {}


def test_the_report_names_environment_engine_and_instant(world, do):
    report = do(world.audit())
    assert (report["environment"], report["engine"]) == ("live", type(world.store).__name__)
    assert report["at"].startswith("20")
    assert [rule.name for rule in RULES] == list(report["rules"])
    json.dumps(report)


def test_what_cannot_be_judged_says_so(world, do):
    report = do(world.audit("ledger", "settled-late"))
    assert [r["applies"] for r in report["rules"].values()] == [False, False]
    assert "ledger" in report["rules"]["ledger"]["why"]
    assert "webhook" in report["rules"]["settled-late"]["why"]
    assert report["ok"]


OUTPUTS = "generationOutputs"
TO_COME = {"status": "waiting", "updatedAt": OLD_MS, "runAt": OLD_MS + 2 * DAY_MS}
OWED = {"deliveryStatus": "pending", "notificationPlatform": "web", "responseTimestamp": AGO}
OF_TESTS = {"environment": "test"}
NOT_STORED = {"media": "sha256:" + "e" * 64}
PLANTED = [  # rule, what is planted, how many findings
    ("lingering-outputs", [(OUTPUTS, OUT, {"status": "pending", "requestTimestamp": AGO})], 1),
    ("lingering-outputs", [(OUTPUTS, OUT, {"status": "processing", "requestTimestamp": AGO})], 1),
    ("lingering-outputs", [(OUTPUTS, OUT, {"status": "pending", "requestTimestamp": RECENT})], 0),
    ("lingering-jobs", [("cook_jobs", JOB, {"status": "running", "updatedAt": OLD_MS})], 1),
    ("lingering-jobs", [("cast_jobs", CAST, {"status": "settled", "updatedAt": OLD_MS})], 1),
    ("lingering-jobs", [("cook_jobs", JOB, {"status": "held", "updatedAt": OLD_MS})], 0),
    ("lingering-jobs", [("cook_jobs", JOB, TO_COME)], 0),
    ("lingering-casts", [("casts", CAST, {"status": "running", "startedAt": AGO})], 1),
    ("lingering-cooks", [("cook_status", COOK, {"state": "Cooking", "updatedAt": AGO})], 1),
    ("settled-late", [(OUTPUTS, OUT, {"webhookReceivedAt": AGO})], 1),
    ("settled-late", [(OUTPUTS, OUT, {"webhookReceivedAt": AGO, "status": "processing"})], 1),
    ("settled-late", [(OUTPUTS, OUT, {"webhookReceivedAt": RECENT, "status": "processing"})], 0),
    ("settled-late", [(OUTPUTS, OUT, {"webhookReceivedAt": AGO, "responseTimestamp": AGO})], 0),
    ("duration-missing", [(OUTPUTS, OUT, {"durationMs": None})], 1),
    ("duration-missing", [(OUTPUTS, OUT, {"durationMs": -1})], 1),
    ("cost-missing", [(OUTPUTS, OUT, {"costSource": "unknown"})], 1),
    ("cost-missing", [(OUTPUTS, OUT, {"costUsd": "0.1"})], 1),
    ("cost-missing", [(OUTPUTS, OUT, {"costSource": ...})], 1),
    ("cost-missing", [(OUTPUTS, OUT, {"costSource": "unknown", "status": "failed"})], 0),
    ("links", [(OUTPUTS, OUT, {"castId": "gone"})], 1),
    ("links", [(OUTPUTS, OUT, {"cookId": "gone"})], 2),  # and the cook lists an output that names another
    ("links", [(OUTPUTS, OUT, {"cookId": None})], 2),
    ("links", [(OUTPUTS, OUT, {"collectionId": "gone"})], 1),
    ("links", [(OUTPUTS, OUT, {"pieceId": "c-a.2"})], 1),
    ("links", [("pieces", PIECE, {"outputId": None})], 1),
    ("links", [("pieces", PIECE, {"outputId": "gone"})], 1),
    ("links", [("pieces", PIECE, None)], 1),
    ("links", [("collections", "k-a", None)], 9),  # of outputs, pieces, cook, counters and export
    ("links", [("casts", CAST, None)], 1),
    ("projections", [("pieces", PIECE, {"state": "rejected"})], 1),
    ("projections", [(OUTPUTS, OUT, None)], 1),
    ("projections", [(OUTPUTS, "more", {"cookId": COOK, "seq": 1})], 1),
    ("projections", [("cook_status", COOK, {"approved": 7})], 1),
    ("projections", [("casts", CAST, {"status": "failed"})], 1),
    ("projections", [("casts", "unheard", {"cookId": None})], 1),
    ("projections", [("cooks", "unheard", {"status": "Completed"})], 1),
    ("projections", [("cooks", "unheard", {"status": "Completed", "imported": True})], 0),
    ("deliveries-stuck", [(OUTPUTS, OUT, {"deliveryStatus": "pending"})], 1),
    ("deliveries-stuck", [(OUTPUTS, OUT, OWED)], 1),
    ("deliveries-stuck", [(OUTPUTS, OUT, {"deliveryStatus": "pending", "notificationPlatform": "web"})], 0),
    ("test-records", [("pieces", PIECE, OF_TESTS), ("casts", CAST, OF_TESTS)], 2),
    ("blobs-missing", [("pieces", PIECE, {"output": NOT_STORED})], 1),
    ("blobs-missing", [("plans", "p-a", {"blob": "e" * 64})], 1),
    ("blobs-missing", [("cooks", COOK, {"configHash": "e" * 64})], 1),
    ("blobs-missing", [("collections", "k-a", {"definition": {"deep": [NOT_STORED]}})], 1),
    ("dead-letters", [("cook_jobs", JOB, {"status": "failed"})], 1),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "faults", "found"), PLANTED)
def test_a_planted_fault_is_found_and_what_is_near_it_is_not(world, do, rule, faults, found):
    plant(world, do, *faults)
    if rule == "projections":
        world.ahead_ms = 120_000  # casts that young are not compared
    report = do(world.audit(rule))["rules"][rule]
    assert report["found"] == found, report
    assert report["ok"] is (found == 0)
    assert len(report["samples"]) == found
    assert sum(report["reasons"].values()) == found


def test_every_rule_that_applies_has_a_planted_fault():
    planted = {rule for rule, _, found in PLANTED if found} | {"schema", "ledger"}
    assert planted == {rule.name for rule in RULES}


@pytest.mark.parametrize(
    ("table", "doc_id", "changes", "where"),
    [
        (OUTPUTS, OUT, {"surprise": 1}, "surprise"),
        (OUTPUTS, OUT, {"schemaVersion": 1}, "schemaVersion"),
        (OUTPUTS, OUT, {"status": "completed"}, "status"),
        (OUTPUTS, OUT, {"costUsd": {"$numberDecimal": "0.1"}}, "costUsd"),
        (OUTPUTS, OUT, {"requestTimestamp": "yesterday"}, "requestTimestamp"),
        (OUTPUTS, OUT, {"inputs": ...}, "inputs"),
        ("pieces", PIECE, {"state": "culled!"}, "state"),
        ("cooks", COOK, {"generationIds": "x"}, "generationIds"),
        ("casts", CAST, {"error": {"message": "no code"}}, "error"),
        ("cook_status", COOK, {"queued": -1}, "queued"),
        ("collections", "k-a", {"visibility": "secret"}, "visibility"),
        ("exports", "x-a", {"pieces": 1.5}, "pieces"),
        ("plans", "p-a", {"blob": "short"}, "blob"),
        ("cook_events", "cook:c-a:0000000001", {"actor": 7}, "actor"),
        ("cast_events", CAST, {"ts": "now"}, "ts"),
    ],
)
def test_a_document_that_breaks_its_schema_is_named_with_the_place(world, do, table, doc_id, changes, where):
    if table == "cast_events":
        doc_id = f"cast:{world.casts['a']}:0000000001"
    plant(world, do, (table, doc_id, changes))
    report = do(world.audit("schema"))["rules"]["schema"]
    assert report["found"] == 1
    assert report["samples"][0]["table"] == table
    assert where in report["samples"][0]["reason"]


def test_every_kind_of_record_is_checked_against_a_schema(world, do):
    named = {table.name for table in ALL_TABLES}
    inner = {"cook_jobs", "cast_jobs", "gates", "workers", "leases", "cursors", "moves"}
    inner |= {table.name for table in RESOURCES}  # what the HTTP API keeps, no records of work done
    inner |= {MARKS, BOOK, "answers", "spell_stats"}  # how far balances are written, replays, sums of records
    inner |= {"payment_events"}  # hints of payment rails, of which payments are what became
    assert {name for name in named if not name.startswith(("legacy_", "migration"))} - inner == set(SCHEMAS)


def test_a_test_environment_has_no_stray_test_records(world, do):
    plant(world, do, ("pieces", PIECE, {"environment": "test"}))
    world.environment = "test"
    rule = do(world.audit("test-records"))["rules"]["test-records"]
    assert (rule["applies"], rule["ok"], rule["found"]) == (False, True, 0)


def test_a_ledger_can_be_hooked_in(world, do):
    async def off_balance(tally):
        tally.checked += 2
        tally.note("ledger", "g1", "debit is not credit")

    auditing = world.auditing
    auditing.ledger = off_balance
    [rule] = do(auditing.run(rules=["ledger"]))["rules"]
    assert (rule["applies"], rule["found"], rule["ok"]) == (True, 1, False)


def test_rules_can_be_chosen_and_an_unknown_one_is_refused(world, do):
    assert list(do(world.audit("links", "schema"))["rules"]) == ["links", "schema"]
    with pytest.raises(Invalid, match="'lnks' is no rule: "):
        do(world.audit("lnks"))


def test_progress_is_told_for_records_and_streams(world, do):
    told = []
    report = do(world.auditing.run(progress=told.append))
    assert told == sorted(told)
    assert told[-1] > report["records"]


def test_two_reports_compare(world, do):
    plant(world, do, (OUTPUTS, OUT, {"costSource": "unknown"}), ("pieces", PIECE, {"outputId": None}))
    before = do(world.auditing.run())
    do(world.mend())
    plant(world, do, ("cook_jobs", JOB, {"status": "failed"}))
    changes = {
        c["rule"]: c["change"] for c in compare(json.loads(json.dumps(before)), do(world.auditing.run()))
    }
    assert (changes["cost-missing"], changes["links"], changes["dead-letters"]) == (
        "better",
        "better",
        "worse",
    )
    assert changes["schema"] == "same"
    assert "ledger" not in changes


@pytest.mark.parametrize(
    "old",
    [
        None,
        [],
        {},
        {"rules": []},
        {"cauldronAudit": 9, "rules": []},
        {"cauldronAudit": 1, "rules": [{"rule": "links", "applies": True, "found": "x", "share": 0}]},
    ],
)
def test_what_is_no_report_is_not_compared_with(old):
    with pytest.raises(Invalid):
        compare(old, {"rules": []})


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5])
def test_a_table_is_read_whole_whatever_the_page(world, do, count):
    for n in range(count):
        do(world.plant("gates", f"g{n}", closed=False, at=1))

    async def read():
        return [doc["_id"] async for page in pages(world.store, "gates", size=2) for doc in page]

    assert do(read()) == [f"g{n}" for n in range(count)]


def test_the_first_commit_of_every_stream_is_found_whatever_their_names(world, do):
    names = ("b", "b-1", "b.1", "b1", "ba", "bab")
    for name in names:
        for seq in (1, 2, 3):
            commit = {"stream": f"cook:{name}", "seq": seq, "cmds": [f"{name}{seq}"], "events": []}
            do(world.plant("cook_events", f"cook:{name}:{seq:010d}", **commit))

    async def read():
        return [
            (c["stream"], c["seq"]) async for c in stream_firsts(world.store, "cook_events", prefix="cook:b")
        ]

    assert sorted(do(read())) == sorted((f"cook:{name}", 1) for name in names)


def fixing(world):
    async def strays(*, apply):
        [found] = await world.cleaning(test_ms=0).run(["test-records"], apply=apply)
        return found["records"]

    return Fixing(
        store=world.store,
        rebuilding=world.rebuilding,
        casting=world.casting,
        clock=world.clock,
        strays=strays,
    )


FIXES = [
    ("lingering-outputs", [(OUTPUTS, "lost", {"status": "processing", "requestTimestamp": AGO})]),
    ("deliveries-stuck", [(OUTPUTS, OUT, {"deliveryStatus": "pending"})]),
    ("deliveries-stuck", [(OUTPUTS, OUT, OWED)]),
    ("projections", [("pieces", PIECE, {"state": "rejected"})]),
    ("projections", [(OUTPUTS, OUT, None)]),
    ("projections", [("casts", CAST, {"status": "failed", "outputs": {}})]),
    ("test-records", [("pieces", "stray", {"environment": "test"})]),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "faults"), FIXES)
def test_a_repair_is_counted_first_done_when_told_and_done_once(world, do, rule, faults):
    plant(world, do, *faults)
    world.ahead_ms = 120_000
    plan = do(fixing(world).plan(rule))
    assert plan == {"rule": rule, "action": ACTIONS[rule], "records": 1, "done": False}
    assert do(world.faults(rule)) == {rule: 1}, "a plan changes nothing"
    assert do(fixing(world).carry_out(rule))["records"] == 1
    assert do(world.faults(rule)) == {}
    assert do(fixing(world).carry_out(rule))["records"] == 0


def test_what_was_owed_is_dropped_with_a_reason_never_sent(world, do):
    plant(world, do, (OUTPUTS, OUT, OWED))
    do(fixing(world).carry_out("deliveries-stuck"))
    [doc] = do(world.store.get(OUTPUTS, [OUT]))
    assert (doc["deliveryStatus"], doc["deliveryTimestamp"]) == ("dropped", None)
    assert "audit" in doc["deliveryError"]


@pytest.mark.parametrize(("rule", "reason"), [("links", "has no repair"), ("nothing", "is no rule")])
def test_a_rule_without_a_repair_is_refused(world, do, rule, reason):
    with pytest.raises(Invalid, match=reason):
        do(fixing(world).plan(rule))
