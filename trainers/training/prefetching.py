"""The next batches are made while the device computes the last one."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_T = TypeVar("_T")
_AHEAD = 2


def prefetched(batches: Iterator[_T], ahead: int = _AHEAD) -> Iterator[_T]:
    """Yield batches in their order, made by a thread of their own.

    What they draw must not depend on what else is drawn meanwhile: batches of a training are drawn
    from seeds of their own. The thread ends with the iterator, also if it is left early.

    Args:
        batches: Makes one at a time.
        ahead: How many are made before they are asked for, at most.

    >>> list(prefetched(iter("abc")))
    ['a', 'b', 'c']
    """
    end = object()
    with ThreadPoolExecutor(1, "batches") as maker:
        waiting: deque[Future[_T | object]] = deque()
        try:
            for _ in range(ahead):
                waiting.append(maker.submit(next, batches, end))
            while (batch := waiting.popleft().result()) is not end:
                waiting.append(maker.submit(next, batches, end))
                yield batch  # type: ignore[misc]  # it is not the end
        finally:
            for future in waiting:
                future.cancel()
