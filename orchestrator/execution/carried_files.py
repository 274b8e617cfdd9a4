"""Files of trials that cross from one machine to another with Ray's messages.

A worker on a node that does not see the driver's state folder writes to a folder of its own node.
What the driver must keep (the packed network, its compressed form, the predictions) returns with
the outcome, with checksums, and the driver writes it into the state folder, where it is as if the
trial had run beside it. Checkpoints and the stage cache stay on the node.

Whether a node sees the folder is tried, not configured: the driver writes a marker with a name
that never was before, and each worker looks for it.
"""

import hashlib
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import OrchestratorError
from orchestrator.state_folder import make_private
from orchestrator.trials import Artifact
from trainers.files.trial_folder import ARTIFACT_NAME, PREDICTIONS_NAME, STORAGE_NAME
from trainers.files.whole_file import whole_file

KEPT_NAMES = (ARTIFACT_NAME, STORAGE_NAME, PREDICTIONS_NAME)
"""The files of a complete trial that the driver keeps."""


class DamagedFileError(OrchestratorError):
    """A file did not arrive as it was sent."""


@dataclass(frozen=True, slots=True)
class CarriedFile:
    """A file as it travels.

    Attributes:
        name: Within the folder of its trial.
        content: As it was read.
        sha256: Hex digest of the content, taken where it was read.
    """

    name: str
    content: bytes
    sha256: str


@contextmanager
def marked(folder: Path) -> Iterator[Path]:
    """Yield a file in `folder` that exists until the end of the block, for `sees` on nodes.

    Raises:
        OSError: The folder cannot be written to.
    """
    make_private(folder)
    marker = folder / f".seen-{uuid.uuid4().hex}"
    marker.touch()
    try:
        yield marker
    finally:
        marker.unlink(missing_ok=True)


def sees(marker: Path | None) -> bool:
    """Return whether this machine sees the driver's folder; without a marker it does."""
    if marker is None:
        return True
    with suppress(OSError):
        return marker.is_file()
    return False


def read_files(folder: Path, names: Sequence[str] = KEPT_NAMES) -> tuple[CarriedFile, ...]:
    """Read those of the named files that are there.

    Raises:
        OSError: One is there and cannot be read.
    """
    files = []
    for name in names:
        with suppress(FileNotFoundError):
            content = (folder / name).read_bytes()
            files.append(CarriedFile(name, content, hashlib.sha256(content).hexdigest()))
    return tuple(files)


def write_files(files: Sequence[CarriedFile], folder: Path) -> None:
    """Write files that arrived, each whole or not at all, after a check of every one.

    Where none arrived nothing is made: `folder` may be a URL then, of what is in a storage.

    Raises:
        DamagedFileError: One is not as it was sent; nothing is written.
        OSError: The disk is full, or the folder cannot be written to.
    """
    for file in files:
        if hashlib.sha256(file.content).hexdigest() != file.sha256:
            raise DamagedFileError(
                f"{file.name} of {folder.name} arrived with another checksum than it was sent "
                f"with ({len(file.content):,} bytes)."
            )
    if files:
        make_private(folder)
    for file in files:
        with whole_file(folder / file.name) as written:
            written.write(file.content)


def moved(artifact: Artifact, folder: str) -> Artifact:
    """Return the artifact as it is known once its file is in `folder`.

    >>> moved(Artifact("/tmp/x/model.safetensors", 10, ""), "/state/trials/00001").path
    '/state/trials/00001/model.safetensors'
    """
    return Artifact(str(Path(folder) / Path(artifact.path).name), artifact.bytes, artifact.sha256)


def removed(folder: Path) -> None:
    """Remove a node's copy of files that were read; what cannot be removed stays."""
    shutil.rmtree(folder, ignore_errors=True)
