"""Ray Tune asks, ours answers: a searcher, a scheduler and a stopper around one `JobSource`.

Each job is one Ray Tune trial. What a worker finished comes in as the trial's result; the
scheduler's verdict ends the trial, so that Tune knows nothing of epochs, budgets or retries.
Tune pickles all three together with its experiment; none of them has a state worth keeping.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import ray
from ray.tune import Stopper
from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from orchestrator.contracts import Decision, Job, JobSource, Outcome
from orchestrator.execution.gate import WorkerGate
from orchestrator.execution.losses import Losses
from orchestrator.execution.trial_step import Step
from orchestrator.trials import TrialState

_T = TypeVar("_T")


class RunningJobs:
    """The jobs that Tune runs, by Tune's trial id.

    Attributes:
        error: What the source raised; nothing is asked of it any more after that. Raised through
            Tune, it would arrive as the text of a traceback.
    """

    def __init__(
        self, source: JobSource, slots: int, gate: WorkerGate, losses: Losses | None = None
    ) -> None:
        self.slots, self._gate, self._source = slots, gate, source
        self.error: Exception | None = None
        self._losses = losses or Losses()
        self._jobs: dict[str, Job] = {}

    def start(self, trial_id: str) -> Job | None:
        """Take the next job for a Tune trial; None when there is none now."""
        job = self._asked(self._source.next_job)
        if job is None:
            # The slots that are left over get no worker.
            self._gate.open()
        else:
            self._jobs[trial_id] = job
            self._asked(lambda: self._source.started(job))
        return job

    @property
    def count(self) -> int:
        """How many run."""
        return len(self._jobs)

    @property
    def must_stop(self) -> bool:
        """Whether to interrupt all of them now."""
        return self._asked(lambda: self._source.must_stop) is not False

    def stepped(self, trial_id: str, step: Step) -> bool:
        """Pass on what a worker did; whether its trial goes on."""
        job, trouble = self._jobs[trial_id], step.trouble
        if trouble is not None:
            self._asked(lambda: self._source.troubled(job, trouble))
        decision = self._asked(lambda: self._source.reported(job, step.reports))
        if step.outcome is not None:
            self._end(trial_id, step.outcome)
        elif decision is Decision.STOP:
            self._end(trial_id, Outcome(TrialState.STOPPED))
        return trial_id in self._jobs

    def lost(self, trial_id: str, error: Exception | None, node_ip: str | None = None) -> None:
        """The worker of a job, on the node with this address, died."""
        if trial_id in self._jobs:
            self._gate.leave(self._jobs[trial_id].trial)
            local = node_ip in (None, ray.util.get_node_ip_address())
            failure = self._losses.failure(error, local=local)
            self._end(trial_id, Outcome(TrialState.FAILED, failure=failure))

    def interrupt(self) -> None:
        """Tune has stopped; what has not ended was interrupted."""
        for trial_id in list(self._jobs):
            self._end(trial_id, Outcome(TrialState.INTERRUPTED))

    def _end(self, trial_id: str, outcome: Outcome) -> None:
        job = self._jobs.pop(trial_id)
        self._asked(lambda: self._source.ended(job, outcome))

    def _asked(self, question: Callable[[], _T]) -> _T | None:
        """The source's answer; None once it has raised something."""
        if self.error is None:
            try:
                return question()
            except Exception as error:
                self.error = error
        return None


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
        if self._running.count >= self._running.slots:
            return None
        job = self._running.start(trial_id)
        if job is not None:
            return {"job": job}
        # A running job whose worker dies may come again.
        return None if self._running.count else Searcher.FINISHED

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
        error = trial.get_pickled_error() or trial.get_error()
        self._running.lost(trial.trial_id, error, (trial.last_result or {}).get("node_ip"))


class SourceStopper(_Stateless, Stopper):  # type: ignore[misc]
    """Tune's stopper: ends everything when the source says so."""

    def __init__(self, jobs: RunningJobs) -> None:
        self._running = jobs

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Never: single trials end through the scheduler."""
        return False

    def stop_all(self) -> bool:
        """Whether to interrupt all trials now."""
        return self._running.must_stop
