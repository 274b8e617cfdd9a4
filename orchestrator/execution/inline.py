"""Trials in this process: for tests, debugging, and machines without Ray."""

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.contracts import (
    Decision,
    FrontJob,
    Job,
    JobSource,
    Load,
    News,
    Outcome,
    Prepared,
    Unmeasured,
)
from orchestrator.execution.preparation import found_out, prepare
from orchestrator.execution.task import Task
from orchestrator.execution.trial_step import Step
from orchestrator.execution.trial_storage import fetched_job, in_storage, kept_in
from orchestrator.execution.two_at_once import beside_another, takes_two, two_at_once
from orchestrator.trials import TrialState
from trainers.stages.use import CacheUse

if TYPE_CHECKING:
    from orchestrator.execution.group_runner import GroupRunner
    from trainers.data import ImageData

_SWITCH_S = 0.0001


class InlineExecutor:
    """Runs jobs in the driver's process, which thereby loads torch.

    Args:
        task: The images and attacks of the sweep.
    """

    name = "inline"
    clock = staticmethod(time.monotonic)

    def __init__(self, task: Task) -> None:
        self._task = task
        self._is_busy = False

    @property
    def load(self) -> Load:
        """One slot, busy while a trial runs."""
        return Load(int(self._is_busy), 1)

    def prepare(self) -> Prepared:
        """Read the images and try the weights; the driver has tried the storage itself."""
        return found_out(self._task, self._data)

    def run(self, source: JobSource) -> None:
        """Run until no job is left."""
        with _computing():
            while jobs := self._next_jobs(source):
                self._is_busy = True
                self._run_batch({job.trial: job for job in jobs}, source)
                self._is_busy = False

    def measure_front(
        self, jobs: Mapping[int, FrontJob], interrupted: Callable[[], bool]
    ) -> Iterator[tuple[int, Mapping[str, float] | Unmeasured]]:
        """Measure packed networks: two at once where there is a CPU for the second one."""
        with _computing():
            if len(jobs) > 1 and self._has_room:
                yield from two_at_once(self._measured, jobs, interrupted)
                return
            for number, job in jobs.items():
                if interrupted():
                    return
                yield number, self._measured(job)

    def _measured(self, job: FrontJob) -> Mapping[str, float] | Unmeasured:
        from orchestrator.execution.trial_runner import measure_front

        with beside_another(self._task), fetched_job(job, self._task.storage) as here:
            return measure_front(here, self._data, self._task)

    @property
    def _has_room(self) -> bool:
        """Whether a second network can be measured at the same time, on a CPU of its own."""
        from trainers.training.devices import chosen_device

        cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
        has_cpus = cpus >= 2 * self._task.needs.cpus and chosen_device().type == "cpu"
        return has_cpus and takes_two(self._task)

    def close(self) -> None:
        """Do nothing: there are no workers to release."""

    def _next_jobs(self, source: JobSource) -> list[Job]:
        jobs: list[Job] = []
        size = self._task.batches.size(left=source.left, slots=1)
        while not self._task.batches.is_full(jobs, size):
            job = source.next_job()
            if job is None:
                break
            source.started(job)
            jobs.append(job)
        return jobs

    def _run_batch(self, running: dict[int, Job], source: JobSource) -> None:
        """Run jobs, by trial, until all of them are over."""
        from orchestrator.execution.group_runner import GroupRunner
        from orchestrator.execution.trial_runner import stage_cache

        cache = stage_cache(self._task)
        runner, used = GroupRunner(self._data, cache), CacheUse()
        runner.begin(list(running.values()))
        while running:
            steps = self._steps(runner, running)
            if cache is not None and cache.use != used:
                source.told(News(cache=cache.use - used), "")
                used = cache.use
            for number, step in steps:
                outcome = _heard(running[number], step, source)
                if outcome is not None:
                    runner.drop([number])
                    source.ended(running.pop(number), outcome)
            if running and source.must_stop:
                runner.checkpoint()
                for number in list(running):
                    source.ended(running.pop(number), Outcome(TrialState.INTERRUPTED))

    def _steps(self, runner: "GroupRunner", running: Mapping[int, Job]) -> list[tuple[int, Step]]:
        steps = runner.step()
        storage = kept_in(self._task.storage)
        if storage is None:
            return list(steps.items())
        folders = {number: running[number].folder for number in steps}
        return [
            (number, in_storage(step, storage, folders[number], Path(folders[number])))
            for number, step in steps.items()
        ]

    @cached_property
    def _data(self) -> "ImageData":
        return prepare(self._task)


@contextmanager
def _computing() -> Iterator[None]:
    """Have the other threads of this process give way to the one that computes.

    Torch lets them run during each operation. By default it waits up to 5 ms before it can go on,
    while one of them loads MLflow for seconds; an operation takes less than one.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def _heard(job: Job, step: Step, source: JobSource) -> Outcome | None:
    """Report a step to the source; returns the outcome if the job has ended."""
    if step.trouble is not None:
        source.troubled(job, step.trouble)
    decision = source.reported(job, step.reports)
    stopped = Outcome(TrialState.STOPPED) if decision is Decision.STOP else None
    return step.outcome or stopped
