"""A PostgreSQL server of the tests' own."""

from collections.abc import Iterator

import pytest

from tests.servers import PostgresServer, postgres_programs


@pytest.fixture(autouse=True)
def schema_made_once() -> None:
    """Every store is made by Alembic, which is what is tested here."""


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """URL of the server's first database; the server is stopped at the end."""
    programs = postgres_programs()
    if programs is None:
        pytest.skip("needs a PostgreSQL server: apt-get install postgresql")
    server = PostgresServer(programs)
    yield server.url
    server.end()
