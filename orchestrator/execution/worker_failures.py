"""Why a worker died: from Ray's exceptions to a `Failure`.

Ray 2.60 reports whether its own memory monitor ended a worker (`OutOfMemoryError`) and whether the
node was preempted (`preempted`). Whether the node died is read from what the cluster records of it
(`node_states`): the error's text calls a worker whose raylet was killed a crash of the worker. It
has no reason for a process that died on a living node. In that case the kernel's count of
out-of-memory kills is read. It covers only the driver's machine, so the cause stays unknown for
workers elsewhere, and a kill of any other process in the same container counts too.
"""

from collections.abc import Callable

from ray.exceptions import (
    LocalRayletDiedError,
    NodeDiedError,
    OutOfDiskError,
    OutOfMemoryError,
    RayActorError,
)

from orchestrator.execution.oom_kills import out_of_memory_kills
from orchestrator.trials import Failure, FailureKind

_TOO_LARGE = (
    "Use a smaller batch_size or backbone, or give each trial more CPUs so that fewer run at once."
)
_SENTENCES = {
    FailureKind.ERROR: "The worker could not be set up: its installation or its code is broken.",
    FailureKind.OUT_OF_MEMORY: "The worker was killed because memory ran out. " + _TOO_LARGE,
    FailureKind.PREEMPTED: "The node under the worker was preempted: taken back by its owner.",
    FailureKind.NODE_LOST: "The node under the worker died, and the worker with it.",
    FailureKind.WORKER_LOST: (
        "The worker's process died without a word: killed by a person, by the kernel, or by a "
        "fault in native code."
    ),
    FailureKind.STORAGE_FULL: "A disk of the node is full, so that Ray could not keep an object.",
}


class WorkerFailures:
    """Explains why workers died.

    Args:
        kills: Counts the processes that the kernel has killed for memory, None if unknown.
    """

    def __init__(self, kills: Callable[[], int | None] = out_of_memory_kills) -> None:
        self._kills = kills
        self._known = kills() or 0

    def failure(self, error: Exception | None, *, local: bool, node_gone: bool = False) -> Failure:
        """Explain why a worker died.

        Args:
            error: Ray's exception.
            local: Whether the worker was a process of the driver's machine.
            node_gone: Whether its node has died too.
        """
        kind = _said(error)
        if kind is FailureKind.WORKER_LOST and node_gone:
            kind = FailureKind.NODE_LOST
        if kind is FailureKind.WORKER_LOST and local and self._killed_for_memory():
            kind = FailureKind.OUT_OF_MEMORY
        return Failure(kind, _SENTENCES[kind], str(error or ""))

    def _killed_for_memory(self) -> bool:
        """Whether there was a kill that was not yet attributed to an earlier loss."""
        if (self._kills() or 0) <= self._known:
            return False
        self._known += 1
        return True


def _said(error: Exception | None) -> FailureKind:
    kinds = {OutOfMemoryError: FailureKind.OUT_OF_MEMORY, OutOfDiskError: FailureKind.STORAGE_FULL}
    for raised, kind in kinds.items():
        if isinstance(error, raised):
            return kind
    if isinstance(error, RayActorError) and error.preempted:
        return FailureKind.PREEMPTED
    if isinstance(error, NodeDiedError | LocalRayletDiedError):
        return FailureKind.NODE_LOST
    # Surprise (Ray 2.60): an actor whose start raised is known by its text alone; a retry would
    # raise again.
    broken = "error raised in its creation task" in str(error)
    return FailureKind.ERROR if broken else FailureKind.WORKER_LOST
