"""MLflow, seen through the few calls that the mirror needs. The only file that imports it.

Only `MlflowClient` is used, never the fluent interface (``mlflow.start_run``): it keeps an active
run in global state, which a user's own code may need.
"""

import contextlib
import os
import sqlite3
import warnings
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from orchestrator.addresses import missing_driver, mlflow_address, sqlite_file
from orchestrator.redaction import redacted
from orchestrator.tracking.errors import RefusedError, TrackingError
from orchestrator.tracking.mlflow_database import fill_or_copy, make_database
from orchestrator.tracking.runs import (
    Changes,
    MetricPoint,
    RunContent,
    RunView,
    missing_from,
)

# Read by MLflow from the environment and nowhere else (3.17). A user's own setting wins.
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # Not "Creating initial MLflow database tables..." and such; and a database that fails raises,
    # which is reported in a sentence; MLflow would also print the traceback.
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # Ending a run prints its URL to stdout, which belongs to our JSON.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # Seven tries with growing pauses and 120 s each would hold the mirror for minutes when the
    # server is away; the outbox keeps what is not sent, and the mirror has pauses of its own.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}
_REFUSALS = ("INVALID_PARAMETER_VALUE", "BAD_REQUEST", "INVALID_STATE")
_PAGE = 1_000


class MlflowServer:
    """One MLflow: a server's URL, or the URL of a database that a server also reads.

    It connects at the first call: importing MLflow takes seconds, a new database as many, and a
    server may be away. Not thread-safe.

    Args:
        tracking_uri: For example ``http://mlflow:5000`` or ``sqlite:////data/mlflow.db``.

    Every method raises `TrackingError` when MLflow cannot be reached, and `RefusedError` when it
    answers that it will not do what was asked.
    """

    def __init__(self, tracking_uri: str) -> None:
        self._uri = tracking_uri
        self._opened: Any = None

    @property
    def name(self) -> str:
        """Its URI without a password."""
        return redacted(self._uri)

    def experiment_id(self, name: str, *, artifact_root: Path | None = None) -> str:
        """Return the id of an experiment, creating it if missing and restoring it if deleted.

        Args:
            name: Name of the experiment.
            artifact_root: Folder of a new experiment's artifacts; None leaves it to the server.
        """
        with self._reaching() as client:
            experiment = client.get_experiment_by_name(name)
            if experiment is None:
                place = None if artifact_root is None else (artifact_root / name).as_uri()
                return str(client.create_experiment(name, artifact_location=place))
            if experiment.lifecycle_stage == "deleted":
                client.restore_experiment(experiment.experiment_id)
            return str(experiment.experiment_id)

    def experiment_tags(self, experiment_id: str) -> dict[str, str]:
        """Return the tags of an experiment."""
        with self._reaching() as client:
            return dict(client.get_experiment(experiment_id).tags)

    def tag_experiment(self, experiment_id: str, tag: tuple[str, str]) -> None:
        """Give an experiment a tag; one that it has already is replaced."""
        with self._reaching() as client:
            client.set_experiment_tag(experiment_id, *tag)

    def bring_home(
        self, experiment_id: str, home: Path, tag: tuple[str, str], run_id: str = ""
    ) -> int:
        """Move artifact locations (`artifact_places.bring_home`); return how many changed."""
        with self._reaching() as client:
            from orchestrator.tracking.artifact_places import bring_home

            return bring_home(client, experiment_id, home, tag, run_id)

    def move_artifacts(self, experiment_id: str, old: Path, new: Path) -> None:
        """Move an experiment's artifacts to another folder (`artifact_places.move_home`)."""
        with self._reaching() as client:
            from orchestrator.tracking.artifact_places import move_home

            move_home(client, experiment_id, old, new)

    def rename_experiment(self, experiment_id: str, name: str) -> None:
        """Give an experiment a name; one that it has already is no error."""
        with self._reaching() as client:
            if client.get_experiment(experiment_id).name != name:
                client.rename_experiment(experiment_id, name)

    def rename_run(self, run_id: str, name: str) -> None:
        """Give a run another name."""
        with self._reaching() as client:
            client.update_run(run_id, name=name)

    def experiments(self) -> dict[str, str]:
        """Return the ids of the experiments that are not deleted, by name."""
        found: dict[str, str] = {}
        token = None
        with self._reaching() as client:
            while True:
                page = client.search_experiments(max_results=_PAGE, page_token=token)
                found |= {each.name: str(each.experiment_id) for each in page}
                token = page.token
                if not token:
                    return found

    def is_deleted_experiment(self, name: str) -> bool:
        """Return whether an experiment of this name is deleted but can be restored."""
        with self._reaching() as client:
            found = client.get_experiment_by_name(name)
            return found is not None and found.lifecycle_stage == "deleted"

    def run(self, run_id: str) -> RunView | None:
        """Look up a run by its id, also among deleted ones; None if MLflow has none."""
        with self._reaching() as client:
            from mlflow.exceptions import MlflowException

            try:
                return _view(client.get_run(run_id))
            except MlflowException as error:
                if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                    return None
                raise

    def runs(
        self, experiment_id: str, tags: Mapping[str, str], *, with_deleted: bool = False
    ) -> Iterator[RunView]:
        """Yield the runs that have all of `tags`, oldest first, page by page."""
        wanted = " and ".join(f"tags.`{key}` = '{text}'" for key, text in tags.items())
        token = None
        while True:
            with self._reaching() as client:
                from mlflow.entities import ViewType

                page = client.search_runs(
                    [experiment_id],
                    filter_string=wanted,
                    run_view_type=ViewType.ALL if with_deleted else ViewType.ACTIVE_ONLY,
                    max_results=_PAGE,
                    order_by=["attributes.start_time ASC"],
                    page_token=token,
                )
            yield from map(_view, page)
            token = page.token
            if not token:
                return

    def create_run(
        self, experiment_id: str, content: RunContent, tags: Mapping[str, str]
    ) -> RunView:
        """Create a run with the name and start of `content`; it has `tags` from the beginning."""
        with self._reaching() as client:
            return _view(
                client.create_run(
                    experiment_id,
                    start_time=content.started_ms,
                    tags=dict(tags),
                    run_name=content.name,
                )
            )

    def bring(self, run: RunView, content: RunContent) -> None:
        """Send the part of `content` that `run` lacks, if any."""
        for changes in missing_from(run, content):
            self.change(run.run_id, changes)
        if run.status == content.status and content.ended_ms in (None, run.ended_ms):
            return
        with self._reaching() as client:
            if content.ended_ms is None:
                client.update_run(run.run_id, status=content.status)
            else:
                client.set_terminated(run.run_id, content.status, content.ended_ms)

    def change(self, run_id: str, changes: Changes) -> None:
        """Add points, params and tags to a run in one request."""
        with self._reaching() as client:
            from mlflow.entities import Metric, Param, RunTag

            client.log_batch(
                run_id,
                metrics=[
                    Metric(point.key, point.value, point.timestamp_ms, point.step)
                    for point in changes.points
                ],
                params=[Param(key, text) for key, text in changes.params],
                tags=[RunTag(key, text) for key, text in changes.tags],
            )

    def remove_tag(self, run_id: str, key: str) -> None:
        """Remove a tag that the run has."""
        with self._reaching() as client:
            client.delete_tag(run_id, key)

    def delete_run(self, run_id: str) -> None:
        """Delete a run, so that it can be restored."""
        with self._reaching() as client:
            client.delete_run(run_id)

    def restore_run(self, run_id: str) -> None:
        """Restore a deleted run."""
        with self._reaching() as client:
            client.restore_run(run_id)

    def files(self, run_id: str) -> dict[str, int]:
        """List the artifacts at the top level of a run: size in bytes by name."""
        with self._reaching() as client:
            return {item.path: int(item.file_size or 0) for item in client.list_artifacts(run_id)}

    def history(self, run_id: str, key: str) -> list[MetricPoint]:
        """Return every point of one metric of a run."""
        with self._reaching() as client:
            return [
                MetricPoint(key, point.value, point.timestamp, point.step)
                for point in client.get_metric_history(run_id, key)
            ]

    def download(self, run_id: str, folder: Path) -> None:
        """Copy all artifacts of a run into an existing folder."""
        with self._reaching() as client:
            client.download_artifacts(run_id, "", str(folder))

    def upload(self, run_id: str, folder: Path) -> None:
        """Store or replace all that a folder holds as artifacts of a run."""
        with self._reaching() as client:
            client.log_artifacts(run_id, str(folder))

    def put_text(self, run_id: str, text: str, name: str) -> None:
        """Store or replace an artifact."""
        with self._reaching() as client:
            client.log_text(run_id, text, name)

    def put_file(self, run_id: str, path: Path) -> None:
        """Store or replace an artifact under the file's own name."""
        with self._reaching() as client:
            client.log_artifact(run_id, str(path))

    @contextlib.contextmanager
    def _reaching(self) -> Iterator[Any]:
        """The client, with MLflow's and the network's many exceptions turned into our two."""
        if self._opened is None:
            _prepare()
        from alembic.util import CommandError
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
        from requests import RequestException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            if self._opened is None:
                make_database(self._uri, _fill)
                self._opened = MlflowClient(tracking_uri=mlflow_address(self._uri))
            yield self._opened
        except MlflowException as error:
            kind = RefusedError if error.error_code in _REFUSALS else TrackingError
            raise kind(self._sentence(error)) from None
        except ImportError as error:
            raise TrackingError(f"MLflow at {missing_driver(self._uri, error)}") from None
        # Alembic's error: the tables belong to a newer MLflow, or are being changed.
        except (RequestException, SQLAlchemyError, CommandError, OSError) as error:
            raise TrackingError(self._sentence(error)) from None

    def _sentence(self, error: Exception) -> str:
        reason = redacted(str(error)).strip().splitlines() or [type(error).__name__]
        return f"MLflow at {self.name} did not take what it was sent: {reason[0][:500]}"


def _prepare() -> None:
    """Make MLflow quiet and quick to give up, before it is imported."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    # Each time it reads a run, MLflow 3.17 uses a call that SQLAlchemy 2.1 deprecates.
    warnings.filterwarnings(
        "ignore", message="The ``noload`` loader strategy", category=DeprecationWarning
    )


def _fill(uri: str) -> None:
    """Have MLflow create a database, which takes it seconds, or copy one that it created."""
    from mlflow import __version__

    fill_or_copy(uri, _created, __version__)


def _created(uri: str) -> None:
    """Have MLflow create a SQLite database, which it does at the first query."""
    from mlflow import MlflowClient

    MlflowClient(tracking_uri=mlflow_address(uri)).search_experiments(max_results=1)
    file = sqlite_file(uri)
    if file is not None:
        with closing(sqlite3.connect(file)) as database, database:
            # It has a path in the working directory; MLflow makes one in each database that it
            # opens and that has none.
            database.execute("delete from experiments")


def _view(run: Any) -> RunView:
    return RunView(
        run_id=run.info.run_id,
        status=run.info.status,
        started_ms=run.info.start_time,
        ended_ms=run.info.end_time,
        is_deleted=run.info.lifecycle_stage == "deleted",
        tags=run.data.tags,
        params=run.data.params,
        metrics=run.data.metrics,
    )
