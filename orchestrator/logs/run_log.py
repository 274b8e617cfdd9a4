"""The log file of one run, and lines for a program that collects them from standard error."""

import logging
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from logging.handlers import MemoryHandler, RotatingFileHandler
from pathlib import Path

from orchestrator.errors import UsageError
from orchestrator.logs.lines import (
    LOGGERS,
    JsonLines,
    Line,
    Subject,
    TextLines,
    driver_subject,
)
from orchestrator.redaction import redacted
from orchestrator.state_folder import make_private

FORMAT_VARIABLE = "PARETUNE_LOG_FORMAT"
"""Chooses the form of a run's log where the command line does not."""
MOST_BYTES, MOST_PARTS = 10_000_000, 5
"""A log file that reaches the first is continued in a new one; so many older parts are kept."""
KEPT_RUNS = 20
"""Log files of so many runs of a sweep are kept."""
_MOST_WAITING = 10_000


class LogFormat(StrEnum):
    """The form of a run's log."""

    TEXT = "text"
    JSON = "json"

    @classmethod
    def of_environment(cls) -> "LogFormat":
        """Return what ``PARETUNE_LOG_FORMAT`` says, else text.

        Raises:
            UsageError: It says something else.
        """
        given = os.environ.get(FORMAT_VARIABLE) or "text"
        try:
            return cls(given)
        except ValueError:
            raise UsageError(
                f"{FORMAT_VARIABLE} is {given!r}; set it to text or json, or unset it."
            ) from None


class RunLog:
    """The log of one run. Its file is made once the sweep is stored; until then lines wait.

    Args:
        sweep: Name of the sweep.
        folder: Where the sweep's log files are.
        form: Of its lines.

    Attributes:
        path: The file of this run.
    """

    def __init__(self, sweep: str, folder: Path, form: LogFormat = LogFormat.TEXT) -> None:
        began = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        self.path = folder / f"{began}-{os.getpid()}.log"
        self._sweep, self._form = sweep, form
        self._waiting = MemoryHandler(_MOST_WAITING, logging.CRITICAL + 1, flushOnClose=False)
        self._shown: list[logging.Handler] = []
        self._file: logging.Handler | None = None

    def begin(self) -> Path | None:
        """Make the file, write what waits, and remove those of the oldest runs.

        Returns:
            Its path; None where it cannot be made, which costs the log and nothing else.
        """
        try:
            make_private(self.path.parent)
            file = _File(self.path)
        except OSError as error:
            logging.getLogger(__name__).warning("There is no log of this run: %s", error)
            return None
        file.setFormatter(self._formatter())
        self._file = file
        self._waiting.setTarget(file)
        self._waiting.flush()
        for name in LOGGERS:
            logging.getLogger(name).addHandler(file)
            logging.getLogger(name).removeHandler(self._waiting)
        _remove_oldest(self.path.parent)
        return self.path

    def write(self, lines: Iterable[Line], node: str | None, worker: str | None) -> None:
        """Write lines that a worker sent.

        Args:
            lines: Oldest first.
            node: The worker's node.
            worker: Its name.
        """
        driver = driver_subject(self._sweep)
        for line in lines:
            logger = logging.getLogger(line.logger)
            record = logger.makeRecord(line.logger, line.level, "", 0, line.text, (), None)
            record.created, record.sent_traceback = line.moment, line.traceback
            record.subject = Subject(
                self._sweep,
                line.trial,
                line.attempt,
                node or driver.node,
                worker or driver.worker,
            )
            for handler in filter(None, (self._file, *self._shown)):
                if record.levelno >= handler.level:
                    handler.handle(record)

    def _formatter(self) -> logging.Formatter:
        return JsonLines(self._sweep) if self._form is LogFormat.JSON else TextLines(self._sweep)

    @contextmanager
    def attached(self) -> Iterator["RunLog"]:
        """Take in the lines of this process within this block."""
        self._shown = [self._on_stderr()] if self._shows() else []
        handlers = [self._waiting, *self._shown]
        with ExitStack() as stack:
            for name in LOGGERS:
                stack.enter_context(_listened_to(logging.getLogger(name), handlers))
            try:
                yield self
            finally:
                if self._file is not None:
                    for name in LOGGERS:
                        logging.getLogger(name).removeHandler(self._file)
                    self._file.close()

    def _shows(self) -> bool:
        """Whether lines go to standard error: all in JSON, else warnings that have no handler."""
        return self._form is LogFormat.JSON or not logging.getLogger().handlers

    def _on_stderr(self) -> logging.Handler:
        shown = _Stderr(sys.stderr)
        if self._form is LogFormat.JSON:
            shown.setFormatter(self._formatter())
        else:
            shown.setLevel(logging.WARNING)
            shown.addFilter(lambda record: not getattr(record, "is_shown", False))
            shown.setFormatter(_Sentence())
        return shown


@contextmanager
def _listened_to(logger: logging.Logger, handlers: Iterable[logging.Handler]) -> Iterator[None]:
    """Give a logger handlers; what others set up hears no more of it than before."""
    level, propagate = logger.level, logger.propagate
    added = [*handlers, *([_Onward(logger.getEffectiveLevel())] if propagate else [])]
    logger.setLevel(logging.INFO)
    logger.propagate = False
    for handler in added:
        logger.addHandler(handler)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.propagate = propagate
        for handler in added:
            logger.removeHandler(handler)
            handler.close()


class _Onward(logging.Handler):
    """Passes lines on to the handlers of the root logger, as they would have come there."""

    def emit(self, record: logging.LogRecord) -> None:
        for handler in logging.getLogger().handlers:
            if record.levelno >= handler.level:
                handler.handle(record)


class _Quiet(logging.Handler):
    """Loses a line that cannot be written, where `logging` would print a traceback."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Do nothing: a full disk is reported by what cannot go on without it."""


class _File(_Quiet, RotatingFileHandler):
    def __init__(self, path: Path) -> None:
        super().__init__(path, maxBytes=MOST_BYTES, backupCount=MOST_PARTS, encoding="utf-8")


class _Stderr(_Quiet, logging.StreamHandler):  # type: ignore[type-arg]
    pass


class _Sentence(logging.Formatter):
    """The message alone: a traceback is in the file."""

    def format(self, record: logging.LogRecord) -> str:
        return redacted(record.getMessage())


def _remove_oldest(folder: Path) -> None:
    """Keep the files of `KEPT_RUNS` runs, whose names sort by time."""
    for path in sorted(folder.glob("*.log"))[:-KEPT_RUNS]:
        for part in folder.glob(f"{path.name}*"):
            part.unlink(missing_ok=True)
