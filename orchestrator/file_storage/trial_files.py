"""The files of one trial in a storage, with a list of their checksums that is written last."""

import hashlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from orchestrator.file_storage.storage import FileStorage, is_remote
from orchestrator.state_folder import StateFolder
from trainers.files.trial_folder import ARTIFACT_NAME, PREDICTIONS_NAME, STORAGE_NAME

KEPT_NAMES = (ARTIFACT_NAME, STORAGE_NAME, PREDICTIONS_NAME)
"""The files of a complete trial that are kept."""
_LIST = "files.json"
_KEY_PARTS = 4  # sweeps/NAME/trials/NUMBER

_T = TypeVar("_T")


def key_of(folder: str) -> str:
    """Return the key of a trial's folder in a storage.

    >>> key_of("/home/me/.paretune/sweeps/digits/trials/00003")
    'sweeps/digits/trials/00003'
    """
    return "/".join(Path(folder).parts[-_KEY_PARTS:])


def put_trial(
    storage: FileStorage, key: str, folder: Path, names: Sequence[str] = KEPT_NAMES
) -> None:
    """Write those of the named files that are there, at once; the others keep what they had.

    Raises:
        OSError: One could not be written; the list of files is as it was.

    >>> with TemporaryDirectory() as folder:
    ...     _ = Path(folder, ARTIFACT_NAME).write_text("network")
    ...     storage = FileStorage(f"{folder}/shared")
    ...     put_trial(storage, "sweeps/digits/trials/00003", Path(folder))
    ...     sorted(file.name for file in Path(folder, "shared").rglob("*.*"))
    ['files.json', 'model.safetensors']
    """
    there = [name for name in names if (folder / name).is_file()]
    # What is replaced as a whole need not be asked for.
    files = {} if set(there) >= set(KEPT_NAMES) else _listed(storage, key)
    digests = _at_once(lambda name: storage.put(folder / name, f"{key}/{name}"), there)
    files.update(zip(there, digests, strict=True))
    with TemporaryDirectory(prefix="paretune-files-") as scratch:
        written = Path(scratch, _LIST)
        written.write_text(json.dumps(files))
        storage.put(written, f"{key}/{_LIST}")


def get_trial(
    storage: FileStorage, key: str, folder: Path, names: Sequence[str] = KEPT_NAMES
) -> None:
    """Read those of the named files that the list has into a folder, unless they are there.

    Raises:
        OSError: One could not be read, or is not the one that was written.

    >>> with TemporaryDirectory() as folder:
    ...     _ = Path(folder, ARTIFACT_NAME).write_text("network")
    ...     storage = FileStorage(f"{folder}/shared")
    ...     put_trial(storage, "sweeps/digits/trials/00003", Path(folder))
    ...     get_trial(storage, "sweeps/digits/trials/00003", Path(folder, "here"))
    ...     Path(folder, "here", ARTIFACT_NAME).read_text()
    'network'
    """
    files = _listed(storage, key)
    lacking = [name for name in names if name in files and _digest(folder / name) != files[name]]
    _at_once(lambda name: storage.get(f"{key}/{name}", folder / name, files[name]), lacking)


def local_files(
    address: str, names: Sequence[str] = KEPT_NAMES, state: StateFolder | None = None
) -> Path:
    """Return the path at which a trial's network is, or would be, on this machine.

    Args:
        address: Of its network: a path, which is returned, or a URL.
        names: Which files of its folder to fetch, where it is a URL.
        state: Keeps what was fetched; default: `StateFolder.find`.

    Raises:
        OSError: They could not be fetched.

    >>> local_files("/data/model.safetensors").as_posix()
    '/data/model.safetensors'
    """
    if not is_remote(address):
        return Path(address)
    base, _, name = address.rpartition("/")
    digest = hashlib.sha256(base.encode()).hexdigest()[:16]
    folder = (state or StateFolder.find()).fetched / digest
    above, _, key = base.rpartition("/")
    get_trial(FileStorage(above), key, folder, names)
    return folder / name


def _listed(storage: FileStorage, key: str) -> dict[str, str]:
    with TemporaryDirectory(prefix="paretune-files-") as scratch:
        file = Path(scratch, _LIST)
        try:
            storage.get(f"{key}/{_LIST}", file)
        except FileNotFoundError:
            return {}
        return dict(json.loads(file.read_text()))


def _at_once(transfer: Callable[[str], _T], names: Sequence[str]) -> list[_T]:
    """Transfer files side by side: one after another, each would wait for the way to a store."""
    if len(names) < 2:
        return [transfer(name) for name in names]
    with ThreadPoolExecutor(len(names), "transfer") as pool:
        return list(pool.map(transfer, names))


def _digest(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except FileNotFoundError:
        return ""
