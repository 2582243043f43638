"""Every metric there is: its name, what it counts, and its labels; docs/reference/metrics.md lists them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["counter", "gauge", "histogram"]
RUN_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0)
REQUEST_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric. ``buckets`` are upper bounds in seconds, of histograms only."""

    kind: Kind
    meaning: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


def _counter(meaning: str, *labels: str) -> Metric:
    return Metric(kind="counter", meaning=meaning, labels=labels)


def _gauge(meaning: str, *labels: str) -> Metric:
    return Metric(kind="gauge", meaning=meaning, labels=labels)


def _histogram(meaning: str, *labels: str, buckets: tuple[float, ...]) -> Metric:
    return Metric(kind="histogram", meaning=meaning, labels=labels, buckets=buckets)


METRICS: Mapping[str, Metric] = {
    "cauldron_executions_total": _counter(
        "Tool executions that ended since this process started, of all workers of the store, "
        "by tool and outcome (success, cached, failed, timeout, cancelled, lost).",
        "tool",
        "outcome",
    ),
    "cauldron_run_duration_seconds": _histogram(
        "How long tool executions took, those answered from the cache aside.", "tool", buckets=RUN_SECONDS
    ),
    "cauldron_casts_total": _counter("Casts that ended since this process started, by outcome.", "outcome"),
    "cauldron_cast_duration_seconds": _histogram(
        "From the start of a cast to its end.", "outcome", buckets=RUN_SECONDS
    ),
    "cauldron_cast_errors_total": _counter(
        "Casts that failed since this process started (spellExecutionError), by the code of the "
        "error; codes beyond the first 50, and odd ones, are other.",
        "code",
    ),
    "cauldron_pieces_total": _counter(
        "Pieces that were made or failed for good since this process started.", "outcome"
    ),
    "cauldron_cost_usd_total": _counter(
        "Cost in USD of the executions counted above, by where the figure comes from.", "source"
    ),
    "cauldron_ledger_entries_total": _counter(
        "What was entered into the books since this process started, by kind of event.", "kind"
    ),
    "cauldron_ledger_points_total": _counter("Points that these entries moved, by kind of event.", "kind"),
    "cauldron_deliveries_total": _counter(
        "Tries of this process to deliver a callback: sent, pending (to be tried again) or dropped.",
        "outcome",
    ),
    "cauldron_queue_jobs": _gauge("Jobs per queue and status; counted up to 10,000.", "queue", "status"),
    "cauldron_queue_oldest_seconds": _gauge(
        "Age of the job that has waited longest in a queue; 0 when none waits.", "queue"
    ),
    "cauldron_cooks": _gauge("Cooks that are cooking or paused.", "state"),
    "cauldron_leases_lost_total": _counter(
        "Jobs whose lease was lost: taken back from a silent worker, or reported too late."
    ),
    "cauldron_workers": _gauge("Workers whose lease lasts."),
    "cauldron_follower_lag_seconds": _gauge(
        "How far a follower of the log is behind its newest commit.", "follower"
    ),
    "cauldron_sse_clients": _gauge("Open event streams of this process."),
    "cauldron_websocket_clients": _gauge("Open WebSockets of this process."),
    "cauldron_http_requests_total": _counter(
        "Requests by method, route template and status.", "method", "route", "status"
    ),
    "cauldron_http_request_seconds": _histogram(
        "From the first byte of a request to the end of its answer; streams included.",
        "method",
        "route",
        buckets=REQUEST_SECONDS,
    ),
    "cauldron_rate_limited_total": _counter("Requests refused for their number, by limit.", "limit"),
    "cauldron_idempotent_replays_total": _counter("Answers given again to a repeated Idempotency-Key."),
    "cauldron_engine_up": _gauge(
        "1 for each loop of the engine that runs in this process, 0 for one that died.", "loop"
    ),
    "cauldron_disk_free_bytes": _gauge("Room left where blobs are kept."),
}
