"""Estimates before a cook starts: tariffs beat history, history needs five cooks."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cauldron.bootstrap import TABLES
from cauldron.domain.estimate import Interval, exactly, foretell
from cauldron.domain.estimate_cost import by_tariff, sentence, tariff_micro_usd, told
from cauldron.domain.registry import ToolSet
from cauldron.domain.snapshot import execution_plan, take_snapshot
from cauldron.domain.spell_graph import check_document
from cauldron.domain.tool import Costing, Kind, Port, Tool
from cauldron.services.forecasting import CookForecast
from cauldron.services.past_cooks import past_cooks
from tests.contracts.conftest import STORES
from tests.flows.commands import Inside, make_collection
from tests.kitchen import Kitchen, Scripted, step, success


def tool(costing: Costing) -> Tool:
    return Tool(
        id="test.draw",
        version="1.0.0",
        display_name="Draw",
        description="",
        costing=costing,
        inputs=(
            Port(name="copies", kind=Kind.INTEGER, default=2),
            Port(name="text", kind=Kind.TEXT),
            Port(name="spare", kind=Kind.INTEGER),
        ),
        outputs=(Port(name="text", kind=Kind.TEXT), Port(name="count", kind=Kind.INTEGER)),
    )


def planned(costing: Costing, copies=None):
    document = {
        "cauldronSpell": 1,
        "name": "Draw twice",
        "inputs": [{"name": "many", "kind": "integer", "default": 5}],
        "steps": [
            {"id": "one", "tool": "test.draw", "inputs": {"spare": {"input": "many"}}},
            {
                "id": "two",
                "tool": "test.draw",
                "inputs": {"text": {"step": "one", "output": "text"}}
                | ({} if copies is None else {"copies": copies}),
            },
        ],
        "output": {"step": "two", "output": "text"},
    }
    checked = check_document(document, ToolSet([tool(costing)]), source="test")
    return execution_plan(take_snapshot(checked))


PER_COPY = Costing(model="per_unit", amount_micro_usd=10, unit="copies")


@pytest.mark.parametrize(
    ("costing", "copies", "cost"),
    [
        (Costing(amount_micro_usd=40), None, 80),
        (PER_COPY, None, 40),  # the default, twice
        (PER_COPY, 7, 90),
        (PER_COPY, {"input": "many"}, 50),
        (PER_COPY, {"step": "one", "output": "count"}, None),
        (Costing(model="per_second", amount_micro_usd=5), None, None),
        (Costing(amount_micro_usd=40, source="reported"), None, None),
        (Costing(amount_micro_usd=40, source="unknown"), None, None),
    ],
    ids=["static", "default", "literal", "input", "not known before", "seconds", "reported", "unknown"],
)
def test_tariffs_are_added_up_where_they_are_declared(costing, copies, cost):
    assert tariff_micro_usd(planned(costing, copies), {"many": 3}) == cost


@given(costs=st.lists(st.floats(0, 1e6), min_size=1), pieces=st.integers(1, 10_000), factor=st.floats(1, 20))
def test_failed_tries_are_paid_for_too(costs, pieces, factor):
    found = by_tariff(costs, pieces, factor=factor)
    assert found.low <= found.middle * (1 + 1e-9)
    assert found.middle == pytest.approx(found.low * factor)


@pytest.mark.parametrize(
    ("interval", "words"),
    [
        (exactly(5.0), "declared by the tools"),
        (Interval(past_runs=3), "no estimate yet: 3 earlier runs, 5 are needed"),
        (Interval(middle=1.0, basis="pieces", past_runs=0), "from its own pieces, without an interval"),
        (
            Interval(low=1.0, middle=2.0, high=3.0, basis="history", past_runs=9, hit_rate=0.75, checked=4),
            "from 9 earlier runs; 3 of the last 4 intervals held",
        ),
        (Interval(low=1.0, middle=2.0, high=3.0, basis="calibrated", past_runs=9), "widened"),
        (Interval(low=1.0, middle=2.0, high=3.0, basis="recent", past_runs=9), "last three"),
    ],
    ids=["tariff", "none", "own", "history", "calibrated", "recent"],
)
def test_an_estimate_says_on_what_it_rests(interval, words):
    assert words in sentence(interval)
    assert told(interval, digits=2, unit="s")["says"] == sentence(interval)


@pytest.fixture(params=STORES)
def kitchen(request, tmp_path, run):
    engine = STORES[request.param](tmp_path)
    yield Kitchen(run(engine.open(*TABLES)), tmp_path / "blobs")
    run(engine.close())


def test_ended_cooks_are_the_past_of_the_next_one(run, kitchen):
    """Six cooks of twenty pieces, each about twice as dear as the one before the last; one is another's."""

    async def story():
        rng = random.Random(3)

        def made(job):
            cost = rng.randint(80, 120) * 1000
            return success(job) | {"steps": [step(job, costMicroUsd=cost)], "durationMs": 2000}

        async with kitchen.running(kitchen.owner(), kitchen.worker(Scripted(made))):
            for n in range(6):
                shown = {"usd": [0.05, 0.1, 0.2]} if n == 5 else None
                await kitchen.start(20, cook_id=f"c{n}", estimate=shown)
                await kitchen.until_state("Completed", cook_id=f"c{n}")
            await kitchen.start(20, cook_id="other", owner="bob")
            await kitchen.until_state("Completed", cook_id="other")
        past = await past_cooks(kitchen.store, owner="ann", generator={"kind": "tool", "id": "test.noop"})
        assert len(past) == 6
        assert past[0].usd.foretold == (0.05, 0.1, 0.2)  # the newest comes first
        assert past[1].usd.foretold is None
        for each in past:
            assert each.usd.pieces == 20
            assert each.usd.mean == pytest.approx(0.1, rel=0.15)
            assert each.seconds.mean == pytest.approx(2.0)
            assert each.elapsed.mean > 0
        found = foretell(20, past=[each.usd for each in past])
        assert found.basis == "history"
        assert found.low < 2.0 < found.high
        assert found.checked == 1

    run(story())


def forecast(one: Interval, **more) -> CookForecast:
    return CookForecast(
        pieces=10,
        micro_usd=one.scaled(10),
        one_micro_usd=one,
        seconds=Interval(),
        retry_factor=1.0,
        micro_usd_per_point=1000,
        **more,
    )


def test_a_budget_sets_aside_the_tariff_or_the_upper_end():
    exact = forecast(exactly(1500.0)).budget(points=20, usd=None)
    assert exact == {
        "microUsdPerPoint": 1000,
        "pointsMilli": 20_000,
        "pieceMicroUsd": 1500,
        "piecePointsMilli": 1500,
        "exact": True,
    }
    known = Interval(low=1.0, middle=2.0, high=3.2, basis="history")
    assert forecast(known).budget(points=None, usd=1.5)["pieceMicroUsd"] == 4
    assert "pieceMicroUsd" not in forecast(Interval()).budget(points=None, usd=1.5)
    assert forecast(known).budget(points=None, usd=None) is None


def test_a_dry_run_says_what_a_cook_would_take_and_starts_nothing(tmp_path):
    shell = Inside(home=tmp_path / "home", cwd=tmp_path)
    source = str(make_collection(tmp_path / "art", supply=10))
    found = shell.ok("cook", "start", source, "--dry-run")
    assert found["pieces"] == 10
    assert (found["costUsd"]["middle"], found["costUsd"]["basis"]) == (0, "tariff")
    assert (found["seconds"]["middle"], found["seconds"]["says"]) == (
        None,
        "no estimate yet: 0 earlier runs, 5 are needed",
    )
    assert shell.ok("cook", "list") == {"cooks": []}
    status = shell.ok("cook", "start", source, "--budget-usd", "0.5", "--wait")
    assert (status["state"], status["budget"]["usd"]) == ("Completed", 0.5)
    refused = shell("cook", "start", source, "--budget-points", "-1")
    assert refused.code == 2
    assert "--budget-points" in refused.err
