"""The store on SQLite or PostgreSQL."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Row, select, update

from orchestrator.columns import Columns
from orchestrator.contracts import Outbox, SweepWriter
from orchestrator.errors import LeaseHeldError
from orchestrator.places import Roots
from orchestrator.state_folder import StateFolder
from orchestrator.storage import overviews, reading
from orchestrator.storage.changes import insert_into, mark
from orchestrator.storage.choices import delete_choice, read_choices, write_choice
from orchestrator.storage.column_blocks import read_columns, read_value_names
from orchestrator.storage.database import Database
from orchestrator.storage.lease_holders import is_gone
from orchestrator.storage.sql_outbox import SqlOutbox
from orchestrator.storage.sql_writer import Lease, SqlWriter, storable
from orchestrator.storage.tables import WHOLE_SWEEP, sweeps, trials
from orchestrator.storage.taken_names import name_is_taken
from orchestrator.trials import (
    Artifact,
    Attempt,
    Choice,
    ChoiceKind,
    Driver,
    FailureKind,
    Outline,
    PriorPoint,
    Report,
    Standing,
    SweepRecord,
    SweepState,
    Trial,
    TrialState,
)

# Databases limit the parameters of a statement; beyond this, reading all trials is faster.
_MOST_NUMBERS = 10_000


def utc_now() -> datetime:
    """Return the time of this machine's clock, in UTC.

    If this clock is ahead of another driver's by more than a lease, that driver's lease looks
    expired; once it is taken, the other driver's token is outdated and its writes are refused.

    >>> utc_now().tzname()
    'UTC'
    """
    return datetime.now(UTC)


class SqlStore:
    """A `Store` in a database whose schema is there already; `open_store` sees to that.

    Args:
        url: SQLAlchemy URL with its driver.
        state: The state folder, under which places are recorded; default: `StateFolder.find`.
        clock: Returns the present moment with its time zone; not pickled with the store.
        read_only: Never write, even if that would be possible.
    """

    def __init__(
        self,
        url: str,
        state: StateFolder | None = None,
        *,
        clock: Callable[[], datetime] = utc_now,
        read_only: bool = False,
    ) -> None:
        self._database = Database(url, read_only=read_only)
        self._clock = clock
        file = self._database.path
        beside = None if file is None else file.parent.resolve()
        self._roots = Roots(state or StateFolder.find(), beside)

    def __reduce__(self) -> tuple[object, ...]:
        # A connection cannot travel, a URL can.
        return type(self), (self._database.full_url, self._roots.state)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    @property
    def url(self) -> str:
        """The URL of the store, without a password."""
        return self._database.url

    @property
    def database(self) -> Database:
        """Where it is stored, for those who copy or move the whole of it."""
        return self._database

    @property
    def outbox(self) -> Outbox:
        """What the mirror still has to copy."""
        return SqlOutbox(self._database)

    def close(self) -> None:
        """Close every connection; using the store again opens new ones."""
        self._database.close()

    def create_sweep(self, name: str, spec: Mapping[str, object], fingerprint: str) -> SweepRecord:
        """Store a sweep as RUNNING, or return the one of this name if its fingerprint is the same.

        Raises:
            SweepExistsError: The name is taken by a sweep with another fingerprint.
        """
        found = self._named(name) or self._created(name, spec, fingerprint)
        if found.fingerprint != fingerprint:
            raise name_is_taken(found, spec, self.value_names(name))
        return found

    def _named(self, name: str) -> SweepRecord | None:
        """The sweep of this name, if there is one; looked up without writing."""
        with self._database.reading() as connection:
            return next(iter(reading.read_sweeps(connection, sweeps.c.name == name)), None)

    def _created(self, name: str, spec: Mapping[str, object], fingerprint: str) -> SweepRecord:
        with self._database.writing() as connection:
            now = self._clock()
            row = {
                "name": name,
                "spec": dict(spec),
                "fingerprint": fingerprint,
                "state": SweepState.RUNNING.value,
                "created": now,
                "stop_reason": "",
                "revision": 1,
                # Above every token of a deleted sweep, whose key this one may have: a driver of
                # that one, if it still writes, is refused.
                "lease_token": int(now.timestamp() * 1e6),
            }
            # Another process may have created it since the look-up.
            statement = insert_into(sweeps, connection.dialect.name)
            statement = statement.on_conflict_do_nothing(index_elements=["name"])
            # SQLAlchemy keeps the row count of an INSERT only on request.
            counted = {"preserve_rowcount": True}
            is_new = connection.execute(statement, row, execution_options=counted).rowcount == 1
            key = reading.sweep_id(connection, name)
            if is_new:
                mark(connection, key, 1, (WHOLE_SWEEP, WHOLE_SWEEP))
            return reading.read_sweeps(connection, sweeps.c.id == key)[0]

    def sweeps(self) -> list[SweepRecord]:
        """Return all sweeps, oldest first."""
        with self._database.reading() as connection:
            return reading.read_sweeps(connection)

    def sweep(self, name: str) -> SweepRecord:
        """Return one sweep."""
        with self._database.reading() as connection:
            key = reading.sweep_id(connection, name)
            return reading.read_sweeps(connection, sweeps.c.id == key)[0]

    def trials(self, sweep: str, states: Collection[TrialState] = ()) -> list[Trial]:
        """Return trials in order of their numbers; only those in `states`, if any are given."""
        wanted = (trials.c.state.in_([state.value for state in states]),) if states else ()
        with self._database.reading() as connection:
            return reading.read_trials(connection, self._roots, sweep, *wanted)

    def numbered(self, sweep: str, numbers: Collection[int]) -> list[Trial]:
        """Return those trials of these numbers that exist, in order of their numbers."""
        wanted = set(numbers)
        with self._database.reading() as connection:
            if len(wanted) <= _MOST_NUMBERS:
                return reading.read_trials(
                    connection, self._roots, sweep, trials.c.number.in_(wanted)
                )
            found = reading.read_trials(connection, self._roots, sweep)
            return [trial for trial in found if trial.number in wanted]

    def columns(
        self, sweep: str, values: Collection[str], params: Collection[str] = ()
    ) -> Columns:
        """Return the complete trials as columns: their values and parameters of these names."""
        with self._database.reading() as connection:
            key = reading.sweep_id(connection, sweep)
            return read_columns(connection, key, values, params)

    def value_names(self, sweep: str) -> set[str]:
        """Return the names of all values that trials have."""
        with self._database.reading() as connection:
            return read_value_names(connection, reading.sweep_id(connection, sweep))

    def trial(self, sweep: str, number: int) -> Trial:
        """Return one trial."""
        with self._database.reading() as connection:
            key = reading.trial_id(connection, sweep, number)
            return reading.read_trial(connection, self._roots, sweep, key)

    def attempts(self, sweep: str, number: int) -> list[Attempt]:
        """Return the attempts of a trial, oldest first."""
        with self._database.reading() as connection:
            return reading.read_attempts(connection, reading.trial_id(connection, sweep, number))

    def count_states(self, sweep: str) -> Mapping[TrialState, int]:
        """Count the trials in each state that occurs, in the order of `TrialState`."""
        with self._database.reading() as connection:
            return reading.count_trials(connection, sweep)

    def standings(self, sweep: str) -> list[Standing]:
        """Return state and end of each trial, in order of their numbers."""
        with self._database.reading() as connection:
            return reading.read_standings(connection, sweep)

    def choices(self, sweep: str) -> list[Choice]:
        """Return what people decided about trials, in order of the trials' numbers."""
        with self._database.reading() as connection:
            return read_choices(connection, sweep)

    def choose(
        self, sweep: str, trial: int, kind: ChoiceKind, *, note: str = "", who: str = ""
    ) -> Choice:
        """Store a decision about a trial; an earlier one about it is replaced.

        Raises:
            ValueError: The trial is not complete.
        """
        with self._database.writing() as connection:
            choice = Choice(trial, kind, storable(note), storable(who), self._clock())
            write_choice(connection, sweep, choice)
            return choice

    def withdraw(self, sweep: str, trial: int) -> bool:
        """Remove the decision about a trial; returns whether there was one."""
        with self._database.writing() as connection:
            return delete_choice(connection, sweep, trial)

    def count_all(self) -> Mapping[str, Mapping[TrialState, int]]:
        """Count the trials of every sweep, as `count_states` does, in one query."""
        with self._database.reading() as connection:
            return overviews.count_all(connection)

    def outlines(self, sweep: str, states: Collection[TrialState]) -> list[Outline]:
        """Return the outlines of the trials in these states, in order of their numbers."""
        with self._database.reading() as connection:
            return overviews.read_outlines(connection, sweep, states)

    def references(self, sweep: str) -> list[Trial]:
        """Return the trials that sized networks are compared with, in order of their numbers."""
        with self._database.reading() as connection:
            return overviews.read_references(connection, self._roots, sweep)

    def artifacts(self, sweep: str) -> Mapping[int, Artifact]:
        """Return the packed networks of a sweep, by trial number; no trial is read as a whole."""
        with self._database.reading() as connection:
            return overviews.read_artifacts(connection, self._roots, sweep)

    def all_attempts(self, sweep: str) -> Mapping[int, Sequence[Attempt]]:
        """Return the attempts at all trials of a sweep, oldest first, by trial number."""
        with self._database.reading() as connection:
            return overviews.read_all_attempts(connection, sweep)

    def failures(self, sweep: str) -> Mapping[FailureKind, int]:
        """Count the attempts that met each kind of failure, whether or not their trials failed."""
        with self._database.reading() as connection:
            return reading.count_failures(connection, sweep)

    def reports(self, sweep: str, number: int) -> list[Report]:
        """Return the reports of a trial by epoch."""
        with self._database.reading() as connection:
            return reading.read_reports(connection, reading.trial_id(connection, sweep, number))

    def reports_at(self, sweep: str, epoch: int) -> Mapping[int, Mapping[str, float]]:
        """Return the values reported at one epoch, by trial number."""
        with self._database.reading() as connection:
            return reading.read_reports_at(connection, sweep, epoch)

    def prior_points(self, sweep: str) -> list[PriorPoint]:
        """Return what the sampler learned from before the first trial, as it was added."""
        with self._database.reading() as connection:
            return reading.read_prior_points(connection, sweep)

    def ask_to_stop(self, sweep: str, who: str) -> Driver | None:
        """Ask the driver of a sweep to interrupt it; returns that driver, or None without one."""
        with self._database.writing() as connection:
            own = sweeps.c.id == reading.sweep_id(connection, sweep)
            found = reading.read_sweeps(connection, own)[0].driver
            if found is not None:
                connection.execute(update(sweeps).where(own).values(stop_asked=who))
            return found

    def take(self, sweep: str, holder: str, *, lease_s: float = 60.0) -> SweepWriter:
        """Take the lease of a sweep, at once if its holder was a local process that has ended.

        Args:
            sweep: Name of the sweep.
            holder: Who takes it, in the format of `this_holder`.
            lease_s: Seconds until it ends unless the writer writes or renews it.

        Raises:
            LeaseHeldError: Another driver holds it; the message names it and since when.
        """
        duration = timedelta(seconds=lease_s)
        with self._database.writing() as connection:
            key = reading.sweep_id(connection, sweep)
            own = sweeps.c.id == key
            row = connection.execute(select(sweeps).where(own).with_for_update()).one()
            now = self._clock()
            if row.lease_holder and now < row.lease_expires and not is_gone(row.lease_holder):
                raise _held(row)
            token = row.lease_token + 1
            connection.execute(
                update(sweeps)
                .where(own)
                .values(
                    lease_holder=holder,
                    lease_token=token,
                    lease_since=now,
                    lease_expires=now + duration,
                    lease_heard=now,
                    stop_asked=None,
                )
            )
        lease = Lease(key, sweep, token, duration, row.lease_heard)
        return SqlWriter(self._database, lease, self._clock, self._roots)


def _held(row: Row[Any]) -> LeaseHeldError:
    return LeaseHeldError(
        f"Sweep {row.name!r} is being run by {row.lease_holder} since "
        f"{row.lease_since:%Y-%m-%d %H:%M:%S} UTC; unless renewed, its lease ends at "
        f"{row.lease_expires:%H:%M:%S} UTC. Wait for it, or end it first: paretune stop {row.name}"
    )
