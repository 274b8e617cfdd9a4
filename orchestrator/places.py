"""Locations of files: a path under a named root that may move; trusted by content.

A store records a `Place`. The code that opens the store supplies the current roots (`Roots`) and
gets addresses. A path is where to look, and no proof of what is found there: `network_file` opens
a file only if it has the checksum that was recorded when it was measured.
"""

import errno
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path, PurePosixPath

from orchestrator.errors import OrchestratorError
from orchestrator.file_storage.storage import FileStorage
from orchestrator.file_storage.trial_files import local_files
from orchestrator.state_folder import StateFolder
from orchestrator.trials import Artifact
from trainers.files.trial_folder import ARTIFACT_NAME

STATE = "state"
"""The state folder of the process that opens the store."""
STORAGE = "storage"
"""What ``storage`` of the stored sweep names: a folder or a URL."""

_TRIAL_PARTS = 5  # sweeps/NAME/trials/NUMBER/FILE


class LostNetworkError(OrchestratorError):
    """The packed network of a trial is gone, cannot be read, or is another one."""


@dataclass(frozen=True, slots=True)
class Place:
    """What a store records about the location of a file.

    Attributes:
        path: Under the root, with ``/``; without a root as it was given: a path or a URL.
        root: Name of the root: `STATE` or `STORAGE`.
    """

    path: str
    root: str | None = None


@dataclass(frozen=True, slots=True)
class Roots:
    """Where the roots are now, for an opened store.

    Attributes:
        state: The state folder.
        beside: Folder of the store's own file, if it is a file: where no state folder was named
            that has the files, those of a store that was given by its URL are there.
        storage: Of the sweep at hand, as a path or a URL; empty where it has none.
    """

    state: StateFolder
    beside: Path | None = None
    storage: str = ""

    def with_storage(self, given: str | None) -> "Roots":
        """Return the roots of a sweep with this ``storage``, as it is stored."""
        try:
            storage = FileStorage(given).address("").rstrip("/") if given else ""
        except OrchestratorError:
            # A variable that is not set here: the file is named, and opening it says why.
            storage = given or ""
        return replace(self, storage=storage)

    def place(self, address: str) -> Place:
        """Return what to record about a file with this address."""
        if self.storage and address.startswith(f"{self.storage}/"):
            return Place(address.removeprefix(f"{self.storage}/"), STORAGE)
        path = Path(address)
        if path.is_absolute() and path.is_relative_to(self.state.root):
            return Place(path.relative_to(self.state.root).as_posix(), STATE)
        return Place(address)

    def address(self, place: Place, sweep: str, number: int, size: int, sha256: str) -> str:
        """Return where a file of a trial is now, or would be if it existed.

        Args:
            place: As it was recorded.
            sweep: Name of the trial's sweep.
            number: Of the trial.
            size: Bytes of the file.
            sha256: Of its content; decides where several places have a file of this size.
        """
        if place.root == STORAGE:
            return f"{self.storage}/{place.path}"
        places = self._candidates(place, sweep, number)
        if len(places) == 1:
            return places[0]
        fitting = [each for each in places if _size(each) == size]
        if len(fitting) > 1:
            fitting = [each for each in fitting if _has_content(Path(each), sha256)] or fitting
        return (fitting or places)[0]

    def _candidates(self, place: Place, sweep: str, number: int) -> list[str]:
        if place.root is not None:
            return self._under_roots(place.path)
        inside = _inside_state(place.path, sweep, number)
        if inside is None:
            return [place.path]
        # Recorded by a version that knew no roots, or under another state folder than the
        # opener's. A store inside of a state folder speaks of this folder, wherever it was then.
        elsewhere = [] if self.beside == self.state.root else [place.path]
        return list(dict.fromkeys([*self._under_roots(inside), *elsewhere]))

    def _under_roots(self, path: str) -> list[str]:
        folders = dict.fromkeys([self.state.root, self.beside or self.state.root])
        return [str(folder / path) for folder in folders]


def network_file(artifact: Artifact, what: str) -> Path:
    """Return the file of a packed network, after a check that its content is what was measured.

    Args:
        artifact: What is known of it.
        what: Its owner, for the message: ``trial 3 of 'digits'``.

    Raises:
        LostNetworkError: It is gone, cannot be read, or is another one.

    >>> from tempfile import NamedTemporaryFile
    >>> with NamedTemporaryFile() as file:
    ...     network_file(Artifact(file.name, 0, ""), "trial 3 of 'digits'") == Path(file.name)
    True
    """
    try:
        path = local_files(artifact.path, [ARTIFACT_NAME])
    except OSError as error:
        raise LostNetworkError(f"The packed network of {what} is out of reach: {error}") from error
    trouble = file_trouble(path, artifact.sha256)
    if trouble:
        raise LostNetworkError(
            f"The packed network of {what} {trouble}. Bring the file back, name the state folder "
            f"that has it by PARETUNE_HOME, or run the trial's params in a new sweep."
        )
    return path


def file_trouble(path: Path, sha256: str) -> str:
    """Explain, as the end of a sentence, why a file lacks this checksum; empty if it has it.

    >>> file_trouble(Path("absent.safetensors"), "")
    'is not at absent.safetensors (No such file or directory)'
    """
    try:
        digest = _digest(path)
    except OSError as error:
        return _unreadable(path, error)
    # Where no checksum was recorded, none can be wrong.
    if not sha256 or digest == sha256:
        return ""
    return (
        f"is not the one that was measured: the file at {path} was changed since, or is another "
        f"sweep's (its sha256 is {digest[:12]}..., and {sha256[:12]}... was recorded)"
    )


def lost_networks(artifacts: Mapping[int, Artifact], checked: set[int]) -> dict[int, str]:
    """Find the recorded networks that are lost, and why; by trial number.

    Args:
        artifacts: Of one sweep, by trial number.
        checked: Trials whose file is read in full. For the others only presence and size are
            checked, which takes no time, however many there are.

    >>> lost_networks({3: Artifact("absent.safetensors", 22_400, "")}, set()).keys()
    dict_keys([3])
    """
    lost: dict[int, str] = {}
    for trial, artifact in artifacts.items():
        if "://" in artifact.path:
            continue
        path = Path(artifact.path)
        if trial in checked:
            trouble = file_trouble(path, artifact.sha256)
        else:
            trouble = _visible_trouble(path, artifact.bytes)
        if trouble:
            lost[trial] = trouble
    return lost


def _visible_trouble(path: Path, size: int) -> str:
    try:
        found = path.stat().st_size
    except OSError as error:
        return _unreadable(path, error)
    if not os.access(path, os.R_OK):
        return _unreadable(path, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))
    if found == size:
        return ""
    return (
        f"is not the one that was measured: the file at {path} has {found:,} bytes, not {size:,}"
    )


def _unreadable(path: Path, error: OSError) -> str:
    if isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError):
        return f"is not at {path} ({error.strerror})"
    return f"cannot be read at {path} ({error.strerror})"


def _inside_state(path: str, sweep: str, number: int) -> str | None:
    """Part of a path of this very trial that is below a state folder; None if none is."""
    if not path.startswith("/"):
        return None
    parts = PurePosixPath(path).parts
    folder = StateFolder(Path("/")).trial_folder(sweep, number)
    if parts[-_TRIAL_PARTS:-1] != folder.parts[1:]:
        return None
    return "/".join(parts[-_TRIAL_PARTS:])


def _size(path: str) -> int | None:
    try:
        return Path(path).stat().st_size
    except OSError:
        return None


def _has_content(path: Path, sha256: str) -> bool:
    return not file_trouble(path, sha256)


def _digest(path: Path) -> str:
    facts = path.stat()
    return _read_digest(path, facts.st_size, facts.st_mtime_ns, facts.st_ino)


# A study asks for each trial once a value. A file that is written again has other facts.
@lru_cache(maxsize=4096)
def _read_digest(path: Path, _size: int, _written: int, _inode: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
