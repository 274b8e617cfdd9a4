"""What people decided about trials. No lease is needed: a driver may be running the sweep."""

from collections.abc import Mapping

from sqlalchemy import Connection, Row, delete, select, update

from orchestrator.storage.changes import mark, put
from orchestrator.storage.reading import find_trial, sweep_id
from orchestrator.storage.tables import choices, sweeps
from orchestrator.trials import Choice, ChoiceKind, TrialState


def read_choices(connection: Connection, sweep: str) -> list[Choice]:
    """Return the choices of a sweep, in order of the trials' numbers."""
    own = choices.c.sweep_id == sweep_id(connection, sweep)
    return [
        _choice(row) for row in connection.execute(select(choices).where(own).order_by("trial"))
    ]


def write_choice(connection: Connection, sweep: str, choice: Choice) -> None:
    """Store a choice; an earlier one about the same trial is replaced.

    Raises:
        ValueError: The trial is not complete, so it has no network to be chosen.
    """
    key = sweep_id(connection, sweep)
    _, state, attempts = find_trial(connection, key, sweep, choice.trial)
    if state is not TrialState.COMPLETE:
        raise ValueError(
            f"Trial {choice.trial} of {sweep!r} is {state}; only a complete trial can be chosen."
        )
    put(connection, choices, [_row(key, choice)])
    _mark_attempt(connection, key, choice.trial, attempts)


def delete_choice(connection: Connection, sweep: str, trial: int) -> bool:
    """Delete the choice about a trial; returns whether there was one."""
    key = sweep_id(connection, sweep)
    _, _, attempts = find_trial(connection, key, sweep, trial)
    own = (choices.c.sweep_id == key, choices.c.trial == trial)
    was_there = connection.execute(delete(choices).where(*own)).rowcount > 0
    if was_there:
        _mark_attempt(connection, key, trial, attempts)
    return was_there


def _mark_attempt(connection: Connection, key: int, trial: int, attempts: int) -> None:
    """Mark the trial's latest attempt for the mirror, by a change of the sweep."""
    own = sweeps.c.id == key
    # Changes the row before it is read, and so locks it until the commit.
    connection.execute(update(sweeps).where(own).values(revision=sweeps.c.revision + 1))
    revision = connection.scalars(select(sweeps.c.revision).where(own)).one()
    mark(connection, key, revision, (trial, attempts - 1))


def _row(key: int, choice: Choice) -> Mapping[str, object]:
    return {
        "sweep_id": key,
        "trial": choice.trial,
        "kind": choice.kind.value,
        "note": choice.note,
        "who": choice.who,
        "made": choice.made,
    }


def _choice(row: Row[tuple[object, ...]]) -> Choice:
    return Choice(row.trial, ChoiceKind(row.kind), row.note, row.who, row.made)
