"""A new SQLite database for MLflow appears whole, or not at all.

MLflow (3.17) makes one in dozens of steps, seconds long, with no transaction around them: of two
processes that make the same one, one fails; and of what a killed one leaves behind MLflow may
never make a database again.
"""

import os
import sqlite3
import tempfile
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from orchestrator.addresses import sqlite_file, sqlite_url

# Of two threads that need one, the second waits and finds it.
_making = threading.RLock()


def make_database(
    uri: str, fill: Callable[[str], object], is_wanted: Callable[[], bool] = lambda: True
) -> None:
    """Make the file of a SQLite URI, and its folder, where there is none.

    Args:
        uri: A tracking URI; nothing is done for a server, or for another kind of database.
        fill: Makes a database at a URI.
        is_wanted: Asked when the database is made, before it appears.

    Raises:
        OSError: The folder or the file cannot be written.
    """
    path = sqlite_file(uri)
    if path is None:
        return
    with _making:
        if path.exists():
            return
        with tempfile.TemporaryDirectory(prefix="paretune-mlflow-") as folder:
            made = Path(folder) / "mlflow.db"
            fill(sqlite_url(made))
            if not is_wanted():
                return
            # SQLite would not make it, and MLflow tries for minutes.
            path.parent.mkdir(parents=True, exist_ok=True)
            _put(made, path)


def _put(made: Path, path: Path) -> None:
    """Copy a database to a place where none is."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with closing(sqlite3.connect(made)) as source, closing(sqlite3.connect(beside)) as copy:
            source.backup(copy)
            # Kept in the file: whoever reads, as MLflow's page does, does not hold up the mirror.
            copy.execute("PRAGMA journal_mode = WAL")
        _link(beside, path)
    except sqlite3.Error as error:
        raise OSError(f"{path} cannot be written: {error}") from error
    finally:
        beside.unlink(missing_ok=True)


def _link(beside: Path, path: Path) -> None:
    """Never replace what another process was quicker to make, and to fill."""
    try:
        os.link(beside, path)
    except OSError:
        # Or the file system knows no links.
        if not path.exists():
            beside.replace(path)
