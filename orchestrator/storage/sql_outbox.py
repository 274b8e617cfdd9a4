"""What the mirror still has to copy, written in the same transactions as the data itself."""

from collections.abc import Sequence

from sqlalchemy import bindparam, delete, select, update

from orchestrator.contracts import Mark
from orchestrator.errors import UnknownNameError
from orchestrator.storage.changes import mark
from orchestrator.storage.database import Database
from orchestrator.storage.reading import sweep_id, trial_id
from orchestrator.storage.tables import WHOLE_SWEEP, attempts, outbox, sweeps, trials

_FORGET = delete(outbox).where(
    outbox.c.sweep_id == bindparam("own"),
    outbox.c.trial == bindparam("of_trial"),
    outbox.c.attempt == bindparam("of_attempt"),
    outbox.c.revision == bindparam("seen"),
)


class SqlOutbox:
    """The outbox of a `SqlStore`. Thread-safe; needs no lease, so that `sync` runs any time."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def pending(self, sweep: str, *, limit: int = 100) -> list[Mark]:
        """Return the oldest marks."""
        with self._database.reading() as connection:
            query = (
                select(outbox.c.trial, outbox.c.attempt, outbox.c.revision)
                .where(outbox.c.sweep_id == sweep_id(connection, sweep))
                .order_by(outbox.c.id)
                .limit(limit)
            )
            return [
                Mark(sweep, None, None, revision)
                if trial == WHOLE_SWEEP
                else Mark(sweep, trial, attempt, revision)
                for trial, attempt, revision in connection.execute(query)
            ]

    def done(self, mark: Mark) -> None:
        """Forget a mark, unless its subject changed again since it was read."""
        self.done_all([mark])

    def done_all(self, marks: Sequence[Mark]) -> None:
        """Forget marks as `done` does, all of one sweep, in one transaction."""
        if not marks:
            return
        with self._database.writing() as connection:
            own = sweep_id(connection, marks[0].sweep)
            rows = [
                {
                    "own": own,
                    "of_trial": WHOLE_SWEEP if mark.trial is None else mark.trial,
                    "of_attempt": WHOLE_SWEEP if mark.attempt is None else mark.attempt,
                    "seen": mark.revision,
                }
                for mark in marks
            ]
            connection.execute(_FORGET, rows)

    def mark_all(self, sweep: str) -> int:
        """Mark the sweep and all its attempts for `paretune sync`; returns the number of marks."""
        with self._database.writing() as connection:
            key = sweep_id(connection, sweep)
            # Changes the row before it is read, and so locks it until the commit.
            more = update(sweeps).where(sweeps.c.id == key)
            connection.execute(more.values(revision=sweeps.c.revision + 1))
            revision = connection.scalars(select(sweeps.c.revision).where(sweeps.c.id == key))
            query = (
                select(trials.c.number, attempts.c.number)
                .join(attempts, attempts.c.trial_id == trials.c.id)
                .where(trials.c.sweep_id == key)
                .order_by(trials.c.number, attempts.c.number)
            )
            subjects = [(trial, attempt) for trial, attempt in connection.execute(query)]
            mark(connection, key, revision.one(), (WHOLE_SWEEP, WHOLE_SWEEP), *subjects)
            return 1 + len(subjects)

    def record_sweep_run(self, sweep: str, experiment_id: str, run_id: str) -> None:
        """Remember the MLflow experiment and parent run of a sweep."""
        with self._database.writing() as connection:
            connection.execute(
                update(sweeps)
                .where(sweeps.c.id == sweep_id(connection, sweep))
                .values(mlflow_experiment_id=experiment_id, mlflow_run_id=run_id)
            )

    def record_attempt_run(self, sweep: str, trial: int, attempt: int, run_id: str) -> None:
        """Remember the MLflow run of an attempt."""
        with self._database.writing() as connection:
            changed = connection.execute(
                update(attempts)
                .where(attempts.c.trial_id == trial_id(connection, sweep, trial))
                .where(attempts.c.number == attempt)
                .values(mlflow_run_id=run_id)
            )
            if changed.rowcount == 0:
                raise UnknownNameError(
                    "attempt", str(attempt), (), where=f"trial {trial} of sweep {sweep!r}"
                )
