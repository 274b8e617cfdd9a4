"""The loop at milestones: who is compared with whom, and what a restart may not change."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from orchestrator.contracts import Decision, Job, Outcome, Store
from orchestrator.objectives import Direction, Objective
from orchestrator.scheduling.moasha import MOASHA
from orchestrator.scheduling.peers import Peers
from orchestrator.storage.opening import open_store
from orchestrator.trials import Report, Trial, TrialState
from search_spaces import parse_space
from tests.orchestrator import driving
from tests.orchestrator.driving import Driver, complete
from trainers.files.trial_folder import CHECKPOINT_NAME

store, drive = driving.store, driving.drive
ACCURACY = (Objective("accuracy", Direction.MAXIMIZE),)
LENGTHS = parse_space(
    {
        "epochs": {"type": "choice", "values": [3, 9]},
        "fc_width_1": {"type": "int", "low": 1, "high": 99},
    }
).as_mapping()


def at(epoch: int, accuracy: float | None = None) -> Report:
    measured = {} if accuracy is None else {"milestone_accuracy": accuracy}
    return Report(epoch, {"train_loss": 1.0, **measured})


@dataclass
class Strict:
    """Stops at epochs 2 and 4 whoever is not the best of its peers there."""

    milestones = (2, 4)
    asked: list[tuple[int, int, dict[int, float]]] = field(default_factory=list)

    def decide(self, trial: int, epoch: int, peers: Mapping[int, Mapping[str, float]]) -> Decision:
        found = {number: values["accuracy"] for number, values in peers.items()}
        self.asked.append((trial, epoch, found))
        return Decision.CONTINUE if found[trial] >= max(found.values()) else Decision.STOP

    def best_first(self, peers: Mapping[int, Mapping[str, float]]) -> list[int]:
        return sorted(peers, key=lambda number: -peers[number]["accuracy"])


def test_a_trial_is_judged_when_its_milestone_is_reported(
    drive: Callable[..., Driver], store: Store
) -> None:
    strict = Strict()
    driver = drive(scheduler=strict)
    good, bad = driver.start(), driver.start()
    assert good is not None
    assert bad is not None
    assert good.milestones == (2, 4)
    loop = driver.loop
    assert loop.reported(good, [at(1)]) is Decision.CONTINUE
    assert strict.asked == []
    assert loop.reported(good, [at(2, 0.9)]) is Decision.CONTINUE
    Path(bad.folder).mkdir(parents=True)
    (Path(bad.folder) / CHECKPOINT_NAME).touch()
    assert loop.reported(bad, [at(1), at(2, 0.5)]) is Decision.STOP
    assert strict.asked == [(0, 2, {0: 0.9}), (1, 2, {0: 0.9, 1: 0.5})]
    loop.ended(bad, Outcome(TrialState.STOPPED))
    assert store.trial("a", 1).state is TrialState.STOPPED
    assert [report.epoch for report in store.reports("a", 1)] == [1, 2]
    assert not (Path(bad.folder) / CHECKPOINT_NAME).exists()


def test_a_milestone_that_lies_behind_a_trial_is_not_judged_again(
    drive: Callable[..., Driver],
) -> None:
    driver = drive(scheduler=Strict())
    job = driver.start()
    assert job is not None
    assert driver.loop.reported(job, [at(1), at(2, 0.5)]) is Decision.CONTINUE
    assert driver.loop.reported(job, [at(3)]) is Decision.CONTINUE
    better = driver.start()
    assert better is not None
    assert driver.loop.reported(better, [at(2, 0.9)]) is Decision.CONTINUE
    # The driver dies, and so does the worker, whose checkpoint is behind what was reported.
    driver = drive(scheduler=Strict())
    again = driver.start()
    assert again is not None
    assert (again.trial, again.attempt) == (job.trial, 1)
    assert driver.loop.reported(again, [at(1), at(2, 0.5)]) is Decision.CONTINUE
    assert driver.loop.reported(again, [at(3)]) is Decision.CONTINUE
    assert driver.loop.reported(again, [at(4, 0.6)]) is Decision.CONTINUE


def test_a_verdict_that_the_driver_did_not_live_to_give_is_given_by_the_next_one(
    drive: Callable[..., Driver],
) -> None:
    driver = drive(scheduler=Strict())
    for accuracy in (0.9, 0.5):
        job = driver.start()
        assert job is not None
        driver.writer.add_reports(job.trial, job.attempt, [at(1), at(2, accuracy)])
    driver = drive(scheduler=Strict())
    verdicts = []
    for accuracy in (0.9, 0.5):
        job = driver.start()
        assert job is not None
        verdicts.append(driver.loop.reported(job, [at(1), at(2, accuracy)]))
    assert verdicts == [Decision.CONTINUE, Decision.STOP]


def test_what_was_not_measured_at_a_milestone_is_neither_judged_nor_a_peer(
    drive: Callable[..., Driver],
) -> None:
    strict = Strict()
    driver = drive(scheduler=strict)
    bare, other = driver.start(), driver.start()
    assert bare is not None
    assert other is not None
    # A training that was taken from the cache of stages, or a value that was not finite.
    assert driver.loop.reported(bare, [at(2)]) is Decision.CONTINUE
    assert strict.asked == []
    assert driver.loop.reported(other, [at(2, 0.1)]) is Decision.CONTINUE
    assert strict.asked == [(1, 2, {1: 0.1})]


def test_the_reference_is_never_stopped_and_never_a_peer(drive: Callable[..., Driver]) -> None:
    strict = Strict()
    driver = drive(scheduler=strict, reference=True)
    reference, other = driver.start(), driver.start()
    assert reference is not None
    assert other is not None
    assert reference.milestones == ()
    driver.loop.reported(reference, [at(2, 1.0)])
    assert driver.loop.reported(other, [at(2, 0.1)]) is Decision.CONTINUE
    assert strict.asked == [(1, 2, {1: 0.1})]


def test_only_trainings_of_equally_many_epochs_are_compared(drive: Callable[..., Driver]) -> None:
    strict = Strict()
    driver = drive(scheduler=strict, space=LENGTHS, budget={"trials": 12})
    jobs: list[Job] = []
    while (job := driver.start()) is not None:
        jobs.append(job)
        driver.loop.reported(job, [at(1), at(2, 0.5)])
    lengths = {job.trial: job.config.epochs for job in jobs}
    assert set(lengths.values()) == {3, 9}
    # No milestone lies at or behind the end of a training.
    assert {job.milestones for job in jobs if lengths[job.trial] == 3} == {(2,)}
    assert {job.milestones for job in jobs if lengths[job.trial] == 9} == {(2, 4)}
    for trial, _, peers in strict.asked:
        assert {lengths[peer] for peer in peers} == {lengths[trial]}
        assert trial in peers
    assert len(strict.asked) == 12


def test_what_is_known_of_a_configuration_counts_beside_what_was_measured() -> None:
    def known(params: Mapping[str, object]) -> Mapping[str, float]:
        return {"memory_bytes": 10.0 * float(str(params["fc_width_1"]))}

    peers = Peers(9, known)
    trials = [Trial("a", n, {"fc_width_1": n + 1}, 0, TrialState.RUNNING) for n in range(2)]
    for trial in trials:
        values = {"milestone_accuracy": 0.5, "milestone_robust_accuracy": 0.1, "train_loss": 1.0}
        peers.observe(trial, Report(2, values))
    assert peers.of(trials[1], 2) == {
        n: {"memory_bytes": 10.0 * (n + 1), "accuracy": 0.5, "robust_accuracy": 0.1}
        for n in range(2)
    }
    assert peers.of(trials[0], 4) == {}


def test_with_a_lag_a_trial_is_compared_with_those_that_its_proposal_has_seen() -> None:
    peers = Peers(9, lag=2)
    trials = [Trial("a", n, {"fc_width_1": n + 1}, 0, TrialState.RUNNING) for n in range(5)]
    # The last ones report first.
    for trial in reversed(trials):
        peers.observe(trial, Report(2, {"milestone_accuracy": trial.number / 10}))
    assert [list(peers.of(trial, 2)) for trial in trials] == [
        [0],
        [1],
        [0, 2],
        [0, 1, 3],
        [0, 1, 2, 4],
    ]


@dataclass
class Played:
    """Four trials at once, which report in a random order; drivers may die at any report."""

    folder: Path
    seed: int
    dies: bool
    found: list[tuple[int, int, Decision]] = field(default_factory=list)
    running: dict[int, Job] = field(default_factory=dict)
    epochs: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        draw, crash = random.Random(self.seed), random.Random(self.seed + 100)
        store = open_store(f"sqlite:///{self.folder / 'sweeps.db'}")
        driver = self.drive(store)
        while self.filled(driver):
            self.one_report(driver, draw)
            if self.dies and crash.random() < 0.3:
                driver = self.drive(store)
                for job in [driver.start() for _ in self.running]:
                    assert job is not None
                    self.running[job.trial] = job
        self.stopped = [t.number for t in store.trials("a", [TrialState.STOPPED])]
        store.close()

    def drive(self, store: Store) -> Driver:
        spec = driving.make_spec(budget={"trials": 12})
        return Driver(store, self.folder, spec, MOASHA(ACCURACY, (), (2, 4), 2))

    def filled(self, driver: Driver) -> bool:
        while len(self.running) < 4 and (job := driver.start()) is not None:
            self.running[job.trial] = job
        return bool(self.running)

    def one_report(self, driver: Driver, draw: random.Random) -> None:
        job = self.running[draw.choice(sorted(self.running))]
        epoch = self.epochs[job.trial] = self.epochs.get(job.trial, 0) + 1
        accuracy = draw.random() if epoch in (2, 4) else None
        verdict = driver.loop.reported(job, [at(epoch, accuracy)])
        self.found.append((job.trial, epoch, verdict))
        if verdict is Decision.STOP or epoch == 5:
            ends = Outcome(TrialState.STOPPED) if verdict is Decision.STOP else complete()
            driver.loop.ended(self.running.pop(job.trial), ends)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_sweep_that_is_resumed_again_and_again_gives_the_same_verdicts(
    tmp_path: Path, seed: int
) -> None:
    folders = [tmp_path / "once", tmp_path / "often"]
    for folder in folders:
        folder.mkdir()
    once = Played(folders[0], seed, dies=False)
    often = Played(folders[1], seed, dies=True)
    assert once.found == often.found
    assert once.stopped == often.stopped
    assert 0 < len(once.stopped) < 12
