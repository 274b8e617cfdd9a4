"""Ctrl-C and SIGTERM, from the first line of a run to its last."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from orchestrator.driver.loop import SweepLoop

_ASKING = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """Let SIGTERM raise KeyboardInterrupt within this block, as Ctrl-C does.

    A handler of the caller's own stays in charge.

    >>> import os
    >>> try:
    ...     with terminated_as_interrupted():
    ...         os.kill(os.getpid(), signal.SIGTERM)
    ... except KeyboardInterrupt as error:
    ...     print(error)
    SIGTERM
    """

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt(signal.Signals(number).name)

    if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    with _handled((signal.SIGTERM,), interrupt):
        yield


@contextmanager
def interrupted_by_signals(loop: SweepLoop) -> Iterator[None]:
    """Turn Ctrl-C and SIGTERM into an interruption; the second one acts as usual."""
    usual = {each: signal.getsignal(each) for each in _ASKING}

    def interrupt(number: int, frame: object) -> None:
        loop.interrupt(f"interrupted by {signal.Signals(number).name}")
        for each, handler in usual.items():
            signal.signal(each, handler)

    with _handled(_ASKING, interrupt):
        yield


@contextmanager
def _handled(
    which: tuple[signal.Signals, ...], handler: Callable[[int, Any], None]
) -> Iterator[None]:
    """Handle signals by `handler`; only the main thread can, and any other is left alone."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {each: signal.signal(each, handler) for each in which}
    try:
        yield
    finally:
        for each, before in previous.items():
            signal.signal(each, before)
