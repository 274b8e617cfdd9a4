"""The mirror and a real MLflow server: away, killed, brought back; and what errors say."""

import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.queries.sweeps import open_sweep, pareto_front
from orchestrator.tracking import BackgroundMirror, TrackingError, sync
from orchestrator.tracking.background import Rhythm
from orchestrator.tracking.mlflow_server import MlflowServer
from tests.servers import MlflowProcess, free_port

pytestmark = pytest.mark.mlflow

SWEEP = "digits-fc"
QUICK = Rhythm(first_s=0.1, period_s=0.1, longest_pause_s=0.5)


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def server(empty_mlflow: Path, tmp_path: Path) -> Iterator[MlflowProcess]:
    """A server that has not started."""
    folder = tmp_path / "server"
    server = MlflowProcess(folder, free_port())
    shutil.copy(empty_mlflow, folder / "mlflow.db")
    yield server
    server.kill()


@pytest.mark.serial
def test_what_happens_while_the_server_is_away_arrives_once(driver, new_mirror, store, server):
    heard: list[str] = []
    background = BackgroundMirror(
        new_mirror(server.uri), SWEEP, on_trouble=heard.append, rhythm=QUICK
    )
    for accuracy in (0.5, 0.7, 0.9):
        driver.complete(accuracy)
    until(lambda: heard)
    assert store.trial(SWEEP, 0).mlflow_run_id is None
    server.start()
    until(lambda: len(heard) == 2)
    driver.fail()
    driver.finish()
    assert background.close(timeout_s=300) == 0
    assert len(heard) == 2

    seen = MlflowServer(server.uri)
    runs = list(seen.runs(seen.experiments()[SWEEP], {}))
    assert Counter(run.tags["paretune.run"] for run in runs) == {"sweep": 1, "attempt": 4}
    assert Counter(run.status for run in runs) == {"FINISHED": 4, "FAILED": 1}
    assert sync(store, SWEEP, new_mirror(server.uri)).is_complete
    assert list(seen.runs(seen.experiments()[SWEEP], {})) == runs
    tracked = pareto_front(tracking_uri=server.uri, experiment=SWEEP)
    assert tracked.members == open_sweep(SWEEP, store).front().members

    server.kill()
    store.outbox.mark_all(SWEEP)
    with pytest.raises(TrackingError, match=server.uri):
        new_mirror(server.uri).drain(SWEEP)
    assert len(store.outbox.pending(SWEEP)) == 5


def test_a_closed_port_is_one_sentence_without_the_password(driver, new_mirror, store):
    uri = f"http://ann:hunter2@127.0.0.1:{free_port()}"
    with pytest.raises(TrackingError) as caught:
        new_mirror(uri).drain(SWEEP)
    sentence = str(caught.value)
    assert "hunter2" not in sentence
    assert "ann" not in sentence
    assert "127.0.0.1" in sentence
    assert "\n" not in sentence
    assert caught.value.__cause__ is None
    assert len(store.outbox.pending(SWEEP)) == 1


def test_a_file_that_is_no_database_is_a_sentence(driver, new_mirror, tmp_path):
    (tmp_path / "text.db").write_text("not a database" * 100, encoding="utf-8")
    with pytest.raises(TrackingError, match=r"text\.db.*not a database"):
        new_mirror(f"sqlite:///{tmp_path / 'text.db'}").drain(SWEEP)


def test_a_missing_driver_is_a_sentence_with_what_installs_it():
    with pytest.raises(TrackingError, match=r"\*\*\*@h/d needs .*pip install mysqlclient"):
        MlflowServer("mysql://me:geheim@h/d").experiments()
