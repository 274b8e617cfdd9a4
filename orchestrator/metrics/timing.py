"""How long the calls of an object take."""

import time
from collections.abc import Callable
from typing import Any, Protocol, TypeVar, cast

_T = TypeVar("_T")


class Timed(Protocol):
    """Told of each call."""

    def __call__(self, operation: str, seconds: float, *, failed: bool) -> None:
        """Take note of a call."""
        ...


def timed(target: _T, tell: Timed) -> _T:
    """Return an object that does what another does, and tells how long each method took.

    Args:
        target: Does the work.
        tell: Told the method's name, its seconds, and whether it raised.

    >>> told = []
    >>> timed("a,b", lambda name, seconds, *, failed: told.append((name, failed))).split(",")
    ['a', 'b']
    >>> told
    [('split', False)]
    """
    return cast(_T, _Timed(target, tell))


class _Timed:
    def __init__(self, target: object, tell: Timed) -> None:
        self._target, self._tell = target, tell

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        return self._around(name, found) if callable(found) else found

    def _around(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def measured(*given: Any, **named: Any) -> Any:
            began, failed = time.perf_counter(), True
            try:
                result = call(*given, **named)
                failed = False
            finally:
                self._tell(name, time.perf_counter() - began, failed=failed)
            return result

        return measured
