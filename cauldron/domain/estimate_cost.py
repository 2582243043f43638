"""What a piece or cast will cost by declared tariffs, and an estimate in words and as JSON."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from cauldron.domain.estimate import LEAST_PAST, LEVEL, Interval, exactly
from cauldron.domain.snapshot import PlannedStep
from cauldron.domain.spell import InputRef, Literal

TARIFF = "tariff"


def tariff_micro_usd(steps: Iterable[PlannedStep], inputs: Mapping[str, Any]) -> float | None:
    """What the declared tariffs come to for one run with these exposed inputs; None where one is missing.

    Costs per second are left to history: how long a run takes is not declared.
    """
    total = 0.0
    for step in steps:
        cost = _of_step(step, inputs)
        if cost is None:
            return None
        total += cost
    return total


def _of_step(step: PlannedStep, inputs: Mapping[str, Any]) -> float | None:
    costing = step.tool.costing
    if costing.source != TARIFF or costing.model == "per_second":
        return None
    if costing.model != "per_unit":
        return float(costing.amount_micro_usd)
    units = _units(step, costing.unit or "", inputs)
    return None if units is None else costing.amount_micro_usd * units


def _units(step: PlannedStep, unit: str, inputs: Mapping[str, Any]) -> float | None:
    port = step.tool.input(unit)
    match step.inputs.get(unit):
        case Literal(value):
            found = value
        case InputRef() as reference:
            found = inputs.get(reference.name)
        case None:
            found = port.default if port is not None else None
        case _:
            return None  # another step's output: known only when it is there
    return float(found) if isinstance(found, int | float) and not isinstance(found, bool) else None


def by_tariff(costs: Sequence[float], pieces: int, *, factor: float, past_runs: int = 0) -> Interval:
    """What ``pieces`` pieces cost whose tariffs are ``costs`` (a sample over the plan).

    ``factor`` is tries per success: failed tries are paid for, too.
    """
    total = pieces * sum(costs) / len(costs)
    found = exactly(total, past_runs=past_runs)
    return replace(found, middle=total * factor, high=total * factor) if factor > 1 else found


def told(interval: Interval, *, digits: int, unit: str) -> dict[str, Any]:
    """An interval as JSON, with a sentence that says on what it rests."""

    def rounded(value: float | None) -> float | None:
        return None if value is None else round(value, digits)

    return {
        "low": rounded(interval.low),
        "middle": rounded(interval.middle),
        "high": rounded(interval.high),
        "unit": unit,
        "level": LEVEL if interval.low is not None and interval.basis != TARIFF else None,
        "basis": interval.basis,
        "pastRuns": interval.past_runs,
        "hitRate": None if interval.hit_rate is None else round(interval.hit_rate, 2),
        "checked": interval.checked,
        "says": sentence(interval),
    }


def sentence(interval: Interval) -> str:
    """On what an estimate rests."""
    if interval.basis == TARIFF:
        return "declared by the tools"
    if interval.low is None:
        missing = f"{interval.past_runs} earlier runs, {LEAST_PAST} are needed"
        start = (
            "from its own pieces, without an interval" if interval.middle is not None else "no estimate yet"
        )
        return f"{start}: {missing}"
    rests = {
        "history": "from {n} earlier runs",
        "recent": "from the last three runs, which took another amount than those before",
        "calibrated": "from {n} earlier runs, widened because such intervals held too seldom",
    }[interval.basis].format(n=interval.past_runs)
    if interval.hit_rate is None:
        return rests
    held = round(interval.hit_rate * interval.checked)
    return f"{rests}; {held} of the last {interval.checked} intervals held"
