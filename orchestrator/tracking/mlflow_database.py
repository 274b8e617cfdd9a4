"""A new SQLite database for MLflow appears whole, or not at all.

MLflow (3.17) creates one in dozens of steps over seconds, without a transaction: if two processes
create the same one, one of them fails, and what a killed process leaves behind may be unusable
for MLflow forever.
"""

import os
import sqlite3
import tempfile
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from orchestrator.addresses import sqlite_file, sqlite_url
from orchestrator.state_folder import make_private
from orchestrator.storage.alembic_lock import ALEMBIC_LOCK

# If two threads need one, the second waits and finds it.
_making = threading.RLock()


def make_database(
    uri: str, fill: Callable[[str], object], is_wanted: Callable[[], bool] = lambda: True
) -> None:
    """Create the file of a SQLite URI, and its folder, if it does not exist.

    Args:
        uri: A tracking URI; nothing is done for a server, or for another kind of database.
        fill: Creates a database at a URI.
        is_wanted: Called when the database is complete, before it is put in place.

    Raises:
        OSError: The folder or the file cannot be written.

    >>> make_database("http://mlflow:5000", fill=lambda uri: 1 / 0)  # a server needs no file
    """
    path = sqlite_file(uri)
    if path is None:
        return
    with _making:
        if path.exists():
            return
        with tempfile.TemporaryDirectory(prefix="paretune-mlflow-") as folder:
            made = Path(folder) / "mlflow.db"
            with ALEMBIC_LOCK:
                fill(sqlite_url(made))
            if not is_wanted():
                return
            # SQLite does not create folders, and MLflow would retry for minutes.
            make_private(path.parent)
            _put(made, path)


def _put(made: Path, path: Path) -> None:
    """Copy a database to a path where none exists."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with closing(sqlite3.connect(made)) as source, closing(sqlite3.connect(beside)) as copy:
            source.backup(copy)
            # Stored in the file: readers such as MLflow's page then do not block the mirror.
            copy.execute("PRAGMA journal_mode = WAL")
        _link(beside, path)
    except sqlite3.Error as error:
        raise OSError(f"{path} cannot be written: {error}") from error
    finally:
        beside.unlink(missing_ok=True)


def _link(beside: Path, path: Path) -> None:
    """Put the file in place, but never replace one that another process created first."""
    try:
        os.link(beside, path)
    except OSError:
        # Or the file system does not support links.
        if not path.exists():
            beside.replace(path)
