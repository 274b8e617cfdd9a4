"""From what Ray says of a worker's death to the kind of failure that is stored."""

import pytest
import ray
from ray import ActorID
from ray.core.generated.common_pb2 import ActorDiedErrorContext, NodeDeathInfo
from ray.exceptions import (
    ActorDiedError,
    LocalRayletDiedError,
    NodeDiedError,
    OutOfDiskError,
    OutOfMemoryError,
    WorkerCrashedError,
)

from orchestrator.execution.worker_failures import WorkerFailures
from orchestrator.trials import FailureKind

pytestmark = pytest.mark.ray


def died(message: str, **info: int) -> ActorDiedError:
    """What Ray (2.60) raises where an actor's call does not come back."""
    return ActorDiedError(
        ActorDiedErrorContext(
            actor_id=ActorID.nil().binary(),
            error_message=message,
            node_death_info=NodeDeathInfo(**info) if info else None,
        )
    )


KILLED = "The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR"
NODE = "The actor died because its node has died. Node Id: 0123"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (None, FailureKind.WORKER_LOST),
        (RuntimeError("actor died"), FailureKind.WORKER_LOST),
        (WorkerCrashedError(), FailureKind.WORKER_LOST),
        (died(KILLED), FailureKind.WORKER_LOST),
        # A text is not believed: the cluster's record of the node is.
        (died(NODE), FailureKind.WORKER_LOST),
        (died(NODE, reason=NodeDeathInfo.AUTOSCALER_DRAIN_PREEMPTED), FailureKind.PREEMPTED),
        (NodeDiedError("gone"), FailureKind.NODE_LOST),
        (LocalRayletDiedError(), FailureKind.NODE_LOST),
        (OutOfMemoryError("killed"), FailureKind.OUT_OF_MEMORY),
        (OutOfDiskError("full"), FailureKind.STORAGE_FULL),
    ],
)
def test_what_ray_says_decides_on_the_kind(error: Exception | None, kind: FailureKind) -> None:
    failure = WorkerFailures(lambda: 5).failure(error, local=True)
    assert failure.kind is kind
    assert failure.message.endswith(".")
    assert failure.traceback == str(error or "")
    gone = WorkerFailures(lambda: 5).failure(error, local=True, node_gone=True)
    assert gone.kind is (FailureKind.NODE_LOST if kind is FailureKind.WORKER_LOST else kind)


@pytest.mark.usefixtures("ray_cluster")
def test_a_worker_that_cannot_be_set_up_is_an_error_and_not_a_loss() -> None:
    """Or a broken installation would be tried again with every trial."""

    @ray.remote
    class Broken:
        def __init__(self) -> None:
            raise ImportError("no such module")

        def work(self) -> None:
            pass

    with pytest.raises(ActorDiedError) as caught:
        ray.get(Broken.remote().work.remote())
    failure = WorkerFailures(lambda: 5).failure(caught.value, local=True)
    assert failure.kind is FailureKind.ERROR
    assert "no such module" in failure.traceback


def test_each_kill_for_memory_explains_one_silent_death_on_this_machine() -> None:
    count = 5
    worker_failures = WorkerFailures(lambda: count)

    def kind(*, local: bool = True, node_gone: bool = False) -> FailureKind:
        return worker_failures.failure(died(KILLED), local=local, node_gone=node_gone).kind

    assert kind() is FailureKind.WORKER_LOST  # kills of before are none of ours
    count = 6
    assert kind(local=False) is FailureKind.WORKER_LOST
    assert kind(node_gone=True) is FailureKind.NODE_LOST
    assert kind() is FailureKind.OUT_OF_MEMORY
    assert kind() is FailureKind.WORKER_LOST
    count = 8
    assert [kind() for _ in range(3)] == [
        FailureKind.OUT_OF_MEMORY,
        FailureKind.OUT_OF_MEMORY,
        FailureKind.WORKER_LOST,
    ]


def test_a_kernel_that_does_not_count_blames_no_memory() -> None:
    assert (
        WorkerFailures(lambda: None).failure(died(KILLED), local=True).kind
        is FailureKind.WORKER_LOST
    )
