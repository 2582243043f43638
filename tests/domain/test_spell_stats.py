"""Statistics of tools and spells: exact on their window, failures as a factor, nothing made up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cauldron.domain.spell_stats import WINDOW, bucket_of, retry_factor, spell_stats, summary_of, tool_stats


def output(ms: int = 100, *, status: str = "success", **more):
    return {
        "status": status,
        "durationMs": ms,
        "costUsd": 0.001,
        "costSource": "tariff",
        "pointsSpent": 2.0,
        "inputs": {},
        **more,
    }


def cast(ms: int, *, status: str = "completed", points: float = 1.0):
    return {
        "status": status,
        "startedAt": "2026-01-01T00:00:00.000Z",
        "completedAt": f"2026-01-01T00:00:{ms // 1000:02d}.{ms % 1000:03d}Z",
        "pointsSpent": points,
        "costUsd": 0.01,
    }


@given(st.lists(st.floats(0, 1e6), min_size=5))
def test_quantiles_are_values_that_were_seen_in_their_order(values):
    found = summary_of(values)
    assert {found["p10"], found["p50"], found["p90"]} <= set(values)
    assert min(values) <= found["p10"] <= found["p50"] <= found["p90"] <= max(values)


@pytest.mark.parametrize("runs", [1, 2, 3, 4])
def test_below_five_runs_there_is_no_interval(runs):
    found = summary_of([1.0] * runs)
    assert found == {"mean": 1.0, "p10": None, "p50": 1.0, "p90": None}
    assert summary_of([1.0] * 5)["p90"] == 1.0


def test_nothing_has_no_summary():
    assert summary_of([]) is None
    assert spell_stats([])["avgCostPtsCached"] is None
    assert tool_stats([])["runtimeMs"] is None


@pytest.mark.parametrize(
    ("good", "bad", "factor"), [(10, 0, 1.0), (5, 5, 2.0), (0, 0, 1.0), (0, 3, 20.0), (1, 99, 20.0)]
)
def test_failures_are_a_factor(good, bad, factor):
    assert retry_factor(good, bad) == factor


def test_only_successes_have_durations_and_only_known_costs_count():
    found = tool_stats(
        [output(100), output(900, status="failed"), output(300, costSource="unknown", costUsd=5.0)]
    )
    assert (found["runs"], found["failures"], found["retryFactor"]) == (2, 1, 1.5)
    assert (found["runtimeMs"]["p50"], found["runtimeMs"]["mean"]) == (100, 200)
    assert found["costUsd"]["mean"] == 0.001


def test_cached_runs_say_nothing_of_what_a_run_takes():
    found = tool_stats([output(1, cached=True), output(100)])
    assert (found["runs"], found["runtimeMs"]["mean"], found["cachedShare"]) == (1, 100, 0.5)


def test_runs_of_one_kind_of_inputs_are_told_apart():
    runs = [output(100, inputs={"width": 512, "height": 512, "steps": 20}) for _ in range(3)]
    runs += [output(400, inputs={"width": 1024, "height": 1000, "steps": 30})]
    found = tool_stats(runs)["buckets"]
    assert {name: kind["runs"] for name, kind in found.items()} == {
        "262144px, 16 steps": 3,
        "1048576px, 32 steps": 1,
    }


@pytest.mark.parametrize(
    "inputs", [{}, {"width": "5", "height": 5}, {"width": True, "height": 2}, {"steps": -1}]
)
def test_odd_inputs_are_of_no_kind(inputs):
    assert bucket_of(inputs) == ""


def test_a_spell_has_means_of_its_completed_casts():
    found = spell_stats(
        [cast(1000), cast(3000, points=3.0), cast(9000, status="failed"), cast(1, status="running")]
    )
    assert (found["runs"], found["failures"]) == (2, 1)
    assert (found["avgCostPtsCached"], found["avgRuntimeMsCached"]) == (2.0, 2000)


def test_only_the_window_counts():
    found = spell_stats([cast(1000)] * WINDOW + [cast(9000)] * 50)
    assert (found["runs"], found["runtimeMs"]["p90"]) == (WINDOW, 1000)


def test_imported_casts_without_an_end_are_counted_but_not_timed():
    found = spell_stats([cast(1000) | {"completedAt": None}])
    assert (found["runs"], found["avgRuntimeMsCached"]) == (1, None)
