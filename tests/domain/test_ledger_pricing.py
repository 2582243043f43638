"""What a run is charged for."""

from cauldron.domain.ledger_pricing import Terms, price_of


def step(name, *, attempt, status="success", cost=1_000):
    return {"step": name, "attempt": attempt, "status": status, "costMicroUsd": cost}


def test_each_step_is_paid_for_once_also_when_it_succeeded_before_the_last_attempt():
    terms = Terms(rate_id="r", micro_usd_per_point=1_000)
    once = [step("a", attempt=1), step("b", attempt=1, status="failed"), step("b", attempt=2)]
    again = [step("a", attempt=1), step("a", attempt=2), step("b", attempt=2)]
    assert price_of(once, terms, piece=0, attempt=2) == price_of(again, terms, piece=0, attempt=2)
    assert price_of(once, terms, piece=0, attempt=2) == 2_000
