"""Estimates and budgets of cooks on the command line."""

from typing import Annotated, Any

import typer

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
    budget: dict[str, Any] = {} if points is None else {"pointsMilli": round(points * 1000)}
    budget |= {} if usd is None else {"microUsd": round(usd * 1_000_000)}
    return budget or None


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
