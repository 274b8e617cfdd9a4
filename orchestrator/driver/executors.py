"""Which executor runs a sweep: Ray, or this process."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from orchestrator.contracts import Executor, Progress
from orchestrator.errors import UsageError
from orchestrator.execution.ray_address import HERE
from orchestrator.execution.task import Task
from orchestrator.redaction import redacted
from orchestrator.spec.sweep_spec import SweepSpec
from orchestrator.state_folder import StateFolder

ExecutorFactory = Callable[[Task], Executor]
INLINE_WORDS = (
    "trials run one after another in this process: one that exhausts the memory or crashes the "
    "interpreter ends the run, which 'paretune resume' continues"
)
"""What users are told about an inline run."""


def executor_of(
    spec: SweepSpec, address: str | None, folder: StateFolder, progress: Progress
) -> ExecutorFactory:
    """Choose the executor that `execution.kind` asks for.

    Args:
        spec: The sweep.
        address: Of a running Ray cluster, if one was given.
        folder: Where trials are kept.
        progress: Told what the executor has to say.

    Raises:
        UsageError: A cluster is given for a sweep that runs in this process.

    >>> from orchestrator.contracts import Silent
    >>> from orchestrator.spec.files import load_sweep
    >>> spec = load_sweep("examples/sweeps/digits.yaml", settings=["execution.kind=inline"])
    >>> executor_of(spec, "auto", StateFolder.find(), Silent())
    Traceback (most recent call last):
    orchestrator.errors.UsageError: execution.kind is inline, and --address names ...
    """
    if spec.execution.kind == "inline":
        if address not in (None, *HERE):
            raise UsageError(
                f"execution.kind is inline, and --address names the Ray cluster "
                f"{redacted(str(address))}: leave out --address and unset RAY_ADDRESS, or run on "
                f"the cluster with --set execution=ray."
            )
        progress.note(f"inline: {INLINE_WORDS}")
        return _inline
    return _ray(address, folder, progress)


def _inline(task: Task) -> Executor:
    from orchestrator.execution.inline import InlineExecutor

    return InlineExecutor(task)


def _ray(address: str | None, folder: StateFolder, progress: Progress) -> ExecutorFactory:
    def build(task: Task) -> Executor:
        from orchestrator.execution.ray_executor import RayExecutor

        return RayExecutor(task, address, state=folder, say=progress.note)

    return build


@contextmanager
def closed(worker: Executor) -> Iterator[Callable[[], object]]:
    """Close an executor when the block is left.

    Yields:
        A function that begins to close it earlier, in a thread: Ray takes a second to end.

    >>> from types import SimpleNamespace
    >>> with closed(SimpleNamespace(close=lambda: print("closed"))) as close:
    ...     print("works")
    works
    closed
    """
    begun: list[Future[None]] = []
    with ThreadPoolExecutor(1, thread_name_prefix="close") as pool:
        try:
            yield lambda: begun.append(pool.submit(worker.close))
        finally:
            if begun:
                begun[0].result()
            else:
                worker.close()
