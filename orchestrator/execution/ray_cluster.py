"""Connect to Ray, and the tasks of a cluster other than trials.

Tune is not imported here: a process that only reads the images would wait a second for it.
"""

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ray

from orchestrator.contracts import FrontJob, Prepared, Unmeasured
from orchestrator.contracts.needs import Needs
from orchestrator.errors import OrchestratorError
from orchestrator.execution.carried_files import (
    CarriedFile,
    DamagedFileError,
    read_files,
    sees,
    write_files,
)
from orchestrator.execution.preparation import found_out, prepare
from orchestrator.execution.ray_address import ask_cluster
from orchestrator.execution.ray_start import LocalRay, stderr_in
from orchestrator.execution.slots import Node
from orchestrator.execution.task import Task
from orchestrator.redaction import redacted
from trainers.errors import TrainerError
from trainers.files.trial_folder import PREDICTIONS_NAME


def connect(address: str | None, log: Path, say: Callable[[str], None]) -> Callable[[], None]:
    """Connect this process to a cluster.

    Args:
        address: Of a running cluster; None starts one on this machine, unless ``RAY_ADDRESS``
            names one.
        log: Where to write what Ray prints meanwhile.
        say: Called with a line on whatever takes longer than usual.

    Returns:
        A function that ends the connection.

    Raises:
        OrchestratorError: There is none at the address, or none can be started here.
    """
    logging.getLogger("ray").setLevel(logging.ERROR)
    # Tune logs each lost worker with a traceback; the loop records and reports it in a sentence.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    # Never without an address: Ray would connect to any cluster left running on this machine.
    where = address or os.environ.get("RAY_ADDRESS") or "local"
    if where == "local":
        local = LocalRay(log, say)
        local.start()
        return local.stop
    _check_cluster(where)
    try:
        with stderr_in(log):
            ray.init(address=where, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:
        # A moment ago it could be used. Ray has no class of its own for what may happen now.
        raise OrchestratorError(
            f"The Ray cluster at {redacted(where)!r} could not be used: {error}. What Ray says is "
            f"in {log}"
        ) from error
    disconnect: Callable[[], None] = ray.shutdown
    return disconnect


def _check_cluster(address: str) -> None:
    """Refuse an address where no cluster can be used; Ray would try for ten minutes."""
    answer = ask_cluster(address)
    if answer.nodes is None:
        raise OrchestratorError(
            f"No Ray cluster can be used at {redacted(address)!r}: {answer.problem}. {answer.fix}"
        )


def alive_nodes() -> list[Node]:
    """List the nodes of the cluster that this process is connected to."""
    alive = [node for node in ray.nodes() if node["Alive"]]
    return [Node(node["Resources"], node.get("Labels") or {}) for node in alive]


def ray_options(needs: Needs) -> dict[str, Any]:
    """Return what one trial is given as the options of a Ray task."""
    return {
        "num_cpus": needs.cpus,
        "num_gpus": needs.gpus,
        "memory": needs.memory or None,
        "resources": dict(needs.custom) or None,
        "label_selector": dict(needs.labels) or None,
    }


@ray.remote(num_returns=2)  # type: ignore[untyped-decorator]
def prepare_task(task: Task) -> tuple[Prepared | TrainerError, Any]:
    """Prepare a sweep; returns what was found out or is wrong, and the images."""
    # Returned and not raised: Ray would print a traceback for an error that the user can fix.
    try:
        data = prepare(task)
    except TrainerError as error:
        return error, None
    return found_out(task, data), data


@ray.remote  # type: ignore[untyped-decorator]
def measure_front_task(
    job: FrontJob, data: Any, task: Task, marker: Path, files: list[Any]
) -> tuple[dict[str, float] | Unmeasured, tuple[CarriedFile, ...]]:
    """Measure one packed network; returns also what changed of files that the driver keeps.

    Args:
        job: What to measure.
        data: The images.
        task: What every worker must know.
        marker: A file of the driver's state folder.
        files: References to the files of the network and of its reference, which are fetched on a
            node that does not see the folder; empty where all nodes do.
    """
    from orchestrator.execution.trial_runner import measure_front

    if sees(marker) or not files:
        return measure_front(job, data, task), ()
    try:
        with TemporaryDirectory(prefix="paretune-front-") as folder:
            here = _carried(job, Path(folder), *ray.get(files))
            measured = measure_front(here, data, task)
            return measured, read_files(Path(folder, "network"), (PREDICTIONS_NAME,))
    except (OSError, DamagedFileError) as error:
        # As a file that cannot be read, it costs the values of its own network alone.
        return Unmeasured(f"Its files could not be carried to a node: {error}"), ()


def _carried(
    job: FrontJob,
    folder: Path,
    network: Sequence[CarriedFile],
    reference: Sequence[CarriedFile],
) -> FrontJob:
    """Write the files of a job into a folder of this node; returns the job with their paths.

    Raises:
        DamagedFileError: One is not as it was sent.
        OSError: The disk is full, or the folder cannot be written to.
    """
    write_files(network, folder / "network")
    here = replace(job, path=str(folder / "network" / Path(job.path).name))
    if job.reference is None:
        return here
    write_files(reference, folder / "reference")
    return replace(here, reference=str(folder / "reference" / Path(job.reference).name))
