"""The values of a run's metrics."""

import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from orchestrator.contracts import Load, News, Plan, Silent, Store
from orchestrator.metrics.table import METRICS, Metric
from orchestrator.metrics.volume import GrowingFront
from orchestrator.spec.stored import spec_constraints
from orchestrator.trials import Report, SweepRecord, Trial, TrialState

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_MOST_CHANGES = 10_000
_NONE = "none"


class Meters(Silent):
    """Counts and measures one run; told of its events as a `Progress` is.

    Args:
        sweep: Name of the sweep.
        executor: What runs its trials.
        clock: Seconds since 1970.

    Attributes:
        registry: What is exposed.

    >>> from prometheus_client import generate_latest
    >>> meters = Meters("digits-fc", "inline")
    >>> meters.loaded(Load(busy=1, slots=2))
    >>> shown = generate_latest(meters.registry).decode()
    >>> 'paretune_slots_busy{sweep="digits-fc"} 1.0' in shown
    True
    """

    def __init__(self, sweep: str, executor: str, clock: Callable[[], float] = time.time) -> None:
        self.registry = CollectorRegistry()
        self._sweep, self._clock = sweep, clock
        self._made = {name: _made(metric, self.registry) for name, metric in METRICS.items()}
        self._states: dict[int, TrialState] = {}
        self._counts = dict.fromkeys(TrialState, 0)
        self._front = GrowingFront((), ())
        self._oldest: tuple[object, float] | None = None
        self._at("paretune_run_info", version=version("paretune"), executor=executor).set(1)
        for result in ("hit", "miss"):
            self._at("paretune_stage_cache_lookups_total", result=result)
        for direction in ("read", "written"):
            self._at("paretune_stage_cache_bytes_total", direction=direction)

    def begin(self, plan: Plan) -> None:
        """Take in the trials of earlier runs."""
        self._front = GrowingFront(plan.objectives, spec_constraints(plan.sweep.spec))
        self._at("paretune_budget_trials").set(plan.trials)
        for trial in plan.past:
            self._count(trial.number, trial.state)
            self._front.observe(trial)
        self._progressed()

    def trial_started(self, trial: Trial) -> None:
        """Count the trial as running."""
        self._count(trial.number, TrialState.RUNNING)
        self._progressed()

    def trial_reported(self, trial: int, report: Report) -> None:
        """Count an epoch."""
        self._at("paretune_epochs_total").inc()
        self._at("paretune_last_progress_timestamp_seconds").set(self._clock())

    def trial_ended(self, trial: Trial) -> None:
        """Count how the attempt ended."""
        kind = trial.failure.kind.value if trial.failure else _NONE
        self._at("paretune_attempts_total", state=trial.state.value, failure=kind).inc()
        self._count(trial.number, trial.state)
        self._front.observe(trial)
        self._progressed()

    def end(self, sweep: SweepRecord) -> None:
        """Measure the front of a sweep that had few trials."""
        self._front.end()
        self._progressed()

    def told(self, news: News, worker: str) -> None:
        """Count how a worker used the stage cache."""
        use = news.cache
        for result, count in (("hit", use.hits), ("miss", use.misses)):
            self._at("paretune_stage_cache_lookups_total", result=result).inc(count)
        for direction, size in (("read", use.read_bytes), ("written", use.written_bytes)):
            self._at("paretune_stage_cache_bytes_total", direction=direction).inc(size)

    def loaded(self, load: Load) -> None:
        """Record how many workers fit and have trials."""
        self._at("paretune_slots").set(load.slots)
        self._at("paretune_slots_busy").set(load.busy)

    def stored(self, operation: str, seconds: float, *, failed: bool) -> None:
        """Record a transaction of the store."""
        self._at("paretune_store_seconds", operation=operation).observe(seconds)
        errors = self._at("paretune_store_errors_total", operation=operation)
        if failed:
            errors.inc()

    def mirrored(self, operation: str, seconds: float, *, failed: bool) -> None:
        """Record that changes were sent to MLflow."""
        self._at("paretune_tracking_up").set(not failed)
        if not failed:
            self._at("paretune_tracking_seconds").observe(seconds)

    def look(self, store: Store, folder: Path, free: Callable[[Path], int]) -> None:
        """Look at what no event tells of.

        Args:
            store: Whose outbox is counted.
            folder: The state folder.
            free: Asks for the free bytes at a path.
        """
        self._at("paretune_state_free_bytes").set(free(folder))
        marks = store.outbox.pending(self._sweep, limit=_MOST_CHANGES)
        self._at("paretune_outbox_changes").set(len(marks))
        oldest = (marks[0].trial, marks[0].attempt) if marks else None
        if oldest is None:
            self._oldest = None
        elif self._oldest is None or self._oldest[0] != oldest:
            self._oldest = (oldest, self._clock())
        age = 0.0 if self._oldest is None else max(0.0, self._clock() - self._oldest[1])
        self._at("paretune_outbox_age_seconds").set(age)

    def _count(self, trial: int, state: TrialState) -> None:
        before = self._states.get(trial)
        if before is not None:
            self._counts[before] -= 1
        self._states[trial] = state
        self._counts[state] += 1

    def _progressed(self) -> None:
        for state, count in self._counts.items():
            self._at("paretune_trials", state=state.value).set(count)
        self._at("paretune_last_progress_timestamp_seconds").set(self._clock())
        self._at("paretune_front_trials").set(self._front.size)
        if self._front.volume is not None:
            self._at("paretune_hypervolume").set(self._front.volume)

    def _at(self, name: str, **labels: str) -> Any:
        return self._made[name].labels(sweep=self._sweep, **labels)


def _made(metric: Metric, registry: CollectorRegistry) -> Any:
    labels = ("sweep", *metric.labels)
    if metric.kind == "histogram":
        return Histogram(metric.name, metric.meaning, labels, registry=registry, buckets=_BUCKETS)
    kind = Counter if metric.kind == "counter" else Gauge
    return kind(metric.name, metric.meaning, labels, registry=registry)
