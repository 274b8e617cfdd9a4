"""Lines that are logged on a worker, kept until they are sent to the driver."""

import logging
import time
from collections import deque

from orchestrator.logs.lines import LOGGERS, Line, line_of

_MOST = 200
"""Lines between two results: what is older is dropped, and its number told."""


class LineCatcher(logging.Handler):
    """Keeps the latest lines of this process.

    >>> catcher = LineCatcher()
    >>> logging.getLogger("trainers.doctest").warning("an image is black")
    >>> [line.text for line in catcher.taken()]
    ['an image is black']
    >>> catcher.close()
    """

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._lines: deque[Line] = deque(maxlen=_MOST)
        self._dropped = 0
        self._levels = {name: logging.getLogger(name).level for name in LOGGERS}
        for name in LOGGERS:
            logger = logging.getLogger(name)
            logger.addHandler(self)
            logger.setLevel(logging.INFO)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        try:
            line = line_of(record)
        except Exception:  # Its values do not fit its text, which must cost no trial.
            self._dropped += 1
            return
        self._dropped += len(self._lines) == _MOST
        self._lines.append(line)

    def taken(self) -> tuple[Line, ...]:
        """Return the lines since the last call, oldest first."""
        self.acquire()
        try:
            lines, dropped = list(self._lines), self._dropped
            self._lines.clear()
            self._dropped = 0
        finally:
            self.release()
        if dropped:
            text = f"{dropped} earlier lines of this worker were dropped"
            lines.insert(0, Line(time.time(), logging.WARNING, __name__, text))
        return tuple(lines)

    def close(self) -> None:
        """Catch nothing more, and leave the loggers as they were found."""
        for name, level in self._levels.items():
            logging.getLogger(name).removeHandler(self)
            logging.getLogger(name).setLevel(level)
        super().close()
