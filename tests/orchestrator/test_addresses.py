"""Addresses are read as SQLAlchemy reads them, whatever a path is made of."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import create_engine, make_url

from orchestrator.addresses import (
    anchored,
    is_server,
    missing_driver,
    mlflow_address,
    sqlite_file,
    sqlite_url,
    tracking_problem,
)
from orchestrator.state_folder import StateFolder

# Letters, marks, numbers, punctuation, symbols and spaces of every script; a path ends at "/".
_PRINTABLE = st.characters(categories=["L", "M", "N", "P", "S", "Zs"], exclude_characters="/")
NAMES = st.text(_PRINTABLE, min_size=1, max_size=40).filter(lambda name: name not in (".", ".."))
AWKWARD = "a#b %20?c=d&e;f+g@h:i[j]{k}|l\\m'n\"o~p`q^r<s>ä😀"


@given(NAMES)
@example(AWKWARD)
@example("100%")
def test_what_is_written_is_what_sqlalchemy_and_we_read(name: str) -> None:
    path = Path("/projects") / name / "x.db"
    for url in (sqlite_url(path), mlflow_address(sqlite_url(path))):
        assert make_url(url).database == str(path)
        assert sqlite_file(url) == path


@pytest.mark.slow
@given(NAMES)
@example("~")
@example("#1")
def test_a_url_as_a_person_writes_it_is_read_as_sqlalchemy_reads_it(name: str) -> None:
    url = f"sqlite:////projects/{name}/x.db?mode=rw"
    assert sqlite_file(url) == Path(str(make_url(url).database))


def test_a_file_of_every_printable_character_is_made_where_it_was_meant(tmp_path: Path) -> None:
    path = tmp_path / AWKWARD / "x.db"
    path.parent.mkdir()
    engine = create_engine(sqlite_url(path))
    with engine.connect() as connection:
        connection.exec_driver_sql("create table t (x int)")
    engine.dispose()
    with closing(sqlite3.connect(path)) as opened:
        assert opened.execute("select count(*) from t").fetchone() == (0,)
    assert [each.name for each in tmp_path.iterdir()] == [AWKWARD]


def test_a_tilde_is_the_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert sqlite_file("sqlite:///~/x.db") == tmp_path / "x.db"
    assert anchored("sqlite:///~/x.db", Path("/elsewhere")) == f"sqlite:///{tmp_path}/x.db"


@pytest.mark.parametrize(
    "url", ["http://host/x", "sqlite://", "sqlite:///:memory:", "postgresql://h/d", "mlruns", "["]
)
def test_what_is_no_file_of_sqlite_has_no_path_and_no_anchor(url: str) -> None:
    assert sqlite_file(url) is None
    assert anchored(url, Path("/elsewhere")) == mlflow_address(url) == url


def test_a_relative_file_is_looked_for_in_the_folder_that_is_given() -> None:
    assert anchored("sqlite:///a%23b.db?timeout=3", Path("/p q")) == (
        "sqlite:////p q/a%23b.db?timeout=3"
    )
    assert anchored("sqlite+pysqlite:////x.db", Path("/p")) == "sqlite+pysqlite:////x.db"


@pytest.mark.parametrize("uri", ["mlruns", "./mlruns", "file:///tmp/mlruns", ""])
def test_a_folder_is_refused_unless_mlflow_is_told_to_take_it(
    uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "folder of files" in tracking_problem(uri)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    assert tracking_problem(uri) == ""


@pytest.mark.parametrize(
    "uri", ["host:5000", "localhost:5000", "ftp://me:geheim@host", "hptt://h"]
)
def test_a_scheme_that_mlflow_does_not_know_is_refused(uri: str) -> None:
    said = tracking_problem(uri)
    assert "no scheme" in said
    assert "http://HOST:5000" in said
    assert "geheim" not in said


@pytest.mark.parametrize(
    "uri",
    [
        *("http://host:5000", "HTTPS://host", "databricks", "databricks://profile"),
        *("sqlite:///x.db", "postgresql+psycopg://h/d", "mysql+pymysql://h/d", "mssql://h/d"),
    ],
)
def test_what_mlflow_may_take_is_not_refused(uri: str) -> None:
    assert tracking_problem(uri) == ""


def test_a_server_is_told_from_a_database() -> None:
    assert [is_server(each) for each in ("HTTP://h", "databricks", "sqlite:///x.db")] == [
        *(True, True, False)
    ]


def test_a_driver_that_cannot_be_loaded_is_named_with_what_installs_it() -> None:
    said = missing_driver("mysql://me:geheim@h/d", ImportError("no", name="MySQLdb"))
    assert said.endswith("pip install mysqlclient")
    assert "geheim" not in said
    said = missing_driver("postgresql://h/d", ImportError("no pq wrapper available"))
    assert "no pq wrapper" in said
    assert said.endswith("pip install 'paretune[postgres]'")


def test_an_empty_home_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PARETUNE_HOME", "")
    assert StateFolder.find().root == tmp_path / ".paretune"


def test_the_environment_names_mlflow_where_the_file_does_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    state = StateFolder(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert state.tracking_address(None) == (state.tracking_uri, "")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://theirs")
    assert state.tracking_address(None) == ("http://theirs", "MLFLOW_TRACKING_URI")
    assert state.tracking_address("http://ours") == ("http://ours", "")
    monkeypatch.setitem(os.environ, "MLFLOW_TRACKING_URI", "")
    assert state.tracking_address(None) == (state.tracking_uri, "")
