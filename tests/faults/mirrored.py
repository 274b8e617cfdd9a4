"""What MLflow must hold of a sweep after any fault, read with MLflow's own client."""

import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from orchestrator.fronts.front import compute_front
from orchestrator.spec.stored import spec_objectives
from orchestrator.trials import Attempt, Report, Trial, TrialState
from tests.faults.testbed import NAME, TRIALS, Testbed

_ENDS = ("FINISHED", "FAILED", "KILLED")
_OF_THE_SWEEP = {"sweep.json", "front.csv", "front.html"}


def unmirrored(testbed: Testbed) -> Iterator[str]:
    """One parent run and exactly one ended run an attempt, with all that the store says."""
    store = testbed.store()
    sweep, trials = store.sweep(NAME), store.trials(NAME)
    tried = [(trial, store.attempts(NAME, trial.number)) for trial in trials]
    reports = {trial.number: store.reports(NAME, trial.number) for trial in trials}
    store.close()
    with _client(testbed.mlflow_uri) as client:
        (experiment,) = [e for e in client.search_experiments() if e.name == NAME]
        found = client.search_runs([experiment.experiment_id], max_results=1000)
        runs = {run.info.run_id: run for run in found}
        yield from _of_runs(runs, sweep.mlflow_run_id, [a for _, each in tried for a in each])
        parent = sweep.mlflow_run_id or ""
        if lacking := _OF_THE_SWEEP - _files(client, parent).keys():
            yield f"MLflow's run of the sweep lacks {sorted(lacking)}"
        front = {member.trial for member in compute_front(trials, spec_objectives(sweep.spec))}
        for trial, attempts in tried:
            run = runs.get(attempts[-1].mlflow_run_id or "")
            if run is None or trial.state is not TrialState.COMPLETE:
                continue
            packed = trial.artifact if trial.number in front else None
            files = {} if packed is None else {Path(packed.path).name: packed.bytes}
            for what in (
                *_of_a_trial(run, trial),
                *_of_a_curve(client, run, reports[trial.number]),
                *(
                    name
                    for name in files
                    if files.items() - _files(client, run.info.run_id).items()
                ),
            ):
                yield f"MLflow's run of trial {trial.number} lacks {what}"


def _of_runs(
    runs: Mapping[str, Any], parent: str | None, attempts: list[Attempt]
) -> Iterator[str]:
    nested = {key for key, run in runs.items() if "mlflow.parentRunId" in run.data.tags}
    if runs.keys() - nested != {parent}:
        yield f"MLflow has {len(runs) - len(nested)} parent runs"
    if nested != {attempt.mlflow_run_id for attempt in attempts} or len(nested) != len(attempts):
        yield f"MLflow has {len(nested)} runs for {len(attempts)} attempts"
    for run in runs.values():
        if run.info.status not in _ENDS:
            yield f"MLflow's run {run.info.run_name} is {run.info.status}"
        if run.info.end_time is None or run.info.end_time < run.info.start_time:
            yield f"MLflow's run {run.info.run_name} ended before it began"
    finished = sum(runs[key].info.status == "FINISHED" for key in nested)
    if finished != TRIALS:
        yield f"{finished} of MLflow's runs are FINISHED, for {TRIALS} trials"


def _of_a_trial(run: Any, trial: Trial) -> Iterator[str]:
    for name, value in {**trial.params, "seed": trial.seed}.items():
        if run.data.params.get(name) != str(value):
            yield f"the param {name} = {value}"
    for name, number in trial.values.items():
        if run.data.metrics.get(name) != number:
            yield f"the metric {name} = {number}"


def _of_a_curve(client: Any, run: Any, reports: Sequence[Report]) -> Iterator[str]:
    """Every epoch once, with its value.

    Not so for times: an epoch after the last checkpoint is trained again by the next attempt, and
    what MLflow keeps may be how long it took before.
    """
    names = {name for report in reports for name in report.values}
    for name in sorted(names):
        is_time = name == "seconds"
        wanted = Counter(
            (report.epoch, 0.0 if is_time else report.values[name])
            for report in reports
            if name in report.values
        )
        epochs = {epoch for epoch, _ in wanted}
        found = Counter(
            (point.step, 0.0 if is_time else point.value)
            for point in client.get_metric_history(run.info.run_id, name)
            if point.step in epochs
        )
        if found != wanted:
            yield f"epochs of {name}, or has some twice or otherwise: {found} for {wanted}"


def _files(client: Any, run: str) -> dict[str, int]:
    return {item.path: item.file_size for item in client.list_artifacts(run)}


@contextmanager
def _client(uri: str) -> Iterator[Any]:
    from mlflow.tracking import MlflowClient

    with warnings.catch_warnings():
        # MLflow 3.17 uses what SQLAlchemy 2.1 deprecates.
        warnings.simplefilter("ignore", DeprecationWarning)
        yield MlflowClient(tracking_uri=uri)
