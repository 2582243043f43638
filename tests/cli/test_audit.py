"""``cauldron audit``, ``clean`` and ``erase``: answers for scripts, exit codes, plans before deeds."""

import asyncio
import json

import pytest
import typer
from typer.testing import CliRunner

from cauldron.adapters.sqlite import SqliteStore
from cauldron.cli import audit as commands
from tests.upkeep import ALL_TABLES, World, cook_and_cast, old


@pytest.fixture
def cauldron(home):
    app = typer.Typer()
    app.callback()(lambda: None)
    commands.register(app)

    def call(*arguments):
        return CliRunner().invoke(app, [*map(str, arguments)])

    return call


@pytest.fixture
def studio(home):
    """``studio(story)`` runs ``story(world)`` on the data directory of the commands."""

    def open_and(story):
        async def session():
            store = SqliteStore(home / "cauldron.db")
            await store.open(ALL_TABLES)
            try:
                return await story(World(store, home))
            finally:
                await store.close()

        return asyncio.run(session())

    return open_and


def answer(result):
    return json.loads(result.stdout)


async def unknown_cost(world):
    await cook_and_cast(world)
    await world.plant("generationOutputs", "c-a.1.1.0", costSource="unknown")


def test_an_empty_studio_is_sound(cauldron):
    result = cauldron("audit", "--json")
    assert result.exit_code == 0
    body = answer(result)
    assert (body["ok"], body["environment"], body["engine"], body["records"]) == (True, "live", "sqlite", 0)


def test_a_sound_studio_exits_0_and_one_over_a_bound_exits_1(cauldron, studio, monkeypatch):
    studio(cook_and_cast)
    sound = cauldron("audit")
    assert sound.exit_code == 0
    assert "live on sqlite" in sound.stdout
    assert "ok    cost-missing" in sound.stdout
    assert "ok    ledger" in sound.stdout
    studio(lambda world: world.plant("generationOutputs", "c-a.1.1.0", costSource="unknown"))
    over = cauldron("audit")
    assert over.exit_code == 1
    assert "OVER  cost-missing       1 of 4 (25 %), bound ≤ 1 %" in over.stdout
    assert "generationOutputs c-a.1.1.0: the cost is unknown" in over.stdout
    assert cauldron("audit", "--rule", "links").exit_code == 0
    monkeypatch.setenv("CAULDRON_ENVIRONMENT", "test")
    assert answer(cauldron("audit", "--json", "--rule", "links"))["environment"] == "test"


def test_a_report_is_written_and_compared_with(cauldron, studio, tmp_path):
    studio(unknown_cost)
    report = tmp_path / "report.json"
    first = cauldron("audit", "--out", report)
    assert (first.exit_code, json.loads(report.read_text())["ok"]) == (1, False)
    studio(lambda world: world.plant("generationOutputs", "c-a.1.1.0", costSource="tariff"))
    second = cauldron("audit", "--compare", report)
    assert second.exit_code == 0
    assert "cost-missing       0 of 4, bound ≤ 1 %, better than 1" in second.stdout
    changes = {
        c["rule"]: c["change"] for c in answer(cauldron("audit", "--compare", report, "--json"))["compared"]
    }
    assert changes["cost-missing"] == "better"


@pytest.mark.parametrize(
    "content", ["[]", '{"rules": 1}', "{", '{"cauldronAudit": 1, "rules": [{"applies": 1}]}']
)
def test_a_malformed_earlier_report_is_refused_before_anything_is_read(cauldron, write, content):
    result = cauldron("audit", "--json", "--compare", write("old.json", content))
    assert result.exit_code == 2
    assert "error" in answer(result)


@pytest.mark.parametrize("option", ["--rule", "--fix"])
def test_an_unknown_rule_is_malformed_input(cauldron, option):
    result = cauldron("audit", "--json", option, "lnks")
    assert result.exit_code == 2
    assert "'lnks' is no rule" in answer(result)["error"]["message"]


def test_a_rule_without_a_repair_is_malformed_input(cauldron):
    assert cauldron("audit", "--json", "--fix", "links").exit_code == 2


def test_a_repair_is_shown_first_and_done_with_yes(cauldron, studio):
    studio(cook_and_cast)
    studio(lambda world: world.plant("pieces", "c-a.1", state="rejected"))
    plan = cauldron("audit", "--json", "--fix", "projections")
    assert plan.exit_code == 1
    [fix] = answer(plan)["fixes"]
    assert (fix["rule"], fix["records"], fix["done"]) == ("projections", 1, False)
    assert cauldron("audit").exit_code == 1, "nothing was changed"
    done = cauldron("audit", "--fix", "projections", "--yes")
    assert done.exit_code == 0
    assert "done  projections: 1 records: write the read models anew" in done.stdout
    assert "plan  projections: 1 records" in done.stderr
    assert cauldron("audit").exit_code == 0


def test_a_report_that_cannot_be_written_is_one_clear_error(cauldron, tmp_path):
    result = cauldron("audit", "--json", "--out", tmp_path / "no" / "report.json")
    assert result.exit_code == 1
    assert "cannot be written" in answer(result)["error"]["message"]


def test_clean_counts_then_removes(cauldron, studio):
    async def strays(world):
        await cook_and_cast(world)
        await world.put("stray")
        old(world, "stray")

    studio(strays)
    dry = cauldron("clean", "--json")
    assert (dry.exit_code, answer(dry)["applied"]) == (0, False)
    blobs = answer(dry)["tasks"][-1]
    assert (blobs["task"], blobs["records"], answer(dry)["sizeBytes"]) == ("blobs", 1, len(b"bytes of stray"))
    assert "nothing was changed" in cauldron("clean").stderr
    done = cauldron("clean", "--apply", "--task", "blobs")
    assert done.stdout.startswith("blobs          1 (14 bytes)")
    assert answer(cauldron("clean", "--json", "--task", "blobs"))["tasks"][0]["records"] == 0


def test_clean_of_tests_takes_an_age(cauldron, studio):
    studio(lambda world: cook_and_cast(world, environment="test"))
    young = cauldron("clean", "--json", "--task", "test-records")
    assert answer(young)["tasks"][0]["records"] == 0
    found = cauldron("clean", "--task", "test-records", "--test-days", "0", "--apply")
    assert "  cook_events " in found.stdout
    assert answer(cauldron("audit", "--json", "--rule", "test-records"))["ok"]


def test_clean_refuses_a_second_one_and_nonsense(cauldron, studio):
    async def held(world):
        await world.cleaning(holder="somebody")._hold()

    studio(held)
    result = cauldron("clean", "--json")
    assert (result.exit_code, answer(result)["error"]["code"]) == (1, "refused")
    assert cauldron("clean", "--task", "everything").exit_code == 2
    assert cauldron("clean", "--test-days", "-1").exit_code == 2


def test_erase_shows_then_erases_and_the_audit_agrees(cauldron, studio):
    studio(cook_and_cast)
    dry = cauldron("erase", "collection", "k-a", "--json")
    assert (dry.exit_code, answer(dry)["done"]) == (0, False)
    assert answer(dry)["records"]["pieces"] == 3
    assert "no way back" in cauldron("erase", "collection", "k-a").stderr
    done = cauldron("erase", "collection", "k-a", "--apply", "--grace-hours", "0")
    assert done.exit_code == 0
    assert "collection k-a: erased" in done.stdout
    assert cauldron("audit", "--rule", "links", "--rule", "schema").exit_code == 0
    assert answer(cauldron("erase", "collection", "k-a", "--json"))["commits"] == 0


def test_erase_of_what_is_not_there_or_no_kind_is_refused(cauldron):
    assert cauldron("erase", "collection", "nothing").exit_code == 1
    assert cauldron("erase", "cook", "x").exit_code == 2
    assert cauldron("erase", "account", "\0").exit_code == 1
