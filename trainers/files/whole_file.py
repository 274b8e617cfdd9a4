"""Files that appear whole or not at all."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


def unfinished_beside(path: Path) -> Path:
    """Name the file in which this thread writes what is to be at `path`.

    No two writers share it, on one machine or on several with the same file system.
    """
    writer = f"{socket.gethostname()}-{os.getpid()}-{threading.get_ident()}"
    return path.with_name(f".{path.name}.{writer}")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give the path of an unfinished file that replaces `path` when the context ends.

    If the context raises, the unfinished file is removed and what was at `path` stays.

    Raises:
        OSError: The disk is full or the folder cannot be written.
    """
    unfinished = unfinished_beside(path)
    try:
        yield unfinished
        with unfinished.open("rb") as file:
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing that appears at `path`, whole, when the context ends.

    Raises:
        OSError: The disk is full or the folder cannot be written; what was there stays.
    """
    with replacing(path) as unfinished, unfinished.open("wb") as file:
        yield file
        file.flush()
