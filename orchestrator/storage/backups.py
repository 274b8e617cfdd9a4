"""Backups of a whole store: an SQLite file, of a store of either kind, and into one of either."""

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, func, inspect, select, text

from orchestrator.addresses import sqlite_url
from orchestrator.contracts import Store
from orchestrator.errors import OrchestratorError, SweepExistsError, UsageError
from orchestrator.storage.database import Database
from orchestrator.storage.opening import open_store, schema_version
from orchestrator.storage.tables import metadata, sweeps, trials
from orchestrator.storage.transfer import copy_sweeps

_SHOWN = 3
_TABLE_SIZE = text("SELECT pg_total_relation_size(CAST(:name AS regclass))")


@dataclass(frozen=True, slots=True)
class DatabaseStatus:
    """What there is of a store.

    Attributes:
        url: Its URL, without a password.
        kind: ``SQLite`` or ``PostgreSQL``, with the version of the library or server.
        schema: Version of its schema; None if there is no store yet.
        newest: The version that this paretune makes.
        sweeps: Number of sweeps.
        trials: Number of trials.
        bytes: What it takes on disk.
        problem: What SQLite's own check found; empty if nothing.
    """

    url: str
    kind: str
    schema: str | None
    newest: str
    sweeps: int = 0
    trials: int = 0
    bytes: int = 0
    problem: str = ""


def database_status(url: str) -> DatabaseStatus:
    """Look at a store; nothing is changed, and an older schema is not upgraded.

    Raises:
        UsageError: The URL cannot be used.
        OrchestratorError: The database cannot be reached.
    """
    schema, newest = schema_version(url)
    database = Database(url)
    try:
        if schema is None and database.path and not database.path.exists():
            return DatabaseStatus(database.url, f"SQLite {sqlite3.sqlite_version}", None, newest)
        with database.reading() as connection:
            kind, size = _kind_and_size(database, connection)
            if schema is None:
                return DatabaseStatus(database.url, kind, None, newest)
            own, of_trials = (
                connection.scalar(select(func.count()).select_from(table)) or 0
                for table in (sweeps, trials)
            )
            problem = _problem(connection)
        return DatabaseStatus(database.url, kind, schema, newest, own, of_trials, size, problem)
    finally:
        database.close()


def back_up(url: str, to: Path) -> int:
    """Write a backup of a store into a new file; drivers may write to the store meanwhile.

    Args:
        url: URL of the store.
        to: The file: an SQLite store, which ``--store sqlite:///FILE`` opens as it is.

    Returns:
        The size of the file.

    Raises:
        UsageError: The file exists or has no folder, or there is no store.
        OrchestratorError: The store cannot be read, or the file not be written.
    """
    if to.exists():
        raise UsageError(f"{to} exists, and is left as it is: name another file with --to.")
    schema, newest = schema_version(url)
    database = Database(url)
    try:
        if schema is None:
            raise UsageError(f"There is no store at {database.url}, so nothing to back up.")
        with _appearing(to) as unfinished:
            if database.path:
                _copy_file(database, unfinished)
            else:
                _copy_server(database, unfinished, is_newest=schema == newest)
        return to.stat().st_size
    finally:
        database.close()


def put_back(file: Path, url: str) -> list[str]:
    """Put the sweeps of a backup into a store that has none; it is created if missing.

    The backup stays as it is; an older one is upgraded on the way. Either all sweeps appear, or
    none.

    Returns:
        The names of the sweeps.

    Raises:
        UsageError: The file is no backup.
        SweepExistsError: The store has sweeps.
        OrchestratorError: The backup is damaged, or the store cannot be written.
    """
    if not file.is_file() or schema_version(sqlite_url(file.absolute()))[0] is None:
        raise UsageError(f"{file} is no backup of a store: 'paretune database backup' writes one.")
    with closing(open_store(url)) as target:
        _check_empty(target)
        with tempfile.TemporaryDirectory(prefix="paretune-backup-") as scratch:
            copy = Path(scratch, "store.db")
            backup = Database(sqlite_url(file.absolute()), read_only=True)
            _copy_file(backup, copy)
            backup.close()
            with closing(open_store(sqlite_url(copy))) as source:
                names = [record.name for record in source.sweeps()]
                copy_sweeps(source, target, names)
    return names


def _check_empty(target: Store) -> None:
    if found := [record.name for record in target.sweeps()]:
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        raise SweepExistsError(
            f"The store at {target.url} has sweeps ({', '.join(found[:_SHOWN])}{more}), and a "
            f"backup is put back into an empty one. Nothing was changed. Name another store with "
            f"--store; single sweeps are moved by 'paretune archive'."
        )


def _copy_file(database: Database, to: Path) -> None:
    """Copy an SQLite store by SQLite's backup, which sees one moment of it."""
    with database.reading() as connection, closing(sqlite3.connect(to)) as copy:
        if problem := _problem(connection):
            raise OrchestratorError(
                f"The store at {database.url} is damaged, and nothing was copied: {problem}. Go "
                f"back to an earlier backup, or save what can be read: sqlite3 FILE .recover"
            )
        source = connection.connection.driver_connection
        assert isinstance(source, sqlite3.Connection)  # noqa: S101 - it has a path
        source.backup(copy)
        # One file, without a log beside it.
        copy.execute("PRAGMA journal_mode = DELETE")


def _copy_server(database: Database, to: Path, *, is_newest: bool) -> None:
    """Copy the sweeps of a server into an SQLite store: rows, read in one snapshot."""
    if not is_newest:
        raise OrchestratorError(
            f"The store at {database.url} has an older schema, of which this paretune makes no "
            f"backup. Upgrade it after a backup by PostgreSQL's own program (pg_dump -Fc), or "
            f"make the backup with the paretune that wrote it."
        )
    with (
        closing(open_store(database.full_url, create=False)) as source,
        closing(open_store(sqlite_url(to))) as target,
    ):
        copy_sweeps(source, target, [record.name for record in source.sweeps()])
    with closing(sqlite3.connect(to)) as copy:
        copy.execute("PRAGMA journal_mode = DELETE")


@contextmanager
def _appearing(to: Path) -> Iterator[Path]:
    """Path of a file beside `to` that gets its name once it is whole."""
    try:
        with tempfile.TemporaryDirectory(prefix=f".{to.name}.", dir=to.parent) as folder:
            unfinished = Path(folder).absolute() / "backup.db"
            yield unfinished
            with unfinished.open("rb") as file:
                os.fsync(file.fileno())
            unfinished.rename(to)
    except OSError as error:
        if isinstance(error, OrchestratorError):
            raise
        raise OrchestratorError(
            f"{to} could not be written: {error.strerror or error}."
        ) from error


def _kind_and_size(database: Database, connection: Connection) -> tuple[str, int]:
    if database.path:
        beside = [database.path, database.path.with_name(f"{database.path.name}-wal")]
        size = sum(path.stat().st_size for path in beside if path.exists())
        return f"SQLite {sqlite3.sqlite_version}", size
    version = str(connection.scalar(text("SHOW server_version"))).partition(" ")[0]
    there = set(inspect(connection).get_table_names()) & set(metadata.tables)
    total = sum(connection.scalar(_TABLE_SIZE, {"name": name}) or 0 for name in sorted(there))
    return f"PostgreSQL {version}", int(total)


def _problem(connection: Connection) -> str:
    if connection.dialect.name != "sqlite":
        return ""
    found = connection.scalars(text("PRAGMA quick_check(1)")).all()
    return "" if found == ["ok"] else "; ".join(map(str, found))
