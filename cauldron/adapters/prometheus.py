"""Metrics in a registry of the Prometheus client."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, cast

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

from cauldron.domain.metrics import METRICS, Metric
from cauldron.ports.measuring import Read

cast(Callable[[], None], disable_created_metrics)()  # a series per series that nobody reads
KEPT_CHILDREN = 4096  # label sets looked up without asking the registry


class PrometheusMetrics:
    """One process's metrics; see :class:`cauldron.ports.measuring.Metrics`."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._all = {name: _made(name, metric, self._registry) for name, metric in METRICS.items()}
        self._child = lru_cache(maxsize=KEPT_CHILDREN)(self._look_up)

    def _look_up(self, name: str, values: tuple[str, ...]) -> Any:
        found = self._all[name]
        return found.labels(*values) if values else found

    def _labelled(self, name: str, labels: dict[str, str]) -> Any:
        wanted = METRICS[name].labels
        if len(labels) != len(wanted):
            raise KeyError(f"{name} has the labels {wanted}, not {tuple(labels)}")
        return self._child(name, tuple([labels[key] for key in wanted]))

    def add(self, name: str, amount: float = 1.0, /, **labels: str) -> None:
        """Raise a counter."""
        self._labelled(name, labels).inc(amount)

    def set(self, name: str, value: float, /, **labels: str) -> None:
        """Say what a gauge is."""
        self._labelled(name, labels).set(value)

    def observe(self, name: str, seconds: float, /, **labels: str) -> None:
        """Put a duration into a histogram."""
        self._labelled(name, labels).observe(seconds)

    def reading(self, name: str, read: Read, /) -> None:
        """Let a gauge without labels be read when somebody looks."""
        self._labelled(name, {}).set_function(read)

    def exposition(self) -> bytes:
        """Everything, in the text format of Prometheus."""
        return generate_latest(self._registry)


def _made(name: str, metric: Metric, registry: CollectorRegistry) -> Counter | Gauge | Histogram:
    if metric.kind == "counter":
        return Counter(name.removesuffix("_total"), metric.meaning, metric.labels, registry=registry)
    if metric.kind == "gauge":
        return Gauge(name, metric.meaning, metric.labels, registry=registry)
    return Histogram(name, metric.meaning, metric.labels, registry=registry, buckets=metric.buckets)
