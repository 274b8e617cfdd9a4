"""When every configuration was tried and time is left, stopped trials go on."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.contracts import Decision, Job, Outcome, Store
from orchestrator.trials import Failure, FailureKind, TrialState
from search_spaces import parse_space
from tests.orchestrator import driving
from tests.orchestrator.driver.test_stopping_early import Strict, at
from tests.orchestrator.driving import Driver, complete, make_spec
from trainers.files.trial_folder import CHECKPOINT_NAME

store = driving.store
STOPPED = Outcome(TrialState.STOPPED)
SPACE = parse_space({"fc_width_1": {"type": "choice", "values": [8, 16, 24]}}).as_mapping()
WITH_TIME: dict[str, Any] = {
    "space": SPACE,
    "scheduler": "moasha",
    "training": {"epochs": 9},
    "budget": {"trials": 100, "seconds": 60},
}


@pytest.fixture
def begin(store: Store, tmp_path: Path) -> Callable[..., Driver]:
    """Starts a driver; a second one takes over."""

    def build(**changes: Any) -> Driver:
        return Driver(store, tmp_path, make_spec(**{**WITH_TIME, **changes}), Strict())

    return build


def told(driver: Driver, job: Job, epoch: int, accuracy: float) -> Decision:
    """Report a milestone; a worker that is told to stop stops."""
    folder = Path(job.folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CHECKPOINT_NAME).write_text(str(epoch))
    decision = driver.loop.reported(job, [at(epoch, accuracy)])
    if decision is Decision.STOP:
        driver.loop.ended(job, STOPPED)
    return decision


def started(driver: Driver) -> Job:
    job = driver.start()
    assert job is not None
    return job


def searched(driver: Driver) -> None:
    """The whole space: trial 0 is complete, 1 was stopped at epoch 2, and 2 at epoch 4."""
    jobs = [started(driver) for _ in range(3)]
    assert told(driver, jobs[2], 2, 0.8) is Decision.CONTINUE
    assert told(driver, jobs[0], 2, 0.9) is Decision.CONTINUE
    assert told(driver, jobs[1], 2, 0.7) is Decision.STOP
    assert told(driver, jobs[0], 4, 0.9) is Decision.CONTINUE
    assert told(driver, jobs[2], 4, 0.7) is Decision.STOP
    driver.loop.ended(jobs[0], complete())


def test_stopped_trials_go_on_the_furthest_first_and_with_the_epochs_they_have(
    begin: Callable[..., Driver], store: Store
) -> None:
    driver = begin()
    searched(driver)
    furthest = started(driver)
    assert (furthest.trial, furthest.attempt) == (2, 1)
    assert (Path(furthest.folder) / CHECKPOINT_NAME).read_text() == "4"
    other = started(driver)
    assert (other.trial, other.attempt) == (1, 1)
    # What a worker that takes up a checkpoint tells again is not judged again.
    assert told(driver, other, 2, 0.7) is Decision.CONTINUE
    assert told(driver, other, 4, 0.95) is Decision.CONTINUE
    for job in (furthest, other):
        driver.loop.ended(job, complete())
        assert not (Path(job.folder) / CHECKPOINT_NAME).exists()
    assert driver.start() is None
    assert driver.loop.stop_reason == "every configuration of the space was tried"
    assert len(store.trials("a", [TrialState.COMPLETE])) == 3


def test_a_trial_that_is_stopped_again_waits_for_the_others_and_gets_to_its_end(
    begin: Callable[..., Driver],
) -> None:
    driver = begin()
    searched(driver)
    driver.loop.ended(started(driver), complete())
    job = started(driver)
    assert told(driver, job, 4, 0.1) is Decision.STOP
    again = started(driver)
    assert (again.trial, again.attempt) == (1, 2)
    driver.loop.ended(again, complete())
    assert driver.start() is None


def test_the_search_is_not_over_while_a_trial_runs_that_may_be_stopped(
    begin: Callable[..., Driver],
) -> None:
    driver = begin()
    jobs = [started(driver) for _ in range(3)]
    assert driver.start() is None
    assert driver.loop.stop_reason == ""
    told(driver, jobs[0], 2, 0.9)
    assert told(driver, jobs[1], 2, 0.5) is Decision.STOP
    assert started(driver).trial == jobs[1].trial


@pytest.mark.parametrize(
    "changes",
    [
        {"budget": {"trials": 100}},
        {"budget": {"trials": 3, "seconds": 60}},
    ],
    ids=["no time is named", "the budget of trials is used up"],
)
def test_stopped_trials_stay_so_where_no_time_is_left_over(
    begin: Callable[..., Driver], changes: dict[str, Any]
) -> None:
    driver = begin(**changes)
    searched(driver)
    assert driver.start() is None
    assert driver.loop.stop_reason


def test_time_that_no_new_trial_can_use_up_is_what_counts() -> None:
    assert make_spec(**WITH_TIME).takes_up_stopped
    assert make_spec(**{**WITH_TIME, "budget": {"cpu_hours": 1}}).takes_up_stopped
    assert not make_spec(**{**WITH_TIME, "space": driving.WIDE_FLOAT}).takes_up_stopped
    assert not make_spec(**{**WITH_TIME, "scheduler": "fifo"}).takes_up_stopped
    assert not make_spec(**{**WITH_TIME, "budget": {"trials": 100}}).takes_up_stopped


def test_a_driver_that_dies_between_changes_nothing_of_it(
    begin: Callable[..., Driver], store: Store
) -> None:
    driver = begin()
    searched(driver)
    job = started(driver)
    assert (job.trial, job.attempt) == (2, 1)
    driver = begin()
    job = started(driver)
    assert (job.trial, job.attempt) == (2, 2)
    assert (Path(job.folder) / CHECKPOINT_NAME).exists()
    assert told(driver, job, 4, 0.7) is Decision.CONTINUE
    driver.loop.ended(job, complete())
    job = started(driver)
    assert (job.trial, job.attempt) == (1, 1)
    assert (Path(job.folder) / CHECKPOINT_NAME).exists()


def test_one_that_fails_when_it_was_taken_up_has_failed(
    begin: Callable[..., Driver], store: Store
) -> None:
    driver = begin()
    searched(driver)
    for _ in range(2):
        failure = Failure(FailureKind.DIVERGED, "the loss became NaN")
        driver.loop.ended(started(driver), Outcome(TrialState.FAILED, failure=failure))
    assert driver.start() is None
    states = [trial.state for trial in store.trials("a")]
    assert states == [TrialState.COMPLETE, TrialState.FAILED, TrialState.FAILED]


def test_on_a_full_disk_and_in_the_end_nothing_of_stopped_trials_is_kept(
    begin: Callable[..., Driver], tmp_path: Path
) -> None:
    driver = begin()
    searched(driver)
    kept = sorted(tmp_path.rglob(CHECKPOINT_NAME))
    assert len(kept) == 2
    driver.loop.remove_leftovers(but_stopped=True)
    assert sorted(tmp_path.rglob(CHECKPOINT_NAME)) == kept
    driver.loop.remove_leftovers()
    assert not list(tmp_path.rglob(CHECKPOINT_NAME))
