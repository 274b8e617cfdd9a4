"""What there is of a sweep, to be compared, and a process that ends at any of its steps."""

import os
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from orchestrator.contracts import Store

_KILLED = 99
_OURS = (
    *("/housekeeping/", "/storage/transfer", "/storage/database", "/storage/renaming"),
    *("/file_storage/", "/tracking/", "/files/whole_file"),
)


def stored(store: Store, name: str) -> dict[str, Any]:
    """All that a store says of a sweep."""
    trials = store.trials(name)
    return {
        "sweep": store.sweep(name),
        "trials": trials,
        "attempts": store.all_attempts(name),
        "reports": [store.reports(name, trial.number) for trial in trials],
        "prior": store.prior_points(name),
        "choices": store.choices(name),
        "marks": [(mark.trial, mark.attempt) for mark in store.outbox.pending(name)],
        "columns": repr(store.columns(name, ["x"], ["bits"])),
    }


def files_in(folder: Path) -> dict[str, bytes]:
    """Content of all files below a folder."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def killed_at_each_step(work: Callable[[], object], *, points: int = 6) -> Iterator[int]:
    """Do some work in processes, each of which is ended as by `kill -9` at another step.

    A step is a call of a function of ours. The work is done once to count them; the caller undoes
    it first (step 0), and then looks at what is left after each of the ends.
    """
    steps = _steps(work)
    yield 0
    for step in range(1, steps, max(1, steps // points)):
        assert _run(work, step) == _KILLED, step
        yield step


def _steps(work: Callable[[], object]) -> int:
    """Count the steps of the work, which is done once."""
    counted = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal counted
        counted += _is_step(frame, event)

    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return counted


def _run(work: Callable[[], object], last: int) -> int:
    """Exit status of a process that does the work up to a step."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside threads
        child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    left = last

    def end(frame: FrameType, event: str, argument: object) -> None:
        nonlocal left
        left -= _is_step(frame, event)
        if not left:
            os._exit(_KILLED)

    try:
        sys.setprofile(end)
        work()
    finally:
        os._exit(1)


def _is_step(frame: FrameType, event: str) -> bool:
    return event == "call" and any(each in frame.f_code.co_filename for each in _OURS)
