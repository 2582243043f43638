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


METRICS: Mapping[str, Metric] = {
    "cauldron_executions_total": Metric(
        kind="counter",
        meaning="Tool executions that ended since this process started, of all workers of the store, "
        "by tool and outcome (success, cached, failed, timeout, cancelled, lost).",
        labels=("tool", "outcome"),
    ),
    "cauldron_run_duration_seconds": Metric(
        kind="histogram",
        meaning="How long tool executions took, those answered from the cache aside.",
        labels=("tool",),
        buckets=RUN_SECONDS,
    ),
    "cauldron_casts_total": Metric(
        kind="counter",
        meaning="Casts that ended since this process started, by outcome.",
        labels=("outcome",),
    ),
    "cauldron_cast_duration_seconds": Metric(
        kind="histogram",
        meaning="From the start of a cast to its end.",
        labels=("outcome",),
        buckets=RUN_SECONDS,
    ),
    "cauldron_cast_errors_total": Metric(
        kind="counter",
        meaning="Casts that failed since this process started (spellExecutionError), by the code of the "
        "error; codes beyond the first 50, and odd ones, are other.",
        labels=("code",),
    ),
    "cauldron_pieces_total": Metric(
        kind="counter",
        meaning="Pieces that were made or failed for good since this process started.",
        labels=("outcome",),
    ),
    "cauldron_cost_usd_total": Metric(
        kind="counter",
        meaning="Cost in USD of the executions counted above, by where the figure comes from.",
        labels=("source",),
    ),
    "cauldron_ledger_entries_total": Metric(
        kind="counter",
        meaning="What was entered into the books since this process started, by kind of event.",
        labels=("kind",),
    ),
    "cauldron_ledger_points_total": Metric(
        kind="counter",
        meaning="Points that these entries moved, by kind of event.",
        labels=("kind",),
    ),
    "cauldron_deliveries_total": Metric(
        kind="counter",
        meaning="Tries of this process to deliver a callback: sent, pending (to be tried again) or dropped.",
        labels=("outcome",),
    ),
    "cauldron_queue_jobs": Metric(
        kind="gauge",
        meaning="Jobs per queue and status; counted up to 10,000.",
        labels=("queue", "status"),
    ),
    "cauldron_queue_oldest_seconds": Metric(
        kind="gauge",
        meaning="Age of the job that has waited longest in a queue; 0 when none waits.",
        labels=("queue",),
    ),
    "cauldron_cooks": Metric(kind="gauge", meaning="Cooks that are cooking or paused.", labels=("state",)),
    "cauldron_leases_lost_total": Metric(
        kind="counter",
        meaning="Jobs whose lease was lost: taken back from a silent worker, or reported too late.",
    ),
    "cauldron_workers": Metric(kind="gauge", meaning="Workers whose lease lasts."),
    "cauldron_follower_lag_seconds": Metric(
        kind="gauge",
        meaning="How far a follower of the log is behind its newest commit.",
        labels=("follower",),
    ),
    "cauldron_sse_clients": Metric(kind="gauge", meaning="Open event streams of this process."),
    "cauldron_websocket_clients": Metric(kind="gauge", meaning="Open WebSockets of this process."),
    "cauldron_http_requests_total": Metric(
        kind="counter",
        meaning="Requests by method, route template and status.",
        labels=("method", "route", "status"),
    ),
    "cauldron_http_request_seconds": Metric(
        kind="histogram",
        meaning="From the first byte of a request to the end of its answer; streams included.",
        labels=("method", "route"),
        buckets=REQUEST_SECONDS,
    ),
    "cauldron_rate_limited_total": Metric(
        kind="counter", meaning="Requests refused for their number, by limit.", labels=("limit",)
    ),
    "cauldron_idempotent_replays_total": Metric(
        kind="counter", meaning="Answers given again to a repeated Idempotency-Key."
    ),
    "cauldron_engine_up": Metric(
        kind="gauge",
        meaning="1 for each loop of the engine that runs in this process, 0 for one that died.",
        labels=("loop",),
    ),
    "cauldron_disk_free_bytes": Metric(kind="gauge", meaning="Room left where blobs are kept."),
}
