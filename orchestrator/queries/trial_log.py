"""The log of one trial: what the store knows of its attempts, and what runs wrote about it."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.quantities import duration, human, human_params, label
from orchestrator.queries.sweeps import Sweep
from orchestrator.state_folder import StateFolder
from orchestrator.trials import Attempt, Report

# As a run's log writes a line for people; `-` where nothing applies.
_LINE = re.compile(
    r"(?P<time>\S+) (?P<level>[A-Z]+) sweep=(?P<sweep>\S+) trial=(?P<trial>\S+) "
    r"attempt=(?P<attempt>\S+) node=(?P<node>\S+) worker=(?P<worker>\S+) (?P<message>.*)"
)


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the log of a trial.

    Attributes:
        moment: When it happened; None for the end of an epoch, which the store does not time.
        attempt: Number of the attempt, from 0; None where the line names none.
        level: ``INFO``, ``WARNING`` or ``ERROR``.
        text: What happened.
        traceback: Of an exception; empty without one.
        source: Where it is written down: ``store``, or the path of a log.
    """

    moment: datetime | None
    attempt: int | None
    level: str
    text: str
    traceback: str = ""
    source: str = "store"


def trial_log(sweep: Sweep, number: int, state: StateFolder | None = None) -> list[Event]:
    """Collect what is known to have happened to a trial, in order.

    Args:
        sweep: The sweep.
        number: Of the trial.
        state: Holds the logs of runs; default: `StateFolder.find`.

    Raises:
        UnknownNameError: There is no such trial.
    """
    trial = sweep.trial(number)
    attempts = sweep.store.attempts(sweep.name, number)
    reports = sweep.store.reports(sweep.name, number)
    params = human_params(trial.params)
    events = [
        Event(trial.created, None, "INFO", f"stored: {params}"),
        *_attempt_events(attempts, reports),
    ]
    folder = (state or StateFolder.find()).log_folder(sweep.name)
    events += [event for file in _oldest_first(folder) for event in _written(file, number)]
    return _in_order(events)


def _attempt_events(attempts: Sequence[Attempt], reports: Sequence[Report]) -> Iterator[Event]:
    for attempt in attempts:
        number = attempt.number
        yield Event(attempt.started, number, "INFO", f"started on {attempt.worker}")
        if attempt is attempts[-1]:
            # The store keeps the reports of a trial, and not which attempt sent which.
            yield from (Event(None, number, "INFO", _epoch(report)) for report in reports)
        failure = attempt.failure
        if attempt.ended is not None:
            took = duration((attempt.ended - attempt.started).total_seconds())
            said = f": {failure.kind.value}: {failure.message}" if failure else ""
            level = "INFO" if failure is None else "ERROR"
            trace = failure.traceback if failure else ""
            text = f"{attempt.state.value} after {took}{said}"
            yield Event(attempt.ended, number, level, text, trace)


def _epoch(report: Report) -> str:
    values = ", ".join(f"{label(name)} {human(name, x)}" for name, x in report.values.items())
    return f"epoch {report.epoch}: {values}"


def _oldest_first(folder: Path) -> list[Path]:
    """Log files of runs, whose names sort by time; the parts of one file, oldest first."""
    parts = [path for path in folder.glob("*.log*") if path.is_file()]
    return sorted(parts, key=_place)


def _place(path: Path) -> tuple[str, int]:
    name, _, part = path.name.partition(".log")
    number = part.removeprefix(".")
    return name, -int(number) if number.isdecimal() else 0


def _written(file: Path, number: int) -> Iterator[Event]:
    """Lines of a log that are about a trial."""
    current: Event | None = None
    with file.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            read = _read(line.rstrip("\n"), file)
            if read is None:
                # Another line of the traceback of the one before.
                if current is not None:
                    current = _longer(current, line)
                continue
            if current is not None:
                yield current
            about, current = read
            current = current if about == number else None
    if current is not None:
        yield current


def _read(line: str, file: Path) -> tuple[int | None, Event] | None:
    """The trial that a line is about, and the line as an event; None if none begins here."""
    if line.startswith("{"):
        try:
            held = json.loads(line)
        except ValueError:  # cut off by a crash
            return None
    elif found := _LINE.fullmatch(line):
        held = {key: None if text == "-" else text for key, text in found.groupdict().items()}
    else:
        return None
    try:
        trial, attempt = (None if held[k] is None else int(held[k]) for k in ("trial", "attempt"))
        moment = datetime.fromisoformat(held["time"])
        text, trace = str(held["message"]), str(held.get("traceback") or "")
    except (KeyError, TypeError, ValueError):
        return None
    return trial, Event(moment, attempt, str(held.get("level")), text, trace, str(file))


def _longer(event: Event, line: str) -> Event:
    trace = event.traceback + line
    return Event(event.moment, event.attempt, event.level, event.text, trace, event.source)


def _in_order(events: Sequence[Event]) -> list[Event]:
    """Sort by time; an event without one stays behind the one that it was listed after."""
    last = datetime.min.replace(tzinfo=UTC)
    timed: list[tuple[datetime, Event]] = []
    for event in events:
        last = event.moment or last
        timed.append((last, event))
    return [event for _, event in sorted(timed, key=lambda pair: pair[0])]
