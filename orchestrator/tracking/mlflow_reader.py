"""Reads a sweep from MLflow alone, where the tracking server is at hand but not the store."""

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

from orchestrator.addresses import sqlite_file
from orchestrator.errors import OrchestratorError, UnknownNameError
from orchestrator.objectives import Direction, Objective
from orchestrator.tracking.mlflow_server import MlflowServer
from orchestrator.tracking.run_content import (
    ARTIFACT,
    ATTEMPT,
    CONSTRAINTS,
    FAILURE,
    OBJECTIVES,
    PARAMS,
    RUN,
    STATE,
    SWEEP,
    SWEEP_ID,
    TRIAL,
    VALUES,
)
from orchestrator.tracking.runs import RunView, from_json_tags
from orchestrator.trials import Artifact, Failure, FailureKind, Trial, TrialState

logger = logging.getLogger(__name__)


def trials_from_mlflow(
    tracking_uri: str, experiment: str, *, parent_run: str | None = None
) -> tuple[tuple[Objective, ...], list[Trial], list[str]]:
    """Read a sweep back from what the mirror wrote.

    A trial is read from the run of its latest attempt; types and full precision come from tags
    that the mirror wrote for this purpose.

    Args:
        tracking_uri: MLflow server or database.
        experiment: Name of the experiment.
        parent_run: Id of the sweep's own run, where several sweeps of one name were tracked to
            one MLflow; by default the newest, with a warning.

    Returns:
        The objectives, the trials in order of their numbers, and the constraints as written.

    Raises:
        UnknownNameError: There is no such experiment, or no such run in it.
        OrchestratorError: It was deleted or holds no sweep, or there is no such database.
        TrackingError: MLflow cannot be reached.
    """
    _check_database(tracking_uri)
    server = MlflowServer(tracking_uri)
    experiments = server.experiments()
    if experiment not in experiments:
        if server.is_deleted_experiment(experiment):
            raise OrchestratorError(
                f"Experiment {experiment!r} was deleted in MLflow at {server.name}. Where the "
                f"store is, 'paretune sync {experiment}' restores it with all that it lacks."
            )
        raise UnknownNameError("experiment", experiment, experiments, where=server.name)
    parents = list(server.runs(experiments[experiment], {RUN: "sweep"}))
    if not parents:
        raise OrchestratorError(
            f"Experiment {experiment!r} of MLflow at {server.name} holds no sweep of paretune."
        )
    parent = _chosen(parents, parent_run, experiment)
    wanted = {SWEEP_ID: parent.tags[SWEEP_ID], RUN: "attempt"}
    latest: dict[int, RunView] = {}
    for run in server.runs(experiments[experiment], wanted):
        number = int(run.tags[TRIAL])
        if number not in latest or int(run.tags[ATTEMPT]) > int(latest[number].tags[ATTEMPT]):
            latest[number] = run
    objectives = tuple(
        Objective(name, Direction(direction))
        for name, direction in _mapping(parent, OBJECTIVES).items()
    )
    constraints = cast(list[str], from_json_tags(parent.tags, CONSTRAINTS) or [])
    return objectives, [_trial(latest[number]) for number in sorted(latest)], constraints


def _chosen(parents: Sequence[RunView], run_id: str | None, experiment: str) -> RunView:
    """Choose the given run of the sweep, else the newest, with a warning if there are several."""
    by_id = {parent.run_id: parent for parent in parents}
    if run_id is not None:
        if run_id not in by_id:
            raise UnknownNameError("parent run", run_id, by_id, where=f"experiment {experiment!r}")
        return by_id[run_id]
    if len({parent.tags[SWEEP_ID] for parent in parents}) > 1:
        listed = "; ".join(
            f"{parent.run_id}, begun {_moment(parent.started_ms):%Y-%m-%d %H:%M:%S} UTC"
            for parent in parents
        )
        logger.warning(
            "Experiment %r holds %d sweeps of this name (%s). This is the newest; another one is "
            "chosen by the id of its run: parent_run=..., or --parent-run.",
            experiment,
            len(parents),
            listed,
        )
    return parents[-1]


def _trial(run: RunView) -> Trial:
    kept = _mapping(run, PARAMS)
    artifact = cast(list[Any] | None, from_json_tags(run.tags, ARTIFACT))
    failure = cast(list[str] | None, from_json_tags(run.tags, FAILURE))
    state = TrialState(run.tags[STATE])
    return Trial(
        sweep=run.tags[SWEEP],
        number=int(run.tags[TRIAL]),
        params=kept["params"],
        seed=kept["seed"],
        replicate=kept["replicate"],
        state=state,
        values=_mapping(run, VALUES),
        failure=(
            Failure(FailureKind(failure[0]), failure[1])
            if failure and state is TrialState.FAILED
            else None
        ),
        artifact=Artifact(*artifact) if artifact else None,
        attempts=int(run.tags[ATTEMPT]) + 1,
        mlflow_run_id=run.run_id,
        ended=_moment(run.ended_ms) if state.is_final else None,
    )


def _mapping(run: RunView, key: str) -> Mapping[str, Any]:
    return cast(Mapping[str, Any], from_json_tags(run.tags, key) or {})


def _moment(ms: int | None) -> datetime | None:
    return None if ms is None else datetime.fromtimestamp(ms / 1_000, tz=UTC)


def _check_database(tracking_uri: str) -> None:
    """Reject a missing SQLite file: MLflow would create one, and find it empty."""
    path = sqlite_file(tracking_uri)
    if path is not None and not path.is_file():
        raise OrchestratorError(
            f"There is no MLflow database at {path}. Name the one that a sweep was tracked to, "
            f"for example sqlite:///.paretune/mlflow.db."
        )
