"""Checkpoints in the sweep's storage, so that a trial goes on where its node was lost."""

import logging
import time
from collections.abc import Callable
from pathlib import Path

from orchestrator.file_storage.storage import FileStorage
from orchestrator.file_storage.trial_files import key_of
from trainers.files.trial_folder import CHECKPOINT_NAME

_logger = logging.getLogger(__name__)
# A copy costs a transfer, and less than what is trained meanwhile when a node is lost.
_EVERY_S = 30.0


class CheckpointCopies:
    """Copies the checkpoints that trials of a worker write on their node.

    A copy that fails costs nothing but the epochs after the last one.

    Args:
        storage: None copies nothing.
        every_s: Shortest time between two copies of one trial's checkpoint, in seconds.
        clock: Seconds.
    """

    def __init__(
        self,
        storage: FileStorage | None,
        every_s: float = _EVERY_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._storage, self._every_s, self._clock = storage, every_s, clock
        self._copied: dict[str, tuple[float, int]] = {}
        # Folders of which the storage has no copy: what is not there need not be removed.
        self._absent: set[str] = set()

    def fetch(self, folder: str, here: Path) -> None:
        """Get a trial's checkpoint, unless this node has one.

        Args:
            folder: The trial's folder as the driver names it.
            here: The folder on this node.
        """
        file = here / CHECKPOINT_NAME
        if self._storage is None or file.exists():
            return
        try:
            self._storage.get(_key(folder), file)
        except FileNotFoundError:
            self._absent.add(folder)
        except OSError as error:
            _logger.warning("A trial begins anew, as its checkpoint is out of reach: %s", error)

    def keep(self, folder: str, here: Path, *, now: bool = False) -> None:
        """Copy a trial's checkpoint if it is another one than before.

        Args:
            folder: The trial's folder as the driver names it.
            here: The folder on this node.
            now: Also if one was copied a moment ago.
        """
        if self._storage is None:
            return
        last, version = self._copied.get(folder, (self._clock(), 0))
        self._copied.setdefault(folder, (last, version))
        if not now and self._clock() - last < self._every_s:
            return
        try:
            found = (here / CHECKPOINT_NAME).stat().st_mtime_ns
            if found != version:
                self._absent.discard(folder)
                self._storage.put(here / CHECKPOINT_NAME, _key(folder))
                self._copied[folder] = self._clock(), found
        except FileNotFoundError:
            return
        except OSError as error:
            self._copied[folder] = self._clock(), version
            _logger.warning("The latest epochs of a trial are on its node alone: %s", error)

    def drop(self, folder: str) -> None:
        """Remove the copy of a trial that is complete."""
        self._copied.pop(folder, None)
        if self._storage is not None and folder not in self._absent:
            self._storage.remove(_key(folder))
        self._absent.discard(folder)


def _key(folder: str) -> str:
    return f"{key_of(folder)}/{CHECKPOINT_NAME}"
