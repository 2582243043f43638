"""The rules of the audit by themselves: bounds, ages, and tallies that stay small."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cauldron.domain.audit import (
    BY_NAME,
    CHECKS,
    DAY_MS,
    IN_TIME_MS,
    MOST_REASONS,
    MOST_SAMPLES,
    RULES,
    Tally,
    compare,
    lingering_output,
    report_document,
    settled_late,
)
from cauldron.domain.times import iso

NOW = 1_800_000_000_000


@pytest.mark.parametrize(
    ("rule", "found", "checked", "holds"),
    [
        ("lingering-outputs", 0, 0, True),
        ("lingering-outputs", 9, 1000, True),
        ("lingering-outputs", 10, 1000, False),  # less than 1 %
        ("settled-late", 50, 1000, True),  # at least 95 %
        ("settled-late", 51, 1000, False),
        ("duration-missing", 10, 1000, True),  # at least 99 %
        ("duration-missing", 11, 1000, False),
        ("cost-missing", 11, 1000, False),
        ("schema", 1, 1_000_000, False),
        ("schema", 0, 1_000_000, True),
        ("links", 1, 0, False),
    ],
)
def test_bounds_are_those_that_were_asked_for(rule, found, checked, holds):
    assert BY_NAME[rule].holds(found=found, checked=checked) is holds


def test_a_day_is_the_age_from_which_something_lingers():
    for age, found in ((DAY_MS - 1000, False), (DAY_MS + 1000, True)):
        doc = {"status": "pending", "requestTimestamp": iso(NOW - age)}
        assert bool(lingering_output(doc, NOW)) is found


@pytest.mark.parametrize(("late_ms", "found"), [(0, False), (IN_TIME_MS, False), (IN_TIME_MS + 1, True)])
def test_five_minutes_after_the_webhook_is_in_time(late_ms, found):
    told = NOW - DAY_MS
    doc = {"status": "success", "webhookReceivedAt": iso(told), "responseTimestamp": iso(told + late_ms)}
    assert bool(settled_late(doc, NOW)) is found


def test_an_end_before_its_webhook_is_in_time():
    doc = {"status": "failed", "webhookReceivedAt": iso(NOW), "responseTimestamp": iso(NOW - DAY_MS)}
    assert settled_late(doc, NOW) == ""


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
FIELDS = (
    "status", "state", "requestTimestamp", "responseTimestamp", "webhookReceivedAt", "updatedAt", "startedAt",
    "runAt", "durationMs", "costUsd", "costSource", "deliveryStatus", "notificationPlatform",
)  # fmt: skip
words = st.sampled_from(["success", "pending", "running", "waiting", "Cooking", "failed", "none"])


@given(st.dictionaries(st.sampled_from(FIELDS), values | words | st.just(iso(NOW))))
def test_no_document_however_broken_stops_the_audit(doc):
    for checks in CHECKS.values():
        for _, check in checks:
            assert check(doc, NOW) is None or isinstance(check(doc, NOW), str)


def test_a_tally_holds_a_few_samples_and_kinds_whatever_is_found():
    tally = Tally(BY_NAME["schema"])
    for n in range(10_000):
        tally.note("pieces", n, f"reason {n}")
    body = tally.document()
    assert (body["found"], len(body["samples"]), len(body["reasons"])) == (10_000, MOST_SAMPLES, MOST_REASONS)


def test_a_rule_that_does_not_apply_is_no_fault():
    tally = Tally(BY_NAME["ledger"], absent="none yet")
    tally.note("ledger", "g", "x")
    assert tally.ok
    assert (tally.document()["applies"], tally.document()["why"]) == (False, "none yet")


def test_a_report_compares_with_itself_as_the_same():
    tallies = [Tally(rule, checked=10, found=n) for n, rule in enumerate(RULES)]
    report = report_document(tallies, environment="live", engine="x", at=NOW, records=1, seconds=0.5)
    assert {c["change"] for c in compare(report, report)} == {"same"}
    assert [c["rule"] for c in compare(report, report)] == [rule.name for rule in RULES]
    worse = report | {"rules": [r | {"share": r["share"] + 0.1} for r in report["rules"]]}
    assert {c["change"] for c in compare(report, worse)} == {"worse"}
    assert {c["change"] for c in compare(report | {"rules": []}, report)} == {"new"}
