"""From rows to values: every query of the store, inside a transaction of its caller.

A sweep's trials are read in two queries, however many there are.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, bindparam, func, select

from orchestrator.errors import UnknownNameError
from orchestrator.places import STORAGE, Place, Roots
from orchestrator.storage.tables import (
    attempts,
    prior_points,
    reports,
    sweeps,
    trial_values,
    trials,
)
from orchestrator.trials import (
    Artifact,
    Attempt,
    Driver,
    Failure,
    FailureKind,
    PriorPoint,
    Report,
    Standing,
    SweepRecord,
    SweepState,
    Trial,
    TrialState,
)

_ALL_TRIALS = (
    select(
        trials.c.id,
        trials.c.number,
        trials.c.params,
        trials.c.seed,
        trials.c.replicate,
        trials.c.state,
        trials.c.attempts,
        trials.c.artifact_root,
        trials.c.artifact_path,
        trials.c.artifact_bytes,
        trials.c.artifact_sha256,
        trials.c.sampler_attrs,
        trials.c.created,
        trials.c.ended,
        attempts.c.mlflow_run_id,
        attempts.c.failure_kind,
        attempts.c.failure_message,
        attempts.c.failure_traceback,
    )
    .outerjoin(
        attempts,
        and_(attempts.c.trial_id == trials.c.id, attempts.c.number == trials.c.attempts - 1),
    )
    .order_by(trials.c.number)
)
_ALL_VALUES = (
    select(trial_values.c.trial_id, trial_values.c.name, trial_values.c.value)
    .join(trials, trials.c.id == trial_values.c.trial_id)
    .order_by(trial_values.c.trial_id, trial_values.c.name)
)
_ONE_TRIAL = _ALL_TRIALS.where(trials.c.id == bindparam("key"))
_ONE_TRIALS_VALUES = _ALL_VALUES.where(trials.c.id == bindparam("key"))
_SPEC = select(sweeps.c.spec).where(sweeps.c.name == bindparam("name"))
_SWEEP_ID = select(sweeps.c.id).where(sweeps.c.name == bindparam("name"))
_FIND_TRIAL = select(trials.c.id, trials.c.state, trials.c.attempts).where(
    trials.c.sweep_id == bindparam("sweep"), trials.c.number == bindparam("number")
)
_FAILURES = (
    select(attempts.c.failure_kind, func.count())
    .join(trials, trials.c.id == attempts.c.trial_id)
    .where(trials.c.sweep_id == bindparam("sweep"), attempts.c.failure_kind.is_not(None))
    .group_by(attempts.c.failure_kind)
)
_REPORTS_AT = (
    select(trials.c.number, reports.c["values"])
    .join(trials, trials.c.id == reports.c.trial_id)
    .where(reports.c.sweep_id == bindparam("sweep"), reports.c.epoch == bindparam("epoch"))
    .order_by(trials.c.number)
)


def sweep_id(connection: Connection, name: str) -> int:
    """Return the key of the sweep called `name`.

    Raises:
        UnknownNameError: There is none.
    """
    key = connection.scalar(_SWEEP_ID, {"name": name})
    if key is None:
        raise UnknownNameError("sweep", name, connection.scalars(select(sweeps.c.name)))
    return int(key)


def read_sweeps(connection: Connection, *conditions: ColumnElement[bool]) -> list[SweepRecord]:
    """Return the sweeps that meet all `conditions`, oldest first."""
    query = select(sweeps).where(*conditions).order_by(sweeps.c.id)
    return [
        SweepRecord(
            name=row.name,
            spec=row.spec,
            fingerprint=row.fingerprint,
            state=SweepState(row.state),
            created=row.created,
            ended=row.ended,
            stop_reason=row.stop_reason,
            mlflow_run_id=row.mlflow_run_id,
            mlflow_experiment_id=row.mlflow_experiment_id,
            driver=_driver(row),
            content=row.content or {},
            revision=row.revision,
        )
        for row in connection.execute(query)
    ]


def find_trial(
    connection: Connection, sweep: int, name: str, number: int
) -> tuple[int, TrialState, int]:
    """Return key, state and number of attempts of one trial of the sweep with the key `sweep`.

    Raises:
        UnknownNameError: The sweep, called `name`, has no trial of this number.
    """
    found = connection.execute(_FIND_TRIAL, {"sweep": sweep, "number": _fitting(number)}).first()
    if found is None:
        count = select(func.count()).where(trials.c.sweep_id == sweep)
        known = [f"0 to {n - 1}"] if (n := connection.scalar(count)) else []
        raise UnknownNameError("trial", str(number), known, where=f"sweep {name!r}")
    return found.id, TrialState(found.state), found.attempts


def trial_id(connection: Connection, sweep: str, number: int) -> int:
    """Return the key of one trial.

    Raises:
        UnknownNameError: The sweep has no trial of this number, or there is no such sweep.
    """
    return find_trial(connection, sweep_id(connection, sweep), sweep, number)[0]


def read_trials(
    connection: Connection, roots: Roots, sweep: str, *conditions: ColumnElement[bool]
) -> list[Trial]:
    """Return the trials of one sweep that meet all `conditions`, in order of their numbers."""
    conditions = (trials.c.sweep_id == sweep_id(connection, sweep), *conditions)
    values: defaultdict[int, dict[str, float]] = defaultdict(dict)
    for trial, name, value in connection.execute(_ALL_VALUES.where(*conditions)).all():
        values[trial][name] = value
    rows = connection.execute(_ALL_TRIALS.where(*conditions)).all()  # at once: half the time
    if any(row.artifact_root == STORAGE for row in rows):
        roots = roots.with_storage(storage_of(connection, sweep))
    return [_trial(roots, sweep, row, values[row.id]) for row in rows]


def read_trial(connection: Connection, roots: Roots, sweep: str, key: int) -> Trial:
    """Return the trial with the key `key`, of the sweep called `sweep`."""
    rows = connection.execute(_ONE_TRIALS_VALUES, {"key": key})
    values = {name: value for _, name, value in rows}
    row = connection.execute(_ONE_TRIAL, {"key": key}).one()
    if row.artifact_root == STORAGE:
        roots = roots.with_storage(storage_of(connection, sweep))
    return _trial(roots, sweep, row, values)


def storage_of(connection: Connection, sweep: str) -> str | None:
    """Return the ``storage`` of a sweep's stored spec; None where it has none."""
    spec = connection.scalar(_SPEC, {"name": sweep}) or {}
    storage = spec.get("storage")
    return str(storage) if storage else None


def read_attempts(connection: Connection, trial: int) -> list[Attempt]:
    """Return the attempts at the trial with the key `trial`, oldest first."""
    query = select(attempts).where(attempts.c.trial_id == trial).order_by(attempts.c.number)
    return [attempt_of(row) for row in connection.execute(query)]


def attempt_of(row: Row[*tuple[Any, ...]]) -> Attempt:
    """Build an attempt from its row."""
    return Attempt(
        number=row.number,
        state=TrialState(row.state),
        worker=row.worker,
        started=row.started,
        ended=row.ended,
        failure=_failure(row),
        mlflow_run_id=row.mlflow_run_id,
    )


def count_trials(connection: Connection, sweep: str) -> dict[TrialState, int]:
    """Count a sweep's trials in each state that occurs, in the order of `TrialState`."""
    query = (
        select(trials.c.state, func.count())
        .where(trials.c.sweep_id == sweep_id(connection, sweep))
        .group_by(trials.c.state)
    )
    counts = {TrialState(state): count for state, count in connection.execute(query)}
    return {state: counts[state] for state in TrialState if state in counts}


def read_standings(connection: Connection, sweep: str) -> list[Standing]:
    """Return state and end of each trial of a sweep, in order of their numbers."""
    own = trials.c.sweep_id == sweep_id(connection, sweep)
    query = select(trials.c.number, trials.c.state, trials.c.ended).where(own)
    states = {state.value: state for state in TrialState}
    rows = connection.execute(query.order_by(trials.c.number)).all()
    return [Standing(number, states[state], ended) for number, state, ended in rows]


def count_failures(connection: Connection, sweep: str) -> dict[FailureKind, int]:
    """Count a sweep's attempts that met each kind of failure, in the order of `FailureKind`."""
    found = connection.execute(_FAILURES, {"sweep": sweep_id(connection, sweep)})
    counts = {FailureKind(kind): count for kind, count in found}
    return {kind: counts[kind] for kind in FailureKind if kind in counts}


def read_reports(connection: Connection, trial: int) -> list[Report]:
    """Return the reports of the trial with the key `trial`, by epoch."""
    query = select(reports.c.epoch, reports.c["values"]).where(reports.c.trial_id == trial)
    return [Report(*row) for row in connection.execute(query.order_by(reports.c.epoch))]


def read_reports_at(
    connection: Connection, sweep: str, epoch: int
) -> Mapping[int, Mapping[str, float]]:
    """Return the values that a sweep's trials reported at one epoch, in order of their numbers."""
    which = {"sweep": sweep_id(connection, sweep), "epoch": _fitting(epoch)}
    return {row.number: row[1] for row in connection.execute(_REPORTS_AT, which)}


def read_prior_points(connection: Connection, sweep: str) -> list[PriorPoint]:
    """Return what the sampler of a sweep learned from before the first trial, as it was added."""
    columns = (prior_points.c.params, prior_points.c["values"], prior_points.c.source)
    query = select(*columns).where(prior_points.c.sweep_id == sweep_id(connection, sweep))
    return [PriorPoint(*row) for row in connection.execute(query.order_by(prior_points.c.number))]


def _trial(
    roots: Roots, sweep: str, row: Row[*tuple[Any, ...]], values: Mapping[str, float]
) -> Trial:
    state = TrialState(row.state)
    failed = state is TrialState.FAILED
    return Trial(
        sweep=sweep,
        number=row.number,
        params=row.params,
        seed=row.seed,
        state=state,
        replicate=row.replicate,
        values=values,
        failure=_failure(row) if failed else None,
        artifact=artifact_of(roots, sweep, row),
        attempts=row.attempts,
        mlflow_run_id=row.mlflow_run_id,
        sampler_attrs=row.sampler_attrs,
        created=row.created,
        ended=row.ended,
    )


def artifact_of(roots: Roots, sweep: str, row: Row[*tuple[Any, ...]]) -> Artifact | None:
    """Build the artifact of a trial from the trial's row; None where it has none."""
    if row.artifact_path is None:
        return None
    size, sha256 = row.artifact_bytes, row.artifact_sha256
    place = Place(row.artifact_path, row.artifact_root)
    return Artifact(roots.address(place, sweep, row.number, size, sha256), size, sha256)


def _driver(row: Row[Any]) -> Driver | None:
    if row.lease_holder is None:
        return None
    # A store of an older version has no time of the last renewal, only that of the first.
    heard = row.lease_heard or row.lease_since
    return Driver(row.lease_holder, row.lease_since, heard, row.lease_expires)


def _failure(row: Row[*tuple[Any, ...]]) -> Failure | None:
    if row.failure_kind is None:
        return None
    return Failure(FailureKind(row.failure_kind), row.failure_message, row.failure_traceback)


def _fitting(number: int) -> int:
    # No row has a number that the column could not hold.
    return number if 0 <= number < 2**31 else -1
