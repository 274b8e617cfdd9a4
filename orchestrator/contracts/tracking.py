"""What the orchestrator needs of a tracker."""

from pathlib import Path
from typing import Protocol


class Mirror(Protocol):
    """Copies what the store's outbox marks to a tracker for people to look at.

    The store is the source of truth: a mirror may be unreachable, late, or absent, and nothing is
    ever read from it.

    **Thread safety**: used from one thread at a time.
    """

    def drain(self, sweep: str, *, limit: int | None = None) -> int:
        """Copy what is marked, at most `limit` marks; returns how many were copied.

        Raises:
            TrackingError: The tracker cannot be reached; what was not copied stays marked.
        """
        ...

    def pending(self, sweep: str) -> int:
        """Return the number of marks that wait."""
        ...

    def attach(self, sweep: str, file: Path) -> None:
        """Copy a file beside the sweep, in the place of one of the same name.

        Raises:
            TrackingError: The tracker cannot be reached, or refuses the file.
        """
        ...
