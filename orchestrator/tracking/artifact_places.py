"""The location of artifacts in an MLflow database after the project was moved or copied.

MLflow records the location of an experiment, and of each run, when they are created, and has no
call to change it, so that artifacts would still be written to the old place. So the rows are
changed. The locations that a server keeps are left to the server.
"""

from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from sqlalchemy import text

_PLACE = text("SELECT artifact_location FROM experiments WHERE experiment_id = :experiment")
_SET_PLACE = text(
    "UPDATE experiments SET artifact_location = :place WHERE experiment_id = :experiment"
)
_RUNS = text(
    "SELECT runs.run_uuid, runs.artifact_uri FROM runs "
    "JOIN tags ON tags.run_uuid = runs.run_uuid "
    "WHERE runs.experiment_id = :experiment AND tags.key = :key AND tags.value = :value "
    "AND (:run = '' OR runs.run_uuid = :run)"
)
_ALL_RUNS = text("SELECT run_uuid, artifact_uri FROM runs WHERE experiment_id = :experiment")
_SET_RUN = text("UPDATE runs SET artifact_uri = :place WHERE run_uuid = :run")


def bring_home(
    client: Any, experiment_id: str, home: Path, tag: tuple[str, str], run_id: str = ""
) -> int:
    """Move the artifact locations of an experiment, and of one sweep's runs in it, to `home`.

    Only places that this package made are changed: those whose path ends as one in `home` does.
    The user may have given the experiment another location, for example in a bucket.

    Args:
        client: MLflow's client of a database or of a server.
        experiment_id: The experiment.
        home: Its folder in the state folder of today.
        tag: Key and value of a tag that the sweep's runs have; others may share the experiment.
        run_id: One of these runs, if only that one is to be moved.

    Returns:
        The number of changed locations.
    """
    engine = getattr(client._tracking_client.store, "engine", None)  # noqa: SLF001 - no other way
    if engine is None:
        return 0
    wanted = home.as_uri()
    moved: list[dict[str, str]] = []
    experiment = {"experiment": int(experiment_id)}
    with engine.begin() as connection:
        place = connection.execute(_PLACE, experiment).scalar_one()
        which = {**experiment, "key": tag[0], "value": tag[1], "run": run_id}
        for run, uri in connection.execute(_RUNS, which).all():
            own = f"{wanted}/{run}/artifacts"
            if _was(uri, own, parts=4):
                moved.append({"run": run, "place": own})
        if moved:
            connection.execute(_SET_RUN, moved)
        is_moved = _was(place, wanted, parts=2)
        if is_moved:
            connection.execute(_SET_PLACE, {**experiment, "place": wanted})
    for each in moved:
        # MLflow (3.17) caches the artifact location of a run for the lifetime of the process.
        getattr(_mlflow_utils(), "_artifact_repos_cache", {}).pop(each["run"], None)
    return len(moved) + is_moved


def move_home(client: Any, experiment_id: str, old: Path, new: Path) -> None:
    """Move the artifacts of an experiment from one folder of this project to another one.

    What an earlier call moved stays moved. A place that was given by the user stays as it is.
    """
    engine = getattr(client._tracking_client.store, "engine", None)  # noqa: SLF001 - no other way
    if engine is None:
        return
    if old.is_dir() and not new.exists():
        old.rename(new)
    experiment = {"experiment": int(experiment_id)}
    before, after = old.as_uri(), new.as_uri()
    with engine.begin() as connection:
        found = connection.execute(_ALL_RUNS, experiment).all()
        moved = [
            {"run": run, "place": after + uri.removeprefix(before)}
            for run, uri in found
            if uri.startswith(f"{before}/")
        ]
        if moved:
            connection.execute(_SET_RUN, moved)
        if connection.execute(_PLACE, experiment).scalar_one() == before:
            connection.execute(_SET_PLACE, {**experiment, "place": after})
    for run, _ in found:
        getattr(_mlflow_utils(), "_artifact_repos_cache", {}).pop(run, None)


def _mlflow_utils() -> Any:
    from mlflow.tracking._tracking_service import utils

    return utils


def _was(uri: str, own: str, *, parts: int) -> bool:
    """Return whether a location is the same one within a state folder that was elsewhere."""
    there, here = _parts(uri), _parts(own)
    return there != here and there[-parts:] == here[-parts:]


def _parts(uri: str) -> tuple[str, ...]:
    """Split a local path into its parts; a remote location has none."""
    split = urlsplit(uri)
    if split.scheme == "file":
        return PurePosixPath(unquote(split.path)).parts
    return () if split.scheme else PurePosixPath(uri).parts
