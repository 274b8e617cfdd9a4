"""One database, SQLite or PostgreSQL: transactions to read or write in, errors as sentences."""

import os
import re
import sqlite3
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError, StatementError

from orchestrator.addresses import missing_driver
from orchestrator.errors import OrchestratorError, StorageFullError, UsageError
from orchestrator.redaction import redacted, redacted_options, shown_unreadable
from orchestrator.references import resolved

_SQLITE = ("sqlite", "sqlite+pysqlite")
_POSTGRES = "postgresql+psycopg"
# As SQLAlchemy reads it.
_USER = re.compile(r"://[^:/@]*(?::[^@]*)?@")
_BUSY_S = 60.0
# postgresql.org/docs/current/errcodes-appendix.html
_POSTGRES_DISK_FULL = "53100"
# A server that restarts or fails over is unreachable for seconds. Shorter than a lease, so that a
# driver does not wait for a sweep that another one may have taken by then.
_AWAY_S = 30.0
_PAUSE_S = 0.25
AWAY_FIX = "Start the server, and check host, user and password in the URL of the store."
"""What to do about a server that was never reached."""

_T = TypeVar("_T")


class Database:
    """Opens connections lazily; nothing touches the disk before the first transaction.

    Args:
        url: SQLAlchemy URL with its driver; it may refer to variables (`references.resolved`).
        read_only: Never write, even if that would be possible.

    Raises:
        UsageError: The URL cannot be read, or names a database that is not supported.
        OrchestratorError: The driver's package is not installed.
    """

    def __init__(self, url: str, *, read_only: bool = False) -> None:
        parsed = _checked(resolved(url))
        self.full_url = parsed.render_as_string(hide_password=False)
        self.url = _shown(parsed)
        self.path = Path(parsed.database or "") if parsed.drivername in _SQLITE else None
        self.read_only = self.path is not None and (read_only or _is_read_only(self.path))
        self._engine = (
            _sqlite(parsed, read_only=self.read_only) if self.path else _postgres(parsed)
        )
        # One that is never closed, as in a notebook, leaves no connection on the server.
        weakref.finalize(self, self._engine.dispose)
        self._was_reached = False
        self._writing = self._engine.execution_options(sqlite_begin="IMMEDIATE")
        if not self.path:
            # As in SQLite, the queries of one transaction see one snapshot.
            self._engine = self._engine.execution_options(isolation_level="REPEATABLE READ")

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a transaction whose queries all see one snapshot; it never waits for a writer."""
        with self._sentences(), self._connection(self._engine) as connection, connection.begin():
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Open a transaction that is committed at the end and rolled back by an exception.

        On SQLite it takes the write lock at its start: a lock taken only at the first write fails,
        instead of waiting, if another transaction wrote since this one's first read.
        """
        with self._sentences(), self._connection(self._writing) as connection, connection.begin():
            yield connection

    def allow_reading_while_writing(self) -> None:
        """Put an SQLite file into WAL mode, which it keeps; does nothing for PostgreSQL.

        SQLite waits for readers here, but fails at once if another process does the same.
        """
        if not self.path:
            return
        with self._sentences(), closing(self._engine.raw_connection()) as connection:
            execute = connection.cursor().execute
            _patiently(lambda: execute("PRAGMA journal_mode = WAL"), _BUSY_S, _is_busy)

    def close(self) -> None:
        """Close every connection; a later transaction opens new ones."""
        self._engine.dispose()

    def _connection(self, engine: Engine) -> Connection:
        """A working connection; waits for a server that was reachable before and is not now.

        Only before a transaction begins: one that is cut off may or may not have been committed.
        """
        away_s = _AWAY_S if self._was_reached else 0.0
        connection = _patiently(engine.connect, away_s, _is_away)
        self._was_reached = not self.path
        return connection

    @contextmanager
    def _sentences(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise self._failed(error.orig) from error
        except sqlite3.Error as error:
            raise self._failed(error) from error
        except StatementError as error:
            # A value that JSON cannot hold: the caller's mistake, not the database's.
            if isinstance(error.orig, (TypeError, ValueError)):
                raise error.orig from None
            raise

    def _failed(self, error: BaseException | None) -> OrchestratorError:
        reason = redacted(str(error).strip().partition("\n")[0])
        if _is_full(error):
            return StorageFullError(
                f"The disk of the store at {self.url} is full: {reason}. Nothing of this step was "
                f"stored, and everything of before is. Free some space, then run the same command "
                f"again."
            )
        if getattr(error, "sqlite_errorname", "").startswith("SQLITE_READONLY"):
            return OrchestratorError(
                f"The store at {self.url} can be read and not written to: its folder is mounted "
                f"read-only, or belongs to somebody else. Nothing was changed. To go on with a "
                f"sweep of it, copy the project to a folder that you may write to."
            )
        if not self.path and not self._was_reached:
            return OrchestratorError(
                f"The store at {self.url} cannot be used: {reason.rstrip('.')}. {AWAY_FIX}"
            )
        return OrchestratorError(
            f"The store at {self.url} failed: {reason}. Nothing of this step was stored; "
            f"`paretune doctor` looks for the cause."
        )


def _patiently(
    attempt: Callable[[], _T], seconds: float, passes: Callable[[Exception], bool]
) -> _T:
    """The result of an attempt, which is retried for a while after a transient error."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return attempt()
        except Exception as error:
            if not passes(error) or time.monotonic() >= deadline:
                raise
            time.sleep(_PAUSE_S)


def _is_away(error: Exception) -> bool:
    return isinstance(error, OperationalError)


def _is_busy(error: Exception) -> bool:
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY


def _is_full(error: BaseException | None) -> bool:
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
    return getattr(error, "sqlstate", None) == _POSTGRES_DISK_FULL


def driver_problem(url: str) -> str:
    """Describe the missing driver of a database's URL; empty if it is installed, or for no URL.

    >>> driver_problem("sqlite:///sweeps.db")
    ''
    >>> driver_problem("sweeps.db")  # no URL
    ''
    """
    try:
        make_url(url).get_dialect().import_dbapi()
    except ImportError as error:
        return missing_driver(url, error)
    except (ArgumentError, ValueError):
        # Not a URL of SQLAlchemy, or of a database that it does not know: reported elsewhere.
        return ""
    return ""


def _checked(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # the second: its port is not a number
        parsed = None
    # A user and a password that are read as something else would be shown.
    if parsed is None or (parsed.drivername not in _SQLITE and _is_misread(url)):
        raise UsageError(
            f"Cannot read {shown_unreadable(url)!r} as a database URL. Write "
            f"'sqlite:///relative/path.db', 'sqlite:////absolute/path.db' or "
            f"'postgresql+psycopg://user:password@host/database'; of a password, write '@', ':', "
            f"'/', '?' and '#' as %40, %3A, %2F, %3F and %23, or refer to a variable: ${{NAME}}."
        )
    shown = _shown(parsed)
    if parsed.drivername in _SQLITE:
        return _checked_sqlite(parsed, shown)
    if parsed.drivername != _POSTGRES:
        hint = (
            f"Write it as {_shown(parsed.set(drivername=_POSTGRES))}"
            if parsed.get_backend_name() == "postgresql"
            else f"Known: sqlite:///PATH and {_POSTGRES}://USER@HOST/DATABASE"
        )
        raise UsageError(f"The store's URL {shown} names no driver that paretune uses. {hint}")
    return parsed


def _is_misread(url: str) -> bool:
    """Whether an ``@`` of a server's URL is not the one that ends its user."""
    return "@" in _USER.sub("", url, count=1)


def _shown(url: URL) -> str:
    """The URL with neither its password nor a secret among its options."""
    return redacted_options(url.render_as_string(hide_password=True))


def _checked_sqlite(url: URL, shown: str) -> URL:
    if url.database in (None, "", ":memory:"):
        raise UsageError(
            f"A store in memory ({shown}) would be gone with the first connection that closes; "
            f"name a file: sqlite:///PATH."
        )
    # Absolute, because a store travels to processes with another working directory.
    return url.set(database=str(Path(str(url.database)).expanduser().absolute()))


def _is_read_only(path: Path) -> bool:
    """Whether the file, or its folder for the files that SQLite adds to it, is read-only."""
    return path.exists() and not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK))


def _opened_to_read(path: Path) -> sqlite3.Connection:
    """A connection that needs no write permission, neither for the file nor for its folder."""
    # SQLite sees what other processes write only through its files beside the database, and could
    # not create them here. Without them no process is writing.
    beside = [path.with_name(path.name + ending) for ending in ("-wal", "-shm")]
    is_used = any(each.exists() and each.stat().st_size for each in beside)
    address = f"{path.absolute().as_uri()}?mode=ro{'' if is_used else '&immutable=1'}"
    return sqlite3.connect(address, uri=True, timeout=_BUSY_S, check_same_thread=False)


def _sqlite(url: URL, *, read_only: bool) -> Engine:
    # One BUSY_S both for SQLite's own waiting and for a free connection of the pool.
    if read_only:
        path = Path(str(url.database))
        engine = create_engine(url, creator=lambda: _opened_to_read(path), pool_timeout=_BUSY_S)
    else:
        engine = create_engine(url, connect_args={"timeout": _BUSY_S}, pool_timeout=_BUSY_S)

    @event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _: object) -> None:
        # Python's module would begin transactions by itself, deferred, and before writes only.
        connection.isolation_level = None
        connection.execute("PRAGMA foreign_keys = ON")
        # A commit is in the operating system's hands, not yet on the disk: `kill -9` loses
        # nothing, and a power cut at most the last commits, never the file's integrity
        # (sqlite.org/pragma.html#pragma_synchronous). FULL would cost an fsync a write.
        connection.execute("PRAGMA synchronous = NORMAL")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        kind = connection.get_execution_options().get("sqlite_begin", "DEFERRED")
        connection.exec_driver_sql(f"BEGIN {kind}")

    return engine


def _postgres(url: URL) -> Engine:
    try:
        # `pool_pre_ping`: a server restarted during a long sweep costs a reconnect, not the sweep.
        return create_engine(url, pool_pre_ping=True)
    except ImportError as error:
        raise OrchestratorError(f"The store at {missing_driver(str(url), error)}") from None
