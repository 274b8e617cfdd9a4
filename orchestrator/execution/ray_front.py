"""Measure packed networks on a cluster after the search; nodes need not see their files."""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError, RayTaskError

from orchestrator.contracts import FrontJob, Unmeasured
from orchestrator.errors import ClusterLostError
from orchestrator.execution.carried_files import (
    CarriedFile,
    DamagedFileError,
    read_files,
    write_files,
)
from orchestrator.execution.kept_worker import KeptWorker
from orchestrator.execution.ray_cluster import measure_front_task, ray_options
from orchestrator.execution.slots import LiveSlots
from orchestrator.execution.task import Task
from orchestrator.execution.two_at_once import takes_two

_logger = logging.getLogger(__name__)
# How long an interruption waits for networks that are being measured.
_POLL_S = 1.0
# What a worker takes to start and to import torch, about.
_START_S = 5.0


class FrontTasks:
    """The tasks that measure networks, as many at once as there are slots.

    The kept worker measures at once, and two networks where it can. Others, which have to start
    and to import torch, are asked for when what waits would take it longer than that.

    Args:
        task: What every worker must know.
        data: The images, in the object store.
        marker: A file of the state folder, by which a worker knows whether it sees it.
        slots: How many fit at once; no more files than theirs are in the object store.
        check: Raises once the head of the cluster is gone.
        kept: A worker that has started already, if there is one.
    """

    def __init__(
        self,
        task: Task,
        data: "ray.ObjectRef[Any] | None",
        marker: Path,
        slots: LiveSlots,
        check: Callable[[], None],
        kept: KeptWorker | None = None,
    ) -> None:
        self._task, self._data, self._marker, self._slots = task, data, marker, slots
        self._check, self._kept = check, kept
        self._pending: dict[Any, tuple[int, FrontJob]] = {}
        # When the kept worker began with each.
        self._at_kept: dict[Any, float] = {}
        self._most_at_kept = 2 if takes_two(task) else 1
        self._took_s = 0.0

    def measure(
        self, jobs: Mapping[int, FrontJob], interrupted: Callable[[], bool]
    ) -> Iterator[tuple[int, Mapping[str, float] | Unmeasured]]:
        """Yield what was measured of each network, by trial number, until interrupted."""
        waiting = deque(jobs.items())
        if self._kept is not None and waiting:
            self._kept.warm_up()
        try:
            while (waiting or self._pending) and not interrupted():
                self._check()
                self._slots.wanted = len(waiting) + len(self._pending)
                self._give(waiting)
                for ref in ray.wait(list(self._pending), timeout=_POLL_S)[0]:
                    number, job = self._pending.pop(ref)
                    if ref not in self._at_kept or self._is_answered(ref):
                        yield number, _result(ref, job)
                    else:
                        waiting.appendleft((number, job))
        except ClusterLostError:
            self._pending = {}
            raise
        finally:
            self._cancel()

    def _cancel(self) -> None:
        for ref in self._pending:
            if ref not in self._at_kept:
                ray.cancel(ref, force=True)
            elif self._kept is not None:
                # A call of an actor can be ended with the actor alone.
                self._kept.release()

    def _give(self, waiting: deque[tuple[int, FrontJob]]) -> None:
        """Give networks to the kept worker if it is free, and to others where that pays."""
        most = min(self._most_at_kept, self._slots.count)
        while self._kept is not None and waiting and len(self._at_kept) < most:
            number, job = waiting.popleft()
            ref = self._kept.measure(job, self._data, self._marker, _files(job))
            self._at_kept[ref] = time.monotonic()
            self._pending[ref] = number, job
        while waiting and len(self._pending) < self._slots.count and self._pays(len(waiting)):
            number, job = waiting.popleft()
            self._pending[self._begun(job)] = number, job

    def _pays(self, count: int) -> bool:
        """Whether other workers would have started before the kept one is through."""
        if self._kept is None:
            return True
        now = time.monotonic()
        if not self._kept.is_warm:
            # Others would come to this point later still.
            self._at_kept = dict.fromkeys(self._at_kept, now)
            return False
        so_far = max((now - began for began in self._at_kept.values()), default=0.0)
        return count * max(self._took_s, so_far) / self._most_at_kept >= _START_S

    def _is_answered(self, ref: Any) -> bool:
        """Take note that the kept worker is free; false if it is lost, and its network waits."""
        self._took_s = time.monotonic() - self._at_kept.pop(ref)
        try:
            ray.get(ref)
        except RayActorError:
            self._kept = None
            return False
        except RayError:
            return True  # `_result` looks again, and says what it was.
        return True

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
