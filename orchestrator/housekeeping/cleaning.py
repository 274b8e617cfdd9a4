"""Cleaning a state folder: what no sweep of its store needs, and what can be computed again."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from orchestrator.driver.leftovers import used_bytes
from orchestrator.errors import OrchestratorError
from orchestrator.housekeeping.removal import remove_folder
from orchestrator.queries.sweeps import list_sweeps
from orchestrator.state_folder import StateFolder
from orchestrator.trials import SweepState

_CACHE = "stages that sweeps share, and decoded images; made again when they are needed"
_FETCHED = "copies of files from the storage of sweeps; fetched again when they are needed"
_ABANDONED = "files of the sweep {name}, which the store does not have"


@dataclass(frozen=True, slots=True)
class Removable:
    """A folder that may be removed.

    Attributes:
        folder: Where it is.
        what: What it holds, and what it costs to be without it.
        bytes: Sum of its files.
    """

    folder: Path
    what: str
    bytes: int


def removable(*, abandoned: bool = False) -> list[Removable]:
    """List what may be removed from the state folder; nothing is changed.

    Args:
        abandoned: List folders of sweeps that the default store does not have, too. Sweeps of
            another store that were run with this state folder are among them.

    Raises:
        OrchestratorError: The store cannot be read.
    """
    state = StateFolder.find()
    found = [(state.cache, _CACHE), (state.fetched, _FETCHED)]
    if abandoned:
        known = {record.name for record in list_sweeps()}
        folders = sorted((state.root / "sweeps").glob("*/"))
        found += [
            (each, _ABANDONED.format(name=each.name)) for each in folders if each.name not in known
        ]
    listed = [Removable(folder, what, used_bytes(folder)) for folder, what in found]
    return [each for each in listed if each.folder.is_dir()]


def clean(chosen: Collection[Removable]) -> None:
    """Remove folders that `removable` listed.

    Raises:
        OrchestratorError: A sweep of the default store is running, so that it may need them, or a
            folder cannot be removed.
    """
    running = [each.name for each in list_sweeps() if each.state is SweepState.RUNNING]
    if running:
        raise OrchestratorError(
            f"Nothing was removed, because {', '.join(running)} is running and may need it. Wait "
            f"for its end, or interrupt it: paretune stop {running[0]}"
        )
    for each in chosen:
        remove_folder(each.folder)
