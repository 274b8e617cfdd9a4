"""What a sweep keeps on disk: how much it is, and what may be removed."""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from trainers.files.trial_folder import CHECKPOINT_NAME


def used_bytes(folder: Path) -> int:
    """Sum the bytes of all files in a folder and below it; 0 if there is none.

    >>> used_bytes(Path("absent"))
    0
    """
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(root) / name).lstat().st_size
            except FileNotFoundError:  # a worker has just renamed it
                continue
    return total


def remove_leftovers(folders: Iterable[Path]) -> None:
    """Remove files that finished trials no longer need.

    Args:
        folders: Folders of trials whose values or failures are stored. A checkpoint is left if the
            driver died before removing it, an unfinished one (``.NAME.WRITER``) if a worker died
            while writing it. The empty folder of a failed trial is removed too.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     trial = Path(folder, "0")
    ...     trial.mkdir()
    ...     Path(trial, CHECKPOINT_NAME).touch()
    ...     remove_leftovers([trial])
    ...     trial.exists()
    False
    """
    for folder in filter(os.path.isdir, folders):
        (folder / CHECKPOINT_NAME).unlink(missing_ok=True)
        for unfinished in folder.glob(".*"):
            unfinished.unlink(missing_ok=True)
        _remove_if_empty(folder)


def remove_empty_folder(sweep: Path) -> None:
    """Remove the folder of a sweep if it is empty, once no worker writes there.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     Path(folder, "digits", "trials").mkdir(parents=True)
    ...     remove_empty_folder(Path(folder, "digits"))
    ...     Path(folder, "digits").exists()
    False
    """
    _remove_if_empty(sweep / "trials")
    _remove_if_empty(sweep)


def _remove_if_empty(folder: Path) -> None:
    # It holds something, or is gone.
    with suppress(OSError):
        folder.rmdir()
