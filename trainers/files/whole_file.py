"""Atomic writes: a file appears whole or not at all."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


def unfinished_beside(path: Path) -> Path:
    """Return the path of the temporary file in which this thread writes `path`.

    It is unique to the writer, also among machines with a shared file system.

    >>> unfinished_beside(Path("model.safetensors")).name.startswith(".model.safetensors.")
    True
    """
    writer = f"{socket.gethostname()}-{os.getpid()}-{threading.get_ident()}"
    return path.with_name(f".{path.name}.{writer}")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield the path of a temporary file that replaces `path` when the context ends.

    If the context raises, the temporary file is removed and an existing file at `path` stays.

    Raises:
        OSError: The disk is full or the folder cannot be written.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     with replacing(Path(folder, "a.txt")) as unfinished:
    ...         _ = unfinished.write_text("whole")
    ...     [path.name for path in Path(folder).iterdir()]
    ['a.txt']
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

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     with whole_file(Path(folder, "a.txt")) as file:
    ...         _ = file.write(b"whole")
    ...     Path(folder, "a.txt").read_text()
    'whole'
    """
    with replacing(path) as unfinished, unfinished.open("wb") as file:
        yield file
        file.flush()
