"""The promises of a store, kept on SQLite and on PostgreSQL."""

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy

from orchestrator.contracts import Outcome, Store
from orchestrator.state_folder import StateFolder
from orchestrator.storage import open_store, upgrade
from orchestrator.storage.sql_store import SqlStore
from orchestrator.storage.tables import metadata
from orchestrator.testing.store_contract import SharedStoreContract
from orchestrator.trials import Artifact, TrialState


@pytest.fixture(scope="session")
def empty_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with nothing in it, to be copied for each test: faster than making one."""
    path = tmp_path_factory.mktemp("stores") / "empty.db"
    upgrade(f"sqlite:///{path}")
    return path


class Places:
    """Files are under the state folder of whoever opens the store."""

    def test_a_file_is_where_the_state_folder_is_now(
        self, store: SqlStore, tmp_path: Path
    ) -> None:
        old, new = StateFolder(tmp_path / "old"), StateFolder(tmp_path / "new")
        url, _ = store.__reduce__()[1]
        first, second = SqlStore(url, old), SqlStore(url, new)
        first.create_sweep("a", {}, "f")
        writer = first.take("a", "me")
        kept = [
            str(old.trial_folder("a", 0) / "model.safetensors"),
            str(tmp_path / "elsewhere" / "model.safetensors"),
            "s3://bucket/model.safetensors",
        ]
        for number, path in enumerate(kept):
            writer.add_trial({}, seed=0)
            writer.start_attempt(number, "w")
            artifact = Artifact(path, 8, hashlib.sha256(b"measured").hexdigest())
            writer.finish_attempt(number, 0, Outcome(TrialState.COMPLETE, {}, artifact))
        assert [trial.artifact.path for trial in first.trials("a")] == kept
        moved = str(new.trial_folder("a", 0) / "model.safetensors")
        assert [trial.artifact.path for trial in second.trials("a")] == [moved, *kept[1:]]
        first.close()
        second.close()


class TestSqliteStore(Places, SharedStoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path, empty_file: Path) -> Iterator[Store]:
        store = open_store(f"sqlite:///{shutil.copy(empty_file, tmp_path / 'store.db')}")
        yield store
        store.close()


@pytest.mark.postgres
class TestPostgresStore(Places, SharedStoreContract):
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
