"""Two calls at once in one process: by this thread, and by another one beside it."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

from orchestrator.execution.task import Task
from trainers.networks.brought.registry import is_code

_K = TypeVar("_K")
_J = TypeVar("_J")
_R = TypeVar("_R")


def two_at_once(
    work: Callable[[_J], _R], jobs: Mapping[_K, _J], interrupted: Callable[[], bool]
) -> Iterator[tuple[_K, _R]]:
    """Yield the results of jobs as they come; once interrupted, of those that had begun.

    Args:
        work: Called with a job, in this thread or in another one.
        jobs: By their names.
        interrupted: Whether to begin no further job.

    Raises:
        Exception: What `work` raised.

    >>> sorted(two_at_once(abs, {"a": -1, "b": 2, "c": -3}, lambda: False))
    [('a', 1), ('b', 2), ('c', 3)]
    """
    waiting, done = deque(jobs.items()), deque[tuple[_K, _R]]()

    def go_on() -> Iterator[None]:
        while waiting and not interrupted():
            try:
                name, job = waiting.popleft()
            except IndexError:  # The other thread took the last one.
                return
            done.append((name, work(job)))
            yield

    with ThreadPoolExecutor(1, thread_name_prefix="beside") as pool:
        beside = pool.submit(lambda: deque(go_on(), maxlen=0))
        try:
            for _ in go_on():
                while done:
                    yield done.popleft()
            beside.result()
        finally:
            waiting.clear()
    yield from done


def takes_two(task: Task) -> bool:
    """Decide whether one process may measure two networks of a sweep at the same time.

    Not with a user's own code, which may not be made for threads, and not on a GPU, whose memory
    one network may need.

    >>> from dataclasses import replace
    >>> from trainers.data.config import DataConfig
    >>> task = Task(DataConfig(name="digits"), {"name": "digitnet"}, {})
    >>> takes_two(task), takes_two(replace(task, code={"own.py": b""}))
    (True, False)
    """
    is_ours = not task.code and not task.parts and not is_code(task.backbone["name"])
    return is_ours and not task.needs.gpus


def beside_another(task: Task) -> AbstractContextManager[None]:
    """Return a context in which a network is measured, perhaps beside another one."""
    if not takes_two(task):
        return nullcontext()
    from trainers.evaluators.robustness import in_turns

    return in_turns()
