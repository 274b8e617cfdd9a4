"""Whether the head of the cluster is still there.

Ray (2.60) waits a minute for a head that is gone, in calls that nothing interrupts, and then
ends the process. Here a thread knocks at the head's port, and work that may hang runs in a thread
of its own, which is left behind.
"""

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from orchestrator.errors import ClusterLostError
from orchestrator.execution.ray_address import host_and_port

_EVERY_S = 1.5
_KNOCK_S = 2.0
# A head that answers no knock for so long is gone; for one that is only busy, its kernel answers.
_GONE_S = 6.0
# A driver that was stopped for a while has not knocked meanwhile.
_KNOCKS = 3
_POLL_S = 0.2


class HeadWatch:
    """Knocks at a head until it is closed.

    Args:
        address: Of the head, as ``HOST:PORT``.
        gone_s: How long all knocks must have failed, in seconds.
        every_s: Pause between two knocks, in seconds.
    """

    def __init__(self, address: str, gone_s: float = _GONE_S, every_s: float = _EVERY_S) -> None:
        self.address, self._gone_s, self._every_s = address, gone_s, every_s
        self._over = threading.Event()
        self.lost_after_s = 0.0
        self._thread = threading.Thread(target=self._knock, name="head", daemon=True)
        self._thread.start()

    @property
    def is_lost(self) -> bool:
        """Whether the head is gone; it stays so."""
        return self.lost_after_s > 0

    def check(self) -> None:
        """Raise if the head is gone.

        Raises:
            ClusterLostError: It is.
        """
        if self.is_lost:
            raise ClusterLostError(
                f"The head of the Ray cluster at {self.address} has not answered for "
                f"{self.lost_after_s:.0f} s, and the trials that ran are lost to this run; what "
                f"was finished is stored. Start the head again, or another one (ray start --head)."
            )

    def close(self) -> None:
        """Knock no more."""
        self._over.set()

    def _knock(self) -> None:
        host, port = host_and_port(self.address)
        answered, failed = time.monotonic(), 0
        while not self._over.wait(self._every_s):
            with suppress(OSError), socket.create_connection((host, port), timeout=_KNOCK_S):
                answered, failed = time.monotonic(), 0
                continue
            failed += 1
            silent_s = time.monotonic() - answered
            if failed >= _KNOCKS and silent_s >= self._gone_s:
                self.lost_after_s = silent_s
                return


def run_watched(work: Callable[[], object], watch: Callable[[], None]) -> None:
    """Do work in a thread of its own, which is left behind if `watch` raises.

    Args:
        work: May hang where nothing interrupts it.
        watch: Called several times a second meanwhile, in this thread.

    Raises:
        BaseException: Whatever `work` or `watch` raised.

    >>> run_watched(lambda: 1 / 0, lambda: None)
    Traceback (most recent call last):
    ZeroDivisionError: division by zero
    """
    raised: list[BaseException] = []

    def body() -> None:
        try:
            work()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=body, name="watched", daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(_POLL_S)
        watch()
    if raised:
        raise raised[0]
