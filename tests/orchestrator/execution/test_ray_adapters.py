"""From what Ray Tune says to what the sweep's loop hears."""

import hashlib
import pickle
import threading
import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from ray.exceptions import OutOfMemoryError

from orchestrator.contracts import Decision, Job, Load, News, Outcome
from orchestrator.contracts.needs import Needs
from orchestrator.execution.batches import Batches
from orchestrator.execution.carried_files import CarriedFile
from orchestrator.execution.ray_adapters import (
    JobScheduler,
    JobSearcher,
    RunningJobs,
    SourceStopper,
)
from orchestrator.execution.slots import LiveSlots, Node
from orchestrator.execution.start_barrier import StartBarrier
from orchestrator.execution.trial_step import Step
from orchestrator.logs.lines import Line
from orchestrator.trials import Failure, FailureKind, Report, TrialState
from trainers.stages.use import CacheUse

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_cluster")]

DONE = Step((Report(2, {}),), Outcome(TrialState.COMPLETE, {"accuracy": 1.0}))


def room_for(workers: int) -> LiveSlots:
    return LiveSlots(lambda: [Node({"CPU": float(workers)})], Needs())


class Source:
    """Three jobs; remembers what it is told; stops trial 1 at its first report."""

    must_stop = False

    @property
    def left(self) -> int:
        return len(self.left_jobs)

    def __init__(self) -> None:
        self.left_jobs = [Job(number, 0, {}, "") for number in (2, 1, 0)]
        self.running: list[int] = []
        self.outcomes: dict[int, Outcome] = {}
        self.troubles: list[tuple[int, Failure]] = []
        self.news: list[tuple[News, str]] = []
        self.places: list[tuple[int, str]] = []

    def next_job(self) -> Job | None:
        return self.left_jobs.pop() if self.left_jobs else None

    def started(self, job: Job) -> None:
        self.running.append(job.trial)

    def reported(self, job: Job, reports: Sequence[Report]) -> Decision:
        return Decision.STOP if job.trial == 1 and reports else Decision.CONTINUE

    def placed(self, job: Job, worker: str) -> None:
        self.places.append((job.trial, worker))

    def told(self, news: News, worker: str) -> None:
        self.news.append((news, worker))

    def troubled(self, job: Job, trouble: Failure) -> None:
        self.troubles.append((job.trial, trouble))

    def ended(self, job: Job, outcome: Outcome) -> None:
        assert job.trial not in self.outcomes
        self.running.remove(job.trial)
        self.outcomes[job.trial] = outcome


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def barrier() -> StartBarrier:
    return StartBarrier(uuid.uuid4().hex, 2, 1e6)


@pytest.fixture
def jobs(source: Source, barrier: StartBarrier) -> RunningJobs:
    return RunningJobs(source, room_for(2), barrier)


def is_open(barrier: StartBarrier) -> bool:
    thread = threading.Thread(target=barrier.wait, daemon=True)
    thread.start()
    thread.join(0.3)
    return not thread.is_alive()


def test_what_a_worker_tells_besides_results_is_passed_on_with_its_name(
    jobs: RunningJobs, source: Source
) -> None:
    searcher, scheduler = JobSearcher(jobs), JobScheduler(jobs)
    searcher.suggest("t")
    news = News((Line(1.5, 30, "trainers.x", "an image is black", 0, 0),), CacheUse(hits=1))
    place = "ray 10.0.0.7:4711 node 5e2f"
    step = {"steps": ((0, Step(())),), "worker": place}
    scheduler.on_trial_result(None, SimpleNamespace(trial_id="t"), {**step, "news": news})
    scheduler.on_trial_result(None, SimpleNamespace(trial_id="t"), {**step, "news": News()})
    assert source.news == [(news, place)]


def test_the_load_is_the_workers_that_have_jobs(source: Source, barrier: StartBarrier) -> None:
    slots = room_for(2)
    jobs = RunningJobs(source, slots, barrier)
    assert slots.load == Load(busy=0, slots=2)
    JobSearcher(jobs).suggest("t")
    assert slots.load == Load(busy=1, slots=2)
    jobs.interrupt()
    assert slots.load == Load(busy=0, slots=2)


def test_a_configuration_is_asked_for_when_a_slot_is_free(
    jobs: RunningJobs, source: Source
) -> None:
    searcher = JobSearcher(jobs)
    first, second = searcher.suggest("x"), searcher.suggest("y")
    assert isinstance(first, dict)
    assert isinstance(second, dict)
    assert [first["jobs"][0].trial, second["jobs"][0].trial] == source.running == [0, 1]
    assert searcher.suggest("z") is None
    assert not jobs.stepped("x", {0: DONE})
    third = searcher.suggest("z")
    assert isinstance(third, dict)
    assert third["jobs"][0].trial == 2


def test_the_search_is_over_when_no_job_is_left(jobs: RunningJobs, barrier: StartBarrier) -> None:
    searcher = JobSearcher(jobs)
    for name in "xyz":
        searcher.suggest(name)
        jobs.lost(name, None)
    barrier.arrive("a", 0)
    assert not is_open(barrier)
    assert searcher.suggest("v") == JobSearcher.FINISHED
    # Nobody waits for a worker that would have nothing to do.
    assert is_open(barrier)


def test_a_trial_goes_on_until_its_outcome_or_a_stop(jobs: RunningJobs, source: Source) -> None:
    jobs.start("x")
    jobs.start("y")
    assert jobs.stepped("x", {0: Step((Report(1, {}),))})
    assert not jobs.stepped("x", {0: DONE})
    assert jobs.stepped("y", {1: Step(())})
    assert not jobs.stepped("y", {1: Step((Report(1, {}),))})
    assert source.outcomes[0] == DONE.outcome
    assert source.outcomes[1].state is TrialState.STOPPED
    assert source.running == []


def test_an_outcome_counts_more_than_a_stop(jobs: RunningJobs, source: Source) -> None:
    jobs.start("x")
    jobs.start("y")
    assert not jobs.stepped("y", {1: DONE})
    assert source.outcomes[1].state is TrialState.COMPLETE


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (None, FailureKind.WORKER_LOST),
        (RuntimeError("actor died"), FailureKind.WORKER_LOST),
        (OutOfMemoryError("killed"), FailureKind.OUT_OF_MEMORY),
    ],
)
def test_a_lost_worker_is_the_failure_of_its_trial(
    jobs: RunningJobs, source: Source, error: Exception | None, kind: FailureKind
) -> None:
    jobs.start("x")
    jobs.lost("x", error)
    failure = source.outcomes[0].failure
    assert failure is not None
    assert failure.kind is kind
    jobs.lost("x", error)  # a second word about it changes nothing


def test_a_search_is_not_over_while_a_running_job_may_come_again(
    jobs: RunningJobs, source: Source
) -> None:
    searcher = JobSearcher(jobs)
    del source.left_jobs[0]
    for name in "xy":
        searcher.suggest(name)
    jobs.stepped("x", {0: DONE})
    assert searcher.suggest("z") is None
    jobs.lost("y", None)
    source.left_jobs.append(Job(1, 1, {}, ""))
    again = searcher.suggest("z")
    assert isinstance(again, dict)
    assert (again["jobs"][0].trial, again["jobs"][0].attempt) == (1, 1)
    del source.outcomes[1]
    jobs.stepped("z", {1: DONE})
    assert searcher.suggest("v") == JobSearcher.FINISHED


def test_a_worker_takes_several_jobs_and_each_ends_on_its_own(
    source: Source, barrier: StartBarrier
) -> None:
    jobs = RunningJobs(source, room_for(1), barrier, Batches(3))
    searcher = JobSearcher(jobs)
    taken = searcher.suggest("x")
    assert isinstance(taken, dict)
    assert [job.trial for job in taken["jobs"]] == source.running == [0, 1, 2]
    assert searcher.suggest("y") is None
    report = Step((Report(1, {}),))
    assert jobs.stepped("x", {0: report, 1: report, 2: report})
    # The worker hears what the source said of one of them.
    assert barrier.stopped(jobs.trials("x")) == []
    assert barrier.stopped([0, 1, 2]) == [1]
    assert source.outcomes[1].state is TrialState.STOPPED
    assert jobs.stepped("x", {2: DONE})
    jobs.lost("x", None)
    assert source.outcomes[2].state is TrialState.COMPLETE
    assert source.outcomes[0].failure is not None
    assert source.outcomes[0].failure.kind is FailureKind.WORKER_LOST
    assert searcher.suggest("y") == JobSearcher.FINISHED


def test_a_worker_leaves_others_their_share(source: Source, barrier: StartBarrier) -> None:
    jobs = RunningJobs(source, room_for(2), barrier, Batches(3))
    assert [[job.trial for job in jobs.start(name)] for name in "xyz"] == [[0, 1], [2], []]
    jobs.interrupt()
    assert {outcome.state for outcome in source.outcomes.values()} == {TrialState.INTERRUPTED}
    assert len(source.outcomes) == 3


def test_siblings_are_asked_for_when_they_are_needed(
    source: Source, barrier: StartBarrier
) -> None:
    source.left_jobs[:2] = [Job(number, 0, {}, "", origin=0) for number in (5, 4, 3)]
    jobs = RunningJobs(source, room_for(1), barrier, Batches(16))
    assert [[job.trial for job in jobs.start(name)] for name in "xy"] == [[0, 3, 4], [5]]


def test_trouble_that_ends_nothing_is_passed_on(jobs: RunningJobs, source: Source) -> None:
    jobs.start("x")
    trouble = Failure(FailureKind.BAD_CHECKPOINT, "it was cut off")
    assert jobs.stepped("x", {0: Step((), trouble=trouble)})
    assert source.troubles == [(0, trouble)]


def test_what_the_source_raises_stops_everything_and_is_kept(
    jobs: RunningJobs, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs.start("x")
    jobs.start("y")
    assert not SourceStopper(jobs).stop_all()

    def broken(self: Source, job: Job, outcome: Outcome) -> None:
        raise ValueError("the store is gone")

    monkeypatch.setattr(Source, "ended", broken)
    assert not jobs.stepped("x", {0: DONE})
    assert SourceStopper(jobs).stop_all()
    monkeypatch.undo()
    # Nothing more is asked of it, not even to store what else ends.
    jobs.interrupt()
    assert JobSearcher(jobs).suggest("z") == JobSearcher.FINISHED
    assert (source.outcomes, source.left) == ({}, 1)
    assert str(jobs.error) == "the store is gone"


def test_a_lost_worker_is_waited_for_even_if_it_never_said_a_word(
    jobs: RunningJobs, barrier: StartBarrier
) -> None:
    for name, worker, trial in (("x", "a", 0), ("y", "b", 1)):
        jobs.start(name)
        barrier.arrive(worker, trial)
    assert is_open(barrier)
    jobs.lost("y", None)
    assert not is_open(barrier)
    barrier.arrive("c", 2)
    assert is_open(barrier)


def test_what_runs_when_tune_stops_was_interrupted(jobs: RunningJobs, source: Source) -> None:
    jobs.start("x")
    jobs.start("y")
    jobs.stepped("x", {0: DONE})
    jobs.interrupt()
    jobs.interrupt()
    states = {number: outcome.state for number, outcome in source.outcomes.items()}
    assert states == {0: TrialState.COMPLETE, 1: TrialState.INTERRUPTED}


def test_everything_stops_when_the_source_says_so(jobs: RunningJobs, source: Source) -> None:
    stopper = SourceStopper(jobs)
    assert not stopper.stop_all()
    assert not stopper("x", {})
    source.must_stop = True
    assert stopper.stop_all()


def test_what_tune_pickles_holds_no_store(jobs: RunningJobs) -> None:
    for each in (JobSearcher(jobs), JobScheduler(jobs), SourceStopper(jobs)):
        assert len(pickle.dumps(each)) < 100


def test_files_that_come_with_an_outcome_are_in_the_folder_before_it_is_recorded(
    source: Source, barrier: StartBarrier, tmp_path: Path
) -> None:
    folder = tmp_path / "00000"
    source.left_jobs = [Job(0, 0, {}, str(folder))]
    seen: list[bool] = []
    ended = source.ended
    source.ended = lambda *args: (seen.append(folder.is_dir()), ended(*args))  # type: ignore[method-assign,assignment,return-value,func-returns-value]
    jobs = RunningJobs(source, room_for(1), barrier)
    jobs.start("x")
    content = b"network"
    file = CarriedFile("model.safetensors", content, hashlib.sha256(content).hexdigest())
    jobs.stepped("x", {0: replace(DONE, files=(file,))}, "ray 10.0.0.2:7 node ab")
    assert seen == [True]
    assert (folder / "model.safetensors").read_bytes() == content
    assert source.places == [(0, "ray 10.0.0.2:7 node ab")]


def test_files_that_arrive_damaged_are_a_loss_that_is_tried_again(
    source: Source, barrier: StartBarrier, tmp_path: Path
) -> None:
    source.left_jobs = [Job(0, 0, {}, str(tmp_path / "00000"))]
    jobs = RunningJobs(source, room_for(1), barrier)
    jobs.start("x")
    jobs.stepped("x", {0: replace(DONE, files=(CarriedFile("a", b"x", "0" * 64),))})
    failure = source.outcomes[0].failure
    assert failure is not None
    assert failure.kind is FailureKind.FILES_LOST
    assert failure.kind.is_infrastructure
