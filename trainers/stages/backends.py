"""Storage of a stage cache: a folder, or the location that an fsspec URL names."""

import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import fsspec
from filelock import FileLock, Timeout
from torch import Tensor

from trainers.errors import TrainerError
from trainers.files.checkpoints import load_checkpoint, save_checkpoint
from trainers.files.foreign_errors import as_os_errors
from trainers.files.remote_file import put_whole

_SUFFIX = ".safetensors"
# Age after which an unfinished file or a lock belongs to a process that has surely ended.
_FORGOTTEN_S = 3600.0

Content = tuple[dict[str, Tensor], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """A stored entry: its name, its size, and the time of its last use in seconds."""

    name: str
    bytes: int
    used: float


class CacheBackend(Protocol):
    """Stores entries by name; entries appear whole, and several processes may share a location.

    If the location fails, every method raises OSError, or one of the errors that it documents.
    """

    def load(self, name: str) -> Content:
        """Read an entry.

        Raises:
            FileNotFoundError: There is none.
            CheckpointError: It is damaged.
        """

    def save(self, name: str, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> int:
        """Write an entry, replacing an existing one; return its size in bytes."""

    def remove(self, name: str) -> None:
        """Remove an entry, if it exists."""

    def held(self) -> list[CacheEntry]:
        """List all entries."""

    def lock(self, name: str, timeout_s: float) -> AbstractContextManager[None]:
        """Hold the lock of an entry while computing it; wait for it for at most `timeout_s`.

        The lock is only advisory: two processes that compute the same entry do no harm.
        """


class FolderBackend:
    """A folder of this machine, or of a file system that several machines share.

    Args:
        root: The folder; created by the first write.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def __str__(self) -> str:
        """Return the path of the folder."""
        return str(self._root)

    def load(self, name: str) -> Content:
        """Read an entry, and mark it as used now; see `CacheBackend.load`."""
        path = self._root / (name + _SUFFIX)
        content = load_checkpoint(path)
        # The entry may have been evicted in between, or the folder be read-only.
        with suppress(OSError):
            os.utime(path)
        return content

    def save(self, name: str, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> int:
        """Write an entry; see `CacheBackend.save`."""
        return save_checkpoint(self._root / (name + _SUFFIX), tensors, facts)

    def remove(self, name: str) -> None:
        """Remove an entry; see `CacheBackend.remove`."""
        (self._root / (name + _SUFFIX)).unlink(missing_ok=True)

    def held(self) -> list[CacheEntry]:
        """List all entries, and remove unfinished files of dead processes."""
        found = []
        with os.scandir(self._root) as files:
            for file in files:
                with suppress(FileNotFoundError):  # another process has just removed it
                    facts = file.stat()
                    if file.name.endswith(_SUFFIX):
                        name = file.name.removesuffix(_SUFFIX)
                        found.append(CacheEntry(name, facts.st_size, facts.st_mtime))
                    elif time.time() - facts.st_mtime > _FORGOTTEN_S:
                        Path(file.path).unlink(missing_ok=True)
        return found

    @contextmanager
    def lock(self, name: str, timeout_s: float) -> Iterator[None]:
        """Hold the lock of an entry; the kernel frees the lock of a process that dies."""
        self._root.mkdir(parents=True, exist_ok=True)
        path = self._root / f".{name}.lock"
        lock = FileLock(path, timeout=timeout_s)
        # Advisory only: after a timeout this process computes the entry too.
        with suppress(Timeout):
            lock.acquire()
        try:
            yield
        finally:
            lock.release()
            # A process that waits for it finds the entry; a later one creates a new lock file.
            path.unlink(missing_ok=True)


class RemoteBackend:
    """The location of an fsspec URL: an object store, or the memory of this process.

    There is no lock, and the time of last use is that of the write: object stores have neither
    locks nor access times.

    Args:
        url: A URL with a protocol that fsspec knows.

    Raises:
        TrainerError: fsspec does not know the protocol, or a package for it is not installed.
    """

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        try:
            with as_os_errors():
                self._files, self._root = fsspec.core.url_to_fs(self._url)
        except OSError as error:
            raise TrainerError(
                f"The stage cache {self} cannot be used ({error}). execution.cache takes a "
                f"folder, 'auto', 'off', or a URL whose file system fsspec knows here."
            ) from error

    def __str__(self) -> str:
        """Return the URL without credentials."""
        protocol, _, rest = self._url.partition("://")
        return f"{protocol}://{rest.rpartition('@')[2]}"

    def load(self, name: str) -> Content:
        """Read an entry; see `CacheBackend.load`."""
        with tempfile.TemporaryDirectory(prefix="paretune-stage-") as folder:
            path = Path(folder) / (name + _SUFFIX)
            with as_os_errors():
                self._files.get_file(self._path(name + _SUFFIX), str(path))
            return load_checkpoint(path)

    def save(self, name: str, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> int:
        """Write an entry; see `CacheBackend.save`."""
        with tempfile.TemporaryDirectory(prefix="paretune-stage-") as folder:
            path = Path(folder) / name
            size = save_checkpoint(path, tensors, facts)
            with as_os_errors():
                put_whole(self._files, path, self._path(name + _SUFFIX))
            return size

    def remove(self, name: str) -> None:
        """Remove an entry; see `CacheBackend.remove`."""
        with suppress(FileNotFoundError), as_os_errors():
            self._files.rm_file(self._path(name + _SUFFIX))

    def held(self) -> list[CacheEntry]:
        """List all entries; see `CacheBackend.held`."""
        with as_os_errors():
            self._files.invalidate_cache()
            return [
                CacheEntry(
                    str(file["name"]).rpartition("/")[2].removesuffix(_SUFFIX),
                    int(file["size"]),
                    self._files.modified(file["name"]).timestamp(),
                )
                for file in self._files.ls(self._root, detail=True)
                if str(file["name"]).endswith(_SUFFIX)
            ]

    @contextmanager
    def lock(self, name: str, timeout_s: float) -> Iterator[None]:
        """Return at once: there is no lock."""
        yield

    def _path(self, file: str) -> str:
        return f"{self._root}/{file}"


def open_backend(where: str) -> CacheBackend:
    """Open the backend of a path or a URL.

    Raises:
        TrainerError: The URL has a protocol that cannot be used here.

    >>> type(open_backend("/cache")).__name__
    'FolderBackend'
    >>> open_backend("nowhere://bucket")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    trainers.errors.TrainerError: ...
    """
    protocol, mark, rest = where.partition("://")
    if not mark:
        return FolderBackend(Path(where).expanduser().absolute())
    return (
        FolderBackend(Path("/" + rest.lstrip("/")))
        if protocol in ("file", "local")
        else RemoteBackend(where)
    )
