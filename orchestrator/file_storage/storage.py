"""A place for files: a folder, or an fsspec URL such as ``s3://bucket/sweeps``.

A file appears whole or not at all, is sent in parts, and is checked after it was written. What
fails is tried again for some seconds.
"""

import hashlib
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from orchestrator.errors import OrchestratorError, UsageError
from orchestrator.redaction import redacted
from orchestrator.references import resolved
from trainers.files.foreign_errors import as_os_errors
from trainers.files.remote_file import put_whole
from trainers.files.whole_file import replacing

# Between the tries of one transfer, in seconds.
_PAUSES_S = (0.5, 1.0, 2.0)
_LOCAL = ("file", "local")
# By protocol: the package that fsspec needs, and the extra of paretune that installs it.
_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs", "az": "azure", "abfs": "azure"}

_T = TypeVar("_T")


class StorageError(OrchestratorError, OSError):
    """The storage of a sweep did not do what was asked."""


class FileStorage:
    """Puts files into a storage and gets them, by keys such as ``sweeps/digits/trials/00003/a``.

    Args:
        url: A folder or an fsspec URL; it may refer to variables (`references.resolved`).

    Raises:
        UsageError: fsspec has no such protocol, or a package is not installed.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     storage = FileStorage(folder)
    ...     _ = Path(folder, "a.txt").write_text("whole")
    ...     _ = storage.put(Path(folder, "a.txt"), "sweeps/b.txt")
    ...     Path(storage.address("sweeps/b.txt")).read_text()
    'whole'
    """

    def __init__(self, url: str) -> None:
        import fsspec  # Here, because queries should not pay for importing it.

        text = resolved(url).rstrip("/")
        protocol, mark, rest = text.partition("://")
        self.is_local = not mark or protocol in _LOCAL
        self._base = str(Path(rest if mark else text).expanduser()) if self.is_local else text
        try:
            self._files, self._root = fsspec.core.url_to_fs(self._base)
        except (ImportError, ValueError) as error:
            raise UsageError(_unusable(text, error)) from error

    def __str__(self) -> str:
        """Return the place without credentials."""
        return redacted(self._base)

    def address(self, key: str) -> str:
        """Return the path or the URL of a file."""
        return f"{self._base}/{key}"

    def holds(self, address: str) -> bool:
        """Return whether a path or a URL is that of a file in here."""
        return address.startswith(f"{self._base}/")

    def put(self, file: Path, key: str) -> str:
        """Write a file; returns the SHA-256 of what was sent.

        Raises:
            StorageError: It could not be written, after several tries.
        """
        with file.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
        self._tried("be written", key, lambda: self._put(file, key))
        return digest

    def get(self, key: str, file: Path, sha256: str = "") -> None:
        """Read a file, which replaces an existing one.

        Args:
            key: Its key.
            file: Where to write it; folders that are missing are made.
            sha256: What it must have; empty for a file of which none is known.

        Raises:
            FileNotFoundError: There is none.
            StorageError: It could not be read, or has another checksum, after several tries.
        """
        file.parent.mkdir(parents=True, exist_ok=True)
        self._tried("be read", key, lambda: self._get(key, file, sha256))

    def keys(self, key: str) -> list[str]:
        """List the keys of all files below a folder, in order; none if there is no such folder.

        Raises:
            StorageError: The storage could not be asked, after several tries.
        """
        above = self._path("")

        def ask() -> list[str]:
            self._files.invalidate_cache()
            return [str(path) for path in self._files.find(self._path(key))]

        return sorted(path.removeprefix(above) for path in self._tried("be listed", key, ask))

    def remove(self, key: str) -> None:
        """Remove a file or a folder of them; what cannot be removed stays."""
        with suppress(OSError), as_os_errors():
            self._files.rm(self._path(key), recursive=True)

    def _put(self, file: Path, key: str) -> None:
        path, size = self._path(key), file.stat().st_size
        put_whole(self._files, file, path)
        self._files.invalidate_cache()
        if (found := self._files.info(path)["size"]) != size:
            raise OSError(f"it has {found} bytes there, and {size} were sent")

    def _get(self, key: str, file: Path, sha256: str) -> None:
        self._files.invalidate_cache()
        with replacing(file) as unfinished:
            self._files.get_file(self._path(key), str(unfinished))
            if not sha256:
                return
            with unfinished.open("rb") as opened:
                if hashlib.file_digest(opened, "sha256").hexdigest() != sha256:
                    raise OSError("it has another checksum than was recorded")

    def _tried(self, what: str, key: str, attempt: Callable[[], _T]) -> _T:
        for pause in (*_PAUSES_S, None):
            try:
                with as_os_errors():
                    return attempt()
            except FileNotFoundError:
                raise
            except OSError as error:
                if pause is None or isinstance(error, PermissionError):
                    raise StorageError(
                        f"{key} could not {what} in the storage {self}: {redacted(str(error))}"
                    ) from error
                time.sleep(pause)
        raise AssertionError("unreachable")

    def _path(self, key: str) -> str:
        return f"{self._root.rstrip('/')}/{key}"


def is_remote(address: str) -> bool:
    """Return whether a file's address is a URL, so that it must be fetched to be opened.

    >>> is_remote("s3://bucket/a"), is_remote("/data/a")
    (True, False)
    """
    return "://" in address


def storage_problem(url: str) -> str:
    """Explain why a storage cannot be used on this machine, without asking it; empty if it can.

    >>> storage_problem("/data/sweeps")
    ''
    >>> storage_problem("nowhere://bucket").partition(":")[0]
    'The storage nowhere'
    """
    try:
        FileStorage(url)
    except OrchestratorError as error:
        return str(error)
    return ""


def _unusable(url: str, error: Exception) -> str:
    extra = _EXTRAS.get(url.partition("://")[0])
    fix = (
        f"Install it: pip install 'paretune[{extra}]'"
        if extra and isinstance(error, ImportError)
        else "Name a folder that all nodes see, or a URL such as s3://bucket/folder."
    )
    return f"The storage {redacted(url)} cannot be used here: {error}. {fix}"
