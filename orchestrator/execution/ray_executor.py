"""Jobs as Ray Tune trials, on this machine or on a cluster.

Workers are reused from trial to trial, Ray's object store holds the images once per node, and
nothing of Ray outlives the run: its experiment folder is scratch.
"""

import importlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import ray

from orchestrator.contracts import FrontJob, JobSource, Prepared, Unmeasured
from orchestrator.execution.ray_cluster import (
    alive_nodes,
    connect,
    measure_front_task,
    prepare_task,
    ray_options,
)
from orchestrator.execution.slots import LiveSlots
from orchestrator.execution.task import Task
from orchestrator.state_folder import StateFolder
from trainers.errors import TrainerError

_logger = logging.getLogger(__name__)
# How long an interruption waits for networks that are being measured.
_POLL_S = 1.0


class RayExecutor:
    """Runs jobs on a Ray cluster.

    Args:
        task: What every worker must know.
        address: Of a running cluster; None starts one on this machine, unless ``RAY_ADDRESS``
            names one.
        log: Where to write what Ray prints; default: that of the state folder.
        say: Called with a line on whatever takes longer than usual.
    """

    name = "ray"
    clock = staticmethod(time.monotonic)

    def __init__(
        self,
        task: Task,
        address: str | None = None,
        *,
        log: Path | None = None,
        say: Callable[[str], None] = _logger.warning,
    ) -> None:
        self._task, self._address, self._say = task, address, say
        self._log = log or StateFolder.find().ray_log
        self._data: ray.ObjectRef[Any] | None = None
        self._slots: LiveSlots | None = None
        self._disconnect: Callable[[], None] | None = None

    def prepare(self) -> Prepared:
        """Connect, check that one trial fits, read the images and try the weights."""
        if not ray.is_initialized():
            self._disconnect = connect(self._address, self._log, self._say)
        task = self._task
        self._slots = LiveSlots(alive_nodes, task.needs, task.max_slots)
        told, self._data = prepare_task.options(num_cpus=task.needs.cpus).remote(task)
        # It takes a second, in which nothing else is to do here.
        importlib.import_module("orchestrator.execution.ray_tuning")
        prepared: Prepared | TrainerError = ray.get(told)
        if isinstance(prepared, TrainerError):
            raise prepared
        return prepared

    def run(self, source: JobSource) -> None:
        """Run until no job is left, or the source asks to stop."""
        from orchestrator.execution.ray_tuning import tune_jobs

        if self._data is None or self._slots is None:
            raise RuntimeError("run() was called before prepare(): there are no images.")
        tune_jobs(source, self._task, self._data, self._slots)

    def measure_front(
        self, jobs: Mapping[int, FrontJob], interrupted: Callable[[], bool]
    ) -> Iterator[tuple[int, Mapping[str, float] | Unmeasured]]:
        """Measure packed networks, as many at once as there are slots."""
        task = self._task
        measure = measure_front_task.options(**ray_options(task.needs))
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
        if self._disconnect is not None:
            self._disconnect()
            self._disconnect = None
