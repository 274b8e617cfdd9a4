"""A backup of a store of either kind holds all of it, and is put back into one of either."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

from orchestrator.contracts import Outcome, Store
from orchestrator.errors import OrchestratorError, SweepExistsError, UsageError
from orchestrator.storage import open_store, schema_version
from orchestrator.storage.backups import back_up, database_status, put_back
from orchestrator.storage.sql_store import SqlStore
from orchestrator.storage.tables import HEAD, metadata
from orchestrator.testing.columns_contract import fill_columns
from orchestrator.trials import PriorPoint, Report, SweepState, TrialState

GOLDEN = Path(__file__).parents[2] / "golden" / "databases"


def filled(url: str) -> SqlStore:
    store = open_store(url)
    assert isinstance(store, SqlStore)
    for name, count in (("a", 24), ("b", 3)):
        store.create_sweep(name, {"name": name, "nested": [{"x": 1.5}, None, "é"]}, "f")
        writer = store.take(name, "test")
        writer.add_prior_points([PriorPoint({"bits": 2}, {"x": 0.1 + 0.2}, "before")])
        fill_columns(writer, count)
        number = writer.add_trial({}, seed=2**62).number
        writer.start_attempt(number, "w")
        writer.add_reports(number, 0, [Report(1, {"loss": 1 / 3})])
        if name == "a":
            writer.set_content({"data": "d"})
            writer.finish_attempt(number, 0, Outcome(TrialState.COMPLETE, {"x": 5e-324}))
            writer.set_sweep_state(SweepState.COMPLETE)
            writer.release()
    store.outbox.record_sweep_run("a", "7", "run")
    return store


def held(store: Store) -> list[Any]:
    return [
        (
            record,
            store.trials(record.name),
            store.all_attempts(record.name),
            store.reports(record.name, store.trials(record.name)[-1].number),
            store.prior_points(record.name),
            [(m.trial, m.attempt) for m in store.outbox.pending(record.name, limit=9_999)],
            repr(store.columns(record.name, ["accuracy"], ["width"])),
        )
        for record in store.sweeps()
    ]


@pytest.fixture
def server(postgres: str) -> Any:
    engine = sqlalchemy.create_engine(postgres)
    yield postgres
    metadata.drop_all(engine)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("DROP TABLE IF EXISTS paretune_version"))
    engine.dispose()


def test_an_sqlite_store_is_copied_and_put_back(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'sweeps.db'}"
    store = filled(url)
    # A driver writes on while the backup is made.
    size = back_up(url, tmp_path / "backup.db")
    assert size == (tmp_path / "backup.db").stat().st_size
    content = (tmp_path / "backup.db").read_bytes()
    assert put_back(tmp_path / "backup.db", f"sqlite:///{tmp_path / 'new.db'}") == ["a", "b"]
    found = open_store(f"sqlite:///{tmp_path / 'new.db'}", create=False)
    assert held(found) == held(store)
    assert found.sweep("b").driver is None
    assert (tmp_path / "backup.db").read_bytes() == content
    # It is a store itself.
    opened = open_store(f"sqlite:///{tmp_path / 'backup.db'}", create=False)
    assert held(opened) == held(store)


@pytest.mark.postgres
@pytest.mark.slow
def test_a_server_is_copied_into_a_file_and_back(server: str, tmp_path: Path) -> None:
    store = filled(server)
    back_up(server, tmp_path / "backup.db")
    status = database_status(server)
    assert (status.kind[:10], status.schema, status.sweeps) == ("PostgreSQL", HEAD, 2)
    assert status.bytes > 100_000
    before = held(store)
    with pytest.raises(SweepExistsError, match="has sweeps"):
        put_back(tmp_path / "backup.db", server)
    with store.database.writing() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(table.delete())
    put_back(tmp_path / "backup.db", server)
    assert held(store) == before
    store.close()


def test_an_older_backup_is_put_back_and_stays_as_it_is(tmp_path: Path) -> None:
    old = shutil.copy(GOLDEN / "0003.db", tmp_path / "old.db")
    content = Path(old).read_bytes()
    names = put_back(Path(old), f"sqlite:///{tmp_path / 'new.db'}")
    assert names
    assert Path(old).read_bytes() == content
    assert schema_version(f"sqlite:///{tmp_path / 'new.db'}")[0] == HEAD
    status = database_status(f"sqlite:///{old}")
    assert (status.schema, status.newest) == ("0003", HEAD)
    assert status.trials > 0


def test_what_is_no_backup_and_what_is_taken_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'sweeps.db'}"
    assert database_status(url).schema is None
    with pytest.raises(UsageError, match="no store"):
        back_up(url, tmp_path / "backup.db")
    filled(url).close()
    (tmp_path / "taken.db").write_text("mine")
    with pytest.raises(UsageError, match="exists"):
        back_up(url, tmp_path / "taken.db")
    for file in (tmp_path / "absent.db", tmp_path):
        with pytest.raises(UsageError, match="no backup"):
            put_back(file, f"sqlite:///{tmp_path / 'new.db'}")
    assert sorted(path.name for path in tmp_path.glob(".*")) == []


def test_a_damaged_store_is_not_taken_for_a_backup(tmp_path: Path) -> None:
    url, path = f"sqlite:///{tmp_path / 'sweeps.db'}", tmp_path / "sweeps.db"
    filled(url).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        size = connection.execute("PRAGMA page_size").fetchone()[0]
    content = bytearray(path.read_bytes())
    middle = len(content) // size // 2
    content[middle * size : (middle + 3) * size] = b"\xff" * (3 * size)
    path.write_bytes(bytes(content))
    with pytest.raises(OrchestratorError, match=r"damaged|malformed"):
        back_up(url, tmp_path / "backup.db")
    assert not (tmp_path / "backup.db").exists()
