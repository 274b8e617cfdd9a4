"""Adapters for Ray Tune: a searcher, a scheduler and a stopper around one `JobSource`.

Each batch of jobs, often of one, is one Ray Tune trial. What a worker finished comes in as the
trial's result; the scheduler's verdict ends the trial when all its jobs are over, so that Tune
knows nothing of epochs, budgets or retries.
Tune pickles all three together with its experiment; none of them has a state worth keeping.
"""

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import ray
from ray._private import auto_init_hook
from ray.tune import Stopper
from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from orchestrator.contracts import Decision, Job, JobSource, News, Outcome
from orchestrator.errors import OrchestratorError
from orchestrator.execution.batches import Batches
from orchestrator.execution.carried_files import DamagedFileError, write_files
from orchestrator.execution.node_states import node_is_gone, node_of_actor
from orchestrator.execution.slots import LiveSlots
from orchestrator.execution.start_barrier import StartBarrier
from orchestrator.execution.trial_step import Step
from orchestrator.execution.worker_failures import WorkerFailures
from orchestrator.trials import Failure, FailureKind, TrialState
from trainers.errors import is_storage_full

_T = TypeVar("_T")


class RunningJobs:
    """The jobs that Tune runs, by Tune's trial id.

    Args:
        source: Where they come from.
        slots: Workers that fit at once; nodes may come and go.
        barrier: How workers and driver communicate besides Tune.
        batches: How many a worker takes at once.
        worker_failures: Explains why workers died.

    Attributes:
        error: What the source raised; nothing is asked of it any more after that. Raised through
            Tune, it would arrive as the text of a traceback.
        has_worked: Whether any worker has come up.
        are_last: Whether no further job was left when one was last asked for.
    """

    def __init__(
        self,
        source: JobSource,
        slots: LiveSlots,
        barrier: StartBarrier,
        batches: Batches | None = None,
        worker_failures: WorkerFailures | None = None,
    ) -> None:
        self._slots, self._barrier, self._source = slots, barrier, source
        self.error: Exception | None = None
        self._batches = batches or Batches()
        self._worker_failures = worker_failures or WorkerFailures()
        self._jobs: dict[str, dict[int, Job]] = {}
        # The name of its worker at the barrier.
        self._first: dict[str, int] = {}
        self._workers: dict[str, str] = {}
        self._placed: set[tuple[int, int]] = set()
        # The source is asked by one thread at a time; Tune's may be left behind.
        self._lock = threading.RLock()
        self._is_left = False
        self.has_worked = self.are_last = False

    def start(self, trial_id: str) -> list[Job]:
        """Take the next jobs for a Tune trial; returns an empty list if none is available now."""
        left = self._asked(lambda: self._source.left) or 0
        size = self._batches.size(left=left, slots=self.slots)
        jobs: list[Job] = []
        while not self._batches.is_full(jobs, size):
            job = self._asked(self._source.next_job)
            if job is None:
                # The slots that are left over get no worker.
                self._barrier.open()
                break
            jobs.append(job)
            self._started(job)
        if jobs:
            self._jobs[trial_id] = {job.trial: job for job in jobs}
            self._first[trial_id] = jobs[0].trial
            self._slots.busy = len(self._jobs)
        self._slots.wanted = len(self._jobs) + max(left - len(jobs), 0)
        self.are_last = left <= len(jobs)
        return jobs

    @property
    def slots(self) -> int:
        """How many workers fit at once, now."""
        return self._slots.count

    @property
    def count(self) -> int:
        """How many workers have jobs."""
        return len(self._jobs)

    def trials(self, trial_id: str) -> list[int]:
        """Return the numbers of the trials that a worker has."""
        return list(self._jobs.get(trial_id, ()))

    @property
    def must_stop(self) -> bool:
        """Whether to interrupt all of them now."""
        return self._asked(lambda: self._source.must_stop) is not False

    def told(self, news: News, worker: str) -> None:
        """Pass on what a worker tells besides results."""
        if news:
            self._asked(lambda: self._source.told(news, worker))

    def stepped(self, trial_id: str, steps: Mapping[int, Step], worker: str = "") -> bool:
        """Pass on what a worker did, by trial; returns whether it goes on.

        Args:
            trial_id: Tune's.
            steps: By trial number.
            worker: What is recorded of the process; empty if it is not known.
        """
        self.has_worked = True
        if worker:
            self._workers[trial_id] = worker
            self._place(trial_id, worker)
        for number, step in steps.items():
            self._stepped(trial_id, number, step)
        return trial_id in self._jobs

    def _stepped(self, trial_id: str, number: int, step: Step) -> None:
        job, trouble = self._jobs[trial_id][number], step.trouble
        if trouble is not None:
            self._asked(lambda: self._source.troubled(job, trouble))
        decision = self._asked(lambda: self._source.reported(job, step.reports))
        if step.outcome is not None:
            self._end(trial_id, number, self._kept(job, step, step.outcome))
        elif decision is Decision.STOP:
            self._end(trial_id, number, Outcome(TrialState.STOPPED))
            if trial_id in self._jobs:
                self._barrier.stop(number)

    def _place(self, trial_id: str, worker: str) -> None:
        for job in list(self._jobs.get(trial_id, {}).values()):
            if (job.trial, job.attempt) not in self._placed:
                self._placed.add((job.trial, job.attempt))
                self._asked(lambda job=job: self._source.placed(job, worker))  # type: ignore[misc]

    def _kept(self, job: Job, step: Step, outcome: Outcome) -> Outcome:
        """The outcome, once the files that came with it are in the job's folder."""
        if not step.files:
            return outcome
        try:
            write_files(step.files, Path(job.folder))
        except DamagedFileError as error:
            failure = Failure(FailureKind.FILES_LOST, str(error))
            return Outcome(TrialState.FAILED, failure=failure)
        except OSError as error:
            if is_storage_full(error):
                failure = Failure(FailureKind.STORAGE_FULL, f"{job.folder}: {error.strerror}.")
                return Outcome(TrialState.FAILED, failure=failure)
            self.error = self.error or OrchestratorError(
                f"The network of trial {job.trial} arrived and could not be written to "
                f"{job.folder}: {error.strerror}. Make the state folder writable, or name another "
                f"one by PARETUNE_HOME; then go on with paretune resume."
            )
        return outcome

    def lost(self, trial_id: str, error: Exception | None, node_ip: str | None = None) -> None:
        """Record that a worker on the node with this address died with all of its jobs."""
        if trial_id in self._jobs:
            self._barrier.leave(self._first[trial_id])
            local = node_ip in (None, ray.util.get_node_ip_address())
            gone = self._has_lost_node(trial_id, error)
            failure = self._worker_failures.failure(error, local=local, node_gone=gone)
            for number in self.trials(trial_id):
                self._end(trial_id, number, Outcome(TrialState.FAILED, failure=failure))

    def _has_lost_node(self, trial_id: str, error: Exception | None) -> bool:
        worker = self._workers.pop(trial_id, "")
        node = worker.rpartition(" ")[2] or node_of_actor(getattr(error, "actor_id", None))
        return bool(node) and node_is_gone(node)

    def interrupt(self) -> None:
        """End the remaining jobs as interrupted, after Tune has stopped."""
        for trial_id in list(self._jobs):
            for number in self.trials(trial_id):
                self._end(trial_id, number, Outcome(TrialState.INTERRUPTED))

    def leave(self, why: str) -> None:
        """End the remaining jobs as interrupted, and take nothing more from Tune, which may hang.

        Args:
            why: Recorded with each of them, as a sentence.
        """
        # Or what Tune still calls would start a Ray of its own when this one is left.
        auto_init_hook.enable_auto_connect = False
        with self._lock:
            left, self._jobs = self._jobs, {}
            outcome = Outcome(
                TrialState.INTERRUPTED, failure=Failure(FailureKind.INTERRUPTED, why)
            )
            for job in (job for jobs in left.values() for job in jobs.values()):
                self._asked(lambda job=job: self._source.ended(job, outcome))  # type: ignore[misc]
            self._is_left = True

    def _started(self, job: Job) -> None:
        self._asked(lambda: self._source.started(job))

    def _end(self, trial_id: str, number: int, outcome: Outcome) -> None:
        job = self._jobs[trial_id].pop(number)
        if not self._jobs[trial_id]:
            del self._jobs[trial_id], self._first[trial_id]
            self._slots.busy = len(self._jobs)
        self._asked(lambda: self._source.ended(job, outcome))

    def _asked(self, question: Callable[[], _T]) -> _T | None:
        """The source's answer; None once it has raised something, or Tune was left behind."""
        with self._lock:
            if self.error is None and not self._is_left:
                try:
                    return question()
                except Exception as error:
                    self.error = error
        return None


class _Stateless:
    """Pickles as an empty object: Tune's snapshots are not used, as the store has the state."""

    def __reduce__(self) -> tuple[Any, ...]:
        return object, ()


class JobSearcher(_Stateless, Searcher):  # type: ignore[misc]
    """Tune's searcher: one configuration is one batch of jobs."""

    def __init__(self, jobs: RunningJobs) -> None:
        super().__init__()
        self._running = jobs

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Return the next jobs once a slot is free: they are sampled as late as possible."""
        if self._running.count >= self._running.slots:
            return None
        jobs = self._running.start(trial_id)
        if jobs:
            return {"jobs": jobs}
        # A running job whose worker dies may come again.
        return None if self._running.count else Searcher.FINISHED

    def on_trial_complete(self, trial_id: str, result: Any = None, **flags: bool) -> None:
        """Do nothing: jobs end through the scheduler."""

    def save(self, checkpoint_path: str) -> None:
        """Do nothing: there is no state to save."""

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing: there is no state to restore."""


class JobScheduler(_Stateless, FIFOScheduler):  # type: ignore[misc]
    """Tune's scheduler: passes results to the source and ends trials as it decides."""

    def __init__(self, jobs: RunningJobs) -> None:
        super().__init__()
        self._running = jobs

    def on_trial_result(self, tune_controller: Any, trial: TuneTrial, result: Any) -> str:
        """Stop the Tune trial when its jobs are over."""
        worker = result.get("worker", "")
        self._running.told(result.get("news") or News(), worker)
        goes_on = self._running.stepped(trial.trial_id, dict(result["steps"]), worker)
        return str(self.CONTINUE if goes_on else self.STOP)

    def on_trial_error(self, tune_controller: Any, trial: TuneTrial) -> None:
        """Record the worker's death."""
        error = trial.get_pickled_error() or trial.get_error()
        self._running.lost(trial.trial_id, error, (trial.last_result or {}).get("node_ip"))


class SourceStopper(_Stateless, Stopper):  # type: ignore[misc]
    """Tune's stopper: ends everything when the source asks for it."""

    def __init__(self, jobs: RunningJobs) -> None:
        self._running = jobs

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Never: single trials end through the scheduler."""
        return False

    def stop_all(self) -> bool:
        """Return whether to interrupt all trials now."""
        return self._running.must_stop
