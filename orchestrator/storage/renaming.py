"""Giving a sweep another name, in its own row and in the places of its trials' files."""

from collections.abc import Iterator

from sqlalchemy import select, update

from orchestrator.errors import SweepExistsError
from orchestrator.storage.changes import Change
from orchestrator.storage.tables import attempts, sweeps, trials

_FOLDER = "sweeps"


def rename(change: Change, new: str, *, forget_runs: bool) -> None:
    """Rename the sweep of a change.

    Args:
        change: A transaction of the sweep's writer.
        new: The new name.
        forget_runs: Forget its MLflow runs, so that a mirror makes new ones.

    Raises:
        SweepExistsError: The name is taken.
    """
    connection, own = change.connection, sweeps.c.id == change.sweep_id
    if connection.scalar(select(sweeps.c.id).where(sweeps.c.name == new)) is not None:
        raise SweepExistsError(f"There is a sweep {new!r} already, and nothing was changed.")
    spec = dict(connection.execute(select(sweeps.c.spec).where(own)).scalar_one())
    columns: dict[str, object] = {"name": new, "spec": {**spec, "name": new}}
    if forget_runs:
        columns |= {"mlflow_run_id": None, "mlflow_experiment_id": None}
        keys = select(trials.c.id).where(trials.c.sweep_id == change.sweep_id)
        connection.execute(
            update(attempts).where(attempts.c.trial_id.in_(keys)).values(mlflow_run_id=None)
        )
    change.sweep_row(**columns)
    for key, place in list(_moved(change, new)):
        change.trial_row(key, artifact_path=place)


def _moved(change: Change, new: str) -> Iterator[tuple[int, str]]:
    """Keys of the trials whose files are in the sweep's folder, and the new places of these."""
    query = select(trials.c.id, trials.c.artifact_path).where(
        trials.c.sweep_id == change.sweep_id, trials.c.artifact_path.is_not(None)
    )
    before, after = f"{_FOLDER}/{change.sweep}/trials/", f"{_FOLDER}/{new}/trials/"
    for key, path in change.connection.execute(query).all():
        # Under a root it begins so; as an older version recorded it, after the state folder.
        head, found, tail = path.rpartition(before)
        if found and (not head or head.endswith("/")):
            yield key, f"{head}{after}{tail}"
