"""Where the artifacts of runs in a database of MLflow lie, after the project was moved or copied.

MLflow records the place of an experiment, and of each run, as it was when they were made, and has
no call to change it; whoever writes an artifact then writes to where the project was. So the rows
are changed. What a server keeps is the server's affair.
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
_SET_RUN = text("UPDATE runs SET artifact_uri = :place WHERE run_uuid = :run")


def bring_home(
    client: Any, experiment_id: str, home: Path, tag: tuple[str, str], run_id: str = ""
) -> int:
    """Let an experiment, and the runs of one sweep in it, have their artifacts in `home`.

    Only places that this package made are changed: those whose path ends as one in `home` does.
    A person may have given the experiment another place, in a bucket for example.

    Args:
        client: MLflow's, of a database or of a server.
        experiment_id: The experiment.
        home: Its folder in the state folder of today.
        tag: Key and value of a tag that the sweep's runs have; others may share the experiment.
        run_id: One of these runs, if not all are to be looked at.

    Returns:
        How many places were changed.
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
        # MLflow (3.17) remembers, for as long as the process lives, where a run's artifacts were.
        getattr(_mlflow_utils(), "_artifact_repos_cache", {}).pop(each["run"], None)
    return len(moved) + is_moved


def _mlflow_utils() -> Any:
    from mlflow.tracking._tracking_service import utils

    return utils


def _was(uri: str, own: str, *, parts: int) -> bool:
    """Whether a place is the same one of a state folder that lay elsewhere."""
    there, here = _parts(uri), _parts(own)
    return there != here and there[-parts:] == here[-parts:]


def _parts(uri: str) -> tuple[str, ...]:
    """Parts of a local path; none of what lies elsewhere."""
    split = urlsplit(uri)
    if split.scheme == "file":
        return PurePosixPath(unquote(split.path)).parts
    return () if split.scheme else PurePosixPath(uri).parts
