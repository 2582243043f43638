"""The generated parts of the pages on HTTP and metrics, from the application and the table of metrics."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from starlette.routing import WebSocketRoute

from cauldron.api import app as api
from cauldron.api import problems
from cauldron.api.openapi import TITLES, operations
from cauldron.bootstrap import Studio
from cauldron.config import Settings
from cauldron.domain import metrics
from cauldron.domain.errors import CauldronError
from scripts import error_tables
from scripts.state_tables import table


def document() -> dict[str, Any]:
    """The OpenAPI document of the application."""
    with tempfile.TemporaryDirectory() as home:
        return api.create_app(Studio(Settings(home=Path(home)))).openapi()


def routes() -> str:
    """Every route by its tag."""
    by_tag: dict[str, list[tuple[str, str]]] = {}
    for path, method, operation in operations(document()):
        tag = operation["tags"][0]
        mark = " (deprecated)" if operation.get("deprecated") else ""
        by_tag.setdefault(tag, []).append((f"`{method.upper()} {path}`", operation["summary"] + mark))
    for route in api.RAW_ROUTES:
        if isinstance(route, WebSocketRoute):
            by_tag.setdefault("live", []).append((f"`WebSocket {route.path}`", "The same, with commands"))
    parts = []
    for tag, rows in by_tag.items():
        parts.append(f"### {TITLES.get(tag, tag.capitalize())}\n\n" + table(("route", "what it does"), rows))
    return "\n\n".join(parts)


def statuses() -> str:
    """The status that each code of a failure is answered with."""
    found: dict[str, tuple[int, str]] = {}
    for failure in error_tables.classes():
        status = next((number for kind, number in problems.STATUS if issubclass(failure, kind)), 500)
        if failure is not CauldronError:
            found.setdefault(failure.code, (status, error_tables.first_of(failure)))
    rows = [(str(status), f"`{code}`", text) for code, (status, text) in found.items()]
    return table(("status", "code", "meaning"), sorted(rows))


def metric_rows() -> str:
    """Every metric."""
    rows = [
        (f"`{name}`", metric.kind, ", ".join(f"`{label}`" for label in metric.labels), metric.meaning)
        for name, metric in metrics.METRICS.items()
    ]
    return table(("metric", "kind", "labels", "meaning"), rows)


TABLES: Mapping[str, Any] = {
    "http-routes": routes,
    "http-statuses": statuses,
    "metrics": metric_rows,
}
