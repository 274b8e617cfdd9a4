"""Measure packed networks on a cluster after the search; nodes need not see their files."""

import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from orchestrator.contracts import FrontJob, Unmeasured
from orchestrator.errors import ClusterLostError
from orchestrator.execution.carried_files import (
    CarriedFile,
    DamagedFileError,
    read_files,
    write_files,
)
from orchestrator.execution.ray_cluster import measure_front_task, ray_options
from orchestrator.execution.slots import LiveSlots
from orchestrator.execution.task import Task

_logger = logging.getLogger(__name__)
# How long an interruption waits for networks that are being measured.
_POLL_S = 1.0


class FrontTasks:
    """The tasks that measure networks, as many at once as there are slots.

    Args:
        task: What every worker must know.
        data: The images, in the object store.
        marker: A file of the state folder, by which a worker knows whether it sees it.
        slots: How many fit at once; no more files than theirs are in the object store.
        check: Raises once the head of the cluster is gone.
    """

    def __init__(
        self,
        task: Task,
        data: "ray.ObjectRef[Any] | None",
        marker: Path,
        slots: LiveSlots,
        check: Callable[[], None],
    ) -> None:
        self._task, self._data, self._marker, self._slots = task, data, marker, slots
        self._check = check
        self._pending: dict[Any, tuple[int, FrontJob]] = {}

    def measure(
        self, jobs: Mapping[int, FrontJob], interrupted: Callable[[], bool]
    ) -> Iterator[tuple[int, Mapping[str, float] | Unmeasured]]:
        """Yield what was measured of each network, by trial number, until interrupted."""
        waiting = deque(jobs.items())
        try:
            while (waiting or self._pending) and not interrupted():
                self._check()
                self._slots.wanted = len(waiting) + len(self._pending)
                while waiting and len(self._pending) < self._slots.count:
                    number, job = waiting.popleft()
                    self._pending[self._begun(job)] = number, job
                for ref in ray.wait(list(self._pending), timeout=_POLL_S)[0]:
                    number, job = self._pending.pop(ref)
                    yield number, _result(ref, job)
        except ClusterLostError:
            self._pending = {}
            raise
        finally:
            for ref in self._pending:
                ray.cancel(ref, force=True)

    def _begun(self, job: FrontJob) -> Any:
        remote = measure_front_task.options(**ray_options(self._task.needs)).remote
        return remote(job, self._data, self._task, self._marker, _files(job))


def _files(job: FrontJob) -> list[Any]:
    """References to the files of a job; none where this machine is the whole cluster."""
    here = ray.get_runtime_context().get_node_id()
    if all(node["NodeID"] == here for node in ray.nodes() if node["Alive"]):
        return []
    folders = (job.path, job.reference)
    try:
        return [ray.put(() if path is None else _of(Path(path))) for path in folders]
    except OSError as error:
        # The task says which file it cannot read.
        _logger.warning("%s is not sent to other nodes: %s", job.path, error)
        return []


def _of(network: Path) -> tuple[CarriedFile, ...]:
    return read_files(network.parent)


def _result(ref: Any, job: FrontJob) -> Mapping[str, float] | Unmeasured:
    try:
        measured, files = ray.get(ref)
    except RayTaskError:
        raise  # An error of the code, not of what it runs on.
    except RayError as error:
        return Unmeasured(f"What measured it was lost: {str(error).splitlines()[0]}")
    try:
        write_files(files, Path(job.path).parent)
    except (OSError, DamagedFileError) as error:
        # The values are valid without it; only paired tests are not possible.
        _logger.warning("which images withstood the attacks is not kept: %s", error)
    result: Mapping[str, float] | Unmeasured = measured
    return result
