"""A server that goes away between two transactions, and what is left on one that stays."""

import gc
import threading
import time
from collections.abc import Iterator

import pytest
from sqlalchemy import text

from orchestrator.errors import OrchestratorError
from orchestrator.storage import database
from orchestrator.storage.database import Database
from tests.servers import PostgresServer, running_postgres

pytestmark = pytest.mark.postgres


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    with running_postgres() as found:
        yield found


def answer(known: Database) -> int:
    with known.writing() as connection:
        return int(connection.execute(text("SELECT 42")).scalar_one())


def test_a_server_that_restarts_is_waited_for(
    server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As long as a server takes on a busy machine.
    monkeypatch.setattr(database, "_AWAY_S", 300.0)
    known = Database(server.url)
    assert answer(known) == 42
    server.kill()
    back = threading.Timer(1.0, server.start)
    back.start()
    assert answer(known) == 42
    back.join()

    server.kill()
    monkeypatch.setattr(database, "_AWAY_S", 0.5)
    with pytest.raises(OrchestratorError, match=r"The store at postgresql.* failed"):
        answer(known)
    known.close()


def test_a_server_that_never_answered_is_not_waited_for(
    server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.kill()
    monkeypatch.setattr(database, "_AWAY_S", 600.0)
    began = time.monotonic()
    with pytest.raises(OrchestratorError, match="failed"):
        answer(Database(server.url))
    assert time.monotonic() - began < database._AWAY_S / 2


def test_a_store_that_nobody_closed_leaves_no_connection(server: PostgresServer) -> None:
    watching, dropped = Database(server.url), Database(server.url)
    assert answer(dropped) == 42

    def connections() -> int:
        query = text(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
        with watching.reading() as connection:
            return int(connection.execute(query).scalar_one())

    assert connections() == 1
    del dropped
    gc.collect()
    ends = time.monotonic() + 300
    while connections() and time.monotonic() < ends:
        time.sleep(0.05)
    assert connections() == 0
    watching.close()
