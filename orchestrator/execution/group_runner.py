"""Several jobs on one worker at once; the heads of their trials train together.

Each job keeps a runner, a folder and checkpoints of its own, and ends on its own. What cannot be
trained together (another backbone, more than a head, a head so large that there is nothing to
gain) goes one after the other in the same worker.
"""

import time
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import replace

from orchestrator.contracts import Job
from orchestrator.execution.trial_runner import SLICE_S, TrialRunner, failed
from orchestrator.execution.trial_step import Step
from trainers.data import ImageData
from trainers.stages.cache import StageCache
from trainers.training.finetune import FineTuning
from trainers.training.fused import fuse_key, run_epoch
from trainers.trial.run import TrialRun


class GroupRunner:
    """Runs batches of jobs on the images it holds.

    Args:
        data: Images; read-only, so that many runners may share them.
        cache: Where trials share their stages.
    """

    def __init__(self, data: ImageData, cache: StageCache | None = None) -> None:
        self._data, self._cache = data, cache
        self._runners: dict[int, TrialRunner] = {}
        self._heads: set[int] = set()

    @property
    def trials(self) -> Sequence[int]:
        """Numbers of the trials whose jobs are not over."""
        return list(self._runners)

    def begin(self, jobs: Sequence[Job]) -> None:
        """Take new jobs; whatever ran before is forgotten."""
        self._runners = {}
        # Others are set up when their turn comes: their networks share nothing.
        self._heads = {job.trial for job in jobs if job.config.tune == "head"}
        for job in jobs:
            runner = self._runners[job.trial] = TrialRunner(self._data, self._cache)
            runner.begin(job)

    def drop(self, trials: Iterable[int]) -> None:
        """Forget jobs that the driver has ended."""
        for number in trials:
            self._runners.pop(number, None)

    def step(self) -> Mapping[int, Step]:
        """Advance the jobs for a while; returns the step of each trial that advanced.

        That is to set the trials up, to measure one of them, to train together, or to go on with
        one: for the first epoch, and then for about `SLICE_S`, or until one comes to a milestone
        or to its end.
        """
        steps = self._step()
        self.drop([number for number, step in steps.items() if step.outcome is not None])
        return steps

    def checkpoint(self) -> None:
        """Keep the finished epochs of jobs that are about to be interrupted."""
        for runner in self._runners.values():
            runner.checkpoint()

    def _step(self) -> Mapping[int, Step]:
        if len(self._runners) > 1:
            steps = self._set_up()
            if steps:
                return steps
            if not any(run.finished for run in self._runs().values()):
                together = self._together()
                if len(together) > 1:
                    return self._trained(together)
        number = self._next()
        return {number: self._runners[number].step()}

    def _set_up(self) -> Mapping[int, Step]:
        """Set up the jobs that are not yet; returns the steps that have something to report."""
        steps: dict[int, Step] = {}
        for number, runner in self._runners.items():
            if runner.run is None and number in self._heads:
                steps[number] = runner.set_up(self._like())
        return {n: step for n, step in steps.items() if step != Step(())}

    def _like(self) -> FineTuning | None:
        """A training whose features others may share."""
        trainings = [run.training for run in self._runs().values()]
        return next((training for training in trainings if training.on_features), None)

    def _runs(self) -> dict[int, TrialRun]:
        return {n: each.run for n, each in self._runners.items() if each.run is not None}

    def _next(self) -> int:
        """Choose the trial to work on: one that only has to be measured, else the first."""
        finished = [number for number, run in self._runs().items() if run.finished]
        return next(iter(finished or self._runners))

    def _together(self) -> dict[int, TrialRun]:
        """The most that can be trained together."""
        groups: dict[Hashable, dict[int, TrialRun]] = {}
        for number, run in self._runs().items():
            key = fuse_key(run.training)
            if key is not None:
                groups.setdefault(key, {})[number] = run
        return max(groups.values(), key=len, default={})

    def _trained(self, runs: Mapping[int, TrialRun]) -> Mapping[int, Step]:
        steps = {number: Step(()) for number in runs}
        # The first epoch is reported immediately.
        slice_s = SLICE_S if any(run.epoch for run in runs.values()) else 0.0
        until = time.perf_counter() + slice_s
        while True:
            try:
                results = run_epoch([run.training for run in runs.values()])
            except Exception as error:
                # Any of them may have caused it, for example by running out of memory.
                return {number: Step((), failed(error)) for number in runs}
            for (number, run), result in zip(runs.items(), results, strict=True):
                step = self._runners[number].trained(run, result)
                steps[number] = replace(step, reports=(*steps[number].reports, *step.reports))
            waits = any(run.waits for run in runs.values())
            ended = any(step.outcome is not None for step in steps.values())
            if waits or ended or time.perf_counter() >= until:
                return steps
