import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from orchestrator.errors import OrchestratorError, UsageError
from orchestrator.storage import database, open_store, opening, schema_version, upgrade
from orchestrator.storage.opening import try_writing
from orchestrator.storage.tables import HEAD, VERSION_TABLE, metadata

_GOLDEN = Path(__file__).parents[2] / "golden" / "databases"
_OPEN = """
import sys
from orchestrator.storage import open_store
store = open_store(sys.argv[1])
print(len(store.sweeps()))
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "store.db"


@pytest.fixture
def url(path: Path) -> str:
    return f"sqlite:///{path}"


def test_the_default_store_lies_in_the_state_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARETUNE_HOME", str(tmp_path / "home"))
    open_store().close()
    assert (tmp_path / "home" / "paretune.db").exists()
    store = open_store(create=False)
    assert store.sweeps() == []
    store.close()


def test_asking_where_there_is_no_store_writes_nothing(tmp_path: Path, url: str) -> None:
    with pytest.raises(UsageError, match=r"No store at sqlite:.*store\.db: run a sweep first"):
        open_store(url, create=False)
    assert schema_version(url) == (None, HEAD)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_file_is_no_store_and_can_become_one(path: Path, url: str) -> None:
    path.parent.mkdir()
    path.touch()
    with pytest.raises(UsageError, match="No store at"):
        open_store(url, create=False)
    open_store(url).close()
    assert schema_version(url) == (HEAD, HEAD)


def test_opening_again_changes_nothing(path: Path, url: str) -> None:
    store = open_store(url)
    store.create_sweep("a", {}, "f")
    store.close()
    before = path.read_bytes()
    for create in (True, False):
        store = open_store(url, create=create)
        assert [sweep.name for sweep in store.sweeps()] == ["a"]
        store.close()
    assert path.read_bytes() == before


def test_a_relative_url_stays_where_it_was_when_the_folder_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = open_store("sqlite:///store.db")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    store.close()
    assert store.sweeps() == []
    store.close()


@pytest.mark.parametrize("name", ["with space", "größe", "50%", "#1"])
def test_a_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / name / "store.db"
    open_store(f"sqlite:///{path}").close()
    assert path.exists()


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    open_store("sqlite:///~/store.db").close()
    assert (tmp_path / "store.db").exists()
    assert not (tmp_path / "~").exists()


@pytest.mark.slow
def test_processes_that_open_a_new_store_at_once_make_one(url: str) -> None:
    opened = [
        subprocess.Popen([sys.executable, "-c", _OPEN, url], stdout=subprocess.PIPE)
        for _ in range(4)
    ]
    said = [process.communicate()[0] for process in opened]
    assert [process.returncode for process in opened] == [0] * 4
    assert said == [b"0\n"] * 4


@pytest.mark.slow
def test_another_process_that_makes_the_same_store_is_waited_for(path: Path, url: str) -> None:
    with _written_to(path) as other:
        threading.Timer(0.5, other.rollback).start()
        open_store(url).close()
    assert schema_version(url) == (HEAD, HEAD)


@pytest.mark.slow
def test_another_process_that_never_ends_is_waited_for_so_long(
    path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_BUSY_S", 0.5)
    with _written_to(path), pytest.raises(OrchestratorError, match="failed: database is locked"):
        open_store(url)


def test_a_new_file_allows_reading_while_writing(path: Path, url: str) -> None:
    upgrade(url)
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_a_schema_that_is_newer_than_this_code_is_a_sentence(path: Path, url: str) -> None:
    _set_version(path, url, "9999")
    for create in (True, False):
        with pytest.raises(OrchestratorError, match=f"9999, newer than the {HEAD} .*upgrade"):
            open_store(url, create=create)


def test_a_schema_that_no_version_wrote_is_a_sentence(path: Path, url: str) -> None:
    _set_version(path, url, "0000")
    for create in (True, False):
        with pytest.raises(OrchestratorError, match=r"schema 0000.*the first is 0001"):
            open_store(url, create=create)
    assert schema_version(url) == ("0000", HEAD)


def test_asking_an_older_store_brings_it_up_to_date(path: Path, url: str) -> None:
    path.parent.mkdir()
    shutil.copy(_GOLDEN / "0001.db", path)
    store = open_store(url, create=False)
    assert len(store.trials("digits-fc")) == 6
    store.close()
    assert schema_version(url) == (HEAD, HEAD)


@pytest.mark.parametrize("version", ["0001", HEAD])
def test_a_store_that_may_not_be_written_to_is_read(
    path: Path, url: str, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.parent.mkdir()
    shutil.copy(_GOLDEN / f"{version}.db", path)
    monkeypatch.setattr(database, "_is_read_only", lambda path: path.parent.name == "folder")
    before = {file: file.read_bytes() for file in path.parent.iterdir()}
    store = open_store(url, create=False)
    assert len(store.trials("digits-fc")) == 6
    assert {file: file.read_bytes() for file in path.parent.iterdir()} == before
    store.close()
    if version == HEAD:
        with pytest.raises(OrchestratorError, match="can be read and not written to"):
            open_store(url).take("digits-fc", "me")


def test_a_database_of_another_program_is_left_alone(path: Path, url: str) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE trials (trial_id INTEGER)")  # Optuna has one of the name
    connection.close()
    with pytest.raises(OrchestratorError, match=r"did not make.*trials.*of its own"):
        open_store(url)
    assert schema_version(url) == (None, HEAD)


def test_a_database_may_be_shared_with_mlflow(path: Path, url: str) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32))")
        connection.execute("INSERT INTO alembic_version VALUES ('mlflow')")
        connection.execute("CREATE TABLE runs (run_uuid VARCHAR(32))")
    connection.close()
    open_store(url).close()
    assert schema_version(url) == (HEAD, HEAD)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("postgresql://u:secret@h/d", r"postgresql\+psycopg://u:\*\*\*@h/d"),
        ("postgresql+psycopg2://h/d", r"postgresql\+psycopg://h/d"),
        ("mysql+pymysql://h/d", r"Known: sqlite:///PATH and postgresql\+psycopg"),
        ("store.db", "Write 'sqlite:///relative/path.db'"),
        ("", "Write 'sqlite:///relative/path.db'"),
        ("sqlite://", "name a file"),
        ("sqlite:///:memory:", "name a file"),
        ("sqlite+aiosqlite:///x.db", "Known: sqlite:///PATH"),
    ],
)
@pytest.mark.parametrize("create", [True, False])
def test_a_url_that_cannot_be_used_is_a_sentence(url: str, sentence: str, create: bool) -> None:
    with pytest.raises(UsageError, match=sentence) as caught:
        open_store(url, create=create)
    assert "secret" not in str(caught.value)


def test_a_missing_driver_is_named_with_the_line_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(OrchestratorError, match=r"'psycopg'.*pip install 'paretune\[postgres\]'"):
        open_store("postgresql+psycopg://h/d")


def test_a_server_that_cannot_be_reached_is_a_sentence(tmp_path: Path) -> None:
    url = f"postgresql+psycopg://u:secret@/d?host={tmp_path}"
    with pytest.raises(
        OrchestratorError, match=r"cannot be used: .*connection.* Start the server"
    ) as caught:
        open_store(url)
    assert "secret" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OrchestratorError, match="Cannot make the folder"):
        open_store(f"sqlite:///{tmp_path / 'folder' / 'store.db'}")


def test_a_file_where_the_folder_should_be_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "folder").touch()
    with pytest.raises(OrchestratorError, match="Cannot make the folder"):
        open_store(f"sqlite:///{tmp_path / 'folder' / 'sub' / 'store.db'}")


def test_the_newest_migration_is_the_one_that_the_code_names() -> None:
    config = Config()
    config.set_main_option("script_location", str(opening._MIGRATIONS))
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


def test_migrations_end_in_the_tables_that_the_code_uses(url: str) -> None:
    _check_no_difference(url)


@pytest.mark.postgres
def test_migrations_end_in_the_tables_that_the_code_uses_on_postgres(postgres: str) -> None:
    _check_no_difference(postgres)


@pytest.mark.postgres
def test_processes_that_open_a_new_store_on_postgres_at_once_make_one(postgres: str) -> None:
    engine = sqlalchemy.create_engine(postgres, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("CREATE DATABASE opened_at_once"))
    engine.dispose()
    url = postgres.replace("/postgres?", "/opened_at_once?")
    test_processes_that_open_a_new_store_at_once_make_one(url)


@contextmanager
def _written_to(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection to a new file, in a transaction that writes."""
    path.parent.mkdir()
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield other


def _set_version(path: Path, url: str, version: str) -> None:
    upgrade(url)
    with sqlite3.connect(path) as connection:
        connection.execute(f"UPDATE {VERSION_TABLE} SET version_num = ?", (version,))  # noqa: S608
    connection.close()


def _check_no_difference(url: str) -> None:
    upgrade(url)
    engine = sqlalchemy.create_engine(url)
    with engine.connect() as connection:
        options = {
            "compare_type": True,
            "version_table": VERSION_TABLE,
            "target_metadata": metadata,
        }
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []
        made = sqlalchemy.inspect(connection)
        for table in metadata.tables.values():
            columns = {column["name"]: column for column in made.get_columns(table.name)}
            assert {name: column["nullable"] for name, column in columns.items()} == {
                column.name: column.nullable for column in table.columns
            }
            key = made.get_pk_constraint(table.name)["constrained_columns"]
            assert key == table.primary_key.columns.keys()
            assert len(made.get_foreign_keys(table.name)) == len(table.foreign_keys)
    engine.dispose()


def test_a_write_is_tried_and_leaves_nothing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'sweeps.db'}"
    upgrade(url)
    before = (tmp_path / "sweeps.db").read_bytes()
    try_writing(url)
    assert (tmp_path / "sweeps.db").read_bytes() == before


@pytest.mark.slow
@pytest.mark.postgres
def test_a_server_that_only_lets_one_read_is_found_by_a_write(postgres: str) -> None:
    try_writing(postgres)
    with pytest.raises(OrchestratorError, match="read-only transaction"):
        try_writing(f"{postgres}&options=-cdefault_transaction_read_only%3Don")
