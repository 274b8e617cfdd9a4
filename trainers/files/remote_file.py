"""Atomic writes to a file system of fsspec."""

import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

# Stores without folders, in which an object appears only when it was sent as a whole.
_OBJECT_STORES = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "memory"})


def put_whole(files: Any, file: Path, path: str) -> None:
    """Write a file that appears whole or not at all, and replaces an existing one.

    An object store needs one request for it. Elsewhere folders that are missing are made, and the
    file gets its name when it is whole.

    Args:
        files: A file system of fsspec.
        file: What to write.
        path: Where, as the file system names it.

    Raises:
        Exception: Whatever the file system raises; see `foreign_errors.as_os_errors`.

    >>> from tempfile import TemporaryDirectory
    >>> import fsspec
    >>> with TemporaryDirectory() as folder:
    ...     _ = Path(folder, "a.txt").write_text("whole")
    ...     put_whole(fsspec.filesystem("file"), Path(folder, "a.txt"), f"{folder}/below/b.txt")
    ...     [path.name for path in Path(folder, "below").iterdir()]
    ['b.txt']
    """
    known_as = files.protocol
    if not _OBJECT_STORES.isdisjoint([known_as] if isinstance(known_as, str) else known_as):
        files.put_file(str(file), path)
        return
    folder, _, name = path.rpartition("/")
    files.makedirs(folder, exist_ok=True)
    unfinished = f"{folder}/.{name}.{uuid.uuid4().hex}"
    try:
        files.put_file(str(file), unfinished)
        files.mv(unfinished, path)
    except BaseException:
        with suppress(Exception):
            files.rm_file(unfinished)
        raise
