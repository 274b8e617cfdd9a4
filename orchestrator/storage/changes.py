"""What the writes to a sweep have in common: rows put in place, and marks for the mirror."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Table, select, update
from sqlalchemy.dialects import postgresql, sqlite

from orchestrator.storage.reading import trial_id
from orchestrator.storage.tables import WHOLE_SWEEP, attempts, outbox, sweeps
from orchestrator.trials import TrialState

Subject = tuple[int, int]
"""Number of a trial and of its attempt; both `WHOLE_SWEEP` for the sweep itself."""


def insert_into(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """An INSERT of the connection's dialect, which knows ON CONFLICT."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    return insert(table)


def put(
    connection: Connection,
    table: Table,
    rows: Sequence[Mapping[str, object]],
    key: Sequence[str] = (),
) -> None:
    """Insert rows; one whose `key` (else: the primary key) is there already is replaced."""
    if not rows:
        return
    key = key or [column.name for column in table.primary_key]
    statement = insert_into(connection, table)
    given = {name: statement.excluded[name] for name in rows[0] if name not in key}
    connection.execute(statement.on_conflict_do_update(index_elements=key, set_=given), rows)


def mark(connection: Connection, sweep: int, revision: int, *subjects: Subject) -> None:
    """Note that `subjects` changed; one that is noted already keeps its place in the line."""
    rows = [
        {"sweep_id": sweep, "trial": trial, "attempt": attempt, "revision": revision}
        for trial, attempt in subjects
    ]
    put(connection, outbox, rows, key=["sweep_id", "trial", "attempt"])


@dataclass(frozen=True, slots=True)
class Change:
    """A transaction of a writer whose lease was found to hold.

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
        """Note for the mirror that `subjects` changed."""
        mark(self.connection, self.sweep_id, self.revision, *subjects)

    def sweep_row(self, **columns: object) -> None:
        """Change the sweep itself, and mark it."""
        own = update(sweeps).where(sweeps.c.id == self.sweep_id)
        self.connection.execute(own.values(**columns))
        self.mark((WHOLE_SWEEP, WHOLE_SWEEP))

    def running(self, trial: int, attempt: int) -> int:
        """Key of a trial of which this attempt runs.

        Raises:
            ValueError: It has ended, or was never started.
        """
        key = trial_id(self.connection, self.sweep, trial)
        query = select(attempts.c.state).where(attempts.c.trial_id == key)
        state = self.connection.scalar(query.where(attempts.c.number == attempt))
        if state != TrialState.RUNNING.value:
            what = "was never started" if state is None else f"has ended as {state}"
            raise ValueError(
                f"Attempt {attempt} at trial {trial} of sweep {self.sweep!r} {what}; reports and "
                f"an outcome are taken from a running attempt only."
            )
        return key
