"""Trials with measured values, for tests of what is drawn, printed and asked."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection

from orchestrator.objectives import Direction, Objective
from orchestrator.storage import opening
from orchestrator.trials import Trial, TrialState
from tests.browser import Browser, Tab, chromium
from tests.ray_nodes import RayNodes

OBJECTIVES = (
    Objective("accuracy", Direction.MAXIMIZE),
    Objective("memory_bytes", Direction.MINIMIZE),
    Objective("robust_accuracy", Direction.MAXIMIZE),
    Objective("macs", Direction.MINIMIZE),
)
# Accuracy, bytes, robust accuracy; the last two are beaten by the first.
MEASURED = [(0.96, 60e3, 0.5), (0.94, 22.4e3, 0.6), (0.90, 9e3, 0.7), (0.95, 61e3, 0.4)]


class SchemaMadeOnce:
    """Lets Alembic make the first new SQLite store of this process, and repeats what it made.

    The migrations of an empty database take thirty milliseconds, and most tests have a new store.
    Whatever is not an empty SQLite database is left to Alembic.
    """

    def __init__(self, migrate: Callable[[Connection], None]) -> None:
        self._migrate = migrate
        self._made: tuple[str, ...] = ()

    def __call__(self, connection: Connection) -> None:
        if connection.dialect.name != "sqlite" or _is_used(connection):
            self._migrate(connection)
        elif self._made:
            for statement in self._made:
                connection.exec_driver_sql(statement)
        else:
            self._migrate(connection)
            dump = connection.connection.driver_connection.iterdump()
            self._made = tuple(
                each for each in dump if each not in ("BEGIN TRANSACTION;", "COMMIT;")
            )


def _is_used(connection: Connection) -> bool:
    return bool(connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar())


# Private: a test opens a store as a user does, and only the time that it takes differs.
_SCHEMA = SchemaMadeOnce(opening._migrate)


@pytest.fixture(autouse=True)
def schema_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repeat the schema that Alembic made, in all tests but those of the storage."""
    monkeypatch.setattr(opening, "_migrate", _SCHEMA)


@pytest.fixture
def objectives() -> tuple[Objective, ...]:
    """Four objectives; most tests take the first three."""
    return OBJECTIVES


@pytest.fixture
def trials() -> list[Trial]:
    """Complete trials of one sweep; 0, 1 and 2 are on the front of three objectives."""
    return [
        Trial(
            "digits-fc",
            number,
            {"bits": 8 - number, "optimizer": "[red]sgd"},
            seed=0,
            state=TrialState.COMPLETE,
            values={
                "accuracy": accuracy,
                "memory_bytes": size,
                "robust_accuracy": robust,
                "macs": size * 10,
            },
        )
        for number, (accuracy, size, robust) in enumerate(MEASURED)
    ]


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[RayNodes]:
    """Build a cluster that has no node yet, and stop what was started of it."""
    nodes = RayNodes(tmp_path)
    try:
        yield nodes
    finally:
        nodes.close()


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all tests; each takes a tab."""
    program = chromium()
    if program is None:
        pytest.skip("needs a Chromium on the path: apt-get install chromium")
    browser = Browser(program, tmp_path_factory.mktemp("chromium"))
    yield browser
    browser.close()


@pytest.fixture
def tab(browser: Browser) -> Iterator[Tab]:
    """An empty tab."""
    tab = browser.tab()
    yield tab
    tab.close()
