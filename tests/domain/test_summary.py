"""Progress and cost: percent that never lies, intervals that hold as often as they say."""

import random
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cauldron.domain.prediction import PastRun, predict, t_quantile
from cauldron.domain.summary import cast_summary, cook_summary, percent

STATUS = {
    "cookId": "c1", "collectionId": "k1", "state": "Cooking", "targetSupply": 100, "generationCount": 40,
    "queued": 50, "running": 8, "unreviewed": 30, "approved": 10, "rejected": 0, "failed": 2, "culled": 0,
    "costPts": 0.4, "costUsd": 0.08, "rate": 2.0, "failuresByCode": {"timeout": 1, "tool_error": 3},
    "startedAt": "2026-11-20T09:30:00.000Z", "updatedAt": "2026-11-20T09:31:00.000Z",
}  # fmt: skip


def past(*means, pieces=100):
    return [PastRun(pieces=pieces, total=mean * pieces) for mean in means]


@pytest.mark.parametrize(
    ("done", "total", "said"),
    [(0, 10, 0.0), (1, 3, 33.3), (9999, 10_000, 99.9), (99_999, 100_000, 99.9), (5, 5, 100.0), (0, 0, 0.0)],
)
def test_percent_is_a_hundred_only_when_all_is_done(done, total, said):
    assert percent(done, total) == said


def test_a_cook_is_summed_up():
    found = cook_summary(STATUS, sources=["tariff"], own=[(2.0, 0.002)] * 20)
    assert (found["done"], found["total"], found["percent"]) == (42, 100, 42.0)
    assert found["failures"] == [{"code": "tool_error", "count": 3}, {"code": "timeout", "count": 1}]
    assert found["cost"] == {
        "points": 0.4, "usd": 0.08, "usdPerPiece": 0.002, "sources": ["tariff"], "known": True,
    }  # fmt: skip
    assert found["costToCome"]["middle"] == pytest.approx(58 * 0.002)
    assert found["eta"]["middle"] == pytest.approx(29.0), "58 pieces of 2 s, four side by side"
    assert (found["eta"]["low"], found["eta"]["basis"]) == (None, "pieces"), "no interval without a past"


def test_an_unknown_source_is_not_nothing():
    assert cook_summary(STATUS, sources=["tariff", "unknown"])["cost"]["known"] is False
    assert cook_summary(STATUS, sources=[])["cost"]["known"] is False


def test_a_cook_at_rest_has_no_time_to_go():
    found = cook_summary(STATUS | {"state": "Paused"}, own=[(2.0, 0.002)] * 20)
    assert found["eta"]["middle"] is None


def test_four_past_runs_give_no_interval_and_five_do():
    assert predict(rest=10, own=[1.0], past=past(1, 2, 1, 2)).low is None
    found = predict(rest=10, own=[], past=past(1.0, 1.1, 0.9, 1.2, 0.8))
    assert found.basis == "history"
    assert found.low < found.middle < found.high
    assert found.middle == pytest.approx(10.0)


def test_nothing_left_takes_nothing():
    assert predict(rest=0, own=[1.0], past=[]).middle == 0


@given(
    rest=st.integers(1, 10_000),
    own=st.lists(st.floats(0, 1e4), max_size=50),
    means=st.lists(st.floats(0.001, 1e4), max_size=25),
)
def test_an_interval_lies_around_its_middle_and_above_nothing(rest, own, means):
    found = predict(rest=rest, own=own, past=past(*means))
    if found.low is not None:
        assert 0 <= found.low <= found.high
        assert found.past_runs >= 5
        assert found.low <= found.middle * (1 + 1e-9)
        assert found.middle <= found.high * (1 + 1e-9)


def test_eighty_per_cent_of_runs_lie_within():
    """400 runs that differ by σ .3 from cook to cook: 0.8 nominal, 0.75 to 0.95 allowed (sd .02)."""
    chance, held = random.Random(7), []
    for _ in range(400):
        runs = [
            PastRun(pieces=100, total=sum(mean * chance.lognormvariate(0, 0.5) for _ in range(100)))
            for mean in (chance.lognormvariate(0, 0.3) for _ in range(20))
        ]
        mean = chance.lognormvariate(0, 0.3)
        pieces = [mean * chance.lognormvariate(0, 0.5) for _ in range(100)]
        found = predict(rest=100, own=[], past=runs)
        held.append(found.low <= sum(pieces) <= found.high)
    assert 0.75 <= fmean(held) <= 0.95


def test_a_price_that_jumped_widens_the_interval():
    steady = past(*[1.0 + 0.01 * (n % 3) for n in range(12)])
    jumped = [*past(*[1.5 + 0.3 * n for n in range(8, 0, -1)]), *steady]
    found = predict(rest=10, own=[], past=jumped)
    assert found.hit_rate is not None
    assert found.hit_rate < 0.7
    assert found.basis == "calibrated"


@pytest.mark.parametrize(("degrees", "exact"), [(4, 1.5332), (7, 1.4149), (15, 1.3406), (30, 1.3104)])
def test_the_quantile_is_near_the_table(degrees, exact):
    assert t_quantile(degrees) == pytest.approx(exact, rel=0.005)


def test_a_cast_is_summed_up():
    record = {
        "_id": "x",
        "cookId": None,
        "spellId": "s",
        "status": "failed",
        "generationCount": 1,
        "pointsSpent": 0,
        "costUsd": 0.1,
        "startedAt": "a",
        "completedAt": "b",
        "error": {"code": "timeout", "message": "m"},
    }
    found = cast_summary(record, sources=["reported"], steps=2)
    assert (found["percent"], found["failures"]) == (100.0, [{"code": "timeout", "count": 1}])
    assert cast_summary(record | {"status": "running", "error": None}, steps=4)["percent"] == 25.0
