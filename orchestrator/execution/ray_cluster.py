"""Connect to Ray, and what is asked of a cluster beside trials.

Tune is not imported here: a process that only reads the images would wait a second for it.
"""

import logging
import os
from typing import Any

import ray

from orchestrator.contracts import FrontJob, Prepared
from orchestrator.errors import OrchestratorError
from orchestrator.execution.preparation import found_out, prepare
from orchestrator.execution.ray_address import ask_cluster
from orchestrator.execution.task import Task
from orchestrator.redaction import redacted
from trainers.errors import TrainerError


def connect(address: str | None) -> None:
    """Connect this process to a cluster.

    Args:
        address: Of a running cluster; None starts one on this machine, unless ``RAY_ADDRESS``
            names one.

    Raises:
        OrchestratorError: There is none at the address, or none can be started here.
    """
    logging.getLogger("ray").setLevel(logging.ERROR)
    # Tune logs each lost worker with a traceback; the loop records it, and says it in a sentence.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    # Never without an address: Ray would look for a cluster that somebody once started here.
    where = address or os.environ.get("RAY_ADDRESS") or "local"
    if where != "local":
        _check_cluster(where)
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


def _check_cluster(address: str) -> None:
    """Refuse an address where no cluster can be used; Ray would try for ten minutes."""
    answer = ask_cluster(address)
    if answer.resources is None:
        raise OrchestratorError(
            f"No Ray cluster can be used at {redacted(address)!r}: {answer.problem}. {answer.fix}"
        )


@ray.remote(num_returns=2)  # type: ignore[untyped-decorator]
def prepare_task(task: Task) -> tuple[Prepared | TrainerError, Any]:
    """Prepare a sweep: what was found out or is wrong, and the images."""
    # Returned and not raised: Ray would print the traceback of what is the user's to repair.
    try:
        data = prepare(task)
    except TrainerError as error:
        return error, None
    return found_out(task, data), data


@ray.remote  # type: ignore[untyped-decorator]
def measure_front_task(job: FrontJob, data: Any, task: Task) -> dict[str, float]:
    """Measure one packed network."""
    from orchestrator.execution.trial_runner import measure_front

    return measure_front(job, data, task)
