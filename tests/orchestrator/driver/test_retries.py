"""What ends an attempt without ending its trial, and how it is remembered."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.contracts import Job, Outcome, Store
from orchestrator.errors import StorageFullError
from orchestrator.trials import Failure, FailureKind, TrialState
from tests.orchestrator import driving
from tests.orchestrator.driving import Driver, complete
from trainers.files.trial_folder import CHECKPOINT_NAME

store, drive = driving.store, driving.drive


LOST = Outcome(TrialState.FAILED, failure=Failure(FailureKind.WORKER_LOST, "gone.", "trace"))


@pytest.mark.parametrize(
    "kind", [FailureKind.WORKER_LOST, FailureKind.NODE_LOST, FailureKind.PREEMPTED]
)
def test_what_infrastructure_ended_starts_again_and_takes_no_other_trials_place(
    drive: Callable[..., Driver], store: Store, kind: FailureKind
) -> None:
    lost = Outcome(TrialState.FAILED, failure=Failure(kind, "gone."))
    driver = drive()
    jobs = driver.run(lambda job: lost if (job.trial, job.attempt) == (1, 0) else complete())
    again = [(0, 0), (1, 0), (1, 1), (2, 0), (3, 0)]
    assert [(job.trial, job.attempt) for job in jobs] == again
    assert jobs[1].config == jobs[2].config
    assert jobs[1].folder == jobs[2].folder
    assert {trial.state for trial in store.trials("a")} == {TrialState.COMPLETE}
    first, second = store.attempts("a", 1)
    assert first.state is TrialState.INTERRUPTED
    assert first.failure is not None
    assert first.failure.kind is kind
    assert first.failure.message.endswith("retry 1 of 3.")
    assert (second.state, second.failure) == (TrialState.COMPLETE, None)


@pytest.mark.parametrize("retries", [0, 2])
def test_a_trial_that_is_lost_more_often_than_allowed_has_failed(
    drive: Callable[..., Driver], store: Store, retries: int
) -> None:
    driver = drive(budget={"trials": 2, "retries": retries})
    jobs = driver.run(lambda job: LOST if job.trial == 0 else complete())
    assert [job.trial for job in jobs] == [0] * (retries + 1) + [1]
    trial = store.trial("a", 0)
    assert (trial.state, trial.attempts) == (TrialState.FAILED, retries + 1)
    assert trial.failure is not None
    assert trial.failure.kind is FailureKind.WORKER_LOST
    assert f"budget.retries is {retries}" in trial.failure.message
    assert trial.failure.traceback == "trace"
    assert store.trial("a", 1).state is TrialState.COMPLETE


def test_retries_are_counted_over_all_drivers_and_interruptions_are_none(
    drive: Callable[..., Driver], store: Store
) -> None:
    budget = {"trials": 1, "retries": 2}
    for outcome in (LOST, Outcome(TrialState.INTERRUPTED), LOST, None, LOST):
        driver = drive(budget=budget)
        job = driver.start()
        assert job is not None
        if outcome is not None:
            driver.loop.ended(job, outcome)
    assert store.trial("a", 0).state is TrialState.FAILED
    kinds = [attempt.failure and attempt.failure.kind for attempt in store.attempts("a", 0)]
    lost, interrupted = FailureKind.WORKER_LOST, FailureKind.INTERRUPTED
    assert kinds == [lost, interrupted, lost, interrupted, lost]


def test_the_last_trial_starts_again_too(drive: Callable[..., Driver], store: Store) -> None:
    driver = drive(budget={"trials": 1})
    job = driver.start()
    assert job is not None
    assert driver.start() is None
    assert driver.loop.stop_reason
    driver.loop.ended(job, LOST)
    again = driver.start()
    assert again is not None
    assert (again.trial, again.attempt) == (0, 1)
    driver.loop.ended(again, complete())
    assert driver.start() is None


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    [k for k in FailureKind if not k.is_infrastructure and k is not FailureKind.STORAGE_FULL],
)
def test_what_the_trial_did_itself_is_not_tried_again(
    drive: Callable[..., Driver], store: Store, kind: FailureKind
) -> None:
    failed = Outcome(TrialState.FAILED, failure=Failure(kind, "no"))
    assert [job.trial for job in drive(budget={"trials": 2}).run(lambda job: failed)] == [0, 1]
    assert [trial.failure for trial in store.trials("a")] == [failed.failure] * 2


def test_a_full_disk_ends_the_run_and_fails_no_trial(
    drive: Callable[..., Driver], store: Store
) -> None:
    driver = drive()
    first, second = driver.start(), driver.start()
    assert first is not None
    assert second is not None
    full = Outcome(TrialState.FAILED, failure=Failure(FailureKind.STORAGE_FULL, "No space."))
    driver.loop.ended(first, full)
    assert driver.loop.must_stop
    assert driver.start() is None
    driver.loop.ended(second, full)
    assert [trial.state for trial in store.trials("a")] == [TrialState.INTERRUPTED] * 2
    assert isinstance(driver.loop.error, StorageFullError)
    assert re.search(r"No space\. .* [\d,]+ bytes free\. .* resume a$", str(driver.loop.error))
    assert driver.loop.stop_reason == "Storage is full"
    again = drive().run()
    assert [(job.trial, job.attempt) for job in again[:2]] == [(0, 1), (1, 1)]
    assert {trial.state for trial in store.trials("a")} == {TrialState.COMPLETE}


def test_an_interrupted_attempt_says_what_ended_it(
    drive: Callable[..., Driver], store: Store
) -> None:
    driver = drive()
    job = driver.start()
    assert job is not None
    driver.loop.interrupt("interrupted by SIGINT")
    driver.loop.ended(job, Outcome(TrialState.INTERRUPTED))
    failure = store.attempts("a", 0)[0].failure
    assert failure == Failure(FailureKind.INTERRUPTED, "The run ended: interrupted by SIGINT.")


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        (complete(), FailureKind.BAD_CHECKPOINT),
        (LOST, FailureKind.WORKER_LOST),
        (Outcome(TrialState.INTERRUPTED), FailureKind.INTERRUPTED),
    ],
)
def test_trouble_on_the_way_is_part_of_the_attempts_record(
    drive: Callable[..., Driver], store: Store, outcome: Outcome, kind: FailureKind
) -> None:
    driver = drive()
    job, other = driver.start(), driver.start()
    assert job is not None
    assert other is not None
    for _ in range(2):
        driver.loop.troubled(job, Failure(FailureKind.BAD_CHECKPOINT, "It was cut off."))
    driver.loop.ended(job, outcome)
    driver.loop.ended(other, complete())
    failure = store.attempts("a", 0)[0].failure
    assert failure is not None
    assert failure.kind is kind
    assert failure.message.count("It was cut off.") == 1
    assert store.attempts("a", 1)[0].failure is None


def test_lost_files_outrank_a_cache_that_failed_in_the_same_storage_before(
    drive: Callable[..., Driver], store: Store
) -> None:
    driver = drive()
    job = driver.start()
    assert job is not None
    for kind in (FailureKind.BAD_CACHE, FailureKind.FILES_LOST, FailureKind.BAD_CACHE):
        driver.loop.troubled(job, Failure(kind, f"It is {kind.value}."))
    driver.loop.ended(job, complete())
    failure = store.attempts("a", 0)[0].failure
    assert failure is not None
    assert failure.kind is FailureKind.FILES_LOST


def filled(bytes_each: int) -> Callable[[Job], Outcome]:
    """Complete trials that leave something on the disk."""

    def outcome(job: Job) -> Outcome:
        Path(job.folder).mkdir(parents=True, exist_ok=True)
        (Path(job.folder) / "model").write_bytes(bytes(bytes_each))
        return complete()

    return outcome


def test_no_trial_starts_when_the_disk_budget_is_used_up_and_more_of_it_goes_on(
    drive: Callable[..., Driver], store: Store
) -> None:
    budget = {"trials": 9, "disk": "2.5kB"}
    driver = drive(budget=budget)
    assert len(driver.run(filled(1000))) == 3
    assert driver.loop.stop_reason == "the disk budget of 2,500 bytes is used up (3,000)"
    assert not driver.loop.interrupted
    assert not driver.loop.must_stop
    assert drive(budget=budget).run() == []
    assert [job.trial for job in drive(budget={**budget, "disk": "4.5kB"}).run(filled(1000))] == [
        3,
        4,
    ]
    assert len(store.trials("a")) == 5


def test_unneeded_files_are_removed_before_the_disk_budget_ends_a_sweep(
    drive: Callable[..., Driver], tmp_path: Path
) -> None:
    driver = drive(budget={"trials": 2, "disk": "1kB"})
    first = driver.start()
    assert first is not None
    driver.loop.ended(first, complete())
    # A worker that died as it wrote; its trial ended on another one.
    unfinished = Path(first.folder) / ".checkpoint.safetensors.77"
    unfinished.parent.mkdir(parents=True)
    unfinished.write_bytes(bytes(5000))
    assert driver.start() is not None
    assert not unfinished.exists()


def test_a_new_driver_removes_what_the_one_before_had_no_time_to(
    drive: Callable[..., Driver],
) -> None:
    driver = drive()
    done, running = driver.start(), driver.start()
    assert done is not None
    assert running is not None
    driver.loop.ended(done, complete())
    left = [Path(job.folder) / CHECKPOINT_NAME for job in (done, running)]
    for path in left:
        path.parent.mkdir(parents=True)
        path.touch()
    drive()
    assert [path.exists() for path in left] == [False, True]
