"""MLflow is loaded, and its database made, before the mirror needs them: and nothing else."""

import threading
from pathlib import Path

import pytest

from orchestrator.state_folder import StateFolder
from orchestrator.tracking import TrackingError, warm_up
from orchestrator.tracking.mlflow_server import MlflowServer

pytestmark = pytest.mark.mlflow


def warm_ups() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "mlflow-warm-up"]


def test_the_database_stands_there_and_is_empty(tmp_path: Path) -> None:
    state = StateFolder(tmp_path / "state")
    work = warm_up("mlflow", state=state)
    work.want()
    work.end()
    for thread in warm_ups():
        thread.join(300)
    assert not warm_ups()
    assert Path(state.tracking_uri.removeprefix("sqlite:///")).exists()
    assert MlflowServer(state.tracking_uri).experiments().keys() == {"Default"}


def test_where_it_is_not_wanted_in_the_end_there_is_none(tmp_path: Path) -> None:
    state = StateFolder(tmp_path / "state")
    work = warm_up("mlflow", state=state)
    assert warm_ups()
    work.end()
    for thread in warm_ups():
        thread.join(300)
    assert not warm_ups()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("wanted", [True, False])
def test_one_that_is_not_early_loads_nothing_before_it_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, wanted: bool
) -> None:
    loaded: list[str] = []
    monkeypatch.setattr(MlflowServer, "warm_up", lambda server: loaded.append(server.name))
    work = warm_up("mlflow", state=StateFolder(tmp_path), early=False)
    assert warm_ups()
    assert not loaded
    if wanted:
        work.want()
    work.end()
    for thread in warm_ups():
        thread.join(300)
    assert len(loaded) == wanted


def test_a_database_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    MlflowServer(uri).experiment_id("mine")
    MlflowServer(uri).warm_up()
    assert MlflowServer(uri).experiments().keys() == {"Default", "mine"}


@pytest.mark.parametrize("uri", ["sqlite:////proc/none/mlflow.db", "http://127.0.0.1:9"])
def test_what_cannot_be_had_is_left_to_the_first_use(uri: str) -> None:
    server = MlflowServer(uri)
    server.warm_up()
    with pytest.raises(TrackingError):
        server.experiments()


def test_a_sweep_that_is_not_tracked_loads_nothing(tmp_path: Path) -> None:
    warm_up("none", state=StateFolder(tmp_path))
    assert not warm_ups()
    assert not list(tmp_path.iterdir())
