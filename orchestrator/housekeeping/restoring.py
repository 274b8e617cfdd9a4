"""Restoring an archived sweep: files first, then MLflow, and last the rows of the store.

Until its rows are there, no command sees it, and a restoration that was interrupted is finished
by the same command. Nothing is overwritten.
"""

import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrator.addresses import sqlite_url
from orchestrator.contracts import Store
from orchestrator.errors import OrchestratorError, SweepExistsError
from orchestrator.file_storage.storage import FileStorage
from orchestrator.housekeeping.sweep_archive import (
    FILES,
    LOGS,
    RUNS,
    STORE,
    STORED,
    Manifest,
    extract,
    read_manifest,
    same_content,
)
from orchestrator.places import STATE, STORAGE
from orchestrator.state_folder import StateFolder, make_private
from orchestrator.storage import Changed, copy_sweeps, open_store
from orchestrator.tracking import MlflowMirror, stored_mirror
from orchestrator.tracking.run_copies import import_runs
from orchestrator.trials import SweepRecord
from trainers.files.whole_file import replacing


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored.

    Attributes:
        sweep: Name of the sweep.
        trials: Number of its trials.
        files: Number of files of trials.
        folder: Where they are, on this machine.
        storage: Where they are besides, without credentials; empty if nowhere.
        runs: Number of its MLflow runs.
    """

    sweep: str
    trials: int
    files: int
    folder: Path
    storage: str
    runs: int


def restore_sweep(
    file: Path,
    store: str | None = None,
    *,
    state: StateFolder | None = None,
    without_runs: bool = False,
    here: bool = False,
) -> Restored:
    """Restore a sweep from the file that `archive_sweep` wrote.

    Args:
        file: The archive.
        store: URL of the store; it is created if missing. As in `orchestrator.open_sweep`.
        state: The state folder that gets its files; default: `StateFolder.find`.
        without_runs: Leave MLflow alone; `paretune sync` makes the runs from the store.
        here: Put what the sweep's ``storage`` had into the state folder.

    Raises:
        UsageError: The file is no archive.
        SweepExistsError: The store has a sweep of this name.
        OrchestratorError: A file of another content is in the way, the archive is damaged, or
            MLflow or the storage does not answer; the same call goes on.
    """
    state = state or StateFolder.find()
    manifest = read_manifest(file)
    target = open_store(store, state=state)
    _check_free(manifest, target)
    with tempfile.TemporaryDirectory(prefix="paretune-restore-") as scratch:
        content = Path(scratch)
        extract(file, manifest, content)
        source = open_store(sqlite_url(content / STORE), state=state)
        record = source.sweep(manifest.sweep)
        changed = Changed(roots={STORAGE: STATE} if here else {})
        storage = _put_stored(record, manifest, content / STORED, state, here=here)
        _put_files(manifest.below(FILES), content / FILES, state.sweep_folder(manifest.sweep))
        _put_files(manifest.below(LOGS), content / LOGS, state.log_folder(manifest.sweep))
        if without_runs:
            changed = replace(changed, runs=None)
        elif (content / RUNS).is_dir():
            changed = _put_runs(record, target, state, content / RUNS, changed)
        copy_sweeps(source, target, [manifest.sweep], changed)
        source.close()
    if changed.runs:
        _renew_links(manifest.sweep, target, state)
    counts = target.count_states(manifest.sweep)
    files = len(manifest.below(FILES)) + len(manifest.below(STORED))
    folder = state.sweep_folder(manifest.sweep)
    runs = len(changed.runs or ())
    return Restored(manifest.sweep, sum(counts.values()), files, folder, storage, runs)


def _check_free(manifest: Manifest, target: Store) -> None:
    name = manifest.sweep
    if name in {record.name for record in target.sweeps()}:
        raise SweepExistsError(
            f"There is a sweep {name!r} in {target.url} already, and nothing was changed. Rename "
            f"it (paretune rename {name} NEW) or delete it first, or name another store."
        )


def _put_files(names: list[str], content: Path, folder: Path) -> None:
    """Put files into a folder; those that are there already must be the same."""
    others = [
        str(folder / name)
        for name in names
        if (folder / name).exists() and not same_content(folder / name, content / name)
    ]
    if others:
        raise OrchestratorError(
            f"{others[0]} has another content than the archive's"
            f"{f', and so have {len(others) - 1} more' if others[1:] else ''}. Nothing was "
            f"overwritten. Move the folder {folder} away, or name another state folder by "
            f"PARETUNE_HOME."
        )
    for name in names:
        if not (folder / name).exists():
            make_private((folder / name).parent)
            _write(content / name, folder / name)


def _write(source: Path, target: Path) -> None:
    try:
        with replacing(target) as unfinished:
            shutil.copyfile(source, unfinished)
    except OSError as error:
        raise OrchestratorError(
            f"{target} could not be written: {error.strerror or error}. The archive is as it was; "
            f"run the same command again."
        ) from error


def _put_stored(
    record: SweepRecord, manifest: Manifest, content: Path, state: StateFolder, *, here: bool
) -> str:
    """Put files back into the sweep's `storage`; returns its name, if it has any."""
    names = manifest.below(STORED)
    if not names or here:
        _put_files(names, content, state.sweep_folder(record.name))
        return ""
    try:
        storage, above = FileStorage(str(record.spec["storage"])), f"sweeps/{record.name}"
        there = set(storage.keys(above))
        for name in names:
            if (key := f"{above}/{name}") not in there:
                storage.put(content / name, key)
                continue
            _, sha256 = manifest.members[f"{STORED}/{name}"]
            storage.get(key, content / ".found", sha256)  # raises if it is another file
    except OrchestratorError as error:
        raise OrchestratorError(
            f"{error} The sweep kept its files there; to have them in the state folder instead, "
            f"add --here."
        ) from error
    return str(storage)


def _put_runs(
    record: SweepRecord, target: Store, state: StateFolder, content: Path, changed: Changed
) -> Changed:
    mirror = stored_mirror(record, target, state)
    if not isinstance(mirror, MlflowMirror):
        return changed
    try:
        experiment = mirror.experiment_id()
        runs = import_runs(mirror.server, experiment, content)
    except OrchestratorError as error:
        raise OrchestratorError(
            f"The MLflow runs of {record.name!r} could not be restored: {error} Run the command "
            f"again when MLflow answers, or add --without-runs and make them from the store "
            f"later: paretune sync {record.name}"
        ) from error
    return replace(changed, runs=runs, experiment=experiment)


def _renew_links(name: str, target: Store, state: StateFolder) -> None:
    """Make the links that MLflow shows lead to the restored runs, and not to their originals."""
    mirror = stored_mirror(target.sweep(name), target, state)
    # All is restored; what an MLflow that is away now does not get, the next sync sends.
    with suppress(OrchestratorError):
        if isinstance(mirror, MlflowMirror):
            mirror.renew_links(name)
