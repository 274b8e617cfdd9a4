"""What a person decides about a trial: stored, then copied to MLflow as tags of its run."""

import getpass
import threading

from orchestrator.errors import UsageError
from orchestrator.queries.sweeps import Sweep
from orchestrator.state_folder import StateFolder
from orchestrator.trials import Choice, ChoiceKind, SweepState

LONGEST_NOTE = 2_000
"""Characters of a note: what MLflow shows of a tag as a whole, with some room."""


_one_at_a_time = threading.Lock()


def choose(sweep: Sweep, trial: int, kind: ChoiceKind, note: str = "") -> Choice:
    """Store that a trial was picked, or is a candidate; an earlier decision about it is replaced.

    Raises:
        UsageError: The trial is not complete, or the note is too long.
        UnknownNameError: There is no such trial.
    """
    if len(note) > LONGEST_NOTE:
        raise UsageError(
            f"A note has at most {LONGEST_NOTE:,} characters, so that MLflow shows all of it; "
            f"this one has {len(note):,}."
        )
    try:
        return sweep.store.choose(sweep.name, trial, kind, note=note, who=_user())
    except ValueError as error:
        raise UsageError(
            f"{error} 'paretune trials {sweep.name} --where \"state == 'complete'\"' lists them."
        ) from None


def copy_choices(sweep: Sweep) -> str:
    """Copy what was chosen to MLflow, unless the sweep's driver, which runs, will do so.

    Returns:
        A sentence about what became of it; empty if there is nothing to say.
    """
    from orchestrator.tracking import TrackingError, stored_mirror

    record = sweep.record
    if record.state is SweepState.RUNNING and record.driver is not None:
        return "The driver of the sweep, which is running, copies it to MLflow."
    mirror = stored_mirror(record, sweep.store, StateFolder.find())
    try:
        with _one_at_a_time:
            copied = mirror.drain(sweep.name)
    except TrackingError as error:
        return f"It is stored, and not yet in MLflow: {error} Later: paretune sync {sweep.name}"
    return "It is a tag of the trial's run in MLflow." if copied else ""


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        # In a container the user may have no name.
        return ""
