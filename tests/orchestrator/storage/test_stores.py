"""The promises of a store, kept on SQLite and on PostgreSQL."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy

from orchestrator.contracts import Store
from orchestrator.storage import open_store, upgrade
from orchestrator.storage.tables import metadata
from orchestrator.testing.store_contract import SharedStoreContract


@pytest.fixture(scope="session")
def empty_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with nothing in it, to be copied for each test: faster than making one."""
    path = tmp_path_factory.mktemp("stores") / "empty.db"
    upgrade(f"sqlite:///{path}")
    return path


class TestSqliteStore(SharedStoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path, empty_file: Path) -> Iterator[Store]:
        store = open_store(f"sqlite:///{shutil.copy(empty_file, tmp_path / 'store.db')}")
        yield store
        store.close()


@pytest.mark.postgres
class TestPostgresStore(SharedStoreContract):
    @pytest.fixture
    def store(self, postgres: str) -> Iterator[Store]:
        store = open_store(postgres)
        yield store
        store.close()
        # Of a server, a new database for each test would cost more than all of the tests.
        engine = sqlalchemy.create_engine(postgres)
        with engine.begin() as connection:
            names = ", ".join(metadata.tables)
            connection.execute(sqlalchemy.text(f"TRUNCATE {names} RESTART IDENTITY"))
        engine.dispose()
