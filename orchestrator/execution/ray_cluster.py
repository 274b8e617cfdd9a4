"""Connect to Ray, and the tasks of a cluster other than trials.

Tune is not imported here: a process that only reads the images would wait a second for it.
"""

import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TextIO

import ray
from ray._private import worker as ray_worker
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from orchestrator.contracts import FrontJob, Unmeasured
from orchestrator.contracts.needs import Needs
from orchestrator.errors import OrchestratorError
from orchestrator.execution.carried_files import (
    CarriedFile,
    DamagedFileError,
    read_files,
    sees,
    write_files,
)
from orchestrator.execution.ray_address import ask_cluster
from orchestrator.execution.ray_start import LocalRay, own_signal_handlers, stderr_in
from orchestrator.execution.slots import Node
from orchestrator.execution.task import Task
from orchestrator.execution.trial_storage import (
    answer_probe,
    fetched_job,
    kept_in,
    probed_storage,
)
from orchestrator.redaction import redacted
from trainers.files.trial_folder import PREDICTIONS_NAME

_STDERR = 2
# How long a node may take to start a process and to try the storage.
_PROBE_S = 120.0


def connect(address: str | None, log: Path, say: Callable[[str], None]) -> Callable[[], None]:
    """Connect this process to a cluster.

    Args:
        address: Of a running cluster; None starts one on this machine, unless ``RAY_ADDRESS``
            names one.
        log: Where to write what Ray prints. What it says of its nodes goes there until the
            connection ends; what it writes to standard error does, too, if Python's is apart from
            the process's (`orchestrator.cli.run`), else while the connection is made.
        say: Called with a line on whatever takes longer than usual, and with the log's path if
            anything was printed.

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
    with ExitStack() as stack:
        if _is_apart(sys.stderr):
            stack.enter_context(_kept_in(log, say))
        stack.enter_context(_messages_in(log))
        stack.callback(_connected(where, log, say))
        return stack.pop_all().close


@contextmanager
def _kept_in(log: Path, say: Callable[[str], None]) -> Iterator[None]:
    before = log.stat().st_size if log.is_file() else 0
    with stderr_in(log):
        yield
    if log.is_file() and log.stat().st_size > before:
        say(f"what Ray printed is in {log}")


@contextmanager
def _messages_in(log: Path) -> Iterator[None]:
    """Append to a file what Ray would print of its nodes, such as that one was marked dead.

    A thread of Ray (2.60) prints it, and no setting prevents that.
    """

    def append(message: Mapping[str, Any], *_: object, **__: object) -> None:
        with suppress(OSError), log.open("a") as file:
            file.writelines(f"({message.get('pid')}) {line}\n" for line in message["lines"])

    plain = ray_worker.print_worker_logs
    ray_worker.print_worker_logs = append
    try:
        yield
    finally:
        ray_worker.print_worker_logs = plain


def _is_apart(stream: TextIO) -> bool:
    try:
        return stream.fileno() != _STDERR
    except (OSError, ValueError, AttributeError):  # No file at all, as in a notebook.
        return False


def _connected(where: str, log: Path, say: Callable[[str], None]) -> Callable[[], None]:
    if where == "local":
        local = LocalRay(log, say)
        local.start()
        return local.stop
    _check_cluster(where)
    try:
        with stderr_in(log), own_signal_handlers():
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


def probe_storage(url: str | None) -> None:
    """Write and read a file in a sweep's storage from this process and from every node.

    Raises:
        OrchestratorError: A node cannot use it, or does not see what the driver wrote.
    """
    here = ray.get_runtime_context().get_node_id()
    nodes = [node["NodeID"] for node in ray.nodes() if node["Alive"] and node["NodeID"] != here]
    probed_storage(url, [_probe_on(node) for node in nodes] if url else ())


def _probe_on(node: str) -> Callable[[str, str, str], str]:
    def probe(url: str, key: str, name: str) -> str:
        affinity = NodeAffinitySchedulingStrategy(node, soft=False)
        ref = probe_task.options(scheduling_strategy=affinity).remote(url, key, name)
        try:
            answer: str = ray.get(ref, timeout=_PROBE_S)
        except RayError as error:
            return f"Node {node} did not answer: {str(error).splitlines()[0]}."
        return answer

    return probe


@ray.remote(num_cpus=0)  # type: ignore[untyped-decorator]
def probe_task(url: str, key: str, name: str) -> str:
    """Answer a probe of the storage on a node; see `answer_probe`."""
    return answer_probe(url, key, name)


def ray_options(needs: Needs) -> dict[str, Any]:
    """Return what one trial is given as the options of a Ray task."""
    return {
        "num_cpus": needs.cpus,
        "num_gpus": needs.gpus,
        "memory": needs.memory or None,
        "resources": dict(needs.custom) or None,
        "label_selector": dict(needs.labels) or None,
    }


def front_measured(
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
    from trainers.training.devices import bound_memory

    bound_memory(task.needs.gpus)
    storage = kept_in(task.storage)
    if storage is not None and storage.holds(job.path):
        with fetched_job(job, task.storage) as here:
            return measure_front(here, data, task), ()
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


measure_front_task = ray.remote(front_measured)


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
