"""From a URL to a store: find the file or server, and create or upgrade its schema."""

import sqlite3
import tempfile
import weakref
from contextlib import closing, suppress
from pathlib import Path

from sqlalchemy import Connection, inspect, select, text, update
from sqlalchemy.sql.expression import column, table

from orchestrator.contracts import Store
from orchestrator.errors import OrchestratorError, UsageError
from orchestrator.state_folder import StateFolder, make_private
from orchestrator.storage.alembic_lock import ALEMBIC_LOCK
from orchestrator.storage.database import Database
from orchestrator.storage.sql_store import SqlStore
from orchestrator.storage.tables import FIRST, HEAD, VERSION_TABLE, metadata, sweeps

_MIGRATIONS = Path(__file__).parent / "migrations"
_TRIED = "paretune_doctor"
_UPGRADE_LOCK = 7_265_746_956  # any number that every paretune knows


def open_store(
    url: str | None = None, *, create: bool = True, state: StateFolder | None = None
) -> Store:
    """Open the store at `url`.

    Args:
        url: SQLAlchemy URL with its driver; None for what ``PARETUNE_STORE`` names,
            else the one in the state folder.
        create: Create the folder, the file and the schema if they are missing. False, for
            callers that only read, changes nothing but an older schema.
        state: The state folder, under which files of trials are looked for; default:
            `StateFolder.find`.

    Raises:
        UsageError: There is no store (``create=False``), or the URL cannot be used.
        OrchestratorError: The schema is newer than this version of paretune; the database cannot
            be reached, or belongs to another program.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     store = open_store(f"sqlite:///{folder}/sweeps.db")
    ...     store.sweeps()
    []
    """
    state = state or StateFolder.find()
    url, _ = state.store_address(url)
    if create:
        upgrade(url)
        return SqlStore(url, state)
    database = Database(url)
    try:
        if _is_up_to_date(database):
            return SqlStore(url, state)
        if not database.read_only:
            upgrade(url)
            return SqlStore(url, state)
        folder = tempfile.TemporaryDirectory(prefix="paretune-store-")
        copy = f"sqlite:///{_copied(database, Path(folder.name))}"
    finally:
        database.close()
    upgrade(copy)
    store = SqlStore(copy, state, read_only=True)
    # It lasts as long as the store does.
    weakref.finalize(store, folder.cleanup)
    return store


def find_store(url: str | None = None, *, state: StateFolder | None = None) -> Store | None:
    """Open the store at `url` as `open_store` does, if there is one; creates nothing.

    Args:
        url: As in `open_store`.
        state: As in `open_store`.

    Raises:
        UsageError: The URL cannot be used.
        OrchestratorError: As in `open_store`.

    >>> find_store("sqlite:///absent.db") is None
    True
    """
    state = state or StateFolder.find()
    url, _ = state.store_address(url)
    current, _ = schema_version(url)
    return None if current is None else open_store(url, state=state)


def schema_version(url: str) -> tuple[str | None, str]:
    """Return the version of the database's schema, None if it has none, and the newest known.

    >>> current, newest = schema_version("sqlite:///absent.db")
    >>> current is None, newest == HEAD
    (True, True)
    """
    database = Database(url)
    if database.path and not database.path.exists():
        return None, HEAD
    try:
        with database.reading() as connection:
            return _current(connection), HEAD
    finally:
        database.close()


class _TakenBackError(Exception):
    """Ends a transaction that was only tried."""


def try_writing(url: str) -> None:
    """Make a table in an existing database and take it back, so that nothing stays.

    Raises:
        OrchestratorError: The database cannot be written to.

    >>> try_writing("sqlite:///absent.db")  # the first run makes it
    """
    database = Database(url)
    if database.path and not database.path.exists():
        return
    try:
        with suppress(_TakenBackError), database.writing() as connection:
            connection.execute(text(f"CREATE TABLE {_TRIED} (number INTEGER)"))
            connection.execute(text(f"INSERT INTO {_TRIED} VALUES (1)"))  # noqa: S608 - ours
            raise _TakenBackError
    finally:
        database.close()


def try_changing(url: str) -> None:
    """Write to an existing store as a run does, and take it back; an older one as `try_writing`.

    Raises:
        OrchestratorError: The store cannot be written to.

    >>> try_changing("sqlite:///absent.db")  # the first run makes it
    """
    current, newest = schema_version(url)
    if current != newest:
        try_writing(url)
        return
    database = Database(url)
    try:
        with suppress(_TakenBackError), database.writing() as connection:
            # Of no row: what is tried is the right to it, which another driver must not wait for.
            nothing = update(sweeps).where(sweeps.c.id < 0)
            connection.execute(nothing.values(revision=sweeps.c.revision))
            raise _TakenBackError
    finally:
        database.close()


def upgrade(url: str) -> None:
    """Create the schema or bring it up to date; a missing folder and file are created too.

    Several processes may do so at the same moment: one does the work, the others wait for it.

    Raises:
        OrchestratorError: The schema is newer than this version of paretune, or the database
            belongs to another program.
    """
    database = Database(url)
    try:
        if _is_ready(database):
            return
        if database.path:
            _make_folder(database.path.parent)
            database.allow_reading_while_writing()
        with database.writing() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text(f"SELECT pg_advisory_xact_lock({_UPGRADE_LOCK})"))
            # Checked again, now that no other process can be upgrading it.
            current = _current(connection)
            _check_known(database, current)
            if current is None:
                _check_empty(database, connection)
            if current != HEAD:
                _migrate(connection)
    finally:
        database.close()


def _make_folder(folder: Path) -> None:
    try:
        make_private(folder)
    except OSError as error:
        raise OrchestratorError(
            f"Cannot make the folder {folder} for the store: {error.strerror}. Set PARETUNE_HOME "
            f"to a folder that you may write to, or name another store."
        ) from error


def _is_up_to_date(database: Database) -> bool:
    """Whether an existing store can be read as it is."""
    current, _ = schema_version(database.full_url)
    if current is None:
        raise UsageError(
            f"No store at {database.url}: run a sweep first (paretune run SWEEP.yaml), or name "
            f"another store."
        )
    _check_known(database, current)
    return current == HEAD


def _copied(database: Database, folder: Path) -> Path:
    """A copy of an older store that may not be changed; the copy is upgraded instead."""
    path = folder / "paretune.db"
    with database.reading() as connection, closing(sqlite3.connect(path)) as copy:
        source = connection.connection.driver_connection
        assert isinstance(source, sqlite3.Connection)  # noqa: S101 - no other is read-only
        source.backup(copy)
    return path


def _is_ready(database: Database) -> bool:
    if database.path and not database.path.exists():
        return False
    with database.reading() as connection:
        return _current(connection) == HEAD


def _current(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.scalar(select(column("version_num")).select_from(table(VERSION_TABLE)))


def _check_known(database: Database, current: str | None) -> None:
    if current is not None and current > HEAD:
        raise OrchestratorError(
            f"The store at {database.url} has schema {current}, newer than the {HEAD} that this "
            f"paretune knows. Use the paretune that wrote it: pip install --upgrade paretune"
        )
    if current is not None and current < FIRST:
        raise OrchestratorError(
            f"The store at {database.url} has schema {current}, which no paretune wrote: the "
            f"first is {FIRST}. Restore the file from a backup, or name another store."
        )


def _check_empty(database: Database, connection: Connection) -> None:
    taken = sorted(set(inspect(connection).get_table_names()) & set(metadata.tables))
    if taken:
        raise OrchestratorError(
            f"The database {database.url} has tables that paretune did not make, under names that "
            f"it needs ({', '.join(taken)}). Give paretune a database of its own."
        )


def _migrate(connection: Connection) -> None:
    # Here, because queries should not pay for importing it.
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    with ALEMBIC_LOCK:
        command.upgrade(config, "head")
