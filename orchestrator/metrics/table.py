"""The table of metrics: `docs/reference/metrics.md`, the dashboard and the alerts follow it."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric of a run. Each has the label ``sweep`` besides its own.

    Attributes:
        name: As Prometheus knows it; a counter's ends in ``_total``.
        kind: Its type.
        unit: What it counts or is measured in.
        meaning: A sentence.
        labels: Its own labels.
    """

    name: str
    kind: Kind
    unit: str
    meaning: str
    labels: tuple[str, ...] = ()

    @property
    def series(self) -> tuple[str, ...]:
        """Names of its time series in Prometheus.

        >>> METRICS["paretune_store_seconds"].series[-1]
        'paretune_store_seconds_count'
        """
        if self.kind != "histogram":
            return (self.name,)
        return tuple(f"{self.name}_{part}" for part in ("bucket", "sum", "count"))


_TABLE = (
    Metric(
        "paretune_run_info",
        "gauge",
        "1",
        "Always 1: the version of paretune, and what runs the trials.",
        ("version", "executor"),
    ),
    Metric(
        "paretune_trials",
        "gauge",
        "trials",
        "Trials of the sweep in each state, those of earlier runs included.",
        ("state",),
    ),
    Metric(
        "paretune_budget_trials",
        "gauge",
        "trials",
        "Trials in the budget of the sweep.",
    ),
    Metric(
        "paretune_attempts_total",
        "counter",
        "attempts",
        "Attempts of this run that ended, by the state that they left their trial in and the kind "
        "of failure ('none' without one); its rate is the number of trials a second.",
        ("state", "failure"),
    ),
    Metric(
        "paretune_epochs_total", "counter", "epochs", "Epochs that trials of this run reported."
    ),
    Metric(
        "paretune_last_progress_timestamp_seconds",
        "gauge",
        "seconds since 1970",
        "When the run began, or a trial last reported an epoch or ended.",
    ),
    Metric("paretune_front_trials", "gauge", "trials", "Trials on the Pareto front."),
    Metric(
        "paretune_hypervolume",
        "gauge",
        "product of the objectives' units",
        "Hypervolume of the front, on the scale of the sweep; from the eighth complete trial on.",
    ),
    Metric("paretune_slots", "gauge", "workers", "Workers that fit at once."),
    Metric("paretune_slots_busy", "gauge", "workers", "Workers that have trials."),
    Metric(
        "paretune_stage_cache_lookups_total",
        "counter",
        "entries",
        "Entries that workers looked for in the stage cache, by result: hit or miss.",
        ("result",),
    ),
    Metric(
        "paretune_stage_cache_bytes_total",
        "counter",
        "bytes",
        "Bytes that workers read from the stage cache, or wrote to it.",
        ("direction",),
    ),
    Metric(
        "paretune_outbox_changes",
        "gauge",
        "changes",
        "Changes that MLflow has not got yet, up to 10,000.",
    ),
    Metric(
        "paretune_outbox_age_seconds",
        "gauge",
        "seconds",
        "How long the oldest of them has waited, as far as this run has seen.",
    ),
    Metric(
        "paretune_tracking_up",
        "gauge",
        "1 or 0",
        "Whether MLflow answered when changes were last sent; absent before and without MLflow.",
    ),
    Metric(
        "paretune_tracking_seconds",
        "histogram",
        "seconds",
        "Time in which a batch of at most four changes was sent to MLflow.",
    ),
    Metric(
        "paretune_store_seconds",
        "histogram",
        "seconds",
        "Time of a transaction of the store, by operation.",
        ("operation",),
    ),
    Metric(
        "paretune_store_errors_total",
        "counter",
        "transactions",
        "Transactions of the store that failed, by operation.",
        ("operation",),
    ),
    Metric(
        "paretune_state_free_bytes",
        "gauge",
        "bytes",
        "Free space where the state folder is.",
    ),
)

METRICS = {metric.name: metric for metric in _TABLE}
"""All metrics by name."""
