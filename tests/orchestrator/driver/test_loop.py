"""The loop on a real store and a real sampler; the test plays the executor."""

import itertools
import math
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from orchestrator.contracts import Decision, Job, Outcome, Store
from orchestrator.storage.opening import open_store
from orchestrator.trials import Failure, FailureKind, Report, TrialState
from tests.orchestrator import driving
from tests.orchestrator.driving import SMOKE, Clock, Driver, complete, make_spec
from trainers.files.trial_folder import CHECKPOINT_NAME

store, drive = driving.store, driving.drive


def test_a_sweep_has_as_many_trials_as_its_budget(
    drive: Callable[..., Driver], store: Store
) -> None:
    driver = drive()
    jobs = driver.run()
    assert [(job.trial, job.attempt) for job in jobs] == [(n, 0) for n in range(4)]
    assert [trial.number for trial in store.trials("a", [TrialState.COMPLETE])] == [0, 1, 2, 3]
    assert list(driver.loop.trials) == store.trials("a")
    assert driver.loop.stop_reason == "the budget of 4 trials is used up"
    assert not driver.loop.interrupted
    assert driver.start() is None


def test_a_job_says_all_that_a_worker_must_know(
    drive: Callable[..., Driver], tmp_path: Path
) -> None:
    (job,) = drive(budget={"trials": 1}, training={"epochs": 7}, resources={"cpus": 2}).run()
    config = job.config
    assert (config.epochs, config.threads, config.seed) == (7, 2, 10)
    assert (config.backbone, config.weights) == ("digitnet", "scratch")
    assert config.widths == (config_width(job),)
    assert Path(job.folder) == tmp_path / "sweeps" / "a" / "trials" / "00000"


def config_width(job: Job) -> int:
    (width,) = job.config.widths  # type: ignore[misc]
    return int(width)


def test_a_job_is_stored_before_it_is_given_out(
    drive: Callable[..., Driver], store: Store
) -> None:
    driver = drive()
    job = driver.loop.next_job()
    assert job is not None
    trial = store.trial("a", job.trial)
    assert (trial.state, trial.attempts) == (TrialState.RUNNING, 1)
    assert trial.params == {"fc_width_1": config_width(job)}
    assert store.attempts("a", job.trial)[0].worker == "test"


def test_several_trials_run_at_once(drive: Callable[..., Driver], store: Store) -> None:
    driver = drive()
    jobs = [driver.start() for _ in range(5)]
    assert jobs[4] is None
    assert len(store.trials("a", [TrialState.RUNNING])) == 4
    for job in reversed(jobs[:4]):
        assert job is not None
        driver.loop.ended(job, complete())
    assert len(store.trials("a", [TrialState.COMPLETE])) == 4


def test_people_are_told_after_the_store(drive: Callable[..., Driver]) -> None:
    driver = drive(budget={"trials": 1})
    job = driver.start()
    assert job is not None
    assert driver.loop.reported(job, []) is Decision.CONTINUE
    reports = [Report(epoch, {"train_loss": 1.0 / epoch}) for epoch in (1, 2)]
    assert driver.loop.reported(job, reports) is Decision.CONTINUE
    driver.loop.ended(job, complete())
    assert driver.progress.told == [
        ("started", 0),
        ("reported", 0),
        ("reported", 0),
        ("ended", 0),
    ]


def test_replicates_are_one_configuration_with_seeds_that_count_up(
    drive: Callable[..., Driver], store: Store
) -> None:
    driver = drive(replicates=3, budget={"trials": 7})
    driver.run()
    trials = store.trials("a")
    assert [trial.replicate for trial in trials] == [0, 1, 2, 0, 1, 2, 0]
    assert [trial.seed for trial in trials] == [10, 11, 12, 10, 11, 12, 10]
    assert [dict(trial.params) for trial in trials] == [
        dict(suggestion.params) for suggestion in driver.sampler.suggested for _ in range(3)
    ][:7]
    assert len(driver.sampler.suggested) == 3


@pytest.mark.slow
@pytest.mark.parametrize("died_after", range(1, 6))
def test_missing_replicates_are_made_up_for_after_a_crash(
    drive: Callable[..., Driver], store: Store, died_after: int
) -> None:
    drive(replicates=3, budget={"trials": died_after}).run()
    drive(replicates=3, budget={"trials": 6}).run()
    trials = store.trials("a")
    assert [trial.replicate for trial in trials] == [0, 1, 2, 0, 1, 2]
    assert [trial.seed for trial in trials] == [10, 11, 12, 10, 11, 12]
    assert len({trial.params["fc_width_1"] for trial in trials}) == 2
    assert [trial.sampler_attrs for trial in trials[:3]] == [trials[0].sampler_attrs] * 3


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["random", "tpe", "grid"])
def test_a_space_ends_when_every_configuration_was_tried(
    drive: Callable[..., Driver], store: Store, kind: str
) -> None:
    driver = drive(space=SMOKE, sampler={"kind": kind}, budget={"trials": 99})
    driver.run()
    params = [tuple(sorted(trial.params.items())) for trial in store.trials("a")]
    assert len(params) == len(set(params)) == 4
    assert driver.loop.stop_reason == "every configuration of the space was tried"
    assert drive(space=SMOKE, sampler={"kind": kind}, budget={"trials": 100}).run() == []


@pytest.mark.slow
@pytest.mark.parametrize("died_after", range(4))
def test_a_driver_that_died_makes_no_difference_to_what_is_tried(
    drive: Callable[..., Driver], store: Store, tmp_path: Path, died_after: int
) -> None:
    first = drive()
    for _ in range(died_after):
        job = first.start()
        assert job is not None
        first.loop.ended(job, complete())
    first.start()  # and nobody hears of it again
    drive().run()
    other = open_store(f"sqlite:///{tmp_path / 'other.db'}")
    Driver(other, tmp_path, make_spec()).run()
    found, expected = store.trials("a"), other.trials("a")
    assert [trial.params for trial in found] == [trial.params for trial in expected]
    assert [trial.seed for trial in found] == [trial.seed for trial in expected]
    assert [trial.attempts for trial in found] == [1 + (n == died_after) for n in range(4)]
    assert {trial.state for trial in found} == {TrialState.COMPLETE}
    other.close()


def test_what_was_not_finished_goes_first_as_it_was(
    drive: Callable[..., Driver], store: Store
) -> None:
    first = drive()
    jobs = [first.start() for _ in range(3)]
    assert jobs[0] is not None
    assert jobs[1] is not None
    first.loop.ended(jobs[1], complete())
    first.loop.ended(jobs[0], Outcome(TrialState.INTERRUPTED))
    waiting = first.writer.add_trial({"fc_width_1": 77}, seed=5)
    before = store.trials("a")
    assert [trial.state.value for trial in before] == [
        "interrupted", "complete", "running", "waiting",
    ]  # fmt: skip
    second = drive()
    again = second.run()
    assert [(job.trial, job.attempt) for job in again] == [(0, 1), (2, 1), (waiting.number, 0)]
    for job in again:
        assert config_width(job) == before[job.trial].params["fc_width_1"]
        assert job.config.seed == before[job.trial].seed
    assert [attempt.state for attempt in store.attempts("a", 2)] == [
        TrialState.INTERRUPTED,
        TrialState.COMPLETE,
    ]


def test_a_larger_budget_adds_trials(drive: Callable[..., Driver], store: Store) -> None:
    drive().run()
    assert [job.trial for job in drive(budget={"trials": 6}).run()] == [4, 5]
    assert drive(budget={"trials": 2}).run() == []


def test_the_wall_clock_stops_what_runs_and_what_would_start(
    drive: Callable[..., Driver],
) -> None:
    clock = Clock()
    driver = drive(budget={"trials": 9, "seconds": 60}, clock=clock)
    assert driver.start() is not None
    clock.now += 59.9
    assert not driver.loop.must_stop
    assert driver.start() is not None
    clock.now += 0.1
    assert driver.loop.must_stop
    assert driver.start() is None
    assert driver.loop.stop_reason == "the wall-clock budget of 60 s is used up"
    assert not driver.loop.interrupted


def test_the_wall_clock_stops_the_last_trials_too(drive: Callable[..., Driver]) -> None:
    clock = Clock()
    driver = drive(budget={"trials": 1, "seconds": 60}, clock=clock)
    assert driver.start() is not None
    assert driver.start() is None
    assert not driver.loop.must_stop
    clock.now += 60
    assert driver.loop.must_stop


def test_an_interruption_stops_everything(drive: Callable[..., Driver], store: Store) -> None:
    driver = drive()
    job = driver.start()
    assert job is not None
    assert not driver.loop.must_stop
    driver.loop.interrupt("interrupted by SIGINT")
    assert driver.loop.must_stop
    assert driver.loop.interrupted
    assert driver.start() is None
    driver.loop.ended(job, Outcome(TrialState.INTERRUPTED))
    assert store.trial("a", 0).state is TrialState.INTERRUPTED
    assert driver.loop.stop_reason == "interrupted by SIGINT"


def test_a_plateau_counts_trials_in_the_order_in_which_they_ended(
    drive: Callable[..., Driver],
) -> None:
    budget = {"trials": 4, "plateau": 1}
    driver = drive(budget={"trials": 3})
    jobs = [driver.start() for _ in range(3)]
    for number, accuracy in ((2, 0.2), (0, 0.1), (1, 0.3)):
        job = jobs[number]
        assert job is not None
        driver.loop.ended(job, complete(accuracy))
    # Counted by number, trial 2 would have been the last and changed nothing.
    assert drive(budget=budget).start() is not None


def test_a_plateau_ends_the_search(drive: Callable[..., Driver]) -> None:
    accuracies = [0.1, 0.2, 0.2, 0.2, 0.3, 0.1, 0.1, 0.1]
    driver = drive(budget={"trials": 99, "plateau": 3})
    jobs = driver.run(lambda job: complete(accuracies[job.trial]))
    assert len(jobs) == len(accuracies)
    assert driver.loop.stop_reason == "3 trials in a row did not change the front"
    # A driver that starts again comes to the same end.
    assert drive(budget={"trials": 100, "plateau": 3}).run() == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"accuracy": math.nan, "memory_bytes": 1.0}, "accuracy"),
        ({"accuracy": math.inf, "memory_bytes": 1.0}, "accuracy"),
        ({"accuracy": 0.5}, "memory_bytes"),
        ({}, "accuracy, memory_bytes"),
        ({"accuracy": 0.5, "memory_bytes": 1.0, "other": -math.inf}, "other"),
    ],
)
def test_a_trial_without_a_number_for_everything_has_failed(
    drive: Callable[..., Driver], store: Store, values: Mapping[str, float], named: str
) -> None:
    driver = drive()
    jobs = driver.run(
        lambda job: Outcome(TrialState.COMPLETE, values) if job.trial == 1 else complete()
    )
    assert len(jobs) == 4
    trial = store.trial("a", 1)
    assert trial.state is TrialState.FAILED
    assert trial.failure is not None
    assert trial.failure.kind is FailureKind.BAD_VALUES
    assert f"for {named};" in trial.failure.message
    assert trial.values == {}
    assert len(store.trials("a", [TrialState.COMPLETE])) == 3


def test_a_failed_trial_keeps_its_reason_and_the_sweep_goes_on(
    drive: Callable[..., Driver], store: Store
) -> None:
    failure = Failure(FailureKind.ERROR, "gone", "trace")
    drive().run(lambda job: Outcome(TrialState.FAILED, failure=failure))
    assert [trial.failure for trial in store.trials("a")] == [failure] * 4


def test_parameters_that_fit_no_network_fail_alone(
    drive: Callable[..., Driver], store: Store
) -> None:
    space = {
        "fc_layers": {"type": "int", "low": 1, "high": 2},
        "fc_width_1": {"type": "choice", "values": [8]},
        # Active in the wrong case, which no check of the space alone can see.
        "fc_width_2": {"type": "choice", "values": [8], "when": "fc_layers == 1"},
    }
    driver = drive(space=space, sampler={"kind": "grid"})
    jobs = driver.run()
    by_layers = {trial.params["fc_layers"]: trial for trial in store.trials("a")}
    assert [job.trial for job in jobs] == [by_layers[1].number]
    assert by_layers[1].state is TrialState.COMPLETE
    failed = by_layers[2]
    assert (failed.state, failed.attempts) == (TrialState.FAILED, 1)
    assert failed.failure is not None
    assert failed.failure.kind is FailureKind.ERROR
    assert "fc_width_2 is not given" in failed.failure.message
    assert ("ended", failed.number) in driver.progress.told


def test_values_that_were_measured_later_are_added(
    drive: Callable[..., Driver], store: Store
) -> None:
    driver = drive(budget={"trials": 1})
    driver.run()
    driver.loop.add_values(0, {"test_accuracy": 0.4})
    expected = {"accuracy": 0.5, "memory_bytes": 1000.0, "test_accuracy": 0.4}
    assert store.trial("a", 0).values == expected
    assert driver.loop.trials[0].values == expected


def test_no_configuration_is_tried_twice(drive: Callable[..., Driver], store: Store) -> None:
    drive(space=SMOKE, budget={"trials": 2}).run()
    drive(space=SMOKE, budget={"trials": 4}).run(lambda job: Outcome(TrialState.STOPPED))
    params = [tuple(sorted(trial.params.items())) for trial in store.trials("a")]
    assert not any(first == second for first, second in itertools.combinations(params, 2))
    assert len(params) == 4


@pytest.mark.parametrize(
    ("outcome", "kept"),
    [
        (complete(), False),
        (Outcome(TrialState.STOPPED), False),
        (Outcome(TrialState.FAILED, failure=Failure(FailureKind.ERROR, "no")), False),
        (Outcome(TrialState.INTERRUPTED), True),
    ],
)
def test_a_checkpoint_is_removed_when_the_trial_is_final_and_not_before(
    drive: Callable[..., Driver], outcome: Outcome, kept: bool
) -> None:
    driver = drive()
    job = driver.start()
    checkpoint = Path(job.folder) / CHECKPOINT_NAME
    checkpoint.parent.mkdir(parents=True)
    checkpoint.touch()
    # Of an earlier attempt, whose worker was killed while it wrote.
    unfinished = checkpoint.with_name(f".{CHECKPOINT_NAME}.77")
    unfinished.touch()
    driver.loop.ended(job, outcome)
    assert checkpoint.exists() is kept
    assert unfinished.exists() is kept
    assert checkpoint.parent.exists() is kept
