"""A new SQLite database for MLflow appears whole, or not at all.

MLflow (3.17) creates one in dozens of steps over seconds, without a transaction: if two processes
create the same one, one of them fails, and what a killed process leaves behind may be unusable
for MLflow forever. An empty one is kept on this machine, and copied for the next project.
"""

import logging
import os
import sqlite3
import tempfile
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from orchestrator.addresses import sqlite_file, sqlite_url
from orchestrator.state_folder import make_private, node_folder
from orchestrator.storage.alembic_lock import ALEMBIC_LOCK

logger = logging.getLogger(__name__)

# If two threads need one, the second waits and finds it.
_making = threading.RLock()


def make_database(uri: str, fill: Callable[[str], object]) -> None:
    """Create the file of a SQLite URI, and its folder, if it does not exist.

    Args:
        uri: A tracking URI; nothing is done for a server, or for another kind of database.
        fill: Creates a database at a URI.

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
            # SQLite does not create folders, and MLflow would retry for minutes.
            make_private(path.parent)
            _put(made, path)


def fill_or_copy(uri: str, fill: Callable[[str], object], version: str) -> None:
    """Fill a new SQLite file like the last one that was filled on this machine for this version.

    Args:
        uri: Of the file, which does not exist.
        fill: Creates a database at a URI; called if there is none to copy.
        version: Whatever decides what `fill` makes.

    Raises:
        OSError: The file cannot be written.
    """
    path = sqlite_file(uri)
    folder = node_folder(f"empty MLflow database {version}")
    kept = folder / "mlflow.db"
    if path is None or not _is_ours(folder):
        fill(uri)
        return
    if kept.exists():
        try:
            _put(kept, path)
            return
        except OSError as error:
            logger.info("The empty database at %s is not used: %s", kept, error)
            path.unlink(missing_ok=True)
    fill(uri)
    # Without it the next project only waits longer.
    with suppress(OSError):
        kept.unlink(missing_ok=True)
        _put(path, kept)


def _is_ours(folder: Path) -> bool:
    """Make a folder of temporary files; tell whether this user alone can put a file there."""
    try:
        make_private(folder)
        found = [each.stat() for each in (folder, folder.parent)]
    except OSError:
        return False
    return all(each.st_uid == os.getuid() and not each.st_mode & 0o022 for each in found)


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
