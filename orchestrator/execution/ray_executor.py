"""Jobs as Ray Tune trials, on this machine or on a cluster.

Workers are reused from trial to trial, the images lie once a node in Ray's object store, and
nothing of Ray outlives the run: its experiment folder is scratch.
"""

import logging
import os
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import ray
from ray import tune

from orchestrator.contracts import FrontJob, Job, JobSource, Prepared
from orchestrator.errors import OrchestratorError
from orchestrator.execution.gate import WorkerGate
from orchestrator.execution.preparation import found_out, prepare
from orchestrator.execution.ray_adapters import (
    JobScheduler,
    JobSearcher,
    RunningJobs,
    SourceStopper,
)
from orchestrator.execution.slots import slots
from orchestrator.execution.task import Task
from trainers.errors import TrainerError

# How long an interruption waits for networks that are being measured.
_POLL_S = 1.0
# Settings that Ray Tune (2.60) reads from the environment only.
_TUNE_ENV = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # no CSV, JSON and TensorBoard files a trial
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # the run's own handler interrupts the source
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",  # its snapshots are never read
    "TUNE_WARN_THRESHOLD_S": "10",
    "RAY_AIR_NEW_OUTPUT": "0",
}


class RayExecutor:
    """Runs jobs on a Ray cluster.

    Args:
        task: What every worker must know.
        address: Of a running cluster; None starts one on this machine, unless ``RAY_ADDRESS``
            names one.
    """

    name = "ray"
    clock = staticmethod(time.monotonic)

    def __init__(self, task: Task, address: str | None = None) -> None:
        self._task, self._address = task, address
        self._data: ray.ObjectRef[Any] | None = None
        self._slots = 0
        self._owned = False

    def prepare(self) -> Prepared:
        """Connect, check that one trial fits, read the images and try the weights."""
        os.environ.update({key: os.environ.get(key, value) for key, value in _TUNE_ENV.items()})
        self._owned = not ray.is_initialized()
        if self._owned:
            _connect(self._address)
        task = self._task
        self._slots = slots(ray.cluster_resources(), cpus=task.cpus, gpus=task.gpus)
        told, self._data = _prepare.options(num_cpus=task.cpus).remote(task)
        prepared: Prepared | TrainerError = ray.get(told)
        if isinstance(prepared, TrainerError):
            raise prepared
        return prepared

    def run(self, source: JobSource) -> None:
        """Run until there is no job left, or the source says to stop."""
        if self._data is None:
            raise RuntimeError("run() was called before prepare(): there are no images.")
        gate = WorkerGate(uuid.uuid4().hex, self._slots)
        jobs = RunningJobs(source, self._slots, gate, self._task.batches)
        resources = {"CPU": self._task.cpus, "GPU": self._task.gpus}
        # As many pending trials as slots, or Tune starts one worker after the other.
        os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(self._slots)
        with tempfile.TemporaryDirectory(prefix="paretune-ray-") as scratch:
            tuner = tune.Tuner(
                tune.with_resources(
                    tune.with_parameters(TrialActor, shared=Shared(self._data, gate, self._task)),
                    resources,
                ),
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
            try:
                tuner.fit()
            finally:
                gate.close()
        jobs.interrupt()
        if jobs.error is not None:
            raise jobs.error

    def measure_front(
        self, jobs: Mapping[int, FrontJob], interrupted: Callable[[], bool]
    ) -> Iterator[tuple[int, Mapping[str, float]]]:
        """Measure packed networks, as many at once as there are slots."""
        task = self._task
        measure = _measure_front.options(num_cpus=task.cpus, num_gpus=task.gpus)
        pending = {measure.remote(job, self._data, task): n for n, job in jobs.items()}
        try:
            while pending and not interrupted():
                for ref in ray.wait(list(pending), timeout=_POLL_S)[0]:
                    yield pending.pop(ref), ray.get(ref)
        finally:
            for ref in pending:
                ray.cancel(ref, force=True)

    def close(self) -> None:
        """Disconnect from a cluster that `prepare` connected to."""
        self._data = None
        if self._owned and ray.is_initialized():
            ray.shutdown()


@dataclass(frozen=True)
class Shared:
    """What all workers of a run share; the images by reference."""

    data: "ray.ObjectRef[Any]"
    gate: WorkerGate
    task: Task


class TrialActor(tune.Trainable):  # type: ignore[misc]
    """A worker: holds the images and runs one batch of jobs after another."""

    def setup(self, config: dict[str, Any], shared: Shared) -> None:
        """Load torch and the images, once in the life of the worker."""
        from orchestrator.execution.group_runner import GroupRunner
        from orchestrator.execution.trial_runner import stage_cache
        from trainers.warm_up import warm_up

        warm_up(attacks=bool(shared.task.attacks))
        self._gate = shared.gate
        self._worker = f"{ray.util.get_node_ip_address()}:{os.getpid()}"
        self._runner = GroupRunner(ray.get(shared.data), stage_cache(shared.task))
        # Not yet at the gate: Tune learns that this worker has started only after this, and until
        # then would give its trial to another one.
        self._take(config["jobs"])

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next jobs."""
        self._take(new_config["jobs"])
        self._arrive()
        return True

    def step(self) -> dict[str, Any]:
        """Work for a slice of time."""
        self._arrive()
        if len(self._runner.trials) > 1:
            self._runner.drop(self._gate.stopped(self._runner.trials))
        steps = self._runner.step()
        if not self._runner.trials:
            self._gate.wait()
        # Surprise (Ray Tune 2.60): a mapping in a result is flattened on its way.
        return {"steps": tuple(steps.items())}

    def cleanup(self) -> None:
        """Tune lets the worker go; unfinished jobs keep their epochs."""
        self._runner.checkpoint()

    def _take(self, jobs: list[Job]) -> None:
        self._trial = jobs[0].trial
        self._runner.begin(jobs)

    def _arrive(self) -> None:
        self._gate.arrive(self._worker, self._trial)

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: checkpoints belong to the trial's folder."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Nothing: see `save_checkpoint`."""


def _connect(address: str | None) -> None:
    logging.getLogger("ray").setLevel(logging.ERROR)
    # Tune logs each lost worker with a traceback; the loop records it, and says it in a sentence.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    # Never without an address: Ray would look for a cluster that somebody once started here.
    where = address or os.environ.get("RAY_ADDRESS") or "local"
    try:
        ray.init(
            address=where,
            include_dashboard=False if where == "local" else None,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except ConnectionError as error:
        raise OrchestratorError(
            f"There is no Ray cluster at {where!r}: {error}. "
            f"Start one with 'ray start --head', or leave the address away to run here."
        ) from error
    except Exception as error:
        # Ray has no class of its own for this: it is an OSError for a path that is too long for a
        # socket, and a bare Exception for a node that is not up after thirty seconds.
        raise OrchestratorError(
            f"Ray could not start here: {error} On a machine that is very busy, the same command "
            f"works later. It needs a folder with a short path, in which you may write: "
            f"RAY_TMPDIR, else TMPDIR, else /tmp."
        ) from error


@ray.remote(num_returns=2)  # type: ignore[untyped-decorator]
def _prepare(task: Task) -> tuple[Prepared | TrainerError, Any]:
    # Returned and not raised: Ray would print the traceback of what is the user's to repair.
    try:
        data = prepare(task)
    except TrainerError as error:
        return error, None
    return found_out(task, data), data


@ray.remote  # type: ignore[untyped-decorator]
def _measure_front(job: FrontJob, data: Any, task: Task) -> dict[str, float]:
    from orchestrator.execution.trial_runner import measure_front

    return measure_front(job, data, task)
