"""One trial at a time in this process: for tests, debugging, and machines without Ray."""

import time
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from orchestrator.contracts import Decision, FrontJob, Job, JobSource, Outcome, Prepared
from orchestrator.execution.preparation import found_out, prepare
from orchestrator.execution.task import Task
from orchestrator.trials import TrialState

if TYPE_CHECKING:
    from trainers.data import ImageData


class InlineExecutor:
    """Runs jobs in the driver's process, which thereby loads torch.

    Args:
        task: The images and attacks of the sweep.
    """

    name = "inline"
    clock = staticmethod(time.monotonic)

    def __init__(self, task: Task) -> None:
        self._task = task

    def prepare(self) -> Prepared:
        """Read the images and try the weights."""
        return found_out(self._task, self._data)

    def run(self, source: JobSource) -> None:
        """Run until there is no job left."""
        while (job := source.next_job()) is not None:
            source.started(job)
            source.ended(job, self._run_one(job, source))

    def measure_front(
        self, jobs: Mapping[int, FrontJob], interrupted: Callable[[], bool]
    ) -> Iterator[tuple[int, Mapping[str, float]]]:
        """Measure packed networks one after another."""
        from orchestrator.execution.trial_runner import measure_front

        for number, job in jobs.items():
            if interrupted():
                return
            yield number, measure_front(job, self._data, self._task)

    def close(self) -> None:
        """Nothing to let go."""

    def _run_one(self, job: Job, source: JobSource) -> Outcome:
        from orchestrator.execution.trial_runner import TrialRunner, stage_cache

        runner = TrialRunner(self._data, stage_cache(self._task))
        runner.begin(job)
        while True:
            step = runner.step()
            if step.trouble is not None:
                source.troubled(job, step.trouble)
            decision = source.reported(job, step.reports)
            if step.outcome is not None:
                return step.outcome
            if source.must_stop:
                runner.checkpoint()
                return Outcome(TrialState.INTERRUPTED)
            if decision is Decision.STOP:
                return Outcome(TrialState.STOPPED)

    @cached_property
    def _data(self) -> "ImageData":
        return prepare(self._task)
