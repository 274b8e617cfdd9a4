"""The promises of a store, kept on SQLite and on PostgreSQL."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
import sqlalchemy

from orchestrator.contracts import Store
from orchestrator.storage import open_store, upgrade
from orchestrator.testing.store_contract import SharedStoreContract


@pytest.fixture(scope="session")
def empty_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with nothing in it, to be copied for each test: faster than making one."""
    path = tmp_path_factory.mktemp("stores") / "empty.db"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def empty_database(postgres: str) -> str:
    """Name of a database on the server, for the same purpose."""
    _execute(postgres, "CREATE DATABASE empty")
    upgrade(_database(postgres, "empty"))
    return "empty"


class TestSqliteStore(SharedStoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path, empty_file: Path) -> Iterator[Store]:
        store = open_store(f"sqlite:///{shutil.copy(empty_file, tmp_path / 'store.db')}")
        yield store
        store.close()


@pytest.mark.postgres
class TestPostgresStore(SharedStoreContract):
    @pytest.fixture
    def store(self, postgres: str, empty_database: str) -> Iterator[Store]:
        name = f"test_{uuid4().hex}"
        _execute(postgres, f"CREATE DATABASE {name} TEMPLATE {empty_database}")
        store = open_store(_database(postgres, name))
        yield store
        store.close()


def _database(url: str, name: str) -> str:
    return sqlalchemy.make_url(url).set(database=name).render_as_string(hide_password=False)


def _execute(url: str, statement: str) -> None:
    plain = url.replace("postgresql+psycopg://", "postgresql://")
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(statement)
