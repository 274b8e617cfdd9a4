"""What the events of a run do to its metrics."""

from pathlib import Path

import pytest

from orchestrator.contracts import Load, News, Plan, Store
from orchestrator.metrics.meters import Meters
from orchestrator.metrics.table import METRICS
from orchestrator.objectives import Direction, Objective
from orchestrator.storage.opening import open_store
from orchestrator.trials import Failure, FailureKind, Report, Trial, TrialState
from trainers.stages.use import CacheUse

GOALS = (Objective("accuracy", Direction.MAXIMIZE), Objective("params", Direction.MINIMIZE))


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = open_store(f"sqlite:///{tmp_path / 'sweeps.db'}")
    yield store
    store.close()


def plan(store: Store, *past: Trial) -> Plan:
    sweep = store.create_sweep("a", {"constraints": ["params <= 90"]}, "f")
    return Plan(sweep, GOALS, 20, None, 2, past)


def trial(
    number: int, state: TrialState = TrialState.COMPLETE, kind: FailureKind | None = None
) -> Trial:
    values = {"accuracy": 0.5 + number / 100, "params": 50.0 - number}
    failure = Failure(kind, "it broke") if kind else None
    shown = values if state is TrialState.COMPLETE else {}
    return Trial("a", number, {}, 0, state, values=shown, failure=failure)


def value(meters: Meters, name: str, **labels: str) -> float | None:
    return meters.registry.get_sample_value(name, {"sweep": "a", **labels})


def test_trials_are_counted_by_state_those_of_earlier_runs_included(store: Store) -> None:
    meters = Meters("a", "ray")
    meters.begin(plan(store, trial(0), trial(1, TrialState.INTERRUPTED)))
    meters.trial_started(trial(1))
    meters.trial_started(trial(2))
    meters.trial_ended(trial(2, TrialState.FAILED, FailureKind.DIVERGED))
    assert value(meters, "paretune_trials", state="complete") == 1
    assert value(meters, "paretune_trials", state="running") == 1
    assert value(meters, "paretune_trials", state="interrupted") == 0
    assert value(meters, "paretune_trials", state="failed") == 1
    assert value(meters, "paretune_budget_trials") == 20


def test_attempts_are_counted_by_state_and_kind_of_failure_of_this_run_alone(store: Store) -> None:
    meters = Meters("a", "ray")
    meters.begin(plan(store, trial(0)))
    meters.trial_ended(trial(1))
    lost = trial(2, TrialState.INTERRUPTED, FailureKind.WORKER_LOST)
    meters.trial_ended(lost)
    meters.trial_ended(lost)
    name = "paretune_attempts_total"
    assert value(meters, name, state="complete", failure="none") == 1
    assert value(meters, name, state="interrupted", failure="worker_lost") == 2


def test_the_hypervolume_is_that_of_the_sweeps_own_scale(store: Store) -> None:
    meters = Meters("a", "ray")
    meters.begin(plan(store, *map(trial, range(7))))
    assert value(meters, "paretune_hypervolume") is None
    assert value(meters, "paretune_front_trials") == 1
    meters.trial_ended(trial(7))
    first = value(meters, "paretune_hypervolume")
    assert first
    infeasible = Trial("a", 8, {}, 0, TrialState.COMPLETE, values={"accuracy": 1.0, "params": 99})
    meters.trial_ended(infeasible)
    assert value(meters, "paretune_hypervolume") == first
    meters.trial_ended(trial(9))
    assert (value(meters, "paretune_hypervolume") or 0) > first


def test_a_small_sweep_has_its_hypervolume_at_its_end(store: Store) -> None:
    meters = Meters("a", "ray")
    begun = plan(store, trial(0))
    meters.begin(begun)
    assert value(meters, "paretune_hypervolume") is None
    meters.end(begun.sweep)
    assert value(meters, "paretune_hypervolume")


def test_progress_is_the_last_epoch_or_end(store: Store) -> None:
    clock = Clock()
    meters = Meters("a", "ray", clock)
    meters.begin(plan(store))
    clock.now = 160.0
    meters.trial_reported(0, Report(1, {}))
    assert value(meters, "paretune_last_progress_timestamp_seconds") == 160
    assert value(meters, "paretune_epochs_total") == 1


def test_the_age_of_the_outbox_is_that_of_its_oldest_change(store: Store, tmp_path: Path) -> None:
    clock = Clock()
    meters = Meters("a", "ray", clock)
    meters.begin(plan(store))

    def age() -> tuple[float | None, float | None]:
        meters.look(store, tmp_path, lambda path: 7)
        return value(meters, "paretune_outbox_changes"), value(
            meters, "paretune_outbox_age_seconds"
        )

    writer = store.take("a", "test")
    first = writer.add_trial({}, seed=0)
    writer.start_attempt(first.number, "ray")
    waiting = len(store.outbox.pending("a"))
    assert waiting >= 1
    assert age() == (waiting, 0)
    clock.now += 50
    assert age() == (waiting, 50)
    for mark in store.outbox.pending("a"):
        store.outbox.done(mark)
    assert age() == (0, 0)
    assert value(meters, "paretune_state_free_bytes") == 7


def test_the_use_of_the_cache_the_slots_and_the_latencies_are_recorded() -> None:
    meters = Meters("a", "ray")
    assert value(meters, "paretune_stage_cache_lookups_total", result="hit") == 0
    meters.told(News(cache=CacheUse(3, 1, 800, 90)), "")
    assert value(meters, "paretune_stage_cache_lookups_total", result="hit") == 3
    assert value(meters, "paretune_stage_cache_lookups_total", result="miss") == 1
    assert value(meters, "paretune_stage_cache_bytes_total", direction="read") == 800
    assert value(meters, "paretune_stage_cache_bytes_total", direction="written") == 90
    meters.loaded(Load(busy=1, slots=4))
    assert value(meters, "paretune_slots_busy") == 1
    assert value(meters, "paretune_slots") == 4
    meters.stored("add_trial", 0.25, failed=True)
    assert value(meters, "paretune_store_seconds_sum", operation="add_trial") == 0.25
    assert value(meters, "paretune_store_errors_total", operation="add_trial") == 1
    assert value(meters, "paretune_tracking_up") is None
    meters.mirrored("drain", 2.0, failed=False)
    meters.mirrored("drain", 9.0, failed=True)
    assert value(meters, "paretune_tracking_up") == 0
    assert value(meters, "paretune_tracking_seconds_sum") == 2


def test_the_names_follow_the_conventions_of_prometheus() -> None:
    for metric in METRICS.values():
        assert metric.name.startswith("paretune_")
        assert metric.name.endswith("_total") == (metric.kind == "counter"), metric.name
        assert metric.meaning.endswith("."), metric.name
