"""Renaming a sweep: its files get a second name, then its rows, and only then the old one goes.

At any moment the store names files that are there. A note in the new folder says what is being
renamed, by which the same command finishes a renaming that was interrupted.
"""

import json
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from orchestrator.contracts import Store
from orchestrator.errors import OrchestratorError, SweepExistsError, UnknownNameError
from orchestrator.file_storage.storage import FileStorage
from orchestrator.housekeeping.deletion import holdings_of
from orchestrator.housekeeping.removal import remove_folder
from orchestrator.housekeeping.sweep_archive import files_below, same_content
from orchestrator.queries.sweeps import Sweep, open_sweep
from orchestrator.state_folder import StateFolder, check_sweep_name, make_private
from orchestrator.storage import this_holder
from orchestrator.tracking import MlflowMirror, stored_mirror
from orchestrator.tracking.renaming import check_alone, rename_runs
from trainers.files.whole_file import replacing

_NOTE = ".renamed-from.json"


def rename_sweep(
    old: str, new: str, store: Store | str | None = None, *, without_runs: bool = False
) -> None:
    """Give a sweep another name: in the store, on disk, in its ``storage``, and in MLflow.

    Args:
        old: Its name.
        new: Its new name, which no sweep has.
        store: As in `orchestrator.open_sweep`.
        without_runs: Leave MLflow as it is, and have a mirror make new runs.

    Raises:
        UsageError: The new name cannot name a sweep.
        UnknownNameError: There is no such sweep.
        SweepExistsError: The name is taken, in the store or by a folder.
        LeaseHeldError: A driver runs it.
        OrchestratorError: MLflow, the storage or the file system refused; the same call goes on.
    """
    check_sweep_name(new)
    note = StateFolder.find().sweep_folder(new) / _NOTE
    try:
        sweep = open_sweep(old, store)
    except UnknownNameError:
        if _noted(note) != old:
            raise
        renamed = open_sweep(new, store)  # an earlier call got as far as this
    else:
        _check_free(sweep, new, note)
        renamed = _renamed(sweep, new, note, without_runs=without_runs)
    _remove_old(renamed, old)
    mirror = _mirror(renamed)
    if mirror is not None and not without_runs:
        try:
            rename_runs(mirror, renamed.store, old, new)
        except OrchestratorError as error:
            raise OrchestratorError(
                f"{old!r} is {new!r} now, but not all of its MLflow runs are renamed: {error} "
                f"Run the same command again when MLflow answers."
            ) from error
    note.unlink(missing_ok=True)
    with suppress(OSError):  # it holds files
        note.parent.rmdir()


def _renamed(sweep: Sweep, new: str, note: Path, *, without_runs: bool) -> Sweep:
    """Give the files a second name, and rename the rows."""
    mirror = _mirror(sweep)
    if mirror is not None and not without_runs:
        check_alone(mirror, sweep.record)
    writer = sweep.store.take(sweep.name, this_holder())
    try:
        make_private(note.parent)
        with replacing(note) as unfinished:
            unfinished.write_text(json.dumps({"from": sweep.name}))
        had = holdings_of(sweep)
        for folder in (*had.folders, *had.logs):
            _link(folder, folder.with_name(new))
        if given := sweep.spec.get("storage"):
            _copy_stored(FileStorage(given), sweep.name, new)
        writer.rename(new, forget_runs=without_runs)
    finally:
        writer.release()
    return Sweep(new, sweep.store)


def _check_free(sweep: Sweep, new: str, note: Path) -> None:
    if new in {record.name for record in sweep.store.sweeps()}:
        raise SweepExistsError(f"There is a sweep {new!r} already, and nothing was changed.")
    if note.parent.is_dir() and any(note.parent.iterdir()) and _noted(note) != sweep.name:
        raise SweepExistsError(
            f"{note.parent} holds files of another sweep {new!r}, which this store does not have. "
            f"Nothing was changed. Choose another name, or move the folder away."
        )


def _noted(note: Path) -> str | None:
    """Name of the sweep whose renaming was interrupted; None without a note."""
    try:
        return str(json.loads(note.read_text())["from"])
    except (OSError, ValueError, KeyError):
        return None


def _mirror(sweep: Sweep) -> MlflowMirror | None:
    mirror = stored_mirror(sweep.record, sweep.store, StateFolder.find())
    has_runs = sweep.record.mlflow_run_id is not None
    return mirror if isinstance(mirror, MlflowMirror) and has_runs else None


def _link(folder: Path, to: Path) -> None:
    """Give every file below a folder a second name below another one."""
    for name, path in files_below(folder).items():
        second = to / name
        if second.exists() and same_content(second, path):
            continue
        try:
            make_private(second.parent)
            _link_or_copy(path, second)
        except OSError as error:
            raise OrchestratorError(
                f"{second} could not be written: {error.strerror or error}. The sweep keeps its "
                f"name; run the same command again."
            ) from error


def _link_or_copy(path: Path, second: Path) -> None:
    second.unlink(missing_ok=True)  # cut off by a crash, where there are no links
    try:
        os.link(path, second)
    except OSError:  # the file system has no links
        with replacing(second) as unfinished:
            shutil.copyfile(path, unfinished)


def _copy_stored(storage: FileStorage, old: str, new: str) -> None:
    with tempfile.TemporaryDirectory(prefix="paretune-rename-") as scratch:
        file = Path(scratch, "file")
        for key in storage.keys(f"sweeps/{old}"):
            storage.get(key, file)
            storage.put(file, f"sweeps/{new}{key.removeprefix(f'sweeps/{old}')}")


def _remove_old(renamed: Sweep, old: str) -> None:
    advice = f"The sweep is called {renamed.name!r} now; run the same command again."
    state, name = StateFolder.find(), renamed.name
    own = (state.sweep_folder(name), state.log_folder(name))
    for folder in {*own, *holdings_of(renamed).folders}:
        remove_folder(folder.with_name(old), advice)
    if given := renamed.spec.get("storage"):
        FileStorage(given).remove(f"sweeps/{old}")
