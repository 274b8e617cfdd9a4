"""What happens on a worker: one job after another, a slice of training at a time.

The only module through which the orchestrator reaches torch, by way of `trainers`; it is imported
on workers, never in the driver. A trial's crash ends here: it becomes an `Outcome` with its
reason, and the worker takes the next job.
"""

import logging
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path

from orchestrator.contracts import FrontJob, Job, Outcome, Unmeasured
from orchestrator.execution.preparation import images_here, take_in
from orchestrator.execution.task import Task
from orchestrator.execution.trial_step import Step
from orchestrator.logs.lines import about
from orchestrator.places import file_trouble
from orchestrator.quantities import quantity
from orchestrator.trials import Artifact, Failure, FailureKind, Report, TrialState
from trainers.data import ImageData
from trainers.doors import shown_error
from trainers.errors import DivergedError, TrainerError
from trainers.stages.cache import StageCache
from trainers.training.beginnings import frozen_key
from trainers.training.finetune import EpochReport, FineTuning
from trainers.trial.failures import failure_kind
from trainers.trial.front_measures import measure_survivor
from trainers.trial.run import TrialRun, evaluate_artifact

logger = logging.getLogger(__name__)

# Long enough that a round trip to the driver (milliseconds) does not count, short enough that a
# person watching sees epochs come in.
SLICE_S = 0.5
# Beyond the last epoch of any trial.
_END = 2**31


class TrialRunner:
    """Runs jobs on the images it holds.

    Args:
        data: Images; read-only, so that many runners may share them.
        cache: Where trials share their stages.
    """

    def __init__(self, data: ImageData, cache: StageCache | None = None) -> None:
        self._data = data
        self._cache = cache
        self._told = 0
        self._job: Job | None = None
        self._run: TrialRun | None = None
        self._worked_s = 0.0

    def begin(self, job: Job) -> None:
        """Take a new job; whatever ran before is forgotten."""
        self._job, self._run, self._worked_s = job, None, 0.0
        self._told = 0 if self._cache is None else len(self._cache.troubles)

    @property
    def run(self) -> TrialRun | None:
        """The trial of the job, once it is set up."""
        return self._run

    def step(self) -> Step:
        """Work for about `SLICE_S`, or to the next milestone, or to the end.

        The first epoch and the measurement are steps of their own, so that finished epochs are
        reported immediately.
        """
        return self._guarded(self._step)

    def set_up(self, like: FineTuning | None = None) -> Step:
        """Set the trial up and report what an earlier attempt did not, without any training.

        Args:
            like: A training of another trial whose frozen backbone and features it shares.
        """

        def work(job: Job) -> Step:
            run = self._set_up(job, like)
            return Step(_told(run, run.untold()))

        return self._guarded(work)

    def trained(self, run: TrialRun, result: EpochReport | DivergedError) -> Step:
        """Record an epoch of this runner's `run` that was trained together with other trials."""
        return self._guarded(lambda _: self._trained(run, result))

    def _guarded(self, work: Callable[[Job], Step]) -> Step:
        if self._job is None:
            raise RuntimeError("step() was called before begin(): there is no job.")
        began = time.perf_counter()
        try:
            with about(self._job.trial, self._job.attempt):
                step = work(self._job)
        except Exception as error:
            # The one place where a trial's crash becomes data, whatever its type.
            step = Step((), failed(error))
        step = replace(step, trouble=self._trouble())
        # The start of a worker and its waiting for others are not the trial's.
        self._worked_s += time.perf_counter() - began
        limit, run = self._job.seconds, self._run
        # What is trained to its end is measured: it is worth more than the limit.
        if run is not None and not run.finished and limit is not None and self._worked_s >= limit:
            step = replace(step, outcome=step.outcome or _too_slow(self._job, run))
        if step.outcome is not None:
            self._run = None
        return step

    def checkpoint(self) -> None:
        """Keep the finished epochs of a job that is about to be interrupted."""
        if self._run is not None:
            try:
                self._run.checkpoint()
            except OSError as error:
                # The previous checkpoint is intact; on a full disk no newer one can be written.
                logger.warning("The latest epochs of a trial are not kept: %s", error)

    def _trouble(self) -> Failure | None:
        """What has gone wrong with this job so far without ending it."""
        if self._run is not None and self._run.damaged:
            return Failure(FailureKind.BAD_CHECKPOINT, self._run.damaged)
        troubles = [] if self._cache is None else self._cache.troubles[self._told :]
        return Failure(FailureKind.BAD_CACHE, " ".join(troubles)) if troubles else None

    def _set_up(self, job: Job, like: FineTuning | None = None) -> TrialRun:
        key = frozen_key(job.config)
        self._run = TrialRun(
            job.config,
            self._data,
            Path(job.folder),
            cache=self._cache,
            milestones=job.milestones,
            like=like if like and key is not None and key == frozen_key(like.config) else None,
        )
        self._run.keeps_milestones = job.keeps_milestones
        return self._run

    def _trained(self, run: TrialRun, result: EpochReport | DivergedError) -> Step:
        if isinstance(result, DivergedError):
            raise result
        # Its share of the time in which all were trained.
        self._worked_s += result.seconds
        run.after_epoch(result)
        return Step(_told(run, [result]))

    def _step(self, job: Job) -> Step:
        if self._run is None:
            run = self._set_up(job)
            # The verdict that an earlier attempt may have waited for comes before the next epoch.
            least, slice_s = run.epoch, 0.0
        else:
            run = self._run
            least, slice_s = run.epoch + 1, SLICE_S
        to_epoch = next((epoch for epoch in job.milestones if epoch >= least), _END)
        reports = _told(run, run.advance(to_epoch=to_epoch, seconds=slice_s))
        if reports or not run.finished:
            return Step(reports)
        measured = run.measure()
        artifact = measured.artifact
        where = Artifact(str(artifact.path), artifact.bytes, artifact.sha256)
        return Step(reports, Outcome(TrialState.COMPLETE, measured.values, where))


def stage_cache(task: Task) -> StageCache | None:
    """Open the stage cache of a sweep in this process."""
    if task.cache is None:
        return None
    return StageCache(task.cache, task.cache_bytes, gives_trainings=task.shares_trainings)


def failed(error: Exception) -> Outcome:
    """Return the outcome of a trial whose code raised.

    >>> failed(ZeroDivisionError("division by zero")).failure.message
    'ZeroDivisionError: division by zero'
    """
    kind = FailureKind(failure_kind(error))
    return Outcome(
        TrialState.FAILED,
        failure=Failure(kind, shown_error(error), "".join(traceback.format_exception(error))),
    )


def measure_front(job: FrontJob, data: ImageData, task: Task) -> dict[str, float] | Unmeasured:
    """Measure a packed network as asked, if its file is still the one that was measured."""
    take_in(task)
    if trouble := file_trouble(Path(job.path), job.sha256):
        return Unmeasured(f"Its packed network {trouble}.")
    try:
        return _measured_with_reference(job, images_here(data, task), task)
    except (OSError, TrainerError) as error:
        # One file that cannot be read or written costs the values of its own network alone.
        return Unmeasured(f"{type(error).__name__}: {error}.")


def _measured_with_reference(
    job: FrontJob, data: ImageData, task: Task
) -> dict[str, float] | Unmeasured:
    """Measure what is asked; without a usable reference, what needs none."""
    if job.reference is None or not any(map(_needs_reference, job.measures)):
        return _measured(job, data, task)
    trouble = file_trouble(Path(job.reference), job.reference_sha256)
    if not trouble:
        return _measured(job, data, task)
    others = tuple(name for name in job.measures if not _needs_reference(name))
    values = _measured(replace(job, measures=others), data, task)
    return Unmeasured(f"The packed network of its reference {trouble}.", values)


def _needs_reference(name: str) -> bool:
    return quantity(name).needs_reference


def _measured(job: FrontJob, data: ImageData, task: Task) -> dict[str, float]:
    path, values = Path(job.path), {}
    if job.test:
        attacks = task.attacks
        tested = evaluate_artifact(path, data, attacks, subset="test", threads=task.needs.cpus)
        values = {f"test_{name}": value for name, value in tested.items()}
    if job.measures:
        values |= measure_survivor(
            path,
            data,
            {name: task.front_attacks[name] for name in job.measures},
            reference=None if job.reference is None else Path(job.reference),
            threads=task.needs.cpus,
        )
    return values


def _too_slow(job: Job, run: TrialRun) -> Outcome:
    message = (
        f"It trained longer than budget.trial_seconds, {job.seconds:g} s: {run.epoch} of "
        f"{job.config.epochs} epochs were done. Raise the limit, or narrow the space to what "
        f"trains faster."
    )
    return Outcome(TrialState.FAILED, failure=Failure(FailureKind.TIME_LIMIT, message))


def _told(run: TrialRun, reports: Iterable[EpochReport]) -> tuple[Report, ...]:
    return tuple(
        Report(report.epoch, {**_epoch_values(asdict(report)), **run.at_milestone(report.epoch)})
        for report in reports
    )


def _epoch_values(report: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in report.items() if name != "epoch"}
