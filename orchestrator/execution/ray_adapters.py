"""Ray Tune asks, ours answers: a searcher, a scheduler and a stopper around one `JobSource`.

Each job is one Ray Tune trial. What a worker finished comes in as the trial's result; the
scheduler's verdict ends the trial, so that Tune knows nothing of epochs, budgets or retries.
Tune pickles all three together with its experiment; none of them has a state worth keeping.
"""

from typing import Any

from ray.exceptions import OutOfMemoryError
from ray.tune import Stopper
from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from orchestrator.contracts import Decision, Job, JobSource, Outcome
from orchestrator.execution.gate import WorkerGate
from orchestrator.execution.trial_step import Step
from orchestrator.trials import Failure, FailureKind, TrialState


class RunningJobs:
    """The jobs that Tune runs, by Tune's trial id."""

    def __init__(self, source: JobSource, slots: int, gate: WorkerGate) -> None:
        self.source, self.slots, self._gate = source, slots, gate
        self._jobs: dict[str, Job] = {}

    def start(self, trial_id: str) -> Job | None:
        """Take the next job for a Tune trial; None when there is none left."""
        job = self.source.next_job()
        if job is None:
            # The slots that are left over get no worker.
            self._gate.open()
        else:
            self._jobs[trial_id] = job
            self.source.started(job)
        return job

    @property
    def full(self) -> bool:
        """Whether every slot has its job."""
        return len(self._jobs) >= self.slots

    def stepped(self, trial_id: str, step: Step) -> bool:
        """Pass on what a worker did; whether its trial goes on."""
        job = self._jobs[trial_id]
        decision = self.source.reported(job, step.reports)
        if step.outcome is not None:
            self._end(trial_id, step.outcome)
        elif decision is Decision.STOP:
            self._end(trial_id, Outcome(TrialState.STOPPED))
        return trial_id in self._jobs

    def lost(self, trial_id: str, error: Exception | None) -> None:
        """The worker of a job died."""
        if trial_id in self._jobs:
            self._gate.leave(self._jobs[trial_id].trial)
            self._end(trial_id, Outcome(TrialState.FAILED, failure=_loss(error)))

    def interrupt(self) -> None:
        """Tune has stopped; what has not ended was interrupted."""
        for trial_id in list(self._jobs):
            self._end(trial_id, Outcome(TrialState.INTERRUPTED))

    def _end(self, trial_id: str, outcome: Outcome) -> None:
        self.source.ended(self._jobs.pop(trial_id), outcome)


class _Stateless:
    """Pickles as an empty object: Tune's snapshots are scratch, the store is the truth."""

    def __reduce__(self) -> tuple[Any, ...]:
        return object, ()


class JobSearcher(_Stateless, Searcher):  # type: ignore[misc]
    """Tune's searcher: one configuration is one job."""

    def __init__(self, jobs: RunningJobs) -> None:
        super().__init__()
        self._running = jobs

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Give the next job when a slot is free, so that it is sampled as late as possible."""
        if self._running.full:
            return None
        job = self._running.start(trial_id)
        return Searcher.FINISHED if job is None else {"job": job}

    def on_trial_complete(self, trial_id: str, result: Any = None, **flags: bool) -> None:
        """Nothing: jobs end through the scheduler."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore."""


class JobScheduler(_Stateless, FIFOScheduler):  # type: ignore[misc]
    """Tune's scheduler: passes results to the source and ends trials as it says."""

    def __init__(self, jobs: RunningJobs) -> None:
        super().__init__()
        self._running = jobs

    def on_trial_result(self, tune_controller: Any, trial: TuneTrial, result: Any) -> str:
        """Stop the Tune trial when its job is over."""
        goes_on = self._running.stepped(trial.trial_id, result["step"])
        return str(self.CONTINUE if goes_on else self.STOP)

    def on_trial_error(self, tune_controller: Any, trial: TuneTrial) -> None:
        """Record the worker's death."""
        self._running.lost(trial.trial_id, trial.get_pickled_error() or trial.get_error())


class SourceStopper(_Stateless, Stopper):  # type: ignore[misc]
    """Tune's stopper: ends everything when the source says so."""

    def __init__(self, source: JobSource) -> None:
        self._source = source

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Never: single trials end through the scheduler."""
        return False

    def stop_all(self) -> bool:
        """Whether to interrupt all trials now."""
        return self._source.must_stop


def _loss(error: Exception | None) -> Failure:
    if isinstance(error, OutOfMemoryError):
        return Failure(
            FailureKind.OUT_OF_MEMORY,
            "Ray ended the worker because the node ran out of memory. Use a smaller batch_size "
            "or backbone, or give each trial more CPUs so that fewer run at once.",
            str(error),
        )
    return Failure(
        FailureKind.WORKER_LOST,
        "The worker's process died without a word: killed by the kernel (out of memory), by a "
        "person, or with its node.",
        str(error or ""),
    )
