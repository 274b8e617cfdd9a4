"""A project whose store is a PostgreSQL server is the same project wherever its files lie.

Unlike a file of SQLite, the server stays where it is, and a project and its copy ask the same one.
"""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from orchestrator.places import LostNetworkError
from orchestrator.queries.sweeps import open_sweep
from orchestrator.storage.opening import open_store
from orchestrator.trials import SweepState
from tests.integration.test_moved_projects import Listener, Project, answers, elsewhere, make
from tests.servers import PostgresServer, running_postgres

pytestmark = [pytest.mark.mlflow, pytest.mark.slow, pytest.mark.postgres]


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with running_postgres() as server:
        yield server


def database(server: PostgresServer, name: str, template: str = "template0") -> str:
    """Make a database, as a copy of another, and return its URL."""
    place = make_url(server.url)
    with psycopg.connect(
        host=place.query["host"], user=place.username, dbname="postgres", autocommit=True
    ) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}"'.encode())
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'.encode())
    return place.set(database=name).render_as_string(hide_password=False)


@pytest.fixture(scope="module")
def original(server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Project:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PARETUNE_HOME", raising=False)
        patch.setenv("PARETUNE_STORE", database(server, "made"))
        patch.setattr("orchestrator.execution.trial_runner.SLICE_S", 0.0)
        return make(tmp_path_factory.mktemp("made") / "project", patch.chdir)


@pytest.fixture(params=["moved", "copied"])
def project(
    request: pytest.FixtureRequest,
    server: PostgresServer,
    original: Project,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Project]:
    """The project elsewhere, asking the server as it was left when the project was made."""
    monkeypatch.setenv("PARETUNE_STORE", database(server, "asked", "made"))
    with elsewhere(original, request.param, tmp_path / "größer 2", monkeypatch) as new:
        yield new


def test_a_complete_sweep_is_asked_for_everything(project: Project, tmp_path: Path) -> None:
    answers(project, tmp_path)
    assert not (project.folder / ".paretune" / "paretune.db").exists()
    listener = Listener()
    assert project.run("done", listener).sweep.state is SweepState.COMPLETE
    assert listener.epochs == []
    synced = project.call("sync", "done")
    assert synced.exit_code == 0, synced.stderr


def test_an_interrupted_sweep_goes_on(project: Project) -> None:
    listener = Listener()
    assert project.run("cut", listener).sweep.state is SweepState.COMPLETE
    told = [text for text in listener.told if "the content is the same" in text]
    assert [text.partition(" ")[0] for text in told] == ["data.npz", "backbone.weights"]
    store = open_store()
    # From its checkpoint: an epoch of it may be told again, none is trained twice.
    assert store.attempts("cut", 1)[-1].failure is None
    trials = store.trials("cut")
    assert all("test_accuracy" in trial.values for trial in trials if trial.artifact)
    paths = [trial.artifact.path for trial in trials if trial.artifact]
    assert all(Path(path).is_relative_to(project.folder) for path in paths)
    store.close()


def test_what_a_copy_completed_is_asked_of_the_original_that_has_no_files_of_it(
    project: Project, original: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One store, two state folders: the values are everybody's, a network is where its file is."""
    if not original.folder.exists():
        pytest.skip("the original is gone")
    assert project.run("cut").sweep.state is SweepState.COMPLETE
    values = [member.values for member in open_sweep("cut").front()]
    monkeypatch.chdir(original.folder)
    members = open_sweep("cut").front()
    assert [member.values for member in members] == values
    for member in members:
        if Path(member.artifact).is_file():
            assert member.load_model() is not None
        else:
            with pytest.raises(LostNetworkError, match=f"trial {member.trial} of 'cut'"):
                member.load_model()
