"""Two calls at once in one process: by this thread, and by another one beside it."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

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
