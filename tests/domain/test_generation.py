"""Generation outputs and instants: what a record says of one tool execution."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cauldron.domain.generation import Parents, first_delivery_status, output_document
from cauldron.domain.times import from_iso, iso
from tests.domain.cook_samples import step


def parents(platform: str = "none") -> Parents:
    return Parents(
        owner="ann",
        visibility="private",
        environment="test",
        notification_platform=platform,
        cook_id="c1",
        piece_id="c1.1",
    )


def test_a_record_says_how_long_it_took_and_what_it_cost():
    doc = output_document("o", step(cost_micro_usd=1_500_000), parents(), seq=3)
    assert doc["durationMs"] == 40
    assert doc["costUsd"] == 1.5
    assert (doc["requestTimestamp"], doc["responseTimestamp"]) == (
        "2026-01-01T00:00:00.000Z",
        "2026-01-01T00:00:00.040Z",
    )
    assert (doc["schemaVersion"], doc["seq"], doc["environment"], doc["owner"]) == (2, 3, "test", "ann")
    assert (doc["pointsSpent"], doc["protocolNetPoints"]) == (0, 0)


@pytest.mark.parametrize("status", ["success", "failed", "cancelled", "timeout"])
def test_terminal_statuses_are_kept(status):
    assert output_document("o", step(status=status), parents(), seq=1)["status"] == status


@pytest.mark.parametrize("status", ["lost", "dispatched"])
def test_what_is_not_terminal_is_recorded_as_failed(status):
    assert output_document("o", step(status=status), parents(), seq=1)["status"] == "failed"


def test_an_error_is_kept_with_its_code():
    broken = step(status="failed") | {"error": {"code": "tool_error", "message": "m", "retryable": "no"}}
    doc = output_document("o", broken, parents(), seq=1)
    assert (doc["statusReason"], doc["error"]["message"]) == ("tool_error", "m")
    assert output_document("o", step(), parents(), seq=1)["error"] is None


@pytest.mark.parametrize(("platform", "status"), [("none", "skipped"), ("discord", "pending")])
def test_a_delivery_is_owed_where_there_is_a_platform(platform, status):
    assert first_delivery_status(platform) == status
    assert output_document("o", step(), parents(platform), seq=1)["deliveryStatus"] == status


def test_a_cached_run_says_so():
    cached = step() | {"cached": True, "cacheKey": "k", "costMicroUsd": 0}
    doc = output_document("o", cached, parents(), seq=1)
    assert (doc["cached"], doc["cacheKey"], doc["costUsd"]) == (True, "k", 0)
    assert output_document("o", step(), parents(), seq=1)["cached"] is False


@given(st.integers(0, 32_503_680_000_000))
def test_instants_survive_being_written_down(ms):
    assert from_iso(iso(ms)) == ms


@given(st.integers(0, 32_503_680_000_000), st.integers(0, 32_503_680_000_000))
def test_instants_sort_as_text(a, b):
    assert (iso(a) < iso(b)) == (a < b)
