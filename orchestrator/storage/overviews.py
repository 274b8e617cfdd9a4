"""Queries about very many trials, or all sweeps: each reads a few columns in one statement."""

from collections import defaultdict
from collections.abc import Collection

from sqlalchemy import Connection, Text, cast, func, select

from orchestrator.places import STORAGE, Roots
from orchestrator.storage.reading import (
    artifact_of,
    attempt_of,
    read_trials,
    storage_of,
    sweep_id,
)
from orchestrator.storage.tables import attempts, sweeps, trials
from orchestrator.trials import Artifact, Attempt, Outline, Trial, TrialState

_COUNTS = (
    select(sweeps.c.name, trials.c.state, func.count())
    .outerjoin(trials, trials.c.sweep_id == sweeps.c.id)
    .group_by(sweeps.c.name, trials.c.state)
)


def count_all(connection: Connection) -> dict[str, dict[TrialState, int]]:
    """Count the trials of every sweep in each state that occurs, in the order of `TrialState`."""
    found: defaultdict[str, dict[TrialState, int]] = defaultdict(dict)
    for name, state, count in connection.execute(_COUNTS):
        found[name] |= {} if state is None else {TrialState(state): count}
    return {
        name: {state: counts[state] for state in TrialState if state in counts}
        for name, counts in found.items()
    }


def read_outlines(
    connection: Connection, sweep: str, states: Collection[TrialState]
) -> list[Outline]:
    """Return the outlines of the trials in these states, in order of their numbers."""
    query = (
        select(trials.c.number, trials.c.state, trials.c.params)
        .where(trials.c.sweep_id == sweep_id(connection, sweep))
        .where(trials.c.state.in_([state.value for state in states]))
        .order_by(trials.c.number)
    )
    return [
        Outline(number, TrialState(state), params)
        for number, state, params in connection.execute(query).all()
    ]


def read_references(connection: Connection, roots: Roots, sweep: str) -> list[Trial]:
    """Return the trials that sized networks are compared with, in order of their numbers."""
    # Both databases keep the text that was written; what it means is asked of the trial.
    may_be = cast(trials.c.sampler_attrs, Text).like('%"reference"%')
    return [each for each in read_trials(connection, roots, sweep, may_be) if each.is_reference]


def read_artifacts(connection: Connection, roots: Roots, sweep: str) -> dict[int, Artifact]:
    """Return the packed networks of a sweep, by trial number."""
    query = (
        select(
            trials.c.number,
            trials.c.artifact_root,
            trials.c.artifact_path,
            trials.c.artifact_bytes,
            trials.c.artifact_sha256,
        )
        .where(trials.c.sweep_id == sweep_id(connection, sweep))
        .where(trials.c.artifact_path.is_not(None))
        .order_by(trials.c.number)
    )
    rows = connection.execute(query).all()
    if any(row.artifact_root == STORAGE for row in rows):
        roots = roots.with_storage(storage_of(connection, sweep))
    found = ((row.number, artifact_of(roots, sweep, row)) for row in rows)
    return {number: artifact for number, artifact in found if artifact is not None}


def read_all_attempts(connection: Connection, sweep: str) -> dict[int, list[Attempt]]:
    """Return the attempts at all trials of a sweep, oldest first, by trial number."""
    query = (
        select(trials.c.number.label("trial"), attempts)
        .join(attempts, attempts.c.trial_id == trials.c.id)
        .where(trials.c.sweep_id == sweep_id(connection, sweep))
        .order_by(trials.c.number, attempts.c.number)
    )
    found: defaultdict[int, list[Attempt]] = defaultdict(list)
    for row in connection.execute(query).all():
        found[row.trial].append(attempt_of(row))
    return dict(found)
