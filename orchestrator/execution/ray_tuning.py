"""Hand the jobs of a source to Ray Tune, until there is none left."""

import os
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.execution import class_cache

from orchestrator.contracts import JobSource
from orchestrator.errors import ClusterLostError
from orchestrator.execution.head_watch import HeadWatch, run_watched
from orchestrator.execution.ray_adapters import (
    JobScheduler,
    JobSearcher,
    RunningJobs,
    SourceStopper,
)
from orchestrator.execution.ray_worker import Shared, TrialActor
from orchestrator.execution.slots import LiveSlots
from orchestrator.execution.start_barrier import StartBarrier
from orchestrator.execution.task import Task
from orchestrator.execution.waiting import Waiting

# Settings that Ray Tune (2.60) reads from the environment only.
_TUNE_ENV = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # no CSV, JSON and TensorBoard files a trial
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # the run's own handler interrupts the source
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",  # its snapshots are never read
    "TUNE_WARN_THRESHOLD_S": "10",
    "RAY_AIR_NEW_OUTPUT": "0",
}
_MOST_PENDING = 100_000
# How long a run that is to end waits for workers that have not come up.
_START_S = 1.0


@dataclass(frozen=True, slots=True)
class Run:
    """What jobs are run with.

    Attributes:
        task: What every worker must know.
        data: The images, in the object store.
        slots: How many workers fit at once; nodes may come and go meanwhile.
        marker: A file by which a worker knows whether it sees the state folder.
        head: Watches the head of the cluster.
        waiting: Says what is waited for until the first worker has begun.
        last: Called, perhaps several times, once the last jobs were given out.
    """

    task: Task
    data: "ray.ObjectRef[Any]"
    slots: LiveSlots
    marker: Path
    head: HeadWatch
    waiting: Waiting
    last: Callable[[], None] | None = None


def tune_jobs(source: JobSource, run: Run) -> None:
    """Run jobs on the cluster that this process is connected to.

    Args:
        source: Supplies the jobs and receives their results.
        run: What they are run with.

    Raises:
        ClusterLostError: The head is gone; every running job has ended as interrupted.
        Exception: Whatever the source raised.
    """
    barrier = StartBarrier(uuid.uuid4().hex, run.slots.count)
    jobs = RunningJobs(source, run.slots, barrier, run.task.batches)
    waiting = run.waiting
    os.environ.update({key: os.environ.get(key, value) for key, value in _TUNE_ENV.items()})
    # No fewer pending trials than slots, or Tune starts one worker after the other. There are
    # never more: the searcher proposes none.
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(_MOST_PENDING)
    with tempfile.TemporaryDirectory(
        prefix="paretune-ray-", ignore_cleanup_errors=True
    ) as scratch:
        tuner = _tuner(jobs, Shared(run.data, barrier, run.task, run.marker, waiting.key), scratch)
        try:
            with _credentials_kept():
                run_watched(tuner.fit, _watch(jobs, run))
        except ClusterLostError:
            jobs.leave("The head of the Ray cluster was lost, and the worker with it.")
            raise
        except _NoWorkerError:
            jobs.leave("The run ended before its worker had come up.")
        finally:
            if not run.head.is_lost:
                waiting.close()
                barrier.close()
    jobs.interrupt()
    if jobs.error is not None:
        raise jobs.error


@contextmanager
def _credentials_kept() -> Iterator[None]:
    """Keep Tune (2.60) from handing this process's AWS keys to its workers.

    They would go through the runtime environment, which Ray's agents write into their logs in
    clear. Workers have those of their raylet, as the tasks that probed the storage had.
    """
    plain = class_cache.ENV_VARS_TO_PROPAGATE
    class_cache.ENV_VARS_TO_PROPAGATE = {name for name in plain if not name.startswith("AWS_")}
    try:
        yield
    finally:
        class_cache.ENV_VARS_TO_PROPAGATE = plain


class _NoWorkerError(Exception):
    """A run is to end that has no worker yet, for whose start Tune would wait."""


def _watch(jobs: RunningJobs, run: Run) -> Callable[[], None]:
    asked: list[float] = []

    def watch() -> None:
        run.head.check()
        run.waiting.look()
        if run.last is not None and jobs.has_worked and jobs.are_last:
            run.last()
        if jobs.has_worked or not jobs.must_stop:
            return
        asked.append(time.monotonic())
        if asked[-1] - asked[0] >= _START_S:
            raise _NoWorkerError

    return watch


def _tuner(jobs: RunningJobs, shared: Shared, scratch: str) -> tune.Tuner:
    needs = shared.task.needs
    # A selector of no labels would still keep Ray from packing bundles as it does without one.
    labels = {"bundle_label_selector": [dict(needs.labels)]} if needs.labels else {}
    placement = tune.PlacementGroupFactory([needs.as_bundle()], **labels)
    return tune.Tuner(
        tune.with_resources(tune.with_parameters(TrialActor, shared=shared), placement),
        tune_config=tune.TuneConfig(
            search_alg=JobSearcher(jobs),
            scheduler=JobScheduler(jobs),
            num_samples=-1,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            storage_path=scratch,
            stop=SourceStopper(jobs),
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            failure_config=tune.FailureConfig(max_failures=0),
            verbose=0,
        ),
    )
