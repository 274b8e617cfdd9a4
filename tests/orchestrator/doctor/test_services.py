"""The store and MLflow: real files, a real HTTP server."""

import base64
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from orchestrator.doctor.services import examine_store, examine_tracking
from orchestrator.storage.opening import upgrade
from orchestrator.storage.tables import VERSION_TABLE

SEARCH = "/api/2.0/mlflow/experiments/search?max_results=1"
CLUSTER = "ray://head.example:10001"


class _Mlflow(BaseHTTPRequestHandler):
    status = 200
    asked: ClassVar[list[tuple[str, str | None]]] = []

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers["Authorization"]))
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(_Mlflow, "asked", [])
    with ThreadingHTTPServer(("127.0.0.1", 0), _Mlflow) as answering:
        thread = threading.Thread(target=answering.serve_forever)
        thread.start()
        yield f"127.0.0.1:{answering.server_port}"
        answering.shutdown()
        thread.join()


class TestStore:
    def test_a_store_that_is_not_there_yet_is_fine_and_is_not_made(self, tmp_path: Path) -> None:
        store, disk = examine_store(f"sqlite:///{tmp_path / 'new' / 'paretune.db'}")
        assert store.ok
        assert disk.ok
        assert list(tmp_path.iterdir()) == []

    def test_a_store_of_this_version_is_fine_and_stays_as_it_is(self, tmp_path: Path) -> None:
        path = tmp_path / "paretune.db"
        upgrade(f"sqlite:///{path}")
        before = path.read_bytes()
        store, _ = examine_store(f"sqlite:///{path}")
        assert store.ok
        assert "newest" in store.detail
        assert path.read_bytes() == before

    @pytest.mark.parametrize(("version", "fix"), [("0000", "paretune run"), ("9999", "Upgrade")])
    def test_another_schema_is_found(self, tmp_path: Path, version: str, fix: str) -> None:
        path = tmp_path / "paretune.db"
        upgrade(f"sqlite:///{path}")
        with closing(sqlite3.connect(path)) as opened, opened:
            opened.execute(f"UPDATE {VERSION_TABLE} SET version_num = ?", (version,))  # noqa: S608
        store, _ = examine_store(f"sqlite:///{path}")
        assert not store.ok
        assert version in store.detail
        assert fix in store.fix

    def test_a_file_that_is_no_database_is_found(self, tmp_path: Path) -> None:
        path = tmp_path / "paretune.db"
        path.write_text("this is not a database, however long it may be " * 50)
        store, _ = examine_store(f"sqlite:///{path}")
        assert not store.ok
        assert store.fix

    @pytest.mark.parametrize(
        "url", ["postgresql://me:geheim@host/db", "mysql://me:geheim@host/db", "not a url"]
    )
    def test_a_url_without_a_driver_we_use_is_found(self, url: str) -> None:
        (store,) = examine_store(url)
        assert not store.ok
        assert "postgresql+psycopg" in store.fix
        assert "geheim" not in repr(store)

    def test_a_server_that_is_away_is_found_without_its_password(self) -> None:
        (store,) = examine_store("postgresql+psycopg://me:geheim@127.0.0.1:1/db")
        assert not store.ok
        assert "geheim" not in repr(store)

    def test_sqlite_on_a_network_file_system_is_found(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        mounts = tmp_path / "mounts"
        mounts.write_text(f"server:/export {tmp_path} nfs4 rw 0 0\n")
        monkeypatch.setattr("orchestrator.doctor.services._MOUNTS", mounts)
        store, disk = examine_store(f"sqlite:///{tmp_path / 'paretune.db'}")
        assert store.ok
        assert not disk.ok
        assert "nfs4" in disk.detail
        assert "PostgreSQL" in disk.fix


class TestTracking:
    @pytest.mark.slow
    def test_a_server_that_answers_is_fine(self, server: str) -> None:
        assert examine_tracking(f"http://{server}").ok
        assert _Mlflow.asked == [(SEARCH, None)]

    @pytest.mark.slow
    def test_a_server_below_a_path_is_asked_there(self, server: str) -> None:
        assert examine_tracking(f"http://{server}/mlflow/").ok
        assert _Mlflow.asked == [(f"/mlflow{SEARCH}", None)]

    @pytest.mark.slow
    def test_the_password_goes_to_the_server_and_not_into_the_finding(self, server: str) -> None:
        finding = examine_tracking(f"http://me:ge%40heim@{server}")
        assert finding.ok
        assert "heim" not in repr(finding)
        (asked,) = _Mlflow.asked
        assert asked[1] == f"Basic {base64.b64encode(b'me:ge@heim').decode()}"

    @pytest.mark.slow
    def test_a_server_that_refuses_is_found(
        self, monkeypatch: pytest.MonkeyPatch, server: str
    ) -> None:
        monkeypatch.setattr(_Mlflow, "status", 403)
        finding = examine_tracking(f"http://{server}")
        assert not finding.ok
        assert "403" in finding.detail
        assert "--allowed-hosts" in finding.fix

    def test_the_environment_s_user_goes_to_the_server(
        self, monkeypatch: pytest.MonkeyPatch, server: str
    ) -> None:
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "me")
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "geheim")
        assert examine_tracking(f"http://{server}").ok
        (asked,) = _Mlflow.asked
        assert asked[1] == f"Basic {base64.b64encode(b'me:geheim').decode()}"

    def test_a_user_that_the_server_does_not_know_is_a_sentence(
        self, monkeypatch: pytest.MonkeyPatch, server: str
    ) -> None:
        monkeypatch.setattr(_Mlflow, "status", 401)
        finding = examine_tracking(f"http://me:geheim@{server}")
        assert not finding.ok
        assert "refuses user or password (status 401)" in finding.detail
        assert "MLFLOW_TRACKING_PASSWORD" in finding.fix
        assert "geheim" not in repr(finding)

    @pytest.mark.parametrize("uri", ["http://me:geheim@127.0.0.1:1", "http://127.0.0.1:port"])
    def test_a_server_that_is_away_is_found(self, uri: str) -> None:
        finding = examine_tracking(uri)
        assert not finding.ok
        assert "geheim" not in repr(finding)

    @pytest.mark.parametrize("uri", ["file:///tmp/mlruns", "./mlruns", "mlruns"])
    def test_a_folder_of_files_is_refused(self, uri: str) -> None:
        finding = examine_tracking(uri)
        assert not finding.ok
        assert "tracking.uri" in finding.fix

    def test_a_database_that_is_not_there_yet_is_fine(self, tmp_path: Path) -> None:
        assert examine_tracking(f"sqlite:///{tmp_path / 'mlflow.db'}").ok
        assert list(tmp_path.iterdir()) == []

    def test_a_database_is_opened(self, tmp_path: Path) -> None:
        path = tmp_path / "ml flow.db"
        with closing(sqlite3.connect(path)) as opened, opened:
            opened.execute("CREATE TABLE experiments (name TEXT)")
        finding = examine_tracking(f"sqlite:///{path}")
        assert finding.ok
        assert "0 experiments" in finding.detail

    def test_a_file_that_is_not_mlflows_is_found(self, tmp_path: Path) -> None:
        path = tmp_path / "mlflow.db"
        path.write_text("no database")
        finding = examine_tracking(f"sqlite:///{path}")
        assert not finding.ok
        assert "paretune sync" in finding.fix

    @pytest.mark.parametrize(
        "uri", ["sqlite:///mlflow.db", "http://localhost:5000", "http://127.0.0.1", "http://[::1]"]
    )
    def test_what_only_this_machine_reaches_is_refused_beside_a_cluster(self, uri: str) -> None:
        finding = examine_tracking(uri, CLUSTER)
        assert not finding.ok
        assert "RAY_ADDRESS" in finding.detail

    def test_a_cluster_on_this_machine_may_use_a_database(self, tmp_path: Path) -> None:
        uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
        for address in ("", "auto", "local", "127.0.0.1:6379", "ray://localhost:10001"):
            assert examine_tracking(uri, address).ok, address
