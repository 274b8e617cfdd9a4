"""A PostgreSQL server of the tests' own."""

from collections.abc import Iterator

import pytest

from tests.servers import running_postgres


@pytest.fixture(autouse=True)
def schema_made_once() -> None:
    """Every store is made by Alembic, which is what is tested here."""


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """URL of the server's first database; the server is stopped at the end."""
    with running_postgres() as server:
        yield server.url
