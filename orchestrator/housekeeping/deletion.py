"""Deleting a sweep: what it has, and its end in MLflow, on disk and in the store, in this order.

The store is last, so that a deletion that was interrupted is finished by the same command.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.contracts import Store
from orchestrator.driver.leftovers import used_bytes
from orchestrator.errors import OrchestratorError
from orchestrator.file_storage.storage import FileStorage, is_remote
from orchestrator.housekeeping.removal import remove_folder
from orchestrator.queries.sweeps import Sweep, open_sweep
from orchestrator.state_folder import StateFolder
from orchestrator.storage import this_holder
from orchestrator.tracking import MlflowMirror, stored_mirror
from orchestrator.trials import Trial


@dataclass(frozen=True, slots=True)
class Holdings:
    """What there is of one sweep.

    Attributes:
        sweep: Its name.
        trials: Number of its trials, whatever their state.
        folders: On this machine, with packed networks, predictions, checkpoints and logs.
        bytes: Sum of the files in `folders`.
        storage: Where its files are besides, without credentials; empty if nowhere.
        runs: Identifiers of its MLflow runs: its own, and one an attempt.
    """

    sweep: str
    trials: int
    folders: tuple[Path, ...]
    bytes: int
    storage: str
    runs: tuple[str, ...]


def holdings(name: str, store: Store | str | None = None) -> Holdings:
    """List what there is of a sweep; nothing is changed.

    Args:
        name: Name of the sweep.
        store: As in `orchestrator.open_sweep`.

    Raises:
        UnknownNameError: There is no such sweep.
    """
    return _holdings(open_sweep(name, store))


def delete_sweep(
    name: str, store: Store | str | None = None, *, keep_runs: bool = False
) -> Holdings:
    """Delete a sweep: its MLflow runs, its files, and its rows in the store.

    MLflow keeps a deleted run until ``mlflow gc`` is called, so that it can be restored there. The
    stage cache is shared by sweeps and stays.

    Args:
        name: Name of the sweep.
        store: As in `orchestrator.open_sweep`.
        keep_runs: Leave MLflow as it is.

    Returns:
        What there was.

    Raises:
        UnknownNameError: There is no such sweep.
        LeaseHeldError: A driver runs it.
        OrchestratorError: MLflow or the file system refused; the sweep is still in the store, and
            the same call goes on.
    """
    sweep = open_sweep(name, store)
    writer = sweep.store.take(name, this_holder())
    try:
        # Listed under the lease, so that no driver adds a trial meanwhile.
        had = _holdings(sweep)
        if not keep_runs:
            _delete_runs(sweep, had.runs)
        for folder in had.folders:
            remove_folder(
                folder,
                f"Sweep {name!r} is still in the store; call the command again when the folder "
                f"can be written to.",
            )
        if storage := sweep.spec.get("storage"):
            FileStorage(storage).remove(f"sweeps/{name}")
        writer.delete_sweep()
    except BaseException:
        writer.release()
        raise
    return had


def _holdings(sweep: Sweep) -> Holdings:
    trials = sweep.trials()
    folders = _folders(sweep.name, trials)
    storage = sweep.spec.get("storage")
    attempts = [
        attempt for trial in trials for attempt in sweep.store.attempts(sweep.name, trial.number)
    ]
    runs = [sweep.record.mlflow_run_id, *(attempt.mlflow_run_id for attempt in attempts)]
    return Holdings(
        sweep.name,
        len(trials),
        folders,
        sum(map(used_bytes, folders)),
        str(FileStorage(storage)) if storage else "",
        tuple(run for run in runs if run),
    )


def _folders(name: str, trials: Sequence[Trial]) -> tuple[Path, ...]:
    """The folders of a sweep here: of the state folder, and wherever the store found networks."""
    state = StateFolder.find()
    found = {state.sweep_folder(name), state.log_folder(name)}
    for trial in trials:
        if trial.artifact is None or is_remote(trial.artifact.path):
            continue
        folder = Path(trial.artifact.path).parents[2]
        if (folder.parent.name, folder.name) == ("sweeps", name):
            found.add(folder)
    return tuple(sorted(folder for folder in found if folder.is_dir()))


def _delete_runs(sweep: Sweep, runs: Sequence[str]) -> None:
    if not runs:
        return
    mirror = stored_mirror(sweep.record, sweep.store, StateFolder.find())
    if not isinstance(mirror, MlflowMirror):
        return
    try:
        for run in runs:
            found = mirror.server.run(run)
            if found is not None and not found.is_deleted:
                mirror.server.delete_run(run)
    except OrchestratorError as error:
        raise OrchestratorError(
            f"Not all MLflow runs of {sweep.name!r} could be deleted, and the rest of the sweep "
            f"was left as it is: {error} Delete the sweep when MLflow answers, or leave its runs: "
            f"paretune delete {sweep.name} --keep-runs"
        ) from error
