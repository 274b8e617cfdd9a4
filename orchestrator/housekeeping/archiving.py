"""Archiving a sweep into one file, from which it is restored here or on another machine.

Nothing is removed, and the file appears when it is whole.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from orchestrator.addresses import sqlite_url
from orchestrator.contracts import Store
from orchestrator.errors import OrchestratorError, UsageError
from orchestrator.file_storage.storage import FileStorage
from orchestrator.housekeeping.deletion import Holdings, holdings_of
from orchestrator.housekeeping.sweep_archive import (
    FILES,
    LOGS,
    RUNS,
    STORE,
    STORED,
    files_below,
    write_archive,
)
from orchestrator.places import lost_networks
from orchestrator.queries.sweeps import Sweep, open_sweep
from orchestrator.state_folder import StateFolder
from orchestrator.storage import copy_sweeps, open_store, this_holder
from orchestrator.tracking import MlflowMirror, stored_mirror
from orchestrator.tracking.run_copies import export_runs


@dataclass(frozen=True, slots=True)
class Archived:
    """What was archived.

    Attributes:
        sweep: Name of the sweep.
        file: The archive.
        bytes: Its size.
        trials: Number of the sweep's trials.
        files: Number of files of trials.
        runs: Number of MLflow runs.
        lost: Why a packed network is not among them, by trial number.
    """

    sweep: str
    file: Path
    bytes: int
    trials: int
    files: int
    runs: int
    lost: dict[int, str]


def archive_sweep(
    name: str, to: Path, store: Store | str | None = None, *, keep_runs: bool = False
) -> Archived:
    """Write all that there is of a sweep into one file; nothing else is changed.

    Args:
        name: Name of the sweep.
        to: The file; it must not exist.
        store: As in `orchestrator.open_sweep`.
        keep_runs: Leave MLflow alone: its runs are not archived.

    Raises:
        UsageError: The file exists, or there is no folder for it.
        UnknownNameError: There is no such sweep.
        LeaseHeldError: A driver runs it.
        OrchestratorError: MLflow or the storage does not answer, or the file cannot be written.
    """
    _check_free(to)
    sweep = open_sweep(name, store)
    writer = sweep.store.take(name, this_holder())
    try:
        # Listed and copied under the lease, so that no driver adds a trial meanwhile.
        had = holdings_of(sweep)
        with _beside(to) as folder:
            content = folder / "content"
            content.mkdir()
            _copy_rows(sweep, content / STORE)
            _fetch_stored(sweep, content / STORED)
            runs = 0 if keep_runs else _copy_runs(sweep, had, content / RUNS)
            members = {**files_below(content), **_files(had)}
            manifest = write_archive(folder / "archive", name, members)
            _put(folder / "archive", to)
    finally:
        writer.release()
    lost = lost_networks(sweep.store.artifacts(name), set())
    files = len(manifest.below(FILES)) + len(manifest.below(STORED))
    return Archived(name, to, to.stat().st_size, had.trials, files, runs, lost)


def _check_free(to: Path) -> None:
    if to.exists():
        raise UsageError(f"{to} exists, and is left as it is: name another file with --to.")
    if not to.parent.is_dir():
        raise UsageError(f"{to} cannot be written: there is no folder {to.parent}.")


@contextmanager
def _beside(to: Path) -> Iterator[Path]:
    """A folder on the disk on which the archive will be, so that it can be moved into place."""
    try:
        with tempfile.TemporaryDirectory(prefix=f".{to.name}.", dir=to.parent) as folder:
            yield Path(folder)
    except OSError as error:
        if isinstance(error, OrchestratorError):
            raise
        raise OrchestratorError(
            f"{to} could not be written: {error.strerror or error}. Nothing was changed."
        ) from error


def _copy_rows(sweep: Sweep, file: Path) -> None:
    store = open_store(sqlite_url(file))
    try:
        copy_sweeps(sweep.store, store, [sweep.name])
    finally:
        store.close()
    # With its last connection, SQLite has put the log beside the file into it.


def _files(had: Holdings) -> dict[str, Path]:
    """Files of the sweep on this machine, by the names of the members that they become."""
    # Where two folders have a file, both stand for the same trial, and the first one counts.
    folders = [(FILES, each) for each in reversed(had.folders)]
    folders += [(LOGS, each) for each in had.logs]
    return {
        f"{kind}/{name}": path
        for kind, folder in folders
        for name, path in files_below(folder).items()
    }


def _fetch_stored(sweep: Sweep, to: Path) -> None:
    if not (given := sweep.spec.get("storage")):
        return
    storage, above = FileStorage(given), f"sweeps/{sweep.name}"
    for key in storage.keys(above):
        storage.get(key, to / key.removeprefix(f"{above}/"))


def _copy_runs(sweep: Sweep, had: Holdings, to: Path) -> int:
    mirror = stored_mirror(sweep.record, sweep.store, StateFolder.find())
    if not had.runs or not isinstance(mirror, MlflowMirror):
        return 0
    to.mkdir()
    try:
        return export_runs(mirror.server, had.runs, to)
    except OrchestratorError as error:
        raise OrchestratorError(
            f"The MLflow runs of {sweep.name!r} could not be archived: {error} Archive it when "
            f"MLflow answers, or without its runs, which `paretune sync` makes again from the "
            f"store: paretune archive {sweep.name} --to FILE --without-runs"
        ) from error


def _put(archive: Path, to: Path) -> None:
    with archive.open("rb") as file:
        os.fsync(file.fileno())
    try:
        os.link(archive, to)  # never replaces a file that appeared meanwhile
    except FileExistsError:
        _check_free(to)
    except OSError:  # the file system has no links
        archive.replace(to)
