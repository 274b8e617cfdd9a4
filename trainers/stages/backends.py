"""Where the entries of a stage cache lie: a folder, or what an fsspec URL names."""

import os
import tempfile
import time
import uuid
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

_SUFFIX = ".safetensors"
# An unfinished file, or a lock, of a process that is surely gone.
_FORGOTTEN_S = 3600.0

Content = tuple[dict[str, Tensor], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """An entry as it lies there: its name, its size, and when it was last used, in seconds."""

    name: str
    bytes: int
    used: float


class CacheBackend(Protocol):
    """Holds entries by name; an entry appears whole, and several processes may use one place.

    Every method raises OSError, and nothing else but what it names, where the place is broken.
    """

    def load(self, name: str) -> Content:
        """Read an entry.

        Raises:
            FileNotFoundError: There is none.
            CheckpointError: It is damaged.
        """

    def save(self, name: str, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> int:
        """Write an entry in the place of what may be there; its bytes."""

    def remove(self, name: str) -> None:
        """Remove an entry, if it is there."""

    def held(self) -> list[CacheEntry]:
        """Everything that lies there."""

    def lock(self, name: str, timeout_s: float) -> AbstractContextManager[None]:
        """Wait until nobody else is making this entry, at most `timeout_s`, and keep others out.

        Only a hint: two that make one entry do no harm.
        """


class FolderBackend:
    """A folder of this machine, or of a file system that several share.

    Args:
        root: Made when it is first written to.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def __str__(self) -> str:
        """Where it is."""
        return str(self._root)

    def load(self, name: str) -> Content:
        """See `CacheBackend.load`; the entry counts as used now."""
        path = self._root / (name + _SUFFIX)
        content = load_checkpoint(path)
        # Evicted in between, or of a folder that may only be read.
        with suppress(OSError):
            os.utime(path)
        return content

    def save(self, name: str, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> int:
        """See `CacheBackend.save`."""
        path = self._root / (name + _SUFFIX)
        save_checkpoint(path, tensors, facts)
        return path.stat().st_size

    def remove(self, name: str) -> None:
        """See `CacheBackend.remove`."""
        (self._root / (name + _SUFFIX)).unlink(missing_ok=True)

    def held(self) -> list[CacheEntry]:
        """See `CacheBackend.held`; what a process left unfinished that died is removed."""
        found = []
        with os.scandir(self._root) as files:
            for file in files:
                with suppress(FileNotFoundError):  # somebody else has just removed it
                    facts = file.stat()
                    if file.name.endswith(_SUFFIX):
                        name = file.name.removesuffix(_SUFFIX)
                        found.append(CacheEntry(name, facts.st_size, facts.st_mtime))
                    elif time.time() - facts.st_mtime > _FORGOTTEN_S:
                        Path(file.path).unlink(missing_ok=True)
        return found

    @contextmanager
    def lock(self, name: str, timeout_s: float) -> Iterator[None]:
        """See `CacheBackend.lock`; the kernel frees the lock of a process that dies."""
        self._root.mkdir(parents=True, exist_ok=True)
        path = self._root / f".{name}.lock"
        lock = FileLock(path, timeout=timeout_s)
        # Only a hint: whoever waited long enough makes the entry too.
        with suppress(Timeout):
            lock.acquire()
        try:
            yield
        finally:
            lock.release()
            # A process that waits for it finds the entry; one that comes later makes a new lock.
            path.unlink(missing_ok=True)


class RemoteBackend:
    """What an fsspec URL names: an object store, or the memory of this process.

    Nobody waits for a turn, and entries count as used when they were written: object stores have
    neither locks nor times of access.

    Args:
        url: With a protocol that fsspec knows.

    Raises:
        TrainerError: fsspec does not know the protocol, or lacks a package for it.
    """

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        try:
            with _foreign():
                self._files, self._root = fsspec.core.url_to_fs(self._url)
        except OSError as error:
            raise TrainerError(
                f"The stage cache {self} cannot be used ({error}). execution.cache takes a "
                f"folder, 'auto', 'off', or a URL whose file system fsspec knows here."
            ) from error

    def __str__(self) -> str:
        """Where it is, without what a URL may hold of secrets."""
        protocol, _, rest = self._url.partition("://")
        return f"{protocol}://{rest.rpartition('@')[2]}"

    def load(self, name: str) -> Content:
        """See `CacheBackend.load`."""
        with tempfile.TemporaryDirectory(prefix="paretune-stage-") as folder:
            path = Path(folder) / (name + _SUFFIX)
            with _foreign():
                self._files.get_file(self._path(name + _SUFFIX), str(path))
            return load_checkpoint(path)

    def save(self, name: str, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> int:
        """See `CacheBackend.save`."""
        with tempfile.TemporaryDirectory(prefix="paretune-stage-") as folder:
            path = Path(folder) / name
            save_checkpoint(path, tensors, facts)
            unfinished = self._path(f".{uuid.uuid4().hex}")
            with _foreign():
                self._files.makedirs(self._root, exist_ok=True)
                self._files.put_file(str(path), unfinished)
                self._files.mv(unfinished, self._path(name + _SUFFIX))
            return path.stat().st_size

    def remove(self, name: str) -> None:
        """See `CacheBackend.remove`."""
        with suppress(FileNotFoundError), _foreign():
            self._files.rm_file(self._path(name + _SUFFIX))

    def held(self) -> list[CacheEntry]:
        """See `CacheBackend.held`."""
        with _foreign():
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
        """See `CacheBackend.lock`: at once."""
        yield

    def _path(self, file: str) -> str:
        return f"{self._root}/{file}"


@contextmanager
def _foreign() -> Iterator[None]:
    """Turn whatever a file system of fsspec raises into OSError: each has classes of its own."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise OSError(f"{type(error).__name__}: {error}") from error


def open_backend(where: str) -> CacheBackend:
    """The place that a path or a URL names.

    Raises:
        TrainerError: The URL has a protocol that cannot be used here.
    """
    protocol, mark, rest = where.partition("://")
    if not mark:
        return FolderBackend(Path(where).expanduser().absolute())
    return (
        FolderBackend(Path("/" + rest.lstrip("/")))
        if protocol in ("file", "local")
        else RemoteBackend(where)
    )
