"""The process that prepares a sweep, and is kept to measure its front: it has started already."""

import importlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError

from orchestrator.contracts import FrontJob, Prepared, Unmeasured
from orchestrator.execution.carried_files import CarriedFile
from orchestrator.execution.preparation import found_out, prepare
from orchestrator.execution.ray_cluster import front_measured
from orchestrator.execution.task import Task
from orchestrator.execution.two_at_once import beside_another
from orchestrator.execution.waiting import begun
from trainers.errors import TrainerError

# As often as Ray repeats a task whose worker died.
_RETRIES = 3


@ray.remote(num_returns=2)  # type: ignore[untyped-decorator]
def prepare_task(task: Task, key: str) -> tuple[Prepared | TrainerError, Any]:
    """Prepare a sweep in a process that Ray may give to others afterwards; see `KeptWorker`."""
    return _prepared(task, key)


def _prepared(task: Task, key: str) -> tuple[Prepared | TrainerError, Any]:
    begun(key)
    # Returned and not raised: Ray would print a traceback for an error that the user can fix.
    try:
        data = prepare(task)
    except TrainerError as error:
        return error, None
    return found_out(task, data), data


def is_kept(task: Task) -> bool:
    """Decide whether the process that prepares a sweep is kept: it holds a CPU, and no more.

    >>> from dataclasses import replace
    >>> from orchestrator.contracts.needs import Needs
    >>> from trainers.data.config import DataConfig
    >>> task = Task(DataConfig(name="digits"), {"name": "digitnet"}, {})
    >>> is_kept(task), is_kept(replace(task, needs=Needs(gpus=1)))
    (True, False)
    """
    needs = task.needs
    return not (needs.gpus or needs.memory or needs.custom or needs.labels or task.autoscaling)


class _Process:
    """What runs in the process, two calls at once."""

    @ray.method(num_returns=2)  # type: ignore[untyped-decorator]
    def prepare(self, task: Task, key: str) -> tuple[Prepared | TrainerError, Any]:
        """Prepare a sweep; returns what was found out or is wrong, and the images.

        Args:
            task: What every worker must know.
            key: Of the `Waiting` that waits for this process.
        """
        return _prepared(task, key)

    def warm_up(self, task: Task) -> None:
        """Import what measuring takes, torch above all."""
        importlib.import_module("orchestrator.execution.trial_runner")
        from trainers.trial.warm_up import warm_up

        warm_up(attacks=bool(task.attacks))

    def measure(
        self, job: FrontJob, data: Any, task: Task, marker: Path, files: list[Any]
    ) -> tuple[dict[str, float] | Unmeasured, tuple[CarriedFile, ...]]:
        """Measure one packed network, as `ray_cluster.measure_front_task` does."""
        with beside_another(task):
            return front_measured(job, data, task, marker, files)


# Ray finds a free CPU for an actor that names none, and takes none from others while it lives.
_actor: Any = ray.remote(max_restarts=_RETRIES, max_task_retries=_RETRIES, max_concurrency=2)(
    _Process
)


class KeptWorker:
    """The driver's handle of that process.

    It lives as long as the images are needed: were their node lost, it would read them again.

    Args:
        task: What every worker must know.
    """

    def __init__(self, task: Task) -> None:
        self._task = task
        self._process: Any = _actor.remote()
        self._warm: Any = None

    def prepare(self, key: str) -> tuple[Any, Any]:
        """Prepare the sweep; returns references to what was found out, and to the images."""
        told, data = self._process.prepare.remote(self._task, key)
        return told, data

    def warm_up(self) -> None:
        """Have it import torch, while the last trials run; does nothing the second time."""
        if self._process is not None and self._warm is None:
            self._warm = self._process.warm_up.remote(self._task)

    @property
    def is_warm(self) -> bool:
        """Whether it has imported what it needs, or is lost."""
        return self._warm is None or bool(ray.wait([self._warm], timeout=0)[0])

    def measure(self, job: FrontJob, data: Any, marker: Path, files: list[Any]) -> Any:
        """Begin to measure a network; returns a reference to its values and its files."""
        return self._process.measure.remote(job, data, self._task, marker, files)

    def release(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            with suppress(RayError):
                ray.kill(process)
