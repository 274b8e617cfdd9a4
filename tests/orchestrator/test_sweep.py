"""The loop on a real store and a real sampler; the test plays the executor."""

import itertools
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from orchestrator.contracts import Decision, Job, Outcome, Sampler, Store, Suggestion
from orchestrator.errors import StorageFullError
from orchestrator.progress import Silent
from orchestrator.sampling import build_sampler
from orchestrator.scheduling.fifo import Fifo
from orchestrator.spec import SweepSpec
from orchestrator.state_folder import StateFolder
from orchestrator.storage.opening import open_store
from orchestrator.sweep import Parts, SweepLoop
from orchestrator.trials import Failure, FailureKind, Report, Trial, TrialState
from search_spaces import load_space, parse_space
from trainers.trial_folder import CHECKPOINT_NAME

SMOKE = load_space("smoke").as_mapping()
WIDE = parse_space({"fc_width_1": {"type": "int", "low": 1, "high": 512}}).as_mapping()


def make_spec(**changes: Any) -> SweepSpec:
    given: dict[str, Any] = {
        "name": "a",
        "backbone": {"name": "digitnet", "weights": "scratch"},
        "data": {"name": "digits"},
        "space": WIDE,
        "objectives": {"accuracy": "maximize", "memory_bytes": "minimize"},
        "sampler": {"kind": "random"},
        "budget": {"trials": 4},
        "seed": 10,
    }
    return SweepSpec.model_validate({**given, **changes})


def complete(accuracy: float = 0.5, memory_bytes: float = 1000.0) -> Outcome:
    return Outcome(TrialState.COMPLETE, {"accuracy": accuracy, "memory_bytes": memory_bytes})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = open_store(f"sqlite:///{tmp_path / 'sweeps.db'}")
    yield store
    store.close()


@dataclass
class Watcher(Silent):
    """Looks into the store at each event: what it is told must stand there already."""

    store: Store
    told: list[tuple[str, int]] = field(default_factory=list)

    def trial_started(self, trial: Trial) -> None:
        assert self.store.trial("a", trial.number).state is trial.state is TrialState.RUNNING
        self.told.append(("started", trial.number))

    def trial_reported(self, trial: int, report: Report) -> None:
        assert report in self.store.reports("a", trial)
        self.told.append(("reported", trial))

    def trial_ended(self, trial: Trial) -> None:
        assert self.store.trial("a", trial.number) == trial
        self.told.append(("ended", trial.number))


@dataclass
class WatchedSampler:
    """A sampler that sees nothing which is not stored."""

    inner: Sampler
    store: Store
    suggested: list[Suggestion] = field(default_factory=list)

    def suggest(self) -> Suggestion | None:
        suggestion = self.inner.suggest()
        if suggestion is not None:
            self.suggested.append(suggestion)
        return suggestion

    def observe(self, trial: Trial) -> None:
        assert self.store.trial("a", trial.number) == trial
        self.inner.observe(trial)


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Driver:
    """A loop with what it was made of; another driver on the same store takes over."""

    store: Store
    folder: Path
    spec: SweepSpec
    scheduler: Any = field(default_factory=Fifo)
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        spec = self.spec
        self.store.create_sweep("a", spec.model_dump(mode="json"), spec.fingerprint())
        self.writer = self.store.take("a", "nobody", lease_s=0.0)
        build = build_sampler(
            spec.sampler.kind, spec.search_space, spec.directed, spec.limits, spec.seed
        )
        self.sampler = WatchedSampler(build, self.store)
        self.progress = Watcher(self.store)
        parts = Parts(
            self.store,
            self.writer,
            self.sampler,
            self.scheduler,
            self.progress,
            StateFolder(self.folder),
            "test",
            self.clock,
        )
        self.loop = SweepLoop(spec, parts)

    def start(self) -> Job | None:
        job = self.loop.next_job()
        if job is not None:
            self.loop.started(job)
        return job

    def run(self, outcome: Callable[[Job], Outcome] = lambda job: complete()) -> list[Job]:
        """One job after another, to the end."""
        jobs = []
        while (job := self.start()) is not None:
            self.loop.ended(job, outcome(job))
            jobs.append(job)
        return jobs


@pytest.fixture
def drive(store: Store, tmp_path: Path) -> Callable[..., Driver]:
    def build(*, scheduler: Any = None, clock: Clock | None = None, **changes: Any) -> Driver:
        spec = make_spec(**changes)
        return Driver(store, tmp_path, spec, scheduler or Fifo(), clock or Clock())

    return build


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
    assert (config["epochs"], config["threads"], config["seed"]) == (7, 2, 10)
    assert (config["backbone"], config["weights"]) == ("digitnet", "scratch")
    assert config["widths"] == [config_width(job)]
    assert Path(job.folder) == tmp_path / "sweeps" / "a" / "trials" / "00000"


def config_width(job: Job) -> int:
    (width,) = job.config["widths"]  # type: ignore[misc]
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
        assert job.config["seed"] == before[job.trial].seed
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


def test_a_plateau_ends_the_search(drive: Callable[..., Driver]) -> None:
    accuracies = [0.1, 0.2, 0.2, 0.2, 0.3, 0.1, 0.1, 0.1]
    driver = drive(budget={"trials": 99, "plateau": 3})
    jobs = driver.run(lambda job: complete(accuracies[job.trial]))
    assert len(jobs) == len(accuracies)
    assert driver.loop.stop_reason == "3 trials in a row did not change the front"
    # A driver that starts again comes to the same end.
    assert drive(budget={"trials": 100, "plateau": 3}).run() == []


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


@dataclass
class Strict:
    """Stops at epochs 2 and 4 whoever is not the best of its peers there."""

    milestones = (2, 4)
    asked: list[tuple[int, int, dict[int, float]]] = field(default_factory=list)

    def decide(self, trial: int, epoch: int, peers: Mapping[int, Mapping[str, float]]) -> Decision:
        losses = {number: values["loss"] for number, values in peers.items()}
        self.asked.append((trial, epoch, losses))
        return Decision.CONTINUE if losses[trial] <= min(losses.values()) else Decision.STOP


def test_a_milestone_is_judged_on_what_is_stored(
    drive: Callable[..., Driver], store: Store
) -> None:
    strict = Strict()
    driver = drive(scheduler=strict)
    good, bad = driver.start(), driver.start()
    assert good is not None
    assert bad is not None
    assert good.milestones == (2, 4)
    loop = driver.loop
    assert loop.reported(good, [Report(1, {"loss": 9.0})]) is Decision.CONTINUE
    assert strict.asked == []
    assert loop.reported(good, [Report(2, {"loss": 1.0})]) is Decision.CONTINUE
    # Several epochs in one slice: judged at the milestone among them, and stopped there.
    reports = [Report(epoch, {"loss": 2.0}) for epoch in (1, 2, 3)]
    assert loop.reported(bad, reports) is Decision.STOP
    assert strict.asked == [(0, 2, {0: 1.0}), (1, 2, {0: 1.0, 1: 2.0})]
    loop.ended(bad, Outcome(TrialState.STOPPED))
    assert store.trial("a", 1).state is TrialState.STOPPED
    assert [report.epoch for report in store.reports("a", 1)] == [1, 2, 3]


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
    driver.loop.ended(job, outcome)
    assert checkpoint.exists() is kept
