"""What a line of a log holds, and its two forms: JSON, and text for people."""

import json
import logging
import os
import socket
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

from orchestrator.redaction import redacted

LOGGERS = ("orchestrator", "trainers")
"""The loggers whose lines belong to a run."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a line is about; None where nothing applies.

    Attributes:
        sweep: Name of the sweep.
        trial: Number of the trial.
        attempt: Number of the attempt at it.
        node: Where the line was written: Ray's id of the node, else the name of the machine.
        worker: Which process wrote it: ``ADDRESS:PROCESS``, or ``driver:PROCESS``.
    """

    sweep: str | None = None
    trial: int | None = None
    attempt: int | None = None
    node: str | None = None
    worker: str | None = None


_SUBJECT: ContextVar[Subject | None] = ContextVar("subject", default=None)


@contextmanager
def about(trial: int, attempt: int) -> Iterator[None]:
    """Let the lines of this thread be about an attempt within this block.

    >>> with about(3, 0):
    ...     current().trial
    3
    """
    token = _SUBJECT.set(replace(current(), trial=trial, attempt=attempt))
    try:
        yield
    finally:
        _SUBJECT.reset(token)


def current() -> Subject:
    """Return what the lines of this thread are about.

    >>> current()
    Subject(sweep=None, trial=None, attempt=None, node=None, worker=None)
    """
    return _SUBJECT.get() or Subject()


def driver_subject(sweep: str) -> Subject:
    """Return the subject of a driver's own lines.

    >>> driver_subject("digits-fc").worker.startswith("driver:")
    True
    """
    return Subject(sweep, node=socket.gethostname(), worker=f"driver:{os.getpid()}")


@dataclass(frozen=True, slots=True)
class Line:
    """One line, as a worker sends it to the driver: plain values, without secrets.

    Attributes:
        moment: Seconds since 1970.
        level: As in `logging`.
        logger: Name of the logger.
        text: The message.
        trial: Number of the trial that it is about.
        attempt: Number of the attempt.
        traceback: Of an exception; empty without one.
    """

    moment: float
    level: int
    logger: str
    text: str
    trial: int | None = None
    attempt: int | None = None
    traceback: str = ""


def line_of(record: logging.LogRecord) -> Line:
    """Turn a record into a line, without the passwords that its texts may hold.

    >>> record = logging.LogRecord("x", 30, "", 0, "http://me:secret@db is away", (), None)
    >>> line_of(record).text
    'http://***@db is away'
    """
    error = record.exc_info[1] if record.exc_info else None
    trace = redacted("".join(traceback.format_exception(error))) if error else ""
    subject = subject_of(record)
    return Line(
        record.created,
        record.levelno,
        record.name,
        redacted(record.getMessage()),
        subject.trial,
        subject.attempt,
        trace or getattr(record, "sent_traceback", ""),
    )


def subject_of(record: logging.LogRecord) -> Subject:
    """Return what a record is about: what it was given as `subject`, else `current`.

    >>> subject_of(logging.LogRecord("x", 30, "", 0, "", (), None)) == current()
    True
    """
    given = getattr(record, "subject", None)
    return given if isinstance(given, Subject) else current()


class _Form(logging.Formatter):
    """Shared by both forms.

    Args:
        sweep: What lines are about that name no sweep themselves.
    """

    def __init__(self, sweep: str) -> None:
        super().__init__()
        self._driver = driver_subject(sweep)

    def _parts(self, record: logging.LogRecord) -> tuple[str, str, Subject, Line]:
        line, subject = line_of(record), subject_of(record)
        driver = self._driver
        subject = replace(
            subject,
            sweep=subject.sweep or driver.sweep,
            node=subject.node or driver.node,
            worker=subject.worker or driver.worker,
        )
        moment = datetime.fromtimestamp(line.moment, UTC).isoformat(timespec="milliseconds")
        return moment.replace("+00:00", "Z"), logging.getLevelName(line.level), subject, line


class JsonLines(_Form):
    """One JSON object a line: time, level, sweep, trial, attempt, node, worker, message, logger.

    A line of an event has its name as ``event``; that of an exception has its ``traceback``.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        moment, level, subject, line = self._parts(record)
        held = {"time": moment, "level": level, **asdict(subject), "message": line.text}
        held["logger"] = line.logger
        held |= getattr(record, "facts", {})
        if line.traceback:
            held["traceback"] = line.traceback
        return json.dumps(held, ensure_ascii=False)


class TextLines(_Form):
    """The same for people; a traceback follows on lines of its own."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        moment, level, subject, line = self._parts(record)
        held = " ".join(
            f"{name}={'-' if value is None else value}" for name, value in asdict(subject).items()
        )
        text = f"{moment} {level} {held} {line.text}"
        return f"{text}\n{line.traceback.rstrip()}" if line.traceback else text
