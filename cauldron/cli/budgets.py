"""Estimates and budgets of cooks on the command line."""

from typing import Annotated, Any

import typer

from cauldron.domain.budget import budget_of
from cauldron.domain.errors import Invalid
from cauldron.services.forecasting import CookForecast

BudgetPoints = Annotated[
    float | None,
    typer.Option("--budget-points", metavar="POINTS", help="Pause before more points than this are spent."),
]
BudgetUsd = Annotated[
    float | None,
    typer.Option("--budget-usd", metavar="USD", help="Pause before more than this is spent."),
]
Pay = Annotated[
    bool,
    typer.Option(
        "--pay",
        help="Pay with points: at most what --budget-points says; without it the upper end of the estimate.",
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Say what it would cost and how long it would take; start nothing.")
]
MOST = 1e9


def checked(points: float | None, usd: float | None) -> None:
    """Raises Invalid: a cap that is not above nothing, or not a number."""
    for name, cap in (("--budget-points", points), ("--budget-usd", usd)):
        if cap is not None and not 0 < cap <= MOST:
            raise Invalid(f"{name} must be above 0 and at most {MOST:,.0f}, not {cap}", path=name)


def raised(points: float | None, usd: float | None) -> dict[str, Any] | None:
    """The budget to go on with; prices stay those of the first one."""
    checked(points, usd)
    return budget_of(points, usd) or None


def budget_lines(found: dict[str, Any]) -> str:
    """A cook's budget as a person reads it."""
    budget = found["budget"]
    if budget is None:
        return f"{found['state']}: no budget"
    rows = []
    for unit, cap, spent, following in (
        ("points", "points", "spentPts", "nextPts"),
        ("USD", "usd", "spentUsd", "nextUsd"),
    ):
        if budget[cap] is not None:
            ahead = "not known yet" if budget[following] is None else f"{budget[following]:,g}"
            rows.append(f"{budget[spent]:,g} of {budget[cap]:,g} {unit}; set aside for a piece: {ahead}")
    ends = "" if budget["runsOutAt"] is None else f"; it pays for about {budget['runsOutAt']:,} pieces"
    return "\n".join([f"{found['state']}: {budget['percent']:g} % is spent{ends}", *rows])


def lines(forecast: CookForecast) -> str:
    """An estimate as a person reads it."""
    document = forecast.document()
    rows = [f"{forecast.pieces:,} pieces"]
    for name, key in (("cost", "costUsd"), ("in points", "costPts"), ("time", "seconds")):
        rows.append(f"{name:<10} {_row(document[key])}")
    return "\n".join(rows)


def _row(told: dict[str, Any]) -> str:
    if told["middle"] is None:
        return str(told["says"])
    unit, middle = told["unit"], f"{told['middle']:,}"
    spread = "" if told["low"] in (None, told["high"]) else f" ({told['low']:,} – {told['high']:,})"
    return f"{middle} {unit}{spread}: {told['says']}"
