"""A cache of stages: content-addressed, bounded and shared. Its errors never fail a trial."""

import logging
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from copy import copy
from dataclasses import replace
from typing import Any

from torch import Tensor

from trainers.files.checkpoints import CheckpointError
from trainers.stages.backends import CacheBackend, Content, open_backend
from trainers.stages.use import CacheUse

logger = logging.getLogger(__name__)

# Longer than the computation of any entry that is worth waiting for.
_LONGEST_WAIT_S = 1800.0
# Eviction goes down to the first fraction of the bound, and runs whenever this process has
# written the second: listing the location after every write would cost too much.
_FILLED_FRACTION = 0.9
_CHECKED_FRACTION = 0.05


class StageCache:
    """Results of stages by the names that `trainers.stages.keys` gives them.

    Errors of the storage are logged and collected, and the trial continues without the cache.

    Args:
        where: A folder, or an fsspec URL.
        max_bytes: Bound of the total size; the least recently used entries are evicted first.
        gives_trainings: Whether a trial may take a finished training from it.

    Attributes:
        gives_trainings: As given.
        troubles: Errors so far, a sentence each, without repetitions.
        use: Counts since it was opened.

    Raises:
        TrainerError: `where` is a URL that cannot be used here.
    """

    def __init__(self, where: str, max_bytes: float, *, gives_trainings: bool = True) -> None:
        self.gives_trainings = gives_trainings
        self._backend: CacheBackend = open_backend(where)
        self._max_bytes = max_bytes
        self._written = max_bytes
        self.troubles: list[str] = []
        self.use = CacheUse()

    def giving_trainings(self) -> "StageCache":
        """Return the same cache, which gives trainings; what is read there is not counted here."""
        other = copy(self)
        other.gives_trainings = True
        return other

    def get(self, name: str) -> Content | None:
        """Read the tensors (on the CPU) and facts of an entry; None if it cannot be read."""
        found = self._read(name)
        self._count(found)
        return found

    def _count(self, found: Content | None) -> None:
        use = self.use
        if found is None:
            self.use = replace(use, misses=use.misses + 1)
        else:
            size = sum(tensor.nbytes for tensor in found[0].values())
            self.use = replace(use, hits=use.hits + 1, read_bytes=use.read_bytes + size)

    def _read(self, name: str) -> Content | None:
        try:
            return self._backend.load(name)
        except FileNotFoundError:
            return None
        except CheckpointError as error:
            self._tell(
                f"The entry {name} of the stage cache at {self._backend} was removed, and is "
                f"computed again: {error}"
            )
            self._attempt(lambda: self._backend.remove(name), "cleaned")
        except OSError as error:
            self._could_not("read", error)
        return None

    def put(self, name: str, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> bool:
        """Store an entry; return whether it was stored.

        Args:
            name: Name of the entry.
            tensors: Tensors by name, on any device.
            facts: JSON values.
        """
        # The rest of the file is small.
        if sum(tensor.nbytes for tensor in tensors.values()) > self._max_bytes:
            return False
        return self._attempt(lambda: self._save(name, tensors, facts), "written")

    def made(self, name: str, make: Callable[[], dict[str, Tensor]]) -> tuple[Content, bool]:
        """Return an entry, computed if it does not exist, and whether it existed.

        If several processes need the same entry at once, one computes it and the others wait.
        """
        found = self._read(name)
        if found is not None:
            self._count(found)
            return found, True
        with ExitStack() as stack:
            try:
                stack.enter_context(self._backend.lock(name, _LONGEST_WAIT_S))
            except OSError as error:
                self._could_not("locked", error)
            found = self.get(name)
            if found is not None:
                return found, True
            tensors = make()
            self.put(name, tensors, {})
        return (tensors, {}), False

    def _save(self, name: str, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        size = self._backend.save(name, tensors, facts)
        self._written += size
        self.use = replace(self.use, written_bytes=self.use.written_bytes + size)
        if self._written >= _CHECKED_FRACTION * self._max_bytes:
            self._evict()
            self._written = 0

    def _evict(self) -> None:
        """Remove the least recently used entries; other processes may do so at the same time."""
        held = sorted(self._backend.held(), key=lambda entry: entry.used)
        excess = sum(entry.bytes for entry in held) - self._max_bytes
        if excess <= 0:
            return
        excess += (1 - _FILLED_FRACTION) * self._max_bytes
        # The newest entry stays: it is about to be used.
        for entry in held[:-1]:
            if excess <= 0:
                return
            self._backend.remove(entry.name)
            excess -= entry.bytes

    def _attempt(self, action: Callable[[], None], done: str) -> bool:
        try:
            action()
        except OSError as error:
            self._could_not(done, error)
            return False
        return True

    def _could_not(self, done: str, error: OSError) -> None:
        self._tell(
            f"The stage cache at {self._backend} cannot be {done} ({error.strerror or error}); "
            f"what it would have held is computed."
        )

    def _tell(self, trouble: str) -> None:
        if trouble not in self.troubles:
            self.troubles.append(trouble)
            logger.warning("%s", trouble)
