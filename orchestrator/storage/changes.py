"""What the writes to a sweep have in common: upserts of rows, and marks for the mirror."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from sqlalchemy import ColumnElement, Connection, Table, bindparam, case, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from orchestrator.storage.reading import find_trial
from orchestrator.storage.tables import (
    WHOLE_SWEEP,
    UtcTime,
    attempts,
    blocks,
    choices,
    outbox,
    prior_points,
    reports,
    sweeps,
    trial_values,
    trials,
)
from orchestrator.trials import TrialState


def not_before(began: ColumnElement[datetime]) -> ColumnElement[datetime]:
    """Return the parameter ``now``, or `began` if that is later: the clock was set back since."""
    now = bindparam("now", type_=UtcTime())
    return case((began > now, began), else_=now)


# Statements are built once: SQLAlchemy needs longer to build one than SQLite to run it.
_THIS_SWEEP = update(sweeps).where(sweeps.c.id == bindparam("key"))
_THIS_TRIAL = update(trials).where(trials.c.id == bindparam("key"))
_END_OF_SWEEP = _THIS_SWEEP.values(ended=not_before(sweeps.c.created))
_END_OF_TRIAL = _THIS_TRIAL.values(ended=not_before(trials.c.created))
_AN_ATTEMPT = (attempts.c.trial_id == bindparam("key"), attempts.c.number == bindparam("attempt"))
_THIS_ATTEMPT = update(attempts).where(*_AN_ATTEMPT)
_END_OF_ATTEMPT = _THIS_ATTEMPT.values(ended=not_before(attempts.c.started))
_ATTEMPT_STATE = select(attempts.c.state).where(*_AN_ATTEMPT)

Subject = tuple[int, int]
"""Number of a trial and of its attempt; both `WHOLE_SWEEP` for the sweep itself."""


def mark(connection: Connection, sweep: int, revision: int, *subjects: Subject) -> None:
    """Mark `subjects` as changed; one that is marked already keeps its place in the queue."""
    rows = [
        {"sweep_id": sweep, "trial": trial, "attempt": attempt, "revision": revision}
        for trial, attempt in subjects
    ]
    put(connection, outbox, rows)


def put(connection: Connection, table: Table, rows: Sequence[Mapping[str, object]]) -> None:
    """Insert rows; an existing row with the same key is replaced."""
    if rows:
        connection.execute(_upsert(table, connection.dialect.name), rows)


def insert_into(table: Table, dialect: str) -> postgresql.Insert | sqlite.Insert:
    """Build an INSERT with ON CONFLICT for the dialect ``"postgresql"`` or ``"sqlite"``.

    >>> from orchestrator.storage.tables import outbox
    >>> "ON CONFLICT" in str(insert_into(outbox, "sqlite").on_conflict_do_nothing())
    True
    """
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


@cache
def _upsert(table: Table, dialect: str) -> postgresql.Insert | sqlite.Insert:
    key = ("sweep_id", "trial", "attempt") if table is outbox else table.primary_key.columns.keys()
    statement = insert_into(table, dialect)
    given = {
        column.name: statement.excluded[column.name]
        for column in table.columns
        if column.name not in key and not column.primary_key
    }
    return statement.on_conflict_do_update(index_elements=key, set_=given)


@dataclass(frozen=True, slots=True)
class Change:
    """A transaction of a writer whose lease was found to be valid.

    Attributes:
        connection: In the transaction, with the sweep's row locked.
        sweep_id: Key of the sweep.
        sweep: Its name.
        revision: Number of this change.
        now: When it happens; UTC.
    """

    connection: Connection
    sweep_id: int
    sweep: str
    revision: int
    now: datetime

    def mark(self, *subjects: Subject) -> None:
        """Mark `subjects` as changed, for the mirror."""
        mark(self.connection, self.sweep_id, self.revision, *subjects)

    def sweep_row(self, **columns: object) -> None:
        """Change the sweep itself, and mark it."""
        self.connection.execute(_THIS_SWEEP, {"key": self.sweep_id, **columns})
        self.mark((WHOLE_SWEEP, WHOLE_SWEEP))

    def end_sweep(self, **columns: object) -> None:
        """Change the sweep itself, which ends now, and mark it."""
        self.connection.execute(_END_OF_SWEEP, {"key": self.sweep_id, "now": self.now, **columns})
        self.mark((WHOLE_SWEEP, WHOLE_SWEEP))

    def delete_sweep(self) -> None:
        """Delete the sweep's row, and before it each row that refers to it."""
        keys = select(trials.c.id).where(trials.c.sweep_id == self.sweep_id)
        for table in (trial_values, reports, attempts):
            self.connection.execute(delete(table).where(table.c.trial_id.in_(keys)))
        for table in (prior_points, choices, blocks, outbox, trials):
            self.connection.execute(delete(table).where(table.c.sweep_id == self.sweep_id))
        self.connection.execute(delete(sweeps).where(sweeps.c.id == self.sweep_id))

    def trial(self, number: int) -> tuple[int, TrialState, int]:
        """Return key, state and number of attempts of one trial, or raise `UnknownNameError`."""
        return find_trial(self.connection, self.sweep_id, self.sweep, number)

    def trial_row(self, key: int, **columns: object) -> None:
        """Change the trial with the key `key`."""
        self.connection.execute(_THIS_TRIAL, {"key": key, **columns})

    def end_trial(self, key: int, **columns: object) -> None:
        """Change the trial with the key `key`, which ends now."""
        self.connection.execute(_END_OF_TRIAL, {"key": key, "now": self.now, **columns})

    def attempt_row(self, key: int, attempt: int, **columns: object) -> None:
        """Change one attempt at the trial with the key `key`."""
        self.connection.execute(_THIS_ATTEMPT, {"key": key, "attempt": attempt, **columns})

    def end_attempt(self, key: int, attempt: int, **columns: object) -> None:
        """Change one attempt at the trial with the key `key`; it ends now."""
        which = {"key": key, "attempt": attempt, "now": self.now}
        self.connection.execute(_END_OF_ATTEMPT, {**which, **columns})

    def running(self, trial: int, attempt: int) -> int:
        """Return the key of a trial, after a check that this attempt at it is running.

        Raises:
            UnknownNameError: There is no such trial.
            ValueError: The attempt has ended, or was never started.
        """
        key, _, _ = self.trial(trial)
        state = self.connection.scalar(_ATTEMPT_STATE, {"key": key, "attempt": attempt})
        if state != TrialState.RUNNING.value:
            what = "was never started" if state is None else f"has ended as {state}"
            raise ValueError(
                f"Attempt {attempt} at trial {trial} of sweep {self.sweep!r} {what}; reports and "
                f"an outcome are taken from a running attempt only."
            )
        return key
