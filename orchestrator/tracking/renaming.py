"""Renaming a sweep in MLflow: its experiment, its runs, and the folder of its artifacts."""

from orchestrator.contracts import Store
from orchestrator.errors import OrchestratorError
from orchestrator.tracking.mlflow_mirror import MlflowMirror
from orchestrator.tracking.run_content import SWEEP_ID, sweep_id
from orchestrator.trials import SweepRecord


def check_alone(mirror: MlflowMirror, sweep: SweepRecord) -> None:
    """Check that a sweep has its experiment for itself, so that it may be renamed.

    Raises:
        OrchestratorError: Runs of others are in it, or MLflow does not answer.
    """
    advice = (
        f"Nothing was changed. To rename the sweep and leave MLflow as it is, with new runs under "
        f"the new name: paretune rename {sweep.name} NEW --without-runs"
    )
    try:
        if (experiment := sweep.mlflow_experiment_id) is None:
            return
        runs = mirror.server.runs(experiment, {}, with_deleted=True)
        strangers = sum(run.tags.get(SWEEP_ID) != sweep_id(sweep) for run in runs)
    except OrchestratorError as error:
        raise OrchestratorError(f"{error} {advice}") from error
    if strangers:
        raise OrchestratorError(
            f"The MLflow experiment {sweep.name!r} also has {strangers} runs of others, which "
            f"would be renamed with it. {advice}"
        )


def rename_runs(mirror: MlflowMirror, store: Store, old: str, new: str) -> None:
    """Rename the experiment of a sweep, and its runs' tags; the sweep is renamed in the store.

    Args:
        mirror: The sweep's, under its new name.
        store: The store.
        old: The former name.
        new: The name.

    Raises:
        TrackingError: MLflow cannot be reached.
    """
    sweep = store.sweep(new)
    if sweep.mlflow_experiment_id is None or sweep.mlflow_run_id is None:
        return
    mirror.server.rename_experiment(sweep.mlflow_experiment_id, new)
    mirror.move_artifacts(old)
    mirror.server.rename_run(sweep.mlflow_run_id, new)
    # The mirror knows the runs by their ids, and sends the tags that differ.
    store.outbox.mark_all(new)
    mirror.drain(new)
