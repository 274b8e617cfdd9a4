"""A run that cannot end well says so before it starts a worker; broken set-ups, one by one."""

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from orchestrator.contracts import Silent
from orchestrator.driver.running import run
from orchestrator.errors import OrchestratorError
from orchestrator.execution.task import Task
from orchestrator.storage.opening import upgrade
from orchestrator.storage.tables import VERSION_TABLE
from tests.orchestrator.driver.test_running import Played, make_spec


class Notes(Silent):
    def __init__(self, until: str = "") -> None:
        self.notes: list[str] = []
        self._until, self.heard = until, threading.Event()

    def note(self, text: str) -> None:
        self.notes.append(text)
        if self._until and text.startswith(self._until):
            self.heard.set()


class _Refusing(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(401)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def refusing_mlflow() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Refusing) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("PARETUNE_STORE", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PARETUNE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


def _no_worker(task: Task) -> Played:
    raise AssertionError("a worker was asked for")


def _no_database(path: Path) -> str:
    path.write_text("no database " * 100)
    return f"sqlite:///{path}"


def _of_a_newer_paretune(path: Path) -> str:
    upgrade(f"sqlite:///{path}")
    opened = sqlite3.connect(path)
    opened.execute(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")  # noqa: S608
    opened.commit()
    opened.close()
    return f"sqlite:///{path}"


def _below_a_file(path: Path) -> str:
    path.touch()
    return f"sqlite:///{path}/paretune.db"


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (_no_database, "not a database"),
        (_of_a_newer_paretune, "9999"),
        (_below_a_file, "is not a folder that you may write to"),
        (lambda path: "postgresql+psycopg://me:geheim@127.0.0.1:1/db", "127.0.0.1"),
        (lambda path: "sweeps.db", "sweeps.db"),
    ],
)
def test_a_store_that_cannot_be_used_is_refused_before_a_worker_starts(
    tmp_path: Path, home: Path, broken: Callable[[Path], str], said: str
) -> None:
    with pytest.raises(OrchestratorError) as caught:
        run(make_spec(), store=broken(tmp_path / "x"), executor=_no_worker)
    assert said in str(caught.value)
    assert "geheim" not in str(caught.value)
    assert not home.exists()


def test_a_storage_that_cannot_be_written_to_is_refused_before_a_worker_starts(
    tmp_path: Path, home: Path
) -> None:
    (tmp_path / "file").touch()
    spec = make_spec(storage=str(tmp_path / "file" / "storage"))
    with pytest.raises(OrchestratorError, match=r"storage: The storage .* cannot be used"):
        run(spec, executor=_no_worker)
    assert not home.exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_store_without_the_right_to_write_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "paretune.db"
    upgrade(f"sqlite:///{path}")
    path.chmod(0o400)
    with pytest.raises(OrchestratorError, match="store"):
        run(make_spec(), store=f"sqlite:///{path}", executor=_no_worker)


def test_sqlite_on_a_network_file_system_is_told_and_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"server:/export {tmp_path} nfs4 rw 0 0\n")
    monkeypatch.setattr("orchestrator.doctor.services._MOUNTS", mounts)
    store, shown = f"sqlite:///{tmp_path / 'paretune.db'}", Notes()
    upgrade(store)
    run(make_spec(), store=store, executor=Played(), progress=shown)
    assert any("where SQLite loses data" in note for note in shown.notes)


def test_an_mlflow_that_refuses_is_told_and_no_trial_waits(refusing_mlflow: str) -> None:
    shown = Notes("MLflow: ")

    class Waiting(Played):
        def prepare(self) -> None:
            super().prepare()
            assert shown.heard.wait(300)

    spec = make_spec(tracking={"uri": refusing_mlflow})
    with pytest.MonkeyPatch.context() as patch:
        # What is asked is what is told: the mirror itself is not needed.
        patch.setattr("orchestrator.tracking.build_mirror", _nothing_to_mirror)
        result = run(spec, executor=Waiting(), progress=shown)
    assert result.complete == 6
    (note,) = [note for note in shown.notes if note.startswith("MLflow: ")]
    assert "refuses user or password (status 401)" in note
    assert "MLFLOW_TRACKING_USERNAME" in note
    assert note.endswith("No trial waits for it.")


def _nothing_to_mirror(*_: object, **__: object) -> object:
    from orchestrator.tracking import NoMirror

    return NoMirror()
