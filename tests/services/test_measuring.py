"""Metrics of what happens in the store: counted from the log, names as declared, all of them used."""

import re
from pathlib import Path

import pytest
import structlog

from cauldron.adapters.prometheus import PrometheusMetrics
from cauldron.domain.metrics import METRICS
from cauldron.services.measuring import Measuring
from tests.kitchen import kitchen, step

ROOT = Path(__file__).parents[2]


def value(metrics, line):
    found = re.search(rf"^{re.escape(line)} (\S+)$", metrics.exposition().decode(), re.MULTILINE)
    return float(found[1]) if found else None


def commit(*events, stream="cast:x", ts=1_000):
    return {"stream": stream, "ts": ts, "events": [{"type": t, "data": d} for t, d in events]}


def test_what_commits_tell_is_counted():
    metrics = PrometheusMetrics()
    measuring = Measuring(
        store=None, tables=(), queues=(), metrics=metrics, clock=lambda: 4_500, lost=lambda: 0
    )
    made = step({"attempt": 1}) | {"startMs": 1_000, "endMs": 1_400, "costMicroUsd": 250_000}
    failed = step({"attempt": 1}, status="failed")
    measuring.absorb("cast_events", commit(("CastStarted", {})))
    measuring.absorb("cast_events", commit(("CastFailed", {"steps": [made, failed]}), ts=3_000))
    measuring.absorb(
        "cook_events", commit(("PieceGenerated", {"steps": [made | {"cached": True}]}), ts=4_000)
    )
    tool = 'tool="test.noop"'
    assert value(metrics, f'cauldron_executions_total{{outcome="success",{tool}}}') == 1
    assert value(metrics, f'cauldron_executions_total{{outcome="failed",{tool}}}') == 1
    assert value(metrics, f'cauldron_executions_total{{outcome="cached",{tool}}}') == 1
    assert value(metrics, f"cauldron_run_duration_seconds_count{{{tool}}}") == 2
    assert value(metrics, 'cauldron_casts_total{outcome="failed"}') == 1
    assert value(metrics, 'cauldron_cast_duration_seconds_sum{outcome="failed"}') == 2.0
    assert value(metrics, 'cauldron_pieces_total{outcome="generated"}') == 1
    assert value(metrics, 'cauldron_follower_lag_seconds{follower="metrics"}') == 0.5


def test_a_step_that_was_told_of_while_its_cast_ran_is_counted_once():
    metrics = PrometheusMetrics()
    measuring = Measuring(
        store=None, tables=(), queues=(), metrics=metrics, clock=lambda: 4_500, lost=lambda: 0
    )
    first, second = (step({"attempt": 1}, step=name) | {"costMicroUsd": 250_000} for name in ("a", "b"))
    measuring.absorb("cast_events", commit(("CastStarted", {})))
    measuring.absorb("cast_events", commit(("CastStepEnded", {"index": 0, "steps": [first]})))
    end = {"told": 1, "steps": [first, second]}
    measuring.absorb("cast_events", commit(("CastCompleted", end), ts=3_000))
    assert value(metrics, 'cauldron_executions_total{outcome="success",tool="test.noop"}') == 2
    assert value(metrics, 'cauldron_cost_usd_total{source="tariff"}') == 0.5


def test_errors_of_casts_are_counted_by_code_and_codes_have_an_end():
    metrics = PrometheusMetrics()
    measuring = Measuring(
        store=None, tables=(), queues=(), metrics=metrics, clock=lambda: 4_500, lost=lambda: 0
    )

    def fail(code):
        error = {"code": code, "message": "it broke", "step": "a"}
        measuring.absorb("cast_events", commit(("CastFailed", {"steps": [], "error": error})))

    for code in ("timeout", "timeout", 'it broke\n{x="1"}', *(f"odd_{n}" for n in range(200))):
        fail(code)
    assert value(metrics, 'cauldron_cast_errors_total{code="timeout"}') == 2
    text = metrics.exposition().decode()
    codes = re.findall(r'cauldron_cast_errors_total\{code="([^"]*)"\}', text)
    assert len(codes) <= 51 and "other" in codes and all(re.fullmatch("[a-z0-9_]+", c) for c in codes)
    told = sum(value(metrics, f'cauldron_cast_errors_total{{code="{c}"}}') for c in codes)
    assert told == 203
    measuring.absorb("cast_events", commit(("CastCancelled", {"steps": []})))
    assert sum(value(metrics, f'cauldron_cast_errors_total{{code="{c}"}}') for c in codes) == 203


def test_what_is_entered_into_the_books_is_counted():
    metrics = PrometheusMetrics()
    measuring = Measuring(
        store=None, tables=(), queues=(), metrics=metrics, clock=lambda: 4_500, lost=lambda: 0
    )
    legs = [["user:ann", -2_500], ["held:x", 2_000], ["fees", 500]]
    measuring.absorb("ledger", commit(("PointsHeld", {"group": "g", "legs": legs}), stream="account:ann"))
    assert value(metrics, 'cauldron_ledger_entries_total{kind="PointsHeld"}') == 1
    assert value(metrics, 'cauldron_ledger_points_total{kind="PointsHeld"}') == 2.5


def test_an_execution_that_failed_is_told_under_its_ids_and_without_its_inputs():
    measuring = Measuring(
        store=None, tables=(), queues=(), metrics=PrometheusMetrics(), clock=lambda: 4_500, lost=lambda: 0
    )
    broken = step({"attempt": 1}, status="failed") | {"inputs": {"text": "canary"}}
    structlog.reset_defaults()  # another test may have asked for less
    with structlog.testing.capture_logs() as lines:
        measuring.absorb("cast_events", commit(("CastFailed", {"steps": [broken]}), stream="cast:x"))
        ended = {"piece": 7, "attempt": 2, "steps": [broken, broken | {"attempt": 2}]}
        measuring.absorb("cook_events", commit(("GenerationFailed", ended), stream="cook:c"))
    assert [line["generation_id"] for line in lines] == ["x.1.0", "c.7.1.0", "c.7.2.1"]
    assert [line.get("cook_id") for line in lines] == [None, "c", "c"]
    assert "canary" not in str(lines)


def test_queues_are_looked_at(tmp_path, run):
    async def story():
        metrics = PrometheusMetrics()
        async with kitchen(tmp_path) as place:
            measuring = Measuring(
                store=place.store, tables=(), queues=[place.jobs], metrics=metrics, clock=place.clock,
                lost=lambda: 3,
            )  # fmt: skip
            jobs = [
                {
                    "_id": str(n),
                    "status": "queued",
                    "rank": n,
                    "parent": "c",
                    "createdAt": place.clock() - 5_000,
                }
                for n in range(3)
            ]
            await place.jobs.enqueue(jobs)
            await measuring.look()
            await measuring.look()
        return metrics

    metrics = run(story())
    assert value(metrics, 'cauldron_queue_jobs{queue="cook_jobs",status="queued"}') == 3
    assert value(metrics, 'cauldron_queue_oldest_seconds{queue="cook_jobs"}') >= 5
    assert value(metrics, "cauldron_leases_lost_total") == 3, "a total is added once"


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_that_is_declared_is_measured(name):
    sources = [
        p.read_text() for p in (ROOT / "cauldron").rglob("*.py") if p.name != "metrics.py" or "api" in p.parts
    ]
    family = re.sub(r"_(sse|websocket)_clients", "_{via}_clients", name)
    assert any(f'"{name}"' in source or f'"{family}"' in source for source in sources)


def test_no_metric_is_measured_that_is_not_declared():
    pattern = re.compile(r'"(cauldron_[a-z_]+)"')
    named = {n for p in (ROOT / "cauldron").rglob("*.py") for n in pattern.findall(p.read_text())}
    assert named <= set(METRICS)
    with pytest.raises(KeyError):
        PrometheusMetrics().add("cauldron_nothing_total")
    with pytest.raises(KeyError):
        PrometheusMetrics().add("cauldron_casts_total")
