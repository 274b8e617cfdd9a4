"""Who waits for whom before a worker is reused."""

import threading
import uuid
from collections.abc import Callable

import pytest
import ray

from orchestrator.contracts import Job, Outcome
from orchestrator.execution.ray_worker import Shared, TrialActor
from orchestrator.execution.start_barrier import StartBarrier
from orchestrator.execution.task import Task
from orchestrator.execution.trial_step import Step
from orchestrator.logs.catching import LineCatcher
from orchestrator.trials import TrialState
from trainers.config import TrialConfig
from trainers.data.config import DataConfig
from trainers.data.loading import load_data
from trainers.stages.use import CacheUse

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_cluster")]

LONG = 1e6


def barrier(slots: int, timeout_s: float = LONG) -> StartBarrier:
    return StartBarrier(uuid.uuid4().hex, slots, timeout_s)


def lets_through(waits: Callable[[], object], then: Callable[[], object]) -> bool:
    """Whether `waits` waits, and `then` ends it."""
    thread = threading.Thread(target=waits, daemon=True)
    thread.start()
    thread.join(0.2)
    held = thread.is_alive()
    then()
    thread.join(300)
    return held and not thread.is_alive()


def test_a_worker_waits_for_the_others() -> None:
    two = barrier(2)
    two.arrive("a", 0)
    two.arrive("a", 1)  # its next trial: still one worker
    assert lets_through(two.wait, lambda: two.arrive("b", 2))
    two.wait()


def test_a_worker_that_died_is_waited_for_again() -> None:
    two = barrier(2)
    two.arrive("a", 0)
    two.arrive("b", 1)
    two.arrive("b", 11)
    two.leave(1)  # another one's by now
    two.wait()
    two.leave(11)
    assert lets_through(two.wait, lambda: two.arrive("c", 12))


def test_one_slot_waits_for_no_other() -> None:
    one = barrier(1)
    one.arrive("a", 0)
    one.wait()


def test_runs_know_nothing_of_one_another() -> None:
    first, second = barrier(2), barrier(1)
    first.arrive("a", 0)
    second.arrive("a", 0)
    assert lets_through(first.wait, lambda: first.arrive("b", 1))
    second.wait()


def test_the_wait_is_over_once_and_for_all_after_its_timeout() -> None:
    two = barrier(2, timeout_s=0.05)
    two.arrive("a", 0)
    two.wait()
    StartBarrier(two.run, 2, LONG).wait()


def test_a_run_that_is_over_leaves_nothing() -> None:
    two = barrier(2)
    two.arrive("a", 0)
    two.open()
    two.close()
    assert lets_through(two.wait, two.open)
    two.close()


class Runner:
    """Has trials, and ends one with each step once it has an outcome."""

    def __init__(self, trials: list[int]) -> None:
        self.trials = trials
        self.outcome: Outcome | None = None

    def drop(self, trials: list[int]) -> None:
        self.trials = [number for number in self.trials if number not in trials]

    def step(self) -> dict[int, Step]:
        number = self.trials[0]
        if self.outcome is not None:
            self.drop([number])
        return {number: Step((), self.outcome)}


def actor(at: StartBarrier, runner: Runner) -> TrialActor:
    worker = TrialActor.__new__(TrialActor)
    worker._barrier, worker._runner, worker._is_placed = at, runner, True
    worker._worker, worker._trial, worker._sees_folder = "a", 0, True
    worker._cache, worker._catcher, worker._used = None, LineCatcher(), CacheUse()
    return worker


def test_a_worker_keeps_a_result_until_the_gate_opens() -> None:
    """Or Tune would give it the trial of a worker that is on its way."""

    two, runner = barrier(2), Runner([0])
    worker = actor(two, runner)
    ((_, step),) = worker.step()["steps"]
    assert step.outcome is None
    runner.outcome = Outcome(TrialState.COMPLETE)
    assert lets_through(worker.step, lambda: two.arrive("b", 1))


def test_a_worker_says_where_new_trials_are_before_it_works_on_them() -> None:
    runner = Runner([0])
    worker = actor(barrier(1), runner)
    worker._is_placed = False
    told = worker.step()
    assert told["steps"] == ()
    assert " node " in told["worker"]
    assert list(dict(worker.step()["steps"])) == [0]


def test_a_worker_with_several_trials_waits_only_with_the_last_result() -> None:
    two, runner = barrier(2), Runner([0, 1])
    worker = actor(two, runner)
    runner.outcome = Outcome(TrialState.COMPLETE)
    assert list(dict(worker.step()["steps"])) == [0]
    assert lets_through(worker.step, lambda: two.arrive("b", 1))


def test_a_worker_hears_which_of_its_trials_are_over() -> None:
    two, runner = barrier(2), Runner([0, 1, 2])
    worker = actor(two, runner)
    two.stop(1)
    two.stop(7)
    worker.step()
    assert runner.trials == [0, 2]
    two.close()
    assert two.stopped([1, 7]) == []


def test_a_worker_arrives_with_its_first_step_and_not_while_it_starts() -> None:
    """Tune reads that a worker has started after its set-up; only then does it ask for a step."""

    two = barrier(2)
    two.arrive("a", 0)
    worker = TrialActor.__new__(TrialActor)
    config = TrialConfig(backbone="digitnet", weights="scratch", seed=0)
    job = Job(trial=1, attempt=1, config=config, folder="")
    data = DataConfig(name="digits")
    worker.setup(
        {"jobs": [job]},
        Shared(ray.put(load_data(data)), two, Task(data, {"name": "digitnet"}, {})),
    )
    worker._runner = Runner([1])
    assert lets_through(two.wait, worker.step)
