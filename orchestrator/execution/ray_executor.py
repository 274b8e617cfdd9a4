"""Jobs as Ray Tune trials, on this machine or on a cluster.

Workers are reused from trial to trial, Ray's object store holds the images once per node, and
nothing of Ray outlives the run: its experiment folder is scratch.
"""

import importlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import ray

from orchestrator.contracts import FrontJob, JobSource, Load, Prepared, Unmeasured
from orchestrator.contracts.needs import Needs
from orchestrator.execution.carried_files import marked
from orchestrator.execution.head_watch import HeadWatch
from orchestrator.execution.kept_worker import KeptWorker, is_kept, prepare_task
from orchestrator.execution.ray_cluster import alive_nodes, connect, probe_storage
from orchestrator.execution.ray_front import FrontTasks
from orchestrator.execution.sharing import Neighbors
from orchestrator.execution.slots import LiveSlots
from orchestrator.execution.task import Task
from orchestrator.execution.waiting import Waiting
from orchestrator.state_folder import StateFolder
from trainers.errors import TrainerError

_logger = logging.getLogger(__name__)
_POLL_S = 1.0
# How long to wait for Ray to leave a cluster without a head.
_LEAVE_S = 5.0


class RayExecutor:
    """Runs jobs on a Ray cluster.

    Args:
        task: What every worker must know.
        address: Of a running cluster; None starts one on this machine, unless ``RAY_ADDRESS``
            names one.
        state: The state folder, which workers may or may not see; default: `StateFolder.find`.
        say: Called with a line on whatever takes longer than usual.
    """

    name = "ray"
    clock = staticmethod(time.monotonic)

    def __init__(
        self,
        task: Task,
        address: str | None = None,
        *,
        state: StateFolder | None = None,
        say: Callable[[str], None] = _logger.warning,
    ) -> None:
        self._task, self._address, self._say = task, address, say
        self._state = state or StateFolder.find()
        self._data: ray.ObjectRef[Any] | None = None
        self._kept: KeptWorker | None = None
        self._slots: LiveSlots | None = None
        self._disconnect: Callable[[], None] | None = None
        self._head: HeadWatch | None = None
        self._neighbors: Neighbors | None = None

    @property
    def load(self) -> Load:
        """How much of the cluster the run uses; nothing before `prepare`."""
        return Load() if self._slots is None else self._slots.load

    def prepare(self) -> Prepared:
        """Connect, check that one trial fits, read the images and try the weights."""
        # It takes a second, in which Ray's start mostly waits.
        threading.Thread(
            target=importlib.import_module,
            args=("orchestrator.execution.ray_tuning",),
            name="tune-warm-up",
            daemon=True,
        ).start()
        if not ray.is_initialized():
            self._disconnect = connect(self._address, self._state.ray_log, self._say)
        task = self._task
        self._head = head = HeadWatch(ray.get_runtime_context().gcs_address)
        # Refused before others are told of it.
        slots = LiveSlots(alive_nodes, task.needs, task.max_slots, grows=task.autoscaling)
        probe_storage(task.storage)
        self._neighbors = Neighbors(task.sweep.partition(" ")[0], self._say)
        slots.sharing, self._slots = self._neighbors, slots
        needed = Needs() if is_kept(task) else Needs(cpus=task.needs.cpus)
        waiting = Waiting(needed, self._say, self._neighbors.names)
        told, self._data = self._prepared(waiting.key)
        while not ray.wait([told], timeout=_POLL_S)[0]:
            head.check()
            waiting.look()
        waiting.close()
        prepared: Prepared | TrainerError = ray.get(told)
        if isinstance(prepared, TrainerError):
            raise prepared
        return prepared

    def _prepared(self, key: str) -> tuple[Any, Any]:
        """Begin to prepare; returns references to what is found out, and to the images."""
        if not is_kept(self._task):
            begin = prepare_task.options(num_cpus=self._task.needs.cpus).remote
            found, data = begin(self._task, key)
            return found, data
        self._kept = KeptWorker(self._task)
        return self._kept.prepare(key)

    def run(self, source: JobSource) -> None:
        """Run until no job is left, or the source asks to stop."""
        from orchestrator.execution.ray_tuning import Run, tune_jobs

        if self._data is None or self._slots is None or self._head is None:
            raise RuntimeError("run() was called before prepare(): there are no images.")
        waiting = Waiting(self._task.needs, self._say, self._others)
        with marked(self._state.root) as marker:
            last = None if self._kept is None else self._kept.warm_up
            run = Run(self._task, self._data, self._slots, marker, self._head, waiting, last)
            tune_jobs(source, run)

    def measure_front(
        self, jobs: Mapping[int, FrontJob], interrupted: Callable[[], bool]
    ) -> Iterator[tuple[int, Mapping[str, float] | Unmeasured]]:
        """Measure packed networks, as many at once as there are slots."""
        if self._slots is None or self._head is None:
            raise RuntimeError("measure_front() was called before prepare(): there are no slots.")
        with marked(self._state.root) as marker:
            front = FrontTasks(
                self._task, self._data, marker, self._slots, self._head.check, self._kept
            )
            yield from front.measure(jobs, interrupted)

    def _others(self) -> list[str]:
        return [] if self._neighbors is None else self._neighbors.names()

    def close(self) -> None:
        """Disconnect from a cluster that `prepare` connected to."""
        self._data = None
        kept, self._kept = self._kept, None
        neighbors, self._neighbors = self._neighbors, None
        head, self._head = self._head, None
        if neighbors is not None and (head is None or not head.is_lost):
            neighbors.leave()
        if kept is not None and head is not None and not head.is_lost:
            kept.release()
        if head is not None:
            head.close()
        if self._disconnect is None:
            return
        disconnect, self._disconnect = self._disconnect, None
        if head is not None and head.is_lost:
            # It may wait for the head for a minute.
            leaving = threading.Thread(target=disconnect, daemon=True)
            leaving.start()
            leaving.join(_LEAVE_S)
        else:
            disconnect()
