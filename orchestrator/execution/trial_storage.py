"""The files of trials in the sweep's storage, as workers write and read them."""

import logging
import shutil
import socket
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from orchestrator.contracts import FrontJob
from orchestrator.errors import OrchestratorError
from orchestrator.execution.trial_step import Step
from orchestrator.file_storage.storage import FileStorage, StorageError
from orchestrator.file_storage.trial_files import key_of, local_files, put_trial
from orchestrator.trials import Artifact, Failure, FailureKind
from trainers.files.trial_folder import ARTIFACT_NAME, PREDICTIONS_NAME, STORAGE_NAME

_logger = logging.getLogger(__name__)

_MOVED = (ARTIFACT_NAME, STORAGE_NAME, PREDICTIONS_NAME)


def kept_in(storage: str | None) -> FileStorage | None:
    """Open the storage of a sweep; None where it has none.

    >>> kept_in(None) is None
    True
    """
    return None if storage is None else FileStorage(storage)


def in_storage(step: Step, storage: FileStorage, folder: str, here: Path) -> Step:
    """Put the files of a complete trial into the storage, and name its network there.

    Args:
        step: What a worker did; returned as it is if the trial is not complete.
        storage: The storage.
        folder: The trial's folder as the driver names it.
        here: The folder on this machine.

    Returns:
        The step. If the storage failed, its trouble says so, and the files stay here.
    """
    outcome = step.outcome
    if outcome is None or outcome.artifact is None:
        return step
    key = key_of(folder)
    try:
        put_trial(storage, key, here, _MOVED)
    except OSError as error:
        words = f"{error}. The files were sent to the driver instead, and are in its state folder."
        # Said before a trouble of the cache, which in the same storage fails as well.
        return replace(step, trouble=Failure(FailureKind.FILES_LOST, words))
    for name in _MOVED:
        (here / name).unlink(missing_ok=True)
    address = storage.address(f"{key}/{ARTIFACT_NAME}")
    artifact = Artifact(address, outcome.artifact.bytes, outcome.artifact.sha256)
    return replace(step, outcome=replace(outcome, artifact=artifact))


@contextmanager
def fetched_job(job: FrontJob, storage: str | None) -> Iterator[FrontJob]:
    """Yield the job with its networks on this machine, and put back what was found out of it.

    What cannot be fetched stays as it is: measuring it then says which file cannot be read.
    """
    kept = kept_in(storage)
    if kept is None or not kept.holds(job.path):
        yield job
        return
    with TemporaryDirectory(prefix="paretune-front-") as scratch:
        paths = [job.path] + ([job.reference] if job.reference else [])
        found = [_copied(path, Path(scratch, str(place))) for place, path in enumerate(paths)]
        here = replace(job, path=found[0], reference=found[1] if job.reference else None)
        yield here
        if Path(found[0]).with_name(PREDICTIONS_NAME).is_file() and found[0] != job.path:
            key = key_of(str(Path(job.path).parent))
            try:
                put_trial(kept, key, Path(found[0]).parent, [PREDICTIONS_NAME])
            except OSError as error:
                # The values are valid without it; only paired tests are not possible.
                _logger.warning("which images withstood the attacks is not kept: %s", error)


def _copied(path: str, to: Path) -> str:
    try:
        network = local_files(path, _MOVED)
        shutil.copytree(network.parent, to)
    except OSError:
        return path
    return str(to / network.name)


def probed_storage(url: str | None, others: Iterable[Callable[[str, str, str], str]]) -> None:
    """Write and read a file in the storage here, and on every other machine.

    Args:
        url: The storage; None has nothing to be probed.
        others: Each runs `answer_probe` on another machine, and returns what it returned.

    Raises:
        OrchestratorError: A machine cannot write or read, or does not see what another wrote.
    """
    if url is None:
        return
    storage, key, word = FileStorage(url), f".probe-{uuid.uuid4().hex}", uuid.uuid4().hex
    fix = (
        "Every node must be able to write to the storage and see what others write there: mount "
        "one shared folder at the same path, or name an object store (s3://BUCKET/FOLDER) whose "
        "credentials are in the environment of every node."
    )
    with TemporaryDirectory(prefix="paretune-probe-") as scratch:
        file = Path(scratch, "word")
        try:
            file.write_text(word)
            storage.put(file, f"{key}/driver")
            for number, other in enumerate(others):
                if problem := other(url, key, f"{number}"):
                    raise OrchestratorError(f"{problem} {fix}")
                storage.get(f"{key}/{number}", file)
                if file.read_text() != word:
                    raise OrchestratorError(
                        f"{storage} gives back another file than it got. {fix}"
                    )
        except (StorageError, FileNotFoundError) as error:
            raise OrchestratorError(
                f"The storage {storage} cannot be used: {error}. {fix}"
            ) from error
        finally:
            storage.remove(key)


def answer_probe(url: str, key: str, name: str) -> str:
    """Read what the driver wrote and write it again; returns what is wrong, empty if nothing is.

    >>> answer_probe("/absent", "probe", "1").partition(" does not see ")[2][:18]
    'in the storage /ab'
    """
    here = socket.gethostname()
    try:
        with TemporaryDirectory(prefix="paretune-probe-") as scratch:
            storage, file = FileStorage(url), Path(scratch, "word")
            storage.get(f"{key}/driver", file)
            storage.put(file, f"{key}/{name}")
    except FileNotFoundError:
        return (
            f"{here} does not see in the storage {FileStorage(url)} what the driver wrote there."
        )
    except OSError as error:
        return f"{here} cannot use the storage: {error}."
    except OrchestratorError as error:
        return f"On {here}: {error}"
    return ""
