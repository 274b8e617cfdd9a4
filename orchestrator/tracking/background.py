"""Mirrors in a thread of its own while the sweep runs, so that a tracker never delays a trial."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.contracts import Mirror
from orchestrator.errors import OrchestratorError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rhythm:
    """The timing of the thread.

    Attributes:
        first_s: Seconds before the first poll, unless `begin` is called: loading a tracker takes
            seconds of a core, which workers that start need more.
        period_s: Seconds between two polls of the outbox.
        breath_s: Seconds between two batches, so that the driver's threads are never starved.
        longest_pause_s: While the server is unreachable, pauses double from `period_s` up to this.
        batch: Number of marks in a batch.
    """

    first_s: float = 10.0
    period_s: float = 1.0
    breath_s: float = 0.05
    longest_pause_s: float = 30.0
    batch: int = 4


_USUAL = Rhythm()


class BackgroundMirror:
    """A daemon thread that empties a sweep's outbox until it is closed.

    Args:
        mirror: Used by this thread alone until `close` has returned.
        sweep: Name of the sweep.
        on_trouble: Called from the thread with a sentence when MLflow or the store becomes
            unreachable, and with another when it is back.
        rhythm: The timing of the thread.
    """

    def __init__(
        self,
        mirror: Mirror,
        sweep: str,
        *,
        on_trouble: Callable[[str], None],
        rhythm: Rhythm = _USUAL,
    ) -> None:
        self._mirror, self._sweep, self._rhythm = mirror, sweep, rhythm
        self._on_trouble = on_trouble
        self._is_away = False
        self._beginning, self._closing = threading.Event(), threading.Event()
        self._deadline = float("inf")
        self._thread = threading.Thread(target=self._work, name="paretune-mirror", daemon=True)
        self._thread.start()

    def begin(self) -> None:
        """Mirror from now on; else that begins after `Rhythm.first_s`."""
        self._beginning.set()

    def close(self, timeout_s: float) -> int:
        """Mirror what is left, for at most `timeout_s` seconds, and stop.

        A request that hangs is abandoned in its daemon thread; the marks it was to copy remain.

        Returns:
            The number of marks left for `paretune sync`.
        """
        self._deadline = time.monotonic() + timeout_s
        self._closing.set()
        self._beginning.set()
        self._thread.join(timeout_s)
        return self._mirror.pending(self._sweep)

    @property
    def is_over(self) -> bool:
        """Whether the thread has ended, so that the mirror may be used by another one."""
        return not self._thread.is_alive()

    def _work(self) -> None:
        pause_s = self._rhythm.period_s
        self._beginning.wait(self._rhythm.first_s)
        while not self._closing.is_set():
            self._empty_outbox()
            pause_s = 2 * pause_s if self._is_away else self._rhythm.period_s
            pause_s = min(pause_s, self._rhythm.longest_pause_s)
            self._closing.wait(pause_s)
        self._empty_outbox()

    def _empty_outbox(self) -> None:
        """Mirror in batches until nothing is marked, the server is unreachable, or time is up."""
        while time.monotonic() < self._deadline:
            try:
                done = self._mirror.drain(self._sweep, limit=self._rhythm.batch)
            except OrchestratorError as error:
                # The tracker or the store is unreachable; its server may be back in seconds.
                self._notice_outage(str(error))
                return
            except Exception as error:
                # The outermost handler of this thread, as `main` is of the command: a fault of the
                # mirror must cost the sweep no more than an unreachable server.
                logger.exception("The mirror of %s failed", self._sweep)
                self._notice_outage(f"The mirror failed: {type(error).__name__}: {error}")
                return
            self._notice_return()
            if done < self._rhythm.batch:
                return
            time.sleep(self._rhythm.breath_s)

    def _notice_outage(self, reason: str) -> None:
        if not self._is_away:
            self._is_away = True
            reason = reason.rstrip(".")
            self._on_trouble(f"{reason}. The trials go on; MLflow gets what it lacks later.")

    def _notice_return(self) -> None:
        if self._is_away:
            self._is_away = False
            self._on_trouble("MLflow is brought up to date again.")
