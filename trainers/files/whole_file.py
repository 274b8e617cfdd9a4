"""Files that appear whole or not at all."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give the path of an unfinished file that replaces `path` when the context ends.

    If the context raises, the unfinished file is removed and what was at `path` stays.

    Raises:
        OSError: The disk is full or the folder cannot be written.
    """
    # Not named after the process: two machines on one file system may have one of the same number.
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
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
