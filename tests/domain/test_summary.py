"""Progress and cost: percent that never lies, estimates with a word on what they rest on."""

import pytest

from cauldron.domain.summary import cast_summary, cook_summary, percent

STATUS = {
    "cookId": "c1", "collectionId": "k1", "state": "Cooking", "targetSupply": 100, "generationCount": 40,
    "queued": 50, "running": 8, "unreviewed": 30, "approved": 10, "rejected": 0, "failed": 2, "culled": 0,
    "costPts": 0.4, "costUsd": 0.08, "rate": 2.0, "failuresByCode": {"timeout": 1, "tool_error": 3},
    "startedAt": "2026-11-20T09:30:00.000Z", "updatedAt": "2026-11-20T09:31:00.000Z",
}  # fmt: skip


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
